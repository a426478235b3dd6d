"""A Debian with systemd as PID 1, in a container: made fresh in a second, thrown away afterwards.

The base (BW_ROOT) is never written to: an overlay lies over it, whose upper side is memory. The container has a
network of its own with nothing but loopback. The stand-in of the Jobs API listens there, though it runs in the
process of the test: a socket belongs to the network it was made in.

The host need not be booted with systemd: systemd-nspawn gets a private /run, registers nothing, and uses the unified
hierarchy of control groups. Its own system call filter would refuse Landlock, seccomp and bpf to the services inside,
so they are named. Its control groups have fixed names, so one container runs at a time, on the whole host (LOCK).
"""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP / "tests" / "jobsapi"))

PACKAGES = Path(os.environ.get("BW_PACKAGES", TOP / "build" / "packages"))
ROOT = Path(os.environ.get("BW_ROOT", TOP / "build" / "machine" / "root"))
LOCK = "/run/lock/brickwatch-machine"
JOB = 418823550071934
CLONE_NEWNET = 0x40000000
TIMEOUT = 30
ALLOWED = "landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp bpf"
START = r"""
mount -t tmpfs -o mode=755 tmpfs /run
exec env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn -q -D "$0" --boot --register=no --keep-unit \
    --private-network --console=read-only --tmpfs=/srv:mode=755 --tmpfs=/home:mode=755 --system-call-filter="$1"
"""
libc = ctypes.CDLL(None, use_errno=True)


def the_package(pattern):
    found = sorted(PACKAGES.glob(pattern))
    assert len(found) == 1, f"{PACKAGES}/{pattern}: {found} (made by packaging/build-deb and build-rpm)"
    return found[0]


def wait_for(predicate, what, timeout=TIMEOUT):
    """Until predicate() is true; gives what it gave. what: a text, or a function that makes one."""
    end = time.monotonic() + timeout
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not seen in time: {what() if callable(what) else what}")
        time.sleep(0.02)


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


@contextlib.contextmanager
def layered(base):
    """A writable view of the folder base: {folder}, gone afterwards."""
    work = Path(tempfile.mkdtemp(prefix="bwm"))
    try:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", work)
        for name in ("upper", "work", "root"):
            (work / name).mkdir()
        layers = f"lowerdir={base},upperdir={work}/upper,workdir={work}/work"
        mount("-t", "overlay", "-o", layers, "overlay", work / "root")
        yield work / "root"
    finally:
        for point in (work / "root", work):
            subprocess.run(["umount", "-l", str(point)], check=False, stderr=subprocess.DEVNULL)
        work.rmdir()


@contextlib.contextmanager
def only_one():
    with open(LOCK, "w", encoding="ascii") as file:
        def taken():
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False
        wait_for(taken, "the machine that another check runs to end", 300)
        yield


class Machine:
    """with Machine() as m: a booted one."""

    def __init__(self, prepare=None):
        """prepare(root): called before it boots."""
        self.stack = contextlib.ExitStack()
        self.leader, self.prepare = None, prepare

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(only_one())
            self.root = stack.enter_context(layered(ROOT))
            (self.root / "etc" / "machine-id").write_text("")
            if self.prepare:
                self.prepare(self.root)
            stack.callback(self._clean_cgroups)
            self._boot(stack)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exc):
        self.stack.close()

    def _boot(self, stack):
        console = stack.enter_context(open(self.root.parent / "console", "wb"))
        # It lives as long as the machine, and is ended by _halt
        self.process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "bash", "-c", START, str(self.root), ALLOWED],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True)
        stack.callback(self._halt)
        self.leader = wait_for(self._find_leader, self.console)
        self.net = stack.enter_context(open(f"/proc/{self.leader}/ns/net", "rb"))
        wait_for(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() == "running",
                 lambda: f"a running system\n{self.console()}\n{self.run('systemctl', '--failed', check=False).stdout}")

    def console(self):
        return (self.root.parent / "console").read_text(errors="replace")[-4000:]

    def _find_leader(self):
        assert self.process.poll() is None, f"nspawn has ended\n{self.console()}"
        done = subprocess.run(["pgrep", "-P", str(self.process.pid), "-x", "systemd"], text=True, check=False,
                              stdout=subprocess.PIPE)
        return int(done.stdout.split()[0]) if done.stdout.strip() else None

    def _halt(self):
        if self.leader is not None:
            with contextlib.suppress(OSError):
                os.kill(self.leader, signal.SIGRTMIN + 3)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @staticmethod
    def _clean_cgroups():
        for top in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
            for name in ("payload", "supervisor"):
                for folder, _, _ in os.walk(f"{top}/{name}", topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(folder)

    # --- inside

    def run(self, *words, check=True, stdin=None, timeout=TIMEOUT):
        """A command inside, as root."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", "--", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
             "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *map(str, words)],
            text=True, input=stdin, stdin=None if stdin else subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=timeout, check=False)
        assert not check or done.returncode == 0, \
            f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.journal()}"
        return done

    def path(self, inside):
        """A file of the machine as seen from here, with its /srv and /run."""
        return Path(f"/proc/{self.leader}/root") / str(inside).lstrip("/")

    def write(self, inside, text, mode=0o644, owner=None):
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        if owner:
            self.run("chown", owner, inside)

    @contextlib.contextmanager
    def network(self):
        """Sockets that are made in here by this thread belong to the machine."""
        with open("/proc/thread-self/ns/net", "rb") as own:
            assert libc.setns(self.net.fileno(), CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert libc.setns(own.fileno(), CLONE_NEWNET) == 0

    def journal(self, unit="brickwatch.service"):
        return self.run("journalctl", "-q", "--no-pager", "-o", "cat", "-u", unit, check=False).stdout

    def journal_json(self, *matches):
        out = self.run("journalctl", "-q", "--no-pager", "-o", "json", *matches).stdout
        return [json.loads(line) for line in out.splitlines()]

    # --- the service

    def install(self, package, check=True):
        inside = self.path(f"/srv/{package.name}")
        inside.write_bytes(package.read_bytes())
        return self.run("dpkg", "--force-confdef", "-i", f"/srv/{package.name}", check=check, timeout=60)

    def show(self, name, unit="brickwatch.service"):
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def main_pid(self):
        """Of the service, as the machine counts."""
        return int(self.show("MainPID"))

    def children(self):
        """{name: [pid]} of the service's processes, as the machine counts."""
        found = {}
        listed = self.run("cat", "/sys/fs/cgroup/system.slice/brickwatch.service/cgroup.procs", check=False).stdout
        for pid in listed.split():
            with contextlib.suppress(OSError):
                words = self.path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                found.setdefault(os.path.basename(words[0]).decode(), []).append(int(pid))
        return found

    def kill(self, signo, *pids):
        self.run("sh", "-c", f"kill -{int(signo)} {' '.join(map(str, pids))}")

    def status_of(self, pid):
        """{field: value} of /proc/PID/status."""
        lines = self.run("cat", f"/proc/{pid}/status").stdout.splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    def events(self):
        path = self.path("/var/log/brickwatch/events.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
