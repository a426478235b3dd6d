"""A changed configuration: what waits under a mistaken one is started under the mended one; what may be out stays."""

from harness import JOB, text, wait_for
from jobsapi import Job, JobsApi

WRONG = 777


def requests_of(s, job):
    return [r for r in s.api.sent(path="run-now") if r.json["job_id"] == job]


def test_a_mended_job_and_parameter_count_for_waiting_files(service):
    s = service(job_id=WRONG)
    paths = [s.put(f"{n}.csv") for n in range(3)]
    s.start()
    wait_for(lambda: len(requests_of(s, WRONG)) >= 2, "the wrong job to be asked for twice")
    s.stop()
    s.watches["drop"].update({"job_id": JOB, "param.wrong": "${uri}"})
    s.write_configuration()
    s.start()
    wait_for(lambda: "does not define the parameter \"wrong\"" in s.err(), s.err)  # looked at before a file is sent
    assert not s.api.runs and not requests_of(s, JOB)
    s.stop()
    del s.watches["drop"]["param.wrong"]
    s.watches["drop"]["param.path"] = "${uri}"
    s.write_configuration()
    s.start()
    for path in paths:
        s.wait_run(path)
    s.barrier()
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))
    s.check_started()
    assert "3 waiting requests were made anew" in s.err()


def test_what_may_have_been_sent_stays_as_it_is(service):
    """The answer was lost and a run exists: another job in the configuration must not make a second one."""
    s = service(api=JobsApi([Job(JOB, {"path": ""}), Job(WRONG, {"path": ""})]))
    s.api.fault("truncate", path="run-now")
    s.api.fault("status", path="run-now", status=503, times=None)
    path = s.put("a.csv", text("a"))
    s.start()
    wait_for(lambda: len(s.api.sent(path="run-now")) >= 2, "a second attempt")
    s.stop()
    s.watches["drop"]["job_id"] = WRONG
    s.write_configuration()
    s.api.clear_faults()
    s.start()
    started = s.wait_event("run.started", path=path)
    other = s.put("b.csv")
    s.wait_run(other)
    s.stop()
    assert [e["job_id"] for e in started] == [JOB]
    assert [r.job_id for r in s.api.runs] == [JOB, WRONG]
    assert len({r.json["idempotency_token"] for r in requests_of(s, JOB)}) == 1
    s.check_started(repeated=True)


def test_an_old_job_that_is_gone_holds_up_nobody(service):
    """A row that may be out asks for a job that is no longer there: new files go on under the new one."""
    s = service(api=JobsApi([Job(JOB, {"path": ""}), Job(WRONG, {"path": ""})]), job_id=WRONG)
    s.api.fault("truncate", path="run-now")
    s.api.fault("status", path="run-now", status=503, times=None)
    s.put("old.csv")
    s.start()
    wait_for(lambda: len(s.api.sent(path="run-now")) >= 2, "a second attempt")
    s.stop()
    s.api.clear_faults()
    with s.api.lock:
        del s.api.jobs[WRONG]
    s.watches["drop"]["job_id"] = JOB
    s.write_configuration()
    s.start()
    for n in range(5):
        s.wait_run(s.put(f"new{n}.csv"))
    s.stop()
