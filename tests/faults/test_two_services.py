"""Two services, each with a state directory and a log of its own, watch the same folder: one run for each file, by the
token alone."""

import random
import signal

import pytest

from faults import arrive_all, kill_hard, logged, tend, wait_all
from harness import REMOTE, wait_for


class Shared:
    """The stand-in of the first, which alone starts and stops it."""

    def __init__(self, api):
        self._api = api

    def __getattr__(self, name):
        return getattr(self._api, name)

    def start(self):
        return self

    def stop(self):
        pass


def pair(service, folder):
    """Both see the drop folder of the first, at the same remote path."""
    first = service(service={"durability": "power"})
    second = service(folder=folder / "other", api=Shared(first.api), service={"durability": "power"},
                     directory=f"{folder}/drop", path_map=f"{folder}/drop => {REMOTE}/drop")
    second.seen = first.seen
    return first, second


def check(both, expected):
    first = both[0]
    first.barrier()
    runs = {run.run_id: run.token for run in first.api.runs}
    for s in both:
        wait_for(lambda: runs.keys() <= {e["run_id"] for e in s.events("run.started")},
                 lambda: f"a line for each run\n{s.err()}")
        s.stop()
    first.check_runs(expected)
    assert len(first.api.runs) == len(runs)
    ids = []
    for s in both:
        started = [e for e in logged(s) if e["type"] == "run.started"]
        assert {e["run_id"]: e["token"] for e in started} == runs, "each log has every run"
        ids.append({e["run_id"]: e["id"] for e in started})
        assert not [e for e in logged(s) if e["type"] == "start.failed"]
    assert ids[0] == ids[1], "the same fact has another id"


def test_one_run_for_each_file(service, folder):
    both = pair(service, folder)
    first = both[0]
    early = arrive_all(first, "early", 9)
    for s in both:
        s.start()
    expected = early | arrive_all(first, "new", 30)
    for s in both:
        wait_all(s, expected)
    check(both, expected)
    assert sum(run.answers for run in first.api.runs) >= 2 * len(expected)


@pytest.mark.slow
def test_one_of_two_is_killed(service, folder):
    """Now this one, now that one is gone while files come."""
    dice = random.Random(11)
    both = pair(service, folder)
    for s in both:
        s.start()
    expected = {}
    for number in range(6):
        expected |= arrive_all(both[0], f"{number}", 9)
        victim = dice.choice(both)
        kill_hard(victim, dice.choice(("keeper", "bw-dispatch", "bw-watch")))
        tend(victim)
        assert victim.process.poll() in (None, -signal.SIGKILL)
    for s in both:
        wait_all(s, expected)
    check(both, expected)
