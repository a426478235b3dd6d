/*
 * Two ways lead here: the keys of a [workspace], which name one file with one secret; and a profile, whose
 * file holds everything. What comes out is the same, so nobody else has to know about profiles.
 */
#include "dispatch/credential.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "core/conf_host.h"
#include "dispatch/databrickscfg.h"
#include "dispatch/secretfile.h"

#define METADATA_SERVICE "http://169.254.169.254"

#define AT(member) offsetof(struct conf_workspace, member)
#define NOWHERE SIZE_MAX

/* Where the secret of each kind stands. */
static const struct source {
	int kind;
	size_t file, user; /* in struct conf_workspace, or NOWHERE */
	enum secretfile_form form;
} sources[] = {
	{CONF_AUTH_TOKEN, AT(token_file), NOWHERE, SECRETFILE_WORD},
	{CONF_AUTH_OAUTH_M2M, AT(client_secret_file), AT(client_id), SECRETFILE_WORD},
	{CONF_AUTH_AZURE_CLIENT_SECRET, AT(client_secret_file), AT(client_id), SECRETFILE_WORD},
	{CONF_AUTH_AZURE_MANAGED_IDENTITY, NOWHERE, AT(client_id), SECRETFILE_WORD},
	{CONF_AUTH_OIDC, AT(oidc_token_file), AT(client_id), SECRETFILE_WORD},
	{CONF_AUTH_BASIC, AT(password_file), AT(username), SECRETFILE_LINE},
	{CONF_AUTH_PROFILE, AT(config_file), NOWHERE, SECRETFILE_WHOLE},
};

static const struct source *find_source(int kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		if (sources[i].kind == kind)
			return &sources[i];
	return NULL;
}

static const char *text_at(const struct conf_workspace *conf, size_t offset)
{
	return offset == NOWHERE ? NULL : *(char *const *)(const void *)((const char *)conf + offset);
}

static char *copy(const char *text)
{
	return text != NULL ? mem_strdup(text) : NULL;
}

/* For whom a file is read: by the service, or by any user for `check`. */
struct reader {
	const char *credentials_directory;
	bool look;
	uid_t service; /* of a look */
};

/* The file of the kind into c->secret. 1; 0: it may not be looked into; -errno */
static int read_file(const struct conf_workspace *conf, const struct source *s, const struct reader *by,
	struct credential *c, struct err *err)
{
	int r;

	c->file = text_at(conf, s->file);
	if (s->file == NOWHERE)
		return 1;
	if (c->file == NULL)
		return err_set(err, ERR_CONF, EINVAL, "auth = %s lacks its file", conf_auth_name(s->kind));
	c->secret = secret_new(s->form == SECRETFILE_WHOLE ? SECRETFILE_WHOLE_BYTES : SECRETFILE_ROOM_BYTES);
	if (by->look)
		return secretfile_look_into(c->file, s->form, by->service, c->secret, err);
	r = secretfile_add_dated(c->file, by->credentials_directory, s->form, c->secret, &c->changed_us, err);
	return r < 0 ? r : 1;
}

/* ---- from a profile ---- */

struct profile {
	const struct conf_workspace *conf;
	struct databrickscfg values;
};

static char *copy_value(const struct profile *p, enum databrickscfg_key key)
{
	const struct databrickscfg_value *v = &p->values.values[key];

	return v->s != NULL ? mem_strndup(v->s, v->len) : NULL;
}

static int bad_value(const struct profile *p, enum databrickscfg_key key, const char *why, struct err *err)
{
	return err_set(err, ERR_CONF, EINVAL, "line %d: %s %s", p->values.values[key].line,
		databrickscfg_key_name(key), why);
}

/* What the profile is for must be where we send it. Written with or without scheme, and perhaps copied from a
 * browser with a path behind it. */
static int check_host(const struct profile *p, struct err *err)
{
	CLEANUP_FREE char *given = copy_value(p, DATABRICKSCFG_HOST);
	CLEANUP_FREE char *address = NULL;
	char *host = NULL, *token = NULL;
	bool same;

	if (given == NULL)
		return 0;
	address = mem_printf("%s%s", strstr(given, "://") != NULL ? "" : "https://", given);

	char *name = strstr(address, "://") + 3;

	name[strcspn(name, "/?#")] = '\0';
	if (conf_host_parse(address, &host, &token, err) < 0)
		return err_prefix(err, "line %d: host", p->values.values[DATABRICKSCFG_HOST].line);
	same = strcmp(host, p->conf->host) == 0;
	if (!same)
		err_set(err, ERR_CONF, EINVAL, "line %d: the profile is for %s, not for %s",
			p->values.values[DATABRICKSCFG_HOST].line, host, p->conf->host);
	free(host);
	free(token);
	return same ? 0 : -EINVAL;
}

static bool is_one_word(const struct databrickscfg_value *v)
{
	for (size_t i = 0; i < v->len; i++)
		if (v->s[i] <= 0x20 || v->s[i] >= 0x7f)
			return false;
	return true;
}

static int take_secret(
	const struct profile *p, enum databrickscfg_key key, struct credential *c, struct err *err)
{
	const struct databrickscfg_value *v = &p->values.values[key];

	if (v->len > SECRETFILE_BYTES)
		return bad_value(p, key, "is too long", err);
	if (key != DATABRICKSCFG_PASSWORD && !is_one_word(v))
		return bad_value(p, key, "must be one word of visible ASCII", err);

	struct secret *s = secret_new(v->len);
	int r = secret_add(s, v->s, v->len);

	BUG_ON(r < 0);
	c->secret = s;
	return 0;
}

static int take_values(const struct profile *p, struct credential *c, struct err *err)
{
	static const struct {
		int kind;
		int user, secret; /* enum databrickscfg_key; DATABRICKSCFG_KEYS: none */
	} places[] = {
		{CONF_AUTH_TOKEN, DATABRICKSCFG_KEYS, DATABRICKSCFG_TOKEN},
		{CONF_AUTH_OAUTH_M2M, DATABRICKSCFG_CLIENT_ID, DATABRICKSCFG_CLIENT_SECRET},
		{CONF_AUTH_AZURE_CLIENT_SECRET, DATABRICKSCFG_AZURE_CLIENT_ID,
			DATABRICKSCFG_AZURE_CLIENT_SECRET},
		{CONF_AUTH_AZURE_MANAGED_IDENTITY, DATABRICKSCFG_AZURE_CLIENT_ID, DATABRICKSCFG_KEYS},
		{CONF_AUTH_BASIC, DATABRICKSCFG_USERNAME, DATABRICKSCFG_PASSWORD},
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (places[i].kind != c->kind)
			continue;
		if (places[i].user != DATABRICKSCFG_KEYS)
			c->user = copy_value(p, places[i].user);
		if (c->kind == CONF_AUTH_BASIC && strchr(c->user, ':') != NULL)
			return bad_value(p, DATABRICKSCFG_USERNAME, "cannot hold a colon", err);
		if (places[i].secret != DATABRICKSCFG_KEYS)
			return take_secret(p, places[i].secret, c, err);
	}
	return 0;
}

static int read_profile(const struct profile *p, struct credential *c, struct err *err)
{
	int r = check_host(p, err);

	if (r == 0)
		r = databrickscfg_kind(&p->values, &c->kind, err);
	if (r == 0)
		r = take_values(p, c, err);
	c->tenant = copy_value(p, DATABRICKSCFG_AZURE_TENANT_ID);
	return r;
}

/* c->secret is the whole file; afterwards it is what the profile has. */
static int open_profile(const struct conf_workspace *conf, struct credential *c, struct err *err)
{
	CLEANUP_SECRET struct secret *whole = c->secret;
	struct profile p = {.conf = conf};
	int r;

	c->secret = NULL;
	c->from_profile = true;
	r = databrickscfg_read(secret_bytes(whole), secret_len(whole), conf->profile, &p.values, err);
	if (r == 0)
		r = read_profile(&p, c, err);
	return r < 0 ? err_prefix(err, "%s", conf->config_file) : 0;
}

/* ---- both ---- */

static bool is_short(const char *text)
{
	return text == NULL || strlen(text) <= CREDENTIAL_USER_BYTES;
}

static int load(
	const struct conf_workspace *conf, const struct reader *by, struct credential *c, struct err *err)
{
	const struct source *s = find_source(conf->auth);
	int r;

	if (s == NULL)
		return err_set(err, ERR_CONF, EINVAL, "there is no credential");
	c->kind = s->kind;
	c->user = copy(text_at(conf, s->user));
	c->tenant = copy(conf->azure_tenant_id);
	r = read_file(conf, s, by, c, err);
	if (r == 0)
		return 0;
	if (r > 0 && s->kind == CONF_AUTH_PROFILE) {
		free(c->tenant);
		c->tenant = NULL;
		r = open_profile(conf, c, err);
	}
	if (r < 0)
		return r;
	if (!is_short(c->user) || !is_short(c->tenant))
		return err_set(err, ERR_CONF, EINVAL,
			"a client id, user name or tenant is longer than %d bytes", CREDENTIAL_USER_BYTES);
	c->metadata = conf->azure_metadata_host ? conf->azure_metadata_host : METADATA_SERVICE;
	c->authority = conf->azure_authority_host ? conf->azure_authority_host
						  : conf_host_azure_authority(conf->host);
	if (c->kind == CONF_AUTH_AZURE_CLIENT_SECRET && c->authority == NULL)
		return err_set(err, ERR_CONF, EINVAL,
			"the name of %s does not show its cloud; azure_authority_host says where to sign in",
			conf->host);
	return 0;
}

int credential_load(const struct conf_workspace *conf, const char *credentials_directory,
	struct credential *ret, struct err *err)
{
	const struct reader by = {.credentials_directory = credentials_directory};
	struct credential c = {.kind = CONF_AUTH_NONE};
	int r = load(conf, &by, &c, err);

	if (r < 0)
		credential_done(&c);
	else
		*ret = c;
	return r;
}

void credential_done(struct credential *c)
{
	free(c->user);
	free(c->tenant);
	secret_free(c->secret);
	*c = (struct credential){.kind = CONF_AUTH_NONE};
}

int credential_look(const struct conf_workspace *conf, uid_t service, struct err *err)
{
	const struct reader by = {.look = true, .service = service};
	struct credential c = {.kind = CONF_AUTH_NONE};
	int r = find_source(conf->auth) != NULL ? load(conf, &by, &c, err) : 0;

	credential_done(&c);
	return r;
}

/* ---- what is made of it ---- */

static struct secret *basic_header(const struct credential *c)
{
	static const char scheme[] = "Authorization: Basic ";
	size_t pair_len = strlen(c->user) + 1 + secret_len(c->secret);
	CLEANUP_SECRET struct secret *pair = secret_new(pair_len);
	struct secret *header = secret_new(sizeof(scheme) + pair_len / 3 * 4 + 4);

	if (secret_add(pair, c->user, strlen(c->user)) < 0 || secret_add(pair, ":", 1) < 0 ||
		secret_add(pair, secret_bytes(c->secret), secret_len(c->secret)) < 0 ||
		secret_add(header, scheme, sizeof(scheme) - 1) < 0 ||
		secret_add_base64(header, secret_bytes(pair), secret_len(pair)) < 0)
		BUG_ON("a room that was measured is too small");
	return header;
}

static struct secret *bearer_header(const struct credential *c)
{
	static const char scheme[] = "Authorization: Bearer ";
	struct secret *header = secret_new(sizeof(scheme) + secret_len(c->secret));

	if (secret_add(header, scheme, sizeof(scheme) - 1) < 0 ||
		secret_add(header, secret_bytes(c->secret), secret_len(c->secret)) < 0)
		BUG_ON("a room that was measured is too small");
	return header;
}

struct secret *credential_header(const struct credential *c)
{
	if (c->kind == CONF_AUTH_BASIC)
		return basic_header(c);
	return c->kind == CONF_AUTH_TOKEN ? bearer_header(c) : NULL;
}

void credential_name(
	const struct credential *c, const struct conf_workspace *conf, char out[CREDENTIAL_NAME_BYTES])
{
	CLEANUP_FREE char *name =
		mem_printf("%s%s%s%s%s%s", conf_auth_name(c->kind), c->user != NULL ? ":" : "",
			c->user != NULL ? c->user : "", c->from_profile ? " (profile " : "",
			c->from_profile ? conf->profile : "", c->from_profile ? ")" : "");

	(void)text_printable(name, strlen(name), out, CREDENTIAL_NAME_BYTES);
}
