"""Traces: each topic tells its own steps, nothing else, and a reload changes them (brickwatch-debug(7))."""

import re

import pytest

from harness import TOP, wait_for

TOPICS = re.findall(r'\bX\(\w+, "(\w+)",', (TOP / "include" / "base" / "trace.h").read_text())
# What each is to show in the life of one file.
SHOWN = {
    "inotify": r"bw-watch drop: \[inotify\] IN_CLOSE_WRITE of watch \d+: a\.csv, cookie 0",
    "listing": r"bw-watch drop: \[listing\] listing 1 \(\w+\) ends after \d+ ms: 0 files in 1 directories",
    "mounts": r"bw-watch drop: \[mounts\] \S+/drop is on \w+, whose events are read",
    "settle": r"bw-watch drop: \[settle\] a\.csv: 16 bytes, mtime \d+ ns, lease granted: complete",
    "type": r"bw-watch drop: \[type\] a\.csv: text/csv",
    "ledger": r"bw-dispatch: \[ledger\] \d+ rows changed, committed after \d+ us",
    "send": r"bw-dispatch: \[send\] row 1 of watch drop: started, status 200 , run \d+",
    "http": r"bw-dispatch: \[http\] http://127\.0\.0\.1:\d+/api/2\.2/jobs/run-now: status 200 after \d+ ms",
    "auth": r"bw-dispatch: \[auth\] workspace 127\.0\.0\.1:\d+: the credential is read again",
    "job": r"bw-dispatch: \[job\] watch drop: job \d+ looked at",
    "events": r"bw-dispatch: \[events\] \d+ of \d+ bytes of events written to \S+/events\.jsonl",
    "control": r"bw-dispatch: \[control\] \w+ asks: rescan, watch \"drop\"",
    "process": r"brickwatch: \[process\] process \d+ is started",
}


def told(s):
    """{topic: its lines}"""
    found = {}
    for line in s.err().splitlines():
        match = re.match(r"[\w -]+: \[(\w+)\] ", line)
        if match:
            found.setdefault(match[1], []).append(line)
    return found


def live(s):
    """One file's life, a refused credential and a command."""
    s.api.fault("status", status=401, path="run-now", times=1)
    s.wait_run(s.put("a.csv", b"id,what\n1,a\n2,b\n"))
    assert s.verb("rescan", "drop").status == 0
    s.wait_event("operator.action", verb="rescan")


def test_the_table_of_this_file_is_whole():
    assert set(SHOWN) == set(TOPICS)


@pytest.mark.parametrize("key", [{"trace": "all"}, {"log_level": "debug"}])
def test_every_topic_shows_its_steps(service, key):
    s = service(types="@csv", service=key).start()
    live(s)
    s.stop()
    lines = told(s)
    for topic, shape in SHOWN.items():
        assert any(re.match(shape, line) for line in lines.get(topic, [])), (topic, lines.get(topic), s.err())
    assert set(lines) == set(TOPICS)
    s.check_manners()


def test_only_what_was_asked_for(service):
    s = service(service={"trace": "settle, http", "log_level": "error"}).start()
    live(s)
    s.stop()
    assert set(told(s)) == {"settle", "http"}


def test_nothing_is_traced_by_itself(service):
    s = service().start()
    live(s)
    s.stop()
    assert told(s) == {}


def test_a_reload_switches_topics(service):
    s = service().start()
    s.sections["service"]["trace"] = "send\n  inotify"
    s.write_configuration()
    assert s.verb("reload").status == 0
    s.wait_ready(2)
    s.wait_run(s.put("a.csv"))
    wait_for(lambda: set(told(s)) == {"send", "inotify"}, s.err)
    del s.sections["service"]["trace"]
    s.write_configuration()
    assert s.verb("reload").status == 0
    s.wait_ready(3)
    before = told(s)
    s.wait_run(s.put("b.csv"))
    assert told(s) == before


def test_an_unknown_topic_is_a_mistake(service):
    s = service(service={"trace": "setle"})
    done = s.verb("check")
    assert done.status == 78 and "settle" in done.err, done
    s.sections["service"]["trace"] = "http, settle"
    s.write_configuration()
    assert re.search(r"^trace = (settle|http)", s.verb("config").out, re.M)
