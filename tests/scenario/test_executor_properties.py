"""Each property of the StreamSets Databricks executor that means something here takes effect under its new name.

doc/coming-from-streamsets.md maps them all, and names a test for each; the last test here looks whether these exist.
"""

import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness import JOB, REMOTE, TASKS, TOP, put, text
from jobsapi import Job, JobsApi

PAGE = TOP / "doc" / "coming-from-streamsets.md"
PAST_32_BITS = 418823550071934


def paths_of(runs):
    return sorted(os.path.basename(one.path) for one in runs)


# --- General ----------------------------------------------------------------------------------------------------------

def test_name(service):
    """Name: every event says which watch it is about."""
    s = service(watches={"invoices": {}, "orders": {}}).start()
    put(s.folder / "orders" / "a.csv", text("a"))
    put(s.folder / "invoices" / "b.csv", text("b"))
    assert s.wait_event("run.started", path=str(s.folder / "orders" / "a.csv"))[0]["watch"] == "orders"
    assert s.wait_event("run.started", path=str(s.folder / "invoices" / "b.csv"))[0]["watch"] == "invoices"


def test_events(service):
    """Produce Events: the executor's event, in the file that [events] names."""
    s = service()
    s.sections["events"]["file"] = s.folder / "log" / "other.jsonl"
    s.follower = harness.Follower(s.folder / "log" / "other.jsonl")
    s.log = s.folder / "log" / "other.jsonl"
    s.write_configuration()
    s.start()
    path = s.put("a.csv")
    event = s.wait_event("run.started", path=path)[0]
    assert event["header"]["sdc.event.type"] == "AppSubmittedEvent"
    assert event["header"]["sdc.event.version"] == "1"
    assert re.fullmatch(r"\d{13}", event["header"]["sdc.event.creation_timestamp"])
    assert event["app_id"] == str(s.api.runs[0].run_id)


def test_a_consumer_of_its_event(service):
    """The consumer of the page, taken from there, on events of the executor as a pipeline stores them (its body, with
    the header that an expression added), and on a real log: only the name of the file is another."""
    s = service(types="@csv").start()
    paths = [s.put(f"{n}.csv") for n in range(5)] + [s.put("page.html", b"<!DOCTYPE html><html></html>\n")]
    s.wait_event("run.started", 5)
    s.wait_event("file.rejected")
    s.stop()
    consumer = s.folder / "consumer.py"
    consumer.write_text(re.search(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)[1])
    theirs = s.folder / "executor.json"
    header = {"sdc.event.type": "AppSubmittedEvent", "sdc.event.version": "1",
              "sdc.event.creation_timestamp": "1577836800123"}
    other = {"header": {**header, "sdc.event.type": "file-closed"}, "filepath": "/landing/a.csv", "length": 7}
    theirs.write_text("".join(json.dumps(e) + "\n" for e in ({"header": header, "app_id": "2014"}, other)))

    def consumed(path):
        done = subprocess.run([sys.executable, consumer, path], check=True, stdout=subprocess.PIPE)
        return [line.split(" ") for line in done.stdout.decode().splitlines()]
    assert consumed(theirs) == [["1577836800123", "2014"]]
    shown = consumed(s.log)
    events = [json.loads(line) for line in s.log.read_text("utf-8").splitlines()]
    assert [int(run) for _, run in shown] == [e["run_id"] for e in events if e["type"] == "run.started"]
    assert sorted(int(run) for _, run in shown) == sorted(r.run_id for r in s.api.runs) and len(paths) == 6
    for event, (when, _) in zip((e for e in events if e["type"] == "run.started"), shown):
        at = datetime.datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() * 1000
        assert abs(int(when) - at) < 5000  # the answer, and when it was recorded


@pytest.mark.parametrize("keys, taken", [
    ({"include": "*.csv"}, ["big.csv", "few.csv", "no[pe].csv"]),
    ({"exclude": "few.*"}, ["big.csv", "no[pe].csv", "page.json"]),
    ({"types": "@json"}, ["page.json"]),
    ({"exclude_types": "@json"}, ["big.csv", "few.csv", "no[pe].csv"]),
    ({"min_size": "1000"}, ["big.csv"]),
    ({"max_size": "999"}, ["few.csv", "no[pe].csv", "page.json"]),
])
def test_preconditions(service, keys, taken):
    """Preconditions: what a file must be before a run is started for it."""
    s = service(**keys)
    for name, data in {"big.csv": text("big", 200), "few.csv": text("few"), "no[pe].csv": text("no"),
                       "page.json": b'{"a": 1}\n'}.items():
        put(s.drop / name, data)
    s.start()
    s.wait_runs(len(taken))
    s.stop()  # a watch is ready when its first listing has been judged
    assert paths_of(s.seen) == taken


@pytest.mark.parametrize("on_failure, state, goes_on", [
    ("discard", "discarded", True), ("dead_letter", "failed", True), ("pause", "failed", False)])
def test_on_record_error(service, on_failure, state, goes_on):
    """On Record Error: also for a call that is refused for good, which the executor's setting never reached."""
    s = service(on_failure=on_failure).start()
    s.api.fault("status", status=400, body="bad.csv", message="no such thing", times=None)
    bad = s.put("bad.csv")
    s.wait_event("start.failed", path=bad, reason="bad_request")
    good = s.put("good.csv")
    if goes_on:
        s.wait_run(good)
    else:
        s.wait_event("watch.paused")
        assert s.runs_of(good) == []
    shown = s.verb("files", "--json", bad).out
    assert f'"state":"{state}"' in shown.replace(": ", ":"), shown


# --- Job --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("slashes", ["", "/", "//"])
def test_base_url(service, slashes):
    """Cluster Base URL: any number of slashes at its end."""
    s = service()
    s.sections["workspace"]["host"] = s.api.url + slashes
    s.write_configuration()
    s.start()
    s.wait_run(s.put("a.csv"))
    assert {r.path for r in s.api.requests if r.path.endswith("run-now")} == {"/api/2.2/jobs/run-now"}


def test_base_url_without_tls(service):
    s = service(workspace={"host": "http://adb-1.7.azuredatabricks.net"})
    done = s.verb("check")
    assert done.status == 78 and "host" in done.err and "https://" in done.err


def test_notebook(service):
    """Job Type NOTEBOOK, Parameters: values are templates."""
    s = service(api=JobsApi({JOB: []}), job_type="notebook",
                **{"param.in": "${uri}", "param.what": "${stem} of ${element:-2}", "param.fixed": "daily"}).start()
    s.put("a.csv")
    s.wait_runs(1)
    assert s.api.runs[0].body["notebook_params"] == {
        "in": f"{REMOTE}/drop/a.csv", "what": "a of drop", "fixed": "daily"}


def test_jar(service):
    """Job Type JAR, Parameters: a list, in order."""
    s = service(api=JobsApi([Job(JOB, [], task_type=TASKS["jar"])]), job_type="jar",
                arg=["com.example.Load", "${dir_uri}", "${name}"]).start()
    s.put("a.csv")
    s.wait_runs(1)
    assert s.api.runs[0].body["jar_params"] == ["com.example.Load", f"{REMOTE}/drop", "a.csv"]


def test_job_id(service):
    """Job ID: today's ids, which the executor's 32 bits cannot hold."""
    assert PAST_32_BITS > 2**31
    s = service(api=JobsApi({PAST_32_BITS: ["path"]}), job_id=PAST_32_BITS).start()
    event = s.wait_event("run.started", path=s.put("a.csv"))[0]
    assert event["job_id"] == PAST_32_BITS and s.api.runs[0].job_id == PAST_32_BITS


# --- Credentials ------------------------------------------------------------------------------------------------------

def test_token(service):
    """Token: from a file, sent as a bearer, and from nowhere else."""
    s = service(environment={"DATABRICKS_TOKEN": "from-the-environment"}).start()
    s.wait_run(s.put("a.csv"))
    sent = {r.headers.get("Authorization") or r.headers.get("authorization") for r in s.api.requests}
    assert sent == {f"Bearer {s.api.token}"}


# --- the page ---------------------------------------------------------------------------------------------------------

def test_every_test_that_the_page_names_exists():
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)(?:\[([\w-]+)\])?`", PAGE.read_text())
    assert len(named) >= 30
    for file, name, case in named:
        source = Path(__file__).with_name(file).read_text()
        assert re.search(rf"^def {name}\(", source, re.M), f"{file}::{name} is named in {PAGE.name} and does not exist"
        assert f'"{case}"' in source or not case, f"{file}::{name} has no case {case}"


def test_every_property_has_a_row():
    """The executor's properties; a row of the page may name several."""
    page = PAGE.read_text()
    for name in ("Name", "Description", "Stage Library", "Produce Events", "Required Fields", "Preconditions",
                 "On Record Error", "Cluster Base URL", "Use Proxy", "Job Type", "Job ID", "Parameters",
                 "Credential Type", "Username", "Password", "Token", "Proxy URI", "Use TLS", "Use Remote Keystore",
                 "Private Key", "Certificate Chain", "Keystore File", "Keystore Type", "Keystore Password",
                 "Keystore Key Algorithm", "Use Remote Truststore", "Trusted Certificates", "Truststore File",
                 "Truststore Type", "Truststore Password", "Truststore Trust Algorithm", "Use Default Protocols",
                 "Transport Protocols", "Use Default Cipher Suites", "Cipher Suites"):
        assert re.search(rf"^\|[^|]*\b{re.escape(name)}\b[^|]*\|", page, re.M), f"{name} has no row"
