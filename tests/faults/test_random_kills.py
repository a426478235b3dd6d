"""kill -9 at random moments to everything there is, while files come at 300 a second in three ways: one run for each
file, each run in the log.

BW_KILLS says how often (300 with BW_LONG=1), BW_KILLS_SEED makes the same choices again.
"""

import os
import random
import threading

import pytest

from faults import LONG, WAYS, arrive, check_all, end, kill_hard, tend, wait_all, wait_tending
from harness import put, text

KILLS = int(os.environ.get("BW_KILLS", "300" if LONG else "15"))
RATE = 300
VICTIMS = ("keeper", "bw-dispatch", "bw-watch", "bw-sniff")


class Arrivals(threading.Thread):
    """Files in three ways until it is told to stop."""

    def __init__(self, service, seed):
        super().__init__()
        self.service, self.dice = service, random.Random(seed)
        self.stopping = threading.Event()
        self.expected, self.trouble = {}, None

    def run(self):
        try:
            number = 0
            while not self.stopping.wait(1 / RATE):  # the rate of the scenario; nobody relies on it
                way = self.dice.choice(WAYS)
                self.expected[arrive(self.service, f"{number}-{way}.csv", way=way)] = [text(f"{number}-{way}.csv")]
                number += 1
        except BaseException as trouble:
            self.trouble = trouble
            raise


@pytest.mark.slow
@pytest.mark.timeout(1800 if LONG else 120)
def test_random_kills(service):
    seed = int(os.environ.get("BW_KILLS_SEED", random.randrange(1 << 32)))
    dice = random.Random(seed)
    print(f"BW_KILLS_SEED={seed}")
    s = service(service={"durability": "power"}, types="@csv", brake="off").start()
    arrivals, clock, killed = Arrivals(s, seed), threading.Event(), dict.fromkeys(VICTIMS, 0)
    arrivals.start()
    try:
        while sum(killed.values()) < KILLS:
            clock.wait(dice.uniform(0.02, 0.5))  # any moment will do
            tend(s)
            victim = dice.choice(VICTIMS)
            killed[victim] += kill_hard(s, victim)
    finally:
        arrivals.stopping.set()
        arrivals.join()
    assert arrivals.trouble is None
    wait_all(s, arrivals.expected, timeout=120)
    end(s)
    check_all(s, arrivals.expected)
    assert min(killed.values()) > 0 or KILLS < 30, killed
    print(f"{len(arrivals.expected)} files, {killed}")


@pytest.mark.slow
def test_new_versions_while_all_is_killed(service):
    """A name gets new content again and again while whatever runs is killed: each content that was there when the
    killing ended has its run, and no version has two."""
    seed = int(os.environ.get("BW_KILLS_SEED", random.randrange(1 << 32)))
    dice = random.Random(seed)
    print(f"BW_KILLS_SEED={seed}")
    s = service(service={"durability": "power"}, types="@csv").start()
    last = {}
    for number in range(60):
        name = f"{number % 7}.csv"
        data = text(f"{name} for the {number}th time", 1 + number)
        put(s.outside / name, data)
        os.rename(s.outside / name, s.drop / name)
        last[str(s.drop / name)] = data
        if number % 6 == 5:
            s.wait_run(s.drop / name)
            kill_hard(s, dice.choice(VICTIMS))
            tend(s)

    def versions():
        return {(e["path"], e["size"], e["run_id"]) for e in s.events("run.started") if "barrier" not in e["path"]}
    wanted = {(path, len(data)) for path, data in last.items()}
    wait_tending(s, lambda: wanted <= {v[:2] for v in versions()}, lambda: f"{wanted}, not {versions()}")
    end(s)
    s.check_started(repeated=True)
    assert len({v[:2] for v in versions()}) == len(versions()), f"a version was started twice: {versions()}"
