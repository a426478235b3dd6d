"""More files than any queue holds: each is started once."""

import os
import signal

import pytest

from faults import LONG, end
from harness import processes_of_group, put

STOPPED = 50000 if LONG else 12000
BURST = 100000 if LONG else 20000
CONTENT = b"id\n1\n"


def write_many(s, count):
    """As fast as the disk takes them, in a hundred folders and, three of four, beside them."""
    for n in range(100):
        (s.drop / f"{n}").mkdir()
    paths = [s.drop / f"{n % 100}" / f"{n}.csv" if n % 4 == 0 else s.drop / f"{n}.csv" for n in range(count)]
    for path in paths:
        put(path, CONTENT)
    return {str(path): 1 for path in paths}


def check(s, expected):
    s.wait_runs(len(expected), timeout=max(120, len(expected) / 200))
    end(s)
    s.check_runs(expected)
    s.check_started()


@pytest.mark.slow
@pytest.mark.timeout(1800 if LONG else 240)
def test_all_processes_asleep(in_memory, service):
    """The kernel's queue runs over while everything is stopped."""
    s = service(brake="off").start()
    asleep = list(processes_of_group(s.group))
    for pid in asleep:
        os.kill(pid, signal.SIGSTOP)
    try:
        expected = write_many(s, STOPPED)
    finally:
        for pid in asleep:
            os.kill(pid, signal.SIGCONT)
    s.wait_runs(len(expected), timeout=max(120, STOPPED / 200))
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as limit:
        if int(limit.read()) < 2 * STOPPED * 3 // 4:  # CREATE and CLOSE_WRITE of what lies in the watched folder
            s.wait_event("watch.overflow")
    check(s, expected)


@pytest.mark.slow
@pytest.mark.timeout(1800 if LONG else 240)
def test_a_burst(in_memory, service):
    s = service(brake="off").start()
    check(s, write_many(s, BURST))
