/*
 * One table a kind of what it needs of the system, and one set of what else it gives up. A directory in the
 * table that is not there is passed over.
 *
 * keeper       none. Walls are inherited, and it starts everybody.
 * dispatcher   names and certificates are looked up by libraries, late and by plug-ins (name services,
 *              OpenSSL's modules), in files that are replaced by rename: so whole directories, for reading.
 *              It binds no TCP port, executes nothing, and reaches no abstract socket and no process.
 * watcher      what starting its sniffer takes: the program, its libraries where they are, the loader, the
 *              magic file. No TCP at all. /proc whole, since rules for single files there do not last (the
 *              kernel makes their inodes anew); what is in it of other processes is guarded by Landlock's
 *              rule on tracing.
 * sniffer      nothing.
 *
 * A library may be replaced by an upgrade while we run: so its directory, not the file. The program itself is
 * started by a link to what runs, which keeps working (sense/ask).
 *
 * An own path that leads nowhere yet gets no rule: one for its parent would open too much.
 *
 * Whether a path has moved is not found by comparing device and inode: both are used again, by the next FUSE
 * mount for its root, say. It is tried.
 */
#include "confine/walls.h"

#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/crash.h"
#include "base/fs.h"
#include "base/list.h"
#include "base/mem.h"
#include "confine/landlock.h"
#include "confine/seccomp.h"

#ifndef BW_MAGIC_FILE
#define BW_MAGIC_FILE "/usr/share/misc/magic.mgc"
#endif

#define LOOK (LANDLOCK_READ | LANDLOCK_LIST)

struct walls_own {
	struct list in;
	char *path;
	bool is_file;
	unsigned may;
	bool closed; /* when the walls were raised it could not be opened, for other reasons */
	dev_t dev;   /* … which it was then */
	ino_t ino;
};

struct walls {
	enum limits_kind kind;
	bool raised; /* Landlock is in force */
	struct list owns;
};

struct walls_system {
	const char *path;
	unsigned may;
};

static const struct walls_system walls_of_dispatcher[] = {{"/etc", LOOK}, {"/usr", LOOK}, {"/lib", LOOK},
	{"/lib32", LOOK}, {"/lib64", LOOK}, {"/proc", LOOK}, {"/dev/null", LANDLOCK_READ | LANDLOCK_WRITE},
	{"/dev/random", LANDLOCK_READ}, {"/dev/urandom", LANDLOCK_READ}, {"/sys/devices/system/cpu", LOOK},
	/* where /etc/resolv.conf leads to, and what name services keep */
	{"/run/NetworkManager", LOOK}, {"/run/connman", LOOK}, {"/run/netconfig", LOOK}, {"/run/nscd", LOOK},
	{"/run/resolvconf", LOOK}, {"/run/systemd", LOOK}, {"/var/cache/nscd", LOOK}, {"/var/db/nscd", LOOK},
	{"/var/lib/extrausers", LOOK}, {"/var/lib/sss", LOOK}, {"/mnt/wsl", LOOK},
	/* certificates of some distributions */
	{"/var/lib/ca-certificates", LOOK}};

static const struct walls_system walls_of_watcher[] = {{"/proc", LOOK},
	{"/dev/null", LANDLOCK_READ | LANDLOCK_WRITE}, {"/dev/urandom", LANDLOCK_READ},
	{"/etc/ld.so.cache", LANDLOCK_READ}, {"/etc/ld.so.preload", LANDLOCK_READ},
	{"/etc/localtime", LANDLOCK_READ}, {"/usr/share/zoneinfo", LANDLOCK_READ},
	{"/usr/lib/locale", LANDLOCK_READ}, {"/usr/share/misc", LANDLOCK_READ},
	{"/usr/share/file", LANDLOCK_READ}, {"/usr/lib/file", LANDLOCK_READ},
	{"/sys/devices/system/cpu", LOOK}, {"/proc/self/exe", LANDLOCK_READ | LANDLOCK_EXECUTE}};

static const struct {
	const struct walls_system *system;
	size_t system_n;
	unsigned lacks;
	bool starts_sniffer;
} walls_kinds[] = {
	[LIMITS_KEEPER] = {NULL, 0, 0, false},
	[LIMITS_DISPATCHER] = {walls_of_dispatcher, ARRAY_SIZE(walls_of_dispatcher),
		LANDLOCK_NO_BIND | LANDLOCK_NO_OTHERS, false},
	[LIMITS_WATCHER] = {walls_of_watcher, ARRAY_SIZE(walls_of_watcher),
		LANDLOCK_NO_BIND | LANDLOCK_NO_CONNECT | LANDLOCK_NO_OTHERS, true},
	[LIMITS_SNIFFER] = {NULL, 0, LANDLOCK_NO_BIND | LANDLOCK_NO_CONNECT | LANDLOCK_NO_OTHERS, false},
};

/* ---- what is its own ---- */

struct walls *walls_new(enum limits_kind kind)
{
	struct walls *w = mem_alloc(sizeof(*w));

	w->kind = kind;
	list_init(&w->owns);
	return w;
}

void walls_free(struct walls *w)
{
	if (!w)
		return;
	LIST_FOREACH_SAFE (it, &w->owns) {
		struct walls_own *own = LIST_OF(it, struct walls_own, in);

		list_remove(&own->in);
		free(own->path);
		free(own);
	}
	free(w);
}

static struct walls_own *walls_find(const struct walls *w, const char *path, bool is_file)
{
	LIST_FOREACH_SAFE (it, &w->owns) {
		struct walls_own *own = LIST_OF(it, struct walls_own, in);

		if (own->is_file == is_file && strcmp(own->path, path) == 0)
			return own;
	}
	return NULL;
}

static void walls_add(struct walls *w, const char *path, bool is_file, unsigned may)
{
	struct walls_own *own = walls_find(w, path, is_file);

	if (!own) {
		own = mem_alloc(sizeof(*own));
		own->path = mem_strdup(path);
		own->is_file = is_file;
		list_add_tail(&w->owns, &own->in);
	}
	own->may |= may;
}

void walls_own(struct walls *w, const char *directory, unsigned may)
{
	walls_add(w, directory, false, may | LANDLOCK_LIST);
}

void walls_own_file(struct walls *w, const char *file)
{
	CLEANUP_FREE char *parent = fs_parent(file);

	walls_own(w, parent, LANDLOCK_READ);
	walls_add(w, file, true, LANDLOCK_READ);
}

/* ---- raising ---- */

static void walls_allow(int rules, const char *path, unsigned may)
{
	struct err none = ERR_INIT;

	if (landlock_allow(rules, path, may, NULL, &none) < 0)
		return; /* not there */
}

/* Of a file the directory at the end of all links: there it is replaced. */
static void walls_allow_own(int rules, struct walls_own *own)
{
	CLEANUP_FREE char *real = own->is_file ? realpath(own->path, NULL) : NULL;
	CLEANUP_FREE char *parent = real ? fs_parent(real) : NULL;

	if (!own->is_file)
		walls_allow(rules, own->path, own->may);
	else if (parent)
		walls_allow(rules, parent, own->may);
}

/* The directory of a mapped library; the loader's may be executed from, as exec(2) does. */
static int walls_allow_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	const int *rules = arg;
	bool is_loader = info->dlpi_addr != 0 && info->dlpi_addr == getauxval(AT_BASE);
	CLEANUP_FREE char *real = info->dlpi_name[0] == '/' ? realpath(info->dlpi_name, NULL) : NULL;
	CLEANUP_FREE char *named = real ? fs_parent(info->dlpi_name) : NULL;
	CLEANUP_FREE char *placed = real ? fs_parent(real) : NULL;

	(void)size;
	if (!real)
		return 0;
	walls_allow(*rules, named, LANDLOCK_READ | (is_loader ? LANDLOCK_EXECUTE : 0));
	walls_allow(*rules, placed, LANDLOCK_READ | (is_loader ? LANDLOCK_EXECUTE : 0));
	return 0;
}

static void walls_allow_sniffer(int rules)
{
	CLEANUP_FREE char *magic = realpath(BW_MAGIC_FILE, NULL);
	CLEANUP_FREE char *place = magic ? fs_parent(magic) : NULL;

	if (place)
		walls_allow(rules, place, LANDLOCK_READ);
	if (crash_file()) /* its crash_init() maps it again */
		walls_allow(rules, crash_file(), LANDLOCK_READ | LANDLOCK_WRITE);
	(void)dl_iterate_phdr(walls_allow_library, &rules);
}

/* Does something keep us out that is not the file's mode? Landlock is asked by open(2), but not by access(2).
 */
static bool walls_are_in_the_way(const struct walls_own *own)
{
	int flags = own->is_file ? O_NONBLOCK | O_NOCTTY : O_DIRECTORY;
	CLEANUP_FD int fd = open(own->path, O_RDONLY | O_CLOEXEC | flags);

	return fd < 0 && errno == EACCES && faccessat(AT_FDCWD, own->path, R_OK, AT_EACCESS) == 0;
}

/* A mount whose server refuses, another security module: another process would get no further. */
static void walls_note_closed(struct walls_own *own)
{
	struct stat st;

	own->closed = walls_are_in_the_way(own);
	if (!own->closed || stat(own->path, &st) < 0)
		return;
	own->dev = st.st_dev;
	own->ino = st.st_ino;
}

static int walls_raise_landlock(struct walls *w, struct err *err)
{
	struct err none = ERR_INIT;
	CLEANUP_FD int rules = -1;
	int rc;

	if (landlock_abi(&none) < 0)
		return 0;
	rules = landlock_begin(walls_kinds[w->kind].lacks, err);
	if (rules < 0)
		return rules;
	for (size_t i = 0; i < walls_kinds[w->kind].system_n; i++)
		walls_allow(rules, walls_kinds[w->kind].system[i].path, walls_kinds[w->kind].system[i].may);
	if (walls_kinds[w->kind].starts_sniffer)
		walls_allow_sniffer(rules);
	LIST_FOREACH_SAFE (it, &w->owns)
		walls_allow_own(rules, LIST_OF(it, struct walls_own, in));
	rc = landlock_restrict(rules, err);
	if (rc < 0)
		return rc;
	w->raised = true;
	LIST_FOREACH_SAFE (it, &w->owns)
		walls_note_closed(LIST_OF(it, struct walls_own, in));
	return 0;
}

int walls_raise(struct walls *w, bool without_seccomp, struct err *err)
{
	int rc, filter = 0;
	struct err other = ERR_INIT;

	if (limits_is_checked() || w->kind == LIMITS_KEEPER)
		return 0;
	rc = walls_raise_landlock(w, err);
	if (!without_seccomp && seccomp_is_there())
		filter = seccomp_confine(w->kind, &other);
	if (rc == 0 && filter < 0)
		*err = other;
	return rc < 0 ? rc : filter;
}

/* ---- has it moved? ---- */

static bool walls_own_moved(const struct walls *w, const struct walls_own *own)
{
	struct stat st;

	if (!w->raised || !walls_are_in_the_way(own))
		return false;
	return !own->closed ||
	       (stat(own->path, &st) == 0 && (st.st_dev != own->dev || st.st_ino != own->ino));
}

bool walls_moved(const struct walls *w, const char *path)
{
	const struct walls_own *own = walls_find(w, path, false);

	if (!own)
		own = walls_find(w, path, true);
	return own && walls_own_moved(w, own);
}

const char *walls_first_moved(const struct walls *w, const char *except)
{
	LIST_FOREACH_SAFE (it, &w->owns) {
		const struct walls_own *own = LIST_OF(it, struct walls_own, in);

		if ((!except || strcmp(own->path, except) != 0) && walls_own_moved(w, own))
			return own->path;
	}
	return NULL;
}

bool walls_cover(const struct walls *w, const struct walls *other)
{
	LIST_FOREACH_SAFE (it, &other->owns) {
		const struct walls_own *own = LIST_OF(it, struct walls_own, in);
		const struct walls_own *here = walls_find(w, own->path, own->is_file);

		if (!here || (own->may & ~here->may))
			return false;
	}
	return true;
}

const char *walls_hold(const struct walls *w, const char *path)
{
	LIST_FOREACH_SAFE (it, &w->owns) {
		const struct walls_own *own = LIST_OF(it, struct walls_own, in);

		if (!own->is_file && fs_is_beneath(own->path, path))
			return own->path;
	}
	return NULL;
}

/* ---- telling ---- */

bool walls_tell(char text[WALLS_TEXT_BYTES])
{
	struct err err = ERR_INIT;
	int abi = landlock_abi(&err);
	bool filter = seccomp_is_there();
	char landlock[64];

	if (limits_is_checked()) {
		(void)snprintf(text, WALLS_TEXT_BYTES, "not at all, under a checking tool");
		return true;
	}
	(void)snprintf(landlock, sizeof(landlock), "Landlock %d", abi);
	(void)snprintf(text, WALLS_TEXT_BYTES, "%.200s, %s", abi < 0 ? err.text : landlock,
		filter ? "seccomp" : "seccomp is not in this kernel, or forbidden here");
	return abi > 0 && filter;
}
