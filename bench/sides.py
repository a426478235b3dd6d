"""What is measured: brickwatch and those beside it, each a group of processes that is started and ended here."""

import contextlib
import importlib.util
import json
import mmap
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEAD = struct.Struct("8q")  # struct table_head of bench.h
WARM = 20  # files that are written before anything is measured
START_WAIT_S = 30


class Failed(Exception):
    """A measurement that cannot be made."""


def wait_for(condition, what, timeout_s=START_WAIT_S, step_s=0.005):
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"waited {timeout_s} s for {what}")
        time.sleep(step_s)


class Table:
    """Times by file number, shared with writer or sink (bench.h)."""

    def __init__(self, path, files):
        self.path, self.files = path, files
        with open(path, "wb") as file:
            file.truncate(HEAD.size + 12 * files)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)

    def head(self):
        """total, distinct, unknown, connections, first_ns, last_ns"""
        return HEAD.unpack_from(self.map)[:6]

    def distinct(self):
        return self.head()[1]

    def times(self):
        return struct.unpack_from(f"{self.files}q", self.map, HEAD.size)

    def counts(self):
        return struct.unpack_from(f"{self.files}I", self.map, HEAD.size + 8 * self.files)

    def close(self):
        self.map.close()
        os.unlink(self.path)


# --- processes

def group_of(pgid):
    """{pid: name} of the processes of a group."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/stat", encoding="latin-1") as file:
                fields = file.read().rpartition(")")[2].split()
            if int(fields[2]) != pgid or fields[0] == "Z":
                continue
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                found[int(entry)] = os.path.basename(file.read().split(b"\0")[0].decode("latin-1"))
    return found


def end_group(process, signo=signal.SIGKILL, timeout_s=20):
    """Ends a process that was started as the leader of its group, and all that it started."""
    if process.poll() is None:
        os.kill(process.pid, signo)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
    for pid in group_of(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def memory_of(pid):
    """(private, resident) bytes."""
    sums = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            match = re.match(r"(\w+): +(\d+) kB", line)
            if match:
                sums[match[1]] = int(match[2]) * 1024
    return sums["Private_Clean"] + sums["Private_Dirty"], sums["Rss"]


def wakeups_of(pid):
    """How often its threads have waited for something so far."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="latin-1") as file:
            total += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.M)[1])
    return total


def cpu_s_of(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- a place to measure in

class Place:
    """A fresh folder with a drop folder in it, a sink, and the tables. sink: answer, hold (never answers), down."""

    def __init__(self, bench, files, sink="answer"):
        self.bench, self.files = bench, files + WARM
        self.folder = bench.work / f"{time.monotonic_ns()}"
        self.drop = self.folder / "drop"
        self.drop.mkdir(parents=True)
        tables = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else self.folder
        stem = f"brickwatch-bench-{os.getpid()}-{self.folder.name}"
        self.written = Table(tables / f"{stem}-written", self.files)
        self.arrived = Table(tables / f"{stem}-arrived", self.files)
        self.written_n = 0
        self.sink = self.blocked = None
        if sink == "down":
            self.blocked = socket.socket()  # bound and not listening: refused, and nobody else's
            self.blocked.bind(("127.0.0.1", 0))
            self.port = self.blocked.getsockname()[1]
        else:
            self.start_sink(*(["hold"] if sink == "hold" else []))
        self.url = f"http://127.0.0.1:{self.port}"
        self.run_now = self.url + "/api/2.2/jobs/run-now"

    def start_sink(self, *options):
        self.sink = subprocess.Popen([self.bench.tool("sink"), self.arrived.path, *options], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.port = int(self.sink.stdout.readline().split()[1])

    def write(self, count, rate=0):
        """Starts the writer for the next files."""
        command = [self.bench.tool("writer"), self.drop, str(self.written_n), str(count), str(rate), self.written.path]
        self.written_n += count
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def write_all(self, count, rate=0):
        writer = self.write(count, rate)
        if writer.wait() != 0:
            raise Failed("the writer has failed")

    def wait_arrivals(self, count, limit_s, quiet_s=5):
        """Until so many files have arrived, or nothing comes any more, or the limit. Gives True if it is over."""
        deadline, seen, since = time.monotonic() + limit_s, -1, time.monotonic()
        while True:
            distinct, now = self.arrived.distinct(), time.monotonic()
            if distinct >= count or (distinct == seen and now - since > quiet_s):
                return True
            if now > deadline:
                return False
            if distinct != seen:
                seen, since = distinct, now
            time.sleep(0.02)

    def close(self):
        if self.sink:
            end_group(self.sink)
            self.sink.stdout.close()
        if self.blocked:
            self.blocked.close()
        self.written.close()
        self.arrived.close()
        # The files stay until all is measured: ext4 without a journal looks past every inode that was deleted within
        # the last minutes when it makes a new one, and the next writer would be slow for the sins of the last one.


# --- the sides

class Side:
    """Base: a command that prints "ready" (or the like) when it watches."""

    name = label = ""
    slow = 1  # gets so many times fewer files where only speed is measured
    waits_in_kernel = False  # what it has not sent waits in the kernel's queue, which is bounded, and not in its memory

    def __init__(self, bench, place):
        self.bench, self.place = bench, place
        self.process = None
        self.log = place.folder / f"{self.name}.log"

    @classmethod
    def why_not(cls):
        """Why it cannot be measured here, or None."""
        return None

    def command(self):
        raise NotImplementedError

    def is_ready(self):
        return b"ready" in self.log.read_bytes()

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(list(map(str, self.command())), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment(), start_new_session=True)
        if wait:
            wait_for(self._ready_or_ended, f"{self.name} to start (see {self.log})")

    def _ready_or_ended(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} has ended: {self.log.read_text(errors='replace')[-500:]}")
        return self.is_ready()

    def environment(self):
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

    def warm_up(self):
        """The first files open connections and load what is loaded late."""
        self.place.write_all(WARM, 50)
        if not self.place.wait_arrivals(WARM, 20) or self.place.arrived.distinct() < WARM:
            raise Failed(f"{self.name} does not send its first files: {self.log.read_text(errors='replace')[-500:]}")

    def pids(self):
        return group_of(self.process.pid)

    def signal_all(self, signo):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signo)

    def stop(self):
        if self.process:
            end_group(self.process)


class Brickwatch(Side):
    name, label = "brickwatch", "brickwatch"
    durability = "process"
    keys = ""  # further lines of the watch

    def __init__(self, bench, place):
        super().__init__(bench, place)
        self.ini = place.folder / "brickwatch.ini"
        self.state = place.folder / "state"
        self.events = place.folder / "log" / "events.jsonl"
        self.status = ""
        self.notify = None
        self.log_from = 0

    def write_configuration(self):
        p = self.place
        p.folder.joinpath("log").mkdir(exist_ok=True)
        p.folder.joinpath("run").mkdir(exist_ok=True)
        token = p.folder / "token"
        with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write("dapi0123456789abcdef")
        self.ini.write_text(f"""[service]
state_directory = {self.state}
runtime_directory = {p.folder}/run
durability = {self.durability}
[events]
file = {self.events}
[workspace]
host = {p.url}
token_file = {token}
rate = 1000000/s
burst = 1000000
max_requests = {self.bench.parallel}
[watch:bench]
directory = {p.drop}
job_id = 1
types = @csv
param.path = ${{uri}}
path_map = {p.drop} => /Volumes/bench
settle = 0
brake = off
{self.keys}""")

    def command(self):
        return [self.bench.program, "run", "-c", self.ini]

    def environment(self):
        return {**super().environment(), "NOTIFY_SOCKET": "@" + self.notify.getsockname()[1:].decode()}

    def start(self, wait=True):
        self.write_configuration()
        if not self.notify:
            self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.notify.bind(f"\0brickwatch-bench-{os.getpid()}-{self.place.folder.name}")
        self.log_from = self.events.stat().st_size if self.events.exists() else 0
        super().start(wait)

    def ready_events(self):
        """watch.ready lines since the last start."""
        if not self.events.exists():
            return []
        with open(self.events, "rb") as file:
            file.seek(self.log_from)
            return [json.loads(line) for line in file if b'"watch.ready"' in line and line.endswith(b"\n")]

    def is_ready(self):
        return bool(self.ready_events())

    def forget(self):
        """The next start is the first one."""
        shutil.rmtree(self.state)
        shutil.rmtree(self.events.parent)

    def waiting(self):
        """How many files wait, as it tells systemd."""
        with contextlib.suppress(BlockingIOError):
            while True:
                text = self.notify.recv(65536, socket.MSG_DONTWAIT).decode("utf-8", "replace")
                if "STATUS=" in text:
                    self.status = text
        match = re.search(r"waiting (\d+)", self.status)
        return int(match[1]) if match else 0

    def stop(self):
        if self.process:
            self.signal_all(signal.SIGCONT)  # a measurement may have failed while they were stopped
            end_group(self.process, signal.SIGTERM)
        if self.notify:
            self.notify.close()
            self.notify = None


class BrickwatchPolled(Brickwatch):
    """Not among ALL: only `scale` asks for it."""
    name, label = "polled", "brickwatch, polled"
    keys = "method = poll\npoll_interval = 1s\n"

    def watch_line(self):
        """What status says of its watch."""
        command = [self.bench.program, "status", "--json", "-c", self.ini]
        done = subprocess.run(command, capture_output=True, check=False)
        return next((r for r in map(json.loads, done.stdout.splitlines()) if r["kind"] == "watch"), {})


class BrickwatchPower(Brickwatch):
    name, label = "power", "brickwatch, power"
    durability = "power"


class Floor(Side):
    name, label = "floor", "floor"

    def command(self):
        return [self.bench.tool("floor"), self.place.drop, self.place.run_now, self.bench.parallel]


class Shell(Side):
    name, label = "shell", "inotifywait + curl"
    slow = 50
    waits_in_kernel = True

    @classmethod
    def why_not(cls):
        return None if shutil.which("inotifywait") and shutil.which("curl") else "no inotifywait or curl here"

    def command(self):
        return [HERE / "shell_loop.sh", self.place.drop, self.place.run_now]

    def is_ready(self):
        return b"established" in self.log.read_bytes()


class Watchdog(Side):
    name, label = "watchdog", "watchdog + requests"
    slow = 5

    @classmethod
    def why_not(cls):
        there = importlib.util.find_spec("watchdog") and importlib.util.find_spec("requests")
        return None if there else "no Python watchdog or requests here"

    def command(self):
        return [sys.executable, HERE / "watchdog_loop.py", self.place.drop, self.place.run_now,
                self.bench.parallel]


ALL = (Brickwatch, BrickwatchPower, Floor, Shell, Watchdog)


@contextlib.contextmanager
def kept_place(bench):
    """A place without a side."""
    place = Place(bench, 0)
    try:
        yield place
    finally:
        place.close()


@contextlib.contextmanager
def running(bench, kind, files, sink="answer", warm=True):
    """A side at work in a place of its own."""
    place = Place(bench, files, sink)
    side = kind(bench, place)
    try:
        side.start()
        if warm:
            side.warm_up()
        yield side, place
    finally:
        side.stop()
        place.close()


def fsync_s(folder, times=100):
    """Median seconds that a small write takes to be on the disk."""
    path, took = folder / "fsync", []
    with open(path, "wb") as file:
        for _ in range(times):
            begun = time.monotonic()
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            took.append(time.monotonic() - begun)
    path.unlink()
    return statistics.median(took)
