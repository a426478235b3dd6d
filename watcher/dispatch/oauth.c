/*
 * Four requests: the client credentials of Databricks and of Entra, the exchange of an identity token, and
 * the question to Azure's metadata service. Each is a few lines of form; what they have in common is that the
 * rooms are measured before, so that adding cannot fail.
 *
 * The endpoint that a workspace names must be at its own address. Account-wide endpoints (accounts.…) exist,
 * but workspaces name their own, and the one rule that cannot be talked round by an answer is: what belongs
 * to this host is sent to this host.
 */
#include "dispatch/oauth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/jsonpick.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/conf_host.h"
#include "core/signin.h"

#define DISCOVERY "/oidc/.well-known/oauth-authorization-server"
/* Azure Databricks, in every cloud and tenant */
#define AZURE_DATABRICKS "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
#define METADATA_VERSION "2018-02-01"
#define FORM_NAMES_BYTES 512 /* room for all that is constant in a form */
#define HOST_SHOWN_BYTES 300

/* ---- requests ---- */

static const char *const form_headers[] = {
	"Accept: application/json", "Content-Type: application/x-www-form-urlencoded", NULL};
static const char *const metadata_headers[] = {"Accept: application/json", "Metadata: true", NULL};

static void add(struct secret *s, const char *text)
{
	int r = secret_add(s, text, strlen(text));

	BUG_ON(r < 0);
}

static void add_form(struct secret *s, const char *p, size_t n)
{
	int r = secret_add_form(s, p, n);

	BUG_ON(r < 0);
}

static size_t user_len(const struct credential *c)
{
	return c->user != NULL ? strlen(c->user) : 0;
}

static struct secret *new_form(const struct credential *c, const char *begin)
{
	size_t secret_bytes_n = c->secret != NULL ? secret_len(c->secret) : 0;
	struct secret *s = secret_new(FORM_NAMES_BYTES + 3 * (user_len(c) + secret_bytes_n));

	add(s, begin);
	return s;
}

static void add_client_id(struct secret *s, const struct credential *c)
{
	if (c->user == NULL)
		return;
	add(s, "&client_id=");
	add_form(s, c->user, user_len(c));
}

/* RFC 6749 section 2.3.1 */
static struct secret *client_header(const struct credential *c)
{
	size_t room = 3 * (user_len(c) + secret_len(c->secret)) + 1;
	CLEANUP_SECRET struct secret *pair = secret_new(room);
	struct secret *header = secret_new(room / 3 * 4 + 64);
	int r;

	add_form(pair, c->user, user_len(c));
	add(pair, ":");
	add_form(pair, secret_bytes(c->secret), secret_len(c->secret));
	add(header, "Authorization: Basic ");
	r = secret_add_base64(header, secret_bytes(pair), secret_len(pair));
	BUG_ON(r < 0);
	return header;
}

static void ask_workspace(struct oauth_request *q, const struct credential *c, const char *endpoint)
{
	q->url = mem_strdup(endpoint);
	q->headers = form_headers;
	q->authorization = client_header(c);
	q->body = new_form(c, "grant_type=client_credentials&scope=all-apis");
}

static void ask_exchange(struct oauth_request *q, const struct credential *c, const char *endpoint)
{
	q->url = mem_strdup(endpoint);
	q->headers = form_headers;
	q->body = new_form(c, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
			      "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
			      "&scope=all-apis");
	add_client_id(q->body, c);
	add(q->body, "&subject_token=");
	add_form(q->body, secret_bytes(c->secret), secret_len(c->secret));
}

/* Text for a place in a URL. */
static char *encoded(const char *text)
{
	CLEANUP_SECRET struct secret *s = secret_new(3 * strlen(text));

	add_form(s, text, strlen(text));
	return mem_strdup(secret_bytes(s));
}

static void ask_entra(struct oauth_request *q, const struct credential *c)
{
	CLEANUP_FREE char *tenant = encoded(c->tenant);

	q->url = mem_printf("%s/%s/oauth2/v2.0/token", c->authority, tenant);
	q->headers = form_headers;
	q->body = new_form(c, "grant_type=client_credentials&scope=" AZURE_DATABRICKS "%2F.default");
	add_client_id(q->body, c);
	add(q->body, "&client_secret=");
	add_form(q->body, secret_bytes(c->secret), secret_len(c->secret));
}

static void ask_metadata_service(struct oauth_request *q, const struct credential *c)
{
	CLEANUP_FREE char *client = c->user != NULL ? encoded(c->user) : NULL;

	q->url = mem_printf("%s/metadata/identity/oauth2/token?api-version=" METADATA_VERSION
			    "&resource=" AZURE_DATABRICKS "%s%s",
		c->metadata, client != NULL ? "&client_id=" : "", client != NULL ? client : "");
	q->headers = metadata_headers;
}

bool oauth_is_of_workspace(const struct credential *c)
{
	return c->kind == CONF_AUTH_OAUTH_M2M || c->kind == CONF_AUTH_OIDC;
}

char *oauth_discovery_url(const char *host)
{
	return mem_printf("%s" DISCOVERY, host);
}

void oauth_request_init(struct oauth_request *q, const struct credential *c, const char *endpoint)
{
	*q = (struct oauth_request){.url = NULL};
	if (c->kind == CONF_AUTH_OAUTH_M2M)
		ask_workspace(q, c, endpoint);
	else if (c->kind == CONF_AUTH_OIDC)
		ask_exchange(q, c, endpoint);
	else if (c->kind == CONF_AUTH_AZURE_CLIENT_SECRET)
		ask_entra(q, c);
	else
		ask_metadata_service(q, c);
}

void oauth_request_done(struct oauth_request *q)
{
	free(q->url);
	secret_free(q->authorization);
	secret_free(q->body);
	*q = (struct oauth_request){.url = NULL};
}

/* ---- the endpoint ---- */

static int check_origin(const char *host, const char *url, size_t origin_len, struct err *err)
{
	CLEANUP_FREE char *origin = mem_strndup(url, origin_len);
	char shown[HOST_SHOWN_BYTES], *found = NULL, *token = NULL;
	bool same;

	if (conf_host_parse(origin, &found, &token, NULL) < 0)
		return err_set(err, ERR_INPUT, EBADMSG, "it names a token endpoint that cannot be used: %s",
			text_printable(origin, strlen(origin), shown, sizeof(shown)));
	same = strcmp(found, host) == 0;
	if (!same)
		err_set(err, ERR_INPUT, EBADMSG,
			"it names a token endpoint at %s, where the credential of %s is not sent", found,
			host);
	free(found);
	free(token);
	return same ? 0 : -EBADMSG;
}

static bool is_path(const char *s)
{
	size_t n = 0;

	while (s[n] > 0x20 && s[n] < 0x7f && s[n] != '\\' && s[n] != '#')
		n++;
	return s[0] == '/' && s[n] == '\0';
}

int oauth_read_endpoint(const char *host, const char *body, size_t len, char **ret, struct err *err)
{
	CLEANUP_JSON struct json *root = json_parse(body, len, NULL);
	const struct json *endpoint = json_get(root, "token_endpoint");
	const char *url = json_is_string(endpoint) ? json_text(endpoint) : "", *path;
	int r;

	if (url[0] == '\0' || strlen(url) > OAUTH_URL_BYTES || strstr(url, "://") == NULL)
		return err_set(err, ERR_INPUT, EBADMSG, "it does not say where its token endpoint is");
	path = strstr(url, "://") + 3;
	path += strcspn(path, "/?#\\");
	r = check_origin(host, url, (size_t)(path - url), err);
	if (r < 0)
		return r;
	if (!is_path(path))
		return err_set(err, ERR_INPUT, EBADMSG, "the path of its token endpoint cannot be used");
	*ret = mem_printf("%s%s", host, path);
	return 0;
}

/* ---- the token ---- */

static int input_error(struct err *err, const char *what)
{
	return err_set(err, ERR_INPUT, EBADMSG, "%s", what);
}

/* "Bearer" in any case; not being told is fine. */
static bool is_bearer(const char *body, size_t len)
{
	struct jsonpick type;

	return jsonpick_find(body, len, "token_type", &type) < 0 ||
	       (type.len == strlen("\"bearer\"") && strncasecmp(type.s, "\"bearer\"", type.len) == 0);
}

static int64_t read_seconds(const char *body, size_t len, int64_t now_us)
{
	struct jsonpick value;
	int64_t n;

	if (jsonpick_find(body, len, "expires_in", &value) == 0 && jsonpick_get_i64(&value, &n) == 0)
		return n;
	if (jsonpick_find(body, len, "expires_on", &value) == 0 && jsonpick_get_i64(&value, &n) == 0 && n > 0)
		return n - now_us / US_PER_S;
	return SIGNIN_DEFAULT_S;
}

/* What stands behind the first `start` bytes goes into a header line. */
static int check_token(const struct secret *s, size_t start, struct err *err)
{
	const char *p = secret_bytes(s);

	if (secret_len(s) == start)
		return input_error(err, "the access token is empty");
	for (size_t i = start; i < secret_len(s); i++)
		if ((unsigned char)p[i] <= 0x20 || (unsigned char)p[i] >= 0x7f)
			return err_set(err, ERR_INPUT, EBADMSG,
				"byte %zu of the access token cannot be part of a header line",
				i - start + 1);
	return 0;
}

int oauth_read_token(const char *body, size_t len, int64_t now_us, struct oauth_token *ret, struct err *err)
{
	static const char scheme[] = "Authorization: Bearer ";
	CLEANUP_SECRET struct secret *header = secret_new(sizeof(scheme) - 1 + OAUTH_TOKEN_BYTES);
	struct jsonpick token;
	int64_t seconds;
	int r = jsonpick_find(body, len, "access_token", &token);

	if (r == -EBADMSG)
		return input_error(err, "what came is not an object of JSON");
	if (r < 0)
		return input_error(err, "there is no access_token in what came");
	if (!is_bearer(body, len))
		return input_error(err, "the token_type is not Bearer");
	add(header, scheme);
	r = jsonpick_add_string(&token, header);
	if (r == -ENOBUFS)
		return input_error(err, "the access token is too long");
	if (r < 0)
		return input_error(err, "the access_token is not a string");
	r = check_token(header, sizeof(scheme) - 1, err);
	if (r < 0)
		return r;
	seconds = read_seconds(body, len, now_us);
	if (seconds <= 0)
		return input_error(err, "the access token is over already");
	*ret = (struct oauth_token){.header = secret_ref(header), .seconds = seconds};
	return 0;
}
