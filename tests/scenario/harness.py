"""What the scenarios are made of: the real program as a child process, its folders, its stand-in of the Jobs API.

A Service owns one folder with everything in it: configuration, token, state, event log, and one drop folder for each
watch. start() starts `brickwatch run` in a process group of its own; stop() ends it with SIGTERM and looks at the exit
status; clean_up() kills what is left, each by its number.

Waiting is always for a condition, with a deadline (wait_for). Nothing here sleeps in order to let something happen.

Every run that the stand-in makes is noted in the moment it is made (Seen): which file it is for, and what that file
held then. So "never before the last byte" is checked by comparing that with the final content.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "jobsapi"))

from jobsapi import JobsApi  # noqa: E402

import schemas  # noqa: E402

JOB = 418823550071934
REMOTE = "/Volumes/main/landing"
TIMEOUT = float(os.environ.get("BW_SCENARIO_TIMEOUT", "30"))
POLL_S, POLL_MAX_S = 0.005, 0.05
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|ThreadSanitizer|runtime error:|"
                       r"==\d+==ERROR|BUG: ")
ORDINARY = 65534
# The kind of task that gets what a watch of this job_type sends.
TASKS = {"job": "notebook_task", "notebook": "notebook_task", "jar": "spark_jar_task", "python": "spark_python_task",
         "wheel": "python_wheel_task", "spark_submit": "spark_submit_task", "sql": "sql_task"}
libc = ctypes.CDLL(None, use_errno=True)


def find_program():
    """BRICKWATCH, else what a build left in the usual places."""
    given = os.environ.get("BRICKWATCH")
    places = [Path(given)] if given else [TOP / "build" / "normal" / "brickwatch", TOP / "brickwatch"]
    for place in places:
        if place.is_file() and os.access(place, os.X_OK):
            return str(place.resolve())
    raise RuntimeError(f"no program to test: {', '.join(map(str, places))} (build it, or set BRICKWATCH)")


def wait_for(predicate, what, timeout=None):
    """Until predicate() is true; gives what it gave. what: a text, or a function that makes one, for the failure."""
    began = time.monotonic()
    while True:
        waited = time.monotonic() - began
        result = predicate()
        if result:
            return result
        if waited > (TIMEOUT if timeout is None else timeout):
            raise AssertionError(f"not seen in time: {what() if callable(what) else what}")
        time.sleep(min(max(POLL_S, waited / 20), POLL_MAX_S))  # looking costs the program's time


# --- where to work ----------------------------------------------------------------------------------------------------

def tells_open_writers(folder):
    """Does a read lease say here whether a writer has a file open? (Not on overlayfs, FUSE and network mounts.)"""
    name = os.path.join(folder, "lease-probe")
    writer = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600)
    reader = os.open(name, os.O_RDONLY)
    try:
        try:
            fcntl.fcntl(reader, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            return False
        except BlockingIOError:
            pass
        os.close(writer)
        writer = -1
        fcntl.fcntl(reader, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        return True
    except OSError:
        return False
    finally:
        if writer >= 0:
            os.close(writer)
        os.close(reader)
        os.unlink(name)


def file_system_of(path):
    """Type of the mount that path is on, as /proc/self/mountinfo calls it."""
    best, kind = "", ""
    path = os.path.realpath(path)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            point = fields.split(" ")[4].encode().decode("unicode_escape")
            if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
                best, kind = point, rest.split(" ")[0]
    return kind


def make_folder():
    """A new folder, open to all (some services run as another user), on a file system that tells the truth."""
    for base in (os.environ.get("BW_SCENARIO_DIR"), tempfile.gettempdir(), "/dev/shm", "/var/tmp"):
        if not base or not os.path.isdir(base):
            continue
        folder = tempfile.mkdtemp(prefix="bw", dir=base)
        if not file_system_of(folder).startswith(("overlay", "fuse", "nfs", "9p")) and tells_open_writers(folder):
            os.chmod(folder, 0o755)
            return Path(folder)
        os.rmdir(folder)
    raise RuntimeError("no folder on a file system with leases (ext4, xfs, tmpfs …); set BW_SCENARIO_DIR")


# --- files ------------------------------------------------------------------------------------------------------------

def text(label, lines=1):
    """Content that is a CSV file, and differs for each label."""
    return b"id,what\n" + b"".join(f"{n},{label}\n".encode() for n in range(lines))


def put(path, data):
    """Written in place and closed, as by cp."""
    with open(path, "wb") as file:
        file.write(data)


def put_by_rename(path, data, outside):
    """Written elsewhere on the same file system, then renamed in."""
    temporary = os.path.join(outside, f"put-{threading.get_ident()}-{time.monotonic_ns()}")
    put(temporary, data)
    os.rename(temporary, path)


def read_regular(path):
    """What the file holds; None when there is none, or something that would block."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(fd).st_mode) else None


def rename_flags(source, target, flags):
    """renameat2(2) in the working folder."""
    if libc.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


# --- processes --------------------------------------------------------------------------------------------------------

def processes_of_group(group):
    """{pid: argv} of the processes in this process group, zombies left out."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b") ")[2].split()
            if int(fields[2]) == group and fields[0] not in (b"Z", b"X"):
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    found[int(name)] = [os.fsdecode(a) for a in file.read().split(b"\0")[:-1]]
    return found


class Output:
    """Collects what a process writes into a pipe, by a thread that ends with the last writer."""

    def __init__(self, stream):
        self.stream, self.data, self.lock = stream, bytearray(), threading.Lock()
        os.set_blocking(stream.fileno(), False)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _take(self):
        """All that is in the pipe. Gives whether more can come."""
        with self.lock:
            while not self.stream.closed:
                try:
                    piece = os.read(self.stream.fileno(), 65536)
                except BlockingIOError:
                    return True
                if not piece:
                    break
                self.data += piece
        return False

    def _read(self):
        ready = select.poll()
        ready.register(self.stream.fileno(), select.POLLIN)
        while self._take():
            ready.poll()
        with self.lock:
            self.stream.close()

    def text(self):
        """So far. What was written before something that the test has seen is in it."""
        self._take()
        return bytes(self.data).decode("utf-8", "replace")

    def finish(self, timeout=10):
        self.thread.join(timeout)
        return self.text()


class Systemd:
    """Its end of sd_notify(3)."""

    def __init__(self, folder):
        self.address, self.told = str(folder / "notify"), []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)

    def take(self, timeout):
        """One message, or none in that time."""
        self.socket.settimeout(timeout)
        with contextlib.suppress(TimeoutError):
            self.told.append(self.socket.recv(4096).decode())
            return self.told[-1]
        return None

    def close(self):
        self.socket.close()

    def wait(self, text):
        """For a message with that text."""
        while text not in (self.take(TIMEOUT) or pytest.fail(f"not told: {text}; {self.told}")):
            pass


class Done:
    """How a verb ended."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"exit status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


# --- the event log ----------------------------------------------------------------------------------------------------

def parse_lines(data, origin):
    """The JSON objects of whole lines."""
    events = []
    for line in data.split(b"\n")[:-1]:
        try:
            event = json.loads(line.decode("utf-8"))
        except ValueError as problem:
            raise AssertionError(f"{origin}: a line is not JSON: {problem}: {line[:300]!r}") from None
        assert list(event)[:5] == ["time", "type", "id", "host", "watch"], f"{origin}: {line[:300]!r}"
        events.append(event)
    return events


class Follower:
    """Reads a growing log from its beginning, over rotations, as a shipper does: the open file until it has been
    replaced and is at its end, then the new one. Several threads may ask."""

    def __init__(self, path):
        self.path, self.file, self.rest = str(path), None, b""
        self.events, self.lock = [], threading.Lock()

    def _take(self):
        data = self.rest + self.file.read()
        whole, feed, self.rest = data.rpartition(b"\n")
        if feed:
            self.events += parse_lines(whole + feed, self.path)

    def _open(self):
        """Whether there is a regular file now."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return False
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return False
        self.file = open(fd, "rb")
        return True

    def read(self):
        """All events so far."""
        with self.lock:
            self._read()
            return list(self.events)

    def _read(self):
        while self.file is not None or self._open():
            try:
                named = os.stat(self.path)
            except FileNotFoundError:
                named = None
            self._take()
            own = os.fstat(self.file.fileno())
            if named is None or (named.st_dev, named.st_ino) == (own.st_dev, own.st_ino):
                return
            self._take()
            assert not self.rest, f"a rotated file ends in a torn line: {self.rest[:200]!r}"
            self.file.close()
            self.file = None

    def close(self):
        if self.file is not None:
            self.file.close()


# --- the service ------------------------------------------------------------------------------------------------------

class Seen:
    """A run in the moment the stand-in made it."""

    def __init__(self, run, path, content, at):
        self.run, self.path, self.content, self.at = run, path, content, at

    def __repr__(self):
        content = None if self.content is None else f"{len(self.content)} bytes {digest(self.content)}"
        return f"<run {self.run.run_id} of {self.path!r}: {content}>"


class Service:
    """One configuration with its folders, and the program that runs on it.

    folder      where everything lies; made by make_folder()
    watches     {name: {key: value}}; a value may be a list, for a key that is repeated. Each watch has its folder
                `folder/NAME` (self.drop is the first one's), mapped to REMOTE/NAME, and job JOB with its path
                as parameter "path", unless its keys say otherwise
    service, events, workspace      {key: value} of these sections; a value None leaves the key out
    workspaces  {name: {key: value}}: instead of the one without a name; the keys of `workspace` are in all of them
    user        the uid the program runs as (through setpriv); 0: as we are
    lease       with user: whether it gets CAP_LEASE
    prefix      words in front of the program: what starts it
    **keys      for the first watch
    """

    def __init__(self, folder, *, watches=None, service=None, events=None, workspace=None, workspaces=None, user=0,
                 lease=True, prefix=(), api=None, environment=None, **keys):
        if user and os.geteuid() != 0:
            pytest.skip("needs root to become somebody else")
        self.program = find_program()
        self.folder = Path(folder)
        self.user, self.lease, self.prefix = user, lease, list(prefix)
        self.environment = environment or {}
        self.watches = {name: dict(own) for name, own in (watches or {"drop": {}}).items()}
        next(iter(self.watches.values())).update(keys)
        self.log = self.folder / "log" / "events.jsonl"
        self.state = self.folder / "state"
        self.ini = self.folder / "etc" / "brickwatch.ini"
        self.token_file = self.folder / "etc" / "token"
        self.outside = self.folder / "outside"
        self.drop = self.folder / next(iter(self.watches))
        self.api = api if api is not None else JobsApi({JOB: ["path"]})
        self.api.on_run = self._note_run
        self.seen = []
        self.backing = {}  # {mount point: folder}: what is read there instead, past all caches
        self.sections = {"service": {"state_directory": self.state, "runtime_directory": self.folder / "run",
                                     "durability": "process", **(service or {})},
                         "events": {"file": self.log, "min_age": "0", **(events or {})},
                         "workspace": {"rate": "1000000/s", "burst": "1000000", **(workspace or {})}}
        self.workspaces = workspaces
        self.process, self.group, self.outputs, self.started = None, None, [], 0
        self.spawned = []
        self.follower = Follower(self.log)
        self._make_folders()
        self.api.start()
        self.write_configuration()

    # --- before the start

    def _make_folders(self):
        for path in (self.state, self.log.parent, self.folder / "run", self.ini.parent, self.outside,
                     *(self.folder / name for name in self.watches)):
            path.mkdir(exist_ok=True)
        self.token_file.touch(0o600)
        self.token_file.write_text(self.api.token + "\n")
        if self.user:
            for path in (self.state, self.log.parent, self.folder / "run", self.token_file):
                os.chown(path, self.user, self.user)

    def configuration(self):
        """The text of the configuration."""
        sections = {name: dict(keys) for name, keys in self.sections.items()}
        if "workspace" in sections:
            common = {"host": self.api.url, "token_file": self.token_file, **sections.pop("workspace")}
            for name, own in ({"": {}} if self.workspaces is None else self.workspaces).items():
                sections[f"workspace:{name}" if name else "workspace"] = {**common, **own}
        for name, own in self.watches.items():
            keys = {"directory": self.folder / name, "job_id": JOB, "settle": "0",
                    "path_map": f"{self.folder / name} => {REMOTE}/{name}", **own}
            sections[f"watch:{name}"] = keys
        lines = []
        for name, keys in sections.items():
            lines.append(f"[{name}]")
            for key, value in keys.items():
                for one in value if isinstance(value, list) else [value]:
                    if one is not None:
                        lines.append(f"{key} = {one}")
        return "\n".join(lines) + "\n"

    def set_workspaces(self, **apis):
        """Several workspaces instead of the one: name -> its stand-in, or its address."""
        common = self.sections.pop("workspace")
        for name, api in apis.items():
            self.sections[f"workspace:{name}"] = {"host": getattr(api, "url", api), "token_file": self.token_file,
                                                  **common}
        self.write_configuration()

    def write_configuration(self):
        self.ini.write_text(self.configuration())

    def path_of(self, uri):
        """The local path that path_map made this remote one of."""
        if not uri.startswith(REMOTE + "/"):
            return uri
        return str(self.folder) + uri[len(REMOTE):]

    def true_path(self, path):
        for point, folder in self.backing.items():
            if path.startswith(f"{point}/"):
                return str(folder) + path[len(str(point)):]
        return path

    def _note_run(self, run):
        """Called by the stand-in, under its lock."""
        parameters = run.parameters
        uri = parameters.get("path", "") if isinstance(parameters, dict) else (parameters or [""])[0]
        path = self.path_of(uri)
        content = read_regular(self.true_path(path))
        self.seen.append(Seen(run, path, content, time.monotonic()))

    # --- processes

    def _command(self, *arguments):
        command = [*self.prefix, self.program, *map(str, arguments)]
        if not self.user:
            return command
        drop = ["setpriv", "--reuid", str(self.user), "--regid", str(self.user), "--clear-groups"]
        if self.lease:
            drop += ["--inh-caps", "+lease", "--ambient-caps", "+lease"]
        return [*drop, "--", *command]

    def _environment(self):
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")}
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **kept, **self.environment}

    def verb(self, *arguments, timeout=None, configured=True):
        """Runs a verb to its end."""
        words = [arguments[0], *(["-c", self.ini] if configured else []), *arguments[1:]]
        done = subprocess.run(self._command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=self._environment(), check=False,
                              timeout=TIMEOUT if timeout is None else timeout)
        out, err = (stream.decode("utf-8", "surrogateescape") for stream in (done.stdout, done.stderr))
        assert not SANITIZER.search(err), err
        return Done(done.returncode, out, err)

    def spawn(self, *arguments):
        """Starts a verb in a process group of its own; its stdout and stderr come as outputs[-2:]."""
        process = subprocess.Popen(self._command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self._environment(), start_new_session=True)
        self.outputs += [Output(process.stdout), Output(process.stderr)]
        self.spawned.append(process)
        return process

    def start(self, wait=True, *options):
        """Starts `brickwatch run`; with wait, until every watch has listed its folder."""
        before = len(self.events("watch.ready"))
        self.process = self.spawn("run", "-c", self.ini, *options)
        self.group = self.process.pid
        self.started += 1
        if wait:
            self.wait_ready(before + len(self.watches))
        return self

    def wait_ready(self, count):
        def ready():
            assert self.process.poll() is None, f"the service has ended with {self.process.returncode}:\n{self.err()}"
            return len(self.events("watch.ready")) >= count
        wait_for(ready, lambda: f"{count} watch.ready\n{self.err()}")

    def stop(self, status=0, timeout=20):
        """Ends it as systemd does, and looks at how it ended."""
        assert self.process is not None, "it does not run"
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
        self.wait_end(status, timeout)

    def wait_end(self, status=0, timeout=None):
        """Until the program has ended by itself, and all its processes with it."""
        try:
            found = self.process.wait(TIMEOUT if timeout is None else timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end:\n{self.err()}") from None
        self.wait_gone()
        assert found == status, f"exit status {found}, not {status}:\n{self.err()}"
        self.process = None

    def wait_gone(self):
        wait_for(lambda: not processes_of_group(self.group),
                 lambda: f"processes are left: {processes_of_group(self.group)}")
        self.group = None

    def kill_keeper(self):
        """SIGKILL to the main process; its children have to end by themselves."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.wait_gone()
        self.process = None

    def pids(self, name, watch=None):
        """Of bw-dispatch, bw-watch, bw-sniff."""
        found = []
        for pid, argv in processes_of_group(self.group).items():
            if argv and argv[0] == name and (watch is None or watch in argv[1:]):
                found.append(pid)
        return found

    def pid(self, name, watch=None):
        """The one process of this name, as soon as there is one."""
        if name == "keeper":
            return self.process.pid
        return wait_for(lambda: self.pids(name, watch), f"a process {name}")[0]

    def kill(self, name, watch=None, signo=signal.SIGKILL):
        """Gives the pid that was signalled."""
        pid = self.pid(name, watch)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signo)
        return pid

    def clean_up(self):
        """Nothing of it runs any more afterwards."""
        groups = [process.pid for process in self.spawned if process.poll() is None]
        if self.group is not None and self.group not in groups:
            groups.append(self.group)  # the main process may be gone and its children not
        for pid in [pid for group in groups for pid in processes_of_group(group)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.spawned:
            process.wait()
        self.follower.close()
        self.api.stop()

    def err(self):
        """All that was written to stderr, by all processes and all starts."""
        return "".join(output.text() for output in self.outputs)

    # --- what it did

    def events(self, kind=None, **fields):
        """Events so far, those of one type and with these values."""
        return [e for e in self.follower.read() if (kind is None or e["type"] == kind)
                and all(e.get(k) == v for k, v in fields.items())]

    def wait_event(self, kind, count=1, timeout=None, **fields):
        """Until there are count such events; gives them all."""
        def enough():
            found = self.events(kind, **fields)
            return found if len(found) >= count else None
        return wait_for(enough, lambda: f"{count} events {kind} {fields}; there are "
                        f"{Counter(e['type'] for e in self.events())}\n{self.err()[-3000:]}", timeout)

    def runs_of(self, path):
        """Runs of this file so far."""
        path = str(path)
        with self.api.lock:
            return [s for s in self.seen if s.path == path]

    def wait_run(self, path, count=1, timeout=None):
        """Until this file has count runs; gives them."""
        def enough():
            found = self.runs_of(path)
            return found if len(found) >= count else None
        return wait_for(enough, lambda: f"{count} runs of {path}; there are {self.runs_of(path)}\n"
                        f"{[e for e in self.events() if e.get('path') == str(path)]}\n{self.err()[-3000:]}", timeout)

    def wait_runs(self, count, timeout=None):
        """Until the stand-in has made so many runs."""
        return wait_for(lambda: len(self.api.runs) >= count,
                        lambda: f"{count} runs; there are {len(self.api.runs)}\n{self.err()[-3000:]}", timeout)

    def put(self, name, data=None):
        """Writes a file into the drop folder; gives its path."""
        path = os.path.join(os.fsencode(self.drop), os.fsencode(name))
        put(path, text(name) if data is None else data)
        return os.fsdecode(path)

    def barrier(self, thorough=False, folder=None):
        """A file of its own and its run: what was due before has been decided then. thorough: another one is linked in,
        which takes the longest way there is, so that what had no sign of a close has been decided, too."""
        name = os.path.join(self.drop if folder is None else folder, f"barrier-{time.monotonic_ns()}")
        if thorough:
            put(self.outside / os.path.basename(name), text("barrier"))
            os.link(self.outside / os.path.basename(name), f"{name}-l.csv")
            self.wait_run(f"{name}-l.csv")
        put(f"{name}-w.csv", text("barrier"))
        self.wait_run(f"{name}-w.csv")

    def wait_listings(self, count=2):
        """Until the safety listing (rescan = …) has come so often: only a listing can show what is written through a
        hard link from outside."""
        source, linked = self.outside / f"l-{time.monotonic_ns()}", self.drop / f"barrier-{time.monotonic_ns()}.csv"
        put(source, text("listing"))
        os.link(source, linked)
        for n in range(count + 1):
            self.wait_run(linked, n + 1)
            with open(source, "ab") as file:
                file.write(b"7,more\n")

    def check_runs(self, expected, *, barriers=True):
        """Exactly these runs: {path: number}, or {path: [content at each run]}. Barriers are left out."""
        with self.api.lock:
            seen = [s for s in self.seen if not (barriers and os.path.basename(s.path).startswith("barrier-"))]
        counts = Counter(s.path for s in seen)
        wanted = {str(p): n if isinstance(n, int) else len(n) for p, n in expected.items()}
        wrong = {p: (counts.get(p, 0), wanted.get(p, 0)) for p in {*counts, *wanted}
                 if counts.get(p, 0) != wanted.get(p, 0)}
        assert not wrong, f"runs (found, expected): {wrong}"
        held = {}
        for one in seen:
            held.setdefault(one.path, []).append(one.content)
        for path, contents in expected.items():
            if isinstance(contents, int):
                continue
            found = held.get(str(path), [])
            assert found == list(contents), f"{path}: at its runs the file held {[describe(c) for c in found]}, " \
                f"not {[describe(c) for c in contents]}"

    def check_started(self, *, repeated=False):
        """One run.started line for each run, with everything right in it. repeated: lines with the same id may come
        again (the dispatcher was killed)."""
        def complete():
            return {e["run_id"] for e in self.events("run.started")} >= {r.run_id for r in self.api.runs}
        wait_for(complete, lambda: f"a run.started for each of {len(self.api.runs)} runs")
        started = self.events("run.started")
        if not repeated:
            many = [i for i, n in Counter(e["id"] for e in started).items() if n > 1]
            assert not many, f"run.started written more than once: {[e for e in started if e['id'] in many]}"
        by_run = {}
        for event in started:
            by_run.setdefault(event["run_id"], set()).add(event["id"])
        assert set(by_run) == {r.run_id for r in self.api.runs}
        assert all(len(ids) == 1 for ids in by_run.values()), "one run has several ids"
        with self.api.lock:
            seen = {s.run.run_id: s for s in self.seen}
        for event in started:
            check_started_event(event, seen[event["run_id"]])

    def check_manners(self):
        """What must hold in every scenario."""
        assert self.api.bad_http == []
        findings = [(r, r.findings) for r in self.api.requests if r.findings]
        assert findings == []
        assert not SANITIZER.search(self.err()), self.err()
        assert self.api.token not in self.err()
        schemas.check(self.follower.events)


def describe(content):
    return None if content is None else f"{len(content)} bytes {content[:40]!r}"


def check_started_event(event, seen):
    """The fields that interface.md promises, and that they are about this run."""
    assert event["token"] == seen.run.token and len(event["token"]) == 64
    assert event["job_id"] == seen.run.job_id
    assert event["app_id"] == str(seen.run.run_id)
    assert event["header"]["sdc.event.type"] == "AppSubmittedEvent"
    assert event["path"] == seen.path
    if isinstance(seen.run.parameters, dict) and "path" in seen.run.parameters:
        assert event["uri"] == seen.run.parameters["path"]
    assert event["size"] >= 0 and event["attempts"] >= 1


def remove(folder):
    """The folder with all in it, also what a test has made immutable by mode."""
    shutil.rmtree(folder, ignore_errors=True)
