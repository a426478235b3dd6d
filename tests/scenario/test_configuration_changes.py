"""The configuration changes between two starts: no known version is ever started again, and new files follow the new
rules."""

import os
import subprocess

import pytest

import harness
from harness import JOB, REMOTE, put, text

OTHER_JOB = 77

CHANGES = {
    "settle": {"settle": "300ms"},
    "types": {"types": "@csv"},
    "parameter": {"param.path": "${uri}?x"},
    "path_map": {"path_map": "none"},
    "another job": {"job_id": OTHER_JOB},
    "job type": {"job_type": "notebook", "param.path": "${uri}"},
    "ends": {"ends": "no"},
    "hidden": {"hidden": "yes"},
    "not recursive": {"recursive": "no"},
    "existing": {"existing": "skip"},
    "size limit": {"max_size": "1MiB"},
    "queue": {"queue": "no"},
}


def service_with_jobs(service, **keys):
    return service(api=harness.JobsApi({JOB: ["path"], OTHER_JOB: ["path"]}, lenient=True), **keys)


@pytest.mark.parametrize("name", CHANGES)
def test_known_versions_stay_known(service, name):
    s = service_with_jobs(service).start()
    (s.drop / "sub").mkdir()
    old = [s.put(f"{n}.csv") for n in range(5)]
    for path in old:
        s.wait_run(path)
    s.stop()
    s.watches["drop"].update(CHANGES[name])
    s.write_configuration()
    s.start()
    new = [s.put("new.csv")]
    s.wait_event("run.started", path=new[0])
    new.append(s.put("newer.csv"))
    s.wait_event("run.started", path=new[1])
    s.stop()
    findings = [r.findings for r in s.api.requests if r.findings]
    for request in s.api.requests:
        request.findings.clear()  # parameters for a job that defines others are what this test is about, too
    assert findings == [] or name == "job type"
    assert sorted(e["path"] for e in s.events("run.started")) == sorted([*old, *new])


def test_new_rules_hold_for_new_files(service):
    s = service_with_jobs(service).start()
    s.wait_run(s.put("old.csv"))
    s.stop()
    s.watches["drop"].update({"job_id": OTHER_JOB, "param.path": "x/${name}", "max_size": "100"})
    s.write_configuration()
    s.start()
    s.put("new.csv")
    s.put("large.csv", text("large", 100))
    assert s.wait_event("file.rejected")[0]["rule"] == "max_size"
    s.wait_runs(2)
    s.stop()
    assert s.api.runs[1].job_id == OTHER_JOB and s.api.runs[1].parameters == {"path": "x/new.csv"}


def test_a_rejected_file_that_would_pass_now_is_held(service):
    s = service(types="@json").start()
    path = s.put("a.csv", text("a", 10))
    s.wait_event("file.rejected", path=path)
    s.stop()
    s.watches["drop"]["types"] = "@csv"
    s.write_configuration()
    s.start()
    s.barrier()
    s.stop()
    s.check_runs({})
    assert "held" in s.err() and path in s.err()


def test_a_rejected_file_is_not_looked_at_again_by_the_same_rules(service):
    s = service(types="@json", rescan="1s").start()
    path = s.put("a.csv", text("a", 10))
    s.wait_event("file.rejected", path=path)
    s.stop()
    s.start()
    s.put("b.json", b'{"a": 1}\n')
    s.wait_run(s.drop / "b.json")
    s.stop()
    assert len(s.events("file.rejected")) == 1


def test_a_watch_is_added(service):
    s = service().start()
    first = s.put("a.csv")
    s.wait_run(first)
    s.stop()
    (s.folder / "second").mkdir()
    put(s.folder / "second" / "b.csv", text("b"))
    s.watches["second"] = {}
    s.write_configuration()
    s.start()
    s.wait_run(s.folder / "second" / "b.csv")
    s.barrier()
    s.stop()
    s.check_runs({first: 1, s.folder / "second" / "b.csv": 1})


def test_a_watch_is_renamed(service):
    """The same folder, job and remote paths under another name: still the same files."""
    s = service().start()
    paths = [s.put(f"{n}.csv") for n in range(5)]
    for path in paths:
        s.wait_run(path)
    s.stop()
    s.watches = {"renamed": {"directory": s.drop, "path_map": f"{s.drop} => {REMOTE}/drop"}}
    s.write_configuration()
    s.start()
    new = s.put("new.csv")
    s.wait_run(new)
    s.barrier()
    s.stop()
    s.check_runs({**dict.fromkeys(paths, 1), new: 1})
    s.check_started()


def test_a_watch_goes_while_its_files_wait(service):
    """What is accepted and may have been sent is sent all the same; nothing else of it is."""
    s = service(watches={"drop": {}, "second": {}}).start()
    s.api.stop()
    put(s.folder / "second" / "a.csv", text("a"))
    harness.wait_for(lambda: "cannot be reached" in s.err(), s.err)
    s.stop()
    del s.watches["second"]
    s.write_configuration()
    s.api.start()
    s.start()
    s.barrier()
    s.stop()
    assert len(s.runs_of(s.folder / "second" / "a.csv")) <= 1
    s.watches["second"] = {}
    s.write_configuration()
    s.start()
    s.wait_run(s.folder / "second" / "a.csv")
    s.barrier()
    s.stop()
    s.check_runs({s.folder / "second" / "a.csv": 1})
    s.check_started()


def test_two_watches_on_one_remote_path(service, folder):
    """Two local folders that are one and the same for the job: the second file of the same size and time is a dead
    letter, not a run that reads the same file again."""
    s = service(watches={"one": {"path_map": f"{folder}/one => {REMOTE}"},
                         "two": {"path_map": f"{folder}/two => {REMOTE}"}}).start()
    put(s.folder / "outside" / "a.csv", text("a"))
    os.utime(s.folder / "outside" / "a.csv", ns=(10**18, 10**18))
    for name in ("one", "two"):
        subprocess.run(["cp", "-p", s.folder / "outside" / "a.csv", s.folder / name], check=True)
    event = s.wait_event("start.failed")[0]
    assert event["reason"] == "same_remote_file"
    s.wait_event("run.started")
    s.stop()
    assert len(s.api.runs) == 1
