#include "keep/watchdog.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"

#define ASKED_MOST 6

/* What is counted at each question, in turn; the loop ends with the last. */
struct answers {
	struct loop *loop;
	const int64_t *counts;
	int asked, n;
};

static int64_t answer(void *arg)
{
	struct answers *a = arg;
	int64_t count = a->counts[a->asked++];

	if (a->asked == a->n)
		loop_stop(a->loop, 0);
	return count;
}

/* systemd's end: an abstract socket. */
static int listen_as_systemd(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int n = snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "brickwatch-test-%d", (int)getpid());
	char name[sizeof(at.sun_path) + 1];

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)),
		0);
	snprintf(name, sizeof(name), "@%s", at.sun_path + 1);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static int count_fed(int fd)
{
	char text[64];
	ssize_t n;
	int fed = 0;

	while ((n = recv(fd, text, sizeof(text) - 1, 0)) > 0) {
		text[n] = '\0';
		assert_string_equal(text, "WATCHDOG=1");
		fed++;
	}
	return fed;
}

/* How often it is fed when such counts are seen. */
static int feed(const int64_t *counts, int n)
{
	struct err err = ERR_INIT;
	int fd = listen_as_systemd(), fed;
	struct answers a = {.loop = loop_new(&err), .counts = counts, .n = n};
	struct watchdog *w = watchdog_new(a.loop, answer, &a);

	assert_non_null(w);
	assert_int_equal(loop_run(a.loop, &err), 0);
	fed = count_fed(fd);
	watchdog_free(w);
	loop_free(a.loop);
	close(fd);
	return fed;
}

static void test_fed_by_progress_only(void **state)
{
	static const int64_t moves[] = {0, 1, 2, 3, 7, 8};
	static const int64_t stops[] = {5, 6, 6, 6, 6, 6};
	static const int64_t is_started_anew[] = {90, -1, -1, 0, 0, 1};

	(void)state;
	setenv("WATCHDOG_USEC", "4000", 1);
	unsetenv("WATCHDOG_PID");
	assert_int_equal(feed(moves, ASKED_MOST), 6);
	assert_int_equal(feed(stops, ASKED_MOST), 2);
	assert_int_equal(feed(is_started_anew, ASKED_MOST), 5);
}

static void test_asked_for_or_not(void **state)
{
	static const struct {
		const char *time_us, *pid;
		bool is_on;
	} cases[] = {
		{NULL, NULL, false},
		{"1000000", NULL, true},
		{"0", NULL, false},
		{"-5", NULL, false},
		{"soon", NULL, false},
		{"1000000", "1", false},
	};
	struct err err = ERR_INIT;
	struct answers a = {.loop = loop_new(&err)};
	char own[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct watchdog *w;

		unsetenv("WATCHDOG_USEC");
		unsetenv("WATCHDOG_PID");
		if (cases[i].time_us)
			setenv("WATCHDOG_USEC", cases[i].time_us, 1);
		if (cases[i].pid)
			setenv("WATCHDOG_PID", cases[i].pid, 1);
		w = watchdog_new(a.loop, answer, &a);
		assert_int_equal(w != NULL, cases[i].is_on);
		watchdog_free(w);
	}
	snprintf(own, sizeof(own), "%d", (int)getpid());
	setenv("WATCHDOG_USEC", "1000000", 1);
	setenv("WATCHDOG_PID", own, 1);
	watchdog_free(watchdog_new(a.loop, answer, &a));
	loop_free(a.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fed_by_progress_only),
		cmocka_unit_test(test_asked_for_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
