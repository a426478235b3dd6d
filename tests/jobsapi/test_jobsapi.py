"""Self-tests of the stand-in: every rule it enforces and every fault it can commit, over real HTTP."""

import base64
import hashlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode

import pytest

import jobsapi_faults
from jobsapi import Job, JobsApi
from jobsapi_faults import ANSWERS, SENDERS
from jobsapi_rules import MAX_BODY_BYTES, NOT_WITH_JOB_PARAMETERS

JOB = 418823550071934
PLAIN_JOB = 9223372036854775807
RUN_NOW = "/api/2.2/jobs/run-now"
TOKEN = "stand-in-token"


class Client:
    """A keep-alive client of the stand-in; answer is (status, headers, body bytes)."""
    opened = []

    def __init__(self, api, token=TOKEN, context=None):
        kind = http.client.HTTPSConnection if context else http.client.HTTPConnection
        self.connection = kind("127.0.0.1", api.port, timeout=10, **({"context": context} if context else {}))
        self.token = token
        Client.opened.append(self.connection)

    def send(self, method, target, body=None, **headers):
        fields = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            fields["Content-Type"] = "application/json"
        fields.update({name.replace("_", "-"): value for name, value in headers.items()})
        self.connection.request(method, target, body, {n: v for n, v in fields.items() if v is not None})
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def get(self, target):
        status, _, body = self.send("GET", target)
        return status, json.loads(body)

    def post(self, body, target=RUN_NOW):
        """POST of a JSON shape, or of bytes as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        status, _, answer = self.send("POST", target, raw)
        return status, json.loads(answer)

    def control(self, method, name, shape=None):
        status, _, body = self.send(method, f"/_control/{name}", shape and json.dumps(shape))
        return status, json.loads(body)


@pytest.fixture(autouse=True)
def no_open_connections():
    yield
    while Client.opened:
        Client.opened.pop().close()


@pytest.fixture
def api():
    jobs = [Job(JOB, ["input_path", "source"]), Job(PLAIN_JOB)]
    with JobsApi(jobs) as api:
        yield api


@pytest.fixture
def client(api):
    return Client(api)


def run_of(token="t", **fields):
    return {"job_id": JOB, "idempotency_token": token, **fields}


def refused(answer, status, code, words=""):
    assert (answer[0], answer[1].get("error_code")) == (status, code), answer
    assert words in answer[1]["message"]
    return True


# --- run-now: the good path and the record ----------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["2.1", "2.2"])
def test_run_now_starts_a_run_and_records_the_request(api, client, version):
    body = run_of("tok-1", queue={"enabled": True}, job_parameters={"input_path": "/v/ä b.csv", "source": "gw"})
    status, answer = client.post(body, f"/api/{version}/jobs/run-now")
    assert status == 200 and answer["run_id"] == answer["number_in_job"]
    (run,), (request,) = api.runs, api.requests
    assert (run.run_id, run.job_id, run.token) == (answer["run_id"], JOB, "tok-1")
    assert run.parameters == body["job_parameters"] and run.state == "TERMINATED"
    assert (request.method, request.path, request.status) == ("POST", f"/api/{version}/jobs/run-now", 200)
    assert request.body == json.dumps(body, ensure_ascii=False).encode() and request.json == body
    assert request.headers["authorization"] == f"Bearer {TOKEN}" and b"\r\nAuthorization: " in request.head
    assert request.run is run and request.fresh and abs(request.time - time.time()) < 10 and not request.findings


def test_run_ids_break_clients_that_use_doubles(api, client):
    ids = [client.post(run_of(str(n)))[1]["run_id"] for n in range(20)]
    assert len(set(ids)) == 20 and any(i > 2**62 for i in ids) and any(2**53 < i < 2**54 for i in ids)
    assert ids[0] == 1234567890123450 and any(float(i) != i for i in ids)


def test_run_ids_and_number_in_job_can_be_chosen():
    with JobsApi({JOB: []}, run_ids=[7, 8], number_in_job=False) as api:
        client = Client(api)
        assert [client.post(run_of(str(n)))[1] for n in range(2)] == [{"run_id": 7}, {"run_id": 8}]
        assert api.requests[0].run_id == 7 and "POST" in repr(api.requests[0])


def test_a_run_id_is_never_handed_out_twice():
    api = JobsApi({JOB: []}, run_ids=[7, 7]).start()
    client = Client(api)
    assert client.post(run_of("a"))[0] == 200 and raw(client, run_of("b"))[0] == 500 and len(api.runs) == 1
    with pytest.raises(RuntimeError, match="run id 7 was handed out twice"):
        api.stop()


# --- run-now: what is refused -----------------------------------------------------------------------------------------

def test_no_credential_is_401(api, client):
    client.token = None
    assert refused(client.post(run_of()), 401, 401, "Credential was not sent")
    assert not api.runs and api.requests[0].error_code == 401


@pytest.mark.parametrize("status", [401, 403])
def test_unknown_token_is_401_or_403(api, client, status):
    client.token, api.auth.invalid_status = "another", status
    assert refused(client.post(run_of()), status, status, "Invalid access token.")


def test_basic_is_taken_only_where_it_is_configured(api, client):
    client.token = None
    basic = "Basic " + base64.b64encode(b"anna:p:w").decode()
    assert client.send("POST", RUN_NOW, json.dumps(run_of()), Authorization=basic)[0] == 401
    api.auth.basic["anna"] = "p:w"
    assert client.send("POST", RUN_NOW, json.dumps(run_of()), Authorization=basic)[0] == 200
    assert client.send("POST", RUN_NOW, json.dumps(run_of()), Authorization=basic[:-4] + "AAAA")[0] == 401
    assert api.requests[1].principal == "anna"


@pytest.mark.parametrize("kind, status", [("application/json; charset=utf-8", 200), ("Application/JSON", 200),
                                          ("text/plain", 400), ("application/x-www-form-urlencoded", 400), (None, 400)])
def test_content_type(client, kind, status):
    assert client.send("POST", RUN_NOW, json.dumps(run_of()), Content_Type=kind)[0] == status


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'"x"', b'{"job_id":1}x', b'{"job_id":1,}', b'{"job_id":1,"job_id":1}',
    b'{"job_id":NaN}', b'{"only":["\xff"]}', b'\xef\xbb\xbf{"job_id":1}', b'{"only":["\\ud800"]}',
    b'{"only":["a\nb"]}', b'{"only":' + b"[" * 100000, b"{'job_id':1}",
], ids=lambda value: repr(value)[:40])
def test_malformed_body(api, client, body):
    assert refused(client.post(body), 400, "MALFORMED_REQUEST")
    assert not api.runs


def test_escapes_in_json_are_understood(api, client):
    body = b'{"job_id":%d,"job_p\\u0061rameters":{"input_path":"\\ud83d\\ude00 \\"\\\\"}}' % JOB
    assert client.post(body)[0] == 200 and api.runs[0].parameters == {"input_path": '\U0001f600 "\\'}


@pytest.mark.parametrize("text, code", [
    ("1e+15", "MALFORMED_REQUEST"), ("1.0", "MALFORMED_REQUEST"), ('"418823550071934"', "MALFORMED_REQUEST"),
    ("true", "MALFORMED_REQUEST"), ("null", "MALFORMED_REQUEST"), ("9223372036854775808", "MALFORMED_REQUEST"),
    ("1" * 5000, "MALFORMED_REQUEST"), ("0", "INVALID_PARAMETER_VALUE"), ("-5", "INVALID_PARAMETER_VALUE"),
], ids=lambda value: value[:25])
def test_job_id_must_be_a_plain_int64(client, text, code):
    assert refused(client.post(f'{{"job_id":{text}}}'.encode()), 400, code, "job_id")


def test_job_id_is_required_and_all_its_bits_count(api, client):
    assert refused(client.post({}), 400, "INVALID_PARAMETER_VALUE", "job_id")
    assert refused(client.post({"job_id": PLAIN_JOB - 1}), 400, "INVALID_PARAMETER_VALUE",
                   f"Job {PLAIN_JOB - 1} does not exist.")
    assert client.post({"job_id": PLAIN_JOB})[0] == 200 and api.runs[0].job_id == PLAIN_JOB


def test_missing_job_can_be_404(api, client):
    api.missing_job = 404
    assert refused(client.post({"job_id": 5}), 404, "RESOURCE_DOES_NOT_EXIST", "Job 5 does not exist.")
    assert refused(client.get("/api/2.2/jobs/get?job_id=5"), 404, None, "Job 5 does not exist.")


def test_permission_on_the_job(api, client):
    api.add_job(5, permission="CAN_VIEW")
    api.add_job(6, permission=None)
    assert refused(client.post({"job_id": 5}), 403, "PERMISSION_DENIED", "permissions on job 5")
    assert refused(client.post({"job_id": 6}), 403, "PERMISSION_DENIED", "permissions on job 6")
    assert client.get("/api/2.2/jobs/get?job_id=5")[0] == 200
    assert refused(client.get("/api/2.2/jobs/get?job_id=6"), 403, "PERMISSION_DENIED")


@pytest.mark.parametrize("token, code", [
    ("x" * 64, None), ("ä" * 64, None), ("x" * 65, "INVALID_PARAMETER_VALUE"), (5, "MALFORMED_REQUEST"),
    (["x"], "MALFORMED_REQUEST"), (None, "MALFORMED_REQUEST"),
])
def test_idempotency_token(client, token, code):
    answer = client.post(run_of(token))
    assert answer[0] == 200 if code is None else refused(answer, 400, code, "idempotency_token")


VALUES = {"notebook_params": {"a": "b"}, "python_named_params": {"a": "b"}, "sql_params": {"a": "b"},
          "jar_params": ["a"], "python_params": ["a"], "spark_submit_params": ["a"], "dbt_commands": ["dbt run"],
          "pipeline_params": {"full_refresh": True, "refresh_selection": ["a"]}}


@pytest.mark.parametrize("field", VALUES)
def test_job_parameters_with_a_legacy_field(client, field):
    answer = client.post({"job_id": PLAIN_JOB, "job_parameters": {}, field: VALUES[field]})
    if field in NOT_WITH_JOB_PARAMETERS:
        assert refused(answer, 400, "INVALID_PARAMETER_VALUE",
                       f"job_parameters can not be used in combination with {field}")
    else:
        assert answer[0] == 200


def test_notebook_with_jar_parameters(client):
    answer = client.post({"job_id": PLAIN_JOB, "notebook_params": {}, "jar_params": []})
    assert refused(answer, 400, "INVALID_PARAMETER_VALUE", "notebook_params can not be used in combination")


@pytest.mark.parametrize("field", VALUES)
def test_legacy_field_alone_reaches_the_run(api, client, field):
    status, answer = client.post({"job_id": PLAIN_JOB, field: VALUES[field]})
    shape = client.get(f"/api/2.2/jobs/runs/get?run_id={answer['run_id']}")[1]
    assert status == 200 and shape["overriding_parameters"] == {field: VALUES[field]}
    assert api.runs[0].parameters == VALUES[field] and api.runs[0].slots == {field: VALUES[field]}


@pytest.mark.parametrize("field", ["notebook_params", "jar_params", "python_params", "spark_submit_params"])
def test_legacy_field_is_limited_with_its_name(client, field):
    empty = {"p": ""} if field == "notebook_params" else [""]
    room = 10000 - len(json.dumps({field: empty}, separators=(",", ":")))
    for size, status in ((room, 200), (room + 1, 400)):
        value = {"p": "x" * size} if field == "notebook_params" else ["x" * size]
        body = json.dumps({field: value, "job_id": PLAIN_JOB}, separators=(",", ":")).encode()
        assert client.post(body)[0] == status


def test_limit_counts_the_bytes_as_sent(client):
    body = {"job_id": PLAIN_JOB, "only": ['a"}', "\\"], "notebook_params": {"p": "ä" * 4000}}
    assert client.post(json.dumps(body, ensure_ascii=False).encode())[0] == 200
    assert refused(client.post(json.dumps(body).encode()), 400, "INVALID_PARAMETER_VALUE", "10000 bytes")


def test_other_fields_have_no_such_limit(client):
    assert client.post(run_of(job_parameters={"source": "x" * 20000}))[0] == 200
    assert client.post({"job_id": PLAIN_JOB, "python_named_params": {"p": "x" * 20000}})[0] == 200


@pytest.mark.parametrize("field", ["python_params", "spark_submit_params"])
def test_ascii_only(client, field):
    assert refused(client.post({"job_id": PLAIN_JOB, field: ["ä"]}), 400, "INVALID_PARAMETER_VALUE", "ASCII")
    assert client.post({"job_id": PLAIN_JOB, "jar_params": ["ä"]})[0] == 200


@pytest.mark.parametrize("fields, found", [
    ({"job_parameters": {"input_path": 5}}, "Expected string for field job_parameters.input_path, found NUMBER"),
    ({"job_parameters": {"input_path": None}}, "found NULL"), ({"job_parameters": {"input_path": 1.5}}, "found NUMBER"),
    ({"job_parameters": ["a"]}, "Expected object for field job_parameters, found ARRAY"),
    ({"notebook_params": "a"}, "Expected object for field notebook_params, found STRING"),
    ({"jar_params": {"a": "b"}}, "Expected array for field jar_params, found OBJECT"),
    ({"python_params": [True]}, "found BOOLEAN"), ({"only": "a"}, "found STRING"), ({"only": [1]}, "found NUMBER"),
    ({"queue": True}, "Expected object for field queue"), ({"queue": {"enabled": "yes"}}, "Expected boolean"),
    ({"queue": {"enabled": True, "size": 1}}, "unknown field queue.size"), ({"performance_target": 1}, "string"),
    ({"pipeline_params": []}, "object"), ({"pipeline_params": {"full_refresh": 1}}, "boolean"),
    ({"pipeline_params": {"x": 1}}, "unknown field pipeline_params.x"),
    ({"job_params": {}}, "unknown field job_params"),
    ({"Queue": {"enabled": True}}, "unknown field Queue"), ({"dbt_commands": [1]}, "string"),
])
def test_shapes(api, client, fields, found):
    assert refused(client.post({"job_id": PLAIN_JOB, **fields}), 400, "MALFORMED_REQUEST", found)
    assert not api.runs


@pytest.mark.parametrize("fields, found", [
    ({"queue": {}}, "queue.enabled"), ({"performance_target": "FAST"}, "performance_target must be one of"),
    ({"dbt_commands": ["rm x"]}, "start with dbt"), ({"dbt_commands": ["dbt run"] * 11}, "at most 10"),
    ({"job_parameters": {"a b": "x"}}, "may hold only letters"),
])
def test_values(client, fields, found):
    assert refused(client.post({"job_id": PLAIN_JOB, **fields}), 400, "INVALID_PARAMETER_VALUE", found)


@pytest.mark.parametrize("fields", [
    {"queue": {"enabled": False}}, {"only": ["+a", "b+", "+c+"]}, {"only": []},
    {"performance_target": "STANDARD"}, {"performance_target": "PERFORMANCE_OPTIMIZED"},
])
def test_accepted_fields(client, fields):
    assert client.post(run_of(**fields))[0] == 200


def test_undefined_parameter_names_are_reported(api, client):
    body = run_of(job_parameters={"input_path": "a", "inputpath": "b"})
    assert refused(client.post(body), 400, "INVALID_PARAMETER_VALUE", "does not define the parameter 'inputpath'")
    assert not api.runs and "inputpath" in api.requests[0].findings[0]
    api.lenient = True
    assert client.post(body)[0] == 200 and "inputpath" in api.requests[1].findings[0]


def test_legacy_field_for_a_job_with_parameters(api, client):
    assert refused(client.post(run_of(notebook_params={"input_path": "a"})), 400, "INVALID_PARAMETER_VALUE",
                   "defines job parameters")


def test_oddities_are_findings(api, client):
    client.post({"job_id": JOB, "job_parameters": {"input_path": "a{{job.id}}.csv"}})
    assert len(api.requests[0].findings) == 2 and "{{" in api.requests[0].findings[1]


# --- runs -------------------------------------------------------------------------------------------------------------

def test_one_run_per_token(api, client):
    first = client.post(run_of("a", job_parameters={"source": "1"}))[1]["run_id"]
    assert client.post(run_of("a", job_parameters={"source": "2"}))[1]["run_id"] == first
    assert client.post(run_of("b"))[1]["run_id"] != first
    assert len(api.runs) == 2 and api.runs[0].answers == 2 and api.runs[0].parameters == {"source": "1"}
    assert [r.fresh for r in api.requests] == [True, False, True]


def test_without_a_token_every_request_is_a_run(api, client):
    for token in ({}, {}, {"idempotency_token": ""}, {"idempotency_token": ""}):
        client.post({"job_id": JOB, **token})
    assert len(api.runs) == 4 and api.runs[3].token is None


def test_simultaneous_requests_with_one_token_give_one_run(api):
    barrier, answers = threading.Barrier(16), []

    def post(n):
        client = Client(api)
        barrier.wait()
        answers.append((n % 2, client.post(run_of(f"token {n % 2}"))[1]["run_id"]))

    threads = [threading.Thread(target=post, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(api.runs) == 2 and len(answers) == 16 and len(set(answers)) == 2


def test_token_of_a_deleted_run_is_refused(api, client):
    run_id = client.post(run_of("a"))[1]["run_id"]
    api.delete_run(run_id)
    assert refused(client.post(run_of("a")), 400, "INVALID_PARAMETER_VALUE", "was deleted")
    assert refused(client.get(f"/api/2.2/jobs/runs/get?run_id={run_id}"), 400, "INVALID_PARAMETER_VALUE",
                   f"Run {run_id} does not exist.")
    assert len(api.runs) == 1


def states(api, client):
    shapes = [client.get(f"/api/2.2/jobs/runs/get?run_id={run.run_id}")[1] for run in api.runs]
    return [(s["status"]["state"], s["state"]["life_cycle_state"]) for s in shapes]


def test_surplus_runs_are_queued_and_start_in_turn(api, client):
    api.add_job(5, auto_finish=False, max_concurrent_runs=2)
    ids = [client.post({"job_id": 5, "idempotency_token": str(n)})[1]["run_id"] for n in range(4)]
    assert states(api, client) == [("RUNNING", "RUNNING")] * 2 + [("QUEUED", "QUEUED")] * 2
    queued = client.get(f"/api/2.1/jobs/runs/get?run_id={ids[3]}")[1]
    assert queued["status"]["queue_details"]["code"] == "MAX_CONCURRENT_RUNS_REACHED"
    api.finish_run(ids[1])
    assert [s[0] for s in states(api, client)] == ["RUNNING", "TERMINATED", "RUNNING", "QUEUED"]
    api.finish_run(ids[3], "CANCELED")
    assert [run.state for run in api.runs] == ["RUNNING", "TERMINATED", "RUNNING", "TERMINATED"]
    with pytest.raises(Exception, match="is TERMINATED"):
        api.finish_run(ids[3])


@pytest.mark.parametrize("job, request_queue, code", [
    (Job(5, auto_finish=False, queue=False), None, "MAX_CONCURRENT_RUNS_EXCEEDED"),
    (Job(5, auto_finish=False), False, "MAX_CONCURRENT_RUNS_EXCEEDED"),
    (Job(5, auto_finish=False, queue_size=0), None, "MAX_JOB_QUEUE_SIZE_EXCEEDED"),
    (Job(5, max_concurrent_runs=0), True, "MAX_CONCURRENT_RUNS_EXCEEDED"),
])
def test_surplus_runs_are_skipped(api, client, job, request_queue, code):
    api.add_job(job)
    queue = {} if request_queue is None else {"queue": {"enabled": request_queue}}
    for token in "ab":
        answer = client.post({"job_id": 5, "idempotency_token": token, **queue})
        assert answer[0] == 200
    shape = client.get(f"/api/2.2/jobs/runs/get?run_id={answer[1]['run_id']}")[1]
    assert shape["status"]["termination_details"]["code"] == code
    assert shape["state"]["life_cycle_state"] == api.runs[1].state == "SKIPPED"
    assert shape["state"]["result_state"] == "MAXIMUM_CONCURRENT_RUNS_REACHED"
    assert client.post({"job_id": 5, "idempotency_token": "b"})[1] == answer[1]


def test_request_can_turn_the_queue_on(api, client):
    api.add_job(5, auto_finish=False, queue=False)
    for token in "ab":
        client.post({"job_id": 5, "idempotency_token": token, "queue": {"enabled": True}})
    assert [run.state for run in api.runs] == ["RUNNING", "QUEUED"]


def test_runs_get_shows_both_views_and_parameters(api, client):
    api.add_job(5, {"p": "default", "q": "d"}, auto_finish=False)
    run_id = client.post({"job_id": 5, "job_parameters": {"p": "x"}})[1]["run_id"]
    api.finish_run(run_id, "FAILED", "no such file")
    status, shape = client.get(f"/api/2.2/jobs/runs/get?run_id={run_id}")
    assert status == 200 and shape["run_id"] == run_id and shape["trigger"] == "ONE_TIME"
    assert shape["status"] == {"state": "TERMINATED", "termination_details": {
        "code": "RUN_EXECUTION_ERROR", "type": "CLIENT_ERROR", "message": "no such file"}}
    assert (shape["state"]["life_cycle_state"], shape["state"]["result_state"]) == ("INTERNAL_ERROR", "FAILED")
    assert shape["job_parameters"] == [{"name": "p", "default": "default", "value": "x"},
                                       {"name": "q", "default": "d", "value": "d"}]
    assert shape["run_page_url"].endswith(f"/jobs/5/runs/{run_id}")


@pytest.mark.parametrize("query", ["", "?run_id=", "?run_id=1e15", "?run_id=-1", "?run_id=1&run_id=2",
                                   "?run_id=9223372036854775808", "?run_id=77"])
def test_runs_get_of_no_run(client, query):
    assert refused(client.get(f"/api/2.2/jobs/runs/get{query}"), 400, "INVALID_PARAMETER_VALUE")


# --- jobs -------------------------------------------------------------------------------------------------------------

def test_jobs_get_shows_what_a_start_up_check_needs(api, client):
    api.add_job(5, {"p": "x"}, name="ingest", max_concurrent_runs=7, queue=False, task_type="spark_jar_task",
                settings={"continuous": {"pause_status": "UNPAUSED"}})
    status, shape = client.get("/api/2.2/jobs/get?job_id=5")
    settings = shape["settings"]
    assert status == 200 and shape["job_id"] == 5 and settings["name"] == "ingest"
    assert settings["max_concurrent_runs"] == 7 and settings["queue"] == {"enabled": False}
    assert settings["parameters"] == [{"name": "p", "default": "x"}] and "spark_jar_task" in settings["tasks"][0]
    assert settings["format"] == "MULTI_TASK" and settings["continuous"] == {"pause_status": "UNPAUSED"}
    assert refused(client.get("/api/2.2/jobs/get?job_id=99"), 400, "INVALID_PARAMETER_VALUE", "Job 99 does not exist.")


def test_jobs_get_pages_arrays_at_100(api, client):
    api.add_job(5, ["p"], task_count=250)
    api.add_job(6, task_count=100)
    assert len(client.get("/api/2.1/jobs/get?job_id=6")[1]["settings"]["tasks"]) == 100
    pages, target = [], "/api/2.2/jobs/get?job_id=5"
    while target:
        shape = client.get(target)[1]
        pages.append((len(shape["settings"]["tasks"]), len(shape["settings"]["parameters"])))
        following = shape.get("next_page_token")
        target = following and f"/api/2.2/jobs/get?job_id=5&page_token={following}"
    assert pages == [(100, 1), (100, 0), (50, 0)]
    assert refused(client.get("/api/2.1/jobs/get?job_id=5"), 400, "INVALID_PARAMETER_VALUE", "API 2.2 and above")
    assert refused(client.get("/api/2.2/jobs/get?job_id=5&page_token=x"), 400, "INVALID_PARAMETER_VALUE", "page_token")


def test_settings_and_the_older_shape(api, client):
    task = {"task_key": "t", "spark_jar_task": {"parameters": ["{{job.parameters.p}}"]}}
    api.add_job(5, settings={"tasks": [task], "queue": None, "schedule": {"quartz_cron_expression": "0 0 * * * ?"}})
    settings = client.get("/api/2.2/jobs/get?job_id=5")[1]["settings"]
    assert settings["tasks"] == [task] and "queue" not in settings and "schedule" in settings
    old = client.get("/api/2.0/jobs/get?job_id=5")[1]["settings"]
    assert "tasks" not in old and old["spark_jar_task"] == task["spark_jar_task"] and old["format"] == "SINGLE_TASK"
    api.add_job(6, task_count=2)
    assert refused(client.get("/api/2.0/jobs/get?job_id=6"), 400, "INVALID_PARAMETER_VALUE", "several tasks")


@pytest.mark.parametrize("version, field, value, good", [
    ("2.0", "jar_params", ["a"], True), ("2.0", "job_parameters", {"input_path": "a"}, False),
    ("2.0", "sql_params", {"a": "b"}, False), ("2.1", "sql_params", {"a": "b"}, True),
    ("2.1", "only", ["t"], False), ("2.2", "only", ["t"], True), ("2.1", "performance_target", "STANDARD", False)])
def test_fields_came_with_versions(client, version, field, value, good):
    answer = client.post({"job_id": PLAIN_JOB, field: value}, f"/api/{version}/jobs/run-now")
    assert answer[0] == 200 if good else refused(answer, 400, "MALFORMED_REQUEST", f"unknown field {field}")


def test_jobs_list(api, client):
    for number in range(1, 44):
        api.add_job(number, name=f"Job-{number}")
    api.add_job(44, permission=None)
    seen, target = [], "/api/2.2/jobs/list"
    while target:
        shape = client.get(target)[1]
        seen += [job["job_id"] for job in shape["jobs"]]
        target = f"/api/2.2/jobs/list?page_token={shape['next_page_token']}" if shape["has_more"] else None
    assert sorted(seen) == sorted([JOB, PLAIN_JOB, *range(1, 44)])
    shape = client.get("/api/2.1/jobs/list?name=job-7&expand_tasks=true&limit=100")[1]
    assert [job["job_id"] for job in shape["jobs"]] == [7] and shape["jobs"][0]["settings"]["tasks"]
    assert refused(client.get("/api/2.2/jobs/list?limit=101"), 400, "INVALID_PARAMETER_VALUE", "limit")


def test_me(api, client):
    status, headers, body = client.send("GET", "/api/2.0/preview/scim/v2/Me")
    assert status == 200 and headers["X-Databricks-Org-Id"] == api.org_id
    assert json.loads(body)["userName"] == api.auth.principal
    client.token = "another"
    assert client.send("GET", "/api/2.0/preview/scim/v2/Me")[0] == 403


@pytest.mark.parametrize("method, target", [
    ("GET", "/"), ("GET", RUN_NOW), ("POST", "/api/2.2/jobs/get"), ("POST", "/api/2.3/jobs/run-now"),
    ("POST", "/api/2.2/jobs/run-now/"), ("POST", "/api/2.2//jobs/run-now"), ("GET", "/api/2.2/jobs/delete"),
])
def test_anything_else_is_not_found(client, method, target):
    status, _, body = client.send(method, target)
    assert refused((status, json.loads(body)), 404, "ENDPOINT_NOT_FOUND", f"{method} {target}")


def test_credential_is_asked_for_only_beneath_api(client):
    client.token = None
    assert client.get("/x")[0] == 404 and client.get("/api/x")[0] == 401


# --- OAuth and expiry -------------------------------------------------------------------------------------------------

EXCHANGE = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "scope": "all-apis",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}
GRANT = {"grant_type": "client_credentials", "scope": "all-apis"}


class Clock:
    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now


@pytest.fixture
def oauth():
    clock = Clock()
    with JobsApi({JOB: []}, tokens=(), clients={"sp": "s3:cret"}, clock=clock) as api:
        api.now = clock
        yield api


def ask(api, form, user=None, kind="application/x-www-form-urlencoded"):
    client = Client(api, None)
    headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
    status, _, body = client.send("POST", "/oidc/v1/token", urlencode(form), Content_Type=kind, **headers)
    return status, json.loads(body)


def test_client_credentials(oauth):
    status, answer = ask(oauth, GRANT, "sp:s3:cret")
    assert status == 200 and answer["token_type"] == "Bearer" and answer["expires_in"] == 3600
    assert Client(oauth, answer["access_token"]).post(run_of())[0] == 200
    assert oauth.requests[-1].principal == "sp" and oauth.sent("/oidc/v1/token")[0].status == 200


@pytest.mark.parametrize("form, user, status, error", [
    (GRANT, None, 401, "invalid_client"), (GRANT, "sp:wrong", 401, "invalid_client"),
    (GRANT, "nobody:s3:cret", 401, "invalid_client"), (GRANT, "sp", 401, "invalid_client"),
    ({**GRANT, "client_id": "sp", "client_secret": "s3:cret"}, None, 401, "invalid_client"),
    ({"grant_type": "password", "scope": "all-apis"}, "sp:s3:cret", 400, "unsupported_grant_type"),
    ({"grant_type": "client_credentials"}, "sp:s3:cret", 400, "invalid_scope"),
    ({}, "sp:s3:cret", 400, "unsupported_grant_type"),
])
def test_token_endpoint_refuses(oauth, form, user, status, error):
    answer = ask(oauth, form, user)
    assert answer[0] == status and answer[1]["error"] == error and answer[1]["error_description"]


def test_token_endpoint_wants_a_form(oauth):
    assert ask(oauth, GRANT, "sp:s3:cret", "application/json")[1]["error"] == "invalid_request"
    assert ask(oauth, [*GRANT.items(), *GRANT.items()], "sp:s3:cret")[1]["error"] == "invalid_request"
    for body, basic in ((b"grant_type", "c3A6czM6Y3JldA=="), (b"\xff=x", "c3A6czM6Y3JldA=="),
                        (urlencode(GRANT).encode(), "c3A*"), (urlencode(GRANT).encode(), "/w==")):
        kind = "application/x-www-form-urlencoded"
        answer = Client(oauth, None).send("POST", "/oidc/v1/token", body, Content_Type=kind,
                                          Authorization="Basic " + basic)
        assert answer[0] in (400, 401)


def test_expires_in_as_a_string(oauth):
    oauth.auth.expires_in_as_string, oauth.auth.token_lifetime = True, 90
    assert ask(oauth, GRANT, "sp:s3:cret")[1]["expires_in"] == "90"


@pytest.mark.parametrize("form, words", [(401, "expired"), (403, "Invalid"), (400, "ExpiredJwtException")])
def test_access_token_expires(oauth, form, words):
    oauth.auth.expired_status = form
    client = Client(oauth, ask(oauth, GRANT, "sp:s3:cret")[1]["access_token"])
    oauth.now.now += 3599
    assert client.post(run_of())[0] == 200
    oauth.now.now += 1
    status, answer = client.post(run_of())
    assert status == form and words in answer["message"]
    client.token = ask(oauth, GRANT, "sp:s3:cret")[1]["access_token"]
    assert client.post(run_of())[0] == 200


def jwt(**claims):
    def part(shape):
        return base64.urlsafe_b64encode(json.dumps(shape).encode()).rstrip(b"=").decode()
    return f"{part({'alg': 'none'})}.{part(claims)}.c2ln"


def test_token_exchange_lives_as_long_as_the_jwt(oauth):
    subject = jwt(exp=int(oauth.now()) + 100)
    oauth.auth.federation[subject] = "app"
    form = {**EXCHANGE, "subject_token": subject, "client_id": "app"}
    status, answer = ask(oauth, form)
    assert status == 200 and 98 <= answer["expires_in"] <= 100
    assert Client(oauth, answer["access_token"]).post(run_of())[0] == 200
    assert ask(oauth, {**form, "subject_token": subject + "\n"})[1]["error"] == "invalid_grant"
    assert ask(oauth, {**form, "client_id": "other"})[1]["error"] == "invalid_grant"
    assert ask(oauth, {**form, "subject_token_type": "x"})[1]["error"] == "invalid_request"
    assert ask(oauth, form, "sp:s3:cret")[1]["error"] == "invalid_request"
    oauth.now.now += 101
    assert ask(oauth, form)[1]["error"] == "invalid_grant"


def test_account_wide_exchange_has_no_client_id(oauth):
    oauth.auth.federation.update({"opaque": None, "not.a.jwt": None, jwt(sub="x"): None})
    for subject in oauth.auth.federation:
        assert ask(oauth, {**EXCHANGE, "subject_token": subject})[1]["expires_in"] == 3600
    form = {**EXCHANGE, "subject_token": "opaque"}
    assert ask(oauth, form)[1]["expires_in"] == 3600
    assert ask(oauth, {**form, "client_id": "app"})[0] == 401


# --- Azure ------------------------------------------------------------------------------------------------------------

RESOURCE = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
ENTRA_FORM = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "x~y",
              "scope": f"{RESOURCE}/.default"}
METADATA = f"/metadata/identity/oauth2/token?api-version=2018-02-01&resource={RESOURCE}"


@pytest.fixture(name="azure")
def fixture_azure():
    clock = Clock()
    with JobsApi({JOB: []}, tokens=(), principals={("tenant", "app"): "x~y"}, identities=[None, "id"],
                 clock=clock) as api:
        api.now = clock
        yield api


def ask_entra(api, form, tenant="tenant", **headers):
    headers.setdefault("Content_Type", "application/x-www-form-urlencoded")
    status, _, body = Client(api, None).send("POST", f"/{tenant}/oauth2/v2.0/token", urlencode(form), **headers)
    return status, json.loads(body)


def ask_metadata(api, target=METADATA, **headers):
    status, _, body = Client(api, None).send("GET", target, **(headers or {"Metadata": "true"}))
    return status, json.loads(body)


def test_entra_hands_out_tokens(azure):
    status, answer = ask_entra(azure, ENTRA_FORM)
    assert status == 200 and answer["token_type"] == "Bearer" and answer["expires_in"] == 3599
    assert Client(azure, answer["access_token"]).post(run_of())[0] == 200
    azure.now.now += 3600
    assert Client(azure, answer["access_token"]).post(run_of())[0] == 401


@pytest.mark.parametrize("change, status, error, number", [
    ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
    ({"client_id": "nobody"}, 400, "unauthorized_client", 700016),
    ({"scope": "all-apis"}, 400, "invalid_scope", 1002012), ({"scope": RESOURCE}, 400, "invalid_scope", 1002012),
    ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
])
def test_entra_refuses(azure, change, status, error, number):
    answer = ask_entra(azure, {**ENTRA_FORM, **change})
    assert answer[0] == status and answer[1]["error"] == error and answer[1]["error_codes"] == [number]
    assert answer[1]["error_description"].startswith(f"AADSTS{number}: ")


def test_entra_wants_a_form_of_a_known_tenant(azure):
    assert ask_entra(azure, ENTRA_FORM, "elsewhere")[1]["error_codes"] == [90002]
    assert ask_entra(azure, ENTRA_FORM, Content_Type="application/json")[0] == 400
    assert ask_entra(azure, ENTRA_FORM, Authorization="Basic YXBwOng=")[0] == 400


def test_metadata_service_keeps_its_token(azure):
    first = ask_metadata(azure)[1]
    assert first["expires_in"] == "3599" and first["token_type"] == "Bearer"
    assert Client(azure, first["access_token"]).post(run_of())[0] == 200
    azure.now.now += 1000
    again = ask_metadata(azure)[1]
    assert again["access_token"] == first["access_token"] and again["expires_in"] == "2599"
    azure.now.now += 1000
    assert ask_metadata(azure)[1]["access_token"] != first["access_token"]
    assert ask_metadata(azure, METADATA + "&client_id=id")[1]["client_id"] == "id"


@pytest.mark.parametrize("target, headers, words", [
    (METADATA, {"Accept": "*/*"}, "metadata header"), (METADATA, {"Metadata": "True"}, "metadata header"),
    (METADATA, {"Metadata": "true", "X_Forwarded_For": "1.2.3.4"}, "metadata header"),
    (METADATA.replace("2018-02-01", "2017"), {}, "api-version"), (METADATA.replace(RESOURCE, "x"), {}, "AADSTS500011"),
    (METADATA + "&client_id=nobody", {}, "Identity not found"),
])
def test_metadata_service_refuses(azure, target, headers, words):
    status, answer = ask_metadata(azure, target, **headers)
    assert status == 400 and words in answer["error_description"]


def test_azure_is_there_only_where_it_is_configured(oauth):
    assert ask_entra(oauth, ENTRA_FORM)[0] == 404 and ask_metadata(oauth)[0] == 404


def test_client_authentication_is_decoded_and_single(oauth):
    oauth.auth.clients["a b"] = "s+/%"
    assert ask(oauth, GRANT, "a+b:s%2B%2F%25")[0] == 200
    assert ask(oauth, {**GRANT, "client_id": "sp"}, "sp:s3:cret")[1]["error"] == "invalid_request"


def test_discovery(oauth):
    shape = Client(oauth, None).get("/oidc/.well-known/oauth-authorization-server")[1]
    assert shape["token_endpoint"] == f"{oauth.url}/oidc/v1/token"


def test_static_token_can_expire_and_be_rotated(api, client):
    api.expire_tokens(status=403)
    assert client.post(run_of())[0] == 403
    api.add_token("second")
    client.token = "second"
    assert client.post(run_of())[0] == 200
    api.expire_tokens("second", status=400)
    assert client.post(run_of())[0] == 400
    api.add_token("second")
    assert client.post(run_of())[0] == 200


# --- faults -----------------------------------------------------------------------------------------------------------

def raw(client, body=None):
    """(status, headers, bytes) of a run-now."""
    return client.send("POST", RUN_NOW, json.dumps(body or run_of()))


@pytest.mark.parametrize("status, code", [(408, None), (409, "ABORTED"), (429, "REQUEST_LIMIT_EXCEEDED"),
                                          (500, "INTERNAL_ERROR"), (502, None), (503, "TEMPORARILY_UNAVAILABLE"),
                                          (504, "DEADLINE_EXCEEDED")])
def test_fault_status_once_before_any_run(api, client, status, code):
    fault = api.fault("status", status=status)
    assert refused(client.post(run_of()), status, code) and not api.runs
    assert api.requests[0].status == status and api.requests[0].fault == "status" and fault.hits == 1
    assert client.post(run_of())[0] == 200 and api.requests[1].fault is None


def test_fault_retry_after_in_every_form(api, client):
    for options in ({}, {"retry_after": 7}, {"retry_after": "soon"}, {"retry_date": 60}):
        api.fault("status", status=429, **options)
    found = [raw(client)[1]["Retry-After"] for _ in range(4)]
    assert found[:3] == [None, "7", "soon"]
    assert 50 < parsedate_to_datetime(found[3]).timestamp() - time.time() < 61


def test_fault_error_code_message_and_details(api, client):
    details = [{"@type": "type.googleapis.com/google.rpc.RequestInfo", "request_id": "r-1"}]
    api.fault("status", status=400, error_code="COULD_NOT_ACQUIRE_LOCK", message="busy", details=details)
    assert client.post(run_of())[1] == {"error_code": "COULD_NOT_ACQUIRE_LOCK", "message": "busy", "details": details}


def test_fault_after_the_run_was_created(api, client):
    api.fault("status", status=504, after=True)
    assert client.post(run_of())[0] == 504 and len(api.runs) == 1
    assert client.post(run_of())[1]["run_id"] == api.runs[0].run_id and len(api.runs) == 1


def test_fault_odd_answers(api, client):
    for kind in ("numeric", "plain", "html", "empty", "redirect"):
        api.fault(kind)
    status, headers, body = raw(client)
    assert status == 403 and json.loads(body)["error_code"] == 403 and headers["X-Databricks-Reason-Phrase"]
    status, headers, body = raw(client)
    assert status == 400 and body.startswith(b"INVALID_STATE: ") and headers["Content-Type"].startswith("text/plain")
    status, headers, body = raw(client)
    assert status == 200 and b"<html>" in body and headers["Content-Type"].startswith("text/html")
    assert raw(client)[::2] == (200, b"")
    status, headers, body = raw(client)
    assert status == 302 and headers["Location"].startswith("/login.html")
    assert client.send("GET", headers["Location"])[0] == 200 and not api.runs


def test_fault_answer_is_sent_as_given(api, client):
    api.fault("answer", status=200, content='{"run_id":"12"}', headers={"X-A": "b"}, content_type="application/x")
    status, headers, body = raw(client)
    assert (status, headers["X-A"], headers["Content-Type"], body) == (200, "b", "application/x", b'{"run_id":"12"}')
    api.fault("answer", content={"run_id": 5})
    assert client.post(run_of())[1] == {"run_id": 5}


@pytest.mark.parametrize("status", [401, 403, 400])
def test_fault_expired_lasts_for_that_token(api, client, status):
    api.fault("expired", status=status)
    assert client.post(run_of())[0] == status and client.post(run_of())[0] == status
    api.add_token("second")
    client.token = "second"
    assert client.post(run_of())[0] == 200 and len(api.runs) == 1


@pytest.mark.parametrize("kind, after, error, runs", [
    ("drop", None, http.client.RemoteDisconnected, 0), ("drop", True, http.client.RemoteDisconnected, 1),
    ("reset", None, ConnectionResetError, 0), ("reset", True, ConnectionResetError, 1),
    ("lose", None, http.client.RemoteDisconnected, 1), ("raw", None, http.client.BadStatusLine, 0),
    ("truncate", None, http.client.IncompleteRead, 1),
])
def test_fault_broken_connection(api, client, kind, after, error, runs):
    api.fault(kind, after=after)
    with pytest.raises(error) as caught:
        raw(client)
    assert type(caught.value) is error and len(api.runs) == runs
    assert api.requests[0].fault == kind and api.requests[0].status == (200 if kind == "truncate" else None)
    client.connection.close()
    assert client.post(run_of())[0] == 200 and len(api.runs) == 1 and api.requests[1].connection == 2


@pytest.mark.parametrize("piece", [1, 7, 0])
def test_fault_slow_gives_the_right_answer_in_the_end(api, client, piece):
    api.fault("slow", piece=piece, delay_s=0)
    assert client.post(run_of())[1]["run_id"] == api.runs[0].run_id
    assert client.post(run_of())[0] == 200 and api.connections == 1


def test_fault_slow_waits_between_pieces(api, client):
    api.fault("slow", piece=100, delay_s=0.02)
    began = time.monotonic()
    raw(client)
    assert time.monotonic() - began >= 0.02


def test_fault_hold_until_released(api):
    hold = api.fault("hold", times=2)
    answers = []
    threads = [threading.Thread(target=lambda n=n: answers.append(Client(api).post(run_of(str(n))))) for n in "ab"]
    for thread in threads:
        thread.start()
    api.wait_for(lambda: api.in_flight == 2 and len(api.runs) == 2)
    assert not answers and api.max_in_flight == 2
    hold.release()
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [200, 200]


def test_fault_hangup_closes_the_idle_connection(api, client):
    api.fault("hangup")
    status, headers, _ = raw(client)
    assert status == 200 and headers["Connection"] is None
    assert client.connection.sock.recv(1) == b""


def test_fault_endless(api, client):
    api.fault("endless", piece=1000)
    client.connection.request("POST", RUN_NOW, json.dumps(run_of()), {"Authorization": f"Bearer {TOKEN}"})
    answer = client.connection.getresponse()
    assert answer.headers["Transfer-Encoding"] == "chunked" and len(answer.read(300000)) == 300000


def test_fault_predicates(api, client):
    api.fault("status", status=500, path="runs/get")
    api.fault("status", status=501, body="special")
    api.fault("status", status=502, method="GET")
    api.fault("status", status=503, when=lambda r: r.json and r.json.get("idempotency_token") == "when")
    codes = [client.post(run_of(t))[0] for t in ("a", "special-1", "special-2", "when", "b")]
    assert codes == [200, 501, 200, 503, 200]
    codes = [client.get(f"/api/2.2/{call}")[0] for call in ("jobs/list", "jobs/list", "jobs/runs/get?run_id=1")]
    assert codes == [502, 200, 500]


def test_fault_nth_times_and_lasting(api, client):
    api.fault("status", status=500, nth=2, times=2)
    assert [client.post(run_of())[0] for _ in range(5)] == [200, 500, 500, 200, 200]
    fault = api.fault("status", status=503, times=None)
    assert [client.post(run_of())[0] for _ in range(5)] == [503] * 5
    api.remove_fault(fault)
    assert client.post(run_of())[0] == 200


def test_faults_form_a_queue(api, client):
    for status in (500, 429, 503):
        api.fault("status", status=status)
    assert [client.post(run_of())[0] for _ in range(4)] == [500, 429, 503, 200]


@pytest.mark.parametrize("options", [
    {"kind": "nonsense"}, {"kind": "reset", "retry_after": 1}, {"kind": "status", "nth": 0},
    {"kind": "status", "times": "2"}, {"kind": "status", "when": "x"}, {"kind": "expired", "status": 402},
    {"kind": "slow", "delay_s": "1"},
])
def test_fault_that_can_not_be_meant_is_refused(api, options):
    with pytest.raises(ValueError):
        api.fault(**options)


def test_table_of_faults_names_every_kind():
    lines = jobsapi_faults.__doc__.splitlines()
    listed = {line.split()[0] for line in lines if line.startswith("    ")}
    assert set(ANSWERS) | set(SENDERS) <= listed


# --- control over HTTP ------------------------------------------------------------------------------------------------

def test_control_routes(api, client):
    client.token = None
    status, fault = client.control("POST", "fault", {"kind": "status", "status": 429, "retry_after": 1, "times": None})
    assert status == 200 and fault["hits"] == 0
    client.token = TOKEN
    assert client.post(run_of())[0] == 429
    assert client.control("GET", "fault")[1][0]["hits"] == 1
    assert client.control("DELETE", "fault") == (200, []) and client.post(run_of("c"))[0] == 200
    requests = client.control("GET", "requests")[1]
    assert [r["status"] for r in requests] == [429, 200] and requests[0]["headers"]["authorization"] == "***"
    assert TOKEN not in json.dumps(requests) and requests[1]["json"]["idempotency_token"] == "c"
    assert len(client.control("GET", "requests?since=1")[1]) == 1
    (run,) = client.control("GET", "runs")[1]
    assert run["token"] == "c" and run["state"] == "TERMINATED"
    assert client.control("POST", "delete", {"run_id": run["run_id"]})[1]["deleted"]
    assert client.control("POST", "expire", {"status": 403})[0] == 200 and client.post(run_of())[0] == 403
    assert client.control("POST", "release")[0] == 200
    assert client.control("POST", "fault", {"kind": "slow", "delay_s": 0.5, "path": "x"})[0] == 200
    for name, shape in (("fault", {"kind": "x"}), ("fault", [1]), ("expire", {"status": 402}), ("finish", {"id": 1})):
        assert client.control("POST", name, shape)[0] == 400
    assert client.control("GET", "x")[0] == 404 and len(api.requests) == 3


def test_control_of_jobs(api, client):
    made = client.control("POST", "job", {"job_id": 7, "name": "late", "parameters": ["p"]})
    assert made[0] == 200 and made[1]["parameters"] == {"p": ""}
    assert client.post({"job_id": 7, "job_parameters": {"p": "1"}})[0] == 200
    assert client.control("POST", "job", {"job_id": 7, "permission": "CAN_VIEW"})[1]["name"] == "late"
    assert refused(client.post({"job_id": 7}), 403, "PERMISSION_DENIED", "Manage Run")
    assert client.get("/api/2.2/jobs/get?job_id=7")[0] == 200
    assert client.control("DELETE", "job", {"job_id": 7})[1]["deleted"]
    assert refused(client.get("/api/2.2/jobs/get?job_id=7"), 400, "INVALID_PARAMETER_VALUE", "does not exist")
    assert refused(client.post({"job_id": 7}), 400, "INVALID_PARAMETER_VALUE", "does not exist")
    assert "jobs" in (found := client.get("/api/2.2/jobs/list?name=late")[1]) and found["jobs"] == []
    assert client.get(f"/api/2.2/jobs/runs/get?run_id={api.runs[0].run_id}")[1]["run_name"] == "late"
    assert client.control("POST", "job", {"job_id": 7, "nonsense": 1})[0] == 400
    assert client.control("POST", "job", {"job_id": 7, "run_as": "etl"})[1]["deleted"] is False
    assert client.get("/api/2.2/jobs/get?job_id=7")[1]["run_as_user_name"] == "etl"
    assert [j["job_id"] for j in client.control("GET", "job")[1]] == [JOB, PLAIN_JOB, 7]


def test_control_finish(api, client):
    api.add_job(5, auto_finish=False)
    run_id = client.post({"job_id": 5})[1]["run_id"]
    assert client.control("POST", "delete", {"run_id": run_id})[0] == 400
    assert client.control("POST", "finish", {"run_id": run_id, "result": "FAILED"})[1]["result"] == "FAILED"
    assert client.control("POST", "finish", {"run_id": run_id})[0] == 400


# --- HTTP -------------------------------------------------------------------------------------------------------------

def exchange(api, data):
    """Everything the server says to these bytes until it closes."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def post_bytes(body, *headers, version="HTTP/1.1"):
    lines = [f"POST {RUN_NOW} {version}", "Host: x", f"Authorization: Bearer {TOKEN}", "Content-Type: application/json",
             *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


BODY = json.dumps(run_of()).encode()
LENGTH = f"Content-Length: {len(BODY)}"


def test_keep_alive_and_pipelining(api):
    answer = exchange(api, post_bytes(BODY, LENGTH) * 3)
    assert answer.count(b"HTTP/1.1 200 OK") == 3 and {r.connection for r in api.requests} == {1}


@pytest.mark.parametrize("request_bytes", [post_bytes(BODY, LENGTH, "Connection: close"),
                                           post_bytes(BODY, LENGTH, version="HTTP/1.0")])
def test_connection_is_closed_when_asked(api, request_bytes):
    answer = exchange(api, request_bytes * 2)
    assert answer.count(b"HTTP/1.1 200 OK") == 1 and b"\r\nConnection: close\r\n" in answer


def test_chunked_request(api):
    chunks = b"5;x=y\r\n%s\r\n%x\r\n%s\r\n0\r\nTrailer: 1\r\n\r\n" % (BODY[:5], len(BODY) - 5, BODY[5:])
    assert exchange(api, post_bytes(chunks, "Transfer-Encoding: chunked")).startswith(b"HTTP/1.1 200")
    assert api.requests[0].body == BODY


def test_expect_continue(api):
    answer = exchange(api, post_bytes(BODY, LENGTH, "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


@pytest.mark.parametrize("data, status", [
    (b"nonsense\r\n\r\n", 400), (b"GET / HTTP/2\r\nHost: x\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", 400),
    (post_bytes(b"", "Content-Length: -1"), 400), (post_bytes(b"", "Content-Length: 1, 1"), 400),
    (post_bytes(b"", "Transfer-Encoding: gzip"), 400), (post_bytes(BODY, LENGTH, "Transfer-Encoding: chunked"), 400),
    (post_bytes(b"zz\r\n", "Transfer-Encoding: chunked"), 400),
    (post_bytes(b"1\r\nab\r\n", "Transfer-Encoding: chunked"), 400),
    (post_bytes(b"1" * 70000, "Transfer-Encoding: chunked"), 400),
    (post_bytes(b"fffffff\r\n", "Transfer-Encoding: chunked"), 413),
    (post_bytes(b"x" * 100, f"Content-Length: {MAX_BODY_BYTES + 1}"), 413),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70000 + b"\r\n\r\n", 431),
], ids=lambda value: repr(value)[:60])
def test_bad_http_is_answered_and_closed(api, data, status):
    answer = exchange(api, data)
    assert answer.startswith(b"HTTP/1.1 %d " % status) and b'"message"' in answer
    assert len(api.bad_http) == 1 and not api.requests


def test_largest_body_is_read(api, client):
    body = json.dumps(run_of(job_parameters={"source": "x"})).encode()
    assert client.post(body + b" " * (MAX_BODY_BYTES - len(body)))[0] == 200


def test_client_that_leaves_in_the_middle_is_counted(api):
    for number, data in enumerate((post_bytes(BODY[:-1], LENGTH), post_bytes(BODY, LENGTH)[:40]), start=1):
        assert exchange(api, data) == b""
        api.wait_for(lambda: api.incomplete == number)
    assert not api.requests


# --- life -------------------------------------------------------------------------------------------------------------

def test_stop_cuts_connections_and_start_goes_on_at_the_same_port(api, client):
    client.post(run_of("a"))
    port = api.port
    api.stop()
    assert client.connection.sock.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        Client(api).post(run_of("b"))
    api.start()
    assert api.port == port and Client(api).post(run_of("a"))[1]["run_id"] == api.runs[0].run_id


def test_stop_ends_a_held_answer(api):
    api.fault("hold")
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as sock:
        sock.sendall(post_bytes(BODY, LENGTH))
        api.wait_for_runs(1)
        api.stop()
        assert sock.recv(1) == b"" and not api._sockets


def test_wait_for_says_what_was_missing(api):
    with pytest.raises(TimeoutError, match="0 runs"):
        api.wait_for_runs(1, timeout=0.01)


def test_own_failure_is_not_hidden(api, client):
    api.on_run = lambda run: 1 / 0
    assert raw(client)[0] == 500
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        api.stop()
    api.bugs.clear()


def test_keep_bounds_the_memory():
    with JobsApi({JOB: []}, keep=3) as api:
        client = Client(api)
        for number in range(5):
            client.post(run_of(str(number)))
        assert [r.number for r in api.requests] == [3, 4, 5] and len(api.sent("run-now", status=200)) == 3


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return str(cert), str(key)


def test_tls(certificate):
    with JobsApi({JOB: []}, tls=certificate) as api:
        assert api.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=certificate[0])
        client = Client(api, context=trusting)
        assert client.post(run_of("a"))[0] == 200 and client.post(run_of("b"))[0] == 200 and api.connections == 1
        api.fault("reset")
        with pytest.raises(ConnectionResetError):
            raw(client)
        with pytest.raises(ssl.SSLCertVerificationError):
            Client(api, context=ssl.create_default_context()).post(run_of("c"))
        api.wait_for(lambda: api.tls_failures == 1 or api.incomplete)
        assert len(api.runs) == 2


def test_record_holds_every_request_and_no_secret(tmp_path):
    path = tmp_path / "record.jsonl"
    with JobsApi({JOB: ["input_path"]}, clients={"sp": "s3cret"}, record=path) as api:
        client = Client(api)
        client.post(run_of("a", job_parameters={"input_path": "/v/x\n"}))
        client.post(b"\xff")
        api.fault("reset")
        pytest.raises(ConnectionResetError, raw, client)
        subject = {**EXCHANGE, "subject_token": "subject-secret"}
        ask(api, GRANT, "sp:s3cret"), ask(api, subject)
        issued = list(api.auth.issued)
    text = path.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(r["status"], r["fault"]) for r in lines] == [(200, None), (400, None), (None, "reset"), (200, None),
                                                          (401, None)]
    assert lines[0]["json"]["job_parameters"] == {"input_path": "/v/x\n"} and lines[0]["run_id"] == api.runs[0].run_id
    for secret in (TOKEN, "s3cret", "subject-secret", base64.b64encode(b"sp:s3cret").decode(), *issued):
        assert secret not in text
    assert os.stat(path).st_mode & 0o77 == 0


PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jobsapi.py")


def test_program(tmp_path):
    (tmp_path / "token").write_text("file-token\n")
    command = [sys.executable, PROGRAM, "--port", "0", "--token-file", tmp_path / "token", "--job",
               f"{JOB}:input_path,source", "7::max=0,queue=off,name=seven", "--record", tmp_path / "r.jsonl",
               "--fault", '{"kind":"status","status":503}', "--print-url", "--show"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        word, url = program.stdout.readline().split()
        assert word == "ready" and url.startswith("http://127.0.0.1:")

        class At:
            port = int(url.rpartition(":")[2])
        client = Client(At, "file-token")
        assert client.post(run_of())[0] == 503
        run_id = client.post(run_of(job_parameters={"input_path": "/v/a\nb.csv", "source": "ü"}))[1]["run_id"]
        assert program.stdout.readline() == f"run {run_id}  job {JOB}  input_path=/v/a\\nb.csv  source=ü\n"
        client.post({"job_id": 7, "jar_params": ["x y"]})
        assert program.stdout.readline().endswith('job 7  ["x y"]\n')
        assert client.control("GET", "runs")[1][1]["state"] == "SKIPPED"
        assert client.get("/api/2.2/jobs/get?job_id=7")[1]["settings"]["name"] == "seven"
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("arguments", [[], ["--token-file", "/dev/null", "--job", "x"],
                                       ["--token-file", "/dev/null", "--job", "1::nope=1"],
                                       ["--token-file", "/dev/null", "--fault", "{"]])
def test_program_refuses_wrong_arguments(arguments):
    done = subprocess.run([sys.executable, PROGRAM, *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and "usage:" in done.stderr


def test_tokens_of_sha256_hex_fit(api, client):
    token = hashlib.sha256(b"x").hexdigest()
    assert client.post(run_of(token))[0] == 200 and api.runs[0].token == token
