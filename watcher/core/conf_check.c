/*
 * Each check is one function over the whole configuration, one workspace or one watch; mistakes point at the
 * entry that is wrong, or at the section's header where something is missing. No check stops another: all
 * mistakes come at once. Nothing outside the values is looked at, so that the answer is the same on every
 * machine.
 */
#include "core/conf.h"

#include <string.h>
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/conf_host.h"
#include "core/conf_job.h"
#include "core/conf_notify.h"
#include "core/conf_schema.h"
#include "core/conf_value.h"
#include "core/filetype.h"
#include "core/glob.h"
#include "core/noproxy.h"
#include "core/rules.h"
#include "core/template.h"

#define WORKSPACE_RATE_PER_S 20 /* run-now, of everyone together: Databricks' resource limits page */
#define SECTION_BYTES (CONF_NAME_BYTES + 16)

/* What a mistake needs to be told in the right place. */
struct site {
	const struct conf *c;
	struct conf_mistakes *m;
	char section[SECTION_BYTES];
};

static struct site site_of(
	const struct conf *c, struct conf_mistakes *m, enum conf_kind kind, const char *name)
{
	struct site s = {.c = c, .m = m};
	struct buf b = BUF_INIT(SECTION_BYTES - 1);

	(void)buf_addf(&b, "%s%s%s", conf_schema_kind_name(kind), *name ? ":" : "", name);
	memcpy(s.section, buf_str(&b), b.len);
	buf_done(&b);
	return s;
}

static bool is_given(const struct site *s, const char *key)
{
	return conf_entry_find(s->c, s->section, key) != NULL;
}

/* Was the key there, be it with a value that conf_set() refused? Then it is not missing too. */
static bool is_tried(const struct site *s, const char *key)
{
	const struct conf_section *section = conf_section_find(s->c, s->section);
	size_t n;
	const struct conf_key *keys = conf_schema_keys(&n);

	for (size_t i = 0; section && i < n; i++) {
		if ((int)keys[i].kind == section->kind && strcmp(keys[i].name, key) == 0)
			return section->tried[i];
	}
	return false;
}

static bool word_is_in(const char *word, const char *words)
{
	size_t len = strlen(word);

	for (const char *p = words; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		if (n == len && memcmp(p, word, len) == 0)
			return true;
		p += n;
	}
	return false;
}

/* Was a value of one of these keys (separated by blanks) refused? Then what is made of them is no
 * contradiction.
 */
static bool any_refused(const struct site *s, const char *keys)
{
	const struct conf_section *section = conf_section_find(s->c, s->section);
	size_t n;
	const struct conf_key *all = conf_schema_keys(&n);

	for (size_t i = 0; section && i < n; i++) {
		if ((int)all[i].kind == section->kind && section->refused[i] && word_is_in(all[i].name, keys))
			return true;
	}
	return false;
}

/* At the entry of key, at the section's header when it was not given (or key is NULL). */
#define TELL(s, warning, key, ...)                                                                           \
	do {                                                                                                 \
		const char *tell_file;                                                                       \
		int tell_line = place_of(s, key, &tell_file);                                                \
		conf_mistake_add((s)->m, warning, tell_file, tell_line, __VA_ARGS__);                        \
	} while (0)

static int place_of(const struct site *s, const char *key, const char **ret_file)
{
	const struct conf_entry *e = key ? conf_entry_find(s->c, s->section, key) : NULL;
	const struct conf_section *section = conf_section_find(s->c, s->section);

	*ret_file = e ? e->file : section ? section->file : NULL;
	return e ? e->line : section ? section->line : 0;
}

/* ---- entry by entry: patterns, types, templates, what comes later ---- */

static int check_value(const struct conf_key *k, const char *value, struct err *err)
{
	if (k->type == CONF_TYPE_MIME)
		return filetype_check_pattern(value, err);
	if (k->type != CONF_TYPE_PATTERN)
		return template_check(value, err);
	if (strcmp(k->name, "ignore") == 0)
		return rules_check_ignore(value, err);
	if (value[0] == '!')
		return err_set(err, ERR_CONF, EINVAL,
			"\"%s\": ! takes a pattern off the shipped list and works in ignore only; for a name "
			"that begins "
			"with it write \\!",
			value);
	return glob_check(value, err);
}

/* Patterns that can be meant in another way only: "*.csv *.json" without the comma, "*.{csv,json}" of a
 * shell. They match nothing. */
static void warn_of_patterns(
	const struct conf_key *k, const struct conf_entry *e, const char *value, struct conf_mistakes *m)
{
	if (k->type != CONF_TYPE_PATTERN)
		return;
	if (strstr(value, " *") || strstr(value, " !"))
		conf_mistake_add(m, true, e->file, e->line,
			"%s: \"%s\" is one pattern with a blank in it; several are separated by commas",
			e->key, value);
	if (strpbrk(value, "{}") && strcmp(e->key, "ignore") != 0)
		conf_mistake_add(m, true, e->file, e->line,
			"%s: \"%s\": braces mean nothing in a pattern but themselves; give several patterns, "
			"separated by commas",
			e->key, value);
}

static bool is_parameter(const struct conf_key *k)
{
	return k->type == CONF_TYPE_PARAM || strcmp(k->name, "arg") == 0;
}

/* object: of the section. */
static void check_values(
	const struct conf_key *k, const struct conf_entry *e, const void *object, struct conf_mistakes *m)
{
	struct conf_list values;

	if (conf_value_split(k, e->value, &values, NULL) < 0)
		return; /* was told by conf_set() */
	for (size_t i = 0; i < values.n; i++) {
		const char *fault = is_parameter(k) ? conf_job_template_fault(object, values.items[i]) : NULL;
		struct err err = ERR_INIT;

		if (fault)
			conf_mistake_add(m, false, e->file, e->line, "%s %s", e->key, fault);
		warn_of_patterns(k, e, values.items[i], m);
		if (check_value(k, values.items[i], &err) < 0) {
			conf_err_name_key(&err, e->key);
			conf_mistake_add(m, false, e->file, e->line, "%s", err.text);
		}
	}
	conf_list_done(&values);
}

static void check_entries(const struct conf *c, struct conf_mistakes *m)
{
	for (size_t i = 0; i < c->entries_n; i++) {
		const struct conf_entry *e = &c->entries[i];
		const struct conf_section *s = conf_section_find(c, e->section);
		const struct conf_key *k = conf_schema_find((enum conf_kind)s->kind, e->key);

		if (k->type == CONF_TYPE_PATTERN || k->type == CONF_TYPE_MIME ||
			k->type == CONF_TYPE_TEMPLATE || k->type == CONF_TYPE_PARAM)
			check_values(k, e, s->object, m);
	}
}

/* ---- keys that need one another ---- */

static const struct {
	enum conf_kind kind;
	const char *key, *needs;
} NEEDS[] = {
	{CONF_KIND_WORKSPACE, "proxy_username", "proxy"},
	{CONF_KIND_WORKSPACE, "proxy_password_file", "proxy_username"},
	{CONF_KIND_WORKSPACE, "proxy_ca_file", "proxy"},
	{CONF_KIND_WORKSPACE, "no_proxy", "proxy"},
	{CONF_KIND_WORKSPACE, "client_key", "client_certificate"},
	{CONF_KIND_WORKSPACE, "client_key_password_file", "client_certificate"},
	{CONF_KIND_NOTIFY, "mail_to", "smtp"},
	{CONF_KIND_NOTIFY, "mail_to", "mail_from"},
	{CONF_KIND_NOTIFY, "mail_from", "mail_to"},
	{CONF_KIND_NOTIFY, "smtp", "mail_to"},
	{CONF_KIND_NOTIFY, "smtp_username", "smtp_password_file"},
	{CONF_KIND_NOTIFY, "smtp_password_file", "smtp_username"},
	{CONF_KIND_NOTIFY, "smtp_username", "smtp"},
	{CONF_KIND_NOTIFY, "subject", "mail_to"},
	{CONF_KIND_NOTIFY, "body", "mail_to"},
	{CONF_KIND_NOTIFY, "webhook_header", "webhook"},
	{CONF_KIND_NOTIFY, "webhook_body", "webhook"},
	{CONF_KIND_NOTIFY, "webhook_secret_file", "webhook"},
};

static void check_needs(const struct site *s, enum conf_kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(NEEDS); i++) {
		if (NEEDS[i].kind == kind && is_given(s, NEEDS[i].key) && !is_tried(s, NEEDS[i].needs))
			TELL(s, false, NEEDS[i].key, "%s is of no use without %s", NEEDS[i].key,
				NEEDS[i].needs);
	}
}

/* ---- [events] ---- */

static void check_events(const struct conf *c, struct conf_mistakes *m)
{
	struct site s = site_of(c, m, CONF_KIND_EVENTS, "");
	const struct conf_events *e = &c->events;

	if (e->keep_size_bytes < e->max_size_bytes && !any_refused(&s, "keep_size max_size"))
		TELL(&s, false, is_given(&s, "keep_size") ? "keep_size" : "max_size",
			"keep_size is smaller than max_size, so no rotated file could be kept");
	if (fs_is_beneath(e->file, c->service.state_directory) ||
		fs_is_beneath(e->file, c->service.runtime_directory))
		TELL(&s, false, "file", "file = %s is a directory of [service]", e->file);
}

/* ---- [workspace] ---- */

/* Which keys a kind of credential has; needed ones first. */
static const struct {
	const char *keys[5];
	size_t needed;
} AUTH_KEYS[] = {
	[CONF_AUTH_NONE] = {{NULL}, 0},
	[CONF_AUTH_TOKEN] = {{"token_file"}, 1},
	[CONF_AUTH_OAUTH_M2M] = {{"client_id", "client_secret_file"}, 2},
	[CONF_AUTH_AZURE_CLIENT_SECRET] = {{"azure_tenant_id", "client_id", "client_secret_file",
						   "azure_authority_host"},
		3},
	[CONF_AUTH_AZURE_MANAGED_IDENTITY] = {{"client_id", "azure_metadata_host"}, 0},
	[CONF_AUTH_OIDC] = {{"oidc_token_file", "client_id"}, 1},
	[CONF_AUTH_BASIC] = {{"username", "password_file"}, 2},
	[CONF_AUTH_PROFILE] = {{"profile", "config_file", "azure_authority_host", "azure_metadata_host"}, 2},
};

static const char *const CREDENTIAL_KEYS[] = {"token_file", "username", "password_file", "client_id",
	"client_secret_file", "azure_tenant_id", "azure_authority_host", "azure_metadata_host",
	"oidc_token_file", "profile", "config_file"};

static bool auth_has_key(int auth, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(AUTH_KEYS[auth].keys) && AUTH_KEYS[auth].keys[i]; i++) {
		if (strcmp(AUTH_KEYS[auth].keys[i], key) == 0)
			return true;
	}
	return false;
}

static void check_auth_keys(const struct site *s, const struct conf_workspace *ws)
{
	const char *name = conf_auth_name(ws->auth);
	bool named = is_given(s, "auth");

	for (size_t i = 0; i < AUTH_KEYS[ws->auth].needed; i++) {
		const char *key = AUTH_KEYS[ws->auth].keys[i];

		if (!is_tried(s, key))
			TELL(s, false, named ? "auth" : NULL, "auth = %s%s needs %s", name,
				named ? "" : ", as the keys given say,", key);
	}
	for (size_t i = 0; i < ARRAY_SIZE(CREDENTIAL_KEYS); i++) {
		const char *key = CREDENTIAL_KEYS[i];

		if (is_given(s, key) && !auth_has_key(ws->auth, key))
			TELL(s, false, key, "%s does not belong to auth = %s", key, name);
	}
}

static void check_auth(const struct site *s, const struct conf_workspace *ws)
{
	unsigned found = conf_auth_found(ws);
	struct buf names = BUF_INIT(256);

	if (any_refused(s, "auth"))
		return;
	for (size_t i = 0; !is_given(s, "auth") && i < ARRAY_SIZE(CREDENTIAL_KEYS); i++) {
		if (any_refused(s, CREDENTIAL_KEYS[i]))
			return;
	}
	if (ws->auth != CONF_AUTH_NONE) {
		check_auth_keys(s, ws);
		return;
	}
	if (found == 0) {
		TELL(s, false, NULL,
			"[%s] has no credential: token_file is missing, or what another kind needs (see "
			"auth)",
			s->section);
		return;
	}
	for (int kind = CONF_AUTH_TOKEN; kind <= CONF_AUTH_PROFILE; kind++) {
		if (found & (1u << kind))
			(void)buf_addf(&names, "%s%s", names.len ? " and " : "", conf_auth_name(kind));
	}
	TELL(s, false, NULL, "[%s] has more than one kind of credential: %s; keep one", s->section,
		buf_str(&names));
	buf_done(&names);
}

/* A tenant goes into a path: an id, or a name of a domain. */
static bool is_tenant(const char *text)
{
	for (const char *p = text; *p; p++) {
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			    *p == '-' || *p == '.'))
			return false;
	}
	return text[0] != '.';
}

static void check_azure(const struct site *s, const struct conf_workspace *ws)
{
	if (ws->azure_tenant_id && !is_tenant(ws->azure_tenant_id))
		TELL(s, false, "azure_tenant_id",
			"azure_tenant_id is the id of a tenant or the name of its domain");
	if (ws->auth == CONF_AUTH_AZURE_CLIENT_SECRET && ws->host && !is_tried(s, "azure_authority_host") &&
		!conf_host_azure_authority(ws->host))
		TELL(s, false, is_given(s, "auth") ? "auth" : "azure_tenant_id",
			"the name of the host does not show its cloud; azure_authority_host says where to "
			"sign in");
	if (ws->azure_metadata_host && !conf_host_is_loopback(ws->azure_metadata_host))
		TELL(s, false, "azure_metadata_host",
			"azure_metadata_host must be an address of this machine");
}

static void check_basic(const struct site *s, const struct conf_workspace *ws)
{
	if (ws->auth != CONF_AUTH_BASIC)
		return;
	TELL(s, true, is_given(s, "auth") ? "auth" : "username",
		"Databricks took its last sign-in by user name and password on 10 July 2024; auth = basic is "
		"of "
		"use only where a gateway before the workspace takes it");
	if (ws->username && strchr(ws->username, ':'))
		TELL(s, false, "username", "username cannot hold a colon");
}

static void check_tls(const struct site *s, const struct conf_workspace *ws)
{
	if (any_refused(s, "tls_min tls_max"))
		return;
	if (ws->tls_max && strcmp(ws->tls_min, ws->tls_max) > 0)
		TELL(s, false, is_given(s, "tls_max") ? "tls_max" : "tls_min",
			"tls_max is lower than tls_min");
	if (ws->ciphers && strcmp(ws->tls_min, "1.2") > 0)
		TELL(s, true, "ciphers", "ciphers is for TLS 1.2, which tls_min = %s leaves out",
			ws->tls_min);
	if (ws->tls13_ciphers && ws->tls_max && strcmp(ws->tls_max, "1.3") < 0)
		TELL(s, true, "tls13_ciphers", "tls13_ciphers is for TLS 1.3, which tls_max = %s leaves out",
			ws->tls_max);
}

static void check_proxy(const struct site *s, const struct conf_workspace *ws)
{
	size_t scheme = strlen("https://");

	if (ws->proxy_ca_file && ws->proxy && !text_starts_with(ws->proxy, "https://"))
		TELL(s, false, "proxy_ca_file", "proxy_ca_file is for a proxy that begins with https://");
	if (ws->proxy_username && strchr(ws->proxy_username, ':'))
		TELL(s, false, "proxy_username", "proxy_username cannot hold a colon (RFC 7617)");
	if (!ws->proxy || !ws->host)
		return;
	if (text_starts_with(ws->host, "http://"))
		TELL(s, true, "proxy", "proxy is not used for %s: only what is encrypted goes through it",
			ws->host);
	else if (noproxy_matches((const char *const *)ws->no_proxy.items, ws->no_proxy.n, ws->host + scheme,
			 strlen(ws->host + scheme)))
		TELL(s, true, "no_proxy", "proxy is not used for %s: no_proxy says so", ws->host);
}

static void check_workspace(const struct conf *c, const struct conf_workspace *ws, struct conf_mistakes *m)
{
	struct site s = site_of(c, m, CONF_KIND_WORKSPACE, ws->name);

	if (!is_tried(&s, "host"))
		TELL(&s, false, NULL, "[%s] has no host", s.section);
	if (!ws->name[0] && c->workspaces_n > 1)
		TELL(&s, false, NULL,
			"[workspace] needs a name because there is another one: [workspace:NAME]");
	check_auth(&s, ws);
	check_azure(&s, ws);
	check_basic(&s, ws);
	check_needs(&s, CONF_KIND_WORKSPACE);
	if (ws->request_timeout_us < ws->connect_timeout_us &&
		!any_refused(&s, "request_timeout connect_timeout"))
		TELL(&s, false, is_given(&s, "request_timeout") ? "request_timeout" : "connect_timeout",
			"request_timeout is shorter than connect_timeout, which is a part of it");
	check_tls(&s, ws);
	check_proxy(&s, ws);
	if (ws->host && !conf_host_is_loopback(ws->host) &&
		(__int128)ws->rate.count * 1000000 > (__int128)ws->rate.per_us * WORKSPACE_RATE_PER_S)
		TELL(&s, true, "rate", "a workspace starts at most %d runs a second for everyone together",
			WORKSPACE_RATE_PER_S);
	for (size_t i = 0; i < c->watches_n; i++) {
		struct site w = site_of(c, m, CONF_KIND_WATCH, c->watches[i]->name);

		if (c->watches[i]->workspace == ws || any_refused(&w, "workspace"))
			return;
	}
	if (c->watches_n > 0 && ws->name[0] && !c->partial)
		TELL(&s, true, NULL, "[%s] is used by no watch", s.section);
}

/* ---- [watch:…] ---- */

static void check_watch_workspace(const struct site *s, const struct conf_watch *w)
{
	const char *names[CONF_WORKSPACES_MAX];
	const struct conf *c = s->c;
	struct buf all = BUF_INIT(sizeof(names) / sizeof(names[0]) * (CONF_NAME_BYTES + 2));

	if (w->workspace || c->partial ||
		(!w->workspace_name && (c->workspaces_n == 0 || is_tried(s, "workspace"))))
		return; /* no workspace at all is told once */
	for (size_t i = 0; i < c->workspaces_n; i++) {
		names[i] = c->workspaces[i]->name;
		if (names[i][0])
			(void)buf_addf(&all, "%s%s", all.len ? ", " : "", names[i]);
	}
	if (!w->workspace_name) {
		TELL(s, false, NULL, "workspace is missing; there are several: %s", buf_str(&all));
	} else {
		const char *near = text_nearest(w->workspace_name, names, c->workspaces_n);

		if (near && *near)
			TELL(s, false, "workspace", "there is no [workspace:%s]; did you mean %s?",
				w->workspace_name, near);
		else
			TELL(s, false, "workspace", "there is no [workspace:%s]%s%s", w->workspace_name,
				all.len ? "; there are: " : "", buf_str(&all));
	}
	buf_done(&all);
}

static void tell_of_job(bool warning, const char *key, const char *text, void *arg)
{
	const struct site *s = arg;

	TELL(s, warning, key, "%s", text);
}

static void check_watch_job(struct site *s, const struct conf_watch *w)
{
	bool list = conf_job_type_is_list(w->job_type);
	bool either = w->job_type == CONF_JOB_WHEEL;

	if (!is_tried(s, "job_id") && !is_tried(s, "job_name"))
		TELL(s, false, NULL, "[%s] has no job_id and no job_name", s->section);
	if (is_tried(s, "job_id") && w->job_name)
		TELL(s, false, "job_name", "job_id and job_name are both given; keep one");
	if (any_refused(s, "job_type"))
		return;
	if (list && is_given(s, "param.*"))
		TELL(s, false, "param.*", "job_type = %s takes arg, not param.KEY",
			conf_job_type_name(w->job_type));
	if (!list && !either && is_given(s, "arg"))
		TELL(s, false, "arg", "job_type = %s takes param.KEY, not arg",
			conf_job_type_name(w->job_type));
	if (either && is_given(s, "arg") && is_given(s, "param.*"))
		TELL(s, false, "arg", "job_type = wheel takes either arg or param.KEY, not both");
	conf_job_check(w, tell_of_job, s);
}

/* What is known of a file before it is complete. */
static void check_marker(const struct site *s, const struct conf_watch *w)
{
	static const char *const unknown[] = {"uri", "dir_uri", "type", "host", "job_id", "token", "now"};
	static const char *const per_file[] = {"path", "relpath", "name", "stem", "dir", "element"};
	bool differs = false;

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		if (template_uses(w->marker, unknown[i]))
			TELL(s, false, "marker",
				"marker cannot hold ${%s}, which is not known before a file is complete",
				unknown[i]);
	for (size_t i = 0; i < ARRAY_SIZE(per_file); i++)
		differs |= template_uses(w->marker, per_file[i]);
	if (strcmp(w->marker, "${name}") == 0 || strcmp(w->marker, "${path}") == 0 ||
		strcmp(w->marker, "${relpath}") == 0)
		TELL(s, false, "marker", "marker = %s is the file itself", w->marker);
	else if (!differs && w->marker[0] == '/')
		TELL(s, true, "marker", "marker is the same for all files of this watch");
}

static void check_watch_values(const struct site *s, const struct conf_watch *w)
{
	struct site ws = site_of(s->c, s->m, CONF_KIND_WORKSPACE, w->workspace ? w->workspace->name : "");

	if (w->max_size_bytes > 0 && w->max_size_bytes < w->min_size_bytes && !any_refused(s, "min_size"))
		TELL(s, false, "max_size", "max_size is smaller than min_size, so no file could pass");
	if (w->complete == CONF_COMPLETE_MARKER && !is_tried(s, "marker"))
		TELL(s, false, "complete", "complete = marker needs marker");
	if (w->marker && w->complete != CONF_COMPLETE_MARKER && !any_refused(s, "complete"))
		TELL(s, false, "marker", "marker is of no use without complete = marker");
	else if (w->marker)
		check_marker(s, w);
	if (w->sentinel && !fs_is_relpath(w->sentinel))
		TELL(s, false, "sentinel", "sentinel must be a name in the folder, without . and ..");
	if (w->complete == CONF_COMPLETE_CLOSE && w->method == CONF_METHOD_POLL)
		TELL(s, false, "complete",
			"complete = close cannot be told with method = poll; take auto or quiet");
	if (w->workspace && w->max_requests > w->workspace->max_requests && !any_refused(&ws, "max_requests"))
		TELL(s, false, "max_requests", "max_requests is more than the workspace's %lld",
			(long long)w->workspace->max_requests);
	if (is_given(s, "poll_interval") && w->method == CONF_METHOD_INOTIFY)
		TELL(s, true, "poll_interval", "poll_interval is of no use with method = inotify");
}

static bool is_mapped(const struct conf_watch *w, const char *dir)
{
	for (size_t i = 0; i < w->path_map_n; i++) {
		if (fs_is_beneath(w->path_map[i].local, dir))
			return true;
	}
	return false;
}

static void check_path_map(const struct site *s, const struct conf_watch *w)
{
	if (w->path_map_none || any_refused(s, "path_map directory"))
		return;
	if (w->path_map_n == 0) {
		if (!is_tried(s, "path_map"))
			TELL(s, true, NULL,
				"[%s] has no path_map: jobs get local paths; path_map = none says that this "
				"is meant",
				s->section);
		return;
	}
	for (size_t i = 0; i < w->directory.n; i++) {
		if (!is_mapped(w, w->directory.items[i]))
			TELL(s, true, "path_map",
				"no path_map covers all of %s: jobs get local paths for the rest",
				w->directory.items[i]);
	}
	for (size_t i = 0; i < w->path_map_n; i++) {
		const char *local = w->path_map[i].local;
		bool used = false;

		for (size_t j = 0; j < w->directory.n && !used; j++)
			used = fs_is_beneath(local, w->directory.items[j]) ||
			       fs_is_beneath(w->directory.items[j], local);
		if (!used && w->directory.n > 0)
			TELL(s, true, "path_map",
				"path_map of %s is of no use: no directory of this watch is there", local);
	}
}

/* Own files in a watched folder would be found as data, and writing them would never end. */
static void check_own_files(const struct site *s, const struct conf_watch *w)
{
	const struct conf *c = s->c;
	const struct {
		const char *what, *path;
	} own[] = {
		{"state_directory", c->service.state_directory},
		{"runtime_directory", c->service.runtime_directory},
		{"the event log", c->events.file},
		{"metrics_file", c->service.metrics_file},
	};

	for (size_t i = 0; i < w->directory.n; i++) {
		const char *dir = w->directory.items[i];

		if (strcmp(dir, "/") == 0) {
			TELL(s, false, "directory", "the root directory cannot be watched");
			continue;
		}
		for (size_t j = 0; j < ARRAY_SIZE(own); j++) {
			if (!own[j].path)
				continue;
			if (fs_is_beneath(dir, own[j].path))
				TELL(s, false, "directory", "%s holds %s %s; own files must not be watched",
					dir, own[j].what, own[j].path);
			else if (fs_is_beneath(own[j].path, dir))
				TELL(s, false, "directory", "%s is inside of %s %s", dir, own[j].what,
					own[j].path);
		}
	}
}

/* Can a file below one also be found from the other? */
static bool overlaps(const char *a, bool a_recursive, const char *b, bool b_recursive)
{
	if (strcmp(a, b) == 0)
		return true;
	return (a_recursive && fs_is_beneath(a, b)) || (b_recursive && fs_is_beneath(b, a));
}

static void check_same_watch_overlap(const struct site *s, const struct conf_watch *w)
{
	for (size_t i = 0; i < w->directory.n; i++) {
		for (size_t j = 0; j < i; j++) {
			if (overlaps(
				    w->directory.items[i], w->recursive, w->directory.items[j], w->recursive))
				TELL(s, false, "directory", "directories %s and %s overlap",
					w->directory.items[j], w->directory.items[i]);
		}
	}
}

static bool same_job(const struct conf_watch *a, const struct conf_watch *b)
{
	bool same_host = a->workspace && b->workspace &&
			 (a->workspace == b->workspace ||
				 (a->workspace->host_token && b->workspace->host_token &&
					 strcmp(a->workspace->host_token, b->workspace->host_token) == 0));

	if (!same_host)
		return false;
	if (a->job_name && b->job_name)
		return strcmp(a->job_name, b->job_name) == 0;
	return a->job_id != 0 && a->job_id == b->job_id;
}

bool conf_watches_overlap(
	const struct conf_watch *a, const struct conf_watch *b, const char **ret_a, const char **ret_b)
{
	for (size_t i = 0; i < a->directory.n; i++) {
		for (size_t j = 0; j < b->directory.n; j++) {
			if (!overlaps(
				    a->directory.items[i], a->recursive, b->directory.items[j], b->recursive))
				continue;
			*ret_a = a->directory.items[i];
			*ret_b = b->directory.items[j];
			return true;
		}
	}
	return false;
}

/* Both would make the same tokens: every file would be a dead letter of one of them. */
static void check_other_watch_overlap(
	const struct site *s, const struct conf_watch *a, const struct conf_watch *b)
{
	const char *in_a, *in_b;

	if (conf_watches_overlap(a, b, &in_a, &in_b))
		TELL(s, false, "directory",
			"[watch:%s] and [watch:%s] start the same job for the same files: %s and %s overlap",
			b->name, a->name, in_b, in_a);
}

static void check_watch(const struct conf *c, size_t i, struct conf_mistakes *m)
{
	const struct conf_watch *w = c->watches[i];
	struct site s = site_of(c, m, CONF_KIND_WATCH, w->name);

	if (!is_tried(&s, "directory"))
		TELL(&s, false, NULL, "[%s] has no directory", s.section);
	check_watch_workspace(&s, w);
	check_watch_job(&s, w);
	check_watch_values(&s, w);
	check_path_map(&s, w);
	check_own_files(&s, w);
	check_same_watch_overlap(&s, w);
	for (size_t j = 0; j < i; j++) {
		if (same_job(w, c->watches[j]))
			check_other_watch_overlap(&s, w, c->watches[j]);
	}
}

/* ---- [notify:…] ---- */

static void tell_of_notify(bool warning, const char *key, const char *text, void *arg)
{
	const struct site *s = arg;

	TELL(s, warning, key, "%s", text);
}

static void check_notify(const struct conf *c, const struct conf_notify *n, struct conf_mistakes *m)
{
	struct site s = site_of(c, m, CONF_KIND_NOTIFY, n->name);

	if (!is_tried(&s, "on"))
		TELL(&s, false, NULL, "[%s] has no on: which events?", s.section);
	if (!is_tried(&s, "webhook") && !is_tried(&s, "mail_to"))
		TELL(&s, false, NULL, "[%s] has no webhook and no mail_to", s.section);
	check_needs(&s, CONF_KIND_NOTIFY);
	conf_notify_check(c, n, tell_of_notify, &s);
}

void conf_check(const struct conf *c, struct conf_mistakes *m)
{
	check_entries(c, m);
	check_events(c, m);
	if (c->workspaces_n == 0 && !c->partial)
		conf_mistake_add(m, false, NULL, 0, "there is no [workspace]");
	for (size_t i = 0; i < c->workspaces_n; i++)
		check_workspace(c, c->workspaces[i], m);
	if (c->watches_n == 0 && !c->partial)
		conf_mistake_add(m, false, NULL, 0, "there is no [watch:NAME], so there is nothing to do");
	for (size_t i = 0; i < c->watches_n; i++)
		check_watch(c, i, m);
	for (size_t i = 0; i < c->notifies_n; i++)
		check_notify(c, c->notifies[i], m);
}
