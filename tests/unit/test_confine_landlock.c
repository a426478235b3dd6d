/*
 * confine/landlock: each kind of wall by itself: children that raise it and try to get over it. The working
 * directory of a test holds in/file and out/file.
 */
#include "confine/landlock.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <cmocka.h>
#include "climb.h"

#define SYS_CREATE 444

static int abi; /* of this kernel; -errno */

static int set_up(void **state)
{
	static char place[64];

	(void)snprintf(place, sizeof(place), "/tmp/test_landlock.XXXXXX");
	if (!mkdtemp(place) || chdir(place) < 0)
		return -1;
	*state = place;
	return mkdir("in", 0755) < 0 || mkdir("out", 0755) < 0 || !climb_write("in/file", "in") ||
			       !climb_write("out/file", "out")
		       ? -1
		       : 0;
}

static int tear_down(void **state)
{
	return chdir("/") < 0 ? -1 : climb_remove(*state);
}

/* A wall with one gate. */
static const char *confine(const char *path, unsigned may, unsigned lacks)
{
	struct err err = ERR_INIT;
	int rules;

	if (abi < 0)
		return CLIMB_SKIP;
	EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	rules = landlock_begin(lacks, &err);
	EXPECT(rules >= 0);
	EXPECT(!path || landlock_allow(rules, path, may, NULL, &err) == 0);
	EXPECT(landlock_restrict(rules, &err) == 0);
	close(rules);
	return NULL;
}

#define CONFINE(path, may, lacks)                                                                            \
	do {                                                                                                 \
		const char *wrong = confine(path, may, lacks);                                               \
		if (wrong)                                                                                   \
			return wrong;                                                                        \
	} while (0)

/* ---- files ---- */

static const char *inside_reader(void *arg)
{
	struct stat st;

	(void)arg;
	CONFINE("in", LANDLOCK_READ | LANDLOCK_LIST, 0);
	EXPECT(climb_open("in/file", O_RDONLY) == 0);
	EXPECT(climb_open("in", O_RDONLY | O_DIRECTORY) == 0);
	EXPECT_ERRNO(climb_open("in/file", O_WRONLY), EACCES);
	EXPECT_ERRNO(climb_open("in/file", O_RDONLY | O_TRUNC), EACCES);
	EXPECT_ERRNO(climb_open("in/new", O_WRONLY | O_CREAT), EACCES);
	EXPECT_ERRNO(unlink("in/file"), EACCES);
	EXPECT_ERRNO(rename("in/file", "in/other"), EACCES);
	EXPECT_ERRNO(mkdir("in/folder", 0700), EACCES);
	EXPECT_ERRNO(symlink("file", "in/link"), EACCES);
	EXPECT_ERRNO(mkfifo("in/pipe", 0600), EACCES);
	EXPECT_ERRNO(climb_open("out/file", O_RDONLY), EACCES);
	EXPECT_ERRNO(climb_open("out", O_RDONLY | O_DIRECTORY), EACCES);
	EXPECT_ERRNO(climb_open("in/../out/file", O_RDONLY), EACCES);
	EXPECT_ERRNO(climb_open("/etc/passwd", O_RDONLY), EACCES);
	EXPECT_ERRNO(execl("/bin/true", "true", NULL), EACCES);
	/* what no kernel takes away, and we rely on */
	EXPECT(stat("out/file", &st) == 0);
	EXPECT(climb_open("out", O_PATH | O_DIRECTORY) == 0);
	return NULL;
}

static const char *inside_writer(void *arg)
{
	(void)arg;
	CONFINE("in", LANDLOCK_READ | LANDLOCK_LIST | LANDLOCK_WRITE | LANDLOCK_MAKE, 0);
	EXPECT(climb_write("in/new", "x"));
	EXPECT(rename("in/new", "in/other") == 0);
	EXPECT(truncate("in/other", 0) == 0);
	EXPECT(unlink("in/other") == 0);
	EXPECT_ERRNO(mkdir("in/folder", 0700), EACCES);
	EXPECT_ERRNO(climb_open("out/new", O_WRONLY | O_CREAT), EACCES);
	EXPECT(rename("in/file", "out/in") < 0);
	EXPECT(link("out/file", "in/stolen") < 0);
	EXPECT(rename("out/file", "in/stolen") < 0);
	return NULL;
}

static const char *inside_folders(void *arg)
{
	(void)arg;
	CONFINE("in", LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_MAKE | LANDLOCK_FOLDERS, 0);
	EXPECT(mkdir("in/folder", 0700) == 0 && climb_write("in/folder/new", "x"));
	if (abi >= 2)
		EXPECT(rename("in/folder/new", "in/moved") == 0);
	return NULL;
}

static const char *inside_nothing(void *arg)
{
	(void)arg;
	CONFINE(NULL, 0, 0);
	EXPECT_ERRNO(climb_open("in/file", O_RDONLY), EACCES);
	EXPECT_ERRNO(climb_open("/", O_RDONLY | O_DIRECTORY), EACCES);
	EXPECT_ERRNO(climb_open("/proc/self/maps", O_RDONLY), EACCES);
	EXPECT_ERRNO(climb_open("/dev/null", O_WRONLY), EACCES);
	return NULL;
}

static const char *inside_one_file(void *arg)
{
	(void)arg;
	/* rights of directories are no mistake for a file */
	CONFINE("in/file", LANDLOCK_READ | LANDLOCK_LIST | LANDLOCK_MAKE, 0);
	EXPECT(climb_open("in/file", O_RDONLY) == 0);
	EXPECT_ERRNO(climb_open("in/file", O_WRONLY), EACCES);
	EXPECT_ERRNO(climb_open("in", O_RDONLY | O_DIRECTORY), EACCES);
	return NULL;
}

static const char *inside_execute(void *arg)
{
	(void)arg;
	CONFINE("/", LANDLOCK_READ | LANDLOCK_EXECUTE, 0);
	execl("/bin/true", "true", NULL);
	return "not executed";
}

static void test_files(void **state)
{
	(void)state;
	climb(inside_reader, NULL);
	climb(inside_writer, NULL);
	climb(inside_folders, NULL);
	climb(inside_nothing, NULL);
	climb(inside_one_file, NULL);
	climb(inside_execute, NULL);
}

/* ---- a rule belongs to the inode ---- */

/* Confined to `in`, it looks at in/file whenever it is told to, and says the errno. */
static const char *inside_served(void *arg)
{
	const int *fds = arg;
	char c;

	CONFINE("in", LANDLOCK_READ, 0);
	while (read(fds[0], &c, 1) == 1) {
		c = climb_open("in/file", O_RDONLY) == 0 ? 0 : (char)errno;
		EXPECT(write(fds[1], &c, 1) == 1);
	}
	return NULL;
}

static int ask(const int to[2], const int from[2])
{
	char c = '?';

	if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
		return -1;
	return c;
}

static void test_inode(void **state)
{
	int to[2], from[2], fds[2];
	pid_t pid;

	(void)state;
	if (abi < 0)
		skip();
	assert_int_equal(pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC), 0);
	fds[0] = to[0];
	fds[1] = from[1];
	pid = fork();
	if (pid == 0) {
		close(to[1]);
		_exit(inside_served(fds) ? 1 : 0);
	}
	assert_int_equal(ask(to, from), 0);
	assert_int_equal(rename("in", "was") | mkdir("in", 0755), 0);
	assert_true(climb_write("in/file", "new"));
	assert_int_equal(ask(to, from), EACCES);
	/* the old one is let in again under the old name */
	assert_int_equal(rename("in", "new") | rename("was", "in"), 0);
	assert_int_equal(ask(to, from), 0);
	close(to[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(to[0]);
	close(from[0]);
	close(from[1]);
}

/* ---- mounts ---- */

static bool own_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* A mount beneath what is allowed is inside, also one that comes later; one over it is outside. */
static const char *inside_mounts(void *arg)
{
	int to[2], from[2], fds[2], below, over, back;

	(void)arg;
	if (!own_mounts())
		return CLIMB_SKIP;
	EXPECT(mkdir("in/below", 0755) == 0);
	EXPECT((pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC)) == 0);
	fds[0] = to[0];
	fds[1] = from[1];
	if (fork() == 0) {
		close(to[1]);
		_exit(inside_served(fds) ? 1 : 0);
	}
	EXPECT(ask(to, from) == 0);
	/* in/file is now a link into a mount below */
	EXPECT(mount("none", "in/below", "tmpfs", 0, NULL) == 0 && climb_write("in/below/there", "x"));
	EXPECT(unlink("in/file") == 0 && symlink("below/there", "in/file") == 0);
	below = ask(to, from);
	EXPECT(mount("none", "in", "tmpfs", 0, NULL) == 0 && climb_write("in/file", "over"));
	over = ask(to, from);
	EXPECT(umount("in") == 0);
	back = ask(to, from);
	(void)umount("in/below");
	EXPECT(below == 0);
	EXPECT(over == EACCES);
	EXPECT(back == 0);
	return NULL;
}

static void test_mounts(void **state)
{
	(void)state;
	if (abi < 0)
		skip();
	climb(inside_mounts, NULL);
}

/* ---- TCP, abstract sockets, signals ---- */

static int listen_tcp(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(*address);

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	if (bind(fd, (struct sockaddr *)address, n) < 0 || listen(fd, 4) < 0 ||
		getsockname(fd, (struct sockaddr *)address, &n) < 0)
		return -1;
	return fd;
}

static const char *inside_tcp(void *arg)
{
	const unsigned *lacks = arg;
	struct sockaddr_in there, here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int server = listen_tcp(&there), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	EXPECT(server >= 0 && fd >= 0 && other >= 0);
	CONFINE(NULL, 0, *lacks);
	rc = connect(fd, (struct sockaddr *)&there, sizeof(there));
	EXPECT(*lacks & LANDLOCK_NO_CONNECT ? rc < 0 && errno == EACCES : rc == 0);
	rc = bind(other, (struct sockaddr *)&here, sizeof(here));
	EXPECT(*lacks & LANDLOCK_NO_BIND ? rc < 0 && errno == EACCES : rc == 0);
	return NULL;
}

static void test_tcp(void **state)
{
	static unsigned all = LANDLOCK_NO_BIND | LANDLOCK_NO_CONNECT, bound = LANDLOCK_NO_BIND, none = 0;

	(void)state;
	if (abi < 4)
		skip();
	climb(inside_tcp, &all);
	climb(inside_tcp, &bound);
	climb(inside_tcp, &none);
}

static const char *inside_others(void *arg)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *name = arg;
	socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	int status;
	pid_t own;

	memcpy(address.sun_path + 1, name, strlen(name));
	CONFINE(NULL, 0, LANDLOCK_NO_OTHERS);
	EXPECT_ERRNO(connect(fd, (struct sockaddr *)&address, n), EPERM);
	EXPECT_ERRNO(kill(getppid(), 0), EPERM);
	EXPECT_ERRNO(kill(getppid(), SIGCONT), EPERM);
	own = fork(); /* a watcher must be able to end its sniffer */
	if (own == 0)
		for (;;)
			pause();
	EXPECT(own > 0 && kill(own, SIGKILL) == 0 && waitpid(own, &status, 0) == own);
	return NULL;
}

static void test_others(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[64];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	if (abi < 6)
		skip();
	(void)snprintf(name, sizeof(name), "test_confine_landlock-%d", (int)getpid());
	memcpy(address.sun_path + 1, name, strlen(name));
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
		0);
	assert_int_equal(listen(fd, 4), 0);
	climb(inside_others, name);
	close(fd);
}

/* ---- kernels without ---- */

static const char *inside_without(void *arg)
{
	const unsigned *code = arg;
	struct err err = ERR_INIT;

	if (!climb_forbid(SYS_CREATE, *code))
		return CLIMB_SKIP;
	EXPECT(landlock_abi(&err) == -(int)*code);
	EXPECT(strstr(err.text, *code == ENOSYS	      ? "not in this kernel"
				: *code == EOPNOTSUPP ? "turned off"
						      : "forbidden"));
	EXPECT(landlock_begin(0, &err) == -(int)*code);
	return NULL;
}

static void test_without(void **state)
{
	static unsigned codes[] = {ENOSYS, EOPNOTSUPP, EPERM};

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		climb(inside_without, &codes[i]);
}

static void test_mistakes(void **state)
{
	struct err err = ERR_INIT;
	int rules;

	(void)state;
	if (abi < 0)
		skip();
	rules = landlock_begin(0, &err);
	assert_true(rules >= 0);
	assert_int_equal(landlock_allow(rules, "in/nothing", LANDLOCK_READ, NULL, &err), -ENOENT);
	close(rules);
	assert_int_equal(landlock_allow(rules, "in", LANDLOCK_READ, NULL, &err), -EBADF);
	assert_int_equal(landlock_restrict(rules, &err), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_inode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mounts, set_up, tear_down),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_without),
		cmocka_unit_test_setup_teardown(test_mistakes, set_up, tear_down),
	};
	struct err err = ERR_INIT;

	abi = landlock_abi(&err);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
