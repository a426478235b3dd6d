/*
 * report: the verbs that only look: `status` and `files`, as JSON records.
 */
#ifndef DISPATCH_REPORT_H
#define DISPATCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "dispatch/control.h"
#include "dispatch/ledger.h"
#include "dispatch/selection.h"

extern const struct control_verb report_status, report_files;

/* Rows of a selection as records, then one with the totals. Also for who reads the ledger by itself. */
#define REPORT_PAGE 64
struct desk;
struct report_rows {
	struct selection at;
	const struct desk *desk; /* NULL: without a service */
	const struct conf *conf;
	int64_t ids[REPORT_PAGE];
	int n, pos;
	int64_t waiting; /* files that are not in the ledger yet, shown before: for the totals */
	int64_t totals[LEDGER_STATES];
	bool done;
};

/* 1: a record is in json, 0: that was all, -EINPROGRESS: nothing in this stretch, ask again, -errno */
int report_rows_next(struct report_rows *r, struct ledger *l, struct buf *json, struct err *err) MUST_CHECK;

/* Has it shown nothing (so far)? */
bool report_is_empty(const struct report_rows *r);

/* A path as two members: "path", with U+FFFD for what is no UTF-8, and then "path_base64" with its bytes. */
void report_add_path(struct json_writer *w, const char *root, const char *relpath);

#endif
