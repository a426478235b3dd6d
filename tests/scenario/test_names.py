"""File names that somebody could have chosen to make trouble: each is sent, logged and shown as it is, or refused with
the reason."""

import base64
import json
import os
import re
import subprocess
import unicodedata

import pytest

import harness
from harness import JOB, REMOTE, TASKS, put, text
from jobsapi import Job, JobsApi

STRANGE = [
    "plain.csv",
    "with space.csv",
    " leading and trailing .csv ",
    "new\nline.csv",
    "carriage\rreturn\ttab.csv",
    "quote\"s and 'apostrophes'.csv",
    "back\\slash\\n\\u0041.csv",
    "\x1b]0;title\x07\x1b[31mred\x1b[0m.csv",
    "\x01\x02\x1f\x7f.csv",
    "c1 \u0085 \u009b31m control.csv",
    "-rf",
    "--config=x.csv",
    "$(id).csv",
    "`id`; rm -rf *.csv",
    "${uri} ${name} $$.csv",
    "100%s%n%d%%.csv",
    "%2F..%2Fetc%2Fpasswd",
    "a=b&c#d?e.csv",
    "*.csv",
    "[a-z]{1,2}.csv",
    "{single}.csv",
    "}}.csv",
    "\u00e9t\u00e9 \u6587\u4ef6 \u0444\u0430\u0439\u043b \U0001f4c4.csv",
    unicodedata.normalize("NFC", "caf\u00e9.csv"),
    unicodedata.normalize("NFD", "caf\u00e9.csv"),
    "\u202egnp.csv",
    "\u2028line\u2029separator.csv",
    "\ufeffmark.csv",
    "x" * 255,
    "\u6587" * 85,
    "...",
    "~home",
    "nul",
    "_day=7.csv",
    "a" * 200 + ".csv",
]
NOT_UTF8 = [b"\xff\xfe.csv", b"caf\xe9.csv", b"half \xe6\x96.csv", b"\xed\xa0\x80 surrogate.csv", b"\xc0\xaf.csv",
            b"\xff\n\x1b[31m"]
BRACES = ["{{job.id}}.csv", "a{{.csv", "{{{x.csv"]


def raw_log(s):
    return s.log.read_bytes()


def check_terminal(output):
    """Nothing in it that a terminal would act upon, but line feeds."""
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]", output), f"control characters in {output!r}"


def test_strange_names_are_sent_as_they_are(service):
    s = service(hidden="yes").start()
    paths = {name: s.put(name, text(str(n))) for n, name in enumerate(STRANGE)}
    for path in paths.values():
        s.wait_event("run.started", path=path)
    s.barrier()
    s.stop()
    s.check_runs({path: [text(str(n))] for n, path in enumerate(paths.values())})
    s.check_started()
    for name, path in paths.items():
        seen = s.runs_of(path)[0]
        assert seen.run.parameters == {"path": f"{REMOTE}/drop/{name}"}
        event = s.events("run.started", path=path)[0]
        assert event["relpath"] == name and event["uri"] == f"{REMOTE}/drop/{name}"
        assert "path_base64" not in event


def test_names_in_the_log_and_on_the_terminal(service):
    s = service(hidden="yes").start()
    for name in STRANGE:
        s.wait_run(s.put(name))
    for name in NOT_UTF8 + BRACES:
        s.put(name)
    s.wait_event("start.failed", len(NOT_UTF8 + BRACES))
    s.stop()
    lines = raw_log(s).split(b"\n")
    assert lines[-1] == b""
    for line in lines[:-1]:
        json.loads(line.decode("utf-8", "strict"))
    for line in s.err().split("\n")[:-1]:
        check_terminal(line)
        assert re.match(r"^(bw-|brickwatch)", line), f"a line that is not ours: {line!r}"
    shown = s.verb("events")
    assert shown.status == 0
    check_terminal(shown.out)
    assert shown.out.count("\n") == len(lines) - 1
    assert s.verb("events", "--json").out.encode("utf-8", "surrogateescape") == raw_log(s)


@pytest.mark.parametrize("kind", ["not utf-8", "braces"])
def test_names_that_cannot_be_sent_are_dead_letters(service, kind):
    names = NOT_UTF8 if kind == "not utf-8" else [os.fsencode(n) for n in BRACES]
    reason = "name_not_utf8" if kind == "not utf-8" else "name_has_braces"
    s = service(hidden="yes").start()
    for name in names:
        s.put(name)
    events = s.wait_event("start.failed", len(names))
    s.put("good.csv")
    s.wait_run(s.drop / "good.csv")
    found = set()
    for event in events:
        assert event["reason"] == reason and event["message"] and event["http_status"] is None
        if kind == "not utf-8":
            true = base64.b64decode(event["path_base64"], validate=True)
            assert "\ufffd" in event["path"]
        else:
            assert "path_base64" not in event
            true = os.fsencode(event["path"])
        found.add(true)
    assert found == {os.fsencode(s.drop) + b"/" + n for n in names}
    s.stop()
    s.start()
    s.barrier()
    s.stop()
    assert len(s.events("start.failed")) == len(names), "dead letters were written again"
    s.check_runs({s.drop / "good.csv": 1})


def test_strange_directories(service):
    s = service(hidden="yes").start()
    expected = {}
    for n, name in enumerate(STRANGE):
        folder = s.drop / name
        folder.mkdir()
        put(folder / name, text(str(n)))
        expected[str(folder / name)] = [text(str(n))]
    bad = os.fsencode(s.drop) + b"/\xff-folder"
    os.mkdir(bad)
    put(bad + b"/a.csv", text("a"))
    for path in expected:
        s.wait_run(path)
    assert s.wait_event("start.failed")[0]["reason"] == "name_not_utf8"
    s.barrier()
    s.stop()
    s.check_runs(expected)
    s.check_started()


def test_deep_and_long_paths(service):
    """Up to PATH_MAX and beyond: what is too long for the system's calls must not disturb the rest."""
    s = service().start()
    folder, expected = s.drop, {}
    name = "d" * 100
    for depth in range(12):
        folder = folder / name
        folder.mkdir()
        put(folder / f"{depth}.csv", text(str(depth)))
        expected[str(folder / f"{depth}.csv")] = [text(str(depth))]
    for path in expected:
        s.wait_run(path)
    # Deeper than PATH_MAX: reached step by step only.
    here = os.open(folder, os.O_RDONLY)
    for _ in range(40):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("too-deep.csv", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=here))
    os.close(here)
    s.barrier()
    s.stop()
    s.check_runs(expected)
    s.check_started()


def test_strange_folder_in_the_configuration(service, folder):
    name = "in [x] #1 \u00e9=;"
    s = service(watches={"drop": {"directory": f'"{folder}/{name}"', "path_map": f'"{folder}/{name} => /Volumes/v"'}})
    (folder / name).mkdir()
    s.start()
    put(folder / name / "a.csv", text("a"))
    s.wait_runs(1)
    assert s.api.runs[0].parameters == {"path": "/Volumes/v/a.csv"}
    s.stop()
    assert s.events("run.started")[0]["path"] == f"{folder}/{name}/a.csv"


@pytest.mark.parametrize("keys, started", [
    ({}, {"a.csv", "_day=7"}),
    ({"hidden": "yes"}, {"a.csv", ".hidden.csv", "_day=7"}),
    ({"ignore": "!_*"}, {"a.csv", "_under.csv", "_day=7", "_SUCCESS"}),
    ({"ignore": "a.*"}, {"_day=7"}),
    ({"include": "_SUCCESS"}, {"_SUCCESS"}),
    ({"exclude": "*.csv"}, {"_day=7"}),
    ({"ignore": "!*.part"}, {"a.csv", "b.csv.part", "_day=7"}),
])
def test_names_that_are_not_looked_at(service, keys, started):
    names = {"a.csv", ".hidden.csv", "_under.csv", "_day=7", "_SUCCESS", "b.csv.part", "c.csv.filepart", "d~",
             "e.csv.crdownload", "f._COPYING_", ".nfs0000000000000001", "Thumbs.db"}
    s = service(**keys).start()
    for name in sorted(names):
        s.put(name)
    for name in started:
        s.wait_run(s.drop / name)
    if not {"include", "exclude"} & set(keys):
        s.barrier()
    s.stop()
    s.check_runs({s.drop / name: 1 for name in started})
    assert s.events("start.failed") == [] and s.events("file.rejected") == []


@pytest.mark.parametrize("classes, turned_away", [
    ("globs", {"*.csv", "[a-z]{1,2}.csv", "back\\slash.csv"}),
    ("control", {"new\nline.csv", "c1 \u0085.csv"}),
    ("globs, control", {"*.csv", "[a-z]{1,2}.csv", "back\\slash.csv", "new\nline.csv", "c1 \u0085.csv"}),
])
def test_reject_names(service, classes, turned_away):
    s = service(reject_names=classes).start()
    names = {"a.csv", "*.csv", "[a-z]{1,2}.csv", "back\\slash.csv", "new\nline.csv", "c1 \u0085.csv"}
    for name in sorted(names):
        s.put(name)
    events = s.wait_event("file.rejected", len(turned_away))
    for name in names - turned_away:
        s.wait_run(s.drop / name)
    s.barrier()
    s.stop()
    assert {e["relpath"] for e in events} == turned_away and {e["rule"] for e in events} == {"reject_names"}
    s.check_runs({s.drop / name: 1 for name in names - turned_away})


@pytest.mark.parametrize("job_type, field, wanted", [
    ("notebook", "notebook_params", {"path": "URI", "name": "NAME"}),
    ("jar", "jar_params", ["URI", "--name=NAME"]),
])
def test_strange_names_in_other_parameters(service, job_type, field, wanted):
    """Each name comes through every kind of parameter unchanged."""
    keys = {"param.path": "${uri}", "param.name": "${name}"} if job_type == "notebook" else \
        {"arg": ["${uri}", "--name=${name}"]}
    s = service(hidden="yes", job_type=job_type, api=JobsApi([Job(JOB, [], task_type=TASKS[job_type])]), **keys).start()
    for name in STRANGE:
        s.put(name)
    s.wait_runs(len(STRANGE))
    s.stop()

    def fill(template, name):
        return template.replace("URI", f"{REMOTE}/drop/{name}").replace("NAME", name)
    expected = []
    for name in STRANGE:
        expected.append({k: fill(v, name) for k, v in wanted.items()} if isinstance(wanted, dict)
                        else [fill(v, name) for v in wanted])
    found = [run.slots[field] for run in s.api.runs]
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, expected))


def test_no_shell_is_involved(service):
    """Names that a shell would act upon; a program started by the service would show in its process group."""
    s = service(types="@csv, @text").start()
    witness = s.folder / "witness"
    for name in (f"$(touch {witness.name}).csv", f"`touch {witness.name}`.csv", f"; touch {witness.name}; #.csv"):
        s.wait_run(s.put(name))
    names = {argv[0] for argv in harness.processes_of_group(s.group).values()}
    assert names <= {s.program, "bw-dispatch", "bw-watch", "bw-sniff"}, names
    s.stop()
    found = subprocess.run(["find", str(s.folder), "-name", "witness"], stdout=subprocess.PIPE, check=True)
    assert found.stdout == b""
