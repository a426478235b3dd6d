"""The control socket: each verb asked of the real service, by the real command."""

import json
import os
import socket
import stat

import pytest

from harness import put, text, wait_for


def records(done):
    return [json.loads(line) for line in done.out.splitlines()]


def files_of(service, *arguments):
    """{path: record} of `files --json`, and the totals."""
    done = service.verb("files", "--json", *arguments)
    found = records(done)
    assert "totals" in found[-1], done
    return {r["path"]: r for r in found[:-1]}, {k: n for k, n in found[-1]["totals"].items() if n}, done.status


# --- the socket itself ------------------------------------------------------------------------------------------------

def test_not_running(service):
    """Exit status 3, and where it was looked for."""
    s = service()
    for verb in (["status"], ["status", "--check"]):
        done = s.verb(*verb)
        assert done.status == 3 and "not running" in done.err and "control.sock" in done.err, done


def test_socket_is_ours_and_is_removed(service):
    s = service().start()
    path = s.folder / "run" / "control.sock"
    mode = os.stat(path)
    assert stat.S_ISSOCK(mode.st_mode) and stat.S_IMODE(mode.st_mode) == 0o660
    s.stop()
    assert not path.exists()
    s.start()
    s.kill_keeper()
    wait_for(lambda: s.verb("status").status == 3, "nobody answers on the socket of a killed service")
    s.start()
    assert s.verb("status").status == 0
    s.stop()


# --- status, files ----------------------------------------------------------------------------------------------------

def test_status(service):
    s = service(watches={"drop": {}, "more": {}}).start()
    path = s.put("a.csv")
    s.wait_event("run.started")
    done = s.verb("status")
    assert done.status == 0, done
    assert "drop" in done.out and "more" in done.out and "started 1" in done.out, done
    found = records(s.verb("status", "--json"))
    watches = {r["watch"]: r for r in found if r["kind"] == "watch"}
    assert {w["state"] for w in watches.values()} == {"ready"} and set(watches) == {"drop", "more"}
    assert watches["drop"]["method"] == "inotify" and watches["drop"]["waiting"] == 0
    [counts] = [r for r in found if r["kind"] == "counts"]
    assert counts["started"] == 1 and counts["failed"] == 0
    [own] = [r for r in found if r["kind"] == "service"]
    assert own["pid"] == s.process.pid and own["runs_started"] == 1 and not own["ledger_failing"]
    done = s.verb("status", "--check")
    assert done.status == 0 and done.out.startswith("healthy") and done.out.count("\n") == 1, done
    (s.folder / "more").rmdir()
    s.wait_event("watch.lost")
    done = s.verb("status", "--check")
    assert done.status == 1 and "watch more is lost" in done.out, done
    assert path
    s.stop()


def test_files(service):
    s = service(min_size="5").start()
    started = s.put("a.csv")
    small = s.put("sub.txt", b"x")
    s.wait_event("run.started")
    s.wait_event("file.rejected")
    with open(s.drop / "open.csv", "wb") as file:
        file.write(b"a,b\n1,2\n")
        file.flush()
        found, totals, status = wait_for(
            lambda: (lambda f: f if "waiting" in f[1] else None)(files_of(s)), "the open file is shown")
        assert found[str(s.drop / "open.csv")]["state"] == "waiting"
        assert found[str(s.drop / "open.csv")]["waiting_for"]
        assert totals == {"waiting": 1, "started": 1, "rejected": 1} and status == 0
        assert set(files_of(s, "--state", "waiting")[0]) == {str(s.drop / "open.csv")}
        assert s.verb("files", "--day", "2001-01-01").status == 0
        assert s.verb("files", "--day", "today").status == 2
    assert found[started]["state"] == "started"
    assert found[started]["run_id"] == s.events("run.started")[0]["run_id"]
    assert found[small]["state"] == "rejected" and found[small]["reason"] == "min_size"
    s.wait_event("run.started", 2)
    assert set(files_of(s, "--state", "rejected")[0]) == {small}
    assert set(files_of(s, "*.txt")[0]) == {small}
    assert set(files_of(s, started)[0]) == {started}
    assert files_of(s, "--since", "2h")[1] == {"started": 2, "rejected": 1}
    assert files_of(s, "--until", "2h")[1] == {}
    assert files_of(s, "--watch", "other")[1] == {}
    assert s.verb("files", "--state", "sarted").status == 2
    done = s.verb("files")
    assert done.out.splitlines()[-1] == "started 2, rejected 1", done
    s.stop()
    found, totals, status = files_of(s)
    assert totals == {"started": 2, "rejected": 1} and status == 0
    assert s.verb("files", "--state", "waiting").status == 3


def test_files_names_of_any_bytes(service):
    s = service().start()
    s.put(b"bad\xff.csv")
    s.put("tab\tand\nline.csv")
    s.wait_event("start.failed")
    s.wait_event("run.started")
    found = files_of(s)[0]
    assert str(s.drop / "tab\tand\nline.csv") in found
    [bad] = [r for r in found.values() if "path_base64" in r]
    assert bad["state"] == "failed" and bad["reason"]
    assert "\t" not in s.verb("files").out
    s.stop()


def test_files_many(service):
    """More than a page, and more than one socket buffer."""
    s = service(events={"rejected": "no"}).start()
    for n in range(1500):
        put(s.drop / f"{n:04d}-{'x' * 150}.csv", text(n))
    wait_for(lambda: len(s.events("run.started")) == 1500, "all started")
    found, totals, _ = files_of(s)
    assert totals == {"started": 1500} and len(found) == 1500
    s.stop()
