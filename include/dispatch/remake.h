/*
 * remake: the request of a row, made by the configuration there is now. The one recipe of all who do that: a
 * changed configuration (renew), an operator (operate), a run that was skipped (verify).
 */
#ifndef DISPATCH_REMAKE_H
#define DISPATCH_REMAKE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/conf.h"
#include "core/start.h"
#include "dispatch/ledger.h"

#define REMAKE_GENERATIONS_MAX 1000 /* whose tokens are taken already */

/* The row's watch, or NULL: it is not configured any more, or not in a way that requests could be made. */
const struct conf_watch *remake_watch(const struct conf *conf, const struct ledger_row *row);
/* Is the job that its job_name stands for not known yet? What is not marked sent waits for that. */
bool remake_waits_for_job(const struct conf_watch *w);
/* The host whose line of the sender a pending row belongs to: one that waits for its job does not go to the
 * host that it was made for. */
const char *remake_host(const struct conf *conf, const struct ledger_row *row);
/* Is there a workspace with this host? */
bool remake_has_host(const struct conf *conf, const char *host);
/* It waits, may have been sent, and only the workspace where that was can tell; which is not configured any
 * more.
 */
bool remake_is_stranded(const struct conf *conf, const struct ledger_row *row);
/* The request of the same generation. 0, or -errno of start_make: it cannot be made, *ret_reason (the dead
 * letter's word). */
int remake_same(const struct conf_watch *w, const struct ledger_row *row, struct start *s,
	const char **ret_reason, struct err *err) MUST_CHECK;
/* The request of the first generation behind the row's whose token is free. 1; 0: it cannot be made,
 * *ret_reason; -errno. *ret_generation is the one that was tried last, in any case. */
int remake_next(struct ledger *l, const struct conf_watch *w, const struct ledger_row *row, struct start *s,
	int64_t *ret_generation, const char **ret_reason, struct err *err) MUST_CHECK;
/* A pending row for the same version with that request; borrows from all three. */
struct ledger_new remake_row(const struct conf_watch *w, const struct ledger_row *row, const struct start *s,
	int64_t root_id, int64_t generation, int64_t now_us);

#endif
