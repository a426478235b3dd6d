/*
 * pathmap: joining a remote prefix and a local rest so that exactly one slash is between them. A remote that
 * ends in a slash is a root ("/", "dbfs:/", "file:///"), whose slash is part of its name.
 */
#include "core/pathmap.h"

#include <stdlib.h>
#include <string.h>
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

#define ARROW "=>"

/* What of path is behind the prefix local, with its slash in front, "" when they are equal; NULL: not
 * beneath. */
static const char *rest_behind(const char *local, const char *path)
{
	size_t n = strlen(local);

	if (n > 0 && local[n - 1] == '/')
		n--; /* the root directory: its slash belongs to the rest */
	if (strncmp(local, path, n) != 0)
		return NULL;
	return path[n] == '\0' || path[n] == '/' ? path + n : NULL;
}

static const struct conf_map_rule *find_rule(const struct conf_watch *w, const char *path)
{
	const struct conf_map_rule *best = NULL;

	for (size_t i = 0; i < w->path_map_n; i++) {
		const struct conf_map_rule *rule = &w->path_map[i];

		if (rest_behind(rule->local, path) && (!best || strlen(rule->local) > strlen(best->local)))
			best = rule;
	}
	return best;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool has_control(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	}
	return false;
}

/* The arrow with blanks on both sides; NULL when there is none. */
static const char *find_arrow(const char *text)
{
	const char *at = text;

	while ((at = strstr(at, ARROW)) != NULL) {
		if (at > text && is_blank(at[-1]) && is_blank(at[2]))
			return at;
		at++;
	}
	return NULL;
}

static bool is_scheme(const char *s, size_t n)
{
	if (n < 2 || s[n - 1] != ':')
		return false;
	for (size_t i = 0; i + 1 < n; i++) {
		if (s[i] == '/' || s[i] == ':')
			return false;
	}
	return true;
}

/* Cuts trailing slashes. false: nothing is left that names a place ("s3://"). */
static bool trim_remote(char *remote)
{
	size_t n = strlen(remote), slashes = 0;

	while (n > 0 && remote[n - 1] == '/') {
		n--;
		slashes++;
	}
	if (n == 0)
		n = 1;
	else if (is_scheme(remote, n)) {
		if (slashes != 1 && slashes != 3)
			return false;
		n += slashes;
	}
	remote[n] = '\0';
	return true;
}

static int check_remote(char *remote, struct err *err)
{
	if (remote[0] == '\0')
		return err_set(err, ERR_CONF, EINVAL, "path_map: nothing behind the \"=>\"");
	if (!text_is_utf8(remote, strlen(remote)) || has_control(remote))
		return err_set(err, ERR_CONF, EINVAL, "path_map: the remote path must be UTF-8 text");
	if (strstr(remote, "{{"))
		return err_set(err, ERR_CONF, EINVAL,
			"path_map: \"{{\" in the remote path would be expanded by Databricks in every value");
	if (!trim_remote(remote))
		return err_set(err, ERR_CONF, EINVAL, "path_map: \"%s\" names no place", remote);
	return 0;
}

bool pathmap_apply(const struct conf_watch *w, const char *path, struct buf *b)
{
	const struct conf_map_rule *rule = find_rule(w, path);
	const char *rest;
	size_t n;

	if (!rule) {
		buf_adds(b, path);
		return w->path_map_none;
	}
	rest = rest_behind(rule->local, path);
	n = strlen(rule->remote);
	buf_add(b, rule->remote, n);
	if (n > 0 && rule->remote[n - 1] == '/' && rest[0] == '/')
		rest++;
	buf_adds(b, rest);
	return true;
}

int pathmap_parse(const char *text, char **ret_local, char **ret_remote, struct err *err)
{
	const char *arrow = find_arrow(text);
	CLEANUP_FREE char *left = NULL;
	CLEANUP_FREE char *right = NULL;
	char *local, *remote;
	int r;

	if (!arrow)
		return err_set(err, ERR_CONF, EINVAL, "path_map must read \"LOCAL => REMOTE\"");
	if (find_arrow(arrow + 2))
		return err_set(err, ERR_CONF, EINVAL, "path_map: more than one \"=>\" in one rule");
	left = mem_strndup(text, (size_t)(arrow - text));
	right = mem_strdup(arrow + 2);
	remote = text_trim(right);
	r = check_remote(remote, err);
	if (r < 0)
		return r;
	r = fs_normalise(text_trim(left), &local, err);
	if (r < 0) {
		err_prefix(err, "path_map");
		return r;
	}
	*ret_local = local;
	*ret_remote = mem_strdup(remote);
	return 0;
}
