/*
 * confine/walls: what each kind of process can still do behind all of its walls, and what it notices when a
 * path leads elsewhere. The working directory of a test is a new one, with drop/file and own/.
 */
#include "confine/walls.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <cmocka.h>
#include "confine/landlock.h"
#include "confine/seccomp.h"
#include "climb.h"

#define LOOK (LANDLOCK_READ | LANDLOCK_LIST)
#define ALL (LOOK | LANDLOCK_WRITE | LANDLOCK_MAKE)

static char place[64];
static int abi;

/* An absolute path in the test's directory; four of them live at a time. */
static const char *at(const char *name)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", place, name);
	return path;
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(place, sizeof(place), "/tmp/test_walls.XXXXXX");
	if (!mkdtemp(place) || chdir(place) < 0)
		return -1;
	return mkdir("drop", 0755) < 0 || mkdir("own", 0755) < 0 || !climb_write("drop/file", "x") ||
			       !climb_write("own/token", "secret")
		       ? -1
		       : 0;
}

static int tear_down(void **state)
{
	(void)state;
	return chdir("/") < 0 ? -1 : climb_remove(place);
}

static const char *raise_walls(struct walls *w, enum limits_kind kind)
{
	struct err err = ERR_INIT;

	if (abi < 0 || !seccomp_is_there() || limits_is_checked())
		return CLIMB_SKIP;
	EXPECT(limits_apply(kind, &err) == 0);
	EXPECT(walls_raise(w, false, &err) == 0);
	return NULL;
}

#define RAISE(w, kind)                                                                                       \
	do {                                                                                                 \
		const char *wrong = raise_walls(w, kind);                                                    \
		if (wrong)                                                                                   \
			return wrong;                                                                        \
	} while (0)

/* ---- a watcher ---- */

static const char *inside_watcher(void *arg)
{
	struct walls *w = walls_new(LIMITS_WATCHER);
	char other[64];
	int status;
	pid_t pid;

	(void)arg;
	walls_own(w, at("drop"), LOOK);
	RAISE(w, LIMITS_WATCHER);
	EXPECT(climb_open("drop/file", O_RDONLY) == 0);
	EXPECT(climb_open("drop", O_RDONLY | O_DIRECTORY) == 0);
	EXPECT_ERRNO(climb_open("drop/file", O_RDWR), EACCES);
	EXPECT_ERRNO(climb_open("drop/new", O_WRONLY | O_CREAT), EACCES);
	EXPECT_ERRNO(unlink("drop/file"), EACCES);
	EXPECT_ERRNO(rename("drop/file", "drop/other"), EACCES);
	EXPECT_ERRNO(chmod("drop/file", 0600), EPERM);
	EXPECT_ERRNO(climb_open("own/token", O_RDONLY), EACCES);
	EXPECT_ERRNO(climb_open("/etc/passwd", O_RDONLY), EACCES);
	EXPECT_ERRNO(socket(AF_INET, SOCK_STREAM, 0), EPERM);
	EXPECT_ERRNO(mount("none", at("drop"), "tmpfs", 0, NULL), EPERM);
	EXPECT(kill(getppid(), 0) < 0 || abi < 6);
	/* what it reads of the system; nothing of a process outside */
	EXPECT(climb_open("/proc/self/mountinfo", O_RDONLY) == 0);
	EXPECT(climb_open("/proc/sys/fs/inotify/max_user_watches", O_RDONLY) == 0);
	(void)snprintf(other, sizeof(other), "/proc/%d/environ", (int)getppid());
	EXPECT_ERRNO(climb_open(other, O_RDONLY), EACCES);
	(void)snprintf(other, sizeof(other), "/proc/%d/mem", (int)getppid());
	EXPECT_ERRNO(climb_open(other, O_RDWR), EACCES);
	/* it starts its sniffer, and nothing else */
	EXPECT_ERRNO(execl("/bin/true", "true", NULL), EACCES);
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "bw-child", NULL);
		_exit(1);
	}
	EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	walls_free(w);
	return NULL;
}

/* It reads what root may read, and writes what it may not: nothing. */
static const char *inside_root_watcher(void *arg)
{
	struct walls *w = walls_new(LIMITS_WATCHER);

	(void)arg;
	if (geteuid() != 0 || chmod("drop/file", 0) < 0 || chown("drop/file", 12345, 12345) < 0 ||
		chmod("drop", 0700) < 0 || chown("drop", 12345, 12345) < 0)
		return CLIMB_SKIP;
	walls_own(w, at("drop"), LOOK);
	RAISE(w, LIMITS_WATCHER);
	EXPECT(climb_open("drop/file", O_RDONLY) == 0);
	EXPECT_ERRNO(climb_open("drop/file", O_WRONLY), EACCES);
	walls_free(w);
	return NULL;
}

/* ---- the dispatcher ---- */

static const char *inside_dispatcher(void *arg)
{
	struct walls *w = walls_new(LIMITS_DISPATCHER);
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct addrinfo *found = NULL;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)arg;
	walls_own(w, at("own"), ALL);
	RAISE(w, LIMITS_DISPATCHER);
	EXPECT(climb_open("own/token", O_RDONLY) == 0);
	EXPECT(climb_write("own/log", "x") && rename("own/log", "own/log.1") == 0 &&
		unlink("own/log.1") == 0);
	EXPECT_ERRNO(climb_open("drop/file", O_RDONLY), EACCES);
	EXPECT_ERRNO(climb_open("drop", O_RDONLY | O_DIRECTORY), EACCES);
	EXPECT_ERRNO(climb_open("drop/new", O_WRONLY | O_CREAT), EACCES);
	EXPECT_ERRNO(climb_open("/etc/new", O_WRONLY | O_CREAT), EACCES);
	EXPECT_ERRNO(climb_open("/tmp/new", O_WRONLY | O_CREAT), EACCES);
	EXPECT_ERRNO(execl("/bin/true", "true", NULL), EPERM);
	EXPECT(kill(getppid(), 0) < 0 || abi < 6);
	EXPECT((bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0 && errno == EACCES) || abi < 4);
	/* what libraries open late */
	EXPECT(getpwuid(0) != NULL);
	EXPECT(getaddrinfo("localhost", "443", NULL, &found) == 0);
	freeaddrinfo(found);
	EXPECT(climb_open("/dev/urandom", O_RDONLY) == 0);
	EXPECT(climb_open("/dev/null", O_WRONLY) == 0);
	EXPECT(climb_open("/etc/ssl/certs", O_RDONLY | O_DIRECTORY) == 0 || errno == ENOENT);
	walls_free(w);
	return NULL;
}

/* Replaced by rename, read through links, over directories that come later. */
static const char *inside_secrets(void *arg)
{
	struct walls *w = walls_new(LIMITS_DISPATCHER);

	(void)arg;
	EXPECT(mkdir("links", 0755) == 0 && symlink("../own/token", "links/token") == 0);
	walls_own_file(w, at("links/token"));
	RAISE(w, LIMITS_DISPATCHER);
	EXPECT(climb_open("links/token", O_RDONLY) == 0);
	EXPECT(walls_first_moved(w, NULL) == NULL);
	EXPECT_ERRNO(climb_open("links/token", O_WRONLY), EACCES);
	EXPECT_ERRNO(climb_open("drop/file", O_RDONLY), EACCES);
	walls_free(w);
	return NULL;
}

/* ---- a sniffer ---- */

static const char *inside_sniffer(void *arg)
{
	struct walls *w = walls_new(LIMITS_SNIFFER);
	struct err err = ERR_INIT;

	(void)arg;
	if (abi < 0 || limits_is_checked())
		return CLIMB_SKIP;
	EXPECT(limits_apply(LIMITS_SNIFFER, &err) == 0);
	EXPECT(walls_raise(w, true, &err) == 0); /* the filter has tests of its own */
	EXPECT_ERRNO(climb_open("drop/file", O_RDONLY), EACCES);
	EXPECT_ERRNO(climb_open("/proc/self/maps", O_RDONLY), EACCES);
	EXPECT_ERRNO(climb_open("/", O_RDONLY | O_DIRECTORY), EACCES);
	EXPECT_ERRNO(execl("/proc/self/exe", "bw-child", NULL), EACCES);
	walls_free(w);
	return NULL;
}

static const char *inside_keeper(void *arg)
{
	struct walls *w = walls_new(LIMITS_KEEPER);

	(void)arg;
	RAISE(w, LIMITS_KEEPER);
	EXPECT(climb_open("/etc/passwd", O_RDONLY) == 0);
	EXPECT(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0);
	EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	walls_free(w);
	return NULL;
}

static void test_kinds(void **state)
{
	(void)state;
	climb(inside_watcher, NULL);
	climb(inside_dispatcher, NULL);
	climb(inside_secrets, NULL);
	climb(inside_sniffer, NULL);
	climb(inside_keeper, NULL);
}

static void test_root(void **state)
{
	(void)state;
	climb(inside_root_watcher, NULL);
}

/* ---- what has moved ---- */

/* Says first what has moved by the names in arg, then waits to be asked again. */
struct moved {
	int to[2], from[2];
	pid_t pid;
};

static _Noreturn void serve_moved(const struct moved *m)
{
	struct walls *w = walls_new(LIMITS_DISPATCHER);
	const char *path;
	char c;

	walls_own(w, at("own"), ALL);
	walls_own(w, at("later"), LOOK);
	walls_own_file(w, at("links/token"));
	if (raise_walls(w, LIMITS_DISPATCHER))
		_exit(1);
	while (read(m->to[0], &c, 1) == 1) {
		path = walls_first_moved(w, NULL);
		c = path ? path[strlen(place) + 1] : '-'; /* its first letter */
		if (write(m->from[1], &c, 1) != 1)
			break;
	}
	_exit(0);
}

static char what_moved(const struct moved *m)
{
	char c = '?';

	return write(m->to[1], &c, 1) == 1 && read(m->from[0], &c, 1) == 1 ? c : '!';
}

static void test_moved(void **state)
{
	struct moved m;

	(void)state;
	if (abi < 0 || limits_is_checked())
		skip();
	assert_int_equal(mkdir("links", 0755) | mkdir("links/one", 0755), 0);
	assert_true(climb_write("links/one/token", "1"));
	assert_int_equal(symlink("one/token", "links/token"), 0);
	assert_int_equal(pipe2(m.to, O_CLOEXEC) | pipe2(m.from, O_CLOEXEC), 0);
	m.pid = fork();
	if (m.pid == 0) {
		close(m.to[1]);
		serve_moved(&m);
	}
	close(m.from[1]);
	assert_int_equal(what_moved(&m), '-');
	/* a file in it, a link to another directory beneath it (as a cluster mounts secrets) */
	assert_int_equal(rename("own/token", "own/old"), 0);
	assert_int_equal(mkdir("links/two", 0755) | unlink("links/token"), 0);
	assert_true(climb_write("links/two/token", "2"));
	assert_int_equal(symlink("two/token", "links/token"), 0);
	assert_int_equal(what_moved(&m), '-');
	/* closed to us by its mode is another thing, but root is not kept out by one */
	if (geteuid() != 0) {
		assert_int_equal(chmod("own", 0), 0);
		assert_int_equal(what_moved(&m), '-');
		assert_int_equal(chmod("own", 0755), 0);
	}
	/* one that is gone has not moved; another in its place has */
	assert_int_equal(rename("own", "was"), 0);
	assert_int_equal(what_moved(&m), '-');
	assert_int_equal(mkdir("own", 0755), 0);
	assert_int_equal(what_moved(&m), 'o');
	assert_int_equal(rmdir("own") | rename("was", "own"), 0);
	assert_int_equal(what_moved(&m), '-');
	/* one that was missing */
	assert_int_equal(mkdir("later", 0755), 0);
	assert_int_equal(what_moved(&m), 'l');
	assert_int_equal(rmdir("later"), 0);
	/* a link that leads out */
	assert_int_equal(unlink("links/token") | symlink("../drop/file", "links/token"), 0);
	assert_int_equal(what_moved(&m), 'l');
	close(m.to[1]);
	assert_int_equal(waitpid(m.pid, NULL, 0), m.pid);
	close(m.to[0]);
	close(m.from[0]);
}

static void test_told(void **state)
{
	struct walls *a = walls_new(LIMITS_DISPATCHER), *b = walls_new(LIMITS_DISPATCHER);

	(void)state;
	walls_own(a, "/log", ALL);
	walls_own_file(a, "/etc/x/token");
	assert_true(walls_cover(a, b));
	walls_own(b, "/log", LOOK);
	walls_own_file(b, "/etc/x/token");
	assert_true(walls_cover(a, b));
	assert_false(walls_cover(b, a)); /* more may be done there */
	walls_own_file(b, "/etc/x/other");
	assert_false(walls_cover(a, b));
	assert_string_equal(walls_hold(a, "/log/drop"), "/log");
	assert_string_equal(walls_hold(a, "/etc/x"), "/etc/x");
	assert_null(walls_hold(a, "/etc"));
	assert_null(walls_hold(a, "/logs"));
	assert_null(walls_first_moved(a, NULL)); /* nothing is raised */
	walls_free(a);
	walls_free(b);
	walls_free(NULL);
}

/* ---- kernels without ---- */

static const char *inside_without_landlock(void *arg)
{
	const unsigned *code = arg;
	struct walls *w = walls_new(LIMITS_WATCHER);
	char text[WALLS_TEXT_BYTES];
	struct err err = ERR_INIT;

	if (limits_is_checked() || !climb_forbid(444, *code))
		return CLIMB_SKIP;
	EXPECT(!walls_tell(text));
	EXPECT(strstr(text, "Landlock is ") && strstr(text, ", seccomp"));
	walls_own(w, at("drop"), LOOK);
	EXPECT(walls_raise(w, false, &err) == 0);
	EXPECT(climb_open("own/token", O_RDONLY) == 0);
	EXPECT_ERRNO(socket(AF_INET, SOCK_STREAM, 0), EPERM); /* the other wall stands */
	EXPECT(rename("drop", "was") == 0 && mkdir("drop", 0755) == 0);
	EXPECT(!walls_moved(w, at("drop"))); /* nothing keeps it out of there */
	EXPECT(rmdir("drop") == 0 && rename("was", "drop") == 0);
	walls_free(w);
	return NULL;
}

static const char *inside_without_seccomp(void *arg)
{
	struct walls *w = walls_new(LIMITS_WATCHER);
	char text[WALLS_TEXT_BYTES];
	struct err err = ERR_INIT;

	(void)arg;
	if (limits_is_checked() || abi < 0)
		return CLIMB_SKIP;
	EXPECT(limits_apply(LIMITS_WATCHER, &err) == 0);
	EXPECT(climb_forbid(SYS_prctl, EINVAL));
	EXPECT(!walls_tell(text));
	EXPECT(strstr(text, "Landlock ") && strstr(text, "seccomp is not"));
	EXPECT(walls_raise(w, false, &err) == 0);
	EXPECT_ERRNO(climb_open("own/token", O_RDONLY), EACCES);
	EXPECT(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	walls_free(w);
	return NULL;
}

/* A failure that is not "there is none" is told, and the other wall stands. */
static const char *inside_broken(void *arg)
{
	struct walls *w = walls_new(LIMITS_WATCHER);
	struct err err = ERR_INIT;

	(void)arg;
	if (limits_is_checked() || abi < 0 || !climb_forbid(446, E2BIG))
		return CLIMB_SKIP;
	EXPECT(walls_raise(w, false, &err) == -E2BIG);
	EXPECT(strstr(err.text, "Landlock"));
	EXPECT_ERRNO(socket(AF_INET, SOCK_STREAM, 0), EPERM);
	EXPECT(climb_open("own/token", O_RDONLY) == 0);
	walls_free(w);
	return NULL;
}

static void test_without(void **state)
{
	static unsigned codes[] = {ENOSYS, EOPNOTSUPP, EPERM};

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		climb(inside_without_landlock, &codes[i]);
	climb(inside_without_seccomp, NULL);
	climb(inside_broken, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_root, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved, set_up, tear_down),
		cmocka_unit_test(test_told),
		cmocka_unit_test_setup_teardown(test_without, set_up, tear_down),
	};
	struct err err = ERR_INIT;

	if (argc > 0 && strcmp(argv[0], "bw-child") == 0)
		return 7;
	abi = landlock_abi(&err);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
