/*
 * reload: some keys name what is open for as long as the service runs; another value of them is refused, with
 * the way out.
 */
#include "keep/reload.h"

#include <string.h>
#include "keep/conffile.h"

#define MISTAKES_BYTES (1024u * 1024)
#define EXIT_CONFIGURATION 78

static void reload_refuse_fixed(const struct conf *now, const struct conf *next, struct conf_mistakes *m)
{
	const struct {
		const char *key;
		bool differs;
	} fixed[] = {
		{"state_directory", strcmp(now->service.state_directory, next->service.state_directory) != 0},
		{"runtime_directory",
			strcmp(now->service.runtime_directory, next->service.runtime_directory) != 0},
		{"durability", now->service.durability != next->service.durability},
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		const struct conf_entry *e = conf_entry_find(next, "service", fixed[i].key);

		if (fixed[i].differs)
			conf_mistake_add(m, false, e ? e->file : NULL, e ? e->line : 0,
				"another %s needs a restart of the service", fixed[i].key);
	}
}

/* The mistakes only; as many as there is room for. */
static void reload_print(struct conf_mistakes *m, struct buf *text)
{
	struct buf all = BUF_INIT(MISTAKES_BYTES);

	conf_mistakes_print(m, &all);
	for (const char *line = buf_str(&all); *line;) {
		size_t n = strcspn(line, "\n") + 1;

		if (text->len + n > text->max)
			break;
		(void)buf_add(text, line, n);
		line += n;
	}
	buf_done(&all);
}

int reload_read(const char *path, const struct conf *running, struct conf **ret, struct buf *text)
{
	struct conf_mistakes mistakes = {0};
	struct conf *next = conf_new();
	struct err err = ERR_INIT;
	int status = 0;

	if (conffile_load(path, true, next, &mistakes, &err) < 0) {
		conf_mistake_add(&mistakes, false, NULL, 0, "%s", err.text);
	} else {
		conf_resolve(next);
		conf_check(next, &mistakes);
	}
	if (mistakes.errors == 0)
		reload_refuse_fixed(running, next, &mistakes);
	if (mistakes.errors > 0)
		status = EXIT_CONFIGURATION;
	reload_print(&mistakes, text);
	conf_mistakes_done(&mistakes);
	if (status == 0)
		*ret = next;
	else
		conf_free(next);
	return status;
}
