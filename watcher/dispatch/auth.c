/*
 * A kind is one row of a table: how it is called and how it makes the header line. What a kind needs more (a
 * request to a token endpoint) will stand beside `load`; who uses this module sees only the header line.
 *
 * The file is judged by its open descriptor: what was checked is what is read. Links are followed, because
 * mounted secrets (Kubernetes, /run/secrets) are links; it is the file at their end that must be closed to
 * others.
 *
 * A credential that systemd hands over is owned by root with a right for the service's user in its access
 * control list, and stat(2) shows the list's mask in the group bits: mode 0440 then says nothing about a
 * group. So for these the group's read bit is let through; they lie in a directory of this service only.
 * Source: systemd.exec(5) and systemd's exec-credential.c.
 *
 * Nothing of a credential's content is ever put in a message; a byte that does not belong there is told by
 * its place.
 */
#include "dispatch/auth.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

#define CREDENTIAL_PREFIX "credential:"
#define UID_OVERFLOW 65534 /* owners outside of our user namespace (PrivateUsers=) */
#define LINE_END_BYTES 16  /* room for what does not count */
#define FILE_FORBIDDEN 077
#define CREDENTIAL_FORBIDDEN 037

struct auth_kind {
	int auth; /* enum conf_auth */
	const char *principal;
	int (*load)(const struct auth *a, struct secret **ret, struct err *err);
};

struct auth {
	const struct conf_workspace *conf;
	const struct auth_kind *kind;
	char *credentials_directory; /* or NULL */
	struct secret *header;
};

/* Where a credential is, and what its mode may not have. */
struct place {
	char *path;
	mode_t forbidden;
};

/* ---- from file to bytes ---- */

static int conf_errno(struct err *err, int code, const char *path)
{
	return err_set(err, ERR_CONF, code, "cannot read %s: %s", path, strerror(code));
}

static int find_place(const struct auth *a, const char *value, struct place *ret, struct err *err)
{
	if (!text_starts_with(value, CREDENTIAL_PREFIX)) {
		*ret = (struct place){mem_strdup(value), FILE_FORBIDDEN};
		return 0;
	}

	const char *name = value + strlen(CREDENTIAL_PREFIX);

	if (*name == '\0' || strlen(name) > NAME_MAX || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0)
		return err_set(err, ERR_CONF, EINVAL, "%s does not name a credential", value);
	if (a->credentials_directory == NULL)
		return err_set(err, ERR_CONF, ENOENT,
			"%s is given, but systemd hands no credentials over (LoadCredential= in the unit is "
			"missing)",
			value);
	*ret = (struct place){fs_join(a->credentials_directory, name), CREDENTIAL_FORBIDDEN};
	return 0;
}

static int check_mode(const struct place *p, const struct stat *st, struct err *err)
{
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_CONF, EINVAL, "%s is not a regular file", p->path);
	if (st->st_mode & p->forbidden)
		return err_set(err, ERR_CONF, EPERM, "%s is open to others (mode %04o); run: chmod 600 %s",
			p->path, (unsigned)st->st_mode & 07777, p->path);
	return 0;
}

static int check_file(const struct place *p, const struct stat *st, struct err *err)
{
	int rc = check_mode(p, st, err);

	if (rc < 0)
		return rc;
	if (st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid != UID_OVERFLOW)
		return err_set(err, ERR_CONF, EPERM,
			"%s belongs to user %u, who could change it; run: chown %u %s", p->path,
			(unsigned)st->st_uid, (unsigned)geteuid(), p->path);
	return 0;
}

/* Adds the file's content to s. */
static int read_place(const struct place *p, struct secret *s, struct err *err)
{
	struct stat st;
	CLEANUP_FD int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0)
		return conf_errno(err, errno, p->path);

	int r = check_file(p, &st, err);

	if (r < 0)
		return r;
	r = secret_read(s, fd);
	if (r == -EFBIG)
		return err_set(err, ERR_CONF, EFBIG, "%s is longer than %u bytes", p->path, AUTH_TOKEN_BYTES);
	return r < 0 ? conf_errno(err, -r, p->path) : 0;
}

/* What stands behind the first `start` bytes must be one word of visible ASCII: it goes into a header line.
 */
static int check_word(struct secret *s, size_t start, const char *path, struct err *err)
{
	const char *p = secret_bytes(s);
	size_t len = secret_len(s);

	while (len > start && (p[len - 1] == '\n' || p[len - 1] == '\r'))
		len--;
	secret_truncate(s, len);
	if (len == start)
		return err_set(err, ERR_CONF, EINVAL, "%s is empty", path);
	if (len - start > AUTH_TOKEN_BYTES)
		return err_set(err, ERR_CONF, EFBIG, "%s is longer than %u bytes", path, AUTH_TOKEN_BYTES);
	for (size_t i = start; i < len; i++)
		if ((unsigned char)p[i] < 0x21 || (unsigned char)p[i] > 0x7e)
			return err_set(err, ERR_CONF, EINVAL,
				"%s must hold one word and nothing else: byte %zu cannot be part of it", path,
				i - start + 1);
	return 0;
}

/* Adds the one word that the file named by a *_file key holds. */
static int add_word(const struct auth *a, const char *value, struct secret *s, struct err *err)
{
	struct place p = {NULL, 0};
	size_t start = secret_len(s);
	int r = find_place(a, value, &p, err);

	if (r == 0)
		r = read_place(&p, s, err);
	if (r == 0)
		r = check_word(s, start, p.path, err);
	free(p.path);
	return r;
}

/* ---- kinds ---- */

static int load_token(const struct auth *a, struct secret **ret, struct err *err)
{
	static const char scheme[] = "Authorization: Bearer ";
	CLEANUP_SECRET struct secret *s = secret_new(sizeof(scheme) + AUTH_TOKEN_BYTES + LINE_END_BYTES);
	int r;

	if (a->conf->token_file == NULL)
		return err_set(err, ERR_CONF, EINVAL, "token_file is missing");
	r = secret_add(s, scheme, sizeof(scheme) - 1);
	BUG_ON(r < 0);
	r = add_word(a, a->conf->token_file, s, err);
	if (r == 0)
		*ret = secret_ref(s);
	return r;
}

static const struct auth_kind kinds[] = {
	{CONF_AUTH_TOKEN, "token", load_token},
};

static const struct auth_kind *find_kind(int auth)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].auth == auth)
			return &kinds[i];
	return NULL;
}

/* ---- public ---- */

int auth_look_at_files(const struct conf_workspace *conf, struct err *err)
{
	const struct place p = {conf->token_file, FILE_FORBIDDEN};
	struct stat st;

	if (p.path == NULL || text_starts_with(p.path, CREDENTIAL_PREFIX))
		return 0;
	if (stat(p.path, &st) < 0)
		return conf_errno(err, errno, p.path);
	if (st.st_size == 0)
		return err_set(err, ERR_CONF, EINVAL, "%s is empty", p.path);
	return check_mode(&p, &st, err);
}

struct auth *auth_new(const struct conf_workspace *conf, const char *credentials_directory, struct err *err)
{
	const struct auth_kind *kind = find_kind(conf->auth);
	bool changed;

	if (kind == NULL) {
		err_set(err, ERR_CONF, ENOTSUP, "this version signs in by token_file only");
		return NULL;
	}

	struct auth *a = mem_alloc(sizeof(*a));

	a->conf = conf;
	a->kind = kind;
	if (credentials_directory != NULL && credentials_directory[0] == '/')
		a->credentials_directory = mem_strdup(credentials_directory);
	if (auth_refresh(a, &changed, err) < 0) {
		auth_free(a);
		return NULL;
	}
	return a;
}

void auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	secret_free(a->header);
	free(a->credentials_directory);
	free(a);
}

int auth_refresh(struct auth *a, bool *ret_changed, struct err *err)
{
	struct secret *fresh;
	int r = a->kind->load(a, &fresh, err);

	if (r < 0)
		return r;
	if (a->header != NULL && secret_is_equal(a->header, fresh)) {
		secret_free(fresh);
		*ret_changed = false;
		return 0;
	}
	secret_free(a->header);
	a->header = fresh;
	*ret_changed = true;
	return 0;
}

struct secret *auth_header(const struct auth *a)
{
	return a->header;
}

const char *auth_principal(const struct auth *a)
{
	return a->kind->principal;
}
