"""What is listed is compared with the ledger: nothing is started twice, nothing is lost, what is doubtful is held."""

import contextlib
import os
import shutil
import sqlite3
import subprocess

import pytest

from harness import JOB, put, text, wait_for

SETTLE = {"settle": "100ms", "rescan": "1s"}


def rows(s, columns="relpath, state, reason", where="1"):
    """Rows of the ledger, oldest first."""
    with contextlib.closing(sqlite3.connect(f"file:{s.state}/ledger.db?mode=ro", uri=True, timeout=10)) as ledger:
        ledger.text_factory = lambda b: b.decode("utf-8", "surrogateescape")
        return [tuple(c.decode() if isinstance(c, bytes) else c for c in row)
                for row in ledger.execute(f"SELECT {columns} FROM version WHERE {where} ORDER BY id")]


def states(s, where="1"):
    return {name: (state, reason) for name, state, reason in rows(s, where=where)}


def wait_states(s, expected):
    """Until the newest rows are these: {name: (state, reason)}."""
    wait_for(lambda: states(s) == expected, lambda: f"{expected}; there is {states(s)}\n{s.err()[-3000:]}")


@contextlib.contextmanager
def mounted(folder):
    """Another file system on the folder, for root only."""
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "ramfs", "none", folder], check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


# --- superseded -------------------------------------------------------------------------------------------------------

def test_replaced_while_it_waits(service):
    """A file waits for its turn and is written anew meanwhile: one run, and it reads what is there."""
    s = service().start()
    assert s.verb("pause", "drop").status == 0
    path = s.put("data.csv", text("old"))
    wait_for(lambda: states(s, "state = 'pending'"), "a file that waits")
    s.put("data.csv", text("new and longer"))
    gone = s.wait_event("file.superseded", path=path)
    assert gone[0]["size"] == len(text("old"))
    assert s.api.sent("run-now") == []
    assert s.verb("resume", "drop").status == 0
    s.wait_run(path)
    s.barrier()
    s.check_runs({path: [text("new and longer")]})
    s.check_started()


def test_gone_while_it_waits_and_there_again(service):
    """Found again on a folder where nothing else happens: it is looked at and started, by its old token."""
    s = service(settle="100ms").start()
    assert s.verb("pause", "drop").status == 0
    path = s.put("data.csv")
    wait_for(lambda: states(s, "state = 'pending'"), "a file that waits")
    os.rename(path, s.outside / "data.csv")
    s.stop()
    s.start()
    assert s.verb("resume", "drop").status == 0
    s.wait_event("file.vanished", path=path)
    os.rename(s.outside / "data.csv", path)
    s.wait_run(path)
    s.check_runs({path: 1})
    s.stop()


# --- files that were there before the watch ---------------------------------------------------------------------------

def test_existing_files_are_held(service):
    s = service(watches={"in": {**SETTLE, "existing": "hold", "types": "@csv"}})
    s.put("old.csv")
    s.put("old.bin", b"\x7fELF" + bytes(100))
    s.start()
    held = s.wait_event("watch.held")[0]
    assert held["count"] == 2 and "brickwatch release --watch in" in held["detail"]
    s.wait_run(s.put("new.csv"))
    wait_states(s, {"old.csv": ("held", "existing"), "old.bin": ("rejected", "types"),
                    "new.csv": ("started", "")})
    assert rows(s, "request IS NOT NULL", "relpath = CAST('old.csv' AS BLOB)") == [(1,)]
    s.stop()
    s.start()
    s.barrier(thorough=True)
    s.check_runs({s.drop / "new.csv": 1})


@pytest.mark.slow
def test_killed_in_the_first_listing(service):
    """What comes while nobody looks is not taken for something that was there before the watch."""
    s = service(watches={"in": {**SETTLE, "existing": "skip"}})
    for n in range(8000):
        (s.drop / f"{n}.csv").touch()
    s.start(wait=False)
    wait_for(lambda: (s.state / "ledger.db").exists() and (s.state / "ledger.db").stat().st_size, "a ledger")
    wait_for(lambda: s.started and _has_rows(s), "the first rows")
    s.kill_keeper()
    with contextlib.closing(sqlite3.connect(s.state / "ledger.db")) as ledger:
        assert ledger.execute("SELECT closed FROM baseline").fetchall() == [(0,)], "it was not killed in its middle"
    late = s.put("late.csv")
    s.start()
    s.wait_run(s.put("announced.csv"))
    assert states(s)["late.csv"] == ("held", "existing")
    kinds = {state for state, _ in states(s, "relpath NOT IN (CAST('announced.csv' AS BLOB))").values()}
    assert kinds == {"held", "rejected", "skipped"}  # held ones are looked at, too: they are empty
    assert len(rows(s)) == 8002
    s.check_runs({s.drop / "announced.csv": 1})
    assert s.runs_of(late) == []


def _has_rows(s):
    try:
        return rows(s, "1", "id = 1")
    except sqlite3.OperationalError:
        return False


def test_missing_mount_at_boot(service):
    """`existing = skip`, and the mount is not there when the service starts again: what lies in the mount point is not
    judged, and what was in the mount meanwhile is started when it is back."""
    s = service(watches={"in": {**SETTLE, "existing": "skip"}})
    with mounted(s.drop):
        old = s.put("old.csv")
        s.start()
        s.wait_run(s.put("first.csv"))
        s.stop()
        # put into the mount while the service is down, and only seen after the boot without it
        meanwhile = s.put("meanwhile.csv")
        subprocess.run(["mount", "--move", s.drop, s.outside], check=True)
        try:
            s.start(wait=False)
            lost = s.wait_event("watch.lost")[0]
            assert "the mount is missing" in lost["detail"] and "brickwatch resume in" in lost["detail"]
            local = s.put("local.csv")
            before = len(s.events("watch.ready"))
        finally:
            subprocess.run(["mount", "--move", s.outside, s.drop], check=True)
        s.wait_ready(before + 1)
        s.wait_run(meanwhile)
        s.barrier()
        assert s.runs_of(old) == [] and s.runs_of(local) == []
        s.check_runs({s.drop / "first.csv": 1, meanwhile: 1})
        s.stop()


def test_other_file_system_is_meant(service):
    """The folder was moved to another file system: a person says so, and its files are looked at."""
    s = service(**SETTLE)
    with mounted(s.drop):
        s.start()
        s.wait_run(s.put("first.csv"))
        s.stop()
    s.start(wait=False)
    s.wait_event("watch.lost")
    local = s.put("local.csv")
    before = len(s.events("watch.ready"))
    done = s.verb("resume", "drop")
    assert done.status == 0 and "goes on" in done.out + done.err, done
    s.wait_ready(before + 1)
    s.wait_run(local)
    assert [e["verb"] for e in s.events("operator.action")] == ["resume"]
    s.stop()
    s.start()
    s.barrier()
    s.check_runs({s.drop / "first.csv": 1, local: 1})


def test_one_missing_directory_does_not_keep_the_other_open(service):
    """Two directories, one is not there yet: the other's first listing is over all the same."""
    s = service(watches={"in": {**SETTLE, "existing": "skip"}})
    more = s.folder / "more"
    s.watches["in"].update({"directory": [s.drop, more], "path_map": [f"{s.drop} => /a", f"{more} => /b"]})
    s.write_configuration()
    s.put("old.csv")
    s.start(wait=False)
    s.wait_event("watch.lost")
    wait_states(s, {"old.csv": ("skipped", "existing")})
    put(s.outside / "new.csv", text("new"))
    os.link(s.outside / "new.csv", s.drop / "linked.csv")
    s.stop()
    late = s.put("late.csv")
    s.start(wait=False)
    s.wait_runs(2)
    more.mkdir()
    put(more / "first.csv", text("x"))
    s.wait_event("watch.ready")
    assert states(s)["late.csv"][0] == "started" and late
    assert {r.job_id for r in s.api.runs} == {JOB}


# --- removed watches --------------------------------------------------------------------------------------------------

def test_removed_watch(service):
    """What waits for a watch that is not configured any more is held, and goes on when the watch is back."""
    s = service(watches={"in": SETTLE, "other": {}}, workspace={"rate": "1/1h", "burst": "1"}).start()
    s.wait_run(s.put("sent.csv"))
    waiting = s.put("waiting.csv")
    wait_for(lambda: "waiting.csv" in states(s, "state = 'pending' AND sent = 0"), "a file that waits")
    s.stop()
    removed = s.watches.pop("in")
    s.write_configuration()
    for _ in range(2):
        s.start()
        wait_states(s, {"sent.csv": ("started", ""), "waiting.csv": ("held", "watch_removed")})
        s.stop()
    assert s.err().count("1 waiting files are held") == 1
    s.watches["in"] = removed
    s.sections["workspace"].update({"rate": "100/s", "burst": "100"})
    s.write_configuration()
    s.start()
    s.wait_run(waiting)
    s.barrier()
    assert "1 files that were held go on" in s.err()
    s.check_runs({s.drop / "sent.csv": 1, waiting: 1})
    s.check_started()


# --- too many at once -------------------------------------------------------------------------------------------------

def test_brake(service):
    """More files than `brake` allows are held, and that is said when it begins and when it is over."""
    s = service(watches={"in": {**SETTLE, "brake": "20/2s"}}).start()
    paths = [s.put(f"{n}.csv") for n in range(50)]
    first, last = s.wait_event("watch.held", 2)
    assert "more than 20 files in 2 s" in first["detail"] and "brickwatch release --watch in" in first["detail"]
    assert last["count"] == 30 and "brickwatch release --watch in" in last["detail"]
    assert sorted(state for state in states(s).values()) == [("held", "brake")] * 30 + [("started", "")] * 20
    late = s.put("late.csv")
    s.wait_run(late)
    assert len(s.api.runs) == 21 and all(len(s.runs_of(path)) <= 1 for path in paths)


# --- moved files ------------------------------------------------------------------------------------------------------

def test_renamed_folder(service):
    """A folder with a thousand started and some rejected files is renamed: no run, and nothing is opened for ever."""
    s = service(watches={"in": {"settle": "100ms", "types": "@csv"}})
    folder = s.drop / "day"
    folder.mkdir()
    s.start()
    paths = [s.put(f"day/{n}.csv", text(f"{n}")) for n in range(1000)]
    rejected = [s.put(f"day/{n}.bin", b"\x7fELF" + bytes([n]) * 100) for n in range(3)]
    s.wait_runs(1000)
    s.wait_event("file.rejected", 3)
    folder.rename(s.drop / "archive")
    wait_for(lambda: all(name.startswith("archive/") for name in states(s)), "new names")
    s.barrier()
    s.stop()
    s.start()
    s.barrier()
    s.stop()
    assert len(s.events("file.rejected")) == len(rejected)
    s.check_runs({path: 1 for path in paths})


def test_unpacked_over_inodes_of_others(service):
    """Files of equal size and time that take the inodes of others: each is started once."""
    s = service(**SETTLE).start()
    for n in range(20):
        path = s.put(f"old-{n}.csv", text(f"{n:04}"))
        os.utime(path, (10**9, 10**9))
    s.wait_runs(20)
    for n in range(20):
        os.unlink(s.drop / f"old-{n}.csv")
    news = []
    for n in range(20, 40):
        away = s.outside / f"new-{n}.csv"
        put(away, text(f"{n:04}"))
        os.utime(away, (10**9, 10**9))
        os.rename(away, s.drop / f"new-{n}.csv")
        news.append(s.drop / f"new-{n}.csv")
    for path in news:
        s.wait_run(path)
    s.barrier()
    s.check_runs({path: 1 for path in [*news, *(s.drop / f"old-{n}.csv" for n in range(20))]})


def test_a_template_copied_again_and_again(service):
    """The job removes its file; the next copy (cp -p) has the same contents, size and time, and often the same inode
    number. It is a file of its own, under another name or the same."""
    s = service(**SETTLE).start()
    template = s.outside / "template.csv"
    put(template, text("template"))
    os.utime(template, (10**9, 10**9))
    numbers = []
    for name in ("a.csv", "b.csv", "c.csv", "d.csv"):
        shutil.copy2(template, s.drop / name)
        numbers.append(os.stat(s.drop / name).st_ino)
        s.wait_run(s.drop / name)
        os.unlink(s.drop / name)
    for count in (1, 2, 3):
        shutil.copy2(template, s.drop / "same.csv")
        numbers.append(os.stat(s.drop / "same.csv").st_ino)
        s.wait_run(s.drop / "same.csv", count)
        os.unlink(s.drop / "same.csv")
    assert len(set(numbers)) < len(numbers), "no inode number was given again: this shows nothing"
    s.check_runs({s.drop / name: 1 for name in ("a.csv", "b.csv", "c.csv", "d.csv")} | {s.drop / "same.csv": 3})
