"""A process is killed at each named place between two steps (base/crash.h), and the service goes on: one run for each
file version, each run in the log."""

import contextlib
import os
import re
import sqlite3

import pytest

from crash import Crash, drives, needs_points, start
from faults import Reader, arrive_all, check_all, end, kill_hard, log_files, wait_all
from harness import TOP, wait_for
from jobsapi import Job, JobsApi

# name: at which comings the process is killed there, while files come. A place that is passed once in a start is
# reached again by killing the dispatcher. Other places have tests of their own: @drives here and in test_crash_steps.
POINTS = {
    "attic-both": (1, 3),
    "attic-compressed": (1, 3),
    "dispatcher-after-commit": (1, 3),
    "dispatcher-after-wanted": (1, 3),
    "dispatcher-before-commit": (1, 3),
    "dispatcher-before-wanted": (1, 3),
    "dispatcher-between-acts": (1, 3),
    "dispatcher-fact-taken": (1, 3),
    "evlog-after-sync": (1, 3),
    "evlog-before-sync": (1, 3),
    "evlog-created": (1, 3),
    "evlog-mid-line": (1, 3),
    "evlog-renamed": (1, 3),
    "keeper-before-start": (1, 3),
    "keeper-dispatcher-started": (1, 3),
    "keeper-watcher-started": (1, 3),
    "ledger-made": (1, 3),
    "ledger-opened": (1, 3),
    "outbox-after-write": (1, 3),
    "outbox-before-delete": (1, 3),
    "outbox-before-write": (1, 3),
    "outbox-deleted": (1, 3),
    "sender-after-send": (1, 3),
    "sender-answered": (1, 3),
    "sender-before-send": (1, 3),
    "sender-started-not-told": (1, 3),
    "sniffer-before-answer": (1, 3),
    "watcher-judged": (1, 3),
    "watcher-told": (1, 3),
}
CASES = [(name, nth) for name, comings in POINTS.items() for nth in comings]
ROUNDS = 6


def play(s, crash, first=()):
    """Files come in rounds until the place was reached so often; gives what came."""
    expected = dict(first)
    for number in range(ROUNDS):
        expected |= arrive_all(s, f"r{number}", 9)
        wait_all(s, expected)
        if crash.happened and number > 0:
            break
        # A start passes places that nothing else does; old logs are compressed when nothing else is to do.
        if not crash.happened and number > 0:
            kill_hard(s, "bw-dispatch")
    crash.wait(s)
    expected |= arrive_all(s, "last", 3)
    wait_all(s, expected)
    return expected


@needs_points
@pytest.mark.parametrize("name,nth", CASES, ids=lambda v: str(v))
def test_killed_at(service, folder, name, nth):
    crash = Crash(folder, name, nth)
    s = service(service={"durability": "power"}, events={"max_size": "4KiB"}, types="@csv",
                environment=crash.environment)
    Reader(s)
    early = arrive_all(s, "early", 6)  # listed at the start
    start(s)
    expected = play(s, crash, early)
    end(s)
    check_all(s, expected)


@drives(("jobwatch-moving", 1, 2, 3))
def test_killed_while_files_of_a_former_job_are_gone_through(service, folder, name, nth):
    """The job_name stands for another job now. Each waiting file has a run or a dead letter, and not both."""
    crash = Crash(folder, name, nth)
    s = service(api=JobsApi([Job(5, ["path"], name="load")]), job_id=None, job_name="load",
                workspace={"rate": "1/365d", "burst": "1"}).start()
    paths = [s.put(f"{n}.csv") for n in range(600)]
    wait_for(lambda: '"pending":599' in s.verb("status", "--json").out, "599 files to wait for the rate")
    s.stop()
    s.api.change_job(5, name="former")
    s.api.add_job(6, ["path"], name="load")
    s.environment = {**s.environment, **crash.environment}
    s.start(wait=False)

    def through():
        gone = {e["path"] for e in s.events("start.failed", reason="job_gone")}
        started = {e["path"] for e in s.events("run.started")}
        assert not gone & started
        return gone | started == set(paths)
    wait_for(through, lambda: f"a run or a dead letter for each\n{s.err()}")
    assert crash.happened and len(s.events("run.started")) < 5 and {r.job_id for r in s.api.runs} == {5}
    late = s.put("late.csv")
    s.sections["workspace"].update(rate="1000/s", burst="1000")
    s.write_configuration()
    s.stop()
    s.start()
    s.wait_run(late)
    s.stop()
    assert s.runs_of(late)[0].run.job_id == 6


@drives(("jobwatch-moving", 1, 2, 3), commit=True)
def test_killed_while_files_of_another_host_get_the_job_of_a_name(service, folder, name, nth):
    """Host and kind of job were mended together: more waiting files than one transaction takes."""
    crash = Crash(folder, name, nth)
    s = service(workspace={"host": "http://127.0.0.1:9"}).start()
    paths = [s.put(f"{n}.csv") for n in range(600)]
    wait_for(lambda: '"pending":600' in s.verb("status", "--json").out, "600 files to wait")
    s.stop()
    s.api.add_job(6, ["path"], name="load")
    del s.sections["workspace"]["host"]
    s.watches["drop"].update(job_id=None, job_name="load")
    s.write_configuration()
    s.environment = {**s.environment, **crash.environment}
    s.start(wait=False)
    for path in paths:
        s.wait_run(path, timeout=60)
    assert crash.happened
    wait_for(lambda: len({e["path"] for e in s.events("run.started")}) == 600, s.err)
    s.stop()
    assert {r.job_id for r in s.api.runs} == {6} and not s.events("watch.held") and not s.events("start.failed")
    s.check_runs(dict.fromkeys(paths, 1))


def first_schema():
    """The SQL of schema 1, as the source has it; a step is never changed."""
    source = (TOP / "watcher" / "dispatch" / "schema.c").read_text()
    table = source[source.index("schema_steps[] = {"):]
    step = re.split(r"/\* \d+(?: \*/|:)", table)[1]
    step = re.sub(r"/\*.*?\*/", "", step, flags=re.S)
    return "".join(re.findall(r'"([^"]*)"', step))


def make_old(s):
    """The ledger as an older program left it: schema 1, with the same rows."""
    now, old = s.state / "ledger.db", s.state / "old"
    with contextlib.closing(sqlite3.connect(now, isolation_level=None)) as db:
        application = db.execute("PRAGMA application_id").fetchone()[0]
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.executescript(first_schema())
        db.execute("ATTACH ? AS now", (str(now),))
        for table, in db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            if not table.startswith("sqlite_"):
                columns = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
                db.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}")
        db.execute("DETACH now")
        db.execute(f"PRAGMA application_id = {application}")
        db.execute("PRAGMA user_version = 1")
    for path in s.state.glob("ledger.db*"):
        path.unlink()
    os.chmod(old, 0o600)
    os.rename(old, now)


@drives("ledger-old-kept", "ledger-migrated")
def test_killed_while_the_ledger_is_migrated(service, folder, name, nth):
    crash = Crash(folder, name, nth)
    s = service(service={"durability": "power"}, environment=crash.environment).start()
    expected = arrive_all(s, "known", 9)
    wait_all(s, expected)
    s.stop()
    make_old(s)
    assert not crash.happened
    start(s)
    assert crash.happened
    expected |= arrive_all(s, "new", 9)
    wait_all(s, expected)
    end(s)
    check_all(s, expected)
    with sqlite3.connect(s.state / "ledger.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA user_version").fetchone()[0] >= 2
    db.close()


@drives("evlog-completed")
def test_killed_while_a_torn_line_is_completed(service, folder, name, nth):
    """The line was half written by one life, and completed by the next, which was killed before it knew."""
    crash = Crash(folder, name, nth)
    s = service(service={"durability": "power"}, environment=crash.environment).start()
    expected = arrive_all(s, "known", 3)
    wait_all(s, expected)
    s.stop()
    tear_last_line(s)
    start(s)
    crash.wait(s)
    expected |= arrive_all(s, "new", 3)
    wait_all(s, expected)
    end(s)
    check_all(s, expected)
    lines = s.log.read_bytes().split(b"\n")
    assert len(lines) == len(set(lines)), "a line was written twice"
    assert log_files(s) == [s.log]


def tear_last_line(s):
    """The log as a power cut leaves it: its last line is half there, and all of it in the outbox."""
    data = s.log.read_bytes()
    line = data[data[:-1].rindex(b"\n") + 1:]
    with sqlite3.connect(s.state / "ledger.db") as db:
        db.execute("INSERT INTO outbox (id, line) VALUES ('torn', ?)", (line,))
    db.close()
    os.truncate(s.log, len(data) - len(line) // 2)
