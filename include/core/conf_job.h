/*
 * conf_job: what the Jobs API would refuse of a watch whatever the file is, told when the configuration is
 * read. A part of conf_check(). Pure.
 */
#ifndef CORE_CONF_JOB_H
#define CORE_CONF_JOB_H

#include <stdbool.h>
#include "core/conf.h"

#define CONF_JOB_NAME_BYTES 2048 /* longest job_name: it is part of an address */

/* key: of the entry that is at fault. */
typedef void (*conf_job_tell_fn)(bool warning, const char *key, const char *text, void *arg);

/* What the service would not take of the literal parts of a parameter's template, as the end of a sentence,
 * or NULL. A malformed template has no such fault. Constant. */
const char *conf_job_template_fault(const struct conf_watch *w, const char *template);
/* Calls tell for each mistake and warning. Watches without a workspace are judged as far as that goes. */
void conf_job_check(const struct conf_watch *w, conf_job_tell_fn tell, void *arg);

#endif
