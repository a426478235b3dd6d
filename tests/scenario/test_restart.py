"""Stops, kills, and a workspace that fails: every version is started, once."""

import os
import random
import threading

import pytest

import harness
from harness import JOB, put, text, wait_for
from jobsapi import Job

POWER = {"durability": "power"}


class Dropper(threading.Thread):
    """Drops so many files, so many a second."""

    def __init__(self, service, count=1000, rate=200):
        super().__init__()
        self.service, self.count, self.pause = service, count, 1 / rate
        self.paths, self.clock = [], threading.Event()

    def run(self):
        for n in range(self.count):
            self.paths.append(self.service.put(f"{n:05}.csv", text(f"{n}")))
            self.clock.wait(self.pause)  # the rate of the scenario; nobody relies on it

    @property
    def done(self):
        return len(self.paths)


# --- kept over a stop -------------------------------------------------------------------------------------------------

def test_known_versions_are_not_started_again(service):
    s = service(service=POWER).start()
    paths = [s.put(f"{n}.csv") for n in range(20)]
    for path in paths:
        s.wait_run(path)
    s.stop()
    os.utime(paths[0], ns=(1, 1))  # not a new version: same ends
    again = s.put("1.csv", text("another version"))
    down = s.put("down.csv", text("came while it was down"))
    (s.drop / "new" / "folder").mkdir(parents=True)
    deep = s.put("new/folder/deep.csv", text("deep"))
    os.unlink(paths[2])
    s.start()
    for path in (down, deep):
        s.wait_run(path)
    s.wait_run(again, 2)
    s.barrier()
    s.stop()
    s.start()
    s.barrier()
    s.stop()
    s.check_runs({**dict.fromkeys(paths, 1), again: 2, down: 1, deep: 1})
    s.check_started()
    second = s.events("run.started", path=again)[1]
    assert second["previous_run_id"] == s.events("run.started", path=again)[0]["run_id"]


def test_an_unfinished_file_is_waited_for_over_a_stop(service):
    s = service().start()
    with open(s.drop / "a.csv", "wb", buffering=0) as file:
        file.write(text("a"))
        s.barrier(thorough=True)
        s.stop()
        file.write(b"8,more\n")
        s.start()
        s.barrier(thorough=True)
        assert s.runs_of(s.drop / "a.csv") == []
        file.write(b"9,end\n")
    s.wait_run(s.drop / "a.csv")
    s.stop()
    s.check_runs({s.drop / "a.csv": [text("a") + b"8,more\n9,end\n"]})


def test_stopped_while_settling(service):
    s = service(settle="2s").start()
    path = s.put("a.csv")
    s.stop()
    assert s.api.runs == []
    s.start()
    s.wait_run(path)
    s.check_runs({path: [text("a.csv")]})


def test_existing_files_skipped(service):
    s = service(existing="skip")
    old = s.put("old.csv")
    s.start()
    new = s.put("new.csv")
    s.wait_run(new)
    s.stop()
    down = s.put("down.csv")
    s.put("old.csv", text("a new version of the old one"))
    s.start()
    s.wait_run(down)
    s.wait_run(old)
    s.barrier()
    s.stop()
    s.check_runs({new: 1, down: 1, old: [text("a new version of the old one")]})


def test_existing_files_started(service):
    s = service(existing="run")
    paths = [s.put(f"{n}.csv") for n in range(30)]
    s.start()
    s.wait_runs(30)
    s.barrier()
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))


# --- kills ------------------------------------------------------------------------------------------------------------

@pytest.mark.slow
@pytest.mark.parametrize("victim", ["bw-watch", "bw-sniff", "bw-dispatch", "keeper"])
def test_killed_while_files_come(service, victim):
    """kill -9 at random moments while 1,000 files come at 200/s."""
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    print(f"seed {seed}")
    s = service(service=POWER, types="@csv").start()
    dropper = Dropper(s)
    dropper.start()
    for moment in sorted(dice.sample(range(20, 950), 4)):
        wait_for(lambda: dropper.done >= moment, f"{moment} files dropped")
        if victim == "keeper":
            s.kill_keeper()
            s.start(wait=False)
        else:
            s.kill(victim)
    dropper.join()
    s.wait_runs(1000, timeout=60)
    s.barrier()
    s.stop()
    s.check_runs({path: [text(f"{n}")] for n, path in enumerate(dropper.paths)})
    s.check_started(repeated=victim in ("bw-dispatch", "keeper"))
    assert s.events("start.failed") == [] and s.events("file.rejected") == []


@pytest.mark.parametrize("victim", ["bw-watch", "bw-sniff", "bw-dispatch"])
def test_killed_while_idle(service, victim):
    """A new one comes, and works."""
    s = service(types="@csv").start()
    first = s.put("first.csv")
    s.wait_run(first)
    for n in range(2):
        gone = s.kill(victim)
        if victim != "bw-sniff":  # that one comes when it is needed
            wait_for(lambda: s.pids(victim) not in ([], [gone]), f"another {victim}")
        s.wait_run(s.put(f"{n}.csv"))
    s.barrier()
    s.stop()
    s.check_runs({first: 1, s.drop / "0.csv": 1, s.drop / "1.csv": 1})


def test_all_children_end_with_the_keeper(service):
    s = service(types="@csv").start()
    for name in ("bw-dispatch", "bw-watch", "bw-sniff"):
        s.pid(name)
    s.kill_keeper()  # waits until the process group is empty


def test_killed_after_the_run_and_before_the_answer(service):
    """The run exists, nobody heard of it: the next start asks with the same token and gets the same run."""
    s = service(service=POWER).start()
    held = s.api.fault("hold", path="run-now", times=1)
    path = s.put("a.csv")
    s.wait_run(path)
    s.kill("bw-dispatch")
    s.api.remove_fault(held)
    event = s.wait_event("run.started", path=path)[0]
    s.barrier()
    s.stop()
    s.check_runs({path: 1})
    assert event["run_id"] == s.runs_of(path)[0].run.run_id
    assert s.runs_of(path)[0].run.answers == 2


def test_stop_does_not_wait_for_a_workspace_that_does_not_answer(service):
    s = service(service=POWER).start()
    held = s.api.fault("hold", path="run-now", times=1)
    path = s.put("a.csv")
    s.wait_run(path)
    s.stop(timeout=15)
    assert s.events("run.started") == []
    s.api.remove_fault(held)
    s.start()
    s.wait_event("run.started", path=path)
    s.barrier()
    s.stop()
    s.check_runs({path: 1})
    s.check_started()


# --- a workspace that fails -------------------------------------------------------------------------------------------

FAULTS = {
    "lost": ("lose", {}),
    "truncated": ("truncate", {}),
    "slow": ("slow", {"piece": 20, "delay_s": 0.01}),
    "hangup": ("hangup", {}),
    "reset": ("reset", {}),
    "dropped": ("drop", {}),
    "s500": ("status", {"status": 500}),
    "s502": ("html", {"status": 502}),
    "s503": ("status", {"status": 503}),
    "s504": ("empty", {"status": 504}),
    "s429": ("status", {"status": 429}),
    "s429wait": ("status", {"status": 429, "retry_after": 1}),
    "s408": ("empty", {"status": 408}),
    "page": ("html", {"status": 200}),
    "nothing": ("empty", {"status": 200}),
    "no-http": ("raw", {}),
    "transient": ("status", {"status": 400, "error_code": "TEMPORARILY_UNAVAILABLE"}),
}


def test_answers_that_promise_nothing(service):
    """Each file's first answer is spoiled in its own way; each has one run in the end, from the same request."""
    s = service().start()
    for name, (kind, options) in FAULTS.items():
        s.api.fault(kind, path="run-now", body=f"{name}.csv", times=1, **options)
    paths = {name: s.put(f"{name}.csv") for name in FAULTS}
    for path in paths.values():
        s.wait_event("run.started", path=path, timeout=60)
    s.stop()
    s.check_runs(dict.fromkeys(paths.values(), 1))
    s.check_started()
    for name, path in paths.items():
        bodies = {r.body for r in s.api.sent("run-now") if f"{name}.csv".encode() in r.body}
        assert len(bodies) == 1, f"{name}: a retry was another request: {bodies}"
        event = s.events("run.started", path=path)[0]
        assert event["run_id"] == s.runs_of(path)[0].run.run_id
        # libcurl itself sends once more what had no answer at all on a connection that was there before
        if name not in ("slow", "hangup", "lost", "dropped", "reset"):
            assert event["attempts"] >= 2, name
            if name != "no-http":
                assert s.events("start.retrying", path=path), name


def test_several_failures_then_a_run(service):
    s = service().start()
    s.api.fault("status", status=503, path="run-now", times=3)
    path = s.put("a.csv")
    event = s.wait_event("run.started", path=path)[0]
    assert event["attempts"] == 4
    assert [e["http_status"] for e in s.events("start.retrying", path=path)] == [503, 503]  # first, then at doubling
    s.stop()
    s.check_runs({path: 1})


def test_retry_after_is_obeyed_by_all(service):
    s = service().start()
    s.api.fault("status", status=429, retry_after=2, path="run-now", times=1)
    first = s.put("first.csv")
    s.wait_event("start.retrying", path=first)
    refused = s.api.sent("run-now")[0]
    second = s.put("second.csv")
    s.wait_event("run.started", path=first)
    s.wait_event("run.started", path=second)
    later = [r for r in s.api.sent("run-now") if r is not refused]
    assert all(r.time - refused.time >= 1.9 for r in later), [r.time - refused.time for r in later]
    s.stop()
    s.check_runs({first: 1, second: 1})


def test_refused_request_is_a_dead_letter_and_the_others_go_on(service):
    words = "Parameter value is not to the server's taste; \"quoted\" and \u2028 odd"
    s = service().start()
    s.api.fault("status", status=400, message=words, path="run-now", body="bad.csv", times=None)
    bad, good = s.put("bad.csv"), s.put("good.csv")
    event = s.wait_event("start.failed", path=bad)[0]
    s.wait_run(good)
    assert event["http_status"] == 400 and event["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "not to the server's taste" in event["message"] and event["attempts"] == 1
    assert event["reason"] == "bad_request"
    s.stop()
    s.start()
    s.barrier()
    s.stop()
    assert len(s.events("start.failed")) == 1
    assert len([r for r in s.api.sent("run-now") if b"bad.csv" in r.body]) == 1, "a dead letter was sent again"
    s.check_runs({good: 1})


def test_dead_letter_then_a_new_version(service):
    s = service().start()
    s.api.fault("status", status=400, path="run-now", body="a.csv", times=1)
    path = s.put("a.csv", text("one"))
    s.wait_event("start.failed", path=path)
    s.put("a.csv", text("two, longer"))
    s.wait_run(path)
    s.stop()
    s.check_runs({path: [text("two, longer")]})


def test_given_up_after_retry_for(service):
    s = service(workspace={"retry_for": "1s"}).start()
    s.api.fault("status", status=503, message="no capacity", path="run-now", body="a.csv", times=None)
    path, other = s.put("a.csv"), s.put("b.csv")
    event = s.wait_event("start.failed", path=path)[0]
    assert event["http_status"] == 503 and "no capacity" in event["message"] and event["attempts"] >= 2
    assert "retry_for is over" in event["message"] and "run may exist" in event["message"], event
    assert event["reason"] == "outcome_unknown"  # a 503 does not say that there is no run
    s.wait_run(other)
    s.stop()
    s.check_runs({other: 1})


def test_workspace_down_at_start_and_then_up(service):
    s = service()
    s.api.stop()
    early = s.put("early.csv")
    s.start()
    paths = [early, *(s.put(f"{n}.csv") for n in range(30))]
    wait_for(lambda: "cannot be reached" in s.err(), "a word that the workspace cannot be reached")
    s.api.start()
    s.wait_runs(31, timeout=60)
    s.barrier()
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))
    s.check_started()
    assert s.events("start.failed") == []


def test_workspace_down_over_a_restart(service):
    s = service(service=POWER).start()
    first = s.put("first.csv")
    s.wait_event("run.started", path=first)
    s.api.stop()
    paths = [s.put(f"{n}.csv") for n in range(10)]
    wait_for(lambda: "cannot be reached" in s.err(), "a word that the workspace cannot be reached")
    s.stop()
    s.start()
    s.stop()
    s.api.start()
    s.start()
    s.wait_runs(11, timeout=60)
    s.barrier()
    s.stop()
    s.check_runs({first: 1, **dict.fromkeys(paths, 1)})
    s.check_started()


def test_failing_over_a_restart_keeps_the_request(service):
    """The request is fixed when the file is accepted; what is sent after a restart is the same, byte for byte."""
    s = service(**{"param.path": "${uri}", "param.at": "${now}"},
                api=harness.JobsApi({JOB: ["path", "at"]})).start()
    fault = s.api.fault("status", status=503, path="run-now", times=None)
    path = s.put("a.csv")
    s.wait_event("start.retrying", path=path)
    s.stop()
    s.api.remove_fault(fault)
    s.start()
    s.wait_event("run.started", path=path)
    s.stop()
    s.check_runs({path: 1})
    assert len({r.body for r in s.api.sent("run-now")}) == 1


def test_missing_job_holds_only_its_own_files(service):
    other = 99
    s = service(watches={"drop": {}, "second": {"job_id": other}}).start()
    paths = [s.put(f"{n}.csv") for n in range(5)]
    put(s.folder / "second" / "a.csv", text("a"))
    s.wait_event("job.suspended", watch="second", job_id=other)
    wait_for(lambda: f"watch second, job {other}: the job is not there" in s.err(), s.err)
    for path in paths:
        s.wait_run(path)
    assert s.runs_of(s.folder / "second" / "a.csv") == [] and s.events("start.failed") == []
    s.api.add_job(Job(other, ["path"]))
    s.wait_run(s.folder / "second" / "a.csv", timeout=60)
    s.stop()
    s.check_runs({**dict.fromkeys(paths, 1), s.folder / "second" / "a.csv": 1})


def test_new_token_in_the_file_is_found(service):
    s = service().start()
    first = s.put("first.csv")
    s.wait_run(first)
    s.api.expire_tokens()
    s.api.add_token("another-token-of-the-stand-in")
    s.token_file.write_text("another-token-of-the-stand-in\n")
    second = s.put("second.csv")
    s.wait_run(second)
    s.stop()
    s.check_runs({first: 1, second: 1})
    assert "another-token" not in s.err()


def test_refused_credential_loses_nothing(service):
    s = service().start()
    s.api.expire_tokens()
    path = s.put("a.csv")
    wait_for(lambda: "refuses the credential" in s.err(), "a word about the credential")
    assert s.events("start.failed") == []
    s.api.add_token("another-token-of-the-stand-in")
    s.token_file.write_text("another-token-of-the-stand-in\n")
    s.wait_run(path, timeout=60)
    s.stop()
    s.check_runs({path: 1})


def test_at_most_max_requests_and_the_connection_is_kept(service):
    s = service(workspace={"max_requests": "3"}).start()
    held = s.api.fault("hold", path="run-now", times=3)
    paths = [s.put(f"{n}.csv") for n in range(30)]
    wait_for(lambda: s.api.in_flight == 3, "three requests on their way")
    s.api.remove_fault(held)
    s.wait_runs(30)
    s.stop()
    assert s.api.max_in_flight == 3
    assert s.api.connections <= 6
    s.check_runs(dict.fromkeys(paths, 1))


def test_rate(service):
    """Ten at once, then five a second."""
    s = service(workspace={"rate": "5/s", "burst": "10"}).start()
    paths = [s.put(f"{n}.csv") for n in range(20)]
    s.wait_runs(20)
    s.stop()
    times = sorted(seen.at for seen in s.seen)
    assert times[19] - times[0] >= 1.9, "twenty runs in less than two seconds"
    assert times[9] - times[0] < times[19] - times[9], "the burst was not quicker than the rest"
    s.check_runs(dict.fromkeys(paths, 1))
