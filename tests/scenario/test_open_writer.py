"""A writer that keeps its file open for ten seconds, with pauses: its run comes after the close and not before.

As root, as an ordinary user with CAP_LEASE on another user's file, and without that right, where nobody can tell.
"""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import ORDINARY, put, text, wait_for

OPEN_S = 10
QUIET_S = 3


class SlowWriter(threading.Thread):
    """Writes a line now and then and closes after OPEN_S; does something to its name in the middle."""

    def __init__(self, path, middle=None, seconds=OPEN_S, pause=1.3):
        super().__init__()
        self.path, self.middle, self.seconds, self.pause = path, middle, seconds, pause
        self.content, self.closed_at, self.failure = b"", None, None

    def run(self):
        try:
            self._write()
        except BaseException as failure:
            self.failure = failure
            raise

    def _write(self):
        end = time.monotonic() + self.seconds
        done = threading.Event()  # never set: a clock that the writer goes by
        with open(self.path, "wb", buffering=0) as file:
            number = 0
            while time.monotonic() < end:
                line = text(f"{number}")
                file.write(line)
                self.content += line
                if number == 2 and self.middle:
                    self.middle()
                number += 1
                done.wait(self.pause)
            file.write(b"7,end\n")
            self.content += b"7,end\n"
            self.closed_at = time.monotonic()


def write_slowly(*writers):
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.failure is None


def check(s, writers):
    """Each of {final path: writer} has one run, after its close, with all of its bytes."""
    for path, writer in writers.items():
        seen = s.wait_run(path)[0]
        assert seen.at > writer.closed_at, f"{path} was started {writer.closed_at - seen.at:.1f} s before its close"
    s.barrier(thorough=True)
    s.stop()
    s.check_runs({path: [writer.content] for path, writer in writers.items()})
    s.check_started()


def scene(s):
    """Writers in all the ways a name can behave meanwhile: {final path: writer}."""
    drop, outside = s.drop, s.outside
    for folder in ("old", "sub"):
        (drop / folder).mkdir()

    def rename(source, target):
        return lambda: os.rename(source, target)

    def link(source, target):
        def sftp_rename():
            os.link(source, target)
            os.unlink(source)
        return sftp_rename

    return {
        drop / "in-place.csv": SlowWriter(drop / "in-place.csv"),
        drop / "in-place-fast.csv": SlowWriter(drop / "in-place-fast.csv", pause=0.05),
        drop / "in-place-one-pause.csv": SlowWriter(drop / "in-place-one-pause.csv", pause=OPEN_S),
        drop / "renamed.csv": SlowWriter(drop / "before.csv", rename(drop / "before.csv", drop / "renamed.csv")),
        drop / "was-temporary.csv": SlowWriter(drop / "was-temporary.csv.part",
                                               rename(drop / "was-temporary.csv.part", drop / "was-temporary.csv")),
        drop / "moved-in.csv": SlowWriter(outside / "moved", rename(outside / "moved", drop / "moved-in.csv")),
        drop / "linked-in.csv": SlowWriter(outside / "linked", link(outside / "linked", drop / "linked-in.csv")),
        drop / "sftp.csv": SlowWriter(drop / "sftp.csv.filepart",
                                      link(drop / "sftp.csv.filepart", drop / "sftp.csv")),
        drop / "new" / "in-renamed-folder.csv": SlowWriter(drop / "old" / "in-renamed-folder.csv",
                                                           rename(drop / "old", drop / "new")),
        drop / "sub" / "moved-down.csv": SlowWriter(drop / "moved-down.csv",
                                                    rename(drop / "moved-down.csv", drop / "sub" / "moved-down.csv")),
    }


@pytest.mark.slow
def test_ten_seconds(service):
    """All of it at the same time: settle = 0, a type check, an ordinary user with CAP_LEASE, and files that were being
    written before the service was started."""
    services = [service(settle="0"), service(settle="0", types="@csv"), service(settle="300ms", user=ORDINARY)]
    early = service(settle="0")
    early_writer = SlowWriter(early.drop / "early.csv")
    early_writer.start()
    wait_for(lambda: early_writer.content, "a first line")
    for s in services + [early]:
        s.start()
    scenes = [scene(s) for s in services]
    write_slowly(*(w for writers in scenes for w in writers.values()))
    early_writer.join()
    with ThreadPoolExecutor(len(services) + 1) as pool:
        jobs = [pool.submit(check, s, writers) for s, writers in zip(services, scenes)]
        jobs.append(pool.submit(check, early, {early.drop / "early.csv": early_writer}))
    for job in jobs:
        job.result()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_without_the_right_to_ask(service):
    """Nobody can tell then whether a writer has the file open. Its close is still seen; a file renamed in must have
    been quiet for longer; and explain says why."""
    s = service(user=ORDINARY, lease=False, settle=f"{QUIET_S}s").start()
    writer = SlowWriter(s.drop / "in-place.csv", seconds=QUIET_S + 1, pause=1)
    writer.start()
    put(s.outside / "x", text("renamed in"))
    renamed_at = time.monotonic()
    os.rename(s.outside / "x", s.drop / "renamed.csv")
    seen = s.wait_run(s.drop / "renamed.csv")[0]
    assert seen.at - renamed_at >= QUIET_S
    writer.join()
    assert s.wait_run(writer.path)[0].at > writer.closed_at
    s.check_runs({s.drop / "renamed.csv": [text("renamed in")], writer.path: [writer.content]})
    done = s.verb("explain", s.drop / "renamed.csv")
    assert "lease" in done.out and "CAP_LEASE" in done.out, done
    s.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_explain_says_that_a_writer_has_it_open(service):
    s = service(user=ORDINARY)
    with open(s.drop / "a.csv", "wb") as file:
        file.write(text("a"))
        file.flush()
        done = s.verb("explain", s.drop / "a.csv")
        assert "a writer has it open" in done.out, done
    done = s.verb("explain", s.drop / "a.csv")
    assert "no writer has it open" in done.out, done
