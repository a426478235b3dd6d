/*
 * textform: JSON that is whole, cut at every byte, and broken; the first tag; separators and quotes.
 */
#include "core/textform.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

static void init(struct textform *t, const char *bytes, size_t n)
{
	size_t head = n < TEXTFORM_BYTES ? n : TEXTFORM_BYTES, tail = n < 64 ? n : 64;

	textform_init(t, (const uint8_t *)bytes, head, (const uint8_t *)bytes + n - tail, tail, (int64_t)n);
}

/* Only the head of something longer that ends in tail. */
static void init_cut(struct textform *t, const char *head, const char *tail)
{
	textform_init(t, (const uint8_t *)head, strlen(head), (const uint8_t *)tail, strlen(tail), 1000000);
}

static enum textform_json json_of(const char *text)
{
	struct textform t;
	bool one_line;

	init(&t, text, strlen(text));
	return textform_json(&t, &one_line);
}

static const char *const whole[] = {
	"{}",
	"[]",
	" [ ] \n",
	"{\"a\":1}",
	"[1,2,3]",
	"{\"a\":{\"b\":[{},[],null,true,false]}}",
	"[-0.5e+10,0,-1,1E5,0.0]",
	"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00fC\"]",
	"{\"\":\"\"}",
	"[1\n,\r\n2\t]",
	"[\"\xc3\xa4\"]",
	"{\"a\":\"}]\"}",
};

static const char *const broken[] = {
	"{",
	"[",
	"[1",
	"{]",
	"[}",
	"[1,]",
	"[,1]",
	"{\"a\"}",
	"{\"a\":}",
	"{\"a\":1,}",
	"{a:1}",
	"{'a':1}",
	"[1 2]",
	"[01]",
	"[1.]",
	"[.5]",
	"[1e]",
	"[+1]",
	"[--1]",
	"[nul]",
	"[nulll]",
	"[True]",
	"[NaN]",
	"[\"\n\"]",
	"[\"\\x\"]",
	"[\"\\u12g4\"]",
	"[\"]",
	"{}{}",
	"[] []",
	"{} x",
	"[section]\nkey=1",
	"{\\rtf1 x}",
	"[1]]",
};

static void test_json_whole_and_broken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
		if (json_of(whole[i]) != TEXTFORM_JSON_WHOLE)
			fail_msg("%s: %d", whole[i], (int)json_of(whole[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		if (json_of(broken[i]) != TEXTFORM_JSON_LIKE)
			fail_msg("%s: %d", broken[i], (int)json_of(broken[i]));
	}
	assert_int_equal(json_of("1"), TEXTFORM_JSON_NO);
	assert_int_equal(json_of("\"a\""), TEXTFORM_JSON_NO);
	assert_int_equal(json_of(""), TEXTFORM_JSON_NO);
	assert_int_equal(json_of(" \n"), TEXTFORM_JSON_NO);
	assert_int_equal(json_of("a{}"), TEXTFORM_JSON_NO);
}

/* However a whole document is cut, it is JSON as far as it goes. */
static void test_json_cut_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
		const char *start = whole[i] + strspn(whole[i], " ");
		size_t end = strlen(start);

		while (end > 0 && strchr(" \n", start[end - 1]))
			end--;
		for (size_t n = 1; n < end; n++) {
			struct textform t;
			bool one_line;

			textform_init(&t, (const uint8_t *)start, n, (const uint8_t *)"}", 1, 100000);
			if (textform_json(&t, &one_line) != TEXTFORM_JSON_BEGUN)
				fail_msg("%s, %zu bytes", whole[i], n);
		}
	}
}

static void test_json_lines(void **state)
{
	static const struct {
		const char *text;
		enum textform_json want;
	} rows[] = {
		{"{\"a\":1}\n{\"a\":2}\n", TEXTFORM_JSON_LINES},
		{"{\"a\":1}\r\n{\"a\":2}", TEXTFORM_JSON_LINES}, {"[1]\n[2]\n[3]\n", TEXTFORM_JSON_LINES},
		{"{\"a\":1}\n\n{\"a\":2}\n", TEXTFORM_JSON_LINES},
		{"{\"a\":1}\n{\"a\":", TEXTFORM_JSON_LINES}, /* the last line torn */
		{"{\"a\":1}\n", TEXTFORM_JSON_WHOLE}, {"{\"a\":1}\nx\n", TEXTFORM_JSON_LIKE},
		{"{\"a\":1}\n{a}\n", TEXTFORM_JSON_LIKE}, {"{\"a\":1} {\"a\":2}\n", TEXTFORM_JSON_LIKE},
		{"{\n\"a\":1}\n{\"a\":2}\n", TEXTFORM_JSON_LIKE}, /* the first is no line */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (json_of(rows[i].text) != rows[i].want)
			fail_msg("%s: %d", rows[i].text, (int)json_of(rows[i].text));
	}
}

static void test_json_of_heads(void **state)
{
	struct textform t;
	bool one_line;

	(void)state;
	init_cut(&t, "{\"a\":1}\n", "{\"z\":1}\n"); /* the head ends with the first line */
	assert_int_equal(textform_json(&t, &one_line), TEXTFORM_JSON_LINES);
	init_cut(&t, "{\"a\":1}\n", "rubbish");
	assert_int_equal(textform_json(&t, &one_line), TEXTFORM_JSON_LIKE);
	init_cut(&t, "{\"a\":1}\n{\"b\":\"long", "x\"}\n");
	assert_int_equal(textform_json(&t, &one_line), TEXTFORM_JSON_LINES);
	init_cut(&t, "{\"a\":\"long", "x\"}\n");
	assert_int_equal(textform_json(&t, &one_line), TEXTFORM_JSON_BEGUN);
	assert_true(one_line);
	assert_true(textform_json_closes(&t));
	init_cut(&t, "[\n1,", "2\n]\n \r\n");
	assert_int_equal(textform_json(&t, &one_line), TEXTFORM_JSON_BEGUN);
	assert_false(one_line);
	assert_true(textform_json_closes(&t));
	init_cut(&t, "[\n1,", "2\n}");
	assert_false(textform_json_closes(&t));
	init_cut(&t, "[\n1,", "\n\n\n");
	assert_false(textform_json_closes(&t));
	init_cut(&t, "[\n1,", "");
	assert_false(textform_json_closes(&t));
	init_cut(&t, "", "]");
	assert_false(textform_json_closes(&t));
}

static void test_json_deep(void **state)
{
	char deep[2048];

	(void)state;
	memset(deep, '[', 1024);
	memset(deep + 1024, ']', 1023);
	deep[2047] = '\0';
	assert_int_equal(json_of(deep), TEXTFORM_JSON_LIKE);
	deep[1024 + 512] = '\0';
	assert_int_equal(json_of(deep + 512), TEXTFORM_JSON_WHOLE);
}

static void test_encodings(void **state)
{
	struct textform t;
	bool one_line;

	(void)state;
	init(&t, "\xef\xbb\xbf{\"a\":1}", 10);
	assert_true(t.is_text);
	assert_int_equal(t.len, 7);
	assert_int_equal(textform_json(&t, &one_line), TEXTFORM_JSON_WHOLE);
	init(&t, "\xff\xfe{\0\"\0\xe4\0\"\0:\0\x31\0}\0\n\0", 18);
	assert_true(t.is_text);
	assert_int_equal(textform_json(&t, &one_line), TEXTFORM_JSON_WHOLE);
	assert_int_equal(t.last, '}');
	init(&t, "\xfe\xff\0[\0\x31\0]", 8);
	assert_true(t.is_text);
	assert_int_equal(textform_json(&t, &one_line), TEXTFORM_JSON_WHOLE);
	init(&t, "\xff\xfe\0\0[\0\0\0", 8); /* UTF-32 */
	assert_false(t.is_text);
	init(&t, "\xff\xfe[\0]", 5); /* half a character at the end */
	assert_int_equal(t.len, 1);
	init(&t, "a,b\r\n\x1a\x1a", 7);
	assert_true(t.is_text && t.ends_with_ctrl_z);
	assert_int_equal(t.len, 5);
	assert_int_equal(t.last, 'b');
	init(&t,
		"a\x1a"
		"b",
		3);
	assert_false(t.is_text);
	init(&t, "a\0b", 3);
	assert_false(t.is_text);
	init(&t, "a\x7f", 2);
	assert_false(t.is_text);
	init(&t, "\x1b[1m\xff\x80\n", 7); /* escapes and Latin letters are text */
	assert_true(t.is_text);
	init(&t, "", 0);
	assert_false(t.is_text);
	init_cut(&t, "a,b\n", "1,2\n\x01");
	assert_false(t.is_text);
	init_cut(&t, "a,b\n", "1,2\n\x1a");
	assert_true(t.is_text && t.ends_with_ctrl_z);
	textform_init(&t, NULL, 0, NULL, 0, 100); /* nothing could be read */
	assert_false(t.is_text);
	assert_int_equal(t.last, 0);
}

static void test_xml(void **state)
{
	static const struct {
		const char *text;
		enum textform_xml want;
	} rows[] = {
		{"<?xml version=\"1.0\"?><a/>", TEXTFORM_XML_DECLARED},
		{"\n <?XML version=\"1.0\"?>", TEXTFORM_XML_DECLARED},
		{"<?xmlx?>", TEXTFORM_XML_NO},
		{"<?xml", TEXTFORM_XML_NO},
		{"<?php echo ?>", TEXTFORM_XML_NO},
		{"<orders>", TEXTFORM_XML_ROOT},
		{"<soap:Envelope xmlns:soap='x'>", TEXTFORM_XML_ROOT},
		{"<a-b.c1\n>", TEXTFORM_XML_ROOT},
		{"<a1/>", TEXTFORM_XML_ROOT},
		{"<\xc3\xa4/>", TEXTFORM_XML_ROOT},
		{"<!-- c > d --><x/>", TEXTFORM_XML_ROOT},
		{"<?pi x?>\n<!DOCTYPE x [<!ELEMENT x ANY>]>\n<x>", TEXTFORM_XML_ROOT},
		{"<!DOCTYPE x SYSTEM 'x.dtd'><x>", TEXTFORM_XML_ROOT},
		{"<!DOCTYPE html><x>", TEXTFORM_XML_NO},
		{"<!doctype HTML>", TEXTFORM_XML_NO},
		{"<html>", TEXTFORM_XML_ELEMENT},
		{"<DIV class='a'>", TEXTFORM_XML_ELEMENT},
		{"<h1>", TEXTFORM_XML_ELEMENT},
		{"<a@b.c> wrote", TEXTFORM_XML_NO},
		{"<1a>", TEXTFORM_XML_NO},
		{"< a>", TEXTFORM_XML_NO},
		{"<", TEXTFORM_XML_NO},
		{"<a", TEXTFORM_XML_NO},
		{"<!-- never closed <x/>", TEXTFORM_XML_NO},
		{"<!DOCTYPE x [", TEXTFORM_XML_NO},
		{"<!DOCTYPE x [ >", TEXTFORM_XML_NO},
		{"x <a/>", TEXTFORM_XML_NO},
		{"", TEXTFORM_XML_NO},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct textform t;

		init(&t, rows[i].text, strlen(rows[i].text));
		if (textform_xml(&t) != rows[i].want)
			fail_msg("%s: %d", rows[i].text, (int)textform_xml(&t));
	}
}

static void test_columns(void **state)
{
	static const struct {
		const char *text;
		char separator;
		size_t records, fields;
		bool is_even, is_mostly;
	} rows[] = {
		{"a,b\n1,2\n", ',', 2, 2, true, true},
		{"a,b\n1,2", ',', 2, 2, true, true},
		{"a;b;c\n1,5;2,5;3\n4;5;6\n", ';', 3, 3, true, true}, /* decimal commas */
		{"a\tb\n1\t2\n", '\t', 2, 2, true, true},
		{"a|b|c\n1|2|3\n", '|', 2, 3, true, true},
		{"a,b\n\n \n1,2\n\n", ',', 2, 2, true, true},
		{"a,b\n1,2,3\n4,5\n", ',', 3, 2, false, true},
		{"a,b,c\n1,2\n3\n4,5,6,7\n8,9,0,1,2\n", ',', 5, 3, false, false},
		{"a,b\n\"x,y\",\"1\n2\"\n\"say \"\"hi\"\"\",3\n", ',', 3, 2, true, true},
		{"a,b\n1,x\"y\n2,\"\n", ',', 2, 2, true,
			true}, /* a quote in the middle is no quote; the last one never ends */
		{"a,b\n", ',', 1, 2, false, true},
		{"a,b", ',', 1, 2, false, true},
		{"id\n1\n2\n", 0, 3, 1, false, false},
		{"", 0, 0, 0, false, false},
		{"\n\n", 0, 0, 0, false, false},
		{",,\n,,\n", ',', 2, 3, true, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct textform_columns c;
		struct textform t;

		init(&t, rows[i].text, strlen(rows[i].text));
		textform_columns(&t, &c);
		if (c.separator != rows[i].separator || c.records != rows[i].records ||
			c.fields != rows[i].fields || c.is_even != rows[i].is_even ||
			c.is_mostly != rows[i].is_mostly)
			fail_msg("%s: '%c' %zu records of %zu, %d %d", rows[i].text, c.separator, c.records,
				c.fields, c.is_even, c.is_mostly);
	}
}

static void test_columns_of_heads(void **state)
{
	char wide[TEXTFORM_BYTES];
	struct textform_columns c;
	struct textform t;

	(void)state;
	init_cut(&t, "a,b\n1,2\n3", "9,9\n"); /* the last record is cut and does not count */
	textform_columns(&t, &c);
	assert_true(c.is_even);
	assert_int_equal(c.records, 2);
	memset(wide, ',', sizeof(wide));
	init(&t, wide, sizeof(wide));
	textform_columns(&t, &c);
	assert_int_equal(c.fields, TEXTFORM_BYTES + 1);
	for (size_t i = 0; i + 1 < sizeof(wide); i += 2)
		memcpy(wide + i, ",\n", 2);
	init(&t, wide, sizeof(wide));
	textform_columns(&t, &c);
	assert_true(c.is_even);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_whole_and_broken),
		cmocka_unit_test(test_json_cut_anywhere),
		cmocka_unit_test(test_json_lines),
		cmocka_unit_test(test_json_of_heads),
		cmocka_unit_test(test_json_deep),
		cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_xml),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_columns_of_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
