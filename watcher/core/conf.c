/*
 * Entries come one by one, each judged alone and kept as it was given; what they mean together is
 * conf_resolve() and core/conf_check. A section is a struct found by its header's text; its fields are
 * reached by the schema's offsets, so no key is named here but where several belong together.
 *
 * Rejected: a tree of generic values that every user would have to read again.
 */
#include "core/conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/text.h"
#include "core/conf_notify.h"
#include "core/conf_schema.h"
#include "core/conf_value.h"

#define MISTAKE_BYTES 1600

/* ---- sections ---- */

static struct conf_section *find_section(const struct conf *c, const char *name)
{
	for (size_t i = c->sections_n; i-- > 0;) { /* entries mostly belong to the last one */
		if (strcmp(c->sections[i].name, name) == 0)
			return &c->sections[i];
	}
	return NULL;
}

static void set_defaults(enum conf_kind kind, void *object)
{
	size_t n;
	const struct conf_key *keys = conf_schema_keys(&n);

	for (size_t i = 0; i < n; i++) {
		if (keys[i].kind == kind)
			conf_value_set_default(&keys[i], object);
	}
}

static void free_values(enum conf_kind kind, void *object)
{
	size_t n;
	const struct conf_key *keys = conf_schema_keys(&n);

	for (size_t i = 0; i < n; i++) {
		if (keys[i].kind == kind)
			conf_value_done(&keys[i], object);
	}
}

/* One more struct of the kind, named and with its defaults; NULL when there are too many. */
static void *new_object(struct conf *c, enum conf_kind kind, const char *name)
{
	void *object = NULL;

	if (kind == CONF_KIND_WATCH && c->watches_n < CONF_WATCHES_MAX) {
		struct conf_watch *w = object = mem_alloc(sizeof(*w));

		memcpy(w->name, name, strlen(name));
		c->watches = mem_resize(c->watches, c->watches_n + 1, sizeof(struct conf_watch *));
		c->watches[c->watches_n++] = w;
	} else if (kind == CONF_KIND_WORKSPACE && c->workspaces_n < CONF_WORKSPACES_MAX) {
		struct conf_workspace *w = object = mem_alloc(sizeof(*w));

		memcpy(w->name, name, strlen(name));
		c->workspaces =
			mem_resize(c->workspaces, c->workspaces_n + 1, sizeof(struct conf_workspace *));
		c->workspaces[c->workspaces_n++] = w;
	} else if (kind == CONF_KIND_NOTIFY && c->notifies_n < CONF_NOTIFIES_MAX) {
		struct conf_notify *w = object = mem_alloc(sizeof(*w));

		memcpy(w->name, name, strlen(name));
		c->notifies = mem_resize(c->notifies, c->notifies_n + 1, sizeof(struct conf_notify *));
		c->notifies[c->notifies_n++] = w;
	}
	if (object)
		set_defaults(kind, object);
	return object;
}

static void *section_object(struct conf *c, enum conf_kind kind, const char *name)
{
	if (kind == CONF_KIND_SERVICE)
		return &c->service;
	if (kind == CONF_KIND_EVENTS)
		return &c->events;
	return new_object(c, kind, name);
}

/* NULL with a mistake. */
static struct conf_section *add_section(
	struct conf *c, const char *text, const char *file, int line, struct conf_mistakes *m)
{
	struct err err = ERR_INIT;
	enum conf_kind kind;
	const char *name;
	size_t keys_n;

	BUG_ON(!c);
	if (conf_schema_parse_section(text, &kind, &name, &err) < 0) {
		c->partial = true;
		conf_mistake_add(m, false, file, line, "%s", err.text);
		return NULL;
	}
	void *object = section_object(c, kind, name);
	if (!object) {
		c->partial = true;
		conf_mistake_add(
			m, false, file, line, "there are too many sections %s", conf_schema_kind_shape(kind));
		return NULL;
	}
	(void)conf_schema_keys(&keys_n);
	c->sections = mem_resize(c->sections, c->sections_n + 1, sizeof(*c->sections));
	struct conf_section *s = &c->sections[c->sections_n++];
	*s = (struct conf_section){.name = mem_strdup(text),
		.kind = (int)kind,
		.file = mem_strdup(file ? file : ""),
		.line = line,
		.object = object,
		.given = mem_array(keys_n, sizeof(size_t)),
		.tried = mem_array(keys_n, sizeof(bool)),
		.refused = mem_array(keys_n, sizeof(bool))};
	return s;
}

/* ---- entries ---- */

static int check_text(const char *value, struct err *err)
{
	size_t len = strlen(value);

	if (len == 0)
		return err_set(err, ERR_CONF, EINVAL, "the value is empty");
	if (len > CONF_VALUE_BYTES)
		return err_set(err, ERR_CONF, EINVAL, "the value is longer than %d bytes", CONF_VALUE_BYTES);
	for (size_t i = 0; i < len; i++) {
		unsigned char b = (unsigned char)value[i];

		if ((b < 0x20 && b != '\t') || b == 0x7f)
			return err_set(
				err, ERR_CONF, EINVAL, "the value holds a control character (0x%02x)", b);
	}
	return 0;
}

/* The entry that gave this key before, when it may be given only once. */
static const struct conf_entry *given_before(
	const struct conf *c, const struct conf_section *s, const struct conf_key *k, const char *key)
{
	size_t first = s->given[conf_schema_index(k)];

	if (first == 0 || (k->flags & CONF_MULTI))
		return NULL;
	if (k->type != CONF_TYPE_PARAM)
		return &c->entries[first - 1];
	for (size_t i = first - 1; i < c->entries_n; i++) {
		if (strcmp(c->entries[i].key, key) == 0 && strcmp(c->entries[i].section, s->name) == 0)
			return &c->entries[i];
	}
	return NULL;
}

static int twice(const struct conf_entry *before, const struct conf_key *k, struct err *err)
{
	if (before->file[0] == '\0')
		return err_set(err, ERR_CONF, EINVAL, "given twice, but it takes one value");
	return err_set(err, ERR_CONF, EINVAL, "given twice, first at %s:%d%s", before->file, before->line,
		k->type == CONF_TYPE_PARAM ? "" : "; it takes one value");
}

static void add_entry(struct conf *c, struct conf_section *s, const struct conf_key *k, const char *key,
	const char *value, const char *file, int line)
{
	size_t *given = &s->given[conf_schema_index(k)];

	c->entries = mem_resize(c->entries, c->entries_n + 1, sizeof(*c->entries));
	c->entries[c->entries_n++] = (struct conf_entry){.section = mem_strdup(s->name),
		.key = mem_strdup(key),
		.value = mem_strdup(value),
		.file = mem_strdup(file ? file : ""),
		.line = line};
	if (*given == 0)
		*given = c->entries_n;
}

/* k: NULL: nothing can be said of it. */
static void note_refused(struct conf_section *s, const struct conf_key *k)
{
	if (!k)
		return;
	s->tried[conf_schema_index(k)] = true;
	s->refused[conf_schema_index(k)] = true;
}

static const struct conf_key *find_meant(const struct conf_section *s, const char *key)
{
	const struct conf_key *k = conf_schema_find((enum conf_kind)s->kind, key);

	return k ? k : conf_schema_meant((enum conf_kind)s->kind, key);
}

/* Errors without a key's name come back with it; unknown keys name themselves. */
static int set_entry(struct conf *c, struct conf_section *s, const char *key, const char *value,
	const char *file, int line, struct err *err)
{
	const struct conf_key *k = conf_schema_find((enum conf_kind)s->kind, key);

	if (!k)
		return conf_schema_unknown_key((enum conf_kind)s->kind, key, err);
	s->tried[conf_schema_index(k)] = true;
	const struct conf_entry *before = given_before(c, s, k, key);
	int r = before ? twice(before, k, err) : check_text(value, err);
	if (r == 0 && c->entries_n >= CONF_ENTRIES_MAX)
		r = err_set(err, ERR_CONF, EINVAL, "there are more than %d entries", CONF_ENTRIES_MAX);
	if (r == 0)
		r = conf_value_set(k, key, value, s->object, err);
	if (r < 0) {
		conf_err_name_key(err, key);
		return r;
	}
	add_entry(c, s, k, key, value, file, line);
	return 0;
}

/* A list was refused for one of its values: each bad one is told. How many were. */
static size_t tell_each(const struct conf_section *s, const char *key, const char *value, const char *file,
	int line, struct conf_mistakes *m)
{
	const struct conf_key *k = conf_schema_find((enum conf_kind)s->kind, key);
	union {
		struct conf_watch watch;
		struct conf_workspace workspace;
		struct conf_events events;
		struct conf_service service;
		struct conf_notify notify;
	} scratch;
	struct conf_list values;
	size_t told = 0;

	if (!k || !(k->flags & CONF_COMMA) || !strchr(value, ',') ||
		conf_value_split(k, value, &values, NULL) < 0)
		return 0;
	memset(&scratch, 0, sizeof(scratch));
	for (size_t i = 0; i < values.n; i++) {
		struct err err = ERR_INIT;

		if (conf_value_set(k, key, values.items[i], &scratch, &err) == 0)
			continue;
		conf_err_name_key(&err, key);
		conf_mistake_add(m, false, file, line, "%s", err.text);
		told++;
	}
	conf_value_done(k, &scratch);
	conf_list_done(&values);
	return told;
}

/* ---- what follows from other values ---- */

static void resolve_workspace(struct conf *c, struct conf_watch *w)
{
	if (!w->workspace_name) {
		w->workspace = c->workspaces_n == 1 ? c->workspaces[0] : NULL;
		return;
	}
	for (size_t i = 0; i < c->workspaces_n; i++) {
		if (strcmp(c->workspaces[i]->name, w->workspace_name) == 0)
			w->workspace = c->workspaces[i];
	}
}

static void resolve_parameters(struct conf_watch *w)
{
	bool list = conf_job_type_is_list(w->job_type) ||
		    (w->job_type == CONF_JOB_WHEEL && w->arg.n > 0 && w->param.n == 0);

	if (list && w->arg.n == 0)
		conf_list_add(&w->arg, "${uri}", strlen("${uri}"));
	if (!list && w->param.n == 0) {
		w->param.items = mem_array(1, sizeof(*w->param.items));
		w->param.items[0] = (struct conf_pair){mem_strdup("path"), mem_strdup("${uri}")};
		w->param.n = 1;
	}
}

/* Longest first; the order of the file among equals does not matter, they cannot both match. */
static int compare_rules(const void *a, const void *b)
{
	const struct conf_map_rule *ra = a, *rb = b;
	size_t la = strlen(ra->local), lb = strlen(rb->local);

	return la != lb ? (la < lb) - (la > lb) : strcmp(ra->local, rb->local);
}

static void resolve_auth(struct conf_workspace *ws)
{
	unsigned found = conf_auth_found(ws);

	if (ws->auth != CONF_AUTH_NONE)
		return;
	for (int kind = CONF_AUTH_TOKEN; kind <= CONF_AUTH_PROFILE; kind++) {
		if (found == 1u << kind)
			ws->auth = kind;
	}
}

/* ---- mistakes ---- */

struct place {
	size_t file; /* the first mistake of the same file; SIZE_MAX: no place */
	int line;
	size_t i;
};

static size_t first_of_file(const struct conf_mistakes *m, const char *file)
{
	if (file[0] == '\0')
		return SIZE_MAX;
	for (size_t i = 0;; i++) {
		if (strcmp(m->items[i].file, file) == 0)
			return i;
	}
}

static int compare_places(const void *a, const void *b)
{
	const struct place *pa = a, *pb = b;

	if (pa->file != pb->file)
		return pa->file < pb->file ? -1 : 1;
	if (pa->line != pb->line)
		return pa->line < pb->line ? -1 : 1;
	return pa->i < pb->i ? -1 : 1;
}

/* ---- public ---- */

struct conf *conf_new(void)
{
	struct conf *c = mem_alloc(sizeof(*c));

	set_defaults(CONF_KIND_SERVICE, &c->service);
	set_defaults(CONF_KIND_EVENTS, &c->events);
	return c;
}

static void free_given(struct conf *c)
{
	for (size_t i = 0; i < c->entries_n; i++) {
		free(c->entries[i].section);
		free(c->entries[i].key);
		free(c->entries[i].value);
		free(c->entries[i].file);
	}
	free(c->entries);
	for (size_t i = 0; i < c->sections_n; i++) {
		free(c->sections[i].name);
		free(c->sections[i].file);
		free(c->sections[i].given);
		free(c->sections[i].tried);
		free(c->sections[i].refused);
	}
	free(c->sections);
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	free_values(CONF_KIND_SERVICE, &c->service);
	free_values(CONF_KIND_EVENTS, &c->events);
	for (size_t i = 0; i < c->workspaces_n; i++) {
		free_values(CONF_KIND_WORKSPACE, c->workspaces[i]);
		free(c->workspaces[i]);
	}
	free(c->workspaces);
	for (size_t i = 0; i < c->watches_n; i++) {
		free_values(CONF_KIND_WATCH, c->watches[i]);
		free(c->watches[i]);
	}
	free(c->watches);
	for (size_t i = 0; i < c->notifies_n; i++) {
		free_values(CONF_KIND_NOTIFY, c->notifies[i]);
		free(c->notifies[i]);
	}
	free(c->notifies);
	free_given(c);
	free(c);
}

void conf_mistake_add(struct conf_mistakes *m, bool warning, const char *file, int line, const char *fmt, ...)
{
	char text[MISTAKE_BYTES];
	struct buf shown = BUF_INIT(MISTAKE_BYTES * 4 + 1);
	va_list ap;

	if (!warning)
		m->errors++;
	if (m->n >= CONF_MISTAKES_MAX) {
		m->more++;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)text_add_printable(&shown, text, strlen(text));
	m->items = mem_resize(m->items, m->n + 1, sizeof(*m->items));
	m->items[m->n++] = (struct conf_mistake){.file = mem_strdup(file ? file : ""),
		.line = line,
		.warning = warning,
		.text = mem_strdup(buf_str(&shown))};
	buf_done(&shown);
}

void conf_mistakes_done(struct conf_mistakes *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->items[i].file);
		free(m->items[i].text);
	}
	free(m->items);
	*m = (struct conf_mistakes){.n = 0};
}

void conf_mistakes_print(const struct conf_mistakes *m, struct buf *b)
{
	CLEANUP_FREE struct place *places = mem_array(m->n + 1, sizeof(*places));

	for (size_t i = 0; i < m->n; i++)
		places[i] = (struct place){first_of_file(m, m->items[i].file), m->items[i].line, i};
	qsort(places, m->n, sizeof(*places), compare_places);
	for (size_t i = 0; i < m->n; i++) {
		const struct conf_mistake *item = &m->items[places[i].i];

		(void)text_add_printable(b, item->file, strlen(item->file));
		if (item->file[0] && item->line > 0)
			(void)buf_addf(b, ":%d", item->line);
		(void)buf_addf(b, "%s%s%s\n", item->file[0] ? ": " : "", item->warning ? "warning: " : "",
			item->text);
	}
	if (m->more)
		(void)buf_addf(b, "and %zu more\n", m->more);
}

/* It stands twice, and what the second one has is not taken. */
static void lose_section(const struct conf_section *s)
{
	size_t n;

	(void)conf_schema_keys(&n);
	for (size_t i = 0; i < n; i++)
		s->tried[i] = s->refused[i] = true;
}

void conf_section(struct conf *c, const char *section, const char *file, int line, struct conf_mistakes *m)
{
	const struct conf_section *first = find_section(c, section);

	if (!first) {
		(void)add_section(c, section, file, line, m);
		return;
	}
	lose_section(first);
	if (first->file[0])
		conf_mistake_add(m, false, file, line, "[%s] stands here a second time, first at %s:%d",
			section, first->file, first->line);
	else
		conf_mistake_add(m, false, file, line, "[%s] stands here a second time", section);
}

void conf_set(struct conf *c, const char *section, const char *key, const char *value, const char *file,
	int line, struct conf_mistakes *m)
{
	struct conf_section *s = find_section(c, section);
	struct err err = ERR_INIT;

	if (!s)
		s = add_section(c, section, file, line, m);
	if (!s || set_entry(c, s, key, value, file, line, &err) == 0)
		return;
	note_refused(s, find_meant(s, key));
	if (tell_each(s, key, value, file, line, m) == 0)
		conf_mistake_add(m, false, file, line, "%s", err.text);
}

void conf_lost(struct conf *c, const char *section, const char *key)
{
	struct conf_section *s = key ? find_section(c, section) : NULL;

	if (s)
		note_refused(s, find_meant(s, key));
	else
		c->partial = true;
}

static void resolve_notify(const struct conf *c, struct conf_notify *n)
{
	CLEANUP_FREE char *section = mem_printf("%s:%s", conf_schema_kind_name(CONF_KIND_NOTIFY), n->name);

	if (!conf_entry_find(c, section, "digest"))
		n->digest = conf_notify_default_digest(n);
	if (!conf_entry_find(c, section, "request_timeout"))
		n->request_timeout_us = conf_notify_default_timeout_us(n);
}

void conf_resolve(struct conf *c)
{
	for (size_t i = 0; i < c->workspaces_n; i++)
		resolve_auth(c->workspaces[i]);
	for (size_t i = 0; i < c->watches_n; i++) {
		struct conf_watch *w = c->watches[i];

		resolve_workspace(c, w);
		resolve_parameters(w);
		if (w->path_map_n > 1)
			qsort(w->path_map, w->path_map_n, sizeof(*w->path_map), compare_rules);
	}
	for (size_t i = 0; i < c->notifies_n; i++)
		resolve_notify(c, c->notifies[i]);
}

const struct conf_section *conf_section_find(const struct conf *c, const char *section)
{
	return find_section(c, section);
}

const struct conf_entry *conf_entry_find(const struct conf *c, const char *section, const char *key)
{
	const struct conf_section *s = find_section(c, section);
	size_t n;
	const struct conf_key *keys = conf_schema_keys(&n);

	for (size_t i = 0; s && i < n; i++) {
		if ((int)keys[i].kind == s->kind && strcmp(keys[i].name, key) == 0)
			return s->given[i] ? &c->entries[s->given[i] - 1] : NULL;
	}
	return NULL;
}

unsigned conf_auth_found(const struct conf_workspace *ws)
{
	unsigned found = 0;
	bool other_client = ws->azure_tenant_id || ws->oidc_token_file || ws->azure_metadata_host;

	if (ws->token_file)
		found |= 1u << CONF_AUTH_TOKEN;
	if (ws->username || ws->password_file)
		found |= 1u << CONF_AUTH_BASIC;
	if (ws->profile || ws->config_file)
		found |= 1u << CONF_AUTH_PROFILE;
	if (ws->azure_tenant_id)
		found |= 1u << CONF_AUTH_AZURE_CLIENT_SECRET;
	if (ws->azure_metadata_host && !ws->profile)
		found |= 1u << CONF_AUTH_AZURE_MANAGED_IDENTITY;
	if (ws->oidc_token_file)
		found |= 1u << CONF_AUTH_OIDC;
	/* client_id serves four kinds; a secret without a tenant is one of our own kind even beside an
	 * identity token. */
	if ((ws->client_id && !other_client) || (ws->client_secret_file && !ws->azure_tenant_id))
		found |= 1u << CONF_AUTH_OAUTH_M2M;
	return found;
}

const struct conf_watch *conf_watch_find(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->watches_n; i++) {
		if (strcmp(c->watches[i]->name, name) == 0)
			return c->watches[i];
	}
	return NULL;
}

/* The longest directory of w that holds path, or NULL. */
static const char *root_for_path(const struct conf_watch *w, const char *path)
{
	const char *root = NULL;

	for (size_t i = 0; i < w->directory.n; i++) {
		const char *dir = w->directory.items[i];

		if (fs_is_beneath(dir, path) && (!root || strlen(dir) > strlen(root)))
			root = dir;
	}
	return root;
}

/* Ranks are (longer root first, then order of the file); the from-th of them is wanted. */
const struct conf_watch *conf_watch_for_path(
	const struct conf *c, const char *path, size_t *from, const char **ret_root)
{
	for (size_t i = 0; i < c->watches_n; i++) {
		const char *root = root_for_path(c->watches[i], path);
		size_t before = 0;

		if (!root)
			continue;
		for (size_t j = 0; j < c->watches_n; j++) {
			const char *other = j == i ? NULL : root_for_path(c->watches[j], path);

			if (other &&
				(strlen(other) > strlen(root) || (strlen(other) == strlen(root) && j < i)))
				before++;
		}
		if (before == *from) {
			(*from)++;
			if (ret_root)
				*ret_root = root;
			return c->watches[i];
		}
	}
	return NULL;
}

static void hash_text(struct sha256 *s, const char *text)
{
	sha256_add(s, text, strlen(text) + 1); /* the NUL keeps neighbours apart */
}

void conf_hash(const struct conf *c, char out[65])
{
	struct sha256 *s = sha256_new();
	uint8_t digest[SHA256_BYTES];

	for (size_t i = 0; i < c->entries_n; i++) {
		hash_text(s, c->entries[i].section);
		hash_text(s, c->entries[i].key);
		hash_text(s, c->entries[i].value);
	}
	sha256_end(s, digest);
	sha256_hex(digest, out);
}

int conf_each_entry(const struct conf *c, const char *watch_name,
	int (*fn)(const struct conf_entry *e, void *arg), void *arg)
{
	for (size_t i = 0; i < c->entries_n; i++) {
		const struct conf_entry *e = &c->entries[i];
		bool mine =
			!watch_name || strcmp(e->section, "service") == 0 ||
			(text_starts_with(e->section, "watch:") && strcmp(e->section + 6, watch_name) == 0);
		int r = mine ? fn(e, arg) : 0;

		if (r != 0)
			return r;
	}
	return 0;
}

/* The next entry of that watch from *i on, or NULL. */
static const struct conf_entry *next_of_watch(const struct conf *c, const char *name, size_t *i)
{
	for (; *i < c->entries_n; ++*i) {
		const struct conf_entry *e = &c->entries[*i];

		if (text_starts_with(e->section, "watch:") && strcmp(e->section + 6, name) == 0)
			return &c->entries[(*i)++];
	}
	return NULL;
}

/* A job_name at another workspace is another job. */
static bool names_differ(const struct conf_watch *a, const struct conf_watch *b)
{
	const struct conf_workspace *at_a = a ? a->workspace : NULL, *at_b = b ? b->workspace : NULL;

	return a && b && a->job_name && b->job_name && at_a && at_b && at_a->host_token && at_b->host_token &&
	       strcmp(at_a->host_token, at_b->host_token) != 0;
}

bool conf_watch_differs(const struct conf *a, const struct conf *b, const char *name)
{
	const struct conf_entry *of_a, *of_b;
	size_t i = 0, j = 0;

	if (a->service.log_level != b->service.log_level || a->service.trace != b->service.trace)
		return true;
	do {
		of_a = next_of_watch(a, name, &i);
		of_b = next_of_watch(b, name, &j);
		if (!of_a != !of_b)
			return true;
		if (of_a && of_b &&
			(strcmp(of_a->key, of_b->key) != 0 || strcmp(of_a->value, of_b->value) != 0))
			return true;
	} while (of_a);
	return names_differ(conf_watch_find(a, name), conf_watch_find(b, name));
}

const char *conf_auth_name(int auth)
{
	const struct conf_key *k = conf_schema_find(CONF_KIND_WORKSPACE, "auth");

	return k->words[auth];
}

const char *conf_job_type_name(int job_type)
{
	const struct conf_key *k = conf_schema_find(CONF_KIND_WATCH, "job_type");

	return k->words[job_type];
}

bool conf_job_type_is_list(int job_type)
{
	return job_type == CONF_JOB_JAR || job_type == CONF_JOB_PYTHON || job_type == CONF_JOB_SPARK_SUBMIT;
}
