"""The event log as a file: rotation, compression, removal, somebody else's hands on it, and a disk without room. No
line is lost, doubled or torn."""

import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

import harness
from harness import Output, text, wait_for

ROTATED = re.compile(r"events\.jsonl\.(\d{8}T\d{6}Z)(?:-(\d+))?(\.gz)?")


def rotated(s):
    """Rotated files, oldest first."""
    found = []
    for path in s.log.parent.iterdir():
        match = ROTATED.fullmatch(path.name)
        if match:
            found.append(((match[1], int(match[2] or 0)), path))
    return [path for _, path in sorted(found)]


def read(path):
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def all_lines(s):
    """Every line of every file, oldest first; each is whole."""
    data = b"".join(read(path) for path in [*rotated(s), s.log])
    assert data.endswith(b"\n")
    lines = data.split(b"\n")[:-1]
    for line in lines:
        json.loads(line)
    return lines


def count_started(s):
    """Lines run.started in all files; -1 when one was just being compressed."""
    try:
        return sum(read(path).count(b"run.started") for path in [*rotated(s), s.log])
    except FileNotFoundError:
        return -1


def check_log(s, paths):
    """One run.started for each of these, no line twice, in the order of time."""
    events = [json.loads(line) for line in all_lines(s)]
    assert len({e["id"] for e in events}) == len(events)
    times = [e["time"] for e in events]
    assert times == sorted(times)
    started = sorted(e["path"] for e in events if e["type"] == "run.started")
    assert started == sorted(paths)


def drop(s, count, label="f"):
    """So many files, and their runs."""
    before = len(s.api.runs)
    paths = [s.put(f"{label}-{n}.csv") for n in range(count)]
    s.wait_runs(before + count)
    return paths


def wait_idle(s):
    """All rotated files but the youngest are compressed."""
    wait_for(lambda: all(p.suffix == ".gz" for p in rotated(s)[:-1]) and not list(s.log.parent.glob(".*.gz")),
             lambda: f"compression: {sorted(p.name for p in s.log.parent.iterdir())}")


# --- rotation ---------------------------------------------------------------------------------------------------------

def test_rotation_by_size(service):
    s = service(events={"max_size": "8KiB"}).start()
    paths = drop(s, 200)
    wait_idle(s)
    s.stop()
    check_log(s, paths)
    files = rotated(s)
    assert len(files) > 10
    for path in files:
        assert len(read(path)) <= 8192 and path.stat().st_mode & 0o777 == 0o640
    assert s.log.stat().st_size <= 8192
    assert subprocess.run(["gzip", "-t", *files[:-1]], check=False).returncode == 0
    assert files[-1].suffix != ".gz", "the youngest stays plain for those who follow"


def test_rotation_without_compression(service):
    s = service(events={"max_size": "8KiB", "compress": "none"}).start()
    paths = drop(s, 60)
    s.stop()
    check_log(s, paths)
    assert len(rotated(s)) > 3 and not list(s.log.parent.glob("*.gz"))


def test_rotation_by_age(service):
    """Also without any event at the turn."""
    s = service(events={"max_age": "1s", "compress": "none"}).start()
    paths = drop(s, 1, "first")
    wait_for(lambda: len(rotated(s)) == 1, "a rotation when its time is over")
    assert s.log.stat().st_size == 0
    paths += drop(s, 1, "second")
    wait_for(lambda: len(rotated(s)) == 2, "a second rotation")
    s.stop()
    check_log(s, paths)


def test_old_files_are_removed_by_size(service):
    s = service(events={"max_size": "4KiB", "keep_size": "8KiB"}).start()
    drop(s, 200)
    wait_idle(s)
    s.stop()
    files = rotated(s)
    assert files and sum(p.stat().st_size for p in files) <= 8192
    newest = [json.loads(line)["time"] for line in all_lines(s)]
    assert newest == sorted(newest)


def test_old_files_are_removed_by_age(service):
    s = service(events={"max_size": "4KiB", "keep_for": "1s"}).start()
    drop(s, 20)
    first = rotated(s)
    assert first
    wait_for(lambda: (drop(s, 20, str(time.monotonic_ns())), not any(p.exists() or
             p.with_name(p.name + ".gz").exists() for p in first))[1], "the first rotated files are gone")
    s.stop()


def test_files_of_others_are_left_alone(service):
    """Only what has been rotated by the service is compressed or removed."""
    s = service(events={"max_size": "4KiB", "keep_size": "4KiB", "keep_for": "1s"})
    others = ["events.jsonl.1", "events.jsonl.gz", "events.jsonl.20200101T000000", "events.jsonl.20200101T000000Z-x",
              "other.jsonl.20200101T000000Z", ".events.jsonl.swp", "events.jsonl.20209999T000000Z"]
    for name in others:
        (s.log.parent / name).write_text("mine\n")
    s.start()
    drop(s, 60)
    s.stop()
    for name in others:
        assert (s.log.parent / name).read_text() == "mine\n", name


def test_rotation_goes_on_after_restarts(service):
    s = service(events={"max_size": "4KiB"})
    paths = []
    for n in range(4):
        s.start()
        paths += drop(s, 15, str(n))
        s.stop()
    check_log(s, paths)


def test_killed_while_rotating(service):
    """kill -9 of the dispatcher, again and again, while files are rotated and compressed all the time."""
    s = service(events={"max_size": "4KiB"}).start()
    paths = []
    for n in range(5):
        paths += [s.put(f"{n}-{i}.csv") for i in range(60)]
        wait_for(lambda: len(s.api.runs) > 60 * n + 20, "some runs")
        s.kill("bw-dispatch")
    s.wait_runs(300)
    s.barrier()
    wait_idle(s)
    s.stop()
    events = [json.loads(line) for line in all_lines(s)]
    started = {}
    for event in events:
        if event["type"] == "run.started" and "barrier" not in event["path"]:
            started.setdefault(event["path"], set()).add(event["id"])
    assert set(started) == set(paths)
    assert all(len(ids) == 1 for ids in started.values())


# --- readers ----------------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("tail"), reason="no tail here")
def test_tail_sees_each_line_once(service):
    """tail -F over many rotations, slow enough for tail."""
    s = service(events={"max_size": "4KiB"})
    s.log.touch(0o640)
    if s.user:
        os.chown(s.log, s.user, s.user)
    tail = subprocess.Popen(["tail", "-n", "+1", "-F", s.log], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        out = Output(tail.stdout)
        s.start()
        paths = []
        for n in range(40):
            paths.append(s.put(f"{n}.csv"))
            wait_for(lambda: paths[-1] in out.text(), f"tail shows {paths[-1]}")
        s.stop()
        wait_for(lambda: "service.stopped" in out.text(), "tail shows the end")
    finally:
        tail.terminate()
        tail.wait()
    assert len(rotated(s)) > 5
    shown = out.finish().encode().split(b"\n")[:-1]
    assert shown == all_lines(s)


# --- somebody else's hands --------------------------------------------------------------------------------------------

def test_renamed_by_somebody_and_reopened_on_sighup(service):
    """As logrotate does it: until the signal, lines go on in the renamed file."""
    s = service().start()
    paths = drop(s, 5, "before")
    s.wait_event("run.started", 5)
    moved = s.log.with_name("moved.jsonl")
    os.rename(s.log, moved)
    paths += drop(s, 5, "between")
    wait_for(lambda: moved.read_bytes().count(b"run.started") == 10, "ten lines in the renamed file")
    assert not s.log.exists()
    os.kill(s.process.pid, signal.SIGHUP)
    wait_for(s.log.exists, "a new file")
    paths += drop(s, 5, "after")
    wait_for(lambda: s.log.read_bytes().count(b"run.started") == 5, "five lines in the new file")
    s.stop()
    data = moved.read_bytes() + s.log.read_bytes()
    events = [json.loads(line) for line in data.splitlines()]
    assert sorted(e["path"] for e in events if e["type"] == "run.started") == sorted(paths)
    assert len({e["id"] for e in events}) == len(events)


def test_removed_by_somebody(service):
    s = service().start()
    drop(s, 5, "before")
    wait_for(lambda: s.log.read_bytes().count(b"run.started") == 5, "five lines")
    s.log.unlink()
    paths = drop(s, 5, "after")
    wait_for(lambda: s.log.exists() and s.log.read_bytes().count(b"run.started") == 5, "five lines in a new file")
    s.stop()
    events = [json.loads(line) for line in s.log.read_bytes().splitlines()]
    assert sorted(e["path"] for e in events if e["type"] == "run.started") == sorted(paths)


def test_emptied_by_somebody(service):
    """logrotate's copytruncate."""
    s = service().start()
    drop(s, 5, "before")
    wait_for(lambda: s.log.read_bytes().count(b"run.started") == 5, "five lines")
    os.truncate(s.log, 0)
    paths = drop(s, 5, "after")
    wait_for(lambda: s.log.read_bytes().count(b"run.started") == 5, "five lines more")
    s.stop()
    check_log(s, paths)


@pytest.mark.parametrize("what", ["link", "folder", "pipe"])
def test_what_is_no_file_is_not_written_to(service, what):
    """The service works on, says so, and writes the log when the way is free."""
    s = service()
    victim = s.outside / "victim"
    victim.write_text("untouched\n")
    if what == "link":
        s.log.symlink_to(victim)
    elif what == "folder":
        s.log.mkdir()
    else:
        os.mkfifo(s.log)
    s.start(wait=False)
    path = s.put("a.csv")
    s.wait_run(path)
    wait_for(lambda: "events are kept" in s.err(), s.err)
    assert victim.read_text() == "untouched\n"
    s.log.rmdir() if what == "folder" else s.log.unlink()
    wait_for(lambda: s.log.is_file() and b"run.started" in s.log.read_bytes(), "the log is written")
    s.stop()
    check_log(s, [path])


# --- torn lines -------------------------------------------------------------------------------------------------------

def test_a_line_torn_by_a_crash_is_completed(service):
    """The crash in the middle of a write is made by hand: the service is killed while it cannot write, and half of the
    line that it would write next is put at the end of the log."""
    s = service().start()
    paths = drop(s, 3)
    s.stop()
    saved = s.log.with_name("saved")
    os.rename(s.log, saved)
    s.log.mkdir()
    s.start(wait=False)
    paths += drop(s, 3, "more")
    wait_for(lambda: "events are kept" in s.err(), s.err)
    s.kill_keeper()
    with contextlib.closing(sqlite3.connect(s.state / "ledger.db")) as ledger:
        line = ledger.execute("SELECT line FROM outbox ORDER BY seq").fetchone()[0]
    line = line.encode() if isinstance(line, str) else line
    s.log.rmdir()
    whole = saved.read_bytes()
    s.log.write_bytes(whole + line[:len(line) // 2])
    s.start(wait=False)
    wait_for(lambda: s.log.read_bytes().count(b"run.started") == 6, "the next start")
    assert s.log.read_bytes().startswith(whole + line)
    wait_for(lambda: "completed" in s.err(), s.err)
    s.stop()
    check_log(s, paths)


@pytest.mark.parametrize("torn", [b'{"time":"2026-01-01T00:00:00.000000Z","type":"run.sta', b"\x00\x00\x00\x00", b"{"])
def test_half_a_line_of_nobody_is_cut_off(service, torn):
    s = service().start()
    paths = drop(s, 3)
    s.stop()
    with open(s.log, "ab") as file:
        file.write(torn)
    s.follower = harness.Follower(os.devnull)
    s.start(wait=False)
    wait_for(lambda: s.log.read_bytes().count(b"watch.ready") == 2, "the next start")
    s.stop()
    check_log(s, paths)


def test_not_an_event_log(service):
    """A file without any line in it is not taken for one, and not destroyed."""
    s = service()
    s.log.write_bytes(b"x" * (5 << 20))
    s.start(wait=False)
    path = s.put("a.csv")
    s.wait_run(path)
    wait_for(lambda: "not an event log" in s.err(), s.err)
    s.stop()
    assert s.log.read_bytes() == b"x" * (5 << 20)


# --- no room ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def small_disk(service):
    """A service whose log folder is a file system of 64 KiB."""
    s = service(events={"max_size": "16KiB"})
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", s.log.parent], check=False,
                          stderr=subprocess.PIPE)
    if done.returncode != 0:
        pytest.skip(f"cannot mount: {done.stderr.decode().strip()}")
    yield s
    with contextlib.suppress(AssertionError):
        if s.process is not None:
            s.stop()
    s.follower.close()
    subprocess.run(["umount", "-l", s.log.parent], check=True)


def disk_gone(s, how):
    if how == "full":
        with contextlib.suppress(OSError), open(s.log.parent / "filler", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    else:
        subprocess.run(["mount", "-o", "remount,ro", s.log.parent], check=True)


def disk_back(s, how):
    if how == "full":
        (s.log.parent / "filler").unlink()
    else:
        subprocess.run(["mount", "-o", "remount,rw", s.log.parent], check=True)


@pytest.mark.parametrize("how", ["full", "read-only"])
@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_no_room_for_the_log(small_disk, how, restart):
    """Files are started all the same; their lines come when there is room again, also over a restart."""
    s = small_disk.start()
    paths = drop(s, 5, "before")
    wait_for(lambda: s.log.read_bytes().count(b"run.started") == 5, "five lines")
    if how == "read-only":
        s.stop()  # an open file forbids the remount
        disk_gone(s, how)
        s.start(wait=False)
    else:
        disk_gone(s, how)
    paths += drop(s, 15, "without")
    wait_for(lambda: "events are kept" in s.err(), s.err)
    if restart:
        s.stop()
        s.start(wait=False)
        paths += drop(s, 2, "again")
    assert s.log.read_bytes().count(b"run.started") < 20
    disk_back(s, how)
    paths += drop(s, 5, "after")

    def count():
        try:
            return sum(read(p).count(b"run.started") for p in [*rotated(s), s.log])
        except FileNotFoundError:  # compressed between listing and reading
            return -1

    wait_for(lambda: count() >= len(paths), "all lines")
    s.stop()
    check_log(s, paths)


def test_a_log_folder_that_is_missing(service):
    """One level of it is made; deeper ones are asked for."""
    s = service()
    s.log.parent.rmdir()
    s.start()
    paths = drop(s, 3)
    s.stop()
    check_log(s, paths)
    assert s.log.parent.stat().st_mode & 0o007 == 0


# --- one service on a log ---------------------------------------------------------------------------------------------

def other_on(service, s, folder):
    """A service with everything of its own but the event log."""
    other = service(folder=folder)
    other.sections["events"]["file"] = s.log
    other.write_configuration()
    return other


def refused(other):
    done = other.verb("run")
    assert done.status == 1 and f"another brickwatch is writing to the event log {other.sections['events']['file']}" \
        in done.err, done
    assert not (other.state / "ledger.db").exists()


@pytest.mark.slow
def test_two_services_on_one_log(service, folder):
    """The second one is refused, also after rotations; it may start when the first has ended, however that was."""
    s = service(events={"max_size": "4KiB"}).start()
    other = other_on(service, s, folder / "other")
    refused(other)
    paths = drop(s, 40)
    wait_for(lambda: rotated(s), "a rotation")
    refused(other)
    os.rename(s.log, s.log.with_name("moved.jsonl"))
    os.kill(s.process.pid, signal.SIGHUP)
    paths += drop(s, 3, "later")
    refused(other)
    s.kill_keeper()
    other.log = s.log
    other.start(wait=False)
    wait_for(lambda: other.verb("status").status == 0, other.err)
    done = s.verb("run")
    assert done.status == 1 and "another brickwatch is writing to the event log" in done.err, done
    other.stop()
    s.start()
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))


def test_reload_to_a_log_of_another_service(service, folder):
    s = service().start()
    other = service(folder=folder / "other").start()
    other.sections["events"]["file"] = s.log
    other.write_configuration()
    done = other.verb("reload")
    assert done.status == 78 and "another brickwatch is writing to the event log" in done.err, done
    path = other.put("a.csv")
    other.wait_event("run.started", path=path)
    other.stop()
    s.stop()
    assert path not in s.log.read_text()


def test_ids_are_told_by_token_type_and_number(service):
    """interface.md, section 3: the first 32 digits of SHA-256 over token, type and ordinal: the same on every host."""
    s = service().start()
    path = s.put("a.csv", text("a"))
    event = s.wait_event("run.started", path=path)[0]
    assert event["id"] == hashlib.sha256(f"{event['token']} run.started 1".encode()).hexdigest()[:32]
    times = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
    assert times.fullmatch(event["time"]) and times.fullmatch(event["completed"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", event["mtime"])
