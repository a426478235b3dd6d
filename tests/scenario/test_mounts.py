"""A network mount, played by bindfs: what is written behind it makes no event, and for six seconds the kernel answers
from its caches. Exactly one run each, never before the last byte, and not later than doc/mounts.md says.
"""

import io
import os
import shutil
import subprocess
import tarfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import JOB, REMOTE, JobsApi, put, text, wait_for
from mounts import Bindfs, can_mount

pytestmark = pytest.mark.skipif(not can_mount(), reason="needs root and /dev/fuse")

INTERVAL_S = 0.3
SETTLE_S = 1.5
KEYS = {"poll_interval": "300ms", "settle": "1500ms", "rescan": "2s"}
# found a round later, its last change seen a look later, then quiet; and a machine with other things to do
DELAY_S = INTERVAL_S + max(INTERVAL_S, SETTLE_S / 3) + SETTLE_S + 6


@pytest.fixture
def mounted(service):
    """mounted(**keys): a service whose drop folder is a mount; s.low is what lies behind it."""
    mounts = []

    def make(options=None, **keys):
        s = service(**{**KEYS, **keys})
        s.low = s.folder / "low"
        mounts.append(Bindfs(s.low, s.drop, *([options] if options else [])))
        s.backing[s.drop] = s.low
        return s

    yield make
    for mount in mounts:
        mount.close()


# --- writers behind the mount: each gets a folder of its own there and gives {name: content} when it has finished ----

def steps(path, pauses, mode="ab"):
    content, never = b"", threading.Event()  # a clock that the writer goes by
    with open(path, mode, buffering=0) as file:
        for number, pause in enumerate([*pauses, 0]):
            file.write(text(number))
            content += text(number)
            never.wait(pause)
    return content


def plain(d, _):
    put(d / "a.csv", text("plain"))
    return {"a.csv": text("plain")}


def slow_with_pauses(d, _):
    return {"a.csv": steps(d / "a.csv", [1.2, 0.9, 1.2, 1.1])}


def steady_under_the_caches(d, _):
    return {"a.csv": steps(d / "a.csv", [0.1] * 60)}


def reopened_for_each_line(d, _):
    return {"a.csv": b"".join(steps(d / "a.csv", [0.4]) for _ in range(5))}


def renamed_from_a_temporary_name(d, _):
    content = steps(d / "a.csv.part", [2, 0.2])
    os.rename(d / "a.csv.part", d / "a.csv")
    return {"a.csv": content}


def renamed_in(d, away):
    put(away / "a", text("renamed"))
    os.rename(away / "a", d / "a.csv")
    return {"a.csv": text("renamed")}


def linked_and_unlinked(d, _):
    content = steps(d / "a.csv.filepart", [0.5])
    os.link(d / "a.csv.filepart", d / "a.csv")
    os.unlink(d / "a.csv.filepart")
    return {"a.csv": content}


def folder_moved_in(d, away):
    (away / "f" / "g").mkdir(parents=True)
    put(away / "f" / "g" / "a.csv", text("deep"))
    os.rename(away / "f", d / "f")
    return {"f/g/a.csv": text("deep")}


def cp_p(d, away):
    put(away / "a", text("cp -p"))
    os.utime(away / "a", (1e9, 1e9))
    subprocess.run(["cp", "-p", away / "a", d / "a.csv"], check=True)
    return {"a.csv": text("cp -p")}


def rsync_a(d, away):
    for name in ("a.csv", "b.csv"):
        put(away / name, text(name))
        os.utime(away / name, (1e9, 1e9))
    subprocess.run(["rsync", "-a", f"{away}/", f"{d}/"], check=True)
    return {name: text(name) for name in ("a.csv", "b.csv")}


def tar_x(d, _):
    names = [f"t{n}.csv" for n in range(5)]
    with tarfile.open(d.parent / "x.tar.part", "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(text(name)), 1_000_000_000
            tar.addfile(member, io.BytesIO(text(name)))
    subprocess.run(["tar", "-x", "-C", d, "-f", d.parent / "x.tar.part"], check=True)
    return {name: text(name) for name in names}


def unzip(d, _):
    with zipfile.ZipFile(d.parent / "x.zip.part", "w") as archive:
        archive.writestr("u.csv", text("unzip"))
    subprocess.run(["unzip", "-q", d.parent / "x.zip.part", "-d", d], check=True)
    return {"u.csv": text("unzip")}


def times_set_late(d, _):
    put(d / "a.csv", text("late"))
    threading.Event().wait(0.7)
    os.utime(d / "a.csv", (1e9, 1e9))
    return {"a.csv": text("late")}


def full_size_first(d, _):
    """As Samba's clients do: the size is right from the start; each write moves the time."""
    content = text("full", 500)
    with open(d / "a.csv", "wb", buffering=0) as file:
        file.truncate(len(content))
        for at in range(0, len(content), 1500):
            threading.Event().wait(0.4)
            file.write(content[at:at + 1500])
    return {"a.csv": content}


def looked_for_too_early(d, _):
    """The kernel on the mount's side has just been told that there is no such file, and remembers it."""
    assert not os.path.exists(str(d).replace("/low/", "/drop/") + "/a.csv")
    put(d / "a.csv", text("early"))
    return {"a.csv": text("early")}


WRITERS = [plain, slow_with_pauses, steady_under_the_caches, reopened_for_each_line, renamed_from_a_temporary_name,
           renamed_in, linked_and_unlinked, folder_moved_in, cp_p, rsync_a, tar_x, unzip, times_set_late,
           full_size_first, looked_for_too_early]


def play(s, writer):
    """Gives {path on the mount: content} and checks when each had its run."""
    folder, away = s.low / writer.__name__, s.folder / f"away-{writer.__name__}"
    folder.mkdir()
    away.mkdir()
    contents = {str(s.drop / writer.__name__ / name): content for name, content in writer(folder, away).items()}
    ended_at = time.monotonic()
    for path in contents:
        late = s.wait_run(path)[0].at - ended_at
        slack = 6 if writer is looked_for_too_early else 0  # negative_timeout
        assert late <= DELAY_S + slack, f"{path}: {late:.1f} s after its last byte"
    return {path: [content] for path, content in contents.items()}


@pytest.mark.slow
def test_writers_behind_the_mount(mounted):
    s = mounted().start()
    ready = s.events("watch.ready")[0]
    assert ready["method"] == "inotify+poll" and ready["file_system"].startswith("fuse"), ready
    expected = {}
    with ThreadPoolExecutor(len(WRITERS)) as pool:
        for part in [pool.submit(play, s, writer) for writer in WRITERS]:
            expected.update(part.result())
    assert s.verb("rescan").status == 0  # times that were set late mean nothing once more
    s.barrier()
    s.stop()
    s.check_runs(expected)
    s.check_started()


@pytest.mark.slow
def test_writers_on_the_mount(mounted):
    """Writers of this host are announced; still two looks are needed."""
    s = mounted().start()
    put(s.drop / "closed.csv", text("closed"))
    at = time.monotonic()
    assert s.wait_run(s.drop / "closed.csv")[0].at - at >= INTERVAL_S
    content = steps(s.drop / "steps.csv", [1.2, 0.8])
    shutil.copy2(s.drop / "closed.csv", s.drop / "copied.csv")
    s.wait_run(s.drop / "steps.csv")
    s.wait_run(s.drop / "copied.csv")
    s.stop()
    s.check_runs({s.drop / "closed.csv": [text("closed")], s.drop / "steps.csv": [content],
                  s.drop / "copied.csv": [text("closed")]})


@pytest.mark.slow
def test_rewritten_behind_the_mount(mounted):
    """Found by `rescan`, whatever the caches of the kernel say: in place, and by rename."""
    s = mounted().start()
    for name in ("in-place.csv", "replaced.csv"):
        put(s.low / name, text("one"))
    for name in ("in-place.csv", "replaced.csv"):
        s.wait_run(s.drop / name)
    with open(s.low / "in-place.csv", "r+b") as file:
        file.write(text("two", 9))
    put(s.folder / "new", text("two", 8))
    os.rename(s.folder / "new", s.low / "replaced.csv")
    for name in ("in-place.csv", "replaced.csv"):
        s.wait_run(s.drop / name, 2)
    s.stop()
    s.check_runs({s.drop / "in-place.csv": [text("one"), text("two", 9)],
                  s.drop / "replaced.csv": [text("one"), text("two", 8)]})


def test_a_mount_below_a_local_folder(service):
    """Each directory is watched as its own file system asks for."""
    s = service(**{**KEYS, "rescan": "7d"})
    (s.drop / "local").mkdir()
    mount = Bindfs(s.folder / "low", s.drop / "remote")
    s.backing[s.drop / "remote"] = s.folder / "low"
    try:
        s.start()
        ready = s.events("watch.ready")[0]
        assert ready["method"] == "inotify+poll" and "fuse" in ready["file_system"].split(","), ready
        assert len(ready["file_system"].split(",")) == 2, ready
        put(s.folder / "low" / "a.csv", text("behind"))
        put(s.drop / "local" / "b.csv", text("local"))
        s.wait_run(s.drop / "remote" / "a.csv")
        s.wait_run(s.drop / "local" / "b.csv")
        done = s.verb("explain", s.drop / "remote" / "a.csv")
        assert "inotify+poll, on fuse" in done.out and "other hosts" in done.out, done
        done = s.verb("explain", s.drop / "local" / "b.csv")
        assert "inotify, on " in done.out and "poll" not in done.out, done
        assert "inotify+poll" in s.verb("status").out
        s.stop()
        s.check_runs({s.drop / "remote" / "a.csv": [text("behind")], s.drop / "local" / "b.csv": [text("local")]})
    finally:
        mount.close()


def test_close_is_a_mistake_where_nobody_tells(mounted):
    """complete = close: what another host wrote never completes, and that is said at the start."""
    s = mounted(complete="close", overdue="1s").start()
    told = s.wait_event("watch.degraded")[0]
    assert "complete = close is a mistake here" in told["detail"], told
    put(s.low / "remote.csv", text("remote"))
    put(s.drop / "here.csv", text("here"))
    s.wait_run(s.drop / "here.csv")
    waiting = s.wait_event("file.waiting", path=str(s.drop / "remote.csv"))[0]
    assert waiting["waiting_for"], waiting
    done = wait_for(lambda: next((d for d in [s.verb("explain", s.drop / "remote.csv")]
                                  if "complete = close asks for" in d.out), None), "why it waits")
    assert "no sign that the writer closed" in done.out
    s.stop()
    s.check_runs({s.drop / "here.csv": [text("here")]})


# --- HDFS -------------------------------------------------------------------------------------------------------------

def spark_writes(folder, parts):
    """What Spark's committer leaves on HDFS, in its order."""
    attempt = folder / "_temporary" / "0" / "task_0"
    attempt.mkdir(parents=True)
    for n in range(parts):
        put(attempt / f"part-{n:05}.csv", text(n))
    for n in range(parts):
        os.rename(attempt / f"part-{n:05}.csv", folder / f"part-{n:05}.csv")
    shutil.rmtree(folder / "_temporary")
    put(folder / "_SUCCESS", b"")


def test_a_directory_starts_one_run_when_it_is_complete(mounted):
    """The recipe of doc/mounts.md: `_SUCCESS` is the file, its directory is what the job gets; overwritten, it runs
    again."""
    s = mounted(api=JobsApi({JOB: ["folder"]}), include="_SUCCESS", min_size="0", ends="no",
                **{"param.folder": "${dir_uri}"}).start()
    put(s.low / "alone.csv", text("alone"))
    for day in ("2026-01-01", "2026-01-02"):
        spark_writes(s.low / f"day={day}", 3)
    s.wait_runs(2)
    shutil.rmtree(s.low / "day=2026-01-01")
    spark_writes(s.low / "day=2026-01-01", 2)
    s.wait_runs(3)
    spark_writes(s.low / "day=2026-01-03", 1)  # a round later
    s.wait_runs(4)
    s.stop()
    assert sorted(run.parameters["folder"] for run in s.api.runs) == [
        f"{REMOTE}/drop/day=2026-01-01", f"{REMOTE}/drop/day=2026-01-01", f"{REMOTE}/drop/day=2026-01-02",
        f"{REMOTE}/drop/day=2026-01-03"]


def test_names_that_hadoop_writes_under(mounted):
    """hadoop fs -put and distcp: looked at only under their last name."""
    s = mounted().start()
    content = steps(s.low / "put.csv._COPYING_", [2, 0.5])
    os.rename(s.low / "put.csv._COPYING_", s.low / "put.csv")
    copied = steps(s.low / ".distcp.tmp.attempt_1", [2, 0.5])
    os.rename(s.low / ".distcp.tmp.attempt_1", s.low / "copied.csv")
    for name in ("put.csv", "copied.csv"):
        s.wait_run(s.drop / name)
    s.barrier()
    s.stop()
    s.check_runs({s.drop / "put.csv": [content], s.drop / "copied.csv": [copied]})


# --- overlay ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def overlaid(service):
    """A service whose drop folder is an overlay of two folders."""
    s = service(settle="1500ms", rescan="2s", include="*.csv")
    folders = [s.folder / name for name in ("lower", "upper", "work")]
    for folder in folders:
        folder.mkdir()
    lower, upper, work = folders
    put(lower / "there.csv", text("there"))
    done = subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", "none",
                           s.drop], check=False, stderr=subprocess.PIPE)
    if done.returncode != 0:
        pytest.skip(f"no overlay: {done.stderr.decode()}")
    s.lower, s.upper = lower, upper
    yield s
    subprocess.run(["umount", "-l", s.drop], check=False)


@pytest.mark.slow
def test_overlay(overlaid):
    """What is written on it is announced, what is written into a layer is found by `rescan`. Copied up, a file stays
    what it was; renamed, it is another one, since inode numbers mean nothing there."""
    s = overlaid.start()
    assert s.events("watch.ready")[0]["method"] == "inotify" and s.events("watch.ready")[0]["file_system"] == "overlay"
    s.wait_run(s.drop / "there.csv")
    put(s.drop / "closed.csv", text("closed"))
    began = time.monotonic()
    assert s.wait_run(s.drop / "closed.csv")[0].at - began < 1.5 + 3
    steps_of_it = steps(s.drop / "steps.csv", [1, 0.8])
    (s.drop / "d").mkdir()
    os.rename(s.drop / "closed.csv", s.drop / "d" / "moved.csv")
    for folder in (s.upper, s.lower):
        put(folder / f"into-{folder.name}.csv", text(folder.name))
    for name in ("steps.csv", "into-upper.csv"):
        s.wait_run(s.drop / name)
    os.chmod(s.drop / "there.csv", 0o600)  # copied up: another inode
    s.verb("rescan")
    s.barrier()
    s.stop()
    s.check_runs({s.drop / "there.csv": 1, s.drop / "closed.csv": 1, s.drop / "d" / "moved.csv": 1,
                  s.drop / "steps.csv": [steps_of_it], s.drop / "into-upper.csv": 1, s.drop / "into-lower.csv": 1})
