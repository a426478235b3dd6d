/*
 * age: which rows of a table that only grows are older than a while, told from their numbers: the caller says
 * now and then which the newest is. Pure, and right whatever the wall clock does, since it needs none. The
 * struct belongs to the caller and needs no cleaning up.
 */
#ifndef CORE_AGE_H
#define CORE_AGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGE_YOUNG_US INT64_C(60000000) /* so long a row is young, or up to AGE_STEP_US less */
#define AGE_STEP_US INT64_C(5000000)
#define AGE_MARKS 16 /* more than AGE_YOUNG_US has steps */

struct age {
	int64_t old_id; /* rows up to this one are old */
	struct {
		int64_t at_us, id; /* rows up to id had come by then, after the mark before */
	} marks[AGE_MARKS];
	size_t marks_n;
};

/* newest: rows up to this one count as old. */
void age_init(struct age *a, int64_t newest);
/* newest: the highest number there is, to be told in the round in which it came. now_us: monotonic. Returns
 * whether others are old now than before. */
bool age_note(struct age *a, int64_t newest, int64_t now_us);

#endif
