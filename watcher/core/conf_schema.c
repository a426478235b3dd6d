/*
 * One row per key. Bounds are text like the defaults, so that a row reads like the manual and an error
 * message can quote it; they are read when a value is (a configuration has dozens of values, not millions).
 *
 * Rows are looked up one after the other: there are about a hundred, and no hash could be printed in this
 * order.
 */
#include "core/conf_schema.h"

#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "base/trace.h"

#define AT(struct_name, member) offsetof(struct conf_##struct_name, member)

#define SERVICE CONF_KIND_SERVICE
#define EVENTS CONF_KIND_EVENTS
#define WORKSPACE CONF_KIND_WORKSPACE
#define WATCH CONF_KIND_WATCH
#define NOTIFY CONF_KIND_NOTIFY

#define TEXT CONF_TYPE_TEXT
#define PATH CONF_TYPE_PATH
#define SECRET CONF_TYPE_SECRET
#define HOST CONF_TYPE_HOST
#define ORIGIN CONF_TYPE_ORIGIN
#define PROXY CONF_TYPE_PROXY
#define NOPROXY CONF_TYPE_NOPROXY
#define NAME CONF_TYPE_NAME
#define CHOICE CONF_TYPE_CHOICE
#define WORD CONF_TYPE_WORD
#define FLAG CONF_TYPE_FLAG
#define BOOL CONF_TYPE_BOOL
#define COUNT CONF_TYPE_COUNT
#define ID CONF_TYPE_ID
#define BYTES CONF_TYPE_BYTES
#define DURATION CONF_TYPE_DURATION
#define RATE CONF_TYPE_RATE
#define SETTLE CONF_TYPE_SETTLE
#define PATTERN CONF_TYPE_PATTERN
#define MIME CONF_TYPE_MIME
#define TEMPLATE CONF_TYPE_TEMPLATE
#define PARAM CONF_TYPE_PARAM
#define MAP CONF_TYPE_MAP

#define MULTI CONF_MULTI
#define COMMA CONF_COMMA
#define HIDDEN CONF_HIDDEN

/* Words stand in the order of their enum in core/conf.h (log_level: of base/log.h). */
static const char *const LOG_LEVELS[] = {"error", "warning", "info", "debug", NULL};
static const char *const DURABILITIES[] = {"power", "process", NULL};
static const char *const COMPRESSIONS[] = {"gzip", "none", NULL};
static const char *const AUTHS[] = {"", "token", "oauth-m2m", "azure-client-secret", "azure-managed-identity",
	"oidc", "basic", "profile", NULL};
static const char *const TLS_VERSIONS[] = {"1.2", "1.3", NULL};
static const char *const API_VERSIONS[] = {"2.0", "2.1", "2.2", NULL};
static const char *const TARGETS[] = {"PERFORMANCE_OPTIMIZED", "STANDARD", "COST_OPTIMIZED", NULL};
static const char *const JOB_TYPES[] = {
	"job", "notebook", "jar", "python", "wheel", "spark_submit", "sql", NULL};
static const char *const NAME_CLASSES[] = {"globs", "control", NULL};
static const char *const METHODS[] = {"auto", "inotify", "poll", NULL};
static const char *const COMPLETES[] = {"auto", "close", "quiet", "marker", NULL};
static const char *const EXISTINGS[] = {"run", "skip", "hold", NULL};
static const char *const VERSIONS[] = {"size+mtime", "size", "name", NULL};
static const char *const FAILURES[] = {"dead_letter", "discard", "pause", NULL};

/* A row a key, its help beneath it. */
/* clang-format off */
static const struct conf_key KEYS[] = {
	{SERVICE, "state_directory", PATH, AT(service, state_directory), "/var/lib/brickwatch",
		.help = "where the ledger is; a local file system"},
	{SERVICE, "runtime_directory", PATH, AT(service, runtime_directory), "/run/brickwatch",
		.help = "where the control socket is"},
	{SERVICE, "log_level", WORD, AT(service, log_level), "info", .words = LOG_LEVELS,
		.help = "which of its own messages go to standard error"},
	{SERVICE, "trace", FLAG, AT(service, trace), NULL, .words = trace_words, .flags = MULTI | COMMA,
		.help = "topics whose steps are told on standard error"},
	{SERVICE, "durability", WORD, AT(service, durability), "power", .words = DURABILITIES,
		.help = "what must not lose anything: a power cut, or only the end of a process"},
	{SERVICE, "forget_gone_after", DURATION, AT(service, forget_gone_after_us), "90d", "1d", "36500d",
		.help = "how long versions are known whose file is gone"},
	{SERVICE, "metrics_file", PATH, AT(service, metrics_file), NULL,
		.help = "Prometheus text, rewritten atomically"},

	{EVENTS, "file", PATH, AT(events, file), "/var/log/brickwatch/events.jsonl",
		.help = "the event log"},
	{EVENTS, "max_size", BYTES, AT(events, max_size_bytes), "64MiB", "4KiB", "1TiB",
		.help = "the log is rotated when it would grow larger"},
	{EVENTS, "max_age", DURATION, AT(events, max_age_us), "1d", "1s", "365d",
		.help = "the log is rotated when it is this old; 1d turns at 00:00 UTC"},
	{EVENTS, "min_age", DURATION, AT(events, min_age_us), "10s", "0", "1h",
		.help = "the log is not rotated before it is this old, so that followers keep up"},
	{EVENTS, "keep_for", DURATION, AT(events, keep_for_us), "90d", "1s", "36500d",
		.help = "rotated files older than this are removed"},
	{EVENTS, "keep_size", BYTES, AT(events, keep_size_bytes), "4GiB", "4KiB", "1024TiB",
		.help = "the oldest rotated files are removed when all together are larger"},
	{EVENTS, "compress", WORD, AT(events, compress), "gzip", .words = COMPRESSIONS,
		.help = "what happens to rotated files but the youngest"},
	{EVENTS, "rejected", BOOL, AT(events, rejected), "yes",
		.help = "an event for each file turned away by type, size or reject_names"},

	{WORKSPACE, "host", HOST, AT(workspace, host), NULL,
		.help = "https://NAME of the workspace; http:// only for loopback"},
	{WORKSPACE, "auth", WORD, AT(workspace, auth), NULL, .words = AUTHS,
		.note = "found from the credentials given", .help = "how to sign in"},
	{WORKSPACE, "token_file", SECRET, AT(workspace, token_file), NULL,
		.help = "file with the access token, or credential:NAME"},
	{WORKSPACE, "username", TEXT, AT(workspace, username), NULL,
		.help = "user name of auth = basic"},
	{WORKSPACE, "password_file", SECRET, AT(workspace, password_file), NULL,
		.help = "file with the password of auth = basic"},
	{WORKSPACE, "client_id", TEXT, AT(workspace, client_id), NULL,
		.help = "application id of a service principal or managed identity"},
	{WORKSPACE, "client_secret_file", SECRET, AT(workspace, client_secret_file), NULL,
		.help = "file with the secret of the service principal"},
	{WORKSPACE, "azure_tenant_id", TEXT, AT(workspace, azure_tenant_id), NULL,
		.help = "Entra tenant of auth = azure-client-secret"},
	{WORKSPACE, "azure_authority_host", ORIGIN, AT(workspace, azure_authority_host), NULL,
		.note = "that of the host's cloud", .help = "server of auth = azure-client-secret that hands out tokens"},
	{WORKSPACE, "azure_metadata_host", ORIGIN, AT(workspace, azure_metadata_host), NULL,
		.note = "http://169.254.169.254", .help = "on this machine: a relay to the metadata service of Azure"},
	{WORKSPACE, "oidc_token_file", SECRET, AT(workspace, oidc_token_file), NULL,
		.help = "file with the identity token of auth = oidc"},
	{WORKSPACE, "profile", TEXT, AT(workspace, profile), NULL,
		.help = "section of config_file for auth = profile"},
	{WORKSPACE, "config_file", SECRET, AT(workspace, config_file), NULL,
		.help = "a .databrickscfg file for auth = profile"},
	{WORKSPACE, "proxy", PROXY, AT(workspace, proxy), NULL,
		.help = "HTTP or HTTPS proxy; those of the environment are ignored"},
	{WORKSPACE, "proxy_username", TEXT, AT(workspace, proxy_username), NULL,
		.help = "user name at the proxy"},
	{WORKSPACE, "proxy_password_file", SECRET, AT(workspace, proxy_password_file), NULL,
		.help = "file with the password at the proxy"},
	{WORKSPACE, "proxy_ca_file", SECRET, AT(workspace, proxy_ca_file), NULL,
		.help = "certificates to trust at an HTTPS proxy"},
	{WORKSPACE, "no_proxy", NOPROXY, AT(workspace, no_proxy), NULL, .flags = MULTI | COMMA,
		.help = "hosts reached without the proxy"},
	{WORKSPACE, "ca_file", SECRET, AT(workspace, ca_file), NULL, .note = "the system's",
		.help = "certificates to trust, PEM"},
	{WORKSPACE, "client_certificate", SECRET, AT(workspace, client_certificate), NULL,
		.help = "client certificate, PEM or PKCS#12"},
	{WORKSPACE, "client_key", SECRET, AT(workspace, client_key), NULL,
		.help = "key of the client certificate"},
	{WORKSPACE, "client_key_password_file", SECRET, AT(workspace, client_key_password_file), NULL,
		.help = "file with the password of the key"},
	{WORKSPACE, "tls_min", CHOICE, AT(workspace, tls_min), "1.2", .words = TLS_VERSIONS,
		.help = "lowest TLS version"},
	{WORKSPACE, "tls_max", CHOICE, AT(workspace, tls_max), NULL, .words = TLS_VERSIONS,
		.help = "highest TLS version"},
	{WORKSPACE, "ciphers", TEXT, AT(workspace, ciphers), NULL,
		.help = "cipher list for TLS 1.2"},
	{WORKSPACE, "tls13_ciphers", TEXT, AT(workspace, tls13_ciphers), NULL,
		.help = "cipher suites for TLS 1.3"},
	{WORKSPACE, "api_version", CHOICE, AT(workspace, api_version), "2.2", .words = API_VERSIONS,
		.help = "version of the Jobs API"},
	{WORKSPACE, "connect_timeout", DURATION, AT(workspace, connect_timeout_us), "10s", "100ms", "10m",
		.help = "longest time to connect"},
	{WORKSPACE, "request_timeout", DURATION, AT(workspace, request_timeout_us), "60s", "100ms", "1h",
		.help = "longest time for one request, connecting included"},
	{WORKSPACE, "rate", RATE, AT(workspace, rate), "5/s", "1/365d", "1000000/s",
		.help = "runs started per time; the workspace allows 20/s to everyone together"},
	{WORKSPACE, "burst", COUNT, AT(workspace, burst), "20", "1", "1000000",
		.help = "runs that may start at once after a quiet time"},
	{WORKSPACE, "max_requests", COUNT, AT(workspace, max_requests), "8", "1", "256",
		.help = "requests in flight at the same time"},
	{WORKSPACE, "retry_for", DURATION, AT(workspace, retry_for_us), "24h", "1s", "365d",
		.help = "how long one file is tried before it becomes a dead letter"},

	{WATCH, "directory", PATH, AT(watch, directory), NULL, .flags = MULTI,
		.help = "the folder to watch; may be missing for now"},
	{WATCH, "workspace", NAME, AT(watch, workspace_name), NULL, .note = "the only one",
		.help = "NAME of the [workspace:NAME]"},
	{WATCH, "job_id", ID, AT(watch, job_id), NULL, "1", "9223372036854775807",
		.help = "number of the job"},
	{WATCH, "job_name", TEXT, AT(watch, job_name), NULL,
		.help = "name of the job, instead of job_id"},
	{WATCH, "job_type", WORD, AT(watch, job_type), "job", .words = JOB_TYPES,
		.help = "which parameter field of run-now is filled"},
	{WATCH, "param.*", PARAM, AT(watch, param), NULL, .note = "param.path = ${uri} for job types that take a map",
		.help = "template of the parameter's value"},
	{WATCH, "arg", TEMPLATE, AT(watch, arg), NULL, .flags = MULTI, .note = "${uri} for job types that take a list",
		.help = "template of one argument, for job types that take a list"},
	{WATCH, "queue", BOOL, AT(watch, queue), "yes",
		.help = "surplus runs wait in Databricks instead of being skipped"},
	{WATCH, "only", TEXT, AT(watch, only), NULL, .flags = MULTI | COMMA,
		.help = "tasks of the job to run"},
	{WATCH, "performance_target", CHOICE, AT(watch, performance_target), NULL, .words = TARGETS,
		.help = "passed on to run-now"},
	{WATCH, "path_map", MAP, 0, NULL, .flags = MULTI, .note = "none, and a warning: jobs get local paths",
		.help = "LOCAL => REMOTE, the longest LOCAL wins; none: local paths are meant"},
	{WATCH, "reject_names", FLAG, AT(watch, reject_names), NULL, .flags = MULTI | COMMA, .words = NAME_CLASSES,
		.help = "classes of names to turn away"},
	{WATCH, "recursive", BOOL, AT(watch, recursive), "yes",
		.help = "directories below the folder too"},
	{WATCH, "follow_symlinks", BOOL, AT(watch, follow_symlinks), "no",
		.help = "symbolic links to files below the same folder"},
	{WATCH, "hidden", BOOL, AT(watch, hidden), "no",
		.help = "names that begin with a dot too"},
	{WATCH, "method", WORD, AT(watch, method), "auto", .words = METHODS,
		.help = "how changes are noticed"},
	{WATCH, "poll_interval", DURATION, AT(watch, poll_interval_us), "10s", "100ms", "24h",
		.help = "time between two looks when polling"},
	{WATCH, "rescan", DURATION, AT(watch, rescan_us), "10m", "1s", "7d",
		.help = "time between two safety listings"},
	{WATCH, "complete", WORD, AT(watch, complete), "auto", .words = COMPLETES,
		.help = "what tells that a file is finished"},
	{WATCH, "settle", SETTLE, 0, NULL, "0", "24h",
		.note = "1s after evidence that the writer closed, else 30s",
		.help = "how long nothing may change before a file counts as finished"},
	{WATCH, "marker", TEMPLATE, AT(watch, marker), NULL,
		.help = "template of the marker's name for complete = marker"},
	{WATCH, "include", PATTERN, AT(watch, include), NULL, .flags = MULTI | COMMA, .note = "every name",
		.help = "only names that match one of these patterns"},
	{WATCH, "exclude", PATTERN, AT(watch, exclude), NULL, .flags = MULTI | COMMA,
		.help = "no names that match one of these patterns"},
	{WATCH, "ignore", PATTERN, AT(watch, ignore), NULL, .flags = MULTI | COMMA, .note = "the shipped list",
		.help = "more patterns never looked at; !PATTERN takes one off the shipped list"},
	{WATCH, "types", MIME, AT(watch, types), NULL, .flags = MULTI | COMMA, .note = "every type",
		.help = "only files of these types: text/csv, text/*, @json"},
	{WATCH, "exclude_types", MIME, AT(watch, exclude_types), NULL, .flags = MULTI | COMMA,
		.help = "no files of these types"},
	{WATCH, "type_bytes", BYTES, AT(watch, type_bytes), "1MiB", "4KiB", "64MiB",
		.help = "how much of a file may be read to tell its type"},
	{WATCH, "type_deadline", DURATION, AT(watch, type_deadline_us), "1s", "10ms", "60s",
		.help = "how much processor time that may take"},
	{WATCH, "verify", BOOL, AT(watch, verify), "no",
		.help = "the end of gzip, zip, Parquet and ORC files is checked"},
	{WATCH, "min_size", BYTES, AT(watch, min_size_bytes), "1", "0", "1024TiB",
		.help = "smaller files are turned away; 0 lets empty files through"},
	{WATCH, "max_size", BYTES, AT(watch, max_size_bytes), NULL, "1", "1024TiB",
		.help = "larger files are turned away"},
	{WATCH, "existing", WORD, AT(watch, existing), "run", .words = EXISTINGS,
		.help = "what happens to files that are there at the very first start"},
	{WATCH, "brake", RATE, AT(watch, brake), "10000/1h", "1/365d", "1000000/s", .flags = CONF_OFF,
		.help = "more files than this in that time are held until released"},
	{WATCH, "version", WORD, AT(watch, version), "size+mtime", .words = VERSIONS,
		.help = "what makes a known path new"},
	{WATCH, "ends", BOOL, AT(watch, ends), "yes",
		.help = "first and last 64 KiB decide when a listing shows only another mtime"},
	{WATCH, "overdue", DURATION, AT(watch, overdue_us), "2h", "1s", "365d", .flags = CONF_OFF,
		.help = "a file not finished by then makes an event"},
	{WATCH, "on_failure", WORD, AT(watch, on_failure), "dead_letter", .words = FAILURES,
		.help = "what happens to a file that can never succeed"},
	{WATCH, "max_requests", COUNT, AT(watch, max_requests), NULL, "1", "256", .note = "the workspace's",
		.help = "requests of this watch in flight at the same time"},
	{WATCH, "rate", RATE, AT(watch, rate), NULL, "1/365d", "1000000/s", .note = "the workspace's",
		.help = "runs of this watch started per time"},
	{WATCH, "sentinel", TEXT, AT(watch, sentinel), NULL,
		.help = "a name in the folder without which the mount counts as missing"},
	{WATCH, "paused", BOOL, AT(watch, paused), "no",
		.help = "the watch is set up but starts no runs"},

	{NOTIFY, "on", TEXT, AT(notify, on), NULL, .flags = MULTI | COMMA,
		.help = "types of events, with * and ?"},
	{NOTIFY, "watch", NAME, AT(notify, watch), NULL, .note = "all",
		.help = "events of this watch only"},
	{NOTIFY, "mail_to", TEXT, AT(notify, mail_to), NULL, .flags = MULTI | COMMA,
		.help = "addresses that get a mail"},
	{NOTIFY, "mail_from", TEXT, AT(notify, mail_from), NULL,
		.help = "address of the sender"},
	{NOTIFY, "smtp", TEXT, AT(notify, smtp), NULL,
		.help = "mail server: smtp://HOST or smtps://HOST"},
	{NOTIFY, "smtp_username", TEXT, AT(notify, smtp_username), NULL,
		.help = "user name at the mail server"},
	{NOTIFY, "smtp_password_file", SECRET, AT(notify, smtp_password_file), NULL,
		.help = "file with the password at the mail server"},
	{NOTIFY, "ca_file", SECRET, AT(notify, ca_file), NULL, .note = "the system's",
		.help = "file with the authorities that may have signed the server's certificate"},
	{NOTIFY, "subject", TEXT, AT(notify, subject), NULL, .note = "what happened",
		.help = "template of the mail's subject"},
	{NOTIFY, "body", TEXT, AT(notify, body), NULL, .flags = MULTI, .note = "what is known about the event",
		.help = "template of the mail's text, a value for each line"},
	{NOTIFY, "webhook", TEXT, AT(notify, webhook), NULL, .flags = HIDDEN,
		.help = "address that gets a POST, or the file that holds it"},
	{NOTIFY, "webhook_header", TEXT, AT(notify, webhook_header), NULL, .flags = MULTI | HIDDEN,
		.help = "header of the POST, NAME: VALUE"},
	{NOTIFY, "webhook_body", TEXT, AT(notify, webhook_body), NULL, .flags = HIDDEN,
		.help = "JSON template of the POST instead of the event"},
	{NOTIFY, "webhook_secret_file", SECRET, AT(notify, webhook_secret_file), NULL,
		.help = "file with the key that signs the POST"},
	{NOTIFY, "digest", RATE, AT(notify, digest), NULL, "1/365d", "1000/s", .flags = CONF_OFF,
		.note = "20/10m; off for a webhook that gets the events as they are",
		.help = "when more events than this wait in that time, they go out together"},
	{NOTIFY, "retry_for", DURATION, AT(notify, retry_for_us), "24h", "1s", "365d",
		.help = "how long one event is tried before it is dropped"},
	{NOTIFY, "request_timeout", DURATION, AT(notify, request_timeout_us), NULL, "100ms", "10m",
		.note = "30s; 5m for a mail",
		.help = "longest time for one delivery, connecting included"},
};
/* clang-format on */

static const struct {
	const char *name;
	bool named;	/* takes a NAME … */
	bool must_have; /* … and cannot do without */
	const char *shape;
} KINDS[CONF_KINDS] = {
	[CONF_KIND_SERVICE] = {"service", false, false, "[service]"},
	[CONF_KIND_EVENTS] = {"events", false, false, "[events]"},
	[CONF_KIND_WORKSPACE] = {"workspace", true, false, "[workspace] or [workspace:NAME]"},
	[CONF_KIND_WATCH] = {"watch", true, true, "[watch:NAME]"},
	[CONF_KIND_NOTIFY] = {"notify", true, true, "[notify:NAME]"},
};

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
	       c == '_' || c == '-';
}

/* Databricks allows the same characters in names of job parameters (databricks.com, Jobs API,
 * job_parameters). */
static bool is_param(const char *key)
{
	if (!text_starts_with(key, "param.") || !key[6])
		return false;
	for (const char *p = key + 6; *p; p++) {
		if (!is_name_char(*p))
			return false;
	}
	return true;
}

static int unknown_kind(const char *word, struct err *err)
{
	const char *words[CONF_KINDS];
	char shown[120];

	for (size_t i = 0; i < CONF_KINDS; i++)
		words[i] = KINDS[i].name;
	text_printable(word, strlen(word), shown, sizeof(shown));
	const char *near = text_nearest(word, words, CONF_KINDS);
	if (near)
		return err_set(
			err, ERR_CONF, EINVAL, "unknown section [%s]; did you mean [%s…]?", shown, near);
	return err_set(err, ERR_CONF, EINVAL,
		"unknown section [%s]; there are [service], [events], [workspace], [watch:NAME] and "
		"[notify:NAME]",
		shown);
}

static int bad_param(const char *key, struct err *err)
{
	char shown[120];

	if (!key[6])
		return err_set(err, ERR_CONF, ENOENT, "param.KEY needs the parameter's name behind the dot");
	text_printable(key + 6, strlen(key + 6), shown, sizeof(shown));
	return err_set(err, ERR_CONF, ENOENT,
		"\"%s\" cannot be the name of a parameter; letters, digits, _ . and - can", shown);
}

const struct conf_key *conf_schema_keys(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(KEYS);
	return KEYS;
}

const struct conf_key *conf_schema_find(enum conf_kind kind, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(KEYS); i++) {
		const struct conf_key *k = &KEYS[i];

		if (k->kind != kind)
			continue;
		if (k->type == CONF_TYPE_PARAM ? is_param(key) : strcmp(k->name, key) == 0)
			return k;
	}
	return NULL;
}

size_t conf_schema_index(const struct conf_key *k)
{
	BUG_ON(k < KEYS || k >= KEYS + ARRAY_SIZE(KEYS));
	return (size_t)(k - KEYS);
}

const char *conf_schema_kind_name(enum conf_kind kind)
{
	return KINDS[kind].name;
}

const char *conf_schema_kind_shape(enum conf_kind kind)
{
	return KINDS[kind].shape;
}

int conf_schema_parse_section(
	const char *section, enum conf_kind *ret_kind, const char **ret_name, struct err *err)
{
	const char *colon = strchr(section, ':');
	char word[CONF_NAME_BYTES] = "";
	size_t len = colon ? (size_t)(colon - section) : strlen(section);
	size_t kind;

	if (len >= sizeof(word))
		return unknown_kind(section, err);
	memcpy(word, section, len);
	for (kind = 0; kind < CONF_KINDS; kind++) {
		if (strcmp(KINDS[kind].name, word) == 0)
			break;
	}
	if (kind == CONF_KINDS)
		return unknown_kind(word, err);
	if (colon && !KINDS[kind].named)
		return err_set(err, ERR_CONF, EINVAL, "[%s] takes no name", word);
	if (!colon && KINDS[kind].must_have)
		return err_set(err, ERR_CONF, EINVAL, "[%s] needs a name: %s", word, KINDS[kind].shape);
	if (colon && !conf_schema_is_name(colon + 1)) {
		char shown[120];

		return err_set(err, ERR_CONF, EINVAL,
			"\"%s\" cannot be a name; letters, digits, . _ and - can, up to %d of them, no . or "
			"- first",
			text_printable(colon + 1, strlen(colon + 1), shown, sizeof(shown)),
			CONF_NAME_BYTES - 1);
	}
	*ret_kind = (enum conf_kind)kind;
	*ret_name = colon ? colon + 1 : "";
	return 0;
}

/* Words by which people give a secret itself; here it is always a file. */
static const struct {
	const char *word, *key;
} SECRETS[] = {{"token", "token_file"}, {"access_token", "token_file"}, {"password", "password_file"},
	{"client_secret", "client_secret_file"}, {"proxy_password", "proxy_password_file"},
	{"smtp_password", "smtp_password_file"}};

const struct conf_key *conf_schema_meant(enum conf_kind kind, const char *key)
{
	const char *words[ARRAY_SIZE(KEYS)], *near;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(SECRETS); i++)
		if (strcmp(key, SECRETS[i].word) == 0)
			return conf_schema_find(kind, SECRETS[i].key);
	for (size_t i = 0; i < ARRAY_SIZE(KEYS); i++)
		if (KEYS[i].kind == kind)
			words[n++] = KEYS[i].name;
	near = text_nearest(key, words, n);
	return near ? conf_schema_find(kind, near) : NULL;
}

int conf_schema_unknown_key(enum conf_kind kind, const char *key, struct err *err)
{
	const char *words[ARRAY_SIZE(KEYS)];
	size_t n = 0;
	char shown[120];

	if (kind == CONF_KIND_WATCH && text_starts_with(key, "param."))
		return bad_param(key, err);
	text_printable(key, strlen(key), shown, sizeof(shown));
	for (size_t i = 0; i < CONF_KINDS; i++) {
		if (conf_schema_find((enum conf_kind)i, key))
			return err_set(err, ERR_CONF, ENOENT, "%s is a key of %s, not of %s", shown,
				KINDS[i].shape, KINDS[kind].shape);
	}
	for (size_t i = 0; i < ARRAY_SIZE(KEYS); i++) {
		if (KEYS[i].kind == kind)
			words[n++] = KEYS[i].name;
	}
	for (size_t i = 0; i < ARRAY_SIZE(SECRETS); i++) {
		if (strcmp(key, SECRETS[i].word) == 0)
			return err_set(err, ERR_CONF, ENOENT,
				"unknown key \"%s\": a secret never stands in the configuration; put it into "
				"a file of mode 0600 and give %s",
				shown, SECRETS[i].key);
	}
	const char *near = text_nearest(key, words, n);
	if (near)
		return err_set(err, ERR_CONF, ENOENT, "unknown key \"%s\"; did you mean %s?", shown, near);
	return err_set(err, ERR_CONF, ENOENT, "unknown key \"%s\" in %s", shown, KINDS[kind].shape);
}

bool conf_schema_is_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= CONF_NAME_BYTES || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_name_char(name[i]))
			return false;
	}
	return true;
}
