"""Somebody sets the wall clock, by hours and by a hundred days, in both directions: nothing changes."""

import time

import pytest

from faults import Preload, arrive_all, check_all, end, log_files, wait_all
from harness import wait_for

HOUR, DAY = 3600, 86400
STEPS = {"hours on": 5 * HOUR, "hours back": -5 * HOUR, "days on": 100 * DAY, "days back": -100 * DAY}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_the_clock_is_set_while_files_wait(service, folder, step):
    """Some are settling, some wait for their next try: all go when they would have gone."""
    preload = Preload(folder)
    s = service(settle="300ms", service={"durability": "power"}, environment=preload.environment).start()
    s.api.fault("status", status=503, path="run-now", body="/retried-", times=3)
    expected = arrive_all(s, "retried", 3)
    wait_for(lambda: len(s.events("start.retrying")) >= 3, "the first tries")
    expected |= arrive_all(s, "settling", 3)
    began = time.monotonic()
    preload.step_clock(step)
    wait_all(s, expected, timeout=20)
    assert time.monotonic() - began < 15, "the step was waited for"
    expected |= arrive_all(s, "after", 3)
    wait_all(s, expected)
    preload.step_clock(0)
    expected |= arrive_all(s, "back", 3)
    wait_all(s, expected)
    end(s)
    check_all(s, expected)


def test_the_clock_is_wrong_at_the_start(service, folder):
    """Started a hundred days ahead, the next time right: who waits for his next try waits no longer than he was to."""
    preload = Preload(folder)
    s = service(service={"durability": "power"}, environment=preload.environment)
    preload.step_clock(100 * DAY)
    s.start()
    expected = arrive_all(s, "ahead", 3)
    wait_all(s, expected)
    fault = s.api.fault("status", status=503, path="run-now", times=None)
    expected |= arrive_all(s, "waiting", 3)
    wait_for(lambda: len(s.events("start.retrying")) >= 3, "the first tries")
    s.stop()
    preload.step_clock(0)
    s.api.remove_fault(fault)
    began = time.monotonic()
    s.start()
    wait_all(s, expected)
    assert time.monotonic() - began < 15, "the next try was due when the clock was wrong"
    end(s)
    check_all(s, expected)


def test_old_logs_over_a_step_of_the_clock(service, folder):
    """A hundred days are more than keep_for: none is removed all the same, and each line is still there."""
    preload = Preload(folder)
    s = service(events={"max_size": "4KiB", "keep_for": "90d"}, environment=preload.environment)
    s.start()
    expected = {}
    for number, step in enumerate((0, 100 * DAY, -100 * DAY, 0)):
        preload.step_clock(step)
        batch = arrive_all(s, f"{number}", 18)
        for path in batch:
            s.wait_run(path)
        expected |= batch
    end(s)
    assert len(log_files(s)) > 4
    check_all(s, expected)


def test_rotation_over_a_step_of_the_clock(service, folder):
    """Old logs keep their order and none is lost when the clock goes back and forth by hours."""
    preload = Preload(folder)
    s = service(events={"max_size": "4KiB", "max_age": "1h"}, environment=preload.environment)
    s.start()
    expected = {}
    for number, step in enumerate((0, 5 * HOUR, -5 * HOUR, 0)):
        preload.step_clock(step)
        batch = arrive_all(s, f"{number}", 9)
        for path in batch:
            s.wait_run(path)
        expected |= batch
    end(s)
    check_all(s, expected)
