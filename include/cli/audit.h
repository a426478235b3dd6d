/*
 * audit: `events --summary`: events in figures, by watch and local day, as a table or in JSON.
 */
#ifndef CLI_AUDIT_H
#define CLI_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/json.h"

struct audit;

struct audit *audit_new(void);
void audit_free(struct audit *a); /* takes NULL */
/* 0 or -errno: it cannot be counted (its time cannot be read; too many watches and days). */
int audit_add(struct audit *a, const struct json *event, struct err *err) MUST_CHECK;
/* columns: of the terminal; 0: none, nothing is cut. */
void audit_print(struct audit *a, bool json, size_t columns);

#endif
