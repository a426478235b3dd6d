/*
 * mounts: a short table by device number. A device number is asked for at every listing (from the directory
 * that is open anyway); what kind of file system it is only once.
 *
 * What cannot be asked is taken for the worst: polled, and nothing believed.
 */
#include "sense/mounts.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include "base/fs.h"
#include "base/mem.h"

#define MOUNTINFO_BYTES (4u * 1024 * 1024) /* of a host with very many containers */

struct mounts {
	const struct conf_watch *watch;
	struct settle_policy policy;
	struct mount *items[MOUNTS_MAX];
	size_t n;
};

static struct settle_policy mounts_make_policy(const struct conf_watch *w, bool polled)
{
	return (struct settle_policy){
		.closed_us = w->settle_closed_us,
		.quiet_us = w->settle_quiet_us,
		.marked = w->complete == CONF_COMPLETE_MARKER,
		.need_close = w->complete == CONF_COMPLETE_CLOSE,
		.quiet_only = w->complete == CONF_COMPLETE_QUIET,
		.apart_us = polled ? w->poll_interval_us : 0,
	};
}

struct mounts *mounts_new(const struct conf_watch *w)
{
	struct mounts *m = mem_alloc(sizeof(*m));

	m->watch = w;
	m->policy = mounts_make_policy(w, w->method == CONF_METHOD_POLL);
	return m;
}

void mounts_free(struct mounts *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->items[i]);
	free(m);
}

static void mounts_type(dev_t dev, char type[FSKIND_NAME_BYTES])
{
	CLEANUP_BUF struct buf text = BUF_INIT(MOUNTINFO_BYTES);

	if (fs_read_file("/proc/self/mountinfo", MOUNTINFO_BYTES - 1, &text, NULL) < 0 ||
		!fskind_mount_type(buf_str(&text), major(dev), minor(dev), type))
		type[0] = '\0';
}

static void mounts_fill(const struct mounts *m, struct mount *x)
{
	int method = m->watch->method;

	x->notified = method != CONF_METHOD_POLL;
	x->polled = method == CONF_METHOD_POLL || (method == CONF_METHOD_AUTO && x->kind.how == FSKIND_BOTH);
	x->policy = mounts_make_policy(m->watch, x->polled);
}

static const struct mount *mounts_add(struct mounts *m, dev_t dev, int64_t magic)
{
	char type[FSKIND_NAME_BYTES] = "";
	struct mount *x;

	if (m->n == MOUNTS_MAX)
		return m->items[m->n - 1];
	x = mem_alloc(sizeof(*x));
	x->dev = dev;
	if (m->n + 1 == MOUNTS_MAX)
		magic = 0;
	else if (fskind_wants_mount_type(magic))
		mounts_type(dev, type);
	fskind_decide(magic, type, &x->kind);
	mounts_fill(m, x);
	m->items[m->n++] = x;
	return x;
}

const struct mount *mounts_of_fd(struct mounts *m, int fd, const char *path, struct wire_page *page)
{
	struct stat st;
	struct statfs fs;

	wire_page_enter(page, "statfs", path);
	if (fstat(fd, &st) < 0)
		st.st_dev = 0;
	for (size_t i = 0; i < m->n; i++) {
		if (m->items[i]->dev == st.st_dev) {
			wire_page_leave(page);
			return m->items[i];
		}
	}
	if (st.st_dev == 0 || fstatfs(fd, &fs) < 0)
		fs.f_type = 0;
	wire_page_leave(page);
	return mounts_add(m, st.st_dev, (int64_t)fs.f_type);
}

size_t mounts_count(const struct mounts *m)
{
	return m->n;
}

const struct mount *mounts_at(const struct mounts *m, size_t i)
{
	BUG_ON(i >= m->n);
	return m->items[i];
}

const char *mounts_method(const struct mounts *m)
{
	bool notified = false, polled = false;

	for (size_t i = 0; i < m->n; i++) {
		notified |= m->items[i]->notified;
		polled |= m->items[i]->polled;
	}
	return notified && polled ? "inotify+poll" : polled ? "poll" : notified ? "inotify" : "";
}

void mounts_add_names(const struct mounts *m, struct buf *b)
{
	for (size_t i = 0; i < m->n; i++) {
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= strcmp(m->items[k]->kind.name, m->items[i]->kind.name) == 0;
		if (!again)
			(void)buf_addf(b, "%s%s", b->len > 0 ? "," : "", m->items[i]->kind.name);
	}
}

const struct settle_policy *mounts_policy(const struct mounts *m)
{
	return &m->policy;
}
