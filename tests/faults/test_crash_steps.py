"""A process is killed between two steps of something that is not done for every file: a baseline, a release, a reload,
a ledger made anew. Afterwards all is as if it had been done in one piece, or not yet."""

import contextlib
import os
import shutil
import signal
import sqlite3

import pytest

import harness
from crash import Crash, driven, drives, points_of_source, start
from faults import Preload, Reader, arrive_all, check_all, end, log_files, logged, wait_all, wait_tending
from harness import JOB, put, text, wait_for
from receiver import Receiver
from test_crash_points import POINTS

POWER = {"durability": "power"}
OTHER_JOB = 77


def test_every_place_is_driven_by_a_test():
    """By a line of the table in test_crash_points, or by a test with @drives(place)."""
    found = points_of_source()
    assert len(found) == len(set(found)), "two places have one name"
    assert set(found) == POINTS.keys() | driven.keys()
    assert not POINTS.keys() & driven.keys()


def crashing(make, folder, name, nth, *, environment=(), **options):
    crash = Crash(folder, name, nth)
    options["service"] = {**POWER, **options.get("service", {})}
    return crash, make(environment={**dict(environment), **crash.environment}, **options)


def rows(s, columns="path, state"):
    """What the ledger has; nothing while there is none."""
    with contextlib.suppress(sqlite3.OperationalError):
        with contextlib.closing(sqlite3.connect(f"file:{s.state}/ledger.db?mode=ro", uri=True, timeout=10)) as db:
            return db.execute(f"SELECT {columns} FROM files ORDER BY id").fetchall()
    return []


def states(s):
    """{path: state of its newest version}"""
    return dict(rows(s))


def wait_states(s, wanted):
    """Until these are the states: {path: state, or several}."""
    def are_there():
        found = states(s)
        return all(found.get(path) in ([state] if isinstance(state, str) else state) for path, state in wanted.items())
    wait_tending(s, are_there, lambda: f"{wanted}; there is {states(s)}\n{s.err()[-4000:]}")


def verb_until_done(s, *words):
    """Who asked is told nothing when the dispatcher dies; he asks again."""
    done = []

    def is_done():
        done[:] = [s.verb(*words)]
        return done[0].status == 0
    wait_tending(s, is_done, lambda: f"{words}: {done}\n{s.err()[-4000:]}")
    return done[0]


def unreachable(s, count, prefix="waiting"):
    """So many files that are accepted and wait, since the workspace is down. Gives {path: [content]}."""
    s.api.stop()
    files = arrive_all(s, prefix, count)
    wait_states(s, dict.fromkeys(files, "pending"))
    return files


# --- what is there before the watch, what comes at once ---------------------------------------------------------------

@drives("baseline-begun", "baseline-closed", commit=True)
def test_killed_in_a_baseline(service, folder, name, nth):
    """existing = skip: what was there is not started, what comes afterwards is."""
    crash, s = crashing(service, folder, name, nth, existing="skip")
    old = arrive_all(s, "old", 6)
    start(s)
    new = arrive_all(s, "new", 6)
    wait_all(s, new)
    assert crash.happened
    wait_states(s, dict.fromkeys(old, ("skipped", "held")))
    end(s)
    check_all(s, new)


@drives("flood-engaged", commit=True)
def test_killed_when_the_brake_engages(service, folder, name, nth):
    """As many are started as may be, the rest is held and goes when it is released."""
    crash, s = crashing(service, folder, name, nth, brake="5/1h")
    start(s)
    files = arrive_all(s, "flood", 12)
    wait_states(s, dict.fromkeys(files, ("started", "held")))
    assert crash.happened
    assert sorted(states(s).values()) == ["held"] * 7 + ["started"] * 5
    verb_until_done(s, "release", "--watch", "drop")
    wait_all(s, files)
    s.stop()
    s.watches["drop"]["brake"] = "off"
    s.write_configuration()
    start(s)
    end(s)
    check_all(s, files)


@drives("attic-removed")
def test_killed_when_an_old_log_is_removed(service, folder, name, nth):
    crash, s = crashing(service, folder, name, nth, events={"max_size": "4KiB", "keep_size": "12KiB"})
    Reader(s)
    start(s)
    files = {}
    while not crash.happened:
        assert len(files) < 300
        batch = arrive_all(s, f"{len(files)}", 9)
        wait_tending(s, lambda batch=batch: all(s.runs_of(path) for path in batch), s.err)
        files |= batch
    end(s)
    s.check_runs(files)
    assert sum(path.stat().st_size for path in log_files(s)) <= 12288 + 4096


# --- moved, replaced, gone --------------------------------------------------------------------------------------------

@drives("facts-moved", commit=True)
def test_killed_when_a_file_was_moved(service, folder, name, nth):
    crash, s = crashing(service, folder, name, nth)
    start(s)
    files = arrive_all(s, "here", 6)
    wait_all(s, files)
    (s.drop / "archive").mkdir()
    for path in files:
        os.rename(path, s.drop / "archive" / os.path.basename(path))
    wait_states(s, {str(s.drop / "archive" / os.path.basename(path)): "started" for path in files})
    assert crash.happened
    end(s)
    check_all(s, files)


@drives("supersede-marked", commit=True)
def test_killed_when_a_waiting_file_is_replaced(service, folder, name, nth):
    """One run, which reads the new content; the old one is told of once."""
    crash, s = crashing(service, folder, name, nth)
    start(s)
    (path,) = unreachable(s, 1)
    put(path, text("new and longer", 3))
    crash.wait(s)
    s.api.start()
    wait_tending(s, lambda: s.events("run.started", path=path), s.err)
    end(s)
    check_all(s, {path: [text("new and longer", 3)]})
    assert len({e["id"] for e in logged(s) if e["type"] == "file.superseded"}) == 1


@drives("inquire-vanished", commit=True)
def test_killed_when_a_waiting_file_has_vanished(service, folder, name, nth):
    """And it comes back afterwards: it is started."""
    crash, s = crashing(service, folder, name, nth)
    start(s)
    (path,) = unreachable(s, 1)
    s.stop()
    os.rename(path, s.outside / "kept")
    s.api.start()
    start(s)
    wait_states(s, {path: "vanished"})
    assert crash.happened and s.api.runs == []
    os.rename(s.outside / "kept", path)
    wait_tending(s, lambda: s.events("run.started", path=path), s.err)
    s.barrier()
    s.stop()
    s.check_runs({path: 1})
    assert len({e["id"] for e in logged(s) if e["type"] == "file.vanished"}) == 1


@pytest.mark.slow
@drives("census-answered", commit=True)
def test_killed_when_a_version_is_forgotten(service, folder, name, nth):
    """The clocks of the dispatcher run, so that weeks pass: what is gone is forgotten, what is there is not."""
    preload = Preload(folder)
    crash, s = crashing(service, folder, name, nth, rescan="1s", service={"forget_gone_after": "1d"},
                        environment=preload.environment)
    start(s)
    files = arrive_all(s, "file", 6)
    wait_all(s, files)
    gone = sorted(files)[:2]
    for path in gone:
        os.unlink(path)
    preload.sleep_fast(0.05)
    wait_tending(s, lambda: not set(gone) & states(s).keys(), lambda: f"{states(s)}\n{s.err()[-3000:]}", timeout=60)
    preload.sleep_fast(0)
    assert crash.happened and set(files) - set(gone) <= states(s).keys()
    end(s)
    check_all(s, files)


# --- runs that were skipped -------------------------------------------------------------------------------------------

@drives("verify-again", commit=True)
def test_killed_when_a_skipped_run_is_started_again(service, folder, name, nth):
    crash, s = crashing(service, folder, name, nth, queue="no")
    s.api.add_job(JOB, ["path"], queue=False, auto_finish=False)
    start(s)
    first = s.put("first.csv")
    running = s.wait_run(first)[0].run
    second = s.put("second.csv")
    s.wait_run(second)
    crash.wait(s)
    s.api.jobs[JOB].auto_finish = True
    s.api.finish_run(running.run_id)
    wait_tending(s, lambda: len(s.events("run.started", path=second)) >= 2, s.err)
    end(s)
    check_all(s, {first: 1, second: 2})
    assert len({e["id"] for e in logged(s) if e["type"] == "run.skipped"}) == 1


# --- what people ask for ----------------------------------------------------------------------------------------------

@drives("operate-chunk", "control-committed")
def test_killed_in_a_release(service, folder, name, nth):
    """More files than one transaction takes."""
    crash, s = crashing(service, folder, name, nth, existing="hold")
    files = arrive_all(s, "held", 300)
    start(s)
    wait_states(s, dict.fromkeys(files, "held"))
    verb_until_done(s, "release", "--watch", "drop")
    wait_all(s, files)
    assert crash.happened
    end(s)
    check_all(s, files)


@drives("takeover-chunk")
def test_killed_while_an_event_log_is_adopted(service, folder, name, nth):
    """By a host that has only the log: it starts nothing of what the log knows."""
    crash, s = crashing(service, folder, name, nth)
    start(s)
    files = arrive_all(s, "known", 300)
    wait_all(s, files)
    s.stop()
    shutil.copy(s.log, s.outside / "old.jsonl")
    os.rename(s.drop, s.folder / "aside")
    s.drop.mkdir()
    for path in s.state.iterdir():
        path.unlink()
    os.rename(s.log, s.outside / "not-ours")
    s.follower.close()
    s.follower = harness.Follower(s.log)
    start(s)
    verb_until_done(s, "adopt", s.outside / "old.jsonl")
    assert crash.happened
    for path in (s.folder / "aside").iterdir():
        os.rename(path, s.drop / path.name)
    end(s)
    s.check_runs(files)
    assert states(s).items() >= dict.fromkeys(files, "started").items()


# --- another configuration --------------------------------------------------------------------------------------------

def set_job(s, job):
    s.api.add_job(job, ["path"])
    s.watches["drop"]["job_id"] = job
    s.write_configuration()


@drives(("renew-page", 1, 2), "renew-noted")
def test_killed_while_requests_are_made_anew(service, folder, name, nth):
    """More waiting files than one transaction takes, when the job in the configuration is another one."""
    crash, s = crashing(service, folder, name, nth)
    start(s)
    files = unreachable(s, 300)
    s.stop()
    set_job(s, OTHER_JOB)
    s.api.start()
    start(s)
    wait_all(s, files)
    assert crash.happened
    end(s)
    check_all(s, files)
    assert sum(run.job_id == OTHER_JOB for run in s.api.runs) >= 290, "all that cannot have been sent"


@drives("renew-back")
def test_killed_when_a_watch_is_back(service, folder, name, nth):
    crash, s = crashing(service, folder, name, nth, watches={"drop": {}, "other": {}})
    start(s)
    files = unreachable(s, 6)
    s.stop()
    removed = s.watches.pop("drop")
    s.write_configuration()
    start(s)
    s.stop()
    s.watches["drop"] = removed
    s.write_configuration()
    s.api.start()
    start(s)
    wait_all(s, files)
    assert crash.happened
    end(s)
    check_all(s, files)


@drives("dispatcher-reloading", "dispatcher-reload-told", "keeper-reloaded")
def test_killed_in_a_reload(service, folder, name, nth):
    """Asked for again, the new configuration is the running one."""
    crash, s = crashing(service, folder, name, nth)
    start(s)
    files = unreachable(s, 9)
    set_job(s, OTHER_JOB)
    verb_until_done(s, "reload")
    crash.wait(s)
    verb_until_done(s, "reload")
    s.api.start()
    wait_all(s, files)
    late = s.put("late.csv")
    assert s.wait_run(late)[0].run.job_id == OTHER_JOB
    end(s)
    check_all(s, files | {late: 1})


@drives("dispatcher-handing-over", "dispatcher-handed-over", "dispatcher-leaving", "keeper-agreed")
def test_killed_while_another_dispatcher_takes_over(service, folder, name, nth):
    """The new configuration needs a file that the running one may not open. Asked for again, it is the running one."""
    crash, s = crashing(service, folder, name, nth)
    start(s)
    files = unreachable(s, 9)
    (s.folder / "secrets").mkdir()
    token = s.folder / "secrets" / "token"
    shutil.copy(s.token_file, token)
    s.sections["workspace"]["token_file"] = token
    set_job(s, OTHER_JOB)
    verb_until_done(s, "reload")
    crash.wait(s)
    verb_until_done(s, "reload")
    s.api.start()
    wait_all(s, files)
    late = s.put("late.csv")
    assert s.wait_run(late)[0].run.job_id == OTHER_JOB
    end(s)
    check_all(s, files | {late: 1})


# --- a ledger that is damaged -----------------------------------------------------------------------------------------

@drives(("rebuild-one-aside", 1, 2, 3), ("rebuild-line", 1, 7), "rebuild-committed", "rebuild-closed",
        "rebuild-in-place")
def test_killed_while_a_ledger_is_made_anew(service, folder, name, nth):
    """What was started is not started again, what nobody knows is held and goes when it is released."""
    crash, s = crashing(service, folder, name, nth)
    start(s)
    files = arrive_all(s, "known", 9)
    wait_all(s, files)
    s.stop()
    with open(s.state / "ledger.db", "r+b") as file:
        file.write(os.urandom(4096))
    unknown = s.put("unknown.csv")
    start(s)
    wait_states(s, {unknown: "held"})
    assert crash.happened
    assert states(s).items() >= dict.fromkeys(files, "started").items()
    verb_until_done(s, "release", "--watch", "drop")
    wait_for(lambda: s.runs_of(unknown), "the run of what was held")
    end(s)
    check_all(s, files | {unknown: 1})
    assert not (s.state / "rebuild").exists()


def test_what_is_left_of_another_ledger_is_not_its_log(service):
    """ledger.db is gone, its -wal is not: it is not taken for that of the new one."""
    s = service(service=POWER).start()
    files = arrive_all(s, "known", 9)
    wait_all(s, files)
    os.killpg(s.group, signal.SIGKILL)  # all at once: nobody puts the log into the ledger
    s.process.wait()
    s.wait_gone()
    os.unlink(s.state / "ledger.db")
    assert (s.state / "ledger.db-wal").stat().st_size > 0
    start(s)
    new = arrive_all(s, "new", 3)
    wait_all(s, new)
    s.stop()
    with contextlib.closing(sqlite3.connect(s.state / "ledger.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert [path.name for path in s.state.glob("ledger.db.damaged-*-wal")], "it is kept"
    start(s)
    end(s)
    check_all(s, files | new)


@drives(("courier-before-send", 1, 3), ("courier-after-send", 1, 3), ("courier-delivered", 1, 3))
def test_killed_while_events_are_delivered(service, folder, name, nth):
    """Each event arrives, in the order of the log; what comes twice is the same, with the same id."""
    crash, s = crashing(service, folder, name, nth)
    with Receiver() as receiver:
        s.sections["notify:ops"] = {"on": "run.started", "webhook": receiver.url()}
        s.write_configuration()
        start(s)
        arrive_all(s, "r", 9)

        def all_there():
            ids = [e["id"] for e in s.events("run.started")]
            return crash.happened and len(ids) == 9 and receiver.ids() == ids
        wait_tending(s, all_there, lambda: f"{receiver.all()}\n{s.err()[-3000:]}")
        end(s)
        bodies = {got.id: got.body for got in receiver.all()}
        assert all(got.body == bodies[got.id] for got in receiver.all())
