/*
 * event_text: ${…} in texts about an event: subject and body of a mail, body of a webhook. Pure. The names
 * are those of the event's fields, as brickwatch-events(5) has them; ${event} is the whole event, as the log
 * has it but for the line end; $$ is a dollar sign. What the event does not have gives "".
 */
#ifndef CORE_EVENT_TEXT_H
#define CORE_EVENT_TEXT_H

#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

enum event_text_form {
	/* For people: control characters of a value are shown as \n, \xNN, so a file name can neither begin
	   a line nor move the cursor. An object is its JSON, as the log has it. */
	EVENT_TEXT_PLAIN = 0,
	/* JSON. Inside of a string of the template the value is escaped for there. Outside it is a whole JSON
	   value: a string with its quotes, a number with all its digits, null for what is not there. */
	EVENT_TEXT_JSON,
};

/* Unknown names (with the nearest known), "${" without "}", a lone "$": -EINVAL with the column (bytes, from
 * 1). JSON: the result must be JSON as well, whatever the fields are. */
int event_text_check(const char *text, enum event_text_form form, struct err *err) MUST_CHECK;
/* Adds text with the values of the event in line (one JSON object, with or without '\n') to b, whose ceiling
 * is the limit: -ENOBUFS. -EBADMSG: line is no such object. -EINVAL: as above. b may have got a part then. */
int event_text_expand(const char *text, enum event_text_form form, const char *line, size_t len,
	struct buf *b, struct err *err) MUST_CHECK;
/* All names but $$, in the order of the manual. */
const char *const *event_text_names(size_t *ret_n);

#endif
