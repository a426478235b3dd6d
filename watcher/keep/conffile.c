/*
 * inih asks a reader of ours for each line and calls a handler of ours with what it made of it. So there are
 * two opinions about every line: the reader judges it before inih sees it, and hands over nothing (an empty
 * line) when inih would mangle it; the handler compares what inih found with what the reader expects. Where
 * they differ it is a mistake too, so that another build of inih, with other limits, cannot change a
 * configuration silently either.
 *
 * What the reader knows of inih 55 as packaged: lines longer than 199 bytes are split; names are cut at 49
 * bytes; text behind a blank and `;` is dropped in values (in continued lines not in every release); `:`
 * separates like `=`; an indented line is one more value of the last key, whatever stands in it, and vanishes
 * when it begins with `#` or `;`; a section without keys is never reported; a byte order mark is skipped. `;`
 * in double quotes is handed over as the byte 01, which cannot stand in a file otherwise.
 *
 * A value is gathered over the lines it spans and given to conf_set() when the next line shows that it is
 * complete.
 */
#include "keep/conffile.h"

#include <dirent.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/conf_schema.h"
#include "core/conf_value.h"
#include "keep/conftrust.h"

#define INIH_LINE_BYTES 199 /* INI_MAX_LINE without the NUL; our lines go without their newline */
#define INIH_NAME_BYTES 49  /* MAX_SECTION and MAX_NAME of inih without the NUL */
#define SEMICOLON '\x01'    /* stands for ; in double quotes on the way through inih */
#define NO_SECTION "?"	    /* what inih is told where a section header was refused */
#define SHOWN_BYTES 120

struct span {
	const char *s;
	size_t len;
};

struct reader {
	const char *path;
	struct span rest; /* of the file */
	int line;	  /* of the one last read */
	struct conf *c;
	struct conf_mistakes *m;

	struct conf *into;		   /* takes the entries of this section; NULL: nobody does */
	struct conf *aside;		   /* for a section given twice: its entries are judged but lost */
	char section[INIH_NAME_BYTES + 1]; /* as inih was told */
	enum conf_kind kind;
	char key[INIH_NAME_BYTES + 1]; /* the key indented lines belong to; "": none */
	const struct conf_key *k;      /* NULL: unknown */
	bool swallow;		       /* indented lines belong to a line that was refused */

	struct buf raw; /* the value being gathered */
	int raw_line;	/* where it began */
	bool open;	/* there is one */
	bool joined;	/* its last line ended in a backslash */
	bool quoted;	/* it began with a double quote */

	bool expected;			 /* inih has not yet confirmed the line it was handed */
	char value[INIH_LINE_BYTES + 1]; /* what it must say the value is */
};

static struct span trim(struct span t)
{
	while (t.len > 0 && (t.s[0] == ' ' || t.s[0] == '\t'))
		t = (struct span){t.s + 1, t.len - 1};
	while (t.len > 0 && (t.s[t.len - 1] == ' ' || t.s[t.len - 1] == '\t'))
		t.len--;
	return t;
}

static const char *find(struct span t, char c)
{
	return memchr(t.s, c, t.len);
}

static void PRINTF_LIKE(2, 3) mistake(struct reader *r, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	conf_mistake_add(r->m, false, r->path, r->line, "%s", text);
	if (r->into && r->key[0])
		conf_lost(r->into, r->section, r->key);
}

/* ---- values that span lines ---- */

/* The value gathered is complete. more: an indented line with another value of the same key follows. */
static void finish_value(struct reader *r, bool more)
{
	if (!r->open)
		return;
	r->open = false;
	if ((r->joined || r->raw.failed) && r->into)
		conf_lost(r->into, r->section, r->key);
	if (r->joined && r->into)
		conf_mistake_add(r->m, false, r->path, r->raw_line,
			"%s: the value ends in \\ but the line after it is not indented", r->key);
	else if (r->raw.failed && r->into)
		conf_mistake_add(r->m, false, r->path, r->raw_line, "%s: the value is longer than %d bytes",
			r->key, CONF_VALUE_BYTES);
	else if (r->into && !(r->raw.len == 0 && more)) /* KEY = with all values on indented lines */
		conf_set(r->into, r->section, r->key, buf_str(&r->raw), r->path, r->raw_line, r->m);
	r->joined = false;
}

static void forget_value(struct reader *r)
{
	r->open = false;
	r->joined = false;
	r->swallow = true;
}

/* Why an unquoted value cannot be handed over, or NULL: inih would drop what follows a blank and `;`, and `#`
 * there is a comment to every reader but inih. */
static bool has_comment(struct span v, char *ret_mark)
{
	for (size_t i = 0; i < v.len; i++) {
		bool blank =
			i == 0 ? v.s[-1] == ' ' || v.s[-1] == '\t' : v.s[i - 1] == ' ' || v.s[i - 1] == '\t';

		if (blank && (v.s[i] == ';' || v.s[i] == '#')) {
			*ret_mark = v.s[i];
			return true;
		}
	}
	return false;
}

/* Judges the part of a value that stands on this line, and notes how it goes on. false: refused. */
static bool judge_value(struct reader *r, struct span v)
{
	bool begins = !r->joined;
	bool quoted = begins ? v.len > 0 && v.s[0] == '"' : r->quoted;
	bool goes_on = v.len > 0 && v.s[v.len - 1] == '\\';
	bool closed = v.len > (begins ? 1 : 0) && v.s[v.len - 1] == '"';
	char mark;

	if (quoted && !closed && !goes_on) {
		mistake(r, "%s: the value begins with a double quote but does not end with one%s", r->key,
			has_comment(v, &mark) ? "; comments stand on lines of their own" : "");
		return false;
	}
	if (!quoted && has_comment(v, &mark)) {
		mistake(r,
			"%s: a blank and %c begin a comment, and comments stand on lines of their own; a "
			"value with them "
			"goes into double quotes",
			r->key, mark);
		return false;
	}
	r->quoted = quoted;
	r->joined = goes_on;
	return true;
}

/* Writes what inih shall read, with the ; of a quoted value hidden, and notes what it must answer. Returns
 * the line. */
static void hand_over(struct reader *r, char *line, struct span whole, struct span v)
{
	size_t before = (size_t)(v.s - whole.s);

	memcpy(line, whole.s, whole.len);
	line[whole.len] = '\0';
	for (size_t i = before; r->quoted && i < before + v.len; i++) {
		if (line[i] == ';')
			line[i] = SEMICOLON;
	}
	memcpy(r->value, line + before, v.len);
	r->value[v.len] = '\0';
	r->expected = true;
}

/* ---- lines ---- */

/* A line at the left edge ends whatever was above it. */
static void begin_line(struct reader *r)
{
	finish_value(r, false);
	r->key[0] = '\0';
	r->k = NULL;
	r->swallow = true; /* until the line turns out to be good */
}

/* The entries of a section that stands twice are judged too, beside the first one's. */
static void take_twice(struct reader *r, const char *name)
{
	conf_free(r->aside);
	r->aside = conf_new();
	conf_section(r->aside, name, r->path, r->line, r->m);
	r->into = r->aside;
}

static void take_section(struct reader *r, struct span name, char *line)
{
	const char *word;
	size_t errors = r->m->errors;

	memcpy(r->section, name.s, name.len);
	r->section[name.len] = '\0';
	r->into = r->c;
	conf_section(r->c, r->section, r->path, r->line, r->m);
	if (conf_schema_parse_section(r->section, &r->kind, &word, NULL) < 0) {
		memcpy(r->section, NO_SECTION, sizeof(NO_SECTION));
		r->into = NULL;
	} else if (r->m->errors > errors) {
		take_twice(r, r->section);
	}
	(void)snprintf(line, INIH_LINE_BYTES + 1, "[%s]", r->section);
}

/* The header was refused: what follows belongs to no section, and not to the one above either. */
static void lose_section(struct reader *r, char *line)
{
	conf_lost(r->c, NULL, NULL);
	r->swallow = false;
	r->into = NULL;
	memcpy(r->section, NO_SECTION, sizeof(NO_SECTION));
	(void)snprintf(line, INIH_LINE_BYTES + 1, "[%s]", NO_SECTION);
}

static void read_section(struct reader *r, struct span t, char *line)
{
	const char *end = find(t, ']');
	struct span name = {t.s + 1, end ? (size_t)(end - t.s) - 1 : 0};
	struct span behind = trim(end ? (struct span){end + 1, t.len - name.len - 2} : (struct span){"", 0});

	begin_line(r);
	r->swallow = false;
	if (!end)
		mistake(r, "the ] of the section is missing");
	else if (behind.len > 0)
		mistake(r, "nothing can follow the ] of a section; comments stand on lines of their own");
	else if (name.len > INIH_NAME_BYTES)
		mistake(r, "the name of the section has %zu bytes, more than the %d that can be read",
			name.len, INIH_NAME_BYTES);
	else {
		take_section(r, name, line);
		return;
	}
	lose_section(r, line);
}

static bool is_key_text(struct span t)
{
	for (size_t i = 0; i < t.len; i++) {
		char c = t.s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    c == '_' || c == '.' || c == '-'))
			return false;
	}
	return t.len > 0;
}

/* false with a mistake: no key that inih would read as it stands. */
static bool judge_key(struct reader *r, struct span t, struct span name, bool has_equals)
{
	char shown[SHOWN_BYTES];

	if (find(name, ':'))
		mistake(r, "keys and values are separated by =, not by :");
	else if (!has_equals)
		mistake(r, "there is no = in \"%s\"", text_printable(t.s, t.len, shown, sizeof(shown)));
	else if (name.len == 0)
		mistake(r, "there is no key in front of the =");
	else if (!is_key_text(name))
		mistake(r, "\"%s\" is not a key", text_printable(name.s, name.len, shown, sizeof(shown)));
	else if (name.len > INIH_NAME_BYTES)
		mistake(r, "the key has %zu bytes, more than the %d that can be read", name.len,
			INIH_NAME_BYTES);
	else if (r->section[0] == '\0')
		mistake(r, "this key stands in no section; a [section] comes first");
	else
		return true;
	return false;
}

/* The line goes, and with it what it says of the key that it begins with. */
static void lose_key(struct reader *r, struct span t)
{
	char key[INIH_NAME_BYTES + 1];
	size_t n = 0;

	while (n < t.len && n < INIH_NAME_BYTES && is_key_text((struct span){t.s, n + 1}))
		n++;
	memcpy(key, t.s, n);
	key[n] = '\0';
	if (r->into && n > 0)
		conf_lost(r->into, r->section, key);
}

/* t begins with the key and has no blanks behind. */
static void read_key(struct reader *r, struct span t, char *line)
{
	const char *equals = find(t, '=');
	struct span name = trim((struct span){t.s, equals ? (size_t)(equals - t.s) : t.len});

	begin_line(r);
	if (!judge_key(r, t, name, equals != NULL)) {
		lose_key(r, t);
		return;
	}
	memcpy(r->key, name.s, name.len);
	r->key[name.len] = '\0';
	r->k = r->into ? conf_schema_find(r->kind, r->key) : NULL;
	r->swallow = r->k == NULL;

	struct span v = trim((struct span){equals + 1, t.len - (size_t)(equals - t.s) - 1});

	if (v.len == 0)
		v.s = t.s + t.len; /* trim() stops at the end of the line */
	if (!judge_value(r, v)) {
		r->swallow = true;
		return;
	}
	if (r->swallow)
		r->joined = false; /* an unknown key is told once, not its lines */
	buf_reset(&r->raw);
	r->open = true;
	r->raw_line = r->line;
	hand_over(r, line, t, v);
}

/* "KEY = …" on an indented line where KEY is a key of this section, or nearly: it was meant as a line of its
 * own. */
static bool looks_like_key(const struct reader *r, struct span t)
{
	const char *equals = find(t, '=');
	struct span name = trim((struct span){t.s, equals ? (size_t)(equals - t.s) : 0});
	char key[INIH_NAME_BYTES + 1] = "";
	struct err err = ERR_INIT;

	if (!equals || !r->into || name.len > INIH_NAME_BYTES || !is_key_text(name))
		return false;
	memcpy(key, name.s, name.len);
	if (conf_schema_find(r->kind, key))
		return true;
	if (equals == t.s + name.len)
		return false; /* nothing but key=value looks like an argument */
	(void)conf_schema_unknown_key(r->kind, key, &err);
	return strstr(err.text, "did you mean") != NULL;
}

static bool looks_like_section(struct span t)
{
	const char *end = find(t, ']');
	char name[INIH_NAME_BYTES + 1] = "";
	enum conf_kind kind;
	const char *word;

	if (t.s[0] != '[' || !end || (size_t)(end - t.s) - 1 > INIH_NAME_BYTES)
		return false;
	memcpy(name, t.s + 1, (size_t)(end - t.s) - 1);
	return conf_schema_parse_section(name, &kind, &word, NULL) == 0;
}

/* One more value of the key above. whole begins with a blank. */
static void read_next_value(struct reader *r, struct span whole, struct span t, char *line)
{
	if (!(r->k->flags & CONF_MULTI)) {
		finish_value(r, false);
		mistake(r, "an indented line is one more value of %s, which takes only one", r->key);
		return;
	}
	if (!judge_value(r, t)) {
		finish_value(r, true);
		return;
	}
	bool quoted = r->quoted, joined = r->joined;

	r->joined = false;
	finish_value(r, true);
	r->quoted = quoted;
	r->joined = joined;
	buf_reset(&r->raw);
	r->open = true;
	r->raw_line = r->line;
	hand_over(r, line, whole, t);
}

/* The line after one that ended in a backslash. */
static void read_continued(struct reader *r, struct span whole, struct span t, char *line)
{
	if (!judge_value(r, t)) {
		forget_value(r);
		return;
	}
	hand_over(r, line, whole, t);
}

static void read_indented(struct reader *r, struct span whole, struct span t, char *line)
{
	if (t.s[0] == '#' || t.s[0] == ';') {
		mistake(r,
			"an indented line that begins with %c would be dropped; comments begin at the left "
			"edge, a value "
			"that begins so goes into double quotes",
			t.s[0]);
		if (r->joined)
			forget_value(r);
	} else if (r->joined) {
		read_continued(r, whole, t, line);
	} else if (looks_like_section(t)) {
		mistake(r, "sections begin at the left edge");
		read_section(r, t, line);
	} else if (looks_like_key(r, t)) {
		if (r->key[0])
			mistake(r,
				"keys begin at the left edge; indented like this it would be a value of %s",
				r->key);
		else
			mistake(r, "keys begin at the left edge");
		read_key(r, t, line);
	} else if (r->swallow) {
		return;
	} else if (!r->key[0]) {
		mistake(r, "this line is indented, but there is no key above it");
	} else {
		read_next_value(r, whole, t, line);
	}
}

static bool has_control(struct span t, unsigned char *ret)
{
	for (size_t i = 0; i < t.len; i++) {
		unsigned char b = (unsigned char)t.s[i];

		if ((b < 0x20 && b != '\t') || b == 0x7f) {
			*ret = b;
			return true;
		}
	}
	return false;
}

/* A line that cannot be read at all. What follows it indented goes with it. t: the line without blanks around
 * it. */
static void lose_line(struct reader *r, bool indented, struct span t, char *line)
{
	if (!indented)
		begin_line(r);
	else if (r->joined)
		forget_value(r);
	if (!indented && t.s[0] == '[')
		lose_section(r, line);
	else if (!indented)
		lose_key(r, t);
}

/* Judges one line without its line end. line: what inih shall read, "" before. */
static void read_line(struct reader *r, struct span whole, char *line, size_t max)
{
	struct span t = trim(whole);
	bool indented = t.len > 0 && t.s != whole.s;
	unsigned char control;

	whole.len = t.len > 0 ? (size_t)(t.s - whole.s) + t.len : 0; /* inih drops blanks behind too */
	if (t.len == 0 || (!indented && (t.s[0] == '#' || t.s[0] == ';'))) {
		if (find(t, '\0'))
			mistake(r, "there is a NUL byte; is this file UTF-16, or not text at all?");
		if (r->joined) {
			finish_value(r, false);
			r->swallow = true;
		}
	} else if (find(t, '\0')) {
		lose_line(r, indented, t, line);
		mistake(r, "there is a NUL byte; is this file UTF-16, or not text at all?");
	} else if (has_control(t, &control)) {
		lose_line(r, indented, t, line);
		mistake(r, "there is a control character (0x%02x)", control);
	} else if (whole.len > max) {
		lose_line(r, indented, t, line);
		mistake(r,
			"the line has %zu bytes, more than the %zu that can be read; a value that ends in \\ "
			"goes on at "
			"the next indented line",
			whole.len, max);
	} else if (indented) {
		read_indented(r, whole, t, line);
	} else if (t.s[0] == '[') {
		read_section(r, t, line);
	} else {
		read_key(r, t, line);
	}
}

static struct span next_line(struct reader *r)
{
	const char *end = find(r->rest, '\n');
	struct span t = {r->rest.s, end ? (size_t)(end - r->rest.s) : r->rest.len};
	size_t used = t.len + (end ? 1 : 0);

	r->rest = (struct span){r->rest.s + used, r->rest.len - used};
	r->line++;
	if (t.len > 0 && t.s[t.len - 1] == '\r')
		t.len--;
	if (r->line == 1 && t.len >= 3 && memcmp(t.s, "\xEF\xBB\xBF", 3) == 0) {
		mistake(r, "the file begins with a byte order mark; save it as UTF-8 without one");
		t = (struct span){t.s + 3, t.len - 3};
	}
	return t;
}

/* ---- what inih calls ---- */

static void check_confirmed(struct reader *r)
{
	if (!r->expected)
		return;
	r->expected = false;
	mistake(r, "%s: the library that reads the configuration does not see this line as it stands",
		r->key);
	forget_value(r);
}

/* Like fgets(3): num bytes at str, the NUL included. */
static char *read_for_inih(char *str, int num, void *stream)
{
	struct reader *r = stream;
	char line[INIH_LINE_BYTES + 1] = "";
	size_t max = num > 0 && (size_t)num - 1 < INIH_LINE_BYTES ? (size_t)num - 1 : INIH_LINE_BYTES;

	check_confirmed(r);
	if (num <= 0 || r->rest.len == 0)
		return NULL;
	read_line(r, next_line(r), line, max);
	size_t len = strnlen(line, max); /* all of it: read_line() refuses longer lines */

	memcpy(str, line, len);
	str[len] = '\0';
	return str;
}

static int take_from_inih(void *user, const char *section, const char *name, const char *value)
{
	struct reader *r = user;

	if (!name || !value || !r->expected || strcmp(section, r->section) != 0 ||
		strcmp(name, r->key) != 0 || strcmp(value, r->value) != 0)
		return 1; /* still expected: told when the next line is asked for */
	r->expected = false;
	for (const char *p = value; *p; p++) {
		if (r->joined && !p[1])
			break; /* the backslash */
		(void)buf_addc(&r->raw, *p == SEMICOLON ? ';' : *p);
	}
	return 1;
}

/* ---- files ---- */

static int load_file(
	const char *path, struct conftrust *trust, struct conf *c, struct conf_mistakes *m, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	struct buf b = BUF_INIT(CONFFILE_BYTES_MAX + 1);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot be read");
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_CONF, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "is not a regular file");
	conftrust_check(trust, path, &st, m);
	int r = fs_read_fd(fd, CONFFILE_BYTES_MAX, &b);
	if (r == 0)
		conffile_parse(path, buf_str(&b), b.len, c, m);
	else if (r == -EFBIG)
		r = err_set(
			err, ERR_CONF, EFBIG, "is larger than %d MiB", CONFFILE_BYTES_MAX / (1024 * 1024));
	else
		r = err_errno(err, -r, "cannot be read");
	buf_done(&b);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_folder(const char *path, DIR *dir, struct conf_list *names, struct conf_mistakes *m)
{
	const struct dirent *e;

	errno = 0;
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] != '.' && text_ends_with(e->d_name, ".ini")) {
			if (names->n == CONFFILE_FILES_MAX) {
				conf_mistake_add(m, false, path, 0, "there are more than %d files",
					CONFFILE_FILES_MAX);
				return;
			}
			conf_list_add(names, e->d_name, strlen(e->d_name));
		}
		errno = 0;
	}
	if (errno != 0)
		conf_mistake_add(m, false, path, 0, "cannot be listed: %s", strerror(errno));
	if (names->n > 1)
		qsort(names->items, names->n, sizeof(*names->items), compare_names);
}

static void load_folder(const char *path, struct conftrust *trust, struct conf *c, struct conf_mistakes *m)
{
	DIR *dir = opendir(path);
	struct conf_list names = {.n = 0};
	size_t errors = m->errors;
	struct stat st;

	if (!dir) {
		if (errno == ENOENT || errno == ENOTDIR)
			return;
		conf_mistake_add(m, false, path, 0, "cannot be listed: %s", strerror(errno));
		conf_lost(c, NULL, NULL);
		return;
	}
	if (fstat(dirfd(dir), &st) == 0)
		conftrust_check_folder(trust, path, &st, m);
	list_folder(path, dir, &names, m);
	if (m->errors > errors)
		conf_lost(c, NULL, NULL);
	(void)closedir(dir);
	for (size_t i = 0; i < names.n; i++) {
		CLEANUP_FREE char *file = fs_join(path, names.items[i]);
		struct err err = ERR_INIT;

		if (load_file(file, trust, c, m, &err) < 0) {
			conf_lost(c, NULL, NULL);
			conf_mistake_add(m, false, file, 0, "%s", err.text);
		}
	}
	conf_list_done(&names);
}

static char *folder_beside(const char *path)
{
	const char *slash = strrchr(path, '/');

	return mem_printf("%.*sconf.d", slash ? (int)(slash - path) + 1 : 0, path);
}

int conffile_load(const char *path, bool with_confd, struct conf *c, struct conf_mistakes *m, struct err *err)
{
	struct conftrust *trust = conftrust_new();
	int r = load_file(path, trust, c, m, err);

	if (r < 0)
		err_prefix(err, "%s", path);
	if (r == 0 && with_confd) {
		CLEANUP_FREE char *folder = folder_beside(path);

		load_folder(folder, trust, c, m);
	}
	conftrust_free(trust);
	return r;
}

void conffile_parse(const char *path, const char *text, size_t len, struct conf *c, struct conf_mistakes *m)
{
	struct reader r = {
		.path = path, .rest = {text, len}, .c = c, .m = m, .raw = BUF_INIT(CONF_VALUE_BYTES)};
	size_t errors = m->errors;
	int line = ini_parse_stream(read_for_inih, &r, take_from_inih, &r);

	check_confirmed(&r);
	finish_value(&r, false);
	if (line != 0 && m->errors == errors) /* never with an inih like ours */
		conf_mistake_add(m, false, path, line > 0 ? line : 0,
			"the library that reads the configuration does not take this line");
	buf_done(&r.raw);
	conf_free(r.aside);
}
