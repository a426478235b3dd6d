/*
 * floor DIRECTORY URL PARALLEL: the least that can be called "a request for each file that was closed":
 * inotify and libcurl's multi socket interface in one epoll loop, connections kept, PARALLEL requests at
 * once, the rest waiting in memory. No settle, no type check, no ledger, no log, no retry, no listing: what
 * the kernel's queue drops, and what fails, is gone. It is the mark that brickwatch is measured against, not
 * something to use.
 */
#include "bench.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#define PARALLEL_MAX 256
#define EVENTS 64
#define BODY_BYTES 1024

struct request {
	CURL *easy;
	struct request *next; /* idle */
	char body[BODY_BYTES];
};

static struct request requests[PARALLEL_MAX], *idle;
static char **names; /* of files that wait: a ring */
static size_t names_cap, names_pos, names_n;
static CURLM *multi;
static int epoll;
static int64_t wake_ns = -1; /* when curl wants to be called; -1: never */

static void push(const char *name)
{
	if (names_n == names_cap) {
		size_t cap = names_cap ? 2 * names_cap : 1024;
		char **more = calloc(cap, sizeof(*more));

		if (!more)
			die("memory");
		for (size_t i = 0; i < names_n; i++)
			more[i] = names[(names_pos + i) % names_cap];
		free(names);
		names = more;
		names_cap = cap;
		names_pos = 0;
	}
	names[(names_pos + names_n++) % names_cap] = strdup(name);
}

static void read_events(int fd)
{
	char bytes[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(fd, bytes, sizeof(bytes));

	for (char *p = bytes; p < bytes + n;) {
		const struct inotify_event *e = (const struct inotify_event *)(const void *)p;

		if (e->mask & IN_Q_OVERFLOW)
			fprintf(stderr, "overflow\n");
		if (e->len > 0 && !(e->mask & IN_ISDIR))
			push(e->name);
		p += sizeof(*e) + e->len;
	}
}

/* ---- curl ---- */

static void start_waiting(void)
{
	while (idle && names_n > 0) {
		struct request *r = idle;
		char *name = names[names_pos];

		names_pos = (names_pos + 1) % names_cap;
		names_n--;
		idle = r->next;
		/* as long as brickwatch's: an idempotency token of 64 digits, the queue switch, one parameter
		 */
		snprintf(r->body, sizeof(r->body),
			"{\"job_id\":1,\"idempotency_token\":\"%064d\",\"queue\":{\"enabled\":true},"
			"\"job_parameters\":{\"path\":\"/Volumes/bench/%s\"}}",
			0, name);
		free(name);
		curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(r->body));
		curl_multi_add_handle(multi, r->easy);
	}
}

static void finish_done(void)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(multi, &left)) != NULL) {
		char *arg = NULL;
		struct request *r;

		if (msg->data.result != CURLE_OK)
			fprintf(stderr, "lost: %s\n", curl_easy_strerror(msg->data.result));
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &arg);
		curl_multi_remove_handle(multi, msg->easy_handle);
		r = (struct request *)(void *)arg;
		r->next = idle;
		idle = r;
	}
	start_waiting();
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct epoll_event e = {.data.fd = fd};

	(void)easy;
	(void)arg;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &e);
		return 0;
	}
	e.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
	epoll_ctl(epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e);
	curl_multi_assign(multi, fd, multi); /* anything but NULL: it is known from now on */
	return 0;
}

static int on_timeout(CURLM *m, long ms, void *arg)
{
	(void)m;
	(void)arg;
	wake_ns = ms < 0 ? -1 : now_ns() + ms * 1000000;
	return 0;
}

static size_t ignore_body(char *bytes, size_t size, size_t n, void *arg)
{
	(void)bytes;
	(void)arg;
	return size * n;
}

static void make_requests(const char *url, int64_t parallel)
{
	struct curl_slist *lines = curl_slist_append(NULL, "Authorization: Bearer dapi0123456789abcdef");

	lines = curl_slist_append(lines, "Accept: application/json");
	lines = curl_slist_append(lines, "Content-Type: application/json");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)parallel);
	for (int64_t i = 0; i < parallel; i++) {
		struct request *r = &requests[i];

		r->easy = curl_easy_init();
		curl_easy_setopt(r->easy, CURLOPT_URL, url);
		curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, lines);
		curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, r->body);
		curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, ignore_body);
		curl_easy_setopt(r->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
		curl_easy_setopt(r->easy, CURLOPT_PROXY, "");
		curl_easy_setopt(r->easy, CURLOPT_PRIVATE, (char *)(void *)r);
		r->next = idle;
		idle = r;
	}
}

/* ---- the loop ---- */

static int pause_ms(void)
{
	int64_t left_ns = wake_ns - now_ns();

	if (wake_ns < 0)
		return -1;
	return left_ns <= 0 ? 0 : (int)((left_ns + 999999) / 1000000);
}

static void call_curl(const struct epoll_event *e)
{
	int bits = 0, running;

	if (e->events & (EPOLLIN | EPOLLHUP))
		bits |= CURL_CSELECT_IN;
	if (e->events & EPOLLOUT)
		bits |= CURL_CSELECT_OUT;
	if (e->events & EPOLLERR)
		bits |= CURL_CSELECT_ERR;
	curl_multi_socket_action(multi, e->data.fd, bits, &running);
}

static void run(int inotify)
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, pause_ms()), running;

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == inotify)
				read_events(inotify);
			else
				call_curl(&events[i]);
		}
		if (wake_ns >= 0 && now_ns() >= wake_ns) {
			wake_ns = -1;
			curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
		}
		finish_done();
	}
}

int main(int argc, char **argv)
{
	struct epoll_event e = {.events = EPOLLIN};
	int64_t parallel;
	int inotify;

	if (argc != 4) {
		fprintf(stderr, "usage: floor DIRECTORY URL PARALLEL\n");
		return 2;
	}
	parallel = number_of(argv[3]);
	if (parallel < 1 || parallel > PARALLEL_MAX) {
		fprintf(stderr, "1 to %d requests at once\n", PARALLEL_MAX);
		return 2;
	}
	epoll = epoll_create1(EPOLL_CLOEXEC);
	inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	e.data.fd = inotify;
	if (inotify < 0 || inotify_add_watch(inotify, argv[1], IN_CLOSE_WRITE | IN_MOVED_TO) < 0 ||
		epoll_ctl(epoll, EPOLL_CTL_ADD, inotify, &e) < 0)
		die(argv[1]);
	make_requests(argv[2], parallel);
	printf("ready\n");
	fflush(stdout);
	run(inotify);
}
