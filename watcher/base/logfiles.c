/*
 * logfiles: a folder is read once, what fits the pattern is sorted by time stamp and number.
 */
#include "base/logfiles.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/mem.h"
#include "base/num.h"

#define LOGFILES_STAMP 16 /* 20260102T030405Z */

struct logfiles_one {
	char stamp[LOGFILES_STAMP + 1];
	unsigned long number;
	bool gz;
	char *path;
};

static bool logfiles_is_stamp(const char *s)
{
	for (size_t i = 0; i < LOGFILES_STAMP; i++) {
		bool good = i == 8 ? s[i] == 'T' : i == 15 ? s[i] == 'Z' : isdigit((unsigned char)s[i]) != 0;

		if (!good)
			return false;
	}
	return true;
}

bool logfiles_parse(
	const char *base, const char *name, const char **ret_stamp, unsigned long *ret_number, bool *ret_gz)
{
	size_t n = strlen(base);
	const char *rest;
	char *end;

	if (strncmp(name, base, n) != 0 || name[n] != '.' || strlen(name + n + 1) < LOGFILES_STAMP)
		return false;
	*ret_stamp = name + n + 1;
	if (!logfiles_is_stamp(*ret_stamp))
		return false;
	rest = *ret_stamp + LOGFILES_STAMP;
	*ret_number = 0;
	if (*rest == '-') {
		if (!isdigit((unsigned char)rest[1]))
			return false;
		*ret_number = strtoul(rest + 1, &end, 10);
		rest = end;
	}
	*ret_gz = strcmp(rest, ".gz") == 0;
	return *ret_gz || *rest == '\0';
}

static int logfiles_compare(const void *a, const void *b)
{
	const struct logfiles_one *x = a, *y = b;
	int order = strcmp(x->stamp, y->stamp);

	if (order != 0)
		return order;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return (int)x->gz - (int)y->gz;
}

static void logfiles_take(
	const char *folder, const char *base, const char *name, struct logfiles_one **all, size_t *n)
{
	struct logfiles_one one = {0};
	const char *stamp;

	if (!logfiles_parse(base, name, &stamp, &one.number, &one.gz))
		return;
	memcpy(one.stamp, stamp, LOGFILES_STAMP);
	one.path = fs_join(folder, name);
	*all = mem_resize(*all, *n + 1, sizeof(**all));
	(*all)[(*n)++] = one;
}

/* Moves the paths over, without the compressed twin of a plain file. */
static void logfiles_order(struct logfiles_one *all, size_t n, const char *file, struct logfiles *ret)
{
	if (n > 1)
		qsort(all, n, sizeof(*all), logfiles_compare);
	ret->paths = mem_array(n + 1, sizeof(*ret->paths));
	for (size_t i = 0; i < n; i++) {
		bool twin = i > 0 && all[i].gz && !all[i - 1].gz && all[i].number == all[i - 1].number &&
			    strcmp(all[i].stamp, all[i - 1].stamp) == 0;

		if (twin)
			free(all[i].path);
		else
			ret->paths[ret->n++] = all[i].path;
	}
	if (faccessat(AT_FDCWD, file, F_OK, 0) == 0)
		ret->paths[ret->n++] = mem_strdup(file);
}

int logfiles_list(const char *file, struct logfiles *ret, struct err *err)
{
	const char *base = fs_basename(file);
	CLEANUP_FREE char *folder = mem_strndup(file, base == file ? 0 : (size_t)(base - file));
	struct logfiles_one *all = NULL;
	const struct dirent *e;
	size_t n = 0;
	DIR *d;

	*ret = (struct logfiles){0};
	d = opendir(folder[0] ? folder : ".");
	if (!d)
		return err_errno(err, errno, "cannot read the folder of the event log %s", file);
	while ((e = readdir(d)))
		logfiles_take(folder[0] ? folder : ".", base, e->d_name, &all, &n);
	closedir(d);
	logfiles_order(all, n, file, ret);
	free(all);
	if (ret->n > 0)
		return 0;
	logfiles_done(ret);
	return err_set(err, ERR_SYSTEM, ENOENT, "there is no event log %s yet", file);
}

void logfiles_done(struct logfiles *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->paths[i]);
	free(l->paths);
	*l = (struct logfiles){0};
}
