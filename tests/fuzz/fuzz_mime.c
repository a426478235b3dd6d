/*
 * fuzz_mime: a mail with any subject, name and text.
 *
 * Input: subject, a NUL, name of the sender, a NUL, the text. Whatever they are: ASCII, lines with CRLF and
 * of at most 76 bytes, header lines in their order and no others, no point at the beginning of a line.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "core/mime.h"

#define LINE_MAX_BYTES 76

static const char *const fuzz_keys[] = {
	"Date: ", "From: ", "To: ", "Message-ID: ", "X-Brickwatch-Event: ", "Subject: ", "MIME-Version: ",
	"Content-Type: ", "Content-Transfer-Encoding: ", "Auto-Submitted: ", "X-Auto-Response-Suppress: "};

static void fuzz_claim(bool holds)
{
	if (!holds)
		abort();
}

/* One line without its end. */
static void fuzz_bytes(const char *line, size_t len)
{
	bool has_id = strncmp(line, "Message-ID: ", 12) == 0 || strncmp(line, "X-Brickwatch", 12) == 0;

	fuzz_claim(len <= (has_id ? 300 : LINE_MAX_BYTES));
	for (size_t i = 0; i < len; i++)
		fuzz_claim((unsigned char)line[i] >= 0x20 || line[i] == '\t');
	for (size_t i = 0; i < len; i++)
		fuzz_claim((unsigned char)line[i] < 0x7f);
	fuzz_claim(len == 0 || line[0] != '.');
}

static void fuzz_mail(const char *mail)
{
	size_t keys = 0;
	bool in_text = false;

	for (const char *line = mail; *line != '\0';) {
		const char *end = strstr(line, "\r\n");

		fuzz_claim(end != NULL);
		fuzz_bytes(line, (size_t)(end - line));
		if (!in_text && line[0] != ' ' && end > line) {
			fuzz_claim(keys < ARRAY_SIZE(fuzz_keys));
			fuzz_claim(strncmp(line, fuzz_keys[keys], strlen(fuzz_keys[keys])) == 0);
			keys++;
		}
		in_text = in_text || end == line;
		line = end + 2;
	}
	fuzz_claim(in_text && keys == ARRAY_SIZE(fuzz_keys));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf b = BUF_INIT(MIME_MAIL_BYTES);
	CLEANUP_FREE char *subject = mem_alloc(size + 3);
	static const struct mailbox to[] = {{.address = "a@example.com"}, {.address = "b@example.com"}};
	struct mime_mail m = {.from = {.address = "c@example.com"}, .to = to, .to_n = 2};
	struct err err = ERR_INIT;
	const char *name;

	if (size > 65536)
		return 0;
	if (size > 0)
		memcpy(subject, data, size);
	memset(subject + size, 0, 3);
	name = subject + strlen(subject) + 1;
	m.subject = m.id = m.host = m.type = subject;
	memcpy(m.from.name, name, strnlen(name, sizeof(m.from.name) - 1));
	m.text = name + strlen(name) + (size_t)(name < subject + size);
	fuzz_claim(mime_compose(&b, &m, &err) == 0);
	fuzz_mail(buf_str(&b));
	return 0;
}
