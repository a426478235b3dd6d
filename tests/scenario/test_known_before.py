"""A watch is renamed, and job or remote path have been changed: its files are known, but the new watch would make other
requests for them. Nobody is surprised by runs, and nothing is lost: they are held."""

import json
import os

import pytest

from harness import JOB, REMOTE, put, text, wait_for
from jobsapi import JobsApi

OTHER_JOB = 77


def files(s, *arguments):
    lines = [json.loads(line) for line in s.verb("files", "--json", *arguments).out.splitlines()]
    return [(os.path.basename(f["path"]), f["watch"], f["state"], f.get("reason")) for f in lines if "path" in f]


def wait_files(s, expected, *arguments):
    wait_for(lambda: sorted(files(s, *arguments), key=str) == sorted(expected, key=str),
             lambda: f"{expected}; there is {files(s, *arguments)}\n{s.err()[-3000:]}")


def make(service, **keys):
    s = service(api=JobsApi({JOB: ["path"], OTHER_JOB: ["path"]}), watches={"w": {"settle": "100ms"}}, **keys)
    return s


def rename(s, **keys):
    """The watch w becomes w2, with these keys."""
    s.watches = {"w2": {"directory": s.drop, "path_map": f"{s.drop} => {REMOTE}/w", **s.watches["w"], **keys}}
    s.write_configuration()


@pytest.mark.parametrize("restart", [False, True])
def test_started_before_with_another_request(service, restart):
    s = make(service).start()
    paths = [s.put(f"{n}.csv") for n in range(3)]
    for path in paths:
        s.wait_event("run.started", path=path)
    s.watches["w"].update({"job_id": OTHER_JOB})
    s.write_configuration()
    assert s.verb("reload").status == 0
    rename(s)
    if restart:
        s.stop()
        s.start()
    else:
        assert s.verb("reload").status == 0
    [held] = s.wait_event("watch.held")
    assert held["watch"] == "w2" and held["count"] == 3, held
    assert "known before" in held["detail"] and "brickwatch release --watch w2" in held["detail"], held
    new = s.put("new.csv")
    s.wait_run(new)
    started = [(f"{n}.csv", "w", "started", None) for n in range(3)]
    wait_files(s, started + [(f"{n}.csv", "w2", "held", "known_before") for n in range(3)]
               + [("new.csv", "w2", "started", None)])
    s.stop()
    s.start()
    s.barrier(thorough=True)
    assert s.verb("rescan").status == 0
    s.barrier(thorough=True)
    s.check_runs({**dict.fromkeys(paths, 1), new: 1})
    assert len(s.events("watch.held")) == 1
    done = s.verb("release", "--watch", "w2")
    assert done.status == 0, done
    for path in paths:
        s.wait_run(path, 2)
    s.barrier(thorough=True)
    s.check_runs({**dict.fromkeys(paths, 2), new: 1})
    assert [r.job_id for r in s.api.runs[:3]] == [JOB] * 3
    assert {r.job_id for r in s.api.runs[3:]} == {OTHER_JOB}
    s.stop()


def test_released_before_it_was_looked_at(service):
    """The listing has found it, and it has not been quiet for long enough yet."""
    s = make(service).start()
    path = s.put("a.csv")
    s.wait_event("run.started")
    rename(s, job_id=OTHER_JOB, settle="5s")
    assert s.verb("reload").status == 0
    s.wait_event("watch.held", count=1)
    done = s.verb("release", path)
    assert done.status == 0 and "judged now" in done.out, done
    s.wait_run(path, 2)
    s.check_runs({path: 2})
    wait_files(s, [("a.csv", "w", "started", None), ("a.csv", "w2", "started", None)])
    s.stop()


def test_waiting_before_with_another_request(service):
    """It was never sent: one of its rows goes, not both, whatever is released."""
    s = make(service).start()
    assert s.verb("pause", "w").status == 0
    path = s.put("a.csv")
    wait_files(s, [("a.csv", "w", "pending", None)])
    rename(s, job_id=OTHER_JOB)
    assert s.verb("reload").status == 0
    wait_files(s, [("a.csv", "w", "superseded", None), ("a.csv", "w2", "held", "known_before")])
    done = s.verb("release", "--state", "held")
    assert done.status == 0 and "1 file released" in done.out, done
    s.wait_run(path)
    s.barrier(thorough=True)
    s.check_runs({path: 1})
    assert s.api.runs[0].job_id == OTHER_JOB
    s.stop()


def test_waiting_before_with_the_same_request(service):
    """Nothing but the name has changed: the file goes on."""
    s = make(service).start()
    assert s.verb("pause", "w").status == 0
    path = s.put("a.csv")
    wait_files(s, [("a.csv", "w", "pending", None)])
    rename(s)
    assert s.verb("reload").status == 0
    s.wait_run(path)
    wait_files(s, [("a.csv", "w2", "started", None)])
    s.barrier(thorough=True)
    s.check_runs({path: 1})
    assert not s.events("watch.held", watch="w2")
    s.stop()


def test_sent_before_with_the_same_request(service):
    """It may be out: the same token goes on being asked for under the new name, in its time."""
    s = make(service)
    s.api.fault("status", status=503, path="run-now", times=None)
    s.start()
    path = s.put("a.csv")
    s.wait_event("start.retrying")
    rename(s)
    assert s.verb("reload").status == 0
    wait_files(s, [("a.csv", "w2", "pending", None)])
    s.api.clear_faults()
    s.wait_run(path)
    wait_files(s, [("a.csv", "w2", "started", None)])
    s.check_runs({path: 1})
    s.check_started()
    s.stop()


def test_closed_again_without_a_change(service):
    """An event is no reason to start what is known; a new version is one."""
    s = make(service, rescan="1s").start()
    path = s.put("a.csv")
    s.wait_event("run.started")
    s.stop()
    before = os.stat(path)
    hidden = s.outside / "a.csv"
    os.rename(path, hidden)
    rename(s, job_id=OTHER_JOB)
    s.start()
    os.rename(hidden, path)
    wait_files(s, [("a.csv", "w", "started", None), ("a.csv", "w2", "held", "known_before")])
    s.wait_event("watch.held", count=1)
    assert os.stat(path).st_mtime_ns == before.st_mtime_ns
    put(path, text("another"))
    s.wait_run(path, 2)
    wait_files(s, [("a.csv", "w", "started", None), ("a.csv", "w2", "superseded", None),
                   ("a.csv", "w2", "started", None)])
    s.check_runs({path: 2})
    s.stop()


def test_existing_files_are_skipped_as_told(service):
    s = make(service).start()
    path = s.put("a.csv")
    s.wait_event("run.started")
    rename(s, job_id=OTHER_JOB, existing="skip")
    assert s.verb("reload").status == 0
    wait_files(s, [("a.csv", "w", "started", None), ("a.csv", "w2", "skipped", "existing")])
    s.barrier(thorough=True)
    s.check_runs({path: 1})
    s.stop()


def test_dry_run_knows_them_too(service):
    s = make(service).start()
    s.put("a.csv")
    s.wait_event("run.started")
    s.stop()
    rename(s)
    done = s.verb("scan", "--dry-run")
    assert done.status == 0 and "would" not in done.out, done
    rename_keys = {"job_id": OTHER_JOB}
    s.watches["w2"].update(rename_keys)
    s.write_configuration()
    done = s.verb("scan", "--dry-run")
    assert done.status == 0 and "would hold" in done.out and "would start" not in done.out, done
