/*
 * smtp_talk: what is said after each answer, and what becomes of the mail. A script is a list of the server's
 * answers; what the client said is kept as one text.
 */
#include "core/smtp_talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define MAIL "Subject: x\r\n\r\n.one\r\ntwo\r\n..\r\n"
#define STUFFED "Subject: x\r\n\r\n..one\r\ntwo\r\n...\r\n.\r\n"

static const char *const to[] = {"b@example.com", "c@example.com"};

#define FROM "MAIL FROM:<a@example.com>\r\n"
#define TO_B "RCPT TO:<b@example.com>\r\n"
#define TO_C "RCPT TO:<c@example.com>\r\n"
#define QUIT "QUIT\r\n"

struct script {
	const char *answers; /* all of them, each with its line end */
	const char *said;
	enum smtp_fate fate;
	const char *words; /* of the answer that decided */
	const char *b, *c; /* of the recipients' */
};

static const struct script scripts[] = {
	{"250 ok\r\n250 b\r\n250 c\r\n354 go\r\n250 queued\r\n", FROM TO_B TO_C "DATA\r\n" STUFFED QUIT,
		SMTP_DELIVERED, "250 queued", "250 b", "250 c"},
	{"250-a\r\n250-b\r\n250 ok\r\n251 b\r\n252\r\n354\r\n250\r\n", FROM TO_B TO_C "DATA\r\n" STUFFED QUIT,
		SMTP_DELIVERED, "250", "251 b", "252"},
	{"250\n250\n550 5.1.1 no c\n354\n250\n", FROM TO_B TO_C "DATA\r\n" STUFFED QUIT, SMTP_DELIVERED,
		"250", "250", "550 5.1.1 no c"},
	{"250\r\n550 no b\r\n450 c later\r\n", FROM TO_B TO_C QUIT, SMTP_AGAIN, "450 c later", "550 no b",
		"450 c later"},
	{"250\r\n550 no b\r\n551 no c\r\n", FROM TO_B TO_C QUIT, SMTP_AGAIN, "550 no b", "550 no b",
		"551 no c"},
	{"450 busy\r\n", FROM QUIT, SMTP_AGAIN, "450 busy", "", ""},
	{"530 sign in\r\n", FROM QUIT, SMTP_AGAIN, "530 sign in", "", ""},
	{"552 too large\r\n", FROM QUIT, SMTP_REFUSED, "552 too large", "", ""},
	{"250\r\n250\r\n250\r\n451 later\r\n", FROM TO_B TO_C "DATA\r\n" QUIT, SMTP_AGAIN, "451 later", "250",
		"250"},
	{"250\r\n250\r\n250\r\n250 what\r\n", FROM TO_B TO_C "DATA\r\n" QUIT, SMTP_AGAIN, "250 what", "250",
		"250"},
	{"250\r\n250\r\n250\r\n554 no\r\n", FROM TO_B TO_C "DATA\r\n" QUIT, SMTP_REFUSED, "554 no", "250",
		"250"},
	{"250\r\n250\r\n250\r\n354\r\n554-spam\r\n554 5.7.1 \x1b[2Jspam\r\n",
		FROM TO_B TO_C "DATA\r\n" STUFFED QUIT, SMTP_REFUSED, "554 5.7.1 \\x1b[2Jspam", "250", "250"},
	{"250\r\n250\r\n250\r\n354\r\n452 full\r\n", FROM TO_B TO_C "DATA\r\n" STUFFED QUIT, SMTP_AGAIN,
		"452 full", "250", "250"},
	{"250\r\n421 bye\r\n", FROM TO_B QUIT, SMTP_AGAIN, "421 bye", "", ""},
	{"250\r\n250\r\n", FROM TO_B TO_C, SMTP_UNKNOWN, "", "250", ""},
	{"250\r\n250\r\n250\r\n354\r\n", FROM TO_B TO_C "DATA\r\n" STUFFED, SMTP_UNKNOWN, "", "250", "250"},
};

static void drain(struct smtp_talk *t, struct buf *said, size_t step)
{
	for (;;) {
		size_t len;
		const char *out = smtp_talk_out(t, &len);

		if (len == 0)
			return;
		if (len > step)
			len = step;
		assert_int_equal(buf_add(said, out, len), 0);
		smtp_talk_sent(t, len);
	}
}

/* The answers come byte for byte, each after everything was sent. */
static void play(const struct script *s, size_t step)
{
	struct smtp_talk *t = smtp_talk_new("a@example.com", to, 2, MAIL, strlen(MAIL));
	CLEANUP_BUF struct buf said = BUF_INIT(65536);
	struct err err = ERR_INIT;

	for (const char *p = s->answers; *p; p++) {
		drain(t, &said, step);
		if (smtp_talk_take(t, p, 1, &err) < 0)
			fail_msg("%s", err.text);
	}
	drain(t, &said, step);
	assert_string_equal(buf_str(&said), s->said);
	assert_int_equal(smtp_talk_fate(t), s->fate);
	assert_int_equal(smtp_talk_is_over(t), s->fate != SMTP_UNKNOWN);
	assert_string_equal(smtp_talk_reply(t)->words, s->words);
	assert_string_equal(smtp_talk_recipient(t, 0)->words, s->b);
	assert_string_equal(smtp_talk_recipient(t, 1)->words, s->c);
	smtp_talk_free(t);
}

static void test_scripts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		play(&scripts[i], 1);
		play(&scripts[i], 1000);
	}
}

/* A server that speaks while the mail is being sent gets neither its rest nor QUIT in the middle of it. */
static void test_early_word(void **state)
{
	struct smtp_talk *t = smtp_talk_new("a@example.com", to, 2, MAIL, strlen(MAIL));
	static const char answers[] = "250\r\n250\r\n250\r\n354\r\n";
	CLEANUP_BUF struct buf said = BUF_INIT(65536);
	struct err err = ERR_INIT;
	size_t len;

	(void)state;
	for (const char *p = answers; *p; p++) {
		drain(t, &said, 1000);
		assert_int_equal(smtp_talk_take(t, p, 1, &err), 0);
	}
	smtp_talk_sent(t, 10);
	assert_int_equal(smtp_talk_take(t, "552 stop\r\n", 10, &err), 0);
	assert_int_equal(smtp_talk_fate(t), SMTP_REFUSED);
	(void)smtp_talk_out(t, &len);
	assert_int_equal(len, 0);
	smtp_talk_free(t);
}

static void test_no_smtp(void **state)
{
	static const char *const answers[] = {"\r\n", "hello\r\n", "25\r\n", "250_x\r\n", "2500\r\n",
		"199 x\r\n", "600 x\r\n", "HTTP/1.1 400 Bad Request\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct smtp_talk *t = smtp_talk_new("a@example.com", to, 2, MAIL, strlen(MAIL));
		struct err err = ERR_INIT;

		if (smtp_talk_take(t, answers[i], strlen(answers[i]), &err) != -EBADMSG)
			fail_msg("%s is taken", answers[i]);
		assert_non_null(strstr(err.text, "its answer to MAIL FROM is no SMTP"));
		assert_int_equal(smtp_talk_fate(t), SMTP_UNKNOWN);
		smtp_talk_free(t);
	}
}

static void test_bounds(void **state)
{
	struct smtp_talk *t = smtp_talk_new("a@example.com", to, 2, MAIL, strlen(MAIL));
	struct err err = ERR_INIT;
	int r = 0, n = 0;

	(void)state;
	for (; r == 0 && n < 100000; n++)
		r = smtp_talk_take(t, "x", 1, &err);
	assert_int_equal(r, -EBADMSG);
	assert_int_equal(n, SMTP_TALK_LINE_BYTES + 1);
	smtp_talk_free(t);

	t = smtp_talk_new("a@example.com", to, 2, MAIL, strlen(MAIL));
	for (r = n = 0; r == 0 && n < 100000; n++)
		r = smtp_talk_take(t, "250-x\r\n", 7, &err);
	assert_int_equal(r, -EBADMSG);
	assert_int_equal(n, SMTP_TALK_LINES_MAX + 1);
	smtp_talk_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_early_word),
		cmocka_unit_test(test_no_smtp),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
