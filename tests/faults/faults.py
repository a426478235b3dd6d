"""What the fault tests share: files that arrive in three ways, a service manager's part, the preloaded object, and the
look at everything afterwards.

BW_LONG=1 in the environment makes the long forms (CONTRIBUTING.md).
"""

import contextlib
import errno
import gzip
import mmap
import os
import re
import signal
import struct
import subprocess
from pathlib import Path

import pytest

import harness
from harness import put, text, wait_for

LONG = os.environ.get("BW_LONG", "") not in ("", "0")
WAYS = ("close", "rename", "link")
ROTATED = re.compile(r"events\.jsonl\.(\d{8}T\d{6}Z)(?:-(\d+))?(\.gz)?")


# --- files ------------------------------------------------------------------------------------------------------------

def arrive(service, name, data=None, way="close"):
    """A file of this name comes into the drop folder: written in place, renamed in from outside, or written under a
    hidden name and then linked and unlinked, as SFTP servers do. Gives its path."""
    path = service.drop / name
    data = text(name) if data is None else data
    if way == "close":
        put(path, data)
    elif way == "rename":
        put(service.outside / name, data)
        os.rename(service.outside / name, path)
    else:
        put(service.drop / f".{name}", data)
        os.link(service.drop / f".{name}", path)
        os.unlink(service.drop / f".{name}")
    return str(path)


def arrive_all(service, prefix, count):
    """So many files, each next one in another way. Gives {path: [its content]}, as check_runs wants it."""
    names = [f"{prefix}-{n}-{WAYS[n % len(WAYS)]}.csv" for n in range(count)]
    return {arrive(service, name, way=WAYS[n % len(WAYS)]): [text(name)] for n, name in enumerate(names)}


# --- what systemd does ------------------------------------------------------------------------------------------------

def tend(service):
    """Starts the service again when its main process was killed. Gives True, so that it fits into a condition."""
    process = service.process
    if process is not None and process.poll() is not None:
        assert process.returncode == -signal.SIGKILL, f"it has ended with {process.returncode}:\n{service.err()}"
        service.wait_gone()
        service.start(wait=False)
    return True


def wait_tending(service, predicate, what, timeout=None):
    """wait_for, with the service started again whenever its main process was killed."""
    return wait_for(lambda: tend(service) and predicate(), what, timeout)


def wait_all(service, expected, timeout=None):
    """Until each of these has its run.started in the log."""
    def left():
        return expected.keys() - {e["path"] for e in service.events("run.started")}
    wait_tending(service, lambda: not left(), lambda: f"run.started of {sorted(left())[:20]}\n{service.err()[-4000:]}",
                 timeout)


def kill_hard(service, name):
    """SIGKILL to every process of this name that is there now. Gives how many."""
    pids = [service.process.pid] if name == "keeper" else service.pids(name)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if name == "keeper":
        service.process.wait()
    return len(pids)


# --- afterwards -------------------------------------------------------------------------------------------------------

def log_files(service):
    """Rotated files, oldest first, then the log. Where a crash left a plain and a compressed one, the plain counts."""
    found = {}
    for path in service.log.parent.iterdir():
        match = ROTATED.fullmatch(path.name)
        if match and not (match[3] and path.with_suffix("") in found.values()):
            found[match[1], int(match[2] or 0), bool(match[3])] = path
    kept = {key: path for key, path in found.items() if not (key[2] and (key[0], key[1], False) in found)}
    return [path for _, path in sorted(kept.items())] + [service.log] * service.log.exists()


def logged(service, *, running=False):
    """All events of all files, read from the disk. No line is torn; while the service is running, the last one of all
    may be."""
    events = []
    for path in log_files(service):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if not running or path != service.log:
            assert not data or data.endswith(b"\n"), f"{path} ends in a torn line: {data[-200:]!r}"
        events += harness.parse_lines(data, path)
    return events


class Reader:
    """Takes the place of the harness's Follower where the log is rotated faster than anybody could follow it."""

    def __init__(self, service):
        self.service, self.events = service, []
        service.follower = self

    def read(self):
        for _ in range(100):
            with contextlib.suppress(FileNotFoundError):  # one was compressed or renamed in this moment
                self.events = logged(self.service, running=True)
                return self.events
        raise AssertionError("the log files do not hold still")

    def close(self):
        pass


def end(service):
    """Ends the service after one more start, which lists everything and finds it known."""
    tend(service)
    service.barrier()
    service.stop()
    service.start()
    service.barrier()
    service.stop()


def check_all(service, expected):
    """The promise: one run for each file version, and each run in the log, at least once and with one id; nothing was
    turned away or given up. The service has ended."""
    service.check_runs(expected)
    started = [e for e in logged(service) if e["type"] == "run.started"]
    ids = {}
    for event in started:
        ids.setdefault(event["run_id"], set()).add(event["id"])
    runs = {run.run_id for run in service.api.runs}
    assert set(ids) == runs, f"runs without a line: {runs - set(ids)}; lines without a run: {set(ids) - runs}"
    assert all(len(some) == 1 for some in ids.values()), f"one run has several ids: {ids}"
    wrong = [e for e in logged(service) if e["type"] in ("start.failed", "file.rejected", "file.vanished")]
    assert wrong == []


# --- the preloaded object ---------------------------------------------------------------------------------------------

KINDS = ("open", "read", "write", "sync", "rename", "watch", "send", "receive", "socket", "connect")
SHORT = -1
ERRORS = {
    "open": (errno.EMFILE, errno.EACCES, errno.EIO, errno.ENOSPC),
    "read": (errno.EIO, errno.EINTR, SHORT),
    "write": (errno.ENOSPC, errno.EIO, errno.EINTR, SHORT),
    "sync": (errno.EIO, errno.ENOSPC),
    "rename": (errno.EACCES, errno.ENOSPC, errno.EIO),
    "watch": (errno.ENOSPC, errno.ENOMEM, errno.EACCES),
    "send": (errno.EAGAIN, errno.ENOBUFS, errno.ECONNRESET, errno.EINTR),
    "receive": (errno.EAGAIN, errno.EINTR, errno.ECONNRESET),
    "socket": (errno.EMFILE, errno.ENOBUFS),
    "connect": (errno.ECONNREFUSED, errno.ENETUNREACH, errno.ETIMEDOUT),
}
PROCESSES = ("brickwatch", "bw-dispatch", "bw-watch", "bw-sniff")
_STATE = struct.Struct(f"=qqq32siiqq{len(PROCESSES) * len(KINDS)}q")
_CLOCK = struct.Struct("=qqq")
_NUMBER = struct.Struct("=q")


def find_object():
    """The shared object that the build made beside the program; skips the test where there is none."""
    beside = Path(harness.find_program()).parent
    for place in (Path(os.environ.get("BW_BUILD", beside)), beside):
        if (place / "tests" / "faults" / "preload.so").is_file():
            return (place / "tests" / "faults" / "preload.so").resolve()
    return pytest.skip("no tests/faults/preload.so (make check TESTS= builds it)")


def sanitizer_of(program):
    """The path of ASan's library when the program was built with it: it must come first."""
    needed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, check=True).stdout.decode()
    match = re.search(r"libasan\S* => (\S+)", needed)
    return match[1] if match else None


class Preload:
    """One link to the object in a folder, with its state beside it. A service gets `environment`."""

    def __init__(self, folder, program=None, trace=False):
        self.object = Path(folder) / "preload.so"
        self.object.symlink_to(find_object())
        self.trace_path = Path(f"{self.object}.trace")
        if trace:
            self.trace_path.touch()
        state = Path(f"{self.object}.state")
        state.write_bytes(bytes(_STATE.size))
        with open(state, "r+b") as file:
            self.state = mmap.mmap(file.fileno(), _STATE.size)
        first = sanitizer_of(program or harness.find_program())
        self.environment = {"LD_PRELOAD": ":".join(filter(None, [first, str(self.object)]))}

    def fail(self, process, kind, nth, code):
        """The nth call of this kind in a process of this name fails with code, once. For processes that start now."""
        self.state[_CLOCK.size:] = _STATE.pack(0, 0, 0, process.encode(), KINDS.index(kind), code, nth, 0,
                                               *[0] * len(PROCESSES) * len(KINDS))[_CLOCK.size:]

    @property
    def fired(self):
        return _STATE.unpack(self.state[:])[7] != 0

    @property
    def calls(self):
        """{process: {kind: how many calls the process of this name that made the most has made}}."""
        counts = iter(_STATE.unpack(self.state[:])[8:])
        return {process: {kind: next(counts) for kind in KINDS} for process in PROCESSES}

    def step_clock(self, seconds):
        """The wall clock of all processes is this far from the true one from now on."""
        _NUMBER.pack_into(self.state, 0, seconds)

    def sleep_fast(self, grace_s):
        """The dispatcher no longer sleeps: its clocks go on instead when nothing comes within grace_s. 0: as usual."""
        _NUMBER.pack_into(self.state, 8, int(grace_s * 1000000))

    @property
    def skipped_s(self):
        """How long the dispatcher has lived without sleeping."""
        return _NUMBER.unpack_from(self.state, 16)[0] / 1000000

    def trace(self):
        """[(process, call, what)] so far."""
        return [tuple(line.split(" ", 2)) for line in self.trace_path.read_text(errors="replace").splitlines()]
