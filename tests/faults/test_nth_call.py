"""The n-th call of open, read, write, fsync, rename, inotify_add_watch or the sockets fails once, in one of the
processes. The service goes on, or ends with a word why and completes the work at its next start: no crash, no lost
file, no run twice, no line in the log without its run.

BW_NTH_SEEDS says how many cases are drawn, BW_NTH_FIRST the first seed. With BW_LONG=1 every one of the first calls
fails. Memory is looked at with a build that has ASan; others get a few cases at their own pace.
"""

import contextlib
import errno
import os
import random
import re
import signal
import subprocess
import traceback
from itertools import islice

import pytest

import harness
from faults import ERRORS, KINDS, LONG, PROCESSES, Preload, Reader, arrive_all, check_all, logged, sanitizer_of
from harness import wait_for

SANITIZED = sanitizer_of(harness.find_program()) is not None
SEEDS = int(os.environ.get("BW_NTH_SEEDS", "200" if SANITIZED else "40"))
FIRST = int(os.environ.get("BW_NTH_FIRST", "1" if SANITIZED else "1001"))
CALLS = 200  # of one kind, in the long form
# By a signal that no test sends.
CRASHED = re.compile(r"killed by signal (?!9 |15 )\d+ \([^)]*\)")


# --- the scenarios ----------------------------------------------------------------------------------------------------

def ordinary(s, run):
    """Started, files come, stopped."""
    return run(s, lambda: arrive_all(s, "new", 6))


def known(s, run):
    """Started over files that are known, some that are not, and stopped."""
    s.start(wait=False)
    expected = arrive_all(s, "known", 6)
    wait_for(lambda: has_all(s, expected), "the first runs")
    s.stop()
    expected |= arrive_all(s, "down", 3)
    return run(s, lambda: expected | arrive_all(s, "new", 3))


def rotation(s, run):
    """So many events that the log is rotated and compressed."""
    s.sections["events"]["max_size"] = "4KiB"
    s.write_configuration()
    return run(s, lambda: arrive_all(s, "new", 18))


SCENARIOS = (ordinary, known, rotation)


def has_all(s, expected):
    return expected.keys() <= {e["path"] for e in s.events("run.started")}


@contextlib.contextmanager
def one_service():
    """A service with the object in front of it, in a folder of its own. Nothing of it is left afterwards."""
    folder = harness.make_folder()
    preload = Preload(folder)
    s = harness.Service(folder, service={"durability": "power"}, types="@csv", rescan="1s",
                        environment=preload.environment)
    Reader(s)
    try:
        yield s, preload
        s.check_manners()
    finally:
        s.clean_up()
        harness.remove(folder)


# --- the failing call ---------------------------------------------------------------------------------------------

class Run:
    """The part of a scenario in which the call fails."""

    def __init__(self, preload, process, kind, nth, code):
        self.preload, self.failure = preload, (process, kind, nth, code)
        self.ended = None

    def __call__(self, s, files):
        """Starts, lets files come, waits until all is done, stops. Where the service ends by itself it is started
        again. Gives {path: [content]}."""
        self.preload.fail(*self.failure)
        s.start(wait=False)
        expected = files()
        wait_for(lambda: self.again(s) and has_all(s, expected),
                 lambda: f"the runs of {sorted(expected)}; there are {s.seen}\n{s.err()}")
        self.stop(s)
        return expected

    def again(self, s):
        """True; the service was started again if it had ended, which it must explain, and may do once."""
        if s.process.poll() is not None:
            assert self.ended is None, f"it ended twice:\n{s.err()}"
            self.ended = s.process.returncode
            assert self.preload.fired and self.ended in (1, 69, 78), f"it ended with {self.ended}:\n{s.err()}"
            assert s.err().strip(), "it ended without a word"
            s.wait_gone()
            s.start(wait=False)
        return True

    def stop(self, s):
        """The call may fail during the stop, too."""
        if s.process.poll() is None:
            os.kill(s.process.pid, signal.SIGTERM)
        try:
            status = s.process.wait(harness.TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{s.err()}") from None
        s.wait_gone()
        s.process = None
        assert status == 0 or (self.preload.fired and status in (1, 69, 78)), f"it ended with {status}:\n{s.err()}"


def complete(s):
    """One more start, with nothing failing, over whatever the failure left."""
    s.start(wait=False)
    s.barrier()
    wait_for(lambda: {r.run_id for r in s.api.runs} <= {e["run_id"] for e in s.events("run.started")},
             lambda: f"a line for each run\n{s.err()}")
    s.stop()


def play(s, preload, scenario, failure):
    expected = scenario(s, Run(preload, *failure))
    complete(s)
    check_all(s, expected)
    crashed = CRASHED.search(s.err())
    assert not crashed, f"{crashed[0]}:\n{s.err()}"
    assert len({e["path"] for e in logged(s) if e["type"] == "run.started"} & expected.keys()) == len(expected)


# --- the tests --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def calls():
    """{(scenario, process): {kind: calls}}, counted in runs in which nothing fails."""
    found = {}
    for scenario in SCENARIOS:
        with one_service() as (s, preload):
            scenario(s, Run(preload, "", "open", 0, 0))
            found.update({(scenario, process): counts for process, counts in preload.calls.items()})
    return found


def cases(calls, seed):
    """The cases of a seed, as (scenario, (process, kind, nth, code)): every kind of every process has the same chance.
    How often a call is made differs a little from run to run, so that one may come too late to fail: then the next
    case takes an earlier call."""
    dice = random.Random(seed)
    while True:
        scenario = dice.choice(SCENARIOS)
        places = [(process, kind) for process in PROCESSES for kind, n in calls[scenario, process].items() if n > 0]
        process, kind = dice.choice(places)
        count = calls[scenario, process][kind]
        nth = 1 + min(int(dice.random() ** 2 * count), count - 1)  # what is done once is done early
        code = dice.choice(ERRORS[kind])
        while nth > 0:
            yield scenario, (process, kind, nth, code)
            nth //= 2


def test_what_is_counted(calls):
    """The object is in front of what matters: else nothing below would fail."""
    made = {(process, kind) for (_, process), kinds in calls.items() for kind, n in kinds.items() if n > 0}
    assert {("bw-dispatch", kind) for kind in KINDS if kind != "watch"} <= made
    assert {("bw-watch", kind) for kind in ("open", "read", "watch", "send", "receive", "socket")} - made <= \
        {("bw-watch", "socket")}
    assert {("brickwatch", "open"), ("brickwatch", "send"), ("brickwatch", "receive")} <= made


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_one_call_fails(calls, seed):
    for scenario, failure in islice(cases(calls, seed), 12):
        print(scenario.__name__, *failure)
        with one_service() as (s, preload):
            play(s, preload, scenario, failure)
            if preload.fired:
                return
    raise AssertionError("nothing has failed")


def test_a_ledger_that_cannot_be_read_once_is_not_set_aside():
    """There are reads of which SQLite says then that it is damaged."""
    for nth in range(1, 20):
        with one_service() as (s, preload):
            play(s, preload, ordinary, ("bw-dispatch", "read", nth, errno.EIO))
            assert preload.fired and not list(s.state.glob("ledger.db.damaged-*"))
            if "it is not set aside" in s.err():
                return
    raise AssertionError("none was taken for damage")


if LONG:
    @pytest.mark.timeout(4 * 3600)
    @pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda f: f.__name__)
    @pytest.mark.parametrize("process", PROCESSES)
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_call_fails(calls, kind, process, scenario):
        """Each of the first calls, in turn, with the next error of its kind."""
        bad = []
        for nth in range(1, min(calls[scenario, process][kind], CALLS) + 1):
            failure = (process, kind, nth, ERRORS[kind][nth % len(ERRORS[kind])])
            print(scenario.__name__, *failure)
            try:
                with one_service() as (s, preload):
                    play(s, preload, scenario, failure)
            except AssertionError:
                bad.append(f"{failure}:\n{traceback.format_exc()}")
        assert not bad, f"{len(bad)} calls:\n" + "\n".join(bad)
