/*
 * fate: from what runs/get says about a run to whether it ever ran. Pure. Source: Run, RunStatus and RunState
 * of the Jobs API.
 */
#ifndef CORE_FATE_H
#define CORE_FATE_H

enum fate {
	FATE_UNKNOWN = 0, /* too early to tell, or a word nobody knows: look again */
	FATE_RUNS,	  /* runs, waits in the queue, or has run, well or badly: nothing to do */
	FATE_SKIPPED,	  /* was not run, for a reason that passes: start another one */
};

/* The words of an answer; "" where one is missing. status is the newer view and counts if it is there. */
struct fate_words {
	const char *status;	/* status.state */
	const char *code;	/* status.termination_details.code */
	const char *life_cycle; /* state.life_cycle_state */
	const char *result;	/* state.result_state */
};

enum fate fate_decide(const struct fate_words *w);

#endif
