/*
 * sim_settle: plays scripts of what happens to one file against core/settle, with a virtual clock. See
 * tests/sim/README.md for the language.
 *
 * usage: sim_settle SCRIPT…    prints "ok FILE" or "FILE:LINE: …" for each; exits 1 when one failed
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/num.h"
#include "core/settle.h"

struct sim {
	const char *file;
	int line;
	bool failed;
	struct settle_policy policy;
	struct settle settle;
	struct settle_look world; /* what a look would find */
	bool exists, begun, complete, gone;
	int64_t now_us, complete_us;
};

static void sim_fail(struct sim *s, const char *what, const char *detail)
{
	(void)printf("%s:%d: %s %s\n", s->file, s->line, what, detail);
	s->failed = true;
}

/* "12.5" seconds -> microseconds. */
static bool sim_time(const char *text, int64_t *ret_us)
{
	char *end;
	double seconds = strtod(text, &end);

	if (*end != '\0' || end == text || seconds < 0)
		return false;
	*ret_us = (int64_t)(seconds * 1e6 + 0.5);
	return true;
}

/* Looks whenever the machine wants to, up to a time. */
static void sim_run_until(struct sim *s, int64_t until_us)
{
	while (s->begun && !s->complete && !s->gone && s->settle.due_us <= until_us) {
		if (s->settle.due_us > s->now_us)
			s->now_us = s->settle.due_us;
		if (!s->exists) {
			s->gone = true;
		} else if (settle_look(&s->settle, &s->policy, &s->world, s->now_us) == SETTLE_COMPLETE) {
			s->complete = true;
			s->complete_us = s->now_us;
		} else if (s->settle.due_us <= s->now_us) {
			sim_fail(s, "waits for a time that is not ahead:", "it would spin");
			return;
		}
	}
	s->now_us = until_us > s->now_us ? until_us : s->now_us;
}

static void sim_hint(struct sim *s, const char *word)
{
	static const char *const words[] = {[SETTLE_LISTED] = "listed",
		[SETTLE_CREATED] = "created",
		[SETTLE_CLOSED] = "closed",
		[SETTLE_CARRIED] = "carried",
		[SETTLE_MOVED_IN] = "moved-in",
		[SETTLE_MOVED_OPEN] = "moved-open"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(word, words[i]) != 0)
			continue;
		if (s->begun && !s->complete) {
			settle_note(&s->settle, &s->policy, (enum settle_hint)i, s->now_us);
		} else {
			settle_begin(&s->settle, &s->policy, (enum settle_hint)i, s->now_us);
			s->complete = s->gone = false;
		}
		s->begun = true;
		if (i == SETTLE_LISTED && s->policy.apart_us == 0)
			settle_listed(&s->settle, &s->world);
		return;
	}
	sim_fail(s, "unknown hint", word);
}

static void sim_world(struct sim *s, const char *key, const char *value)
{
	int64_t n = 0;
	bool good = true;

	if (strcmp(key, "lease") == 0) {
		good = strcmp(value, "open") == 0 || strcmp(value, "free") == 0 ||
		       strcmp(value, "unknown") == 0;
		s->world.lease = value[0] == 'o'   ? SETTLE_LEASE_OPEN
				 : value[0] == 'f' ? SETTLE_LEASE_FREE
						   : SETTLE_LEASE_UNKNOWN;
	} else if (num_parse_i64(value, &n) < 0) {
		good = false;
	} else if (strcmp(key, "size") == 0) {
		s->world.size = n;
	} else if (strcmp(key, "mtime") == 0) {
		s->world.mtime_ns = n;
	} else if (strcmp(key, "ino") == 0) {
		s->world.ino = (uint64_t)n;
	} else {
		good = false;
	}
	s->exists = true;
	if (!good)
		sim_fail(s, "unknown fact", key);
}

static void sim_policy(struct sim *s, const char *key, const char *value)
{
	bool good = true;

	if (strcmp(key, "closed") == 0)
		good = num_parse_duration(value, &s->policy.closed_us) == 0;
	else if (strcmp(key, "quiet") == 0)
		good = num_parse_duration(value, &s->policy.quiet_us) == 0;
	else if (strcmp(key, "need-close") == 0)
		good = num_parse_bool(value, &s->policy.need_close) == 0;
	else if (strcmp(key, "quiet-only") == 0)
		good = num_parse_bool(value, &s->policy.quiet_only) == 0;
	else if (strcmp(key, "marked") == 0)
		good = num_parse_bool(value, &s->policy.marked) == 0;
	else if (strcmp(key, "apart") == 0)
		good = num_parse_duration(value, &s->policy.apart_us) == 0;
	else
		good = false;
	if (!good)
		sim_fail(s, "unknown policy", key);
}

static void sim_expect(struct sim *s, const char *what)
{
	char detail[128];

	if (strcmp(what, "complete") == 0 && (!s->complete || s->complete_us != s->now_us)) {
		(void)snprintf(detail, sizeof(detail), "complete at this moment, but it %s (%.3f s)",
			s->complete ? "was" : "is not; due",
			(double)(s->complete ? s->complete_us : s->settle.due_us) / 1e6);
		sim_fail(s, "expected", detail);
	} else if (strcmp(what, "waiting") == 0 && (s->complete || s->gone || !s->begun)) {
		(void)snprintf(detail, sizeof(detail), "it to wait still, but it was %s at %.3f s",
			s->complete ? "complete" : "gone", (double)s->complete_us / 1e6);
		sim_fail(s, "expected", detail);
	} else if (strcmp(what, "gone") == 0 && !s->gone) {
		sim_fail(s, "expected", "it to be gone");
	} else if (strcmp(what, "stuck") == 0 && !settle_is_stuck(&s->settle, &s->policy)) {
		sim_fail(s, "expected", "that time alone does not complete it");
	} else if (strcmp(what, "hopeful") == 0 && settle_is_stuck(&s->settle, &s->policy)) {
		sim_fail(s, "expected", "that time alone completes it");
	} else if (strcmp(what, "complete") != 0 && strcmp(what, "waiting") != 0 &&
		   strcmp(what, "gone") != 0 && strcmp(what, "stuck") != 0 && strcmp(what, "hopeful") != 0) {
		sim_fail(s, "unknown expectation", what);
	}
}

static void sim_command(struct sim *s, char *words[], size_t n)
{
	char *equals;

	for (size_t i = 0; i + 1 < n; i++) {
		if (strcmp(words[0], "hint") == 0) {
			sim_hint(s, words[i + 1]);
		} else if (strcmp(words[0], "expect") == 0) {
			sim_expect(s, words[i + 1]);
		} else {
			equals = strchr(words[i + 1], '=');
			if (!equals) {
				sim_fail(s, "no = in", words[i + 1]);
				return;
			}
			*equals = '\0';
			if (strcmp(words[0], "file") == 0)
				sim_world(s, words[i + 1], equals + 1);
			else
				sim_policy(s, words[i + 1], equals + 1);
		}
	}
	if (strcmp(words[0], "removed") == 0)
		s->exists = false;
	else if (strcmp(words[0], "changed") == 0) {
		settle_changed(&s->settle, &s->policy, s->now_us);
		s->complete = false;
	} else if (n < 2)
		sim_fail(s, "unknown command", words[0]);
}

static void sim_line(struct sim *s, char *line)
{
	char *words[16], *save = NULL;
	size_t n = 0;
	int64_t at_us;

	line[strcspn(line, "#\n")] = '\0';
	for (char *w = strtok_r(line, " \t", &save); w && n < 16; w = strtok_r(NULL, " \t", &save))
		words[n++] = w;
	if (n == 0)
		return;
	if (n == 1 || !sim_time(words[0], &at_us)) {
		sim_command(s, words, n);
		return;
	}
	/* What happens at a moment happens before the look that is due at the same moment, unless it is an
	 * expectation. */
	sim_run_until(s, strcmp(words[1], "expect") == 0 ? at_us : at_us - 1);
	s->now_us = at_us;
	sim_command(s, words + 1, n - 1);
}

static bool sim_play(const char *file)
{
	struct sim s = {.file = file,
		.policy = {.closed_us = US_PER_S, .quiet_us = 30 * US_PER_S},
		.world = {.size = 1, .ino = 1}};
	char line[256];
	FILE *f = fopen(file, "re");

	if (!f) {
		(void)printf("%s: %s\n", file, strerror(errno));
		return false;
	}
	while (!s.failed && fgets(line, sizeof(line), f)) {
		s.line++;
		sim_line(&s, line);
	}
	(void)fclose(f);
	if (!s.failed)
		(void)printf("ok %s\n", file);
	return !s.failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed += !sim_play(argv[i]);
	(void)printf("%d passed, %d failed\n", argc - 1 - failed, failed);
	return failed > 0 || argc < 2 ? 1 : 0;
}
