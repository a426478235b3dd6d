/*
 * The magic file is mapped here and given to magic_load_buffers. magic_load would take a compiled file that
 * it cannot use (another version, damage) for source text, complain on stderr line by line in binary, answer
 * "loaded" and match nothing; it also splits paths at colons.
 *
 * magic_descriptor rather than magic_buffer: for the types whose mark stands at the end libmagic reads the
 * tail itself, and what is read is bounded by MAGIC_PARAM_BYTES_MAX at either end.
 *
 * Flags. MAGIC_COMPRESS and MAGIC_DEVICES never: the first forks gzip. NO_CHECK_COMPRESS and NO_CHECK_ELF
 * turn off code that could only tell more than the MIME type. The tar check stays, it is short and the only
 * voice for tar. The text encoding, JSON and CSV checks are what most drop folders need.
 *
 * The bounds for regular expressions and recursion stay as libmagic has them: lowering them changes answers
 * and does not stop the known run-away (a file of newlines); the deadline does, from outside (sense/ask).
 */
#include "sniff/magic.h"

#include <fcntl.h>
#include <magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/mem.h"

#ifndef BW_MAGIC_FILE
#define BW_MAGIC_FILE "/usr/share/misc/magic.mgc"
#endif

#define MAGIC_FILE_MAX (INT64_C(256) * 1024 * 1024)
#define MAGIC_FLAGS (MAGIC_MIME_TYPE | MAGIC_ERROR | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_ELF)

/* Debian and Ubuntu, Fedora and Enterprise Linux, where the first is a link to. */
static const char *const magic_places[] = {
	BW_MAGIC_FILE,
	"/usr/share/misc/magic.mgc",
	"/usr/share/file/magic.mgc",
	"/usr/lib/file/magic.mgc",
};

/* Told by entries of the magic file, not by libmagic's built-in checks. */
static const struct magic_sample {
	const char *mime, *bytes;
	size_t n;
} magic_samples[] = {
#define SAMPLE(mime, text)                                                                                   \
	{                                                                                                    \
		mime, text, sizeof(text) - 1                                                                 \
	}
	SAMPLE("application/pdf", "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"),
	SAMPLE("image/png", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde"),
	SAMPLE("application/gzip", "\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"),
#undef SAMPLE
};

#define MAGIC_SAMPLES ARRAY_SIZE(magic_samples)

struct magic_reader {
	magic_t set;
	char *path;
	void *map; /* of that file */
	size_t map_bytes;
	int samples[MAGIC_SAMPLES]; /* -1 when used up */
};

/* ---- opening */

static bool magic_is_there(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0;
}

/* The first place when there is none: the error then names it. */
static const char *magic_find_file(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(magic_places); i++)
		if (magic_is_there(magic_places[i]))
			return magic_places[i];
	return magic_places[0];
}

/* Private and writable, as libmagic itself would have it. */
static int magic_map_file(struct magic_reader *r, struct err *err)
{
	CLEANUP_FD int fd = open(r->path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot open the magic file %s", r->path);
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > MAGIC_FILE_MAX)
		return err_set(err, ERR_SYSTEM, ENOEXEC, "%s is no magic file", r->path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_errno(err, errno, "cannot map the magic file %s", r->path);
	r->map = p;
	r->map_bytes = (size_t)st.st_size;
	return 0;
}

/* libmagic's own words name no file, since it was given none. */
static int magic_says_useless(const struct magic_reader *r, struct err *err)
{
	char version[MAGIC_VERSION_BYTES];
	const char *words = magic_error(r->set);

	return err_set(err, ERR_SYSTEM, ENOEXEC,
		"%s cannot use %s (%s): most likely that file was made for another version of libmagic; "
		"install both from the "
		"same release",
		magic_version_text(version), r->path, words ? words : "it does not say why");
}

static int magic_make_sample(const struct magic_sample *s, struct err *err)
{
	int fd = memfd_create("brickwatch-sample", MFD_CLOEXEC);
	int rc;

	if (fd < 0)
		return err_errno(err, errno, "cannot make a sample for libmagic");
	rc = fs_write_all(fd, s->bytes, s->n);
	if (rc == 0)
		return fd;
	close(fd);
	return err_errno(err, -rc, "cannot write a sample for libmagic");
}

static int magic_reader_fill(struct magic_reader *r, struct err *err)
{
	int rc = magic_map_file(r, err);

	if (rc < 0)
		return rc;
	r->set = magic_open(MAGIC_FLAGS);
	if (!r->set)
		return err_errno(err, errno, "cannot open libmagic");
	if (magic_load_buffers(r->set, &r->map, &r->map_bytes, 1) < 0)
		return magic_says_useless(r, err);
	for (size_t i = 0; i < MAGIC_SAMPLES; i++) {
		int fd = magic_make_sample(&magic_samples[i], err);

		if (fd < 0)
			return fd;
		r->samples[i] = fd;
	}
	return 0;
}

struct magic_reader *magic_reader_open(const char *path, struct err *err)
{
	struct magic_reader *r;

	r = mem_alloc(sizeof(*r));
	r->path = mem_strdup(path ? path : magic_find_file());
	for (size_t i = 0; i < MAGIC_SAMPLES; i++)
		r->samples[i] = -1;
	if (magic_reader_fill(r, err) == 0)
		return r;
	magic_reader_close(r);
	return NULL;
}

void magic_reader_close(struct magic_reader *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < MAGIC_SAMPLES; i++)
		fs_close(&r->samples[i]);
	if (r->set)
		magic_close(r->set);
	if (r->map)
		munmap(r->map, r->map_bytes); /* libmagic has used it to the end */
	free(r->path);
	free(r);
}

const char *magic_reader_path(const struct magic_reader *r)
{
	return r->path;
}

/* ---- telling types */

int magic_reader_prove(struct magic_reader *r, struct err *err)
{
	char mime[FILETYPE_MIME_BYTES], version[MAGIC_VERSION_BYTES];

	for (size_t i = 0; i < MAGIC_SAMPLES; i++) {
		const struct magic_sample *s = &magic_samples[i];
		int rc = magic_reader_classify(r, r->samples[i], 4096, mime, err);

		if (rc < 0)
			return err_prefix(err, "libmagic cannot read a sample");
		if (strcmp(mime, s->mime) != 0)
			return err_set(err, ERR_SYSTEM, ENOEXEC, "%s with %s takes a sample of %s for \"%s\"",
				magic_version_text(version), r->path, s->mime, mime);
		fs_close(&r->samples[i]);
	}
	return 0;
}

static int magic_check_fd(int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot look at the file");
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, EINVAL, "not a regular file");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(err, errno, "cannot read the file");
	return 0;
}

int magic_reader_classify(struct magic_reader *r, int fd, int64_t max_bytes,
	char ret_mime[FILETYPE_MIME_BYTES], struct err *err)
{
	size_t bytes_max = (size_t)max_bytes;
	const char *said;
	int rc;

	if (max_bytes < 1 || max_bytes > MAGIC_READ_MAX)
		return err_set(
			err, ERR_INPUT, EINVAL, "cannot read %lld bytes of a file", (long long)max_bytes);
	rc = magic_check_fd(fd, err);
	if (rc < 0)
		return rc;
	if (magic_setparam(r->set, MAGIC_PARAM_BYTES_MAX, &bytes_max) < 0)
		return err_set(err, ERR_SYSTEM, EINVAL, "libmagic does not take MAGIC_PARAM_BYTES_MAX");
	said = magic_descriptor(r->set, fd);
	/* An errno comes from a failed call; libmagic's own complaints about the bytes have none. */
	rc = said ? 0 : magic_errno(r->set);
	if (rc > 0 && rc != ENOMEM)
		return err_errno(err, rc, "cannot read the file");
	magic_clean_mime(said ? said : "", ret_mime);
	return 0;
}

/* ---- MIME types */

static bool magic_is_mime_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("/.+-_!#$&^", c));
}

/* Where in said[0 … n) a second type begins, n when there is none. */
static size_t magic_first_type_end(const char *said, size_t n)
{
	static const char *const kinds[] = {"application", "audio", "chemical", "font", "image", "inode",
		"message", "model", "multipart", "rinex", "text", "video", "x-conference", "x-epoc"};
	const char *first = memchr(said, '/', n);
	const char *second = first ? memchr(first + 1, '/', n - (size_t)(first + 1 - said)) : NULL;

	if (!second)
		return n;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i]);

		if ((size_t)(second - first) > len + 1 && memcmp(second - len, kinds[i], len) == 0)
			return (size_t)(second - said) - len;
	}
	return (size_t)(second - said);
}

void magic_clean_mime(const char *said, char ret_mime[FILETYPE_MIME_BYTES])
{
	size_t n = 0;

	while (magic_is_mime_char(said[n]))
		n++;
	n = magic_first_type_end(said, n);
	if (n >= FILETYPE_MIME_BYTES)
		n = 0;
	memcpy(ret_mime, said, n);
	ret_mime[n] = '\0';
}

const char *magic_version_text(char text[MAGIC_VERSION_BYTES])
{
	(void)snprintf(text, MAGIC_VERSION_BYTES, "libmagic %d", magic_version());
	return text;
}
