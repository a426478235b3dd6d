/*
 * A kind is one row of a table: how it is called and how it makes the header line. What a kind needs more (a
 * request to a token endpoint) will stand beside `load`; who uses this module sees only the header line.
 *
 * The files are read by dispatch/secretfile, which also says who may own them and who may read them.
 */
#include "dispatch/auth.h"

#include "base/mem.h"
#include "dispatch/secretfile.h"

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

/* ---- kinds ---- */

static int load_token(const struct auth *a, struct secret **ret, struct err *err)
{
	static const char scheme[] = "Authorization: Bearer ";
	CLEANUP_SECRET struct secret *s = secret_new(sizeof(scheme) + SECRETFILE_ROOM_BYTES);
	int r;

	if (a->conf->token_file == NULL)
		return err_set(err, ERR_CONF, EINVAL, "token_file is missing");
	r = secret_add(s, scheme, sizeof(scheme) - 1);
	BUG_ON(r < 0);
	r = secretfile_add(a->conf->token_file, a->credentials_directory, SECRETFILE_WORD, s, err);
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
	return secretfile_look(conf->token_file, err);
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
	if (credentials_directory != NULL)
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
