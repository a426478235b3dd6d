/*
 * tiny_server: an HTTP server for unit tests, in a forked child: one poll loop, a function of the test that
 * answers each complete request, and a page of memory shared with the test that says what the server saw.
 *
 * The child is ended by tiny_stop(), and by the kernel when the test ends. Plain HTTP on 127.0.0.1.
 */
#ifndef TINY_SERVER_H
#define TINY_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TINY_CONNECTIONS_MAX 64
#define TINY_SEEN_BYTES 65536

enum tiny_next {
	TINY_KEEP,  /* the connection waits for the next request */
	TINY_CLOSE, /* closed in good order */
	TINY_RESET, /* torn down */
	TINY_PARK,  /* answered later, by tiny.release, when tiny.park_until requests are parked */
};

struct tiny_seen { /* shared with the child */
	int connections;
	int requests;
	int parked_most;
	long sent_bytes;
	size_t last_len;
	char last[TINY_SEEN_BYTES]; /* the last request, cut to this, NUL-terminated */
};

struct tiny_request {
	int fd;
	int number;	  /* 1 is the first of this server */
	const char *text; /* len bytes, what the client has sent behind it, a NUL */
	size_t len;
	struct tiny_seen *seen;
};

typedef enum tiny_next (*tiny_fn)(const struct tiny_request *q);

struct tiny {
	pid_t pid;
	int port;
	struct tiny_seen *seen;
	tiny_fn answer;
	tiny_fn release; /* for parked requests */
	int park_until;
};

struct tiny_connection {
	int fd;
	bool parked;
	char *text;
	size_t len, cap;
};

/* Sends all of it; what a client does not take any more is its own business. */
static inline bool tiny_send(const struct tiny_request *q, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(q->fd, p, n, MSG_NOSIGNAL);

		if (sent < 0)
			return false;
		q->seen->sent_bytes += sent;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

static inline bool tiny_say(const struct tiny_request *q, const char *text)
{
	return tiny_send(q, text, strlen(text));
}

/* A whole answer: status line and further header lines (each with its CRLF) are the test's. */
static inline enum tiny_next tiny_reply(
	const struct tiny_request *q, const char *status, const char *lines, const char *body)
{
	char head[4096];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, lines,
		strlen(body), strlen(body) < 1024 ? body : "");

	tiny_send(q, head, (size_t)n);
	if (strlen(body) >= 1024)
		tiny_say(q, body);
	return TINY_KEEP;
}

/* Length of the first complete request in the connection's buffer, 0: not complete. */
static inline size_t tiny_complete(const struct tiny_connection *c)
{
	const char *end = memmem(c->text, c->len, "\r\n\r\n", 4);
	const char *length;
	size_t total;

	if (end == NULL)
		return 0;
	total = (size_t)(end - c->text) + 4;
	length = memmem(c->text, total, "\r\nContent-Length: ", 18);
	if (length != NULL)
		total += strtoul(length + 18, NULL, 10);
	return c->len >= total ? total : 0;
}

static inline void tiny_drop(struct tiny_connection *c, bool reset)
{
	struct linger l = {.l_onoff = 1, .l_linger = 0};

	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(c->fd);
	free(c->text);
	*c = (struct tiny_connection){.fd = -1};
}

static inline void tiny_act(struct tiny_connection *c, enum tiny_next next)
{
	c->parked = next == TINY_PARK;
	if (next == TINY_CLOSE || next == TINY_RESET)
		tiny_drop(c, next == TINY_RESET);
}

static inline void tiny_one(struct tiny *t, struct tiny_connection *c, size_t len)
{
	struct tiny_seen *seen = t->seen;
	struct tiny_request q = {
		.fd = c->fd, .number = seen->requests + 1, .text = c->text, .len = len, .seen = seen};

	seen->last_len = len < TINY_SEEN_BYTES ? len : TINY_SEEN_BYTES - 1;
	memcpy(seen->last, c->text, seen->last_len);
	seen->last[seen->last_len] = '\0';
	seen->requests++;

	enum tiny_next next = t->answer(&q);

	memmove(c->text, c->text + len, c->len - len + 1);
	c->len -= len;
	tiny_act(c, next);
}

static inline void tiny_receive(struct tiny *t, struct tiny_connection *c)
{
	size_t len;

	if (c->cap - c->len < 65536) {
		c->cap = c->cap * 2 + 65536;
		c->text = realloc(c->text, c->cap);
	}

	ssize_t n = recv(c->fd, c->text + c->len, c->cap - c->len - 1, 0);

	if (n <= 0) {
		tiny_drop(c, false);
		return;
	}
	c->len += (size_t)n;
	c->text[c->len] = '\0'; /* what lies behind it is of another test */
	while (c->fd >= 0 && !c->parked && (len = tiny_complete(c)) > 0)
		tiny_one(t, c, len);
}

static inline void tiny_release(struct tiny *t, struct tiny_connection *cs)
{
	int parked = 0;

	for (int i = 0; i < TINY_CONNECTIONS_MAX; i++)
		parked += cs[i].fd >= 0 && cs[i].parked;
	if (parked > t->seen->parked_most)
		t->seen->parked_most = parked;
	if (parked == 0 || parked < t->park_until)
		return;
	for (int i = 0; i < TINY_CONNECTIONS_MAX; i++) {
		struct tiny_request q = {.fd = cs[i].fd, .seen = t->seen};

		if (cs[i].fd >= 0 && cs[i].parked)
			tiny_act(&cs[i], t->release(&q));
	}
}

static inline void tiny_accept(struct tiny *t, int listener, struct tiny_connection *cs)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int one = 1;

	if (fd < 0)
		return;
	t->seen->connections++;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (int i = 0; i < TINY_CONNECTIONS_MAX; i++)
		if (cs[i].fd < 0) {
			cs[i] = (struct tiny_connection){.fd = fd};
			return;
		}
	close(fd);
}

static inline void tiny_serve(struct tiny *t, int listener)
{
	struct tiny_connection cs[TINY_CONNECTIONS_MAX];
	struct pollfd polls[TINY_CONNECTIONS_MAX + 1];

	for (int i = 0; i < TINY_CONNECTIONS_MAX; i++)
		cs[i] = (struct tiny_connection){.fd = -1};
	for (;;) {
		polls[0] = (struct pollfd){.fd = listener, .events = POLLIN};
		for (int i = 0; i < TINY_CONNECTIONS_MAX; i++)
			polls[i + 1] = (struct pollfd){.fd = cs[i].fd, .events = POLLIN};
		if (poll(polls, TINY_CONNECTIONS_MAX + 1, -1) < 0)
			_exit(1);
		for (int i = 0; i < TINY_CONNECTIONS_MAX; i++)
			if (cs[i].fd >= 0 && polls[i + 1].revents != 0)
				tiny_receive(t, &cs[i]);
		if (polls[0].revents != 0)
			tiny_accept(t, listener, cs);
		if (t->release != NULL)
			tiny_release(t, cs);
	}
}

/* A listening socket on a free port of 127.0.0.1; -1: failed. */
static inline int tiny_listen(int *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 128) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return -1;
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* false: could not be started. answer, release and park_until are set before. */
static inline bool tiny_start(struct tiny *t)
{
	int listener = tiny_listen(&t->port);
	pid_t parent = getpid();

	t->seen = mmap(NULL, sizeof(*t->seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (listener < 0 || t->seen == MAP_FAILED)
		return false;
	t->pid = fork();
	if (t->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			tiny_serve(t, listener);
		_exit(1);
	}
	close(listener);
	return t->pid > 0;
}

static inline void tiny_stop(struct tiny *t)
{
	kill(t->pid, SIGKILL);
	while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
		;
	munmap(t->seen, sizeof(*t->seen));
}

#endif
