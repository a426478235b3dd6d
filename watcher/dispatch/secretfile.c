/*
 * The file is judged by its open descriptor: what was checked is what is read. Links are followed, because
 * mounted secrets (Kubernetes, /run/secrets) are links; it is the file at their end that must be closed to
 * others.
 *
 * A credential that systemd hands over is owned by root with a right for the service's user in its access
 * control list, and stat(2) shows the list's mask in the group bits: mode 0440 then says nothing about a
 * group. So for these the group's read bit is let through; they lie in a directory of this service only.
 * Source: systemd.exec(5) and systemd's exec-credential.c.
 *
 * Else the group may read only what root keeps for the very group of the service's user.
 *
 * Nothing of a secret is ever put in a message; a byte that does not belong there is told by its place.
 */
#include "dispatch/secretfile.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

#define CREDENTIAL_PREFIX "credential:"
#define UID_OVERFLOW 65534 /* owners outside of our user namespace (PrivateUsers=) */
#define FILE_FORBIDDEN 077
#define CREDENTIAL_FORBIDDEN 037

/* Where a secret is, and what its mode may not have. */
struct place {
	char *path;
	mode_t forbidden;
};

static int conf_errno(struct err *err, int code, const char *path)
{
	return err_set(err, ERR_CONF, code, "cannot read %s: %s", path, strerror(code));
}

static int find_place(
	const char *value, const char *credentials_directory, struct place *ret, struct err *err)
{
	if (!text_starts_with(value, CREDENTIAL_PREFIX)) {
		*ret = (struct place){mem_strdup(value), FILE_FORBIDDEN};
		return 0;
	}

	const char *name = value + strlen(CREDENTIAL_PREFIX);

	if (*name == '\0' || strlen(name) > NAME_MAX || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0)
		return err_set(err, ERR_CONF, EINVAL, "%s does not name a credential", value);
	if (credentials_directory == NULL || credentials_directory[0] != '/')
		return err_set(err, ERR_CONF, ENOENT,
			"%s is given, but systemd hands no credentials over (LoadCredential= in the unit is "
			"missing)",
			value);
	*ret = (struct place){fs_join(credentials_directory, name), CREDENTIAL_FORBIDDEN};
	return 0;
}

/* root's file for the group that the service's user is in by his account (0640 root:brickwatch), which is no
 * group of people. service: the user who runs it, or SECRETFILE_ANYBODY. */
static bool is_for_our_group(const struct stat *st, uid_t service)
{
	struct passwd room, *user = NULL;
	char text[4096];

	if (st->st_uid != 0 || st->st_gid == 0 || service == 0 || service == SECRETFILE_ANYBODY)
		return false;
	if (service == geteuid())
		return st->st_gid == getegid();
	return getpwuid_r(service, &room, text, sizeof(text), &user) == 0 && user &&
	       st->st_gid == user->pw_gid;
}

static int check_mode(const struct place *p, const struct stat *st, uid_t service, struct err *err)
{
	mode_t forbidden = p->forbidden & ~(mode_t)(is_for_our_group(st, service) ? S_IRGRP : 0);

	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_CONF, EINVAL, "%s is not a regular file", p->path);
	if ((st->st_mode & forbidden) && p->forbidden == CREDENTIAL_FORBIDDEN)
		return err_set(err, ERR_CONF, EPERM,
			"%s is open to others (mode %04o), which a credential of systemd is not: who has set "
			"CREDENTIALS_DIRECTORY?",
			p->path, (unsigned)st->st_mode & 07777);
	if (st->st_mode & forbidden)
		return err_set(err, ERR_CONF, EPERM, "%s is open to others (mode %04o); run: chmod 600 %s",
			p->path, (unsigned)st->st_mode & 07777, p->path);
	return 0;
}

/* service: the user who runs it. */
static int check_owner(const struct place *p, const struct stat *st, uid_t service, struct err *err)
{
	if (st->st_uid == 0 || st->st_uid == service || st->st_uid == UID_OVERFLOW)
		return 0;
	if (service == 0) /* he may be the service's user, whom root cannot know */
		return err_set(err, ERR_CONF, EPERM,
			"%s belongs to user %u, who could change it: only root, who reads it here, or the "
			"service's user may own it",
			p->path, (unsigned)st->st_uid);
	return err_set(err, ERR_CONF, EPERM, "%s belongs to user %u, who could change it; run: chown %u %s",
		p->path, (unsigned)st->st_uid, (unsigned)service, p->path);
}

static int check_file(const struct place *p, const struct stat *st, struct err *err)
{
	int rc = check_mode(p, st, geteuid(), err);

	return rc < 0 ? rc : check_owner(p, st, geteuid(), err);
}

static unsigned longest(enum secretfile_form form)
{
	return form == SECRETFILE_WHOLE ? SECRETFILE_WHOLE_BYTES : SECRETFILE_BYTES;
}

static int read_open(
	int fd, const struct place *p, enum secretfile_form form, struct secret *s, struct err *err)
{
	int r = secret_read(s, fd);

	if (r == -EFBIG)
		return err_set(err, ERR_CONF, EFBIG, "%s is longer than %u bytes", p->path, longest(form));
	return r < 0 ? conf_errno(err, -r, p->path) : 0;
}

/* Adds the file's content to s. */
static int read_place(const struct place *p, enum secretfile_form form, struct secret *s,
	int64_t *ret_changed_us, struct err *err)
{
	struct stat st;
	CLEANUP_FD int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0)
		return conf_errno(err, errno, p->path);

	int r = check_file(p, &st, err);

	if (r < 0)
		return r;
	r = read_open(fd, p, form, s, err);
	if (r < 0)
		return r;
	*ret_changed_us = clock_timespec_ns(&st.st_mtim) / 1000;
	return 0;
}

/* Is it there, and good? Not read. */
static int judge_place(const struct place *p, struct err *err)
{
	struct stat st;
	CLEANUP_FD int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0)
		return conf_errno(err, errno, p->path);
	return check_file(p, &st, err);
}

static bool may_hold(enum secretfile_form form, unsigned char c)
{
	return form == SECRETFILE_WORD ? c > 0x20 && c < 0x7f : c >= 0x20 && c != 0x7f;
}

/* Written as it stands elsewhere: in a header, in a shell. NULL: it is not. */
static const char *find_habit(const char *p, size_t len)
{
	if (len > 7 && strncasecmp(p, "Bearer ", 7) == 0)
		return "begins with \"Bearer\", which is not part of a token";
	if (len > 1 && (p[0] == '"' || p[0] == '\'') && p[len - 1] == p[0])
		return "is in quotes, which would count";
	return NULL;
}

/* What stands behind the first `start` bytes, without its line ends, must be of that form. */
static int check_form(
	struct secret *s, size_t start, enum secretfile_form form, const char *path, struct err *err)
{
	const char *p = secret_bytes(s);
	size_t len = secret_len(s);

	if (form == SECRETFILE_WHOLE)
		return 0;
	while (len > start && (p[len - 1] == '\n' || p[len - 1] == '\r'))
		len--;
	secret_truncate(s, len);
	if (len == start)
		return err_set(err, ERR_CONF, EINVAL, "%s is empty", path);
	if (len - start > SECRETFILE_BYTES)
		return err_set(err, ERR_CONF, EFBIG, "%s is longer than %u bytes", path, SECRETFILE_BYTES);
	if (form == SECRETFILE_WORD && find_habit(p + start, len - start))
		return err_set(err, ERR_CONF, EINVAL, "%s must hold one word and nothing else: it %s", path,
			find_habit(p + start, len - start));
	for (size_t i = start; i < len; i++)
		if (!may_hold(form, (unsigned char)p[i]))
			return err_set(err, ERR_CONF, EINVAL,
				"%s must hold one %s and nothing else: byte %zu cannot be part of it", path,
				form == SECRETFILE_WORD ? "word" : "line", i - start + 1);
	return 0;
}

int secretfile_add_dated(const char *value, const char *credentials_directory, enum secretfile_form form,
	struct secret *s, int64_t *ret_changed_us, struct err *err)
{
	struct place p = {NULL, 0};
	size_t start = secret_len(s);
	int64_t changed_us;
	int r = find_place(value, credentials_directory, &p, err);

	if (r == 0)
		r = read_place(&p, form, s, &changed_us, err);
	if (r == 0)
		r = check_form(s, start, form, p.path, err);
	if (r == 0)
		*ret_changed_us = changed_us;
	free(p.path);
	return r;
}

int secretfile_add(const char *value, const char *credentials_directory, enum secretfile_form form,
	struct secret *s, struct err *err)
{
	int64_t changed_us;

	return secretfile_add_dated(value, credentials_directory, form, s, &changed_us, err);
}

bool secretfile_is_handed_over(const char *value)
{
	return text_starts_with(value, CREDENTIAL_PREFIX);
}

int secretfile_find(
	const char *value, const char *credentials_directory, bool is_secret, char **ret, struct err *err)
{
	struct place p = {NULL, 0};
	int r = find_place(value, credentials_directory, &p, err);

	if (r == 0 && is_secret)
		r = judge_place(&p, err);
	if (r == 0)
		*ret = p.path;
	else
		free(p.path);
	return r;
}

/* Whoever runs the service may read what this user may not, but for this user himself. 0 or -errno */
static int unseen(const char *path, int code, uid_t service, struct err *err)
{
	if ((code != EACCES && code != EPERM) || service == geteuid())
		return conf_errno(err, code, path);
	(void)err_set(err, ERR_CONF, code,
		"%s cannot be read by this user, not checked; a service of this user would not start", path);
	return 0;
}

/* 1: good, 0 with *err: perhaps, -errno */
static int look_at_owner(const struct place *p, const struct stat *st, uid_t service, struct err *err)
{
	int r = service != SECRETFILE_ANYBODY ? check_owner(p, st, service, err) : 0;

	if (r < 0)
		return r;
	if (st->st_uid != 0 || service == 0 || service == SECRETFILE_ANYBODY ||
		((st->st_mode & S_IRGRP) && is_for_our_group(st, service)))
		return 1;
	(void)err_set(err, ERR_CONF, EACCES,
		"%s belongs to root and is closed to others: a service of user %u could not read it; run: "
		"chown %u %s",
		p->path, (unsigned)service, (unsigned)service, p->path);
	return 0;
}

int secretfile_look(const char *value, uid_t service, struct err *err)
{
	CLEANUP_FREE char *path = value != NULL ? mem_strdup(value) : NULL;
	const struct place p = {path, FILE_FORBIDDEN};
	struct stat st;
	int r;

	if (path == NULL || secretfile_is_handed_over(path))
		return 1;
	if (stat(path, &st) < 0)
		return unseen(path, errno, service, err);
	r = check_mode(&p, &st, service, err);
	if (r == 0 && st.st_size == 0)
		r = err_set(err, ERR_CONF, EINVAL, "%s is empty", path);
	return r < 0 ? r : look_at_owner(&p, &st, service, err);
}

int secretfile_look_into(
	const char *value, enum secretfile_form form, uid_t service, struct secret *s, struct err *err)
{
	const struct place p = {(char *)(uintptr_t)value, FILE_FORBIDDEN};
	int looked = secretfile_look(value, service, err), r;
	CLEANUP_FD int fd = -1;
	size_t start;

	if (looked < 0)
		return looked;
	if (value == NULL || secretfile_is_handed_over(value))
		return 0;
	fd = open(value, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return unseen(value, errno, service, err);
	start = secret_len(s);
	r = read_open(fd, &p, form, s, err);
	if (r == 0)
		r = check_form(s, start, form, value, err);
	return r < 0 ? r : 1;
}
