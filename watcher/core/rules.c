/*
 * rules: every name in a listing comes through here, a million at a start, so the common answer (nothing
 * matches) must cost less than a microsecond. The shipped patterns know their first and last byte when those
 * are plain, and most are passed over by looking at these two; only what is left goes through the glob
 * matcher.
 *
 * The shipped list may hide a file from its owner, which is the one thing this program must not do. So each
 * pattern is as narrow as the tool that makes the name allows, patterns for files and for directories are
 * kept apart, and three that glob cannot make narrow enough have a second condition (`also`).
 *
 * Markers: what a marker is called is a template over the data file's name, so whether a name is a marker is
 * asked by turning the template into a wildcard: ${relpath} and its like stand for any run, other names for
 * any run without
 * '/'. That says "marker" to anything that could be one for some file, which is what "never data" asks for.
 * Whether a directory can hold markers is the same question about a beginning.
 */
#include "core/rules.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/num.h"
#include "base/sha256.h"
#include "base/text.h"
#include "core/glob.h"
#include "core/template.h"

#define SHIPPED_VERSION 1
#define RULES_VERSION "brickwatch rules 1" /* grows when the same configuration decides otherwise */
#define SHOWN_BYTES 64
#define RANDOM_CHARS 6 /* of mkstemp(3) */

/* ---- the shipped list ---- */

/* Spark reads paths that begin with '_' only when they hold a '=' (Hive partitions such as _day=7), and so do
 * we. Source: Spark, HadoopFSUtils.shouldFilterOutPathName. */
static bool also_no_equals(const char *name, size_t len)
{
	return !memchr(name, '=', len);
}

/* The last six are as mkstemp makes them, not a word: `.orders.ndjson` and `sedentary` are data. One in 200
 * random names is all lower case and passes; it is renamed long before it is quiet. */
static bool also_random(const char *name, size_t len)
{
	for (size_t i = len - RANDOM_CHARS; i < len; i++) {
		if (name[i] < 'a' || name[i] > 'z')
			return true;
	}
	return false;
}

#define ALNUM "[0-9A-Za-z]"
#define RANDOM6 ALNUM ALNUM ALNUM ALNUM ALNUM ALNUM

/* PATTERN, first byte or 0, last byte (before a trailing '/') or 0, second condition or NULL. */
#define SHIPPED(X)                                                                                           \
	/* uploads and downloads under way */                                                                \
	X("*._COPYING_", 0, '_', NULL)	       /* hadoop fs -put */                                          \
	X(".distcp.tmp.*", '.', 0, NULL)       /* hadoop distcp */                                           \
	X("_tmp_*", '_', 0, NULL)	       /* StreamSets Hadoop target */                                \
	X("_*", '_', 0, also_no_equals)	       /* Hadoop and Spark: _SUCCESS, _committed_*, _temporary */    \
	X(".*.crc", '.', 'c', NULL)	       /* Hadoop checksum companions */                              \
	X(".?*." RANDOM6, '.', 0, also_random) /* rsync */                                                   \
	X(".in.*", '.', 0, NULL)	       /* lftp xfer:use-temp-file */                                 \
	X("*.lftp-pget-status", 0, 's', NULL)                                                                \
	X("*.filepart", 0, 't', NULL) /* WinSCP */                                                           \
	X("*.part", 0, 't', NULL)                                                                            \
	X("*.partial", 0, 'l', NULL)                                                                         \
	X("*.crdownload", 0, 'd', NULL)                                                                      \
	X("*.download", 0, 'd', NULL)                                                                        \
	X("*.aria2", 0, '2', NULL)                                                                           \
	X("*.tmp", 0, 'p', NULL)                                                                             \
	X("*.TMP", 0, 'P', NULL)                                                                             \
	X("*.temp", 0, 'p', NULL)                                                                            \
	X("*.inprogress", 0, 's', NULL)                                                                      \
	X("*.PROCESSING", 0, 'G', NULL)                                                                      \
	X("*.COMPLETED", 0, 'D', NULL) /* Flume, after reading */                                            \
	X("*.writing", 0, 'g', NULL)                                                                         \
	X("*.copying", 0, 'g', NULL)                                                                         \
	X("*.lock", 0, 'k', NULL)                                                                            \
	X("*.camelLock", 0, 'k', NULL)                                                                       \
	/* editors and in-place tools */                                                                     \
	X("*~", 0, '~', NULL)                                                                                \
	X("*.swp", 0, 'p', NULL)                                                                             \
	X("*.swx", 0, 'x', NULL)                                                                             \
	X("*.swo", 0, 'o', NULL)                                                                             \
	X("4913", '4', '3', NULL)	      /* vim tries whether it may write here */                      \
	X("sed" RANDOM6, 's', 0, also_random) /* sed -i */                                                   \
	X(".#*", '.', 0, NULL)		      /* emacs */                                                    \
	X("#*#", '#', '#', NULL)                                                                             \
	X(".goutputstream-*", '.', 0, NULL) /* GIO */                                                        \
	X(".~lock.*#", '.', '#', NULL)	    /* LibreOffice */                                                \
	X("~$*", '~', 0, NULL)		    /* Office */                                                     \
	/* file systems and desktops */                                                                      \
	X(".nfs[0-9A-Fa-f]*", '.', 0, NULL) /* deleted while open on NFS */                                  \
	X(".fuse_hidden*", '.', 0, NULL)                                                                     \
	X(".smbdelete*", '.', 0, NULL)                                                                       \
	X("._*", '.', 0, NULL) /* macOS */                                                                   \
	X(".DS_Store", '.', 'e', NULL)                                                                       \
	X("Thumbs.db", 'T', 'b', NULL)                                                                       \
	X("desktop.ini", 'd', 'i', NULL)                                                                     \
	X("Desktop.ini", 'D', 'i', NULL)                                                                     \
	/* directories */                                                                                    \
	X("_*/", '_', 0, also_no_equals) /* _temporary, _delta_log, __MACOSX */                              \
	X(".~tmp~/", '.', '~', NULL)	 /* rsync --delay-updates */                                         \
	X(".rsync-partial/", '.', 'l', NULL)                                                                 \
	X("*.tmp/", 0, 'p', NULL)                                                                            \
	X("*.inprogress/", 0, 's', NULL)                                                                     \
	X("*.download/", 0, 'd', NULL) /* Safari */                                                          \
	X("*._COPYING_/", 0, '_', NULL)                                                                      \
	X(".snapshot/", '.', 't', NULL) /* HDFS, NetApp */                                                   \
	X(".snapshots/", '.', 's', NULL)                                                                     \
	X("~snapshot/", '~', 't', NULL)                                                                      \
	X("#snapshot/", '#', 't', NULL)		 /* Synology */                                              \
	X("@Recently-Snapshot/", '@', 't', NULL) /* QNAP */                                                  \
	X(".zfs/", '.', 's', NULL)                                                                           \
	X("lost+found/", 'l', 'd', NULL)                                                                     \
	X(".Trash*/", '.', 0, NULL)                                                                          \
	X("$RECYCLE.BIN/", '$', 'N', NULL)                                                                   \
	X("System Volume Information/", 'S', 'n', NULL)                                                      \
	X("#recycle/", '#', 'e', NULL)                                                                       \
	X("@Recycle/", '@', 'e', NULL)                                                                       \
	X("@eaDir/", '@', 'r', NULL)

static const struct shipped {
	const char *pattern;
	char first, last;
	bool is_directory;
	bool (*also)(const char *name, size_t len);
} shipped[] = {
#define ENTRY(pattern, first, last, also) {pattern, first, last, (pattern)[sizeof(pattern) - 2] == '/', also},
	SHIPPED(ENTRY)
#undef ENTRY
};

static const char *const shipped_patterns[] = {
#define ENTRY(pattern, first, last, also) pattern,
	SHIPPED(ENTRY)
#undef ENTRY
		NULL,
};

static const char *const companions[] = {
	".aria2", ".filepart", ".lftp-pget-status", ".part", ".partial", NULL};

static const char *shipped_match(const char *name, bool is_directory)
{
	size_t len = strlen(name);

	if (len == 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(shipped); i++) {
		const struct shipped *s = &shipped[i];

		if (s->is_directory != is_directory || (s->first && s->first != name[0]) ||
			(s->last && s->last != name[len - 1]))
			continue;
		if (glob_match(s->pattern, name, is_directory) && (!s->also || s->also(name, len)))
			return s->pattern;
	}
	return NULL;
}

/* ---- words ---- */

static void explain(char why[RULES_WHY_BYTES], const char *fmt, ...) PRINTF_LIKE(2, 3);
static void explain(char why[RULES_WHY_BYTES], const char *fmt, ...)
{
	va_list ap;

	if (!why)
		return;
	va_start(ap, fmt);
	vsnprintf(why, RULES_WHY_BYTES, fmt, ap);
	va_end(ap);
}

static const char *show(const char *name, char shown[SHOWN_BYTES])
{
	return text_printable(name, strlen(name), shown, SHOWN_BYTES);
}

/* ---- ignore, exclude, include of one path ---- */

/* One path (a file, or a directory of its) with its last element. */
struct place {
	const char *relpath;
	const char *name;
	bool is_directory;
};

static struct place place_of(const char *relpath, bool is_directory)
{
	const char *slash = strrchr(relpath, '/');

	return (struct place){relpath, slash ? slash + 1 : relpath, is_directory};
}

/* `!PATTERN` in `ignore` is no pattern. */
static const char *list_match(const struct conf_list *patterns, const struct place *p)
{
	for (size_t i = 0; i < patterns->n; i++) {
		if (patterns->items[i][0] != '!' &&
			glob_match(patterns->items[i], p->relpath, p->is_directory))
			return patterns->items[i];
	}
	return NULL;
}

/* Is `!pattern` in `ignore`? */
static bool is_taken_off(const struct conf_watch *w, const char *pattern)
{
	for (size_t i = 0; i < w->ignore.n; i++) {
		if (w->ignore.items[i][0] == '!' && strcmp(w->ignore.items[i] + 1, pattern) == 0)
			return true;
	}
	return false;
}

/* A name can be on the shipped list twice (_tmp_x); taking one pattern off leaves the other, so that the
 * search goes on only in the rare case that the first hit is taken off. */
static const char *shipped_match_left(const struct conf_watch *w, const struct place *p)
{
	const char *hit = shipped_match(p->name, p->is_directory);

	if (!hit || !is_taken_off(w, hit))
		return hit;
	for (size_t i = 0; i < ARRAY_SIZE(shipped); i++) {
		const struct shipped *s = &shipped[i];

		if (s->is_directory == p->is_directory && !is_taken_off(w, s->pattern) &&
			glob_match(s->pattern, p->name, p->is_directory) &&
			(!s->also || s->also(p->name, strlen(p->name))))
			return s->pattern;
	}
	return NULL;
}

/* Does a literal of `include` speak for this place: its name or path for a file; for a directory a path
 * through it? */
static bool is_literally_included(const struct conf_watch *w, const struct place *p)
{
	size_t n = strlen(p->relpath);

	for (size_t i = 0; i < w->include.n; i++) {
		const char *pattern = w->include.items[i];

		if (!glob_is_literal(pattern))
			continue;
		if (!p->is_directory) {
			if (glob_match(pattern, p->relpath, false))
				return true;
			continue;
		}
		if (pattern[0] == '/')
			pattern++;
		if (strncmp(pattern, p->relpath, n) == 0 && pattern[n] == '/')
			return true;
	}
	return false;
}

static enum rules_name judge_ignored(
	const struct conf_watch *w, const struct place *p, char why[RULES_WHY_BYTES])
{
	const char *origin = "on the shipped ignore list", *hit = shipped_match_left(w, p);
	char shown_name[SHOWN_BYTES], shown_hit[SHOWN_BYTES];

	if (!hit) {
		origin = "matches ignore";
		hit = list_match(&w->ignore, p);
	}
	if (!hit || is_literally_included(w, p))
		return RULES_LOOK;
	explain(why, "%s\"%s\" %s: %s", p->is_directory ? "directory " : "", show(p->name, shown_name),
		origin, show(hit, shown_hit));
	return RULES_IGNORED;
}

/* hidden, ignore, exclude for one element of a path. */
static enum rules_name judge_place(
	const struct conf_watch *w, const struct place *p, char why[RULES_WHY_BYTES])
{
	char shown_name[SHOWN_BYTES], shown_hit[SHOWN_BYTES];
	enum rules_name verdict;
	const char *hit;

	if (p->name[0] == '.' && !w->hidden) {
		explain(why, "%s\"%s\" begins with a dot and hidden = no",
			p->is_directory ? "directory " : "", show(p->name, shown_name));
		return RULES_HIDDEN;
	}
	verdict = judge_ignored(w, p, why);
	if (verdict != RULES_LOOK)
		return verdict;
	hit = list_match(&w->exclude, p);
	if (!hit)
		return RULES_LOOK;
	explain(why, "%s\"%s\" matches exclude: %s", p->is_directory ? "directory " : "",
		show(p->name, shown_name), show(hit, shown_hit));
	return RULES_EXCLUDED;
}

/* All directories that relpath goes through, from the top; with_self: relpath itself too, as a directory. fn
 * returns false to stop. */
static bool each_directory(
	const char *relpath, bool with_self, bool (*fn)(const struct place *p, void *arg), void *arg)
{
	CLEANUP_FREE char *path = mem_strdup(relpath);

	for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		struct place p;

		*slash = '\0';
		p = place_of(path, true);
		if (!fn(&p, arg))
			return false;
		*slash = '/';
	}
	if (with_self) {
		struct place p = place_of(path, true);

		return fn(&p, arg);
	}
	return true;
}

struct judging {
	const struct conf_watch *w;
	char *why;
	enum rules_name verdict;
};

static bool judge_directory(const struct place *p, void *arg)
{
	struct judging *j = arg;

	j->verdict = judge_place(j->w, p, j->why);
	return j->verdict == RULES_LOOK;
}

/* ---- include ---- */

static bool directory_is_not_included(const struct place *p, void *arg)
{
	const struct conf_watch *w = arg;

	for (size_t i = 0; i < w->include.n; i++) {
		const char *pattern = w->include.items[i];

		/* Only `x/` speaks for all in x: `*.csv` is not meant for the readme in `orders.csv/`. */
		if (pattern[0] && pattern[strlen(pattern) - 1] == '/' &&
			glob_match(pattern, p->relpath, true))
			return false;
	}
	return true;
}

static bool is_included(const struct conf_watch *w, const char *relpath)
{
	struct place p = place_of(relpath, false);

	if (w->include.n == 0 || list_match(&w->include, &p))
		return true;
	return !each_directory(relpath, false, directory_is_not_included, (void *)w);
}

static bool may_include_below(const struct conf_watch *w, const char *relpath)
{
	if (w->include.n == 0 || !each_directory(relpath, true, directory_is_not_included, (void *)w))
		return true;
	for (size_t i = 0; i < w->include.n; i++) {
		if (glob_may_match_below(w->include.items[i], relpath))
			return true;
	}
	return false;
}

/* ---- markers ---- */

enum wild { WILD_NONE, WILD_NAME, WILD_PATH };

/* A marker's template as literal bytes and wildcards, one byte each. */
struct wildcard {
	struct buf bytes, kinds;
	bool is_absolute;
};

static void wildcard_done(struct wildcard *wild)
{
	buf_done(&wild->bytes);
	buf_done(&wild->kinds);
}

static bool piece_is(const struct template_piece *p, const char *name)
{
	return p->is_name && strlen(name) == p->len && memcmp(name, p->text, p->len) == 0;
}

static bool piece_holds_slashes(const struct template_piece *p)
{
	return piece_is(p, "path") || piece_is(p, "uri") || piece_is(p, "relpath") || piece_is(p, "dir") ||
	       piece_is(p, "dir_uri") || piece_is(p, "type");
}

static void wildcard_add(struct wildcard *wild, const char *text, size_t len, enum wild kind)
{
	for (size_t i = 0; i < len; i++) {
		buf_addc(&wild->bytes, text[i]);
		buf_addc(&wild->kinds, (char)kind);
	}
}

/* What begins with ${path}, ${relpath} or ${dir}/ stands beside the data file, as if it began with ${name} or
 * nothing. */
static const char *skip_own_directory(const char *template, struct wildcard *wild)
{
	struct template_piece piece;
	const char *at = template;

	if (template_next(&at, &piece) <= 0)
		return template;
	if (piece_is(&piece, "path") || piece_is(&piece, "relpath")) {
		wildcard_add(wild, "*", 1, WILD_NAME);
		return at;
	}
	return piece_is(&piece, "dir") && *at == '/' ? at + 1 : template;
}

/* false: the watch has no markers, or the template is malformed. */
static bool wildcard_init(struct wildcard *wild, const struct conf_watch *w)
{
	struct template_piece piece;
	const char *at;
	int r;

	*wild = (struct wildcard){.bytes = BUF_INIT(CONF_VALUE_BYTES), .kinds = BUF_INIT(CONF_VALUE_BYTES)};
	if (w->complete != CONF_COMPLETE_MARKER || !w->marker)
		return false;
	wild->is_absolute = w->marker[0] == '/';
	at = skip_own_directory(w->marker, wild);
	while ((r = template_next(&at, &piece)) > 0) {
		if (!piece.is_name)
			wildcard_add(wild, piece.text, piece.len, WILD_NONE);
		else
			wildcard_add(wild, "*", 1, piece_holds_slashes(&piece) ? WILD_PATH : WILD_NAME);
	}
	return r == 0 && !wild->bytes.failed;
}

/* Matches by the set of places of the wildcard that can be reached, one byte of the text after the other:
 * bounded by their product, whatever the two kinds of star do to each other. or_begins: the text may also be
 * only the beginning of what matches. */
static bool wildcard_match(const struct wildcard *wild, const char *text, bool or_begins)
{
	size_t n = wild->bytes.len;
	CLEANUP_FREE bool *now = mem_array(n + 1, sizeof(bool));
	CLEANUP_FREE bool *next = mem_array(n + 1, sizeof(bool));
	bool is_alive = true;

	now[0] = true;
	for (; is_alive; text++) {
		bool *swap = now;

		is_alive = false;
		memset(next, 0, (n + 1) * sizeof(bool));
		for (size_t i = 0; i < n; i++) {
			if (!now[i])
				continue;
			if (wild->kinds.data[i] != WILD_NONE)
				now[i + 1] = true; /* it can stand for nothing */
			if (*text == '\0') {
				is_alive = true;
			} else if (wild->kinds.data[i] == WILD_NONE) {
				next[i + 1] |= wild->bytes.data[i] == *text;
				is_alive |= next[i + 1];
			} else if (wild->kinds.data[i] == WILD_PATH || *text != '/') {
				next[i] = is_alive = true;
			}
		}
		if (*text == '\0')
			return now[n] || (or_begins && is_alive);
		now = next;
		next = swap;
	}
	return false;
}

/* path: of a file, or of a directory with a '/' behind it. */
static bool wildcard_takes(
	const struct wildcard *wild, const struct conf_watch *w, const char *path, bool or_begins)
{
	if (!wild->is_absolute) { /* any number of its last elements */
		for (const char *at = path; at && *at; at = strchr(at, '/')) {
			at += *at == '/';
			if (*at && wildcard_match(wild, at, or_begins))
				return true;
		}
		return false;
	}
	for (size_t i = 0; i < w->directory.n; i++) {
		const char *root = w->directory.items[i];
		size_t n = strlen(root);
		CLEANUP_FREE char *full =
			mem_printf("%s%s%s", root, n > 0 && root[n - 1] == '/' ? "" : "/", path);

		if (wildcard_match(wild, full, or_begins))
			return true;
	}
	return false;
}

static bool is_marker(const struct conf_watch *w, const char *relpath)
{
	struct wildcard wild;
	bool hit = wildcard_init(&wild, w) && wildcard_takes(&wild, w, relpath, false);

	wildcard_done(&wild);
	return hit;
}

/* Can there be markers in this directory, and not just because they lie beside the data anywhere? */
static bool may_hold_markers(const struct conf_watch *w, const char *relpath)
{
	struct wildcard wild;
	bool hit = false;

	if (wildcard_init(&wild, w)) {
		CLEANUP_FREE char *path = mem_printf("%s/", relpath);

		hit = wildcard_takes(&wild, w, path, true);
	}
	wildcard_done(&wild);
	return hit;
}

/* ---- name classes ---- */

static bool holds_glob(const char *s, char *ret)
{
	size_t n = strcspn(s, "*?[]{}\\");

	*ret = s[n];
	return s[n] != '\0';
}

/* C0, DEL, and C1 (in UTF-8: C2 80 to C2 9F). */
static bool holds_control(const char *s, unsigned *ret)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s, next = (unsigned char)s[1];

		if (c < 0x20 || c == 0x7f) {
			*ret = c;
			return true;
		}
		if (c == 0xc2 && next >= 0x80 && next <= 0x9f) {
			*ret = next;
			return true;
		}
	}
	return false;
}

static enum rules_verdict judge_size(const struct conf_watch *w, int64_t size, char why[RULES_WHY_BYTES])
{
	char limit[NUM_TEXT_BYTES];

	if (size < w->min_size_bytes) {
		explain(why, "%" PRId64 " bytes, min_size is %s", size,
			num_format_bytes(w->min_size_bytes, limit));
		return RULES_TOO_SMALL;
	}
	if (w->max_size_bytes > 0 && size > w->max_size_bytes) {
		explain(why, "%" PRId64 " bytes, max_size is %s", size,
			num_format_bytes(w->max_size_bytes, limit));
		return RULES_TOO_LARGE;
	}
	return RULES_ACCEPT;
}

static enum rules_verdict judge_reject_names(
	const struct conf_watch *w, const char *relpath, char why[RULES_WHY_BYTES])
{
	unsigned control;
	char glob;

	if ((w->reject_names & CONF_REJECT_GLOBS) && holds_glob(relpath, &glob)) {
		explain(why, "'%c' in the name, and reject_names has globs", glob);
		return RULES_REJECT_GLOBS;
	}
	if ((w->reject_names & CONF_REJECT_CONTROL) && holds_control(relpath, &control)) {
		explain(why, "control character 0x%02x in the name, and reject_names has control", control);
		return RULES_REJECT_CONTROL;
	}
	return RULES_ACCEPT;
}

static const struct {
	const char *word;
	bool is_dead_letter;
} verdicts[] = {
	[RULES_ACCEPT] = {"accept", false},
	[RULES_TOO_SMALL] = {"min_size", false},
	[RULES_TOO_LARGE] = {"max_size", false},
	[RULES_REJECT_GLOBS] = {"reject_names", false},
	[RULES_REJECT_CONTROL] = {"reject_names", false},
	[RULES_NOT_UTF8] = {"name_not_utf8", true},
	[RULES_BRACES] = {"name_has_braces", true},
	[RULES_TYPE] = {"types", false},
	[RULES_TYPE_EXCLUDED] = {"exclude_types", false},
	[RULES_TYPE_UNKNOWN] = {"type_unknown", true},
};

/* ---- hash ---- */

/* Each text goes in with its length, so that no two lists can look alike. */
static void hash_text(struct sha256 *s, const char *text)
{
	char length[24];

	snprintf(length, sizeof(length), "%zu:", strlen(text));
	sha256_add(s, length, strlen(length));
	sha256_add(s, text, strlen(text));
}

static void hash_number(struct sha256 *s, int64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, v);
	hash_text(s, text);
}

static void hash_list(struct sha256 *s, const struct conf_list *l)
{
	hash_number(s, (int64_t)l->n);
	for (size_t i = 0; i < l->n; i++)
		hash_text(s, l->items[i]);
}

/* ---- public ---- */

const char *const *rules_shipped_ignore(void)
{
	return shipped_patterns;
}

int rules_shipped_ignore_version(void)
{
	return SHIPPED_VERSION;
}

int rules_check_ignore(const char *value, struct err *err)
{
	const char *nearest;
	char shown[SHOWN_BYTES];

	if (value[0] != '!')
		return glob_check(value, err);
	for (size_t i = 0; i < ARRAY_SIZE(shipped); i++) {
		if (strcmp(shipped[i].pattern, value + 1) == 0)
			return 0;
	}
	nearest = text_nearest(value + 1, shipped_patterns, ARRAY_SIZE(shipped));
	return err_set(err, ERR_CONF, EINVAL, "ignore: \"%s\" takes nothing off the shipped list%s%s%s",
		show(value, shown), nearest ? ", did you mean !" : "", nearest ? nearest : "",
		nearest ? "?" : "");
}

enum rules_name rules_judge_name(const struct conf_watch *w, const char *relpath, char why[RULES_WHY_BYTES])
{
	struct place self = place_of(relpath, false);
	struct judging j = {w, why, RULES_LOOK};

	explain(why, "%s", "");
	if (w->sentinel && strcmp(w->sentinel, relpath) == 0) {
		explain(why, "it is the sentinel of the watch");
		return RULES_SENTINEL;
	}
	if (is_marker(w, relpath)) {
		explain(why, "it is a marker");
		return RULES_MARKER;
	}
	if (self.name != relpath && !each_directory(relpath, false, judge_directory, &j))
		return j.verdict;
	j.verdict = judge_place(w, &self, why);
	if (j.verdict != RULES_LOOK)
		return j.verdict;
	if (self.name != relpath && !w->recursive) {
		explain(why, "it is in a subdirectory and recursive = no");
		return RULES_NOT_INCLUDED;
	}
	if (is_included(w, relpath))
		return RULES_LOOK;
	explain(why, "no pattern of include matches");
	return RULES_NOT_INCLUDED;
}

bool rules_enter_directory(const struct conf_watch *w, const char *relpath, char why[RULES_WHY_BYTES])
{
	struct judging j = {w, why, RULES_LOOK};

	explain(why, "%s", "");
	if (relpath[0] == '\0' || may_hold_markers(w, relpath))
		return true;
	if (!w->recursive) {
		explain(why, "recursive = no");
		return false;
	}
	if (!each_directory(relpath, true, judge_directory, &j))
		return false;
	if (may_include_below(w, relpath))
		return true;
	explain(why, "no pattern of include can match below it");
	return false;
}

const char *const *rules_companion_suffixes(void)
{
	return companions;
}

bool rules_is_companion(const char *name)
{
	for (size_t i = 0; companions[i]; i++)
		if (text_ends_with(name, companions[i]))
			return true;
	return false;
}

enum rules_verdict rules_judge_file(
	const struct conf_watch *w, const char *relpath, int64_t size, char why[RULES_WHY_BYTES])
{
	enum rules_verdict v = judge_size(w, size, why);

	if (v != RULES_ACCEPT)
		return v;
	if (!text_is_utf8(relpath, strlen(relpath))) {
		explain(why, "the name is not UTF-8 and cannot be sent as JSON");
		return RULES_NOT_UTF8;
	}
	if (strstr(relpath, "{{")) {
		explain(why, "the name holds \"{{\", which Databricks would expand");
		return RULES_BRACES;
	}
	v = judge_reject_names(w, relpath, why);
	if (v == RULES_ACCEPT)
		explain(why, "%s", "");
	return v;
}

const char *rules_verdict_word(enum rules_verdict v)
{
	BUG_ON((size_t)v >= ARRAY_SIZE(verdicts));
	return verdicts[v].word;
}

bool rules_verdict_is_dead_letter(enum rules_verdict v)
{
	BUG_ON((size_t)v >= ARRAY_SIZE(verdicts));
	return verdicts[v].is_dead_letter;
}

void rules_hash(const struct conf_watch *w, const char *libmagic_version, char out[17])
{
	struct sha256 *s = sha256_new();
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	hash_text(s, RULES_VERSION);
	hash_number(s, w->min_size_bytes);
	hash_number(s, w->max_size_bytes);
	hash_number(s, w->reject_names);
	hash_list(s, &w->types);
	hash_list(s, &w->exclude_types);
	hash_number(s, w->type_bytes);
	hash_text(s, libmagic_version);
	sha256_end(s, digest);
	sha256_hex(digest, hex);
	memcpy(out, hex, 16);
	out[16] = '\0';
}
