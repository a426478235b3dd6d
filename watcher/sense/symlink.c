/*
 * symlink: the kernel resolves what a link says, beneath the directory and nowhere else (openat2), so nothing
 * that is exchanged meanwhile can lead out. A link with an absolute path would be refused by that; if the
 * path is that of the directory, what is behind it is resolved instead.
 */
#include "sense/symlink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/mem.h"

/* The link itself, nothing on the way followed. */
static int symlink_open_itself(int root_fd, const char *relpath, struct wire_page *page)
{
	int fd;

	wire_page_enter(page, "open", relpath);
	fd = fs_open_beneath(root_fd, relpath, O_PATH | O_NOFOLLOW, false);
	wire_page_leave(page);
	return fd;
}

static int symlink_read_fd(int fd, char *text, size_t room)
{
	ssize_t n = readlinkat(fd, "", text, room);

	if (n < 0)
		return errno == ENOENT ? -EINVAL : -errno; /* so it says of what is no link: readlink(2) */
	if ((size_t)n == room)
		return -ENAMETOOLONG;
	text[n] = '\0';
	return (int)n;
}

int symlink_read(int root_fd, const char *relpath, struct wire_page *page, struct buf *ret)
{
	CLEANUP_FD int fd = symlink_open_itself(root_fd, relpath, page);
	char text[WIRE_PATH_BYTES];
	int n = fd < 0 ? fd : symlink_read_fd(fd, text, sizeof(text));

	return n < 0 ? n : buf_add(ret, text, (size_t)n);
}

/* The part of an absolute path below the directory; NULL: it is not below it. */
static const char *symlink_beneath(const struct sense_root *root, const char *path)
{
	const char *const tops[] = {
		root->path, root->resolved.len > 0 ? buf_str(&root->resolved) : root->path};

	for (size_t i = 0; i < ARRAY_SIZE(tops); i++)
		if (fs_is_beneath(tops[i], path) && strlen(path) > strlen(tops[i]))
			return path + strlen(tops[i]) + (path[strlen(tops[i])] == '/');
	return NULL;
}

static int symlink_device(int fd, dev_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = st.st_dev;
	return 0;
}

/* Opens what the link leads to. */
static int symlink_follow(const struct sense *s, size_t root, int root_fd, const char *relpath, int flags)
{
	CLEANUP_FD int link_fd = symlink_open_itself(root_fd, relpath, s->page);
	int fd;
	char text[WIRE_PATH_BYTES];
	dev_t here = 0, there = 0;
	int rc;

	rc = link_fd < 0 ? link_fd : symlink_read_fd(link_fd, text, sizeof(text));
	if (rc < 0)
		return rc == -EINVAL ? -EAGAIN : rc; /* it is no link any more */
	if (text[0] == '/') {
		relpath = symlink_beneath(&s->roots[root], text);
		if (!relpath)
			return -EXDEV;
	}
	wire_page_enter(s->page, "open", relpath);
	fd = fs_open_beneath(root_fd, relpath, flags, true);
	rc = fd < 0 ? fd : symlink_device(fd, &there);
	wire_page_leave(s->page);
	if (rc >= 0)
		rc = symlink_device(link_fd, &here);
	if (rc >= 0 && here != there)
		rc = -EXDEV;
	if (rc >= 0)
		return fd;
	fs_close(&fd);
	return rc == -EINVAL ? -EXDEV : rc; /* an absolute path that is not plain */
}

int symlink_look(const struct sense *s, size_t root, int root_fd, const char *relpath, bool now,
	struct probe_stat *ret)
{
	CLEANUP_FD int fd = -1;
	struct probe_stat st;
	int rc = now ? probe_name_now(root_fd, relpath, s->page, &st)
		     : probe_name(root_fd, relpath, s->page, &st);

	if (rc == 0 && st.is_symlink && s->watch->follow_symlinks) {
		fd = symlink_follow(s, root, root_fd, relpath, O_PATH);
		rc = fd < 0 ? fd : probe_fd(fd, relpath, s->page, &st);
		st.is_symlink = true;
		st.is_directory = false;
	}
	if (rc == 0)
		*ret = st;
	return rc;
}

int symlink_open(const struct sense *s, size_t root, int root_fd, const char *relpath)
{
	int fd = probe_open(root_fd, relpath, s->page);

	if (fd == -ELOOP && s->watch->follow_symlinks)
		fd = symlink_follow(s, root, root_fd, relpath, O_RDONLY);
	return fd;
}
