/*
 * folders: the answers of one watcher, step by step.
 */
#include "cli/folders.h"

#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "cli/trialwatch.h"

#define FOLDERS_ANSWER_MS 5000
#define FOLDERS_TEXT_BYTES 4096

struct folders_answer {
	bool listed;
	char why[FOLDERS_TEXT_BYTES], closed[FOLDERS_TEXT_BYTES], group[TRIALWATCH_GROUP_BYTES];
};

static void folders_on_step(const struct wire_explained *m, void *arg)
{
	struct folders_answer *a = arg;
	char group[TRIALWATCH_GROUP_BYTES];

	if (strcmp(m->step, "directory") == 0) {
		a->listed = m->ok == 1;
		(void)snprintf(a->why, sizeof(a->why), "%s", m->text);
	} else if (strcmp(m->step, "closed") == 0) {
		(void)snprintf(a->closed, sizeof(a->closed), "%s", m->text);
	} else if (strcmp(m->step, "group") == 0) {
		(void)snprintf(a->group, sizeof(a->group), "%s", trialwatch_group(m, group));
	}
}

void folders_look(const struct conf *conf, void (*tell)(const struct folders_found *f, void *arg), void *arg)
{
	CLEANUP_FREE struct wire_message *in = mem_alloc(sizeof(*in));
	CLEANUP_FREE struct folders_answer *a = mem_alloc(sizeof(*a));

	for (size_t i = 0; i < conf->watches_n; i++) {
		const struct conf_watch *w = conf->watches[i];

		for (size_t k = 0; k < w->directory.n; k++) {
			struct folders_found f = {.watch = w, .directory = w->directory.items[k]};
			struct err err = ERR_INIT;
			int rc;

			memset(a, 0, sizeof(*a));
			rc = trialwatch_ask(
				conf, w, f.directory, FOLDERS_ANSWER_MS, folders_on_step, a, in, &err);
			if (rc == 0 && a->listed)
				continue;
			f.why = rc < 0 ? err.text : a->why;
			f.missing = rc == 0 && in->as.file.size == WIRE_SIZE_NOT_THERE;
			f.closed = a->closed;
			f.group = a->group;
			tell(&f, arg);
		}
	}
}

/* A path as a word of a shell. */
static void folders_add_word(struct buf *b, const char *path)
{
	if (path[strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/+=@,:")] ==
		'\0') {
		(void)buf_adds(b, path);
		return;
	}
	(void)buf_addc(b, '\'');
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "'");

		(void)text_add_printable(b, p, n);
		p += n;
		if (*p == '\'' && p++)
			(void)buf_adds(b, "'\\''");
	}
	(void)buf_addc(b, '\'');
}

void folders_add_remedy(const struct folders_found *f, const char *user, struct buf *b)
{
	if (f->group[0]) {
		(void)buf_addf(b, "usermod -aG %s %s", f->group, user);
		return;
	}
	(void)buf_addf(b, "setfacl -m u:%s:%s ", user, strcmp(f->closed, f->directory) == 0 ? "rx" : "x");
	folders_add_word(b, f->closed);
}
