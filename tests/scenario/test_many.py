"""Many files: each is started once, with its own path."""

import os
import signal
import time
from pathlib import Path

import pytest

from harness import put, text
from test_restart import Dropper


@pytest.mark.slow
def test_a_thousand_files_at_200_a_second(service):
    """As it comes out of the box, but for settle = 0 and the pace of the workspace."""
    s = service(service={"durability": None}).start()
    dropper = Dropper(s)
    dropper.start()
    dropper.join()
    s.wait_runs(1000)
    s.barrier()
    s.stop()
    s.check_runs({path: [text(f"{n}")] for n, path in enumerate(dropper.paths)})
    s.check_started()
    late = max(e["latency_ms"] for e in s.events("run.started"))
    assert late < 5000, f"a run was asked for {late} ms after its file was complete"


@pytest.mark.slow
def test_more_files_than_the_queue_holds_behind_a_watcher_that_sleeps(in_memory, service):
    """Its event queue overflows meanwhile; the listing finds what was lost."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    count = min(limit * 3 // 4, 20000)  # three of four give two events in the watched folder: CREATE, CLOSE_WRITE
    s = service(brake="off").start()
    first = s.put("first.csv")
    s.wait_run(first)
    watcher = s.kill("bw-watch", signo=signal.SIGSTOP)
    for n in range(100):
        (s.drop / f"{n}").mkdir()
    paths = [str(s.drop / f"{n}.csv") if n % 4 else str(s.drop / f"{n % 100}" / f"{n}.csv") for n in range(count)]
    for path in paths:
        put(path, b"id\n1\n")
    os.kill(watcher, signal.SIGCONT)
    s.wait_runs(count + 1, timeout=120)
    if count * 3 // 2 > limit:
        s.wait_event("watch.overflow")
    s.barrier()
    s.stop()
    s.check_runs({first: 1, **dict.fromkeys(paths, [b"id\n1\n"])})
    s.check_started()
    assert s.pids("bw-watch") == [] and watcher


@pytest.mark.slow
def test_a_tree_of_many_directories(service):
    """Found at the start, then with new files in all of them."""
    s = service(types="@csv")
    folders = [s.drop / f"{n % 20}" / f"{n}" for n in range(1000)]
    for folder in folders:
        folder.mkdir(parents=True)
        put(folder / "early.csv", text("early"))
    s.start()
    for folder in folders:
        put(folder / "late.csv", text("late"))
    s.wait_runs(2000, timeout=60)
    s.barrier()
    s.stop()
    s.check_runs({str(folder / name): 1 for folder in folders for name in ("early.csv", "late.csv")})
    s.check_started()


@pytest.mark.slow
def test_many_versions_of_one_file(service):
    """Renamed in again and again, faster than runs are started: the last version has its run, none saw half of one."""
    s = service().start()
    contents = [text(f"{n}", 50 + n) for n in range(300)]
    path = s.drop / "a.csv"
    for content in contents:
        put(s.outside / "x", content)
        os.rename(s.outside / "x", path)
    s.barrier()
    seen = s.runs_of(path)
    assert seen[-1].content == contents[-1]
    assert all(one.content in contents for one in seen)
    s.stop()
    tokens = [one.run.token for one in seen]
    assert len(set(tokens)) == len(tokens)
    s.check_started()


def test_several_watches(service):
    """Twenty folders, each with its own process, its own job and its own files."""
    names = [f"w{n:02}" for n in range(20)]
    s = service(watches={name: {"job_id": 1000 + n} for n, name in enumerate(names)})
    for n in range(20):
        s.api.add_job(1000 + n, ["path"])
    s.start()
    assert len(s.pids("bw-watch")) == 20
    for name in names:
        for n in range(10):
            put(s.folder / name / f"{n}.csv", text(name))
    s.wait_runs(200)
    began = time.monotonic()
    s.stop()
    assert time.monotonic() - began < 5
    for number, name in enumerate(names):
        runs = [r for r in s.api.runs if r.job_id == 1000 + number]
        wanted = sorted(f"/Volumes/main/landing/{name}/{n}.csv" for n in range(10))
        assert sorted(r.parameters["path"] for r in runs) == wanted
    s.check_started()


def test_two_folders_in_one_watch(service, folder):
    s = service(watches={"drop": {"directory": [f"{folder}/drop", f"{folder}/second"],
                                  "path_map": f"{folder} => /Volumes/main/landing"}})
    (folder / "second").mkdir()
    s.start()
    for place in ("drop", "second"):
        put(folder / place / "a.csv", text(place))
    s.wait_runs(2)
    s.barrier()
    s.stop()
    s.check_runs({folder / "drop" / "a.csv": [text("drop")], folder / "second" / "a.csv": [text("second")]})
    s.check_started()


def test_two_watches_on_one_folder(service, folder):
    """Two jobs for the same files, and one that takes only a part of them."""
    s = service(watches={"drop": {"job_id": 1}, "second": {"job_id": 2, "directory": f"{folder}/drop"},
                         "part": {"job_id": 3, "directory": f"{folder}/drop/part"}})
    for watch in ("second", "part"):
        s.watches[watch]["path_map"] = f"{folder}/drop => /Volumes/main/landing/drop"
    s.write_configuration()
    for job_id in (1, 2, 3):
        s.api.add_job(job_id, ["path"])
    (s.drop / "part").mkdir()
    s.start()
    put(s.drop / "part" / "a.csv", text("a"))
    put(s.drop / "b.csv", text("b"))
    s.wait_runs(5)
    s.stop()
    found = sorted((run.job_id, os.path.basename(run.parameters["path"])) for run in s.api.runs)
    assert found == [(1, "a.csv"), (1, "b.csv"), (2, "a.csv"), (2, "b.csv"), (3, "a.csv")]
    s.check_started()
