"""Cuts the power of the guest in the middle of a burst, again and again, on one disk. The stand-in of the workspace is
here, on the host, and remembers every token. In the end every file that is on the disk has had exactly one run, no file
has had two, and every run is in the event log.

    power_cut.py [CUTS]
"""

import contextlib
import gzip
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from vm import GUEST, Vm

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jobsapi"))
from jobsapi import JobsApi  # noqa: E402

JOB = 418823550071934
BOOT_S, BURST_S = 240, 300


@contextlib.contextmanager
def booted(disk, api, boot):
    vm = Vm("power", drive=disk, network=True, boot=boot, port=api.port)
    try:
        yield vm
    finally:
        vm.cut()


def names_of_runs(api):
    with api.lock:
        return Counter(run.parameters["path"].rpartition("/")[2] for run in api.runs)


def one_cut(disk, api, boot, chance):
    """Gives the names that the guest had written for sure."""
    enough = chance.randint(40, 160)
    with booted(disk, api, boot) as vm:
        vm.until(lambda line: line.startswith(f"written: b{boot:02}-{enough:05}"), f"{enough} files", BOOT_S + BURST_S)
        time.sleep(chance.random())  # where in a burst the power goes is left to chance
    return [line.split()[1] for line in vm.said if line.startswith("written: ")]


def in_the_end(disk, api):
    """Starts once more, without a writer. Gives the names on the disk."""
    with booted(disk, api, 0) as vm:
        vm.until(lambda line: line == "there: all", "the names", BOOT_S)
        words = [line.split() for line in vm.said if line.startswith("there: b")]
        there = {name: int(size) for _, name, size in words}
        wanted = {name for name, size in there.items() if size > 0}
        end = time.monotonic() + BURST_S
        while time.monotonic() < end and not wanted <= set(names_of_runs(api)):
            vm.lines(1)
        for _ in range(10):  # nothing more comes
            vm.lines(1)
    return there


def events_of(disk):
    """All lines of the log, from the disk as it was left."""
    at = GUEST / "disk"
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", disk, at], check=True)
    try:
        events = []
        for path in sorted((at / "log").iterdir()):
            if not path.name.startswith("events.jsonl"):
                continue
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            events += [json.loads(line) for line in data.split(b"\n")[:-1]]
        done = subprocess.run(["sqlite3", "-readonly", at / "state/ledger.db", "pragma integrity_check"], check=False,
                              stdout=subprocess.PIPE, text=True)
        return events, done.stdout.strip()
    finally:
        subprocess.run(["umount", at], check=True)


def judge(api, surely, there, events, integrity):
    runs = names_of_runs(api)
    by_run = Counter(e["run_id"] for e in {e["id"]: e for e in events if e["type"] == "run.started"}.values())
    with api.lock:
        ids = [run.run_id for run in api.runs]
    return {
        "files written for sure and not on the disk": sorted(set(surely) - set(there)),
        "files on the disk without a run": sorted(n for n, size in there.items() if size > 0 and not runs[n]),
        "files with more than one run": sorted(n for n, count in runs.items() if count > 1),
        "runs without their event": [i for i in ids if by_run[i] == 0],
        "runs with more than one event": [i for i in ids if by_run[i] > 1],
        "integrity of the ledger": [] if integrity == "ok" else [integrity],
    }


def main(cuts):
    disk = GUEST / "data.img"
    disk.unlink(missing_ok=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", disk, "512M"], check=True)
    chance, seed = random.Random(), int(time.time())
    chance.seed(seed)
    surely = []
    with JobsApi({JOB: ["path"]}) as api:
        for boot in range(1, cuts + 1):
            began = time.monotonic()
            surely += one_cut(disk, api, boot, chance)
            print(f"cut {boot}: {len(surely)} files written, {len(api.runs)} runs "
                  f"({time.monotonic() - began:.0f} s)", flush=True)
        there = in_the_end(disk, api)
        events, integrity = events_of(disk)
        found = judge(api, surely, there, events, integrity)
        print(f"{cuts} cuts (seed {seed}): {len(there)} files on the disk, {len(api.runs)} runs, {len(events)} events")
    for what, which in found.items():
        print(f"{'FAILED' if which else 'ok'}: {what}: {len(which)} {which[:5] if which else ''}")
    return 1 if any(found.values()) else 0


sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
