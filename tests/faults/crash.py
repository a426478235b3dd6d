"""What the tests share in which a process is killed at a named place (base/crash.h)."""

import re
import struct
import subprocess

import pytest

import harness
from faults import wait_tending
from harness import TOP

# The program has them? (An ordinary build has not; ./check makes one for this suite.)
needs_points = pytest.mark.skipif(
    b"crash points" not in subprocess.run([harness.find_program(), "--version"], stdout=subprocess.PIPE,
                                          check=True).stdout, reason="not a build with --enable-crash-points")
COMMIT = "dispatcher-after-commit"
driven = {}  # place: the tests that are killed there


def drives(*places, commit=False):
    """For a test with the arguments name and nth: once for each of these places, NAME or (NAME, coming …), and, with
    commit, once more just after the transaction that has what the place is about."""
    places = [place if isinstance(place, tuple) else (place, 1) for place in places]
    cases = [(name, nth) for name, *comings in places for nth in comings]
    cases += [(f"{name}>{COMMIT}", 1) for name, *_ in places if commit]

    def register(function):
        for name, *_ in places:
            driven.setdefault(name, []).append(function.__name__)
        return needs_points(pytest.mark.parametrize("name,nth", cases, ids=str)(function))
    return register


def points_of_source():
    found = []
    for path in (TOP / "watcher").rglob("*.c"):
        found += re.findall(r"\bCRASH_POINT(?:_AFTER)?\(\"([^\"]*)\"", path.read_text())
    return found


class Crash:
    """One place in one service."""

    def __init__(self, folder, name, nth):
        self.name, self.nth, self.file = name, nth, folder / "crash"
        self.file.write_bytes(bytes(8))
        self.environment = {"BW_CRASH": f"{name}:{nth}:{self.file}"}

    @property
    def hits(self):
        return struct.unpack("=q", self.file.read_bytes())[0]

    @property
    def happened(self):
        return self.hits >= self.nth

    def wait(self, s):
        wait_tending(s, lambda: self.happened,
                     lambda: f"{self.name} for the {self.nth}th time, not {self.hits}\n{s.err()}")


def start(s):
    """Started, and started again if that is where it was to be killed."""
    before = len(s.events("watch.ready"))
    s.start(wait=False)
    wait_tending(s, lambda: len(s.events("watch.ready")) > before, lambda: f"watch.ready\n{s.err()}")
