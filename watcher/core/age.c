/*
 * age: a ring of marks a step apart. Numbers that came within a step share the time of the first of them, so
 * what is old is never taken for young.
 */
#include "core/age.h"

#include <string.h>

void age_init(struct age *a, int64_t newest)
{
	*a = (struct age){.old_id = newest};
}

static int64_t last_id(const struct age *a)
{
	return a->marks_n > 0 ? a->marks[a->marks_n - 1].id : a->old_id;
}

bool age_note(struct age *a, int64_t newest, int64_t now_us)
{
	int64_t last = last_id(a);
	size_t past = 0;

	while (past < a->marks_n && a->marks[past].at_us <= now_us - AGE_YOUNG_US)
		a->old_id = a->marks[past++].id;
	a->marks_n -= past;
	memmove(a->marks, a->marks + past, a->marks_n * sizeof(a->marks[0]));
	if (newest <= last)
		return past > 0;
	if (a->marks_n == 0 || a->marks[a->marks_n - 1].at_us <= now_us - AGE_STEP_US) {
		a->marks[a->marks_n].at_us = now_us;
		a->marks_n++;
	}
	a->marks[a->marks_n - 1].id = newest;
	return past > 0;
}
