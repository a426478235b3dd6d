/*
 * What the unit takes away, and what is given back here (systemd.exec(5), systemd.unit(5)):
 *
 *  - ProtectSystem=strict: all is read-only but what the unit names itself, so a state directory, log,
 * metrics file or control socket at another place needs ReadWritePaths=. Drop folders are only read, and need
 *    nothing.
 *  - ProtectHome=, PrivateTmp=: what lies below /home, /root, /run/user, /tmp and /var/tmp is not there, or
 * is another directory, without any error. They are relaxed. Binding only the folders in (BindReadOnlyPaths=)
 *    would be narrower, but a bind mount stays with the directory that was there at the start: one that is
 *    made anew, or mounted later, would never be seen. What a watcher may read is narrowed by itself.
 *  - RequiresMountsFor=: the unit waits for the mounts of its directories.
 *
 * In the lists of paths systemd takes quotes and backslashes as a shell does, no \xNN, and specifiers, so a
 * `%` is doubled (seen with systemd 252). A LoadCredential= is not quoted: its path goes to the end of the
 * line.
 */
#include "core/dropin.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/conf_notify.h"
#include "core/conf_schema.h"

#define CREDENTIAL "credential:"

enum dropin_why { DROPIN_READ = 1, DROPIN_WRITTEN = 2, DROPIN_FOLDER = 4 };

struct dropin_path {
	char *path; /* owned */
	unsigned why;
};

struct dropin {
	const struct dropin_question *q;
	struct buf *b;
	struct dropin_path *paths; /* each once, in the order of the configuration */
	size_t paths_n;
	const char **credentials; /* names, each once; borrowed */
	size_t credentials_n;
	size_t bad;
};

int dropin_add_path(struct buf *b, const char *path)
{
	size_t len = strlen(path);

	if (!text_is_utf8(path, len))
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)path[i] < ' ' || path[i] == 0x7f)
			return -EINVAL;
	(void)buf_addc(b, '"');
	for (size_t i = 0; i < len; i++) {
		if (path[i] == '"' || path[i] == '\\')
			(void)buf_addc(b, '\\');
		else if (path[i] == '%')
			(void)buf_addc(b, '%');
		(void)buf_addc(b, path[i]);
	}
	return buf_addc(b, '"');
}

/* ---- which paths there are ---- */

static void dropin_note(struct dropin *d, const char *path, unsigned why)
{
	for (size_t i = 0; i < d->paths_n; i++)
		if (strcmp(d->paths[i].path, path) == 0) {
			d->paths[i].why |= why;
			return;
		}
	d->paths = mem_resize(d->paths, d->paths_n + 1, sizeof(*d->paths));
	d->paths[d->paths_n++] = (struct dropin_path){.path = mem_strdup(path), .why = why};
}

static void dropin_note_parent(struct dropin *d, const char *path, unsigned why)
{
	CLEANUP_FREE char *parent = fs_parent(path);

	dropin_note(d, parent, why);
}

/* The part of a marker's template that is the same for all files, if it leads somewhere. */
static void dropin_note_marker(struct dropin *d, const char *marker)
{
	CLEANUP_FREE char *fixed = marker ? mem_strdup(marker) : NULL;
	char *end;

	if (!fixed || fixed[0] != '/')
		return;
	end = strchr(fixed, '$');
	if (end)
		*end = '\0';
	end = strrchr(fixed, '/');
	if (end == fixed)
		return;
	*end = '\0';
	dropin_note(d, fixed, DROPIN_READ);
}

static void dropin_note_credential(struct dropin *d, const char *name)
{
	for (size_t i = 0; i < d->credentials_n; i++)
		if (strcmp(d->credentials[i], name) == 0)
			return;
	d->credentials = mem_resize(d->credentials, d->credentials_n + 1, sizeof(*d->credentials));
	d->credentials[d->credentials_n++] = name;
}

/* value: a path, credential:NAME, or NULL */
static void dropin_note_secret(struct dropin *d, const char *value)
{
	if (value && text_starts_with(value, CREDENTIAL))
		dropin_note_credential(d, value + strlen(CREDENTIAL));
	else if (value)
		dropin_note_parent(d, value, DROPIN_READ);
}

/* Files of secrets and certificates of a section. */
static void dropin_note_secrets(struct dropin *d, enum conf_kind kind, const void *section)
{
	size_t n;
	const struct conf_key *keys = conf_schema_keys(&n);

	for (size_t i = 0; i < n; i++) {
		if (keys[i].kind == kind && keys[i].type == CONF_TYPE_SECRET)
			dropin_note_secret(
				d, *(char *const *)(const void *)((const char *)section + keys[i].offset));
	}
}

static void dropin_note_all(struct dropin *d)
{
	const struct conf *c = d->q->conf;

	dropin_note(d, c->service.state_directory, DROPIN_WRITTEN);
	dropin_note_parent(d, c->events.file, DROPIN_WRITTEN);
	if (c->service.metrics_file)
		dropin_note_parent(d, c->service.metrics_file, DROPIN_WRITTEN);
	for (size_t i = 0; i < c->watches_n; i++) {
		for (size_t j = 0; j < c->watches[i]->directory.n; j++)
			dropin_note(d, c->watches[i]->directory.items[j], DROPIN_READ | DROPIN_FOLDER);
		dropin_note_marker(d, c->watches[i]->marker);
	}
	for (size_t i = 0; i < c->workspaces_n; i++)
		dropin_note_secrets(d, CONF_KIND_WORKSPACE, c->workspaces[i]);
	for (size_t i = 0; i < c->notifies_n; i++) {
		const char *webhook = c->notifies[i]->webhook;

		dropin_note_secrets(d, CONF_KIND_NOTIFY, c->notifies[i]);
		dropin_note_secret(d, webhook && conf_notify_is_file(webhook) ? webhook : NULL);
	}
}

/* ---- the text ---- */

static void dropin_comment(struct dropin *d, const char *before, const char *path, const char *behind)
{
	(void)buf_addf(d->b, "# %s", before);
	(void)text_add_printable(d->b, path, strlen(path));
	(void)buf_addf(d->b, "%s\n", behind);
}

static void dropin_line(struct dropin *d, const char *key, const char *path)
{
	size_t before = d->b->len;

	(void)buf_addf(d->b, "%s=", key);
	if (dropin_add_path(d->b, path) == 0) {
		(void)buf_addc(d->b, '\n');
		return;
	}
	buf_truncate(d->b, before);
	dropin_comment(d, "", path, " cannot stand in a unit: its name has bytes that systemd does not take");
	d->bad++;
}

/* What the unit has already: its own directories, and what is on the root file system by its nature. */
bool dropin_is_usual(const char *path)
{
	return fs_is_beneath("/var/lib/brickwatch", path) || fs_is_beneath("/var/log/brickwatch", path) ||
	       fs_is_beneath("/run/brickwatch", path);
}

static void dropin_mounts(struct dropin *d)
{
	(void)buf_adds(d->b, "[Unit]\n");
	for (size_t i = 0; i < d->paths_n; i++)
		if (!dropin_is_usual(d->paths[i].path) && !fs_is_beneath("/etc", d->paths[i].path) &&
			strcmp(d->paths[i].path, "/") != 0)
			dropin_line(d, "RequiresMountsFor", d->paths[i].path);
}

static bool dropin_any_beneath(const struct dropin *d, const char *const *trees, size_t n)
{
	for (size_t i = 0; i < d->paths_n; i++)
		for (size_t j = 0; j < n; j++)
			if (fs_is_beneath(trees[j], d->paths[i].path))
				return true;
	return false;
}

/* Directories that the unit hides. */
static void dropin_hidden(struct dropin *d)
{
	static const char *const homes[] = {"/home", "/root", "/run/user"};
	static const char *const temporary[] = {"/tmp", "/var/tmp"};

	if (dropin_any_beneath(d, homes, ARRAY_SIZE(homes)))
		(void)buf_adds(d->b, "# The configuration has paths below /home, /root or /run/user.\n"
				     "ProtectHome=read-only\n");
	if (dropin_any_beneath(d, temporary, ARRAY_SIZE(temporary)))
		(void)buf_adds(d->b, "# The configuration has paths below /tmp or /var/tmp, where "
				     "systemd-tmpfiles removes old "
				     "files. A better\n# place is one of their own; then this line can "
				     "go.\nPrivateTmp=no\n");
}

static bool dropin_is_written(const struct dropin *d, const char *path)
{
	for (size_t i = 0; i < d->paths_n; i++)
		if ((d->paths[i].why & DROPIN_WRITTEN) && fs_is_beneath(d->paths[i].path, path))
			return true;
	return false;
}

static void dropin_written(struct dropin *d)
{
	bool told = false;

	for (size_t i = 0; i < d->paths_n; i++) {
		if (!(d->paths[i].why & DROPIN_WRITTEN) || dropin_is_usual(d->paths[i].path))
			continue;
		if (!told)
			(void)buf_adds(d->b, "# Written to; must be there, and the service's user's: install "
					     "-d -o brickwatch "
					     "-g brickwatch -m 0750 DIRECTORY\n");
		told = true;
		dropin_line(d, "ReadWritePaths", d->paths[i].path);
	}
	for (size_t i = 0; i < d->paths_n; i++)
		if ((d->paths[i].why & DROPIN_FOLDER) && dropin_is_written(d, d->paths[i].path))
			dropin_line(d, "ReadOnlyPaths", d->paths[i].path);
}

static bool dropin_is_plain(const char *s)
{
	return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/")] == '\0';
}

/* Below /run systemd makes it anew at each start. */
static void dropin_runtime(struct dropin *d)
{
	const char *path = d->q->conf->service.runtime_directory, *run = "/run";

	if (dropin_is_usual(path))
		return;
	if (fs_is_beneath(run, path) && strcmp(run, path) != 0 && dropin_is_plain(path))
		(void)buf_addf(d->b, "RuntimeDirectory=%s\n", path + strlen(run) + 1);
	else
		dropin_line(d, "ReadWritePaths", path);
}

static void dropin_credentials(struct dropin *d)
{
	if (d->credentials_n > 0)
		(void)buf_adds(d->b,
			"# The path behind each name is a guess: put the file there (root's, mode 0600), or "
			"name where it is;\n# without it the unit does not start (\"Protocol error\"). Or "
			"LoadCredentialEncrypted=, see systemd-creds(1).\n");
	for (size_t i = 0; i < d->credentials_n; i++) {
		if (dropin_is_plain(d->credentials[i])) {
			(void)buf_addf(d->b, "LoadCredential=%s:/etc/brickwatch/%s\n", d->credentials[i],
				d->credentials[i]);
			continue;
		}
		dropin_comment(
			d, "", d->credentials[i], " is not a name that systemd takes for a credential");
		d->bad++;
	}
}

static void dropin_denied(struct dropin *d)
{
	if (!d->q->looked)
		(void)buf_adds(d->b,
			"# Whether the service's user can read the folders was not looked at: only "
			"root and he can tell.\n");
	for (size_t i = 0; i < d->q->denied_n; i++) {
		const struct dropin_denied *it = &d->q->denied[i];

		if (it->group) {
			dropin_comment(d, it->above ? "Only its group may pass " : "Only its group may read ",
				it->path, ":");
			(void)buf_addf(d->b, "#SupplementaryGroups=%s\n", it->group);
		} else {
			(void)buf_addf(d->b, "# %s may not %s ", d->q->user, it->above ? "pass" : "read");
			(void)text_add_printable(d->b, it->path, strlen(it->path));
			(void)buf_addf(d->b, ": setfacl -m u:%s:%s, or another mode\n", d->q->user,
				it->above ? "x" : "rx");
		}
	}
}

static void dropin_head(struct dropin *d)
{
	dropin_comment(d, "What brickwatch.service needs for ", d->q->config,
		", made by brickwatch check --print-dropin.");
	(void)buf_adds(d->b,
		"# To be kept as /etc/systemd/system/brickwatch.service.d/folders.conf; then systemctl "
		"daemon-reload, and restart it.\n"
		"# To be made anew when a directory of the configuration has changed.\n");
	if (strcmp(d->q->config, d->q->usual) != 0)
		dropin_comment(d, "The unit reads ", d->q->usual,
			"; another file needs an ExecStart= of its own, with -c.");
	(void)buf_addc(d->b, '\n');
}

size_t dropin_print(const struct dropin_question *q, struct buf *b)
{
	struct dropin d = {.q = q, .b = b};

	dropin_note_all(&d);
	dropin_head(&d);
	dropin_mounts(&d);
	(void)buf_adds(b, "\n[Service]\n");
	dropin_hidden(&d);
	dropin_written(&d);
	dropin_runtime(&d);
	dropin_credentials(&d);
	dropin_denied(&d);
	for (size_t i = 0; i < d.paths_n; i++)
		free(d.paths[i].path);
	free(d.paths);
	free(d.credentials);
	return d.bad;
}
