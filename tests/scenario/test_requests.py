"""What is sent: templates, kinds of parameters, and what counts as a new version."""

import datetime
import json
import os
import shutil
import subprocess

import pytest

import harness
from harness import JOB, REMOTE, TASKS, put, text
from jobsapi import Job, JobsApi

TEMPLATES = {
    "path": "{drop}/in/a.b.csv", "uri": REMOTE + "/drop/in/a.b.csv", "relpath": "in/a.b.csv", "name": "a.b.csv",
    "stem": "a.b", "ext": "csv", "dir": "{drop}/in", "dir_uri": REMOTE + "/drop/in", "element:-1": "a.b.csv",
    "element:-2": "in", "size": "{size}", "mtime_ms": "1600000000123", "watch": "drop", "job_id": str(JOB),
    "type": "text/csv", "host": "{host}",
}


def test_every_name_of_a_template(service):
    names = {f"t{n}": name for n, name in enumerate(TEMPLATES)}
    keys = {f"param.{key}": f"<${{{name}}}>" for key, name in names.items()}
    keys.update({"param.mtime": "${mtime}", "param.now": "${now}", "param.token": "${token}", "param.dollar": "$$x"})
    s = service(api=JobsApi({JOB: [k.removeprefix("param.") for k in keys]}), **keys)
    data = text("a", 10)
    put(s.outside / "a.b.csv", data)
    os.utime(s.outside / "a.b.csv", ns=(0, 1600000000123456789))
    (s.drop / "in").mkdir()
    os.rename(s.outside / "a.b.csv", s.drop / "in" / "a.b.csv")
    s.start()
    s.wait_runs(1)
    s.stop()
    found = dict(s.api.runs[0].parameters)
    for key, name in names.items():
        wanted = TEMPLATES[name].format(drop=s.drop, size=len(data), host=f"127.0.0.1:{s.api.port}")
        assert found[key] == f"<{wanted}>", name
    assert found["mtime"].startswith("2020-09-13T12:26:40.123") and found["mtime"].endswith("Z")
    now = datetime.datetime.fromisoformat(found["now"].replace("Z", "+00:00"))
    assert abs(datetime.datetime.now(datetime.timezone.utc) - now) < datetime.timedelta(minutes=5)
    assert found["token"] == s.api.runs[0].token and found["dollar"] == "$x"


@pytest.mark.parametrize("keys, body", [
    ({}, {"job_parameters": {"path": "URI"}, "queue": {"enabled": True}}),
    ({"queue": "no"}, {"job_parameters": {"path": "URI"}}),
    ({"job_type": "notebook", "param.in": "${uri}"}, {"notebook_params": {"in": "URI"}, "queue": {"enabled": True}}),
    ({"job_type": "jar"}, {"jar_params": ["URI"], "queue": {"enabled": True}}),
    ({"job_type": "jar", "arg": ["--in", "${uri}", "--size=${size}"]},
     {"jar_params": ["--in", "URI", "--size=SIZE"], "queue": {"enabled": True}}),
    ({"job_type": "python"}, {"python_params": ["URI"], "queue": {"enabled": True}}),
    ({"job_type": "python", "arg": ["--in", "${uri}", '""'], "queue": "no"}, {"python_params": ["--in", "URI", ""]}),
    ({"job_type": "wheel"}, {"python_named_params": {"path": "URI"}, "queue": {"enabled": True}}),
    ({"job_type": "wheel", "param.in": "${uri}", "param.n": "${size}"},
     {"python_named_params": {"in": "URI", "n": "SIZE"}, "queue": {"enabled": True}}),
    ({"job_type": "wheel", "arg": ["--in", "${uri}"]}, {"python_params": ["--in", "URI"], "queue": {"enabled": True}}),
    ({"job_type": "spark_submit", "arg": ["--class", "a.B", "s3://jars/x.jar", "${uri}"]},
     {"spark_submit_params": ["--class", "a.B", "s3://jars/x.jar", "URI"], "queue": {"enabled": True}}),
    ({"job_type": "sql", "param.in": "${uri}"}, {"sql_params": {"in": "URI"}, "queue": {"enabled": True}}),
    ({"only": ["load, +tell", "end+"]},
     {"job_parameters": {"path": "URI"}, "only": ["load", "+tell", "end+"], "queue": {"enabled": True}}),
    ({"performance_target": "STANDARD"},
     {"job_parameters": {"path": "URI"}, "performance_target": "STANDARD", "queue": {"enabled": True}}),
])
def test_kinds_of_parameters(service, keys, body):
    kind = TASKS[keys.get("job_type", "job")]
    tasks = [{"task_key": key, kind: {}} for key in ("load", "tell", "end")]
    job = Job(JOB, ["path"] if "job_type" not in keys else [], settings={"tasks": tasks})
    s = service(api=JobsApi([job]), **keys).start()
    data = text("a")
    s.put("a.csv", data)
    s.wait_runs(1)
    s.stop()

    def fill(shape):
        if isinstance(shape, dict):
            return {k: fill(v) for k, v in shape.items()}
        if isinstance(shape, list):
            return [fill(v) for v in shape]
        return shape.replace("URI", f"{REMOTE}/drop/a.csv").replace("SIZE", str(len(data))) \
            if isinstance(shape, str) else shape
    run = s.api.runs[0]
    assert run.body == {"job_id": JOB, "idempotency_token": run.token, **fill(body)}


@pytest.mark.parametrize("job_id", [1, 9007199254740993, 9223372036854775807])
def test_ids_are_exact_to_the_last_digit(service, job_id):
    ids = [9223372036854775807, 9007199254740993, 1, 1000000000000000]
    s = service(job_id=job_id, api=JobsApi({job_id: ["path"]}, run_ids=ids)).start()
    for n in range(4):
        s.wait_event("run.started", path=s.put(f"{n}.csv"))
    s.stop()
    assert [e["run_id"] for e in s.events("run.started")] == ids
    assert {e["job_id"] for e in s.events("run.started")} == {job_id}
    raw = s.log.read_text()
    for number in [*ids, job_id]:
        assert f":{number}," in raw
    assert s.verb("events", "--json", "--run", ids[0]).out.count("\n") == 1


@pytest.mark.parametrize("rule, expected", [("size+mtime", [True, True]), ("size", [False, True]),
                                            ("name", [False, False])])
def test_what_makes_a_version(service, rule, expected):
    """The same size with another content and time, then another size."""
    s = service(version=rule).start()
    path = s.put("a.csv", text("one"))
    s.wait_run(path)
    count = 1
    for content, is_new in zip((text("two"), text("three more")), expected):
        put(path, content)
        count += is_new
        s.wait_run(path, count)
        s.barrier()
        assert len(s.runs_of(path)) == count
    s.stop()
    s.check_started()


def test_parameters_too_long_for_an_older_field(service):
    """10,000 bytes for notebook_params: a dead letter with the reason, and the next one goes on."""
    s = service(job_type="notebook", api=JobsApi({JOB: []}), **{f"param.p{n}": "${uri}" for n in range(60)}).start()
    long, short = s.put("l" * 200 + ".csv"), s.put("s.csv")
    event = s.wait_event("start.failed", path=long)[0]
    assert event["reason"] == "parameters_too_long" and "10" in event["message"]
    s.wait_runs(1)
    s.stop()
    assert [e["path"] for e in s.events("run.started")] == [short]


@pytest.mark.parametrize("job_type", ["python", "spark_submit", "wheel"])
def test_a_name_that_is_not_ascii_in_a_field_that_must_be(service, job_type):
    """A dead letter with the reason before anything is sent; the next file goes on."""
    s = service(job_type=job_type, arg="${uri}", api=JobsApi([Job(JOB, task_type=TASKS[job_type])])).start()
    odd, plain = s.put("für.csv"), s.put("plain.csv")
    event = s.wait_event("start.failed", path=odd)[0]
    assert event["reason"] == "parameter_not_ascii" and "ASCII" in event["message"]
    s.wait_event("run.started", path=plain)
    s.stop()
    assert len(s.api.sent("run-now")) == 1


@pytest.mark.parametrize("job_type, field", [("jar", "jar_params"), ("python", "python_params"),
                                             ("spark_submit", "spark_submit_params")])
def test_the_limit_is_met_to_the_byte(service, job_type, field):
    """10,000 bytes of JSON with the field's name: the last that fits is sent, one more is not."""
    def size(values):
        return len(json.dumps({field: [*values, f"{REMOTE}/drop/a.csv"]}, separators=(",", ":")))
    values = ["x" * 150] * 63
    for n in range(10000 - size(values)):
        values[n % len(values)] += "y"
    assert size(values) == 10000
    s = service(job_type=job_type, arg=[*values, "${uri}"], api=JobsApi([Job(JOB, task_type=TASKS[job_type])])).start()
    s.wait_event("run.started", path=s.put("a.csv"))
    event = s.wait_event("start.failed", path=s.put("aa.csv"))[0]
    s.stop()
    assert event["reason"] == "parameters_too_long" and event["attempts"] == 0 and "10001 bytes" in event["message"]
    assert len(s.api.sent("run-now")) == 1


# --- HTTPS ------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def certificates():
    """Two certificate authorities' worth of self-signed certificates for 127.0.0.1: {name: (certificate, key)}."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl here")
    folder = harness.make_folder()
    made = {}
    for name, subject in (("good", "IP:127.0.0.1"), ("other", "IP:127.0.0.1"), ("name", "DNS:databricks.example")):
        made[name] = (str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={subject}",
                        "-keyout", made[name][1], "-out", made[name][0]], check=True, stderr=subprocess.DEVNULL)
    yield made
    harness.remove(folder)


def test_https(service, certificates):
    s = service(api=JobsApi({JOB: ["path"]}, tls=certificates["good"]),
                workspace={"ca_file": certificates["good"][0]}).start()
    paths = [s.put(f"{n}.csv") for n in range(10)]
    s.wait_runs(10)
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))
    s.check_started()
    assert s.api.url.startswith("https://") and s.api.tls_failures == 0


@pytest.mark.parametrize("shown", ["other", "name"])
def test_a_certificate_that_is_not_to_be_trusted(service, certificates, shown):
    """Of another authority, or of another host: nothing is sent, nothing is lost."""
    ca = certificates["good" if shown == "other" else "name"][0]
    s = service(api=JobsApi({JOB: ["path"]}, tls=certificates[shown]), workspace={"ca_file": ca}).start()
    s.put("a.csv")
    detail = s.wait_event("workspace.suspended")[0]["detail"]
    assert ("is signed by nobody in ca_file" if shown == "other" else "is for another name") in detail
    assert detail.removeprefix("unreachable: ").partition(" (")[0] in s.err()
    s.stop()
    assert s.api.requests == [] and s.api.runs == []
    assert s.events("start.failed") == []
