"""A long mixed day: several watches, restarts and kills, rotation, failures, rejections, held files, an operator,
folders that go and come, reloads. Its whole log is valid, in order and without a gap, and everybody who tells what
happened tells the same: the raw files, `events`, the ledger, and the workspace."""

import json
import os
import re
import threading
from collections import Counter, defaultdict

import pytest

import schemas
from harness import JOB, parse_lines, put, text, wait_for
from test_eventlog import read, rotated

NO_JOB, ONE_AT_A_TIME = JOB + 1, 9
WATCHES = {
    "orders": {"types": "@csv", "reject_names": "globs", "max_size": "1MiB"},
    "known": {"existing": "hold"},
    "braked": {"brake": "3/1h"},
    "late": {"settle": "60s", "overdue": "1s"},
    "nojob": {"job_id": NO_JOB},
    "alone": {"job_id": ONE_AT_A_TIME, "queue": "no"},
    "strict": {"on_failure": "pause"},
    "mount": {"sentinel": "here"},
    "gone": {"settle": "100ms"},
}
KINDS = {"run.started", "run.skipped", "start.failed", "start.retrying", "file.rejected", "file.waiting",
         "file.vanished", "file.superseded", "watch.ready", "watch.lost", "watch.held", "watch.paused",
         "watch.resumed", "job.suspended", "job.resumed", "workspace.suspended", "workspace.resumed",
         "operator.action", "service.started", "service.reloaded", "service.stopped"}


class Files:
    """All events of all files so far; a follower that cannot miss a rotation."""

    def __init__(self, s):
        self.s, self.events, self.lock = s, [], threading.Lock()

    def read(self):
        with self.lock:
            while True:
                try:
                    data = b"".join(read(path) for path in [*rotated(self.s), self.s.log] if path.exists())
                    break
                except FileNotFoundError:  # compressed between listing and reading
                    continue
            self.events = parse_lines(data, self.s.log)
            return list(self.events)

    def close(self):
        pass


class Day:
    """What happens, a few steps each; `round` says in which round of the day."""

    def __init__(self, s):
        self.s, self.round = s, 0

    def put(self, watch, name, data=None):
        path = self.s.folder / watch / f"{self.round}-{name}"
        put(path, text(name) if data is None else data)
        return str(path)

    def do(self, *words):
        done = self.s.verb(*words)
        assert done.status == 0, (words, done)

    def wait(self, kind, count=1, **fields):
        return self.s.wait_event(kind, count, **fields)

    def orders(self):
        """Files that run, are turned away, have newer versions, and odd names."""
        paths = [self.put("orders", f"{n}.csv") for n in range(40)]
        paths += [self.put("orders", "naïve 日本.csv")]
        self.put("orders", "page.html", b"<!DOCTYPE html><html><body>x</body></html>\n")
        self.put("orders", "big.csv", text("big", 200_000))
        self.put("orders", "no[pe].csv")
        for path in paths:
            self.wait("run.started", path=path)
        self.wait("run.started", 2, path=self.put("orders", "0.csv", text("a newer version")))
        self.wait("file.rejected", 3 * (self.round + 1))

    def failures(self):
        """Dead letters, of which one is tried again, one dropped; lost answers; a watch that pauses itself."""
        self.s.api.fault("status", path="run-now", times=1, status=400, message="no such thing")
        path = self.put("orders", "bad.csv")
        self.wait("start.failed", path=path)
        self.do("retry", path)
        self.wait("run.started", path=path)
        self.s.api.fault("status", path="run-now", times=1, status=400, message="no such thing")
        path = self.put("orders", "worse.csv")
        self.wait("start.failed", path=path)
        self.do("drop", path, "--reason", "not needed any more")
        self.s.api.fault("lose", path="run-now", times=1)
        path = self.put("orders", "lost.csv")
        self.wait("run.started", path=path)
        self.s.api.fault("status", path="run-now", times=1, status=503, message="later")
        path = self.put("orders", "later.csv")
        self.wait("start.retrying", path=path)
        self.wait("run.started", path=path)
        self.s.api.fault("status", path="run-now", times=1, status=400, message="not this one")
        self.wait("start.failed", path=self.put("strict", "a.csv"))
        self.wait("watch.paused", self.round + 1, watch="strict")
        self.do("resume", "strict")

    def held(self):
        """Files that wait for a person."""
        path = self.put("braked", "a.csv")
        for n in range(4):
            self.put("braked", f"{n}.csv")
        wait_for(lambda: self.count("braked", "held") > 0, "the brake holds")
        self.do("release", "--watch", "braked")
        for n in range(4):
            self.wait("run.started", path=self.at("braked", f"{n}.csv"))
        self.wait("run.started", path=path)
        self.do("rerun", path, "--reason", "again", "--yes")
        self.wait("run.started", 2, path=path)

    def at(self, watch, name):
        return str(self.s.folder / watch / f"{self.round}-{name}")

    def count(self, watch, state):
        done = self.s.verb("files", "--json", "--watch", watch, "--state", state)
        return len([1 for line in done.out.splitlines() if '"path"' in line])

    def replaced(self):
        """A file that is replaced before its turn, and one that is gone."""
        self.do("pause", "gone")
        path = self.put("gone", "a.csv")
        away = self.put("gone", "b.csv")
        wait_for(lambda: self.count("gone", "pending") == 2, "both wait")
        put(path, text("a newer one, and longer"))
        self.wait("file.superseded", path=path)
        os.unlink(away)
        self.restart()
        self.do("resume", "gone")
        self.wait("file.vanished", path=away)
        self.wait("run.started", path=path)

    def late(self):
        path = self.put("late", "a.csv")
        self.wait("file.waiting", path=path)

    def skipped(self):
        """One at a time, without a queue."""
        first = self.put("alone", "a.csv")
        run = self.wait("run.started", path=first)[0]["run_id"]
        second = self.put("alone", "b.csv")
        self.wait("run.started", path=second)
        self.restart(kill=True)
        self.wait("run.skipped", path=second)
        self.s.api.finish_run(run)
        started = self.wait("run.started", 2, path=second)
        self.s.api.finish_run(started[-1]["run_id"])

    def lost(self):
        """A folder whose mount goes and comes."""
        before = len(self.s.events("watch.lost", watch="mount"))
        (self.s.folder / "mount" / "here").unlink()
        self.wait("watch.lost", before + 1, watch="mount")
        path = self.put("mount", "a.csv")
        (self.s.folder / "mount" / "here").touch()
        self.wait("run.started", path=path)

    def job(self):
        """A job that is missing, and is there."""
        if self.round > 0:
            self.s.api.delete_job(NO_JOB)
        path = self.put("nojob", "a.csv")
        self.wait("job.suspended", self.round + 1)
        self.s.api.add_job(NO_JOB, ["path"])
        self.wait("run.started", path=path)
        self.wait("job.resumed", self.round + 1)

    def workspace(self):
        """The workspace refuses the credential, and takes it again."""
        self.s.api.fault("status", path="run-now", times=None, status=401, message="the token has expired")
        paths = [self.put("orders", f"net-{n}.csv") for n in range(3)]
        self.wait("workspace.suspended", self.round + 1)
        self.s.api.clear_faults()
        for path in paths:
            self.wait("run.started", path=path)
        self.wait("workspace.resumed", self.round + 1)

    def reload(self):
        """Another watch's rule is changed."""
        self.s.watches["late"]["overdue"] = f"{self.round + 2}s"
        self.s.write_configuration()
        self.do("reload")
        self.wait("service.reloaded", self.round + 1)
        self.do("rescan", "orders")

    def restart(self, kill=False):
        if kill:
            self.s.kill_keeper()
        else:
            self.s.stop()
        self.s.start()


@pytest.fixture(name="day", scope="module")
def _day(module_service):
    """The whole day, once; the service has stopped."""
    s = module_service(watches=WATCHES, events={"max_size": "8KiB"}, service={"durability": "power"})
    s.follower = Files(s)
    s.api.add_job(ONE_AT_A_TIME, ["path"], max_concurrent_runs=1, queue=False, auto_finish=False)
    (s.folder / "mount" / "here").touch()
    put(s.folder / "known" / "old.csv", text("old"))
    day = Day(s)
    s.start()
    for day.round in range(2):
        for step in (day.orders, day.failures, day.held, day.replaced, day.late, day.skipped, day.lost, day.job,
                     day.workspace, day.reload):
            step()
        s.kill("bw-dispatch")  # the keeper starts another
        s.wait_run(day.put("orders", "after-the-kill.csv"))
        day.restart()
    s.stop()
    s.follower.read()
    return s


def log_of(s):
    return s.follower.events


def version_of(event):
    """Of an event or a row. One that is not complete yet may have no size."""
    return event["path"], event.get("size"), event.get("mtime")


@pytest.mark.slow
def test_it_was_a_mixed_day(day):
    assert len(rotated(day)) > 10
    assert {e["type"] for e in log_of(day)} >= KINDS, KINDS - {e["type"] for e in log_of(day)}


@pytest.mark.slow
def test_every_line_is_valid(day):
    """Against the schemas that are installed, by python3-jsonschema."""
    schemas.check(log_of(day), most=len(log_of(day)))


@pytest.mark.slow
def test_ids_come_once(day):
    """But for lines that a kill -9 has left twice: those are the same byte for byte."""
    seen = {}
    for event in log_of(day):
        assert seen.setdefault(event["id"], event) == event
    repeats = len(log_of(day)) - len(seen)
    assert repeats <= 4, f"{repeats} repeats, of so many kills"


@pytest.mark.slow
def test_everything_is_in_order(day):
    """The log by time, and what happened to each version in the order in which it can happen."""
    times = [e["time"] for e in log_of(day)]
    assert times == sorted(times)
    versions = defaultdict(list)
    for event in log_of(day):
        events = versions[version_of(event)] if "path" in event else [event]
        if event not in events:
            events.append(event)
    for events in versions.values():
        kinds = [e["type"] for e in events]
        story = "".join(ORDER[kind] for kind in kinds)
        assert STORY.fullmatch(story), (story, events)
        generations = [e["generation"] for e in events if e["type"] == "run.started"]
        assert generations == sorted(set(generations))
        attempts = [e["attempts"] for e in events if e["type"] == "start.retrying"]
        assert attempts == sorted(attempts)


# w waits, r is tried again, F failed, S started, k skipped, X turned away, v gone, o replaced
ORDER = {"file.waiting": "w", "start.retrying": "r", "start.failed": "F", "run.started": "S", "run.skipped": "k",
         "file.rejected": "X", "file.vanished": "v", "file.superseded": "o"}
STORY = re.compile(r"X|w*(r|F|v)*(o|v|F|S(k?r*S)*)?|w")


@pytest.mark.slow
def test_events_shows_the_raw_lines(day):
    done = day.verb("events", "--json")
    assert done.status == 0 and done.err == "", done
    assert [json.loads(line) for line in done.out.splitlines()] == log_of(day)
    raw = b"".join(read(path) for path in [*rotated(day), day.log])
    assert done.out.encode() == raw


def ledger_of(s):
    done = s.verb("files", "--json")
    assert done.status == 0, done
    rows = [json.loads(line) for line in done.out.splitlines()]
    return [row for row in rows if "path" in row]


@pytest.mark.slow
def test_the_ledger_agrees(day):
    """Row by row: the last that the log tells of a version is the row's state. One that was run again has a row for
    each of its runs."""
    told, runs, seen, ledger = {}, {}, set(), Counter()
    for event in log_of(day):
        if event["type"] in STATES:
            told[version_of(event)] = event
        if event["type"] == "run.started":
            runs[version_of(event), event["generation"]] = event["run_id"]
    for row in ledger_of(day):
        ledger[row["state"]] += 1
        event = told.get(version_of(row))
        seen.add(version_of(row))
        if row["state"] == "held":
            assert event is None, (row, event)
            continue
        assert event and row["state"] in STATES[event["type"]], (row, event)
        if row["state"] == "started":
            assert row["run_id"] == runs[version_of(row), row["generation"]], row
    assert set(told) <= seen, "the log tells of versions that the ledger does not know"
    assert set(ledger) == {"started", "failed", "rejected", "held", "superseded", "vanished", "dropped"}


STATES = {"run.started": {"started"}, "start.failed": {"failed", "dropped"}, "file.rejected": {"rejected"},
          "file.vanished": {"vanished"}, "file.superseded": {"superseded"}}


@pytest.mark.slow
def test_the_workspace_agrees(day):
    runs = {r.run_id: r.token for r in day.api.runs}
    assert {e["run_id"]: e["token"] for e in log_of(day) if e["type"] == "run.started"} == runs


@pytest.mark.slow
def test_the_summary_agrees(day):
    done = day.verb("events", "--summary", "--json")
    assert done.status == 0, done
    total = json.loads(done.out.splitlines()[-1])["total"]
    once = {e["id"]: e["type"] for e in log_of(day)}
    counts = Counter(once.values())
    for key, kind in {"runs": "run.started", "failed": "start.failed", "rejected": "file.rejected",
                      "skipped": "run.skipped", "vanished": "file.vanished", "superseded": "file.superseded"}.items():
        assert total[key] == counts[kind], key
    known = {version_of(e) for e in log_of(day) if e["type"] in STATES}
    assert total["files"] == len(known)


@pytest.mark.slow
def test_the_operator_is_in_the_log(day):
    verbs = Counter(e["verb"] for e in log_of(day) if e["type"] == "operator.action")
    assert set(verbs) >= {"retry", "drop", "resume", "pause", "release", "rerun", "reload", "rescan"}
    reasons = {e["reason"] for e in log_of(day) if e["type"] == "operator.action"}
    assert {"not needed any more", "again", None} <= reasons
