/*
 * The same words stand in doc/outcomes.md; a test compares them. What is tried again by itself has no advice
 * unless a person must mend something for it to work.
 */
#include "core/advice.h"

#include <string.h>
#include "base/mem.h"

#define MEND_AND_RERUN "mend the parameters of the watch, then `brickwatch rerun`"
#define RENAME "give the file another name; or encode it in a parameter that the job decodes"

static const struct {
	const char *reason, *words;
} advices[] = {
	/* the way to the workspace */
	{"unreachable", "`brickwatch check --online` tries it now"},
	{"private_link", "the workspace takes requests from its private network only"},
	{"redirected", "is this the host of the workspace?"},
	{"proxy_refused",
		"who runs the proxy says which name and password it takes; the file is read again by "
		"itself"},
	{"client_certificate_refused", "look at client_certificate and client_key; who runs the server says "
				       "which certificates it takes"},
	{"no_jobs_api", "is this the host of a workspace, and api_version one it has?"},
	{"address_blocked", "the IP access list of the workspace must have this machine's address"},
	{"credential_refused",
		"renew the credential; a file is read again by itself, what systemd hands over at a "
		"restart"},
	{"credential_unreadable",
		"mend the file of the credential as the message says; it is read again by itself"},
	{"no_sign_in", "is the host right, and does it sign in by this kind of credential?"},
	{"sign_in_unavailable", "can this machine reach who hands out access tokens?"},

	/* the job */
	{"job_missing", "is the job there, in this workspace, under this number or name?"},
	{"job_ambiguous", "give the job_id of the one that is meant"},
	{"job_forbidden", "this identity needs CAN MANAGE RUN on the job"},
	{"parameter_undefined",
		"`brickwatch check --online` compares the parameters of the watch and of the job"},
	{"task_undefined", "only must name tasks of the job"},
	{"same_job", "give each watch another job or other directories"},
	{"job_gone", "`brickwatch rerun` starts the job that is configured now"},

	/* the request */
	{"bad_request", MEND_AND_RERUN},
	{"refused", MEND_AND_RERUN},
	{"request_too_large", MEND_AND_RERUN},
	{"parameters_too_long", MEND_AND_RERUN},
	{"parameter_not_ascii", MEND_AND_RERUN},
	{"template_invalid", MEND_AND_RERUN},
	{"parameter_not_utf8", RENAME},
	{"name_not_utf8", RENAME},
	{"name_has_braces", RENAME},
	{"same_remote_file",
		"two local files are the same one remotely: look at path_map, then `brickwatch retry`"},
	{"type_unknown", "`brickwatch explain` shows what is known of its type; `brickwatch retry` has it "
			 "judged anew"},

	/* whether there is a run */
	{"retry_for_over", "`brickwatch retry` tries it again"},
	{"outcome_unknown",
		"a run may exist: `brickwatch retry` sends the same token, which starts no second one"},
	{"conflict", "a run may exist: `brickwatch retry` sends the same token, which starts no second one"},
	{"token_refused", "its run was deleted; `brickwatch rerun` starts another one"},
	{"skipped_too_often",
		"raise max_concurrent_runs of the job or take queue = yes, then `brickwatch rerun`"},
};

const char *advice_for(const char *reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++)
		if (strcmp(advices[i].reason, reason) == 0)
			return advices[i].words;
	return "";
}

const char *advice_reason(size_t i)
{
	return i < ARRAY_SIZE(advices) ? advices[i].reason : NULL;
}
