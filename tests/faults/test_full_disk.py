"""No room for the event log, none for the ledger, and a log folder that is gone or may not be written."""

import contextlib
import errno
import os
import shutil
import signal
import sqlite3
import subprocess

import pytest

from faults import arrive_all, check_all, end, logged, wait_all
from harness import wait_for


@pytest.fixture
def mount(folder):
    """mount(NAME, SIZE): a tmpfs of that size in the test's folder. mount(NAME, None): NAME may only be read."""
    mounted = []

    def tool(*words):
        return subprocess.run(words, stderr=subprocess.DEVNULL, check=False).returncode == 0

    def make(name, size):
        path = folder / name
        path.mkdir(exist_ok=True)
        if size is None:
            done = tool("mount", "--bind", path, path) and tool("mount", "-o", "remount,bind,ro", path)
        else:
            done = tool("mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", path)
        if not done:
            pytest.skip("nothing can be mounted here")
        mounted.append(path)
        return path

    def unmount(path):
        mounted.remove(path)
        assert tool("umount", "-l", path)
    make.end = unmount
    yield make
    for path in reversed(mounted):
        tool("umount", "-l", path)


def fill(path):
    """Takes all the room there is."""
    with open(path, "wb", buffering=0) as file:
        size = 1 << 20
        while size >= 1:
            try:
                if file.write(b"x" * size) < size:
                    size //= 2
            except OSError as problem:
                assert problem.errno == errno.ENOSPC
                size //= 2


def started_paths(s):
    return {e["path"] for e in s.events("run.started")}


def check_order(s):
    """Each line once, in the order in which things happened."""
    lines = logged(s)
    ids = [e["id"] for e in lines]
    assert len(ids) == len(set(ids)), "a line was written twice"
    times = [e["time"] for e in lines]
    assert times == sorted(times), "lines are not in order"


def test_no_room_for_the_log(mount, folder, service):
    mount("log", "64k")
    s = service(service={"durability": "power"}).start()
    expected = arrive_all(s, "before", 6)
    wait_all(s, expected)
    fill(s.log.parent / "filler")
    while_full = arrive_all(s, "full", 60)
    for path in while_full:
        s.wait_run(path)
    wait_for(lambda: "are kept in the ledger" in s.err(), "a word that events are kept")
    assert not while_full.keys() <= started_paths(s)
    expected |= while_full
    os.unlink(s.log.parent / "filler")
    wait_all(s, expected)
    wait_for(lambda: "is written again" in s.err(), "a word that the log is written again")
    end(s)
    check_all(s, expected)
    check_order(s)


def test_no_room_for_the_log_over_a_restart(mount, folder, service):
    mount("log", "64k")
    s = service(service={"durability": "power"}).start()
    expected = arrive_all(s, "before", 3)
    wait_all(s, expected)
    fill(s.log.parent / "filler")
    expected |= arrive_all(s, "full", 60)
    for path in expected:
        s.wait_run(path)
    s.stop()
    s.start(wait=False)
    path = s.put("second.csv")
    s.wait_run(path)
    expected[path] = 1
    os.unlink(s.log.parent / "filler")
    wait_all(s, expected)
    end(s)
    check_all(s, expected)
    check_order(s)


def recorded(s):
    """Tokens of the requests that the ledger knows to be out."""
    with contextlib.closing(sqlite3.connect(f"file:{s.state}/ledger.db?mode=ro", uri=True, timeout=10)) as db:
        return {token for token, in db.execute("SELECT token FROM version WHERE sent = 1")}


def test_no_room_for_the_ledger(mount, folder, service):
    """Nothing is sent that is not recorded; by itself it goes on when there is room."""
    mount("state", "8m")
    s = service(service={"durability": "power"}).start()
    expected = arrive_all(s, "before", 6)
    wait_all(s, expected)
    fill(s.state / "filler")
    number = 0
    while "until the ledger can be written again" not in s.err():
        expected |= arrive_all(s, f"full-{number}", 30)
        number += 1
        assert number < 200
    with s.api.lock:
        tokens = {run.token for run in s.api.runs}
    assert tokens <= recorded(s), "a run was asked for that the ledger does not know"
    assert len(tokens) < len(expected)
    os.unlink(s.state / "filler")
    wait_all(s, expected, timeout=60)
    wait_for(lambda: "the ledger can be written again" in s.err().replace("until the ledger can be", ""),
             "a word that it goes on")
    end(s)
    check_all(s, expected)
    check_order(s)


def test_no_room_for_the_ledger_over_a_restart(mount, folder, service):
    """Killed and started while there is none: it says so, and does all when there is."""
    mount("state", "8m")
    s = service(service={"durability": "power"}).start()
    expected = arrive_all(s, "before", 6)
    wait_all(s, expected)
    fill(s.state / "filler")
    expected |= arrive_all(s, "full", 60)
    s.kill_keeper()
    s.start(wait=False)
    wait_for(lambda: s.process.poll() is not None or "until the ledger can be written again" in s.err()
             or s.events("service.started")[1:], lambda: f"a sign of life\n{s.err()}")
    os.unlink(s.state / "filler")
    if s.process.poll() is not None:  # it may refuse to start, with a word
        assert s.process.returncode == 1 and "full" in s.err(), s.err()
        s.wait_gone()
        s.start(wait=False)
    wait_all(s, expected, timeout=60)
    end(s)
    check_all(s, expected)


def test_the_log_folder_is_removed(service):
    s = service(service={"durability": "power"}).start()
    first = arrive_all(s, "before", 3)
    wait_all(s, first)
    shutil.rmtree(s.log.parent)
    gone = arrive_all(s, "gone", 12)
    for path in gone:
        s.wait_run(path)
    wait_for(lambda: "are kept in the ledger" in s.err(), "a word that events are kept")
    s.log.parent.mkdir()
    wait_all(s, gone)
    end(s)
    s.check_runs({**first, **gone})
    check_order(s)
    assert gone.keys() <= {e.get("path") for e in logged(s)}


def test_the_log_folder_may_only_be_read(mount, folder, service):
    s = service(service={"durability": "power"}).start()
    expected = arrive_all(s, "before", 3)
    wait_all(s, expected)
    read_only = mount("log", None)
    os.kill(s.process.pid, signal.SIGHUP)  # what is open may still be written
    wait_for(lambda: "are kept in the ledger" in s.err(), "a word that events are kept")
    blocked = arrive_all(s, "blocked", 6)
    for path in blocked:
        s.wait_run(path)
    assert not blocked.keys() & started_paths(s)
    mount.end(read_only)
    expected |= blocked
    wait_all(s, expected)
    end(s)
    check_all(s, expected)
    check_order(s)
