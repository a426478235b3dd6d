/*
 * mountinfo: a line is "98 31 0:45 /within /mnt/point rw,relatime shared:1 - nfs4 host:/x rw"; of it the
 * first five words are needed, and for one question what follows the dash. In paths the kernel writes white
 * space and \ as \040: so paths are compared escaped.
 */
#include "core/mountinfo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"

#define HASH_DIGITS 16
#define ESCAPED_BYTES (4 * 4096) /* a path of escapes only */

struct word {
	const char *at;
	size_t len;
};

struct line {
	struct word id, within, point;
	struct word all; /* the five */
	struct word more;
};

/* FNV-1a, 64 bits: nobody gains anything by two paths of one number. */
static uint64_t hash_more(uint64_t h, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * UINT64_C(0x100000001b3);
	return h;
}
#define HASH_FIRST UINT64_C(0xcbf29ce484222325)

/* Takes the next line of *text. false: that was all; one that is torn has empty words. */
static bool next_line(const char **text, struct line *ret)
{
	struct word words[5] = {{NULL, 0}};
	const char *p = *text, *end = strchrnul(p, '\n');

	if (*p == '\0')
		return false;
	for (size_t i = 0; i < 5; i++) {
		const char *space = memchr(p, ' ', (size_t)(end - p));

		if (!space)
			break;
		words[i] = (struct word){p, (size_t)(space - p)};
		p = space + 1;
	}
	if (!words[4].at)
		memset(words, 0, sizeof(words));
	*ret = (struct line){words[0], words[3], words[4], {*text, 0}, {end, 0}};
	if (words[4].at) {
		ret->all.len = (size_t)(words[4].at + words[4].len - *text);
		ret->more = (struct word){p, (size_t)(end - p)};
	}
	*text = *end ? end + 1 : end;
	return true;
}

static bool is_number(const struct word *w, int64_t number)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRId64, number);

	return w->len == (size_t)n && memcmp(w->at, digits, w->len) == 0;
}

/* As the kernel does: mangle() of fs/proc_namespace.c. */
static void escape(const char *path, struct buf *b)
{
	for (; *path; path++) {
		if (strchr(" \t\n\\#", *path))
			(void)buf_addf(b, "\\%03o", (unsigned)(unsigned char)*path);
		else
			(void)buf_addc(b, *path);
	}
}

/* Is the escaped path at or below dir? Then *ret_rest is what follows: "" or "/…". */
static bool is_beneath(const struct word *dir, const char *path, const char **ret_rest)
{
	size_t n = dir->len == 1 ? 0 : dir->len; /* "/" */

	if (dir->len == 0 || strncmp(path, dir->at, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return false;
	*ret_rest = path + n;
	return true;
}

bool mountinfo_place(const char *text, int64_t mount_id, const char *path, char ret[MOUNTINFO_PLACE_BYTES])
{
	CLEANUP_BUF struct buf escaped = BUF_INIT(ESCAPED_BYTES);
	struct line line;
	const char *rest;
	uint64_t h;

	escape(path, &escaped);
	while (next_line(&text, &line)) {
		if (!is_number(&line.id, mount_id))
			continue;
		if (escaped.failed || !is_beneath(&line.point, buf_str(&escaped), &rest))
			return false;
		h = hash_more(HASH_FIRST, line.within.at, line.within.len == 1 ? 0 : line.within.len);
		h = hash_more(h, rest, strcmp(rest, "/") == 0 ? 0 : strlen(rest));
		(void)snprintf(ret, MOUNTINFO_PLACE_BYTES, "%016" PRIx64 " %.*s", h, (int)line.point.len,
			line.point.at);
		return true;
	}
	return false;
}

const char *mountinfo_point(const char *place)
{
	size_t n = strlen(place);

	return n > HASH_DIGITS + 1 && strspn(place, "0123456789abcdef") == HASH_DIGITS &&
			       place[HASH_DIGITS] == ' ' && place[HASH_DIGITS + 1] == '/'
		       ? place + HASH_DIGITS + 1
		       : "";
}

bool mountinfo_is_elsewhere(const char *was, const char *now)
{
	const char *was_at = mountinfo_point(was), *now_at = mountinfo_point(now);

	return was_at[0] && now_at[0] && strcmp(was_at, now_at) != 0 && memcmp(was, now, HASH_DIGITS) != 0;
}

uint64_t mountinfo_below(const char *text, const char *path)
{
	CLEANUP_BUF struct buf escaped = BUF_INIT(ESCAPED_BYTES);
	const struct word *dir;
	struct line line;
	uint64_t sum = 0;
	const char *rest;

	escape(path, &escaped);
	dir = &(struct word){buf_str(&escaped), escaped.len};
	while (next_line(&text, &line)) {
		CLEANUP_BUF struct buf point = BUF_INIT(ESCAPED_BYTES);

		(void)buf_add(&point, line.point.at, line.point.len);
		if (line.point.len == 0 || !is_beneath(dir, buf_str(&point), &rest))
			continue;
		/* a sum, since the order of lines means nothing */
		sum += hash_more(HASH_FIRST, line.all.at, line.all.len);
	}
	return sum;
}

/* Takes the next word of *w, as far as the separator. */
static struct word take_word(struct word *w, char separator)
{
	const char *end = memchr(w->at, separator, w->len);
	struct word taken = {w->at, end ? (size_t)(end - w->at) : w->len};
	size_t used = taken.len + (end != NULL);

	*w = (struct word){w->at + used, w->len - used};
	return taken;
}

static bool is_word(const struct word *w, const char *text)
{
	return w->len == strlen(text) && memcmp(w->at, text, w->len) == 0;
}

static bool has_option(struct word options, const char *name)
{
	bool found = false;

	while (options.len > 0 && !found) {
		struct word one = take_word(&options, ',');

		found = is_word(&one, name);
	}
	return found;
}

bool mountinfo_is_nfs3_nolock(const char *text, const char *path)
{
	CLEANUP_BUF struct buf escaped = BUF_INIT(ESCAPED_BYTES);
	struct word best = {"", 0}, more = {"", 0}, type;
	struct line line;
	const char *rest;

	escape(path, &escaped);
	while (next_line(&text, &line)) {
		/* the deepest, and of several on one point the last */
		if (is_beneath(&line.point, buf_str(&escaped), &rest) && line.point.len >= best.len) {
			best = line.point;
			more = line.more;
		}
	}
	while (more.len > 0) {
		type = take_word(&more, ' ');
		if (is_word(&type, "-"))
			break;
	}
	type = take_word(&more, ' ');
	(void)take_word(&more, ' '); /* its source */
	return is_word(&type, "nfs") && has_option(more, "vers=3") && has_option(more, "nolock");
}
