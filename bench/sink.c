/*
 * sink TABLE [hold]: stands where the workspace is, on 127.0.0.1, and does as little as can be done: every
 * POST is answered at once with a new run id, after the moment at which it was complete has been noted for
 * the file that its body names, and each GET as if it asked for a job. With `hold` no POST is ever answered.
 * It prints "ready PORT" and runs until it is terminated.
 *
 * No token is looked at: a file that was sent twice must show. One thread, epoll, a buffer a connection; it
 * answers many times more requests than anything that is measured with it sends (bench/run shows how many).
 */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX 4096
#define BUFFER_BYTES 16384
#define EVENTS 64

struct connection {
	size_t len;
	char bytes[BUFFER_BYTES];
};

static struct connection *connections[CONNECTIONS_MAX]; /* by descriptor */
static struct table table;
static bool hold;
static int64_t next_run = 1;

/* The number in "f0000000.csv", or -1. */
static int64_t file_number(const char *body, size_t len)
{
	const char *suffix = memmem(body, len, NAME_SUFFIX, strlen(NAME_SUFFIX));
	int64_t v = 0;

	if (!suffix || suffix - body < NAME_DIGITS + 1 || suffix[-NAME_DIGITS - 1] != 'f')
		return -1;
	for (const char *p = suffix - NAME_DIGITS; p < suffix; p++) {
		if (*p < '0' || *p > '9')
			return -1;
		v = v * 10 + (*p - '0');
	}
	return v < table.n ? v : -1;
}

/* The value of Content-Length, or 0. */
static size_t content_length(const char *head, size_t len)
{
	static const char name[] = "\ncontent-length:";

	for (size_t i = 0; i + sizeof(name) < len; i++)
		if (head[i] == '\n' && strncasecmp(head + i, name, sizeof(name) - 1) == 0)
			return (size_t)strtoul(head + i + sizeof(name) - 1, NULL, 10);
	return 0;
}

static bool answer(int fd, const char *body, size_t len, int64_t at_ns)
{
	char text[256], json[96];
	int64_t number = file_number(body, len);
	int n;

	table.head->total++;
	if (number < 0)
		table.head->unknown++;
	else
		table_note(&table, number, at_ns);
	if (hold)
		return true;
	n = snprintf(json, sizeof(json), "{\"run_id\":%lld,\"number_in_job\":%lld}", (long long)next_run,
		(long long)next_run);
	next_run++;
	n = snprintf(text, sizeof(text),
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, json);
	return send(fd, text, (size_t)n, MSG_NOSIGNAL) == n;
}

/* A question about the job, which is no run: there is such a job, and it takes the path. */
static bool answer_question(int fd, const char *head, size_t len)
{
	static const char name[] = "job_id=";
	const char *number = memmem(head, len, name, sizeof(name) - 1);
	char text[512], json[256];
	int n = snprintf(json, sizeof(json),
		"{\"job_id\":%lld,\"settings\":{\"name\":\"bench\",\"max_concurrent_runs\":1000,\"queue\":{"
		"\"enabled\":true},"
		"\"parameters\":[{\"name\":\"path\",\"default\":\"\"}]}}",
		number ? strtoll(number + sizeof(name) - 1, NULL, 10) : 0);

	n = snprintf(text, sizeof(text),
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, json);
	return send(fd, text, (size_t)n, MSG_NOSIGNAL) == n;
}

/* Takes one whole request off the buffer. 1, 0 (not all of it is there), -1 */
static int take_request(int fd, struct connection *c, int64_t at_ns)
{
	const char *blank = memmem(c->bytes, c->len, "\r\n\r\n", 4);
	size_t head, whole;

	if (!blank)
		return c->len == sizeof(c->bytes) ? -1 : 0;
	head = (size_t)(blank - c->bytes) + 4;
	whole = head + content_length(c->bytes, head);
	if (whole > sizeof(c->bytes))
		return -1;
	if (c->len < whole)
		return 0;
	if (memcmp(c->bytes, "GET ", 4) == 0 ? !answer_question(fd, c->bytes, head)
					     : !answer(fd, c->bytes + head, whole - head, at_ns))
		return -1;
	c->len -= whole;
	memmove(c->bytes, c->bytes + whole, c->len);
	return 1;
}

static void drop(int fd)
{
	free(connections[fd]);
	connections[fd] = NULL;
	close(fd);
}

static void serve(int fd)
{
	struct connection *c = connections[fd];
	ssize_t n = recv(fd, c->bytes + c->len, sizeof(c->bytes) - c->len, 0);
	int64_t at_ns = now_ns();
	int rc = 1;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(fd);
		return;
	}
	c->len += (size_t)n;
	while (rc > 0)
		rc = take_request(fd, c, at_ns);
	if (rc < 0)
		drop(fd);
}

static void welcome(int epoll, int listener)
{
	int one = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	if (fd < 0)
		return;
	if (fd >= CONNECTIONS_MAX) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connections[fd] = calloc(1, sizeof(*connections[fd]));
	if (!connections[fd] || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("connection");
	table.head->connections++;
}

static int listen_here(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1024) < 0 ||
		getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		die("listen");
	printf("ready %d\n", ntohs(at.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS], e = {.events = EPOLLIN};
	int listener, epoll;

	if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "hold") != 0)) {
		fprintf(stderr, "usage: sink TABLE [hold]\n");
		return 2;
	}
	hold = argc == 3;
	table = table_map(argv[1]);
	listener = listen_here();
	e.data.fd = listener;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0)
		die("epoll");
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				welcome(epoll, listener);
			else
				serve(events[i].data.fd);
		}
	}
}
