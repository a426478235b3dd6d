"""What waits when the workspace and the kind of job are changed together: what was never sent goes on by itself, to the
new host and as soon as the job of the name is known there; what may be out stays with the host that was asked."""

import contextlib
import json
import os
import sqlite3

import pytest

from harness import put, text, wait_for
from jobsapi import Job, JobsApi

NAMED = 4711
NOWHERE = "http://127.0.0.1:9"  # nobody listens there


def records(s, kind):
    found = [json.loads(line) for line in s.verb("status", "--json").out.splitlines()]
    return [r for r in found if r["kind"] == kind]


def unknown_job(s):
    return any(r["state"] == "no_job" for r in records(s, "watch"))


def reasons(s):
    lines = [json.loads(line) for line in s.verb("files", "--json").out.splitlines()]
    return {os.path.basename(f["path"]): (f["state"], f["reason"] or "") for f in lines if f.get("reason") is not None
            or f.get("state") not in (None, "waiting")}


@pytest.fixture
def other(service):
    """Another workspace, with a job that is named "load"."""
    api = JobsApi([Job(NAMED, ["path"], name="load")])
    api.start()
    yield api
    api.stop()


def serve(s, api, on_run=None):
    """Its runs are noted as those of the first one are."""
    api.on_run = s.api.on_run
    s.token_file.write_text(api.token + "\n")
    s.sections["workspace"]["host"] = api.url


def change(s, api, **keys):
    serve(s, api)
    s.watches["drop"].update(keys)
    s.write_configuration()


def by_name(**more):
    return {"job_id": None, "job_name": "load", **more}


def unreachable(service, paths=3, **keys):
    """A service whose host is a mistake; and its waiting files."""
    s = service(workspace={"host": NOWHERE}, **keys).start()
    files = [s.put(f"{n}.csv") for n in range(paths)]
    wait_for(lambda: records(s, "service")[0]["pending"] == paths and s.events("workspace.suspended"), s.err)
    wait_for(lambda: records(s, "service")[0]["in_flight"] == 0, s.err)
    return s, files


def never_held(s):
    assert not s.events("watch.held") and "are held" not in s.err() and "may have been sent" not in s.err(), s.err()


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_a_mended_host_and_kind_of_job(service, other, how):
    s, files = unreachable(service)
    change(s, other, **by_name())
    if how == "restart":
        s.stop()
        s.start()
    else:
        assert s.verb("reload").status == 0
    for path in files:
        s.wait_run(path)
    s.wait_event("run.started", len(files))
    late = s.put("late.csv")
    s.wait_event("run.started", path=late)
    assert records(s, "service")[0]["pending"] == 0 and not records(s, "stranded") and not records(s, "standing")
    assert s.verb("status", "--check").status == 0
    s.stop()
    never_held(s)
    s.check_runs(dict.fromkeys([*files, late], 1))
    assert {r.job_id for r in other.runs} == {NAMED}


def test_a_name_whose_host_and_credential_are_mended(service, other):
    """Known at the first host, which then refuses the credential."""
    s = service(api=JobsApi([Job(5, ["path"], name="load")]), **by_name()).start()
    s.wait_event("run.started", path=s.put("first.csv"))
    s.api.fault("status", path="run-now", status=401, times=None)
    files = [s.put(f"{n}.csv") for n in range(3)]
    s.wait_event("workspace.suspended")
    wait_for(lambda: records(s, "service")[0]["pending"] == 3, s.err)
    change(s, other)
    assert s.verb("reload").status == 0
    for path in files:
        s.wait_run(path)
    s.stop()
    never_held(s)
    assert {r.job_id for r in other.runs} == {NAMED} and len(s.api.runs) == 1
    s.check_runs(dict.fromkeys(files, 1) | {str(s.drop / "first.csv"): 1})


def test_while_the_name_is_not_known(service, other):
    """They wait for that, over restarts, and it is said; nothing is called a file that may have been sent."""
    s, files = unreachable(service)
    other.change_job(NAMED, name="not yet")
    change(s, other, **by_name())
    assert s.verb("reload").status == 0
    wait_for(lambda: unknown_job(s), s.err)
    for _ in range(2):
        assert records(s, "service")[0]["pending"] == 3 and not records(s, "stranded")
        assert not records(s, "standing") and reasons(s) == {f"{n}.csv": ("pending", "") for n in range(3)}
        done = s.verb("explain", files[0])
        assert 'no job named "load"' in done.out and "not configured any more" not in done.out, done
        done = s.verb("status", "--check")
        assert done.status == 1 and "until its job is known" in done.out and "may have been sent" not in done.out
        s.stop()
        s.start(wait=False)
        wait_for(lambda: unknown_job(s), s.err)
    assert s.verb("drop", files[0], "--reason", "not wanted").status == 0
    assert records(s, "service")[0]["pending"] == 2
    other.change_job(NAMED, name="load")
    for path in files[1:]:
        s.wait_run(path)
    s.wait_event("run.started", 2)
    assert records(s, "service")[0]["pending"] == 0
    s.stop()
    never_held(s)
    s.check_runs(dict.fromkeys(files[1:], 1))


def test_what_may_be_out_stays_with_its_host(service, other):
    """Its answer was lost: only the first host can tell. What was surely refused or never went out goes on."""
    s = service(workspace={"max_requests": "1"}).start()
    s.api.fault("truncate", path="run-now")
    s.api.fault("status", path="run-now", status=401, times=None)
    out = s.put("out.csv")
    s.wait_event("workspace.suspended")
    waits = [s.put(f"{n}.csv") for n in range(3)]
    wait_for(lambda: records(s, "service")[0]["pending"] == 4, s.err)
    change(s, other, **by_name())
    assert s.verb("reload").status == 0
    for path in waits:
        s.wait_run(path)
    s.wait_event("run.started", len(waits))
    [stranded] = wait_for(lambda: records(s, "stranded"), "what waits for the first host")
    assert stranded["pending"] == 1 and stranded["host"] == s.api.url.removeprefix("http://")
    assert reasons(s)["out.csv"] == ("pending", "")
    s.stop()
    assert {r.parameters["path"].rpartition("/")[2] for r in other.runs} == {f"{n}.csv" for n in range(3)}
    s.check_runs(dict.fromkeys([out, *waits], 1))


def test_held_by_a_program_before_this_one(service, other):
    """It held them as watch_removed although the watch is there: they go on at the next start."""
    s, files = unreachable(service)
    other.change_job(NAMED, name="not yet")
    change(s, other, **by_name())
    assert s.verb("reload").status == 0
    wait_for(lambda: unknown_job(s), s.err)
    s.stop()
    with contextlib.closing(sqlite3.connect(s.state / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE version SET state = 'held', reason = 'watch_removed',"
                       " detail = 'its workspace is not configured any more' WHERE state = 'pending'")
    other.change_job(NAMED, name="load")
    s.start()
    for path in files:
        s.wait_run(path)
    assert "3 files that were held go on" in s.err()
    s.stop()
    s.check_runs(dict.fromkeys(files, 1))
    assert {r.job_id for r in other.runs} == {NAMED}


def test_two_watches_of_one_name_and_a_restart(service, other):
    """One of them learns the number; the other one's files get their requests, too."""
    s = service(workspace={"host": NOWHERE}, watches={"drop": {}, "more": {}}).start()
    files = [s.put("a.csv"), str(s.folder / "more" / "b.csv")]
    put(files[1], text("b"))
    wait_for(lambda: records(s, "service")[0]["pending"] == 2 and s.events("workspace.suspended"), s.err)
    serve(s, other)
    for watch in s.watches.values():
        watch.update(by_name())
    s.write_configuration()
    s.stop()
    s.start()
    for path in files:
        s.wait_run(path)
    s.stop()
    never_held(s)
    s.check_runs(dict.fromkeys(files, 1))


def test_no_request_can_be_made(service, other):
    """The new parameter is too long for a request, and the old request is for nobody: held, for that reason, until a
    configuration can make one."""
    s, files = unreachable(service)
    parameters = {"job_type": "notebook", "param.path": "${uri}", "param.note": "\\\n ".join(["x" * 150] * 80)}
    change(s, other, job_id=NAMED, **parameters)
    assert s.verb("reload").status == 0
    assert set(reasons(s).values()) == {("held", "no_request")}
    [event] = s.wait_event("watch.held")
    assert "3 held: no request can be made" in event["detail"]
    done = s.verb("release", files[0])
    assert done.status == 1, done
    s.watches["drop"].update({"job_type": None, "param.note": None})
    s.write_configuration()
    assert s.verb("reload").status == 0
    for path in files:
        s.wait_run(path)
    s.stop()
    s.check_runs(dict.fromkeys(files, 1))
