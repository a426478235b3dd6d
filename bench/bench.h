/*
 * bench: what the small programs of the benchmarks share: the clock, numbers, and the table of times that
 * they leave behind.
 *
 * A table is a file that is mapped shared, so the driver can look at it at any moment without asking: a head
 * of 64 bytes, then for each file number a time (CLOCK_MONOTONIC, ns; 0: never), then how
 * often. The driver makes the file and its size.
 */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_DIGITS 7 /* files are called f0000000.csv … */
#define NAME_SUFFIX ".csv"

struct table_head {
	int64_t total;	     /* requests, or files written */
	int64_t distinct;    /* files seen at least once */
	int64_t unknown;     /* requests for something else */
	int64_t connections; /* made so far */
	int64_t first_ns, last_ns;
	int64_t reserved[2];
};

struct table {
	struct table_head *head;
	int64_t *at_ns;
	uint32_t *counts;
	int64_t n;
};

static inline _Noreturn void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t number_of(const char *text)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || end == text || v < 0) {
		fprintf(stderr, "not a number: %s\n", text);
		exit(2);
	}
	return v;
}

static inline struct table table_map(const char *path)
{
	struct table t;
	struct stat st;
	char *p;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		die(path);
	close(fd);
	t.n = (st.st_size - (int64_t)sizeof(*t.head)) / (int64_t)(sizeof(*t.at_ns) + sizeof(*t.counts));
	t.head = (struct table_head *)(void *)p;
	t.at_ns = (int64_t *)(void *)(p + sizeof(*t.head));
	t.counts = (uint32_t *)(void *)(t.at_ns + t.n);
	return t;
}

static inline void table_note(struct table *t, int64_t number, int64_t at_ns)
{
	if (t->counts[number]++ == 0) {
		t->at_ns[number] = at_ns;
		if (t->head->first_ns == 0)
			t->head->first_ns = at_ns;
		t->head->last_ns = at_ns;
		t->head->distinct++;
	}
}

#endif
