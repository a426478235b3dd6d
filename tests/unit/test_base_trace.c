/* base/trace: topics are switched one by one, and what is off is not even worked out. */
#include "base/trace.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static int saved_stderr, other_end, worked;

static int capture(void **state)
{
	int fds[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	other_end = fds[0];
	log_init("bw", LOG_LEVEL_INFO, false);
	return 0;
}

static int release(void **state)
{
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(other_end);
	return 0;
}

/* The next line, "" when there was none. */
static const char *written(void)
{
	static char text[8192];
	ssize_t n = recv(other_end, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static int work(void)
{
	return ++worked;
}

static void a_topic_is_on_or_costs_nothing(void **state)
{
	(void)state;
	trace_set_up(LOG_LEVEL_INFO, 0);
	trace(TRACE_INOTIFY, "%d", work());
	assert_int_equal(worked, 0);
	assert_string_equal(written(), "");
	trace_set_up(LOG_LEVEL_ERROR, 1u << TRACE_INOTIFY);
	trace(TRACE_LISTING, "%d", work());
	assert_int_equal(worked, 0);
	trace(TRACE_INOTIFY, "%d", work());
	assert_int_equal(worked, 1);
	assert_string_equal(written(), "bw: [inotify] 1\n");
	assert_string_equal(written(), "");
}

static void all_are_on_by_name_and_at_level_debug(void **state)
{
	(void)state;
	trace_set_up(LOG_LEVEL_INFO, 1u << TRACE_ALL);
	for (unsigned t = 0; t < TRACE_ALL; t++)
		assert_true(trace_is_on((enum trace_topic)t));
	trace_set_up(LOG_LEVEL_INFO, 0);
	assert_false(trace_is_on(TRACE_HTTP));
	trace_set_up(LOG_LEVEL_DEBUG, 0);
	assert_true(log_is_on(LOG_LEVEL_DEBUG));
	trace(TRACE_HTTP, "x\ny");
	assert_string_equal(written(), "bw: [http] x\\ny\n");
}

static void the_words_are_those_of_the_topics(void **state)
{
	(void)state;
	assert_string_equal(trace_words[TRACE_INOTIFY], "inotify");
	assert_string_equal(trace_words[TRACE_PROCESS], "process");
	assert_string_equal(trace_words[TRACE_ALL], "all");
	assert_null(trace_words[TRACE_ALL + 1]);
}

static void errno_stays(void **state)
{
	(void)state;
	trace_set_up(LOG_LEVEL_INFO, 1u << TRACE_LEDGER);
	errno = ENOTTY;
	trace(TRACE_LEDGER, "%s", "x");
	assert_int_equal(errno, ENOTTY);
	(void)written();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_topic_is_on_or_costs_nothing),
		cmocka_unit_test(all_are_on_by_name_and_at_level_debug),
		cmocka_unit_test(the_words_are_those_of_the_topics),
		cmocka_unit_test(errno_stays),
	};

	return cmocka_run_group_tests(tests, capture, release);
}
