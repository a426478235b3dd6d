"""The type check: a file that makes libmagic work for long delays its own watch only, and not for longer than
type_deadline; a sniffer that dies takes nothing with it."""

import os
import time

import pytest

from harness import put, text, wait_for

BOMB = b"\n" * (64 << 10)  # 0.3 to 0.6 s of processor time
BOMBS = 10
QUICK = {"types": "@csv", "type_deadline": "50ms"}


def verdict(s, path):
    """The event that tells what became of a file."""
    return wait_for(lambda: [e for e in s.events() if e.get("path") == str(path)],
                    lambda: f"{path}\n{s.err()[-2000:]}")[0]


def test_newline_bombs_delay_their_own_watch_only(service):
    """The same bombs for two watches, one with a short deadline and one with a long one. A third has none."""
    s = service(watches={"drop": QUICK, "patient": {"types": "@csv", "type_deadline": "60s"}, "other": QUICK}).start()
    drop, patient, other = (s.folder / name for name in s.watches)
    for folder in (drop, patient):
        for n in range(BOMBS):
            put(folder / f"bomb-{n}.csv", BOMB)
        put(folder / "behind.csv", text("behind"))
    others = [other / f"{n}.csv" for n in range(20)]
    for path in others:
        put(path, text("o"))
    for path in [drop / "behind.csv", patient / "behind.csv", *others]:
        s.wait_run(path)
    at = {one.path: one.at for one in s.seen}
    quick, slow = at[str(drop / "behind.csv")], at[str(patient / "behind.csv")]
    assert max(at[str(path)] for path in others) < quick, "another watch had to wait"
    assert quick < slow, "the deadline did not make it quicker"
    for n in range(BOMBS):
        assert verdict(s, drop / f"bomb-{n}.csv")["type"] in ("file.rejected", "start.failed")
    assert s.err().count("going by its bytes and name") == BOMBS, s.err()
    s.stop()
    s.check_runs({**dict.fromkeys(others, 1), drop / "behind.csv": 1, patient / "behind.csv": 1})
    s.check_started()


def test_a_bomb_is_not_tried_again(service):
    """Neither by the listing nor after a restart."""
    s = service(rescan="1s", **QUICK).start()
    bomb = s.put("bomb.csv", BOMB)
    verdict(s, bomb)
    s.wait_listings()
    s.stop()
    s.start()
    s.barrier()
    s.stop()
    assert len([e for e in s.events() if e.get("path") == bomb]) == 1
    assert s.err().count("bomb.csv") <= 2, s.err()


def test_a_bomb_whose_type_is_needed_but_unknown(service):
    """types cannot be answered: a dead letter with the reason, never a silent rejection."""
    s = service(types="text/x-nothing", type_deadline="50ms").start()
    bomb = s.put("bomb", BOMB)
    event = verdict(s, bomb)
    assert event["type"] == "start.failed" and event["reason"] == "type_unknown", event
    s.stop()
    s.check_runs({})


def test_the_sniffer_is_killed_while_it_works(service):
    """A death is tried once more; the file is decided in the end, and those behind it are started."""
    s = service(types="@csv", type_deadline="60s").start()
    bomb = s.put("bomb.csv", BOMB * 4)
    behind = [s.put(f"{n}.csv") for n in range(5)]
    killed = set()

    def kill_again():
        for pid in s.pids("bw-sniff"):
            if pid not in killed and busy(pid):
                os.kill(pid, 9)
                killed.add(pid)
        return len(killed) >= 2 or all(s.runs_of(p) for p in behind)
    wait_for(kill_again, lambda: f"two sniffers killed: {killed}\n{s.err()[-2000:]}")
    for path in behind:
        s.wait_run(path)
    assert verdict(s, bomb)
    s.barrier()
    s.stop()
    s.check_runs({**dict.fromkeys(behind, 1), bomb: len(s.runs_of(bomb))})


def busy(pid):
    """Has it used processor time beyond its start?"""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b") ")[2].split()[11]) >= 10
    except OSError:
        return False


@pytest.mark.parametrize("moment", ["idle", "at work"])
def test_sniffer_killed_again_and_again(service, moment):
    """No file is lost by it, and none is started twice."""
    s = service(types="@csv").start()
    paths = []
    for n in range(10):
        s.kill("bw-sniff")
        paths += [s.put(f"{n}-{i}.csv") for i in range(20)]
        for path in paths[-20:] if moment == "idle" else paths[-20:-15]:
            s.wait_run(path)
    for path in paths:
        s.wait_run(path)
    s.barrier()
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))
    s.check_started()


def test_a_stopped_sniffer_stops_its_watch_only(service):
    """As one that sits in an endless read would. Only processor time counts for the deadline, so it is waited for."""
    s = service(watches={"drop": QUICK, "other": QUICK}).start()
    s.wait_run(s.put("first.csv"))
    victim = next(pid for pid in s.pids("bw-sniff") if parent_of(pid) == s.pid("bw-watch", "drop"))
    os.kill(victim, 19)
    try:
        s.put("waits.csv")
        for n in range(5):
            put(s.folder / "other" / f"{n}.csv", text("o"))
            s.wait_run(s.folder / "other" / f"{n}.csv")
        assert s.runs_of(s.drop / "waits.csv") == []
    finally:
        os.kill(victim, 18)
    s.wait_run(s.drop / "waits.csv")
    s.stop()


def parent_of(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b") ")[2].split()[1])


def test_stop_while_the_sniffer_works(service):
    s = service(types="@csv", type_deadline="60s").start()
    s.put("bomb.csv", BOMB * 8)
    wait_for(lambda: any(busy(pid) for pid in s.pids("bw-sniff")), "a busy sniffer")
    began = time.monotonic()
    s.stop()
    assert time.monotonic() - began < 5
