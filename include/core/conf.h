/*
 * conf: the configuration as values, and the one table that says which keys there are.
 *
 * conf knows nothing about files: the loader (keep/conffile) and the processes (which get the same entries
 * over core/wire) feed it one (section, key, value, origin) after the other with conf_set(); conf_resolve()
 * fills what follows from other values; conf_check() finds what one entry alone cannot show. Mistakes are
 * collected, never printed. Credentials are named by file; what else may be secret (CONF_HIDDEN) is never
 * shown.
 *
 * Everything is owned by struct conf and freed with it.
 */
#ifndef CORE_CONF_H
#define CORE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

#define CONF_NAME_BYTES 48     /* of NAME in [watch:NAME] with its NUL: [A-Za-z0-9._-], no . or - first */
#define CONF_ENTRIES_MAX 20000 /* of one configuration */
#define CONF_VALUE_BYTES 16384 /* longest value of one entry */
#define CONF_WATCHES_MAX 256
#define CONF_WORKSPACES_MAX 64
#define CONF_NOTIFIES_MAX 64
#define CONF_MISTAKES_MAX 1000 /* kept; the others are counted only */

enum conf_auth {
	CONF_AUTH_NONE = 0, /* nothing given */
	CONF_AUTH_TOKEN,
	CONF_AUTH_OAUTH_M2M,
	CONF_AUTH_AZURE_CLIENT_SECRET,
	CONF_AUTH_AZURE_MANAGED_IDENTITY,
	CONF_AUTH_OIDC,
	CONF_AUTH_BASIC,
	CONF_AUTH_PROFILE,
};
enum conf_job_type {
	CONF_JOB_JOB = 0,
	CONF_JOB_NOTEBOOK,
	CONF_JOB_JAR,
	CONF_JOB_PYTHON,
	CONF_JOB_WHEEL,
	CONF_JOB_SPARK_SUBMIT,
	CONF_JOB_SQL,
};
enum conf_method { CONF_METHOD_AUTO = 0, CONF_METHOD_INOTIFY, CONF_METHOD_POLL };
enum conf_complete { CONF_COMPLETE_AUTO = 0, CONF_COMPLETE_CLOSE, CONF_COMPLETE_QUIET, CONF_COMPLETE_MARKER };
enum conf_existing { CONF_EXISTING_RUN = 0, CONF_EXISTING_SKIP, CONF_EXISTING_HOLD };
enum conf_version { CONF_VERSION_SIZE_MTIME = 0, CONF_VERSION_SIZE, CONF_VERSION_NAME };
enum conf_on_failure { CONF_FAIL_DEAD_LETTER = 0, CONF_FAIL_DISCARD, CONF_FAIL_PAUSE };
enum conf_compress { CONF_COMPRESS_GZIP = 0, CONF_COMPRESS_NONE };
enum conf_durability { CONF_DURABILITY_POWER = 0, CONF_DURABILITY_PROCESS };

#define CONF_REJECT_GLOBS 1u   /* names with * ? [ ] { } or backslash */
#define CONF_REJECT_CONTROL 2u /* names with control characters */

struct conf_list {
	char **items;
	size_t n;
};

struct conf_pair {
	char *key;
	char *value;
};

struct conf_pairs { /* in the order of the file */
	struct conf_pair *items;
	size_t n;
};

struct conf_rate {
	int64_t count; /* 0: not set or "off" */
	int64_t per_us;
};

struct conf_service {
	char *state_directory; /* normalised absolute */
	char *runtime_directory;
	int log_level;	/* enum log_level */
	unsigned trace; /* 1u << enum trace_topic of base/trace.h, or TRACE_ALL */
	int durability; /* enum conf_durability */
	int64_t forget_gone_after_us;
	char *metrics_file; /* NULL: none */
};

struct conf_events {
	char *file;
	int64_t max_size_bytes;
	int64_t max_age_us;
	int64_t min_age_us;
	int64_t keep_for_us;
	int64_t keep_size_bytes;
	int compress; /* enum conf_compress */
	bool rejected;
};

struct conf_workspace {
	char name[CONF_NAME_BYTES]; /* "" for [workspace] */
	char *host; /* "https://adb-….azuredatabricks.net[:port]" lower case, no path, no trailing slash */
	char *host_token; /* HOST of the token: lower case, no scheme, port only if not 443 (http: 80 too) */
	int auth;	  /* enum conf_auth, after conf_resolve */
	char *token_file; /* a path, or "credential:NAME" (all *_file alike) */
	char *username, *password_file;
	char *client_id, *client_secret_file;
	char *azure_tenant_id, *azure_authority_host, *azure_metadata_host;
	char *oidc_token_file;
	char *profile, *config_file;
	char *proxy; /* "http://proxy.example.com:3128", with its port */
	char *proxy_username, *proxy_password_file, *proxy_ca_file;
	struct conf_list no_proxy;
	char *ca_file, *client_certificate, *client_key, *client_key_password_file;
	char *tls_min, *tls_max, *ciphers, *tls13_ciphers;
	char *api_version;
	int64_t connect_timeout_us, request_timeout_us;
	struct conf_rate rate;
	int64_t burst;
	int64_t max_requests;
	int64_t retry_for_us;
};

struct conf_map_rule { /* path_map: LOCAL => REMOTE */
	char *local;   /* normalised absolute, no trailing slash but for "/" */
	char *remote;  /* no trailing slash but for "scheme:/" forms and "/" */
};

struct conf_watch {
	char name[CONF_NAME_BYTES];
	struct conf_list directory; /* normalised absolute */
	char *workspace_name;	    /* as written, or NULL */
	int64_t job_id;		    /* with job_name: 0, until the dispatcher knows it */
	char *job_name;
	int job_type;		 /* enum conf_job_type */
	struct conf_pairs param; /* KEY -> template; after conf_resolve never empty for map types */
	struct conf_list arg;	 /* templates; after conf_resolve never empty for list types */
	bool queue;
	struct conf_list only;
	char *performance_target;
	struct conf_map_rule *path_map; /* longest local first */
	size_t path_map_n;
	bool path_map_none;    /* `path_map = none` was given */
	unsigned reject_names; /* CONF_REJECT_… */
	bool recursive, follow_symlinks, hidden;
	int method; /* enum conf_method */
	int64_t poll_interval_us, rescan_us;
	int complete;		  /* enum conf_complete */
	bool settle_given;	  /* then settle_closed_us == settle_quiet_us == what was given */
	int64_t settle_closed_us; /* 1 s: after evidence that the writer closed */
	int64_t settle_quiet_us;  /* 30 s: without it */
	char *marker;
	struct conf_list include, exclude, ignore;
	struct conf_list types, exclude_types;
	int64_t type_bytes;
	int64_t type_deadline_us;
	bool verify;
	int64_t min_size_bytes;
	int64_t max_size_bytes; /* 0: none */
	int existing;		/* enum conf_existing */
	struct conf_rate brake; /* count 0: off */
	int version;		/* enum conf_version */
	bool ends;
	int64_t overdue_us;    /* 0: off */
	int on_failure;	       /* enum conf_on_failure */
	int64_t max_requests;  /* 0: the workspace's */
	struct conf_rate rate; /* count 0: the workspace's */
	char *sentinel;
	bool paused;
	const struct conf_workspace *workspace; /* after conf_resolve; NULL: none (a mistake), or a watcher */
};

struct conf_notify {
	char name[CONF_NAME_BYTES];
	struct conf_list on;
	char *watch;
	struct conf_list mail_to;
	char *mail_from, *smtp, *smtp_username, *smtp_password_file, *ca_file, *subject;
	struct conf_list body; /* lines */
	char *webhook;	       /* an address, or a file that holds it: conf_notify_is_file() */
	struct conf_list webhook_header;
	char *webhook_body, *webhook_secret_file;
	struct conf_rate digest; /* count 0: off */
	int64_t retry_for_us;
	int64_t request_timeout_us;
};

/* One entry as it was given, kept for `config`, for handing on to the processes and for messages. */
struct conf_entry {
	char *section; /* "service", "watch:orders" */
	char *key;     /* "settle", "param.path" */
	char *value;   /* raw: as in the file with its double quotes and commas, continued lines joined */
	char *file;    /* where it stands; "" when unknown */
	int line;
};

/* One section as it was given. */
struct conf_section {
	char *name; /* "service", "watch:orders" */
	int kind;   /* enum conf_kind of core/conf_schema.h */
	char *file; /* where its header stands; "" when unknown */
	int line;
	void *object;  /* borrowed: &conf.service, the struct conf_watch, … */
	size_t *given; /* by conf_schema_index(): 1 + place in entries of the first of that key, 0: none */
	bool *tried;   /* by the same: was it there at all, be it with a bad value? */
	bool *refused; /* by the same: was a value refused, so that the field is not what was meant? */
};

struct conf_mistake {
	char *file; /* "" when it belongs to no place */
	int line;   /* 0 likewise */
	bool warning;
	char *text;
};

struct conf_mistakes {
	struct conf_mistake *items;
	size_t n;
	size_t errors; /* how many are not warnings, those not kept included */
	size_t more;   /* how many were not kept: there are CONF_MISTAKES_MAX */
};

struct conf {
	struct conf_service service;
	struct conf_events events;
	struct conf_workspace **workspaces;
	size_t workspaces_n;
	struct conf_watch **watches; /* in the order of the file */
	size_t watches_n;
	struct conf_notify **notifies;
	size_t notifies_n;
	struct conf_entry *entries;
	size_t entries_n;
	struct conf_section *sections; /* those given, in the order of the file */
	size_t sections_n;
	bool partial; /* a section or a file could not be taken: what is missing may be there */
};

struct conf *conf_new(void);	/* with all defaults */
void conf_free(struct conf *c); /* takes NULL */

/* Adds a mistake (or warning); file may be NULL. */
void conf_mistake_add(struct conf_mistakes *m, bool warning, const char *file, int line, const char *fmt, ...)
	PRINTF_LIKE(5, 6);
void conf_mistakes_done(struct conf_mistakes *m);
/* "FILE:LINE: text" or "text" ("warning: " in front of a warning's text), one line each, by file in the order
 * in which they first came and then by line, into b. Fit for a terminal: no control characters. */
void conf_mistakes_print(const struct conf_mistakes *m, struct buf *b);

/* Takes a section header (creates the section, so that an empty one is known and checked). */
void conf_section(struct conf *c, const char *section, const char *file, int line, struct conf_mistakes *m);
/* Takes one entry. Every fault (unknown section or key with the nearest known one, twice, not a number,
 * range, unit) is added to m with its origin and the entry has no effect; of a list, each value that is bad
 * is told. A key that takes several values may come several times. An empty value is a mistake. value is raw
 * (see struct conf_entry): in double quotes it is taken as it stands, else a comma separates values where the
 * key says so. A section not yet given by conf_section() is taken as given here. */
void conf_set(struct conf *c, const char *section, const char *key, const char *value, const char *file,
	int line, struct conf_mistakes *m);
/* A line was refused before it came here: so that conf_check() tells no mistake that follows from that one.
 * key: as written, perhaps misspelled; NULL: a whole section, or file. */
void conf_lost(struct conf *c, const char *section, const char *key);
/* Links watches to workspaces, finds `auth`, fills default param/arg, sorts path_map. Once, after the last
 * conf_set(). */
void conf_resolve(struct conf *c);
/* Contradictions and what is missing, as mistakes and warnings (a whole configuration only; a watcher has
 * just its own part). After mistakes, too: what only follows from a value that was refused is not told.
 * Templates, patterns and types are checked here too with core/template, core/glob, core/filetype. Pure:
 * looks at no file. */
void conf_check(const struct conf *c, struct conf_mistakes *m);

/* Where something was given, both borrowed; NULL: nowhere. section: "watch:orders". key: "settle"; for params
 * "param.*" gives the first one. */
const struct conf_section *conf_section_find(const struct conf *c, const char *section);
const struct conf_entry *conf_entry_find(const struct conf *c, const char *section, const char *key);
/* Which kinds of credential keys were given: 1u << enum conf_auth for each (azure-managed-identity needs none
 * and is found by azure_metadata_host only). */
unsigned conf_auth_found(const struct conf_workspace *ws);

const struct conf_watch *conf_watch_find(const struct conf *c, const char *name);
/* The watch whose directory holds path (normalised absolute); longest directory wins; *ret_root (may be NULL)
 * is that directory (borrowed). NULL: none. from: 0 for the first, else search on behind the one returned
 * (several watches may share a directory). */
const struct conf_watch *conf_watch_for_path(
	const struct conf *c, const char *path, size_t *from, const char **ret_root);
/* Can a file of one also be found from the other? Then the first such directories of both (borrowed). */
bool conf_watches_overlap(
	const struct conf_watch *a, const struct conf_watch *b, const char **ret_a, const char **ret_b);
/* "off"-able, list, … as the user would write it; for `config`: effective value of every key with its origin
 * ("FILE:LINE" or "default"), as INI that can be read back (JSON when json). Secrets cannot appear: only file
 * names are here. */
void conf_print(const struct conf *c, bool json, struct buf *b);
/* Hash over all entries (not their origins), the same in every process that has them all: 64 hex digits and
 * NUL. */
void conf_hash(const struct conf *c, char out[65]);
/* What goes to the process of one watch: calls fn for each entry of [service] and of that [watch:NAME]; name
 * NULL: all entries. */
int conf_each_entry(const struct conf *c, const char *watch_name,
	int (*fn)(const struct conf_entry *e, void *arg), void *arg);
/* Is there anything in [watch:NAME], in what [service] says to watchers, or in where its job_name is looked
 * up, that differs between the two? NAME is in both. */
bool conf_watch_differs(const struct conf *a, const struct conf *b, const char *name);
/* Names of enum values as the file spells them. */
const char *conf_auth_name(int auth);
const char *conf_job_type_name(int job_type);
bool conf_job_type_is_list(int job_type); /* jar, python, spark_submit (and wheel when only arg is given):
					     ordered args; else a map of params */

#endif
