"""What people see: tables that fit their terminal, the whole text elsewhere; why a pending file waits."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

from harness import TIMEOUT, wait_for


def on_terminal(s, columns, *words, streams=("stdout",)):
    """What a verb writes to a terminal of so many columns (streams: which of its outputs are that), as bytes."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    ends = {name: slave if name in streams else subprocess.DEVNULL for name in ("stdout", "stderr")}
    process = subprocess.Popen([s.program, words[0], "-c", s.ini, *words[1:]], stdin=subprocess.DEVNULL, **ends,
                               env={"PATH": "/usr/bin:/bin", "TERM": "xterm"}, start_new_session=True)
    s.spawned.append(process)
    os.close(slave)
    seen, end = b"", time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if select.select([master], [], [], 0.2)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:  # all have closed it
                piece = b""
            if not piece:
                break
            seen += piece
    os.close(master)
    process.wait(TIMEOUT)
    return process.returncode, seen.decode("utf-8").replace("\r\n", "\n")


@pytest.fixture(name="full")
def _full(service):
    """A running service with files of long names, of which some wait."""
    s = service(watches={"a-watch-with-a-long-name": {}, "b": {"paused": "yes"}})
    deep = s.drop / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    s.start()
    (deep / "orders-of-today.csv").write_bytes(b"id,what\n1,x\n")
    s.wait_event("run.started")
    (s.folder / "b" / "\u65e5\u672c\u8a9e.csv").write_bytes(b"id,what\n1,x\n")
    wait_for(lambda: "pending" in s.verb("files").out.split("\n")[0] + s.verb("files").out, "both rows")
    return s


@pytest.mark.parametrize("columns", [60, 80, 132])
def test_tables_fit_the_terminal(full, columns):
    for words in (["files"], ["events"]):
        status, text = on_terminal(full, columns, *words)
        assert status == 0
        for line in text.splitlines():
            wide = sum(2 if ord(c) >= 0x2e80 else 1 for c in line)
            assert wide <= columns, line
    text = on_terminal(full, columns, "status")[1]
    table = re.search(r"^WATCH.*?\n\n", text, re.M | re.S)[0]
    assert all(len(line) <= columns for line in table.splitlines() if not line.startswith("    ")), table


def test_a_cut_path_keeps_the_name(full):
    text = on_terminal(full, 100, "files")[1]
    started = next(line for line in text.splitlines() if line.startswith("started"))
    assert "\u2026" in started and "orders-of-today.csv  run " in started, started


def test_nothing_is_cut_elsewhere(full):
    for words in (["files"], ["events"], ["status"]):
        assert "\u2026" not in full.verb(*words).out
    path = next(e for e in full.events("run.started"))["path"]
    assert path in full.verb("files").out and path in full.verb("events").out
    rows = [json.loads(line) for line in on_terminal(full, 60, "files", "--json")[1].splitlines()]
    assert path in [row.get("path") for row in rows]


def test_one_is_one(service):
    s = service().start()
    assert "0 runs started, 0 files pending, 0 on their way" in s.verb("status").out
    s.wait_run(s.put("a.csv"))
    s.wait_event("run.started")
    assert "1 run started, 0 files pending" in s.verb("status").out


# --- the progress of a scan -------------------------------------------------------------------------------------------

def test_a_scan_shows_its_progress_on_a_terminal_only(service):
    s = service(settle="1s")
    s.api.fault("status", status=503, path="run-now", times=2)
    for n in range(5):
        s.put(f"{n}.csv")
    status, seen = on_terminal(s, 70, "scan", streams=("stderr",))
    assert status == 0 and len(s.api.runs) == 5
    shown = re.findall(r"(watching [^\r\x1b]*)\x1b\[K\r", seen)
    assert any(re.match(r"watching [01] of 1 folders", line) for line in shown), seen
    assert all(len(line) < 70 for line in shown), seen
    assert seen.count("\x1b[Kbw-dispatch: started: ") == 5  # messages take the place of the line
    assert seen.endswith("\x1b[K"), seen  # and at the end it is gone
    s.put("more.csv")
    done = s.verb("scan")
    assert done.status == 0 and "\x1b" not in done.err and "watching " not in done.err


def test_a_scan_that_waits_shows_how_much(service):
    s = service()
    s.api.fault("status", status=503, path="run-now", times=1000)
    s.put("a.csv")
    status, seen = on_terminal(s, 200, "scan", "--wait", "3s", streams=("stderr",))
    assert status == 69 and "pending 1" in seen, seen
    status, seen = on_terminal(s, 200, "scan", "--dry-run", streams=("stderr",))
    assert status == 0 and "\x1b" not in seen


# --- why a pending file waits -----------------------------------------------------------------------------------------

def pending(s):
    """{name: why}"""
    rows = [json.loads(line) for line in s.verb("files", "--state", "pending", "--json").out.splitlines()]
    return {os.path.basename(row["path"]): row["waiting_for"] for row in rows if "path" in row}


def test_files_says_why_a_suspended_job_waits(service):
    s = service()
    s.api.fault("status", status=403, path="run-now", times=1000, error_code="PERMISSION_DENIED",
                message="no rights on the job")
    s.start()
    path = s.put("a.csv")
    s.wait_event("job.suspended")
    why = pending(s)["a.csv"]
    assert why.startswith("its job is suspended: ") and "no rights on the job" in why, why
    assert "its job is suspended: " in s.verb("files").out
    assert "its job is suspended: " in s.verb("explain", path).out
    s.stop()
    assert pending(s)["a.csv"] == why  # from the ledger alone


def test_files_says_why_a_paused_watch_waits(service):
    s = service().start()
    assert s.verb("pause", "drop").status == 0
    s.put("a.csv")
    wait_for(lambda: pending(s).get("a.csv") == "watch drop is paused by a person", lambda: pending(s))


def test_behind_a_long_retry_after_both_verbs_say_so(service):
    s = service()
    s.api.fault("status", status=429, path="run-now", times=1000, retry_after=600)
    s.start()
    first = s.put("a.csv")
    s.wait_event("start.retrying")
    second = s.put("b.csv")
    wait_for(lambda: "b.csv" in pending(s), "the second file")
    for name in ("a.csv", "b.csv"):
        assert re.match(r"workspace \S+ has asked to wait, for (9|10) min", pending(s)[name]), pending(s)
    for path in (first, second):
        shown = s.verb("explain", path).out
        assert re.search(r"waits for .* to be started; workspace \S+ has asked to wait, for ", shown), shown


def test_a_retry_tells_when_and_why(service):
    s = service()
    s.api.fault("status", status=503, path="run-now", times=1000, message="come back later")
    s.start()
    s.put("a.csv")
    s.wait_event("start.retrying", attempts=4)
    why = wait_for(lambda: pending(s).get("a.csv"), "a reason")
    assert re.match(r"tried \d+ times, again at \d{4}-", why) and "come back later" in why, why
