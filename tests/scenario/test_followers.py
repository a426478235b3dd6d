"""Followers by name, for real: tail -F, rsyslog and `brickwatch events -f` over many rotations under load. They lose
and double nothing, and agree with the ledger (doc/event-log.md, "Followers")."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from harness import ORDINARY, Output, wait_for
from test_event_storage import blocks
from test_eventlog import all_lines, rotated

RSYSLOGD = shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class Followers:
    """They run until the test ends; each is ended by its number."""

    def __init__(self, s):
        self.s, self.processes, self.outputs = s, {}, {}
        s.log.touch(0o640)
        if s.user:
            os.chown(s.log, s.user, s.user)

    def tail(self, name="tail"):
        self.processes[name] = subprocess.Popen(["tail", "-n", "+1", "-F", self.s.log], stdout=subprocess.PIPE,
                                                stderr=subprocess.DEVNULL)
        output = Output(self.processes[name].stdout)
        self.outputs[name] = output.text
        wait_for(lambda: self.watches(name), "tail looks at the folder")

    def watches(self, name):
        """Has it an inotify instance with watches?"""
        pid = self.processes[name].pid
        for fd in os.listdir(f"/proc/{pid}/fdinfo"):
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
                if file.read().count("inotify wd:") >= 2:
                    return True
        return False

    def rsyslog(self, name="rsyslog", mode="inotify"):
        """As doc/event-storage.md has it, as an ordinary user where we are root, with folders of its own."""
        if RSYSLOGD is None:
            pytest.skip("no rsyslogd here")
        folder = self.s.folder / name
        work, out, config = folder / "work", folder / "out", folder / "rsyslog.conf"
        work.mkdir(parents=True)
        out.touch()
        (text,) = blocks("rsyslog", "Shippers")
        for theirs, ours in (("/var/spool/rsyslog", work), ("/var/log/brickwatch/events.jsonl", self.s.log),
                             ("/var/log/central/brickwatch.jsonl", out),
                             ('mode="inotify"', f'mode="{mode}" pollingInterval="1"')):
            assert theirs in text
            text = text.replace(theirs, str(ours))
        config.write_text(text)
        command = [RSYSLOGD, "-n", "-f", config, "-i", folder / "pid"]
        if os.geteuid() == 0:
            for path in (folder, work, out):
                os.chown(path, ORDINARY, ORDINARY)
            os.chown(self.s.log.parent, -1, ORDINARY)
            self.s.log.parent.chmod(0o2750)  # new files have the folder's group
            os.chown(self.s.log, -1, ORDINARY)
            command = ["setpriv", "--reuid", str(ORDINARY), "--regid", str(ORDINARY), "--clear-groups", "--", *command]
        self.processes[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                                stderr=subprocess.DEVNULL)
        self.outputs[name] = lambda: out.read_text("utf-8")
        wait_for((folder / "pid").exists, "rsyslogd has started")

    def brickwatch(self, name="brickwatch"):
        self.processes[name] = self.s.spawn("events", "-c", self.s.ini, "-f", "--json")
        self.outputs[name] = self.s.outputs[-2].text

    def wait(self, text):
        for name, shown in self.outputs.items():
            wait_for(lambda: text in shown(), lambda: f"{name} shows {text}; it ends with {shown()[-300:]}")

    def end(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes.values():
            process.wait(20)


@pytest.fixture(name="followers")
def _followers():
    made = []

    def make(s):
        made.append(Followers(s))
        return made[-1]
    yield make
    for one in made:
        one.end()


def load(s, rotations):
    """Until the log was rotated so often: again and again a hundred files at once, twenty times what max_size allows,
    then one after another until that file is old enough. Gives their paths."""
    paths, end = [], time.monotonic() + 200

    def drop(count):
        paths.extend([s.put(f"{len(paths) + n}.csv") for n in range(count)])
        s.wait_runs(len(paths))
    for n in range(rotations):
        drop(100)
        while len(rotated(s)) <= n:
            assert time.monotonic() < end, f"{len(rotated(s))} rotations"
            drop(1)
    return paths


def check_shown(name, shown, lines):
    """Says in a few words what a follower has lost or doubled."""
    known = set(shown)
    missing = [n for n, line in enumerate(lines) if line not in known] if shown != lines else []
    assert shown == lines, f"{name} shows {len(shown)} of {len(lines)} lines; missing, by number: {missing[:20]}"


def ledger_runs(s):
    """{path: run} of all that were started, as the ledger has it."""
    done = s.verb("files", "--state", "started", "--json")
    assert done.status == 0, done
    rows = [json.loads(line) for line in done.out.splitlines()]
    return {row["path"]: row["run_id"] for row in rows if "path" in row}


@pytest.mark.slow
def test_fifty_rotations_under_load(service, followers):
    """What each shows is the log, line for line, and has the run of each file in the ledger."""
    s = service(events={"max_size": "4KiB", "min_age": "1s"}, brake="off")
    f = followers(s)
    f.tail()
    f.rsyslog()
    f.brickwatch()
    s.start()
    paths = load(s, 50)
    s.stop()
    f.wait("service.stopped")
    lines = [line.decode() for line in all_lines(s)]
    for name, shown in f.outputs.items():
        check_shown(name, shown().splitlines(), lines)
    events = list(map(json.loads, lines))
    assert len({e["id"] for e in events}) == len(events)
    runs = {e["path"]: e["run_id"] for e in events if e["type"] == "run.started"}
    assert sorted(runs) == sorted(paths) and runs == ledger_runs(s)
    assert all(path.suffix == ".gz" for path in rotated(s)[:-1])


def test_rsyslog_polling(service, followers):
    """Where it has no inotify it needs a min_age of twice its interval."""
    s = service(events={"max_size": "4KiB", "min_age": "2s"})
    f = followers(s)
    f.rsyslog(mode="polling")
    s.start()
    load(s, 4)
    s.stop()
    f.wait("service.stopped")
    assert f.outputs["rsyslog"]().splitlines() == [line.decode() for line in all_lines(s)]


def test_a_follower_that_is_stopped(service, followers):
    """The limit that the documents tell: tail loses a file that came and went meanwhile; `events -f` does not."""
    s = service(events={"max_size": "4KiB", "min_age": "0"})
    f = followers(s)
    f.tail()
    f.brickwatch()
    s.start()
    f.wait("watch.ready")
    for process in f.processes.values():
        process.send_signal(signal.SIGSTOP)
    load(s, 5)
    for process in f.processes.values():
        process.send_signal(signal.SIGCONT)
    s.stop()
    f.wait("service.stopped")
    lines = [line.decode() for line in all_lines(s)]
    assert f.outputs["brickwatch"]().splitlines() == lines
    shown = f.outputs["tail"]().splitlines()
    assert len(shown) < len(lines) and set(shown) < set(lines)


def test_compressed_between_listing_and_reading(service):
    """A reader that waits for its output meanwhile gets every line."""
    s = service()
    row = '{{"time":"2026-03-01T00:00:00.000000Z","type":"run.started","id":"{:032x}","host":"h","watch":"drop"}}\n'
    old = [s.log.with_name(f"{s.log.name}.20260301T00000{n}Z") for n in range(2)]
    lines = [row.format(n) for n in range(5000)]
    old[0].write_text("".join(lines[:4000]))
    old[1].write_text("".join(lines[4000:4500]))
    s.log.write_text("".join(lines[4500:]))
    reader = subprocess.Popen([s.program, "events", "-c", s.ini, "--json"], stdout=subprocess.PIPE)
    s.spawned.append(reader)
    first = reader.stdout.readline()  # it has begun, and waits in the first file: so much does not go into a pipe
    with gzip.open(f"{old[1]}.gz", "wb") as file:
        file.write(old[1].read_bytes())
    old[1].unlink()
    shown = first + reader.stdout.read()
    reader.stdout.close()
    assert reader.wait(10) == 0 and shown.decode() == "".join(lines)
