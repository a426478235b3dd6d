/*
 * writer DIRECTORY FIRST COUNT RATE TABLE: writes COUNT small CSV files, RATE a second (0: as fast as the
 * disk takes them), and notes when each was closed: the clock is read right before close(2).
 */
#include "bench.h"

#define NS_PER_S INT64_C(1000000000)

static void write_file(int dir, int64_t number, struct table *t)
{
	char name[32], text[256];
	int len = snprintf(text, sizeof(text),
		"id,place,amount,at\n%lld,north,12.50,2024-01-01T00:00:00Z\n%lld,south,7.25,2024-01-01T00:00:"
		"01Z\n"
		"%lld,\"east, by the river\",0.75,2024-01-01T00:00:02Z\n",
		(long long)number, (long long)number + 1, (long long)number + 2);
	int fd;

	snprintf(name, sizeof(name), "f%0*lld" NAME_SUFFIX, NAME_DIGITS, (long long)number);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		die(name);
	table_note(t, number, now_ns());
	if (close(fd) < 0)
		die(name);
	t->head->total++;
}

static void wait_until(int64_t at_ns)
{
	struct timespec at = {.tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

int main(int argc, char **argv)
{
	int64_t first, count, rate, start_ns;
	struct table t;
	int dir;

	if (argc != 6) {
		fprintf(stderr, "usage: writer DIRECTORY FIRST COUNT RATE TABLE\n");
		return 2;
	}
	first = number_of(argv[2]);
	count = number_of(argv[3]);
	rate = number_of(argv[4]);
	t = table_map(argv[5]);
	if (first + count > t.n) {
		fprintf(stderr, "the table is too small\n");
		return 2;
	}
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		die(argv[1]);
	start_ns = now_ns();
	for (int64_t i = 0; i < count; i++) {
		if (rate > 0)
			wait_until(start_ns + i * NS_PER_S / rate);
		write_file(dir, first + i, &t);
	}
	return 0;
}
