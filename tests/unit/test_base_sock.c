/* base/sock: borders, order, descriptors, and what does not fit. */
#include "base/sock.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 200; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_borders(void **state)
{
	struct err err = ERR_INIT;
	char bytes[16];
	int pair[2];

	(void)state;
	assert_int_equal(sock_pair(pair, &err), 0);
	assert_int_equal(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(sock_send(pair[0], "one", 3, NULL, 0), 0);
	assert_int_equal(sock_send(pair[0], "two2", 4, NULL, 0), 0);
	assert_int_equal(sock_recv(pair[1], bytes, sizeof(bytes), NULL, NULL), 3);
	assert_int_equal(sock_recv(pair[1], bytes, sizeof(bytes), NULL, NULL), 4);
	assert_memory_equal(bytes, "two2", 4);
	assert_int_equal(sock_recv(pair[1], bytes, sizeof(bytes), NULL, NULL), -EAGAIN);
	assert_int_equal(sock_wait(pair[1], POLLIN, 0), -ETIMEDOUT);
	assert_int_equal(sock_send(pair[0], "0123456789abcdefg", 17, NULL, 0), 0);
	assert_int_equal(sock_wait(pair[1], POLLIN, 1000), 0);
	assert_int_equal(sock_recv(pair[1], bytes, sizeof(bytes), NULL, NULL), -EMSGSIZE);
	close(pair[0]);
	assert_int_equal(sock_recv(pair[1], bytes, sizeof(bytes), NULL, NULL), 0);
	assert_int_equal(sock_send(pair[1], "x", 1, NULL, 0), -EPIPE);
	close(pair[1]);
}

/* Nothing leaks: descriptors nobody takes, and those of a datagram that does not fit. */
static void test_descriptors(void **state)
{
	struct err err = ERR_INIT;
	int pair[2], got[SOCK_FDS_MAX], before;
	size_t n = 9;
	char bytes[4];

	(void)state;
	assert_int_equal(sock_pair(pair, &err), 0);
	before = open_fds();
	assert_int_equal(sock_send(pair[0], "x", 1, (const int[]){0, 1, 2}, 3), 0);
	assert_int_equal(sock_recv(pair[1], bytes, sizeof(bytes), got, &n), 1);
	assert_int_equal(n, 3);
	assert_int_equal(open_fds(), before + 3);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
		close(got[i]);
	}
	assert_int_equal(sock_send(pair[0], "x", 1, (const int[]){0}, 1), 0);
	assert_int_equal(sock_recv(pair[1], bytes, sizeof(bytes), NULL, &n), 1);
	assert_int_equal(n, 0);
	assert_int_equal(sock_send(pair[0], "too long", 8, (const int[]){0, 1}, 2), 0);
	assert_int_equal(sock_recv(pair[1], bytes, sizeof(bytes), got, &n), -EMSGSIZE);
	assert_int_equal(open_fds(), before);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_borders),
		cmocka_unit_test(test_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
