"""method = poll: nothing is announced, everything is found by listing, and what is known is not looked at again.

On a local folder, so that the writers can be anything; a mount that keeps its writers to itself is in test_mounts.py.
"""

import json
import os
import re
import threading
import time

import pytest

from harness import ORDINARY, put, put_by_rename, text, wait_for

POLL = {"method": "poll", "poll_interval": "200ms", "rescan": "7d"}


class Writer(threading.Thread):
    """Writes lines with pauses into an open file, and closes it."""

    def __init__(self, path, pauses, before=None):
        super().__init__()
        self.path, self.pauses, self.before = path, pauses, before
        self.content, self.ended_at = b"", None
        self.start()

    def run(self):
        never = threading.Event()  # a clock that the writer goes by
        with open(self.path, "ab", buffering=0) as file:
            for number, pause in enumerate([*self.pauses, 0]):
                line = text(number)
                file.write(line)
                self.content += line
                self.ended_at = time.monotonic()
                never.wait(pause)


def test_all_is_found_once(service):
    """Before the start and after it, in new directories and renamed ones, written in place and renamed in."""
    s = service(**POLL)
    (s.drop / "old").mkdir()
    put(s.drop / "old" / "early.csv", text("early"))
    s.start()
    ready = s.events("watch.ready")[0]
    assert ready["method"] == "poll"
    expected = {s.drop / "old" / "early.csv": [text("early")]}
    for n in range(20):
        folder = s.drop / f"d{n % 4}" / "deep"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{n}.csv"
        (put_by_rename(path, text(n), s.outside) if n % 2 else put(path, text(n)))
        expected[path] = [text(n)]
    put(s.drop / "left.csv.part", text("part"))
    for path in expected:
        s.wait_run(path)
    os.rename(s.drop / "d0", s.drop / "renamed")  # its files are known by their inodes
    os.rename(s.drop / "left.csv.part", s.drop / "left.csv")
    expected[s.drop / "left.csv"] = [text("part")]
    s.wait_run(s.drop / "left.csv")
    s.barrier()
    s.barrier(folder=s.drop / "renamed")
    line = s.verb("status").out
    assert "poll" in line and "inotify" not in line, line
    s.stop()
    s.check_runs(expected)
    s.check_started()


def test_a_known_name_is_not_looked_at_before_rescan(service):
    """In-place rewriting is the price of listing only names; `rescan` (here: asked for) pays it. Another inode under
    the name shows in the listing, and a name that had gone is new."""
    s = service(**POLL).start()
    for name in ("rewritten.csv", "replaced.csv", "again.csv"):
        put(s.drop / name, text("one"))
    for name in ("rewritten.csv", "replaced.csv", "again.csv"):
        s.wait_run(s.drop / name)
    s.barrier()
    with open(s.drop / "rewritten.csv", "r+b") as file:
        file.write(text("one, and more"))
    put_by_rename(s.drop / "replaced.csv", text("two"), s.outside)
    os.unlink(s.drop / "again.csv")
    s.wait_run(s.drop / "replaced.csv", 2)
    s.barrier()
    put(s.drop / "again.csv", text("two"))
    s.wait_run(s.drop / "again.csv", 2)
    s.barrier()
    assert len(s.runs_of(s.drop / "rewritten.csv")) == 1
    assert s.verb("rescan").status == 0
    s.wait_run(s.drop / "rewritten.csv", 2)
    s.stop()
    s.check_runs({s.drop / "rewritten.csv": [text("one"), text("one, and more")],
                  s.drop / "replaced.csv": [text("one"), text("two")],
                  s.drop / "again.csv": [text("one"), text("two")]})


def test_two_looks_apart(service):
    """Even with settle = 0 and the right to ask for leases: two equal looks, poll_interval apart."""
    s = service(method="poll", poll_interval="1s", settle="0").start()
    put(s.drop / "a.csv", text("a"))
    at = time.monotonic()
    assert s.wait_run(s.drop / "a.csv")[0].at - at >= 0.99
    s.stop()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_slow_writers_where_nobody_can_tell(service):
    """No event and no lease: only looks show that a file grows."""
    s = service(user=ORDINARY, lease=False, method="poll", poll_interval="200ms", settle="2s").start()
    writers = [Writer(s.drop / "steady.csv", [0.3] * 15), Writer(s.drop / "pauses.csv", [1.5, 1.2, 1.5]),
               Writer(s.drop / "big-steps.csv", [1.6] * 3)]
    done = wait_for(lambda: next((d for d in [s.verb("explain", s.drop / "steady.csv")]
                                  if "equal look" in d.out), None), "what it waits for")
    assert "poll, on " in done.out and "listed every 200 ms" in done.out, done
    assert "of 2 s" in done.out and "the next in" in done.out, done
    for writer in writers:
        writer.join()
        seen = s.wait_run(writer.path)[0]
        # the last change is seen a look later, and then it must be quiet
        assert 2.0 <= seen.at - writer.ended_at < 2.0 + 0.7 + 3, writer.path
    s.stop()
    s.check_runs({w.path: [w.content] for w in writers})


def test_quiet(service):
    """complete = quiet: a program that never closes its file."""
    s = service(complete="quiet", settle="1s").start()
    with open(s.drop / "held.csv", "wb", buffering=0) as file:
        file.write(text("held"))
        put(s.drop / "closed.csv", text("closed"))
        at = time.monotonic()
        assert s.wait_run(s.drop / "held.csv")[0].at - at > 0.9
        assert s.wait_run(s.drop / "closed.csv")[0].at - at > 0.9
    s.stop()
    s.check_runs({s.drop / "held.csv": [text("held")], s.drop / "closed.csv": [text("closed")]})


def waiting_for(s, path):
    """What `files` says that it waits for; "" when it does not wait."""
    done = s.verb("files", "--json", "--state", "waiting")
    assert done.status == 0, done
    rows = [json.loads(line) for line in done.out.splitlines()]
    return next((r["waiting_for"] for r in rows if r.get("path") == str(path)), "")


def test_a_companion_holds_back_the_final_name(service):
    """WinSCP over an existing name, aria2: the data file has its final name while it is being filled."""
    watches = {"polled": {**POLL, "settle": "0"}, "told": {"settle": "0"}}
    s = service(watches=watches).start()
    for name in watches:
        for suffix in (".filepart", ".aria2"):
            put(s.folder / name / f"a{suffix}.csv{suffix}", b"x")
            put(s.folder / name / f"a{suffix}.csv", text("first"))
    held = [s.folder / name / f"a{suffix}.csv" for name in watches for suffix in (".filepart", ".aria2")]
    for path in held:
        wait_for(lambda path=path: "companion" in waiting_for(s, path), f"{path} waits for its companion")
        put(path, text("last"))
        os.unlink(f"{path}{os.path.splitext(os.path.splitext(path)[0])[1]}")
    for path in held:
        s.wait_run(path)
    s.stop()
    s.check_runs({path: [text("last")] for path in held})


def test_overdue(service):
    """A file that is not complete in time is said once, and so is that it has gone."""
    watches = {"polled": {**POLL, "settle": "60s", "overdue": "1s"}, "told": {"settle": "60s", "overdue": "1s"}}
    s = service(watches=watches).start()
    paths = [str(s.folder / name / "a.csv") for name in watches]
    for path in paths:
        put(path, text("a"))
    for path in paths:
        event = s.wait_event("file.waiting", path=path)[0]
        assert "of 1 min" in event["waiting_for"] or "of 60 s" in event["waiting_for"], event
        assert event["since"] < event["time"]
        os.unlink(path)
    s.wait_event("file.vanished", path=paths[1])
    s.stop()
    assert len(s.events("file.waiting")) == 2
    s.check_runs({})


# --- markers ---------------------------------------------------------------------------------------------------------

MARKED = {"complete": "marker", "settle": "0", "rescan": "7d"}
POLLED = {"method": "poll", "poll_interval": "200ms"}


def marker_watches(outside):
    """Beside the data, in a directory of their own, in another tree; announced and polled."""
    kinds = {"beside": "${name}.done", "apart": ".done/${name}", "away": f"{outside}/${{relpath}}.ok"}
    return {f"{kind}-{how}": {**MARKED, "marker": marker, **keys} for kind, marker in kinds.items()
            for how, keys in (("told", {"poll_interval": "200ms"}), ("polled", POLLED))}


def marker_of(s, watch, name):
    return {"beside": s.folder / watch / f"{name}.done", "apart": s.folder / watch / ".done" / name,
            "away": s.outside / f"{name}.ok"}[watch.split("-")[0]]


def test_markers(service, folder):
    """No run before the marker, one run after it; the marker is never data; and it counts for one version: when the
    file is rewritten it must come again, also when the service was started anew meanwhile."""
    watches = marker_watches(folder / "outside")
    s = service(watches=watches).start()
    expected = {}
    for watch in watches:
        (s.folder / watch / ".done").mkdir(exist_ok=True)
        path = s.folder / watch / f"{watch}.csv"
        put(path, text("one"))
        wait_for(lambda path=path: "its marker" in waiting_for(s, path), f"{path} waits for its marker")
        put(marker_of(s, watch, path.name), b"")
        s.wait_run(path)
        expected[path] = [text("one"), text("two, and more")]
    s.stop()
    for path in expected:  # while the service is down; yesterday's marker lies there
        put(path, text("two, and more"))
    s.start()
    for path in expected:
        wait_for(lambda path=path: "a new marker" in waiting_for(s, path), f"{path} waits for a new marker")
    done = s.verb("explain", s.folder / "away-polled" / "away-polled.csv")
    assert "counted for an earlier version" in done.out and str(folder / "outside" / "away-polled.csv.ok") in done.out
    for watch in watches:
        put(marker_of(s, watch, f"{watch}.csv"), b"again")
    for path in expected:
        s.wait_run(path, 2)
    s.stop()
    s.check_runs(expected)
    s.check_started()


def test_a_marker_before_its_file(service):
    """In any order; one for a whole directory; and rewritten while the service runs, with the old marker there."""
    s = service(**{**MARKED, **POLLED, "rescan": "1s", "marker": "${dir}/_DONE"}).start()
    (s.drop / "d").mkdir()
    put(s.drop / "d" / "_DONE", b"")
    for name in ("a.csv", "b.csv"):
        put(s.drop / "d" / name, text(name))
    for name in ("a.csv", "b.csv"):
        s.wait_run(s.drop / "d" / name)
    put(s.drop / "d" / "a.csv", text("a rewritten"))
    wait_for(lambda: "a new marker" in waiting_for(s, s.drop / "d" / "a.csv"), "it waits for a new marker")
    os.unlink(s.drop / "d" / "_DONE")
    put(s.drop / "d" / "_DONE", b"")
    s.wait_run(s.drop / "d" / "a.csv", 2)
    s.stop()
    s.check_runs({s.drop / "d" / "a.csv": [text("a.csv"), text("a rewritten")],
                  s.drop / "d" / "b.csv": [text("b.csv")]})


def test_a_second_version_waits_for_its_marker_only(service):
    """Half a minute of quiet is asked of a file when nothing says that it is whole; the marker does. What it waits for
    is said at once."""
    s = service(complete="marker", marker="${name}.done", rescan="7d", settle=None).start()
    path = s.drop / "a.csv"
    for n, words in ((1, "one"), (2, "two, and more"), (3, "three, and even more")):
        put(path, text(words))
        wait_for(lambda: "marker" in waiting_for(s, path), f"version {n} waits for a marker", 15)
        put(s.drop / "a.csv.done", b"x" * n)
        s.wait_run(path, n, timeout=15)
    s.stop()
    put(s.drop / "b.csv", text("while the service was down"))
    s.start()
    wait_for(lambda: "marker" in waiting_for(s, s.drop / "b.csv"), "the listed file waits for a marker", 15)
    put(s.drop / "b.csv.done", b"")
    s.wait_run(s.drop / "b.csv", timeout=15)
    s.stop()
    s.check_runs({path: [text("one"), text("two, and more"), text("three, and even more")],
                  s.drop / "b.csv": [text("while the service was down")]})


def test_a_marker_with_something_in_it(service, folder):
    """It counts when it is whole: its time is another one than when it was begun, but the next version needs a new
    one. Beside the data it is seen that somebody writes; on a polled mount, and where no lease is to be had, that it
    changes."""
    watches = marker_watches(folder / "outside")
    s = service(watches=watches).start()
    expected = {}
    for watch in watches:
        path = s.folder / watch / f"{watch}.csv"
        marker = marker_of(s, watch, path.name)
        marker.parent.mkdir(exist_ok=True)
        put(path, text("one"))
        wait_for(lambda path=path: "its marker" in waiting_for(s, path), f"{path} waits for its marker")
        with open(marker, "wb") as f:
            wait_for(lambda path=path: "to stay as it is" in waiting_for(s, path) or s.runs_of(path),
                     f"{marker} was seen")
            f.write(b"d41d8cd98f00b204e9800998ecf8427e")
        s.wait_run(path)
        put(path.with_name(f".{watch}"), text("two, and more"))
        os.rename(path.with_name(f".{watch}"), path)
        expected[path] = [text("one")]
    for path in expected:
        wait_for(lambda path=path: "a new marker" in waiting_for(s, path), f"{path} waits for a new marker")
    s.stop()
    s.check_runs(expected)


def test_a_marker_that_is_held_open(service):
    """It does not count before its writer has closed it, however long he thinks."""
    s = service(**MARKED, marker="${name}.done").start()
    path = s.drop / "a.csv"
    put(path, text("one"))
    wait_for(lambda: "its marker" in waiting_for(s, path), "it waits for its marker")
    with open(s.drop / "a.csv.done", "wb", buffering=0) as f:
        f.write(b"half of it")
        wait_for(lambda: re.search(r"to stay as it is, since ([2-9]|\d\d)(\.\d)? s", waiting_for(s, path)), "it waits")
        assert s.runs_of(path) == []
        f.write(b", and the rest")
    s.wait_run(path)
    put(path, text("two, and more"))
    wait_for(lambda: "a new marker" in waiting_for(s, path), "it waits for a new marker")
    s.stop()
    s.check_runs({path: [text("one")]})


def test_yesterdays_marker_of_a_skipped_file(service):
    """Nothing is known of the marker of a file that was there before the watch: one that is older than the rewritten
    file says nothing."""
    s = service(**MARKED, marker="${name}.done", existing="skip")
    put(s.drop / "a.csv", text("old"))
    put(s.drop / "a.csv.done", b"")
    for name in ("a.csv", "a.csv.done"):
        os.utime(s.drop / name, (1e9, 1e9))
    s.start()
    put(s.drop / "a.csv", text("rewritten"))
    wait_for(lambda: "a new marker" in waiting_for(s, s.drop / "a.csv"), "it waits for a new marker")
    put(s.drop / "a.csv.done", b"")
    s.wait_run(s.drop / "a.csv")
    s.stop()
    s.check_runs({s.drop / "a.csv": [text("rewritten")]})
