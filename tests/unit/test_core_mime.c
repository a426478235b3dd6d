/*
 * mime: mails as they are, byte for byte. That no text can break one is tests/fuzz/fuzz_mime's business; that
 * others read the same text out of them, the scenarios'.
 */
#include "core/mime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

static const struct mailbox to[] = {
	{.address = "ops@example.com"}, {.address = "n@example.com", .name = "Shift, \"night\""}};

static struct mime_mail mail(const char *subject, const char *text)
{
	return (struct mime_mail){
		.from = {.address = "bw@example.com",
			.name = "br\xc3\xbc"
				"ck"},
		.to = to,
		.to_n = 2,
		.id = "0123456789abcdef0123456789abcdef",
		.host = "h1.example.com",
		.type = "start.failed",
		.time_us = INT64_C(1767323045123456),
		.subject = subject,
		.text = text,
	};
}

#define BEFORE                                                                                               \
	"Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n"                                                          \
	"From: =?UTF-8?B?YnLDvGNr?=\r\n <bw@example.com>\r\n"                                                \
	"To: ops@example.com,\r\n \"Shift, \\\"night\\\"\"\r\n <n@example.com>\r\n"                          \
	"Message-ID: <0123456789abcdef0123456789abcdef.brickwatch@h1.example.com>\r\n"                       \
	"X-Brickwatch-Event: start.failed\r\n"
#define BETWEEN                                                                                              \
	"MIME-Version: 1.0\r\n"                                                                              \
	"Content-Type: text/plain; charset=utf-8\r\n"                                                        \
	"Content-Transfer-Encoding: quoted-printable\r\n"                                                    \
	"Auto-Submitted: auto-generated\r\n"                                                                 \
	"X-Auto-Response-Suppress: All\r\n\r\n"

#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN

static const struct {
	const char *subject, *lines; /* of the header */
} subjects[] = {
	{"", "Subject: \r\n"},
	{"no run for /in/a.csv", "Subject: no run for /in/a.csv\r\n"},
	{SIXTY "1234567", "Subject: " SIXTY "1234567\r\n"},
	{SIXTY "12345678", "Subject: =?UTF-8?B?MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4?=\r\n"
			   " =?UTF-8?B?OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MTIzNDU2Nzg=?=\r\n"},
	{" x", "Subject: =?UTF-8?B?IHg=?=\r\n"},
	{"x ", "Subject: =?UTF-8?B?eCA=?=\r\n"},
	{"a =?x?=", "Subject: =?UTF-8?B?YSA9P3g/PQ==?=\r\n"},
	{"a\r\nBcc: x@y", "Subject: a  Bcc: x@y\r\n"},
	{"a\xff"
	 "b",
		"Subject: =?UTF-8?B?Ye+/vWI=?=\r\n"},
	/* 20 characters of 3 bytes: 13 of them are on the first line, none is cut */
	{"\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5"
	 "\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5",
		"Subject: =?UTF-8?B?5pel5pel5pel5pel5pel5pel5pel5pel5pel5pel5pel5pel5pel?=\r\n"
		" =?UTF-8?B?5pel?=\r\n"},
	/* of 4 bytes: 9 */
	{"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
	 "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80",
		"Subject: =?UTF-8?B?8J+YgPCfmIDwn5iA8J+YgPCfmIDwn5iA8J+YgPCfmIDwn5iA?=\r\n"
		" =?UTF-8?B?8J+YgA==?=\r\n"},
};

static void expect(const char *subject, const char *lines, const char *text, const char *encoded)
{
	CLEANUP_BUF struct buf b = BUF_INIT(MIME_MAIL_BYTES);
	CLEANUP_FREE char *expected = mem_printf("%s%s%s%s", BEFORE, lines, BETWEEN, encoded);
	struct mime_mail m = mail(subject, text);
	struct err err = ERR_INIT;

	assert_int_equal(mime_compose(&b, &m, &err), 0);
	assert_string_equal(buf_str(&b), expected);
}

static void test_subjects(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(subjects); i++)
		expect(subjects[i].subject, subjects[i].lines, "x\n", "x\r\n");
}

static const struct {
	const char *text, *encoded;
} texts[] = {
	{"", ""},
	{"a\n\nb", "a\r\n\r\nb\r\n"},
	{"1 = 1\n", "1 =3D 1\r\n"},
	{"Gr\xc3\xbc\xc3\x9f"
	 "e\n",
		"Gr=C3=BC=C3=9Fe\r\n"},
	{"a \nb\t\n \n", "a=20\r\nb=09\r\n=20\r\n"},
	{".\n..\na.\n", "=2E\r\n=2E.\r\na.\r\n"},
	{"From x\nfrom y\nx From z\n", "=46rom x\r\nfrom y\r\nx From z\r\n"},
	{"a\r\nb\033[2Jc\x7f\xc2\x85"
	 "d\n",
		"a=EF=BF=BD\r\nb=EF=BF=BD[2Jc=EF=BF=BD=EF=BF=BDd\r\n"},
	{"a\xff\xc3\n", "a=EF=BF=BD=EF=BF=BD\r\n"},
	{SIXTY TEN "123456\n", SIXTY TEN "123456\r\n"},
	{SIXTY TEN "1234567\n", SIXTY TEN "12345=\r\n67\r\n"},
	{SIXTY TEN "12345.\n", SIXTY TEN "12345.\r\n"},
	{SIXTY TEN "12345.x\n", SIXTY TEN "12345=\r\n=2Ex\r\n"},
	{SIXTY TEN "123\xc3\xbc\n", SIXTY TEN "123=\r\n=C3=BC\r\n"},
	{SIXTY TEN "\xc3\xbc\n", SIXTY TEN "=C3=BC\r\n"},
};

static void test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		expect("x", "Subject: x\r\n", texts[i].text, texts[i].encoded);
}

static void test_ids(void **state)
{
	static const struct {
		const char *host, *line;
	} rows[] = {
		{"h_1>\r\nX: y", "\r\nMessage-ID: <ab1.brickwatch@h1Xy>\r\n"},
		{"", "\r\nMessage-ID: <ab1.brickwatch@localhost>\r\n"},
		{"..", "\r\nMessage-ID: <ab1.brickwatch@localhost>\r\n"},
		{"\xc3\xbc", "\r\nMessage-ID: <ab1.brickwatch@localhost>\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT(MIME_MAIL_BYTES);
		struct mime_mail m = mail("x", "y");
		struct err err = ERR_INIT;

		m.id = "a b>\n1";
		m.host = rows[i].host;
		assert_int_equal(mime_compose(&b, &m, &err), 0);
		if (strstr(buf_str(&b), rows[i].line) == NULL)
			fail_msg("%s", buf_str(&b));
	}
}

static void test_limits(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(400);
	CLEANUP_FREE char *subject = mem_alloc(4000);
	CLEANUP_BUF struct buf large = BUF_INIT(MIME_MAIL_BYTES);
	struct mime_mail m = mail("x", SIXTY SIXTY SIXTY SIXTY);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(mime_compose(&b, &m, &err), -ENOBUFS);
	assert_string_equal(err.text, "a mail does not fit into 400 bytes");
	for (size_t i = 0; i + 2 < 4000; i += 2)
		memcpy(subject + i, "\xc3\xbc", 2);
	m = mail(subject, "");
	assert_int_equal(mime_compose(&large, &m, &err), 0);
	assert_non_null(strstr(buf_str(&large), "4oCm?=\r\nMIME-Version")); /* … */
	assert_true(large.len < 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
