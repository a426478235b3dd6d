"""A request that is refused: what that says about its file, about its job, and about nobody else."""

import os

import pytest

from harness import JOB, wait_for


def refuse(s, name, status, **options):
    """Every request that names this file."""
    options = {"times": None, "path": "run-now", **options}
    return s.api.fault(options.pop("kind", "status"), body=name, status=status, **options)


# --- what a file is called --------------------------------------------------------------------------------------------

def test_a_file_name_slows_nobody_down(service):
    """The service quotes it, and it reads like the words of a service that has too much to do."""
    s = service().start()
    names = ["exceeding rate limit", "REQUEST_LIMIT_EXCEEDED", "Timed out after 1", "Unexpected error"]
    for name in names:
        refuse(s, name, 400, error_code="INVALID_PARAMETER_VALUE", message=f"path: value {name}.csv is not allowed")
    bad = [s.put(f"{name}.csv") for name in names]
    good = [s.put(f"good-{n}.csv") for n in range(30)]
    for path in bad:
        [event] = s.wait_event("start.failed", path=str(path))
        assert event["reason"] == "bad_request" and event["attempts"] == 1
    for path in good:
        s.wait_run(path)
    assert "too many requests" not in s.err() and s.events("start.retrying") == []


# --- a request that is refused while others are not -------------------------------------------------------------------

REFUSALS = {"html": {"kind": "html", "status": 403, "message": "Request blocked"},
            "missing": {"kind": "html", "status": 404, "message": "Not here"},
            "method": {"status": 405, "message": "Method Not Allowed"},
            "redirected": {"kind": "redirect", "status": 302, "location": "https://blocked.example/"},
            "credential": {"status": 401, "message": "no"}}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSALS)
def test_a_file_that_is_refused_holds_up_nobody(service, name):
    """Something in front of the workspace dislikes its name: others are tried, started, and do not wait any more."""
    s = service(workspace={"retry_for": "2s"}).start()
    options = dict(REFUSALS[name])
    refuse(s, "evil", options.pop("status"), **options)
    evil = s.put("evil.csv")
    wait_for(lambda: "evil.csv" in s.verb("files", "--state", "pending").out, s.err)
    good = [s.put(f"good-{n}.csv") for n in range(10)]
    for path in good:
        s.wait_run(path)
    [failed] = s.wait_event("start.failed", path=str(evil), timeout=60)
    assert failed["reason"] in ("retry_for_over", "outcome_unknown")
    later = s.put("later.csv")
    s.wait_run(later)
    wait_for(lambda: s.verb("status", "--check").status == 0, lambda: s.verb("status").out)
    assert len(s.events("job.suspended")) == len(s.events("job.resumed")) <= 2
    assert len(s.events("workspace.suspended")) == len(s.events("workspace.resumed")) <= 2


@pytest.mark.slow
def test_a_job_that_is_refused_costs_few_attempts(service):
    """Nothing but refusals: one at a time, and no file is given up for it."""
    s = service(workspace={"retry_for": "1s"}).start()
    fault = refuse(s, None, 403, kind="html", message="Request blocked")
    paths = [s.put(f"{n}.csv") for n in range(10)]
    wait_for(lambda: fault.hits >= 4, s.err)
    assert fault.hits <= 10 + 2 and s.events("start.failed") == []
    s.api.clear_faults()
    for path in paths:
        s.wait_run(path)
    assert len(s.events("job.suspended")) == len(s.events("job.resumed")) == 1


def test_a_file_that_is_refused_is_dropped(service):
    s = service().start()
    refuse(s, "evil", 403, kind="html", message="Request blocked")
    evil = s.put("evil.csv")
    s.wait_event("job.suspended")
    other = s.put("other.csv")
    wait_for(lambda: "other.csv" in s.verb("files", "--state", "pending").out, s.err)
    done = s.verb("drop", "--state", "pending", "--reason", "too much")
    assert done.status == 1 and "0 files dropped" in done.err and "only by PATH" in done.err, done

    def dropped():
        done = s.verb("drop", "--reason", "blocked", evil)
        return "1 file dropped" in done.out or not ("a run may exist" in done.err + done.out) and done
    assert wait_for(dropped, s.err) is True  # while it is out just now, nobody can tell
    s.wait_run(other)
    done = s.verb("files", "--state", "dropped", evil)
    assert "evil.csv" in done.out, done
    wait_for(lambda: s.verb("status", "--check").status == 0, lambda: s.verb("status").out)
    assert '"pending":0' in s.verb("status", "--json").out.replace(" ", "")


def test_what_may_have_a_run_is_not_dropped(service):
    s = service().start()
    s.api.fault("status", path="run-now", times=None, status=503, message="later")
    path = s.put("a.csv")
    s.wait_event("start.retrying")
    done = s.verb("drop", "--reason", "x", path)
    assert done.status == 1 and "a run may exist" in done.out + done.err, done
    s.api.clear_faults()
    s.wait_run(path)


def test_a_missing_job_is_said_and_not_repeated(service):
    """Looking at it and asking for a run take turns in saying so, each in its own words."""
    s = service(job_id=JOB + 1).start()
    s.put("a.csv")

    def asked(what):
        return sum(what in r.path for r in s.api.requests)
    wait_for(lambda: asked("run-now") >= 4 and asked("jobs/get") >= 4, s.err)
    s.verb("status")
    assert 1 <= len(s.events("job.suspended")) <= 2, s.events("job.suspended")


# --- what is said of the token ----------------------------------------------------------------------------------------

def test_a_run_that_was_deleted(service):
    """Its token is refused: the reason says so, and what helps is another run."""
    s = service(service={"durability": "power"}).start()
    path = s.put("a.csv")
    s.wait_run(path)
    s.stop()
    s.api.delete_run(s.api.runs[0].run_id)
    for name in os.listdir(s.state):
        if name.startswith("ledger."):
            os.unlink(s.state / name)
    for name in os.listdir(s.folder / "log"):
        os.unlink(s.folder / "log" / name)
    s.start()
    [failed] = s.wait_event("start.failed")
    assert failed["reason"] == "token_refused" and "brickwatch rerun" in failed["advice"], failed
    done = s.verb("rerun", "--reason", "deleted", "--yes", path)
    assert done.status == 0 and "may have a run" not in done.out + done.err, done
    s.wait_event("run.started")


def test_a_conflict(service):
    s = service().start()
    s.api.fault("status", path="run-now", times=1, status=409, error_code="ALREADY_EXISTS", message="being made")
    path = s.put("a.csv")
    [failed] = s.wait_event("start.failed")
    assert failed["reason"] == "conflict" and "a run may exist" in failed["advice"], failed
    done = s.verb("rerun", "--reason", "x", path)
    assert done.status == 1 and "conflict: its run may exist" in done.out + done.err, done
    assert s.verb("retry", path).status == 0
    s.wait_run(path)
