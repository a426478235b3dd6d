/*
 * Pages of their own by mmap(2), because mlock(2) and MADV_DONTDUMP work on whole pages and the heap's are
 * shared with everything else. Locking is best effort: RLIMIT_MEMLOCK may be small, and a token that could be
 * swapped is still better than a service that does not start. What is known about the secret (its length) is
 * not secret.
 */
#include "base/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/mem.h"

struct secret {
	char *data;
	size_t len;
	size_t room;
	size_t mapped; /* whole pages */
	unsigned refs;
};

struct secret *secret_new(size_t room)
{
	BUG_ON(room > SECRET_BYTES_MAX);

	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct secret *s = mem_alloc(sizeof(*s));

	s->room = room;
	s->mapped = (room + 1 + page - 1) / page * page;
	s->data = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	BUG_ON(s->data == MAP_FAILED); /* like mem_alloc: a few pages are not to be had */
	s->refs = 1;
	/* both are best effort, and neither leaves anything to do when refused */
	(void)mlock(s->data, s->mapped);
	(void)madvise(s->data, s->mapped, MADV_DONTDUMP);
	return s;
}

struct secret *secret_ref(struct secret *s)
{
	s->refs++;
	return s;
}

void secret_free(struct secret *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	explicit_bzero(s->data, s->mapped);
	munmap(s->data, s->mapped); /* unlocks too */
	free(s);
}

int secret_add(struct secret *s, const void *p, size_t n)
{
	BUG_ON(s->refs != 1);
	if (n > s->room - s->len)
		return -ENOBUFS;
	if (n > 0)
		memcpy(s->data + s->len, p, n);
	s->len += n;
	s->data[s->len] = '\0';
	return 0;
}

int secret_add_base64(struct secret *s, const void *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = p;
	int r = (n + 2) / 3 > (s->room - s->len) / 4 ? -ENOBUFS : 0;

	for (size_t i = 0; r == 0 && i < n; i += 3) {
		size_t have = n - i < 3 ? n - i : 3;
		unsigned bits = (unsigned)in[i] << 16 | (have > 1 ? (unsigned)in[i + 1] << 8 : 0) |
				(have > 2 ? in[i + 2] : 0);
		char out[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
			have > 1 ? digits[bits >> 6 & 63] : '=', have > 2 ? digits[bits & 63] : '='};

		r = secret_add(s, out, sizeof(out));
	}
	return r;
}

static bool is_plain_in_forms(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '.' || c == '_' || c == '*';
}

int secret_add_form(struct secret *s, const void *p, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	const unsigned char *in = p;
	size_t need = 0;
	int r;

	for (size_t i = 0; i < n; i++)
		need += is_plain_in_forms(in[i]) || in[i] == ' ' ? 1 : 3;
	r = need > s->room - s->len ? -ENOBUFS : 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		const char out[3] = {'%', digits[in[i] >> 4], digits[in[i] & 15]};

		if (is_plain_in_forms(in[i]))
			r = secret_add(s, &in[i], 1);
		else if (in[i] == ' ')
			r = secret_add(s, "+", 1);
		else
			r = secret_add(s, out, sizeof(out));
	}
	return r;
}

/* Back to what was there before, without a trace of the rest. */
static int give_up_reading(struct secret *s, size_t old_len, int code)
{
	s->len = old_len;
	explicit_bzero(s->data + old_len, s->mapped - old_len);
	return -code;
}

int secret_read(struct secret *s, int fd)
{
	size_t old_len = s->len;

	BUG_ON(s->refs != 1);
	for (;;) {
		/* one byte more than fits, where the NUL goes: so a file that is too long shows itself */
		ssize_t n = read(fd, s->data + s->len, s->room - s->len + 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return give_up_reading(s, old_len, errno);
		if ((size_t)n > s->room - s->len)
			return give_up_reading(s, old_len, EFBIG);
		s->len += (size_t)n;
		s->data[s->len] = '\0';
		if (n == 0)
			return 0;
	}
}

void secret_truncate(struct secret *s, size_t len)
{
	BUG_ON(s->refs != 1 || len > s->len);
	explicit_bzero(s->data + len, s->len - len);
	s->len = len;
}

size_t secret_len(const struct secret *s)
{
	return s->len;
}

const char *secret_bytes(const struct secret *s)
{
	return s->data;
}

bool secret_is_equal(const struct secret *a, const struct secret *b)
{
	volatile unsigned char differ = 0;

	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++)
		differ |= (unsigned char)(a->data[i] ^ b->data[i]);
	return differ == 0;
}
