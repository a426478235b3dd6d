"""doc/event-storage.md: each recipe that it does not mark "not run" is taken out of it and run, on the log of a real
service whose run ids need all 64 bits."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter

import pytest

from harness import TIMEOUT, TOP, put, text, wait_for

DOCUMENT = TOP / "doc" / "event-storage.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
RUN, NOT_RUN = {"sh", "python", "rsyslog"}, {"text", "yaml", "sql"}
NOTEBOOK = "A notebook: runs and their files"


def parts():
    """{heading: text} of the document."""
    return dict(part.partition("\n")[::2] for part in re.split(r"^## ", DOCUMENT.read_text("utf-8"), flags=re.M)[1:])


def blocks(language, heading):
    return [block for kind, block in FENCE.findall(parts()[heading]) if kind == language]


@pytest.fixture(name="stored")
def _stored(service):
    """A service that has stopped: runs, dead letters (one made good), rejections; most of its log is compressed."""
    s = service(events={"max_size": "4KiB"}, watches={"drop": {"types": "@csv"}, "other": {}}).start()
    for n in range(20):
        s.put(f"{n}.csv")
    s.put("page.html", b"<!DOCTYPE html><html><body>x</body></html>\n")
    s.wait_runs(20)
    for name in ("again", "never"):
        path = str(s.folder / "other" / f"{name}.csv")
        s.api.fault("status", path="run-now", times=1, status=400, message="no such thing")
        put(path, text(name))
        wait_for(lambda: path in s.verb("files", "--state", "failed").out, f"{name} has failed")
        if name == "again":
            assert s.verb("retry", path).status == 0
            s.wait_run(path)
    s.stop()
    assert list(s.log.parent.glob("*.gz"))
    assert any(run.run_id > 2**53 for run in s.api.runs)
    return s


def run(s, script):
    """As it stands in the document, with the service's folders; gives the folder where it left its files."""
    folder, commands = s.folder / "recipe", s.folder / "commands"
    for path in (folder, commands):
        path.mkdir(exist_ok=True)
    command = commands / "brickwatch"
    command.write_text(f'#!/bin/sh\nverb=$1\nshift\nexec {s.program} "$verb" -c {s.ini} "$@"\n')
    command.chmod(0o755)
    (commands / "rclone.conf").touch()
    environment = {"PATH": f"{commands}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder),
                   "RCLONE_CONFIG": str(commands / "rclone.conf"), "RCLONE_CONFIG_ARCHIVE_TYPE": "alias",
                   "RCLONE_CONFIG_ARCHIVE_REMOTE": str(folder / "archive")}
    script = script.replace("/var/log/brickwatch", str(s.log.parent))
    done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=folder, env=environment,
                          check=False, timeout=TIMEOUT, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")
    return folder


def needs(*programs):
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        pytest.skip(f"not here: {missing}")


def log_of(s):
    return [json.loads(line) for line in s.verb("events", "--json").out.splitlines()]


def started(s):
    return [e for e in log_of(s) if e["type"] == "run.started"]


def test_every_block_is_run_or_says_that_it_is_not():
    for heading, part in parts().items():
        kinds = [kind for kind, _ in FENCE.findall(part)]
        assert set(kinds) <= RUN | NOT_RUN, heading
        assert part.count("```") == 2 * len(kinds), heading
        if NOT_RUN & set(kinds):
            assert "**Not run" in part, heading
        if RUN & set(kinds):
            assert heading in {"jq", "SQLite", "Object storage", NOTEBOOK, "Shippers"}, heading


def test_jq(stored):
    needs("jq")
    runs, reasons, rejected = blocks("sh", "jq")
    s, events = stored, log_of(stored)
    rows = [line.split("\t") for line in (run(s, runs) / "runs.tsv").read_text("utf-8").splitlines()]
    assert rows == [[e["time"], e["watch"], e["app_id"], e["path"]] for e in started(s)]
    assert sorted(int(row[2]) for row in rows) == sorted(r.run_id for r in s.api.runs)
    failed = Counter((e["watch"], e["reason"], str(e["http_status"])) for e in events if e["type"] == "start.failed")
    shown = [line.split(None, 1) for line in (run(s, reasons) / "reasons.txt").read_text("utf-8").splitlines()]
    assert {tuple(what.split("\t")): int(n) for n, what in shown} == failed != {}
    lines = (run(s, rejected) / "rejected.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["path"] for line in lines] == [e["path"] for e in events if e["type"] == "file.rejected"]
    assert len(lines) == 1


def test_sqlite(stored):
    """Also when it is run again, and when a line is there twice."""
    needs("sqlite3")
    load, still_open, latest = blocks("sh", "SQLite")
    s, events, runs = stored, log_of(stored), started(stored)
    with open(s.log, "ab") as file:
        file.write(s.log.read_bytes())
    for _ in range(2):
        folder = run(s, load)
    count = subprocess.run(["sqlite3", folder / "events.db", "SELECT count(*), count(DISTINCT line) FROM event"],
                           check=True, stdout=subprocess.PIPE).stdout
    assert count.decode().strip() == f"{len(events)}|{len(events)}"
    rows = json.loads((run(s, still_open) / "open.json").read_text("utf-8"))
    assert [row["path"] for row in rows] == [str(s.folder / "other" / "never.csv")]
    rows = json.loads((run(s, latest) / "latest.json").read_text("utf-8"))
    assert rows == [{k: e[k] for k in ("run_id", "path", "size", "latency_ms")} for e in reversed(runs)][:20]


def test_object_storage(stored):
    """Each finished file once, whole, and nothing else; again, it copies nothing."""
    needs("rclone")
    (script,) = blocks("sh", "Object storage")
    s = stored
    (s.log.parent / ".events.jsonl.20260101T000000Z.gz").write_bytes(b"half")
    (s.log.parent / "other.gz").write_bytes(b"foreign")
    place = run(s, script) / "archive" / "brickwatch" / os.uname().nodename
    finished = sorted(s.log.parent.glob("events.jsonl.*.gz"))
    assert sorted(path.name for path in place.iterdir()) == [path.name for path in finished] != []
    assert [(place / path.name).read_bytes() for path in finished] == [path.read_bytes() for path in finished]
    before = {path: path.stat().st_ctime_ns for path in place.iterdir()}
    run(s, script)
    assert {path: path.stat().st_ctime_ns for path in place.iterdir()} == before


def test_notebook(stored):
    (block,) = blocks("python", NOTEBOOK)
    s = stored
    names = {}
    exec(compile(block.replace("/var/log/brickwatch", str(s.log.parent)), str(DOCUMENT), "exec"), names)
    assert list(names["events"](s.log.parent)) == log_of(s)
    runs = [{"run_id": r.run_id, "result_state": "SUCCESS"} for r in s.api.runs]
    joined = names["with_files"](runs + [{"run_id": 1, "result_state": "FAILED"}])
    assert {row["run_id"]: row["path"] for row in joined} == {one.run.run_id: one.path for one in s.seen}
    assert all(row["size"] == os.stat(row["path"]).st_size for row in joined)


def test_notebook_takes_each_event_once(stored):
    """Over a file that is just being compressed, and a line that comes twice."""
    (block,) = blocks("python", NOTEBOOK)
    s = stored
    events = log_of(s)
    shutil.copy(s.log, s.log.with_name("events.jsonl.20991231T235959Z"))
    s.log.with_name("events.jsonl.20991231T235959Z.gz").write_bytes(b"half")
    names = {}
    exec(compile(block.replace("/var/log/brickwatch", str(s.log.parent)), str(DOCUMENT), "exec"), names)
    assert list(names["events"](s.log.parent)) == events
