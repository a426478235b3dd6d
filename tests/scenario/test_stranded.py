"""A request may have been sent, and then the workspace gets another host: only the old one could tell whether its run
exists. Nothing is started by itself; it is said, and there is a way out."""

import json

import pytest

from harness import JOB, wait_for
from jobsapi import JobsApi


def record(s, kind):
    for line in s.verb("status", "--json").out.splitlines():
        if json.loads(line)["kind"] == kind:
            return json.loads(line)
    return None


def states(s, path):
    lines = [json.loads(line) for line in s.verb("files", "--json", str(path)).out.splitlines()]
    return [(f["state"], f.get("reason")) for f in lines if "path" in f]


@pytest.fixture
def moved(service):
    """A service with a.csv sent to a workspace that is then replaced by another one; and that file."""
    s = service()
    s.api.fault("status", status=503, path="run-now", times=None)
    s.start()
    path = s.put("a.csv")
    s.wait_event("start.retrying")
    other = JobsApi({JOB: ["path"]})
    other.token = s.api.token
    other.start()
    s.sections["workspace"]["host"] = other.url
    s.write_configuration()
    assert s.verb("reload").status == 0
    yield s, path, other
    other.stop()


def test_it_is_said(moved):
    s, path, other = moved
    old, new = s.api.url.removeprefix("http://"), other.url.removeprefix("http://")
    assert record(s, "service")["pending"] == 1
    assert record(s, "stranded") == {"kind": "stranded", "watch": "drop", "host": old, "pending": 1}
    done = s.verb("status")
    assert "1 file pending" in done.out and f"waits for {old}" in done.out, done
    done = s.verb("status", "--check")
    assert done.status == 1 and f"may have been sent to {old}" in done.out, done
    done = s.verb("explain", path)
    [row] = [json.loads(line) for line in s.verb("files", "--json", path).out.splitlines()][:1]
    assert row["token"] in done.out and old in done.out and new not in done.out, done
    assert "rerun or drop" in done.out and "not configured any more" in done.out, done
    assert other.runs == []
    s.stop()


def test_dropped(moved):
    s, path, _ = moved
    done = s.verb("drop", "--watch", "drop", "--reason", "all of them")
    assert "0 files dropped" in done.out and states(s, path) == [("pending", None)], done
    done = s.verb("drop", path)
    assert done.status == 1 and "--reason TEXT is needed" in done.err, done
    done = s.verb("drop", path, "--reason", "looked there: no run")
    assert done.status == 0 and "1 file dropped, 1 of them may have a run already" in done.out, done
    assert states(s, path) == [("dropped", "outcome_unknown")]
    assert record(s, "service")["pending"] == 0 and record(s, "stranded") is None
    assert s.verb("status", "--check").status == 0
    s.stop()


def test_run_again_in_the_new_one(moved):
    s, path, other = moved
    done = s.verb("rerun", "--watch", "drop", "--reason", "x", "--yes")
    assert states(s, path) == [("pending", None)], done
    done = s.verb("rerun", path, "--reason", "x")
    assert done.status == 1 and "1 file would be run again, 1 of them with an unknown outcome" in done.err, done
    assert path in done.err and not other.runs
    done = s.verb("rerun", path, "--reason", "x", "--yes")
    assert done.status == 0 and "1 file run again, 1 of them may have a run already" in done.out, done
    [run] = wait_for(lambda: other.runs, "a run in the new workspace")
    s.wait_event("run.started", generation=2, run_id=run.run_id)
    assert states(s, path) == [("dropped", "rerun"), ("started", None)]
    assert record(s, "stranded") is None
    s.stop()


def test_the_old_one_comes_back(moved):
    s, path, other = moved
    del s.sections["workspace"]["host"]
    s.api.clear_faults()
    s.write_configuration()
    assert s.verb("reload").status == 0
    s.wait_run(path)
    s.wait_event("run.started")
    assert record(s, "stranded") is None and not other.runs
    s.stop()
