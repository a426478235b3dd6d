"""check --online: signs in, looks at each job, and says in plain words what is wrong or may surprise."""

import json

import pytest

from harness import JOB
from jobsapi import Job, JobsApi

BIG = 9223372036854775807


def check(s, *options, status=0):
    done = s.verb("check", "--online", *options)
    assert done.status == status, done
    return done


def findings(s, status=0):
    """{watch: [(level, code)]} of --json, notes that come with every job left out."""
    shown = {}
    for line in check(s, "--json", status=status).out.splitlines():
        record = json.loads(line)
        if record["kind"] == "job":
            shown[record["watch"]] = [(f["level"], f["code"]) for f in record["findings"]
                                      if f["code"] not in ("runs_as", "not_proved")]
    return shown


def text_of(s, code, status=0):
    for line in check(s, "--json", status=status).out.splitlines():
        for one in json.loads(line).get("findings", []):
            if one["code"] == code:
                return one["text"]
    raise AssertionError(f"no finding {code}")


def test_all_is_well(service):
    s = service(api=JobsApi([Job(JOB, ["path"], name="load", run_as="etl@example.com")]))
    done = check(s)
    assert "signed in as" in done.out and "with token" in done.out
    assert f'watch drop: job "load" ({JOB})\n' in done.out and "0 errors, 0 warnings" in done.out
    assert "  note: its runs have the rights of etl@example.com, who must be able to read the files\n" in done.out
    assert "does not prove that it may be started" in done.out
    assert findings(s) == {"drop": []}
    # it has started nothing, touched nothing, and is no service
    assert [r.method for r in s.api.requests] == ["GET"] * len(s.api.requests) and s.api.runs == []
    assert not list(s.state.iterdir()) and not s.log.exists()
    assert s.api.token not in done.out + done.err


@pytest.mark.parametrize("missing", [400, 404])
def test_a_job_that_is_not_there(service, missing):
    s = service(api=JobsApi({}, missing_job=missing), job_id=BIG)
    done = check(s, status=1)
    assert f"watch drop: job {BIG} cannot be looked at\n  error: the job is not there: " in done.out
    assert f"Job {BIG} does not exist." in done.out and "1 error, 0 warnings" in done.out


def test_a_job_that_may_not_be_seen(service):
    s = service(api=JobsApi([Job(JOB, ["path"], permission=None)]))
    done = check(s, status=1)
    assert "error: this identity may not see the job: User " in done.out and "CAN MANAGE RUN" in done.out


def test_a_job_that_may_only_be_seen(service):
    """The check cannot know that it may not be started, and says so."""
    s = service(api=JobsApi([Job(JOB, ["path"], permission="CAN_VIEW")]))
    assert "does not prove that it may be started" in check(s).out


@pytest.mark.parametrize("job, keys, expected", [
    (Job(JOB, ["other"]), {}, ("error", "parameter_undefined")),
    (Job(JOB), {}, ("error", "parameter_undefined")),
    (Job(JOB, ["path"]), {"only": "nothing"}, ("error", "task_undefined")),
    (Job(JOB, ["path"], max_concurrent_runs=0), {}, ("error", "runs_skipped")),
    (Job(JOB, ["path"], queue=False), {"queue": "no"}, ("warning", "runs_skipped")),
    (Job(JOB, ["path"], settings={"queue": None}), {"queue": "no"}, ("warning", "runs_skipped")),
    (Job(JOB, ["path"], queue=False), {}, None),
    (Job(JOB, ["path"], task_type="spark_jar_task"), {}, ("error", "not_reached")),
    (Job(JOB, ["path"], task_type="pipeline_task"), {}, ("warning", "not_reached")),
    (Job(JOB, task_type="spark_jar_task"), {"job_type": "notebook"}, ("error", "not_reached")),
    (Job(JOB, task_type="spark_jar_task"), {"job_type": "jar"}, None),
    (Job(JOB, ["a"], task_type="spark_jar_task"), {"job_type": "jar"}, ("warning", "older_parameters")),
    (Job(JOB, ["path"], settings={"schedule": {"quartz_cron_expression": "0 0 * * * ?"}}), {},
     ("warning", "starts_by_itself")),
    (Job(JOB, ["path"], settings={"trigger": {"file_arrival": {"url": "s3://in/"}}}), {},
     ("warning", "starts_by_itself")),
    (Job(JOB, ["path"], settings={"continuous": {}}), {}, ("warning", "starts_by_itself")),
    (Job(JOB, ["path"], settings={"schedule": {"pause_status": "PAUSED"}}), {}, None),
])
def test_what_is_found(service, job, keys, expected):
    s = service(api=JobsApi([job]), **keys)
    found = findings(s, status=1 if expected and expected[0] == "error" else 0)["drop"]
    assert found == ([expected] if expected else []), found


def test_the_words(service):
    job = Job(JOB, ["path"], settings={
        "tasks": [{"task_key": "load", "spark_python_task": {"parameters": ["--in"]}}],
        "trigger": {"file_arrival": {"url": "s3://in/"}}})
    s = service(api=JobsApi([job]))
    words = text_of(s, "not_reached", status=1)
    assert '"load" (a Python script)' in words and "{{job.parameters.path}}" in words
    assert "a file arrival trigger (s3://in/)" in text_of(s, "starts_by_itself", status=1)
    job.settings["tasks"][0]["spark_python_task"]["parameters"] = ["--in={{job.parameters.path}}"]
    assert findings(s)["drop"] == [("warning", "starts_by_itself")]


def test_many_tasks_come_in_pages(service):
    """The only task that gets the parameter is on the third page."""
    tasks = [{"task_key": f"t{n}", "spark_jar_task": {}} for n in range(250)]
    job = Job(JOB, ["path"], settings={"tasks": tasks})
    s = service(api=JobsApi([job]), only="t249")
    assert findings(s, status=1)["drop"] == [("error", "not_reached")]
    tasks[249]["spark_jar_task"] = {"parameters": ["{{job.parameters.path}}"]}
    assert findings(s)["drop"] == []
    assert len(s.api.sent("jobs/get")) == 6
    s.sections["workspace"]["api_version"] = "2.1"
    s.watches["drop"]["only"] = None
    s.write_configuration()
    assert "API 2.2 and above" in check(s, status=69).out


def test_a_job_in_the_shape_of_the_first_version(service):
    s = service(api=JobsApi([Job(JOB, task_type="spark_jar_task")]), job_type="jar", workspace={"api_version": "2.0"})
    assert findings(s)["drop"] == []


def test_by_name(service):
    jobs = [Job(n, ["path"], name="other") for n in range(1, 120)] + [Job(BIG, ["path"], name="Laden ä/ö?&+")]
    s = service(api=JobsApi(jobs), job_id=None, job_name="Laden ä/ö?&+")
    assert f'watch drop: job "Laden ä/ö?&+" ({BIG})\n' in check(s).out
    s.api.change_job(BIG, name="LADEN Ä/ö?&+")
    s.api.add_job(7, ["path"], name="laden ä/ö?&+")
    words = text_of(s, "job_missing", 1)
    assert '"laden ä/ö?&+" (7)' in words and "upper and lower case" in words
    s.api.delete_job(7)
    assert "or this identity may not see it" in text_of(s, "job_missing", 1)


def test_a_name_that_several_jobs_have(service):
    """More of them than one page holds."""
    s = service(api=JobsApi([Job(n, ["path"], name="load") for n in range(1, 112)]), job_id=None, job_name="load")
    text = text_of(s, "job_ambiguous", 1)
    assert "1, 2, 3" in text and "and perhaps more" in text and "job_id" in text
    assert [r.query.get("page_token") for r in s.api.sent("jobs/list")] == [None, ["from-100"]]
    for n in range(2, 112):
        s.api.change_job(n, permission=None)
    assert findings(s)["drop"] == []


def test_two_names_of_one_job(service):
    s = service(api=JobsApi([Job(JOB, ["path"], name="load")]),
                watches={"drop": {}, "more": {"job_id": None, "job_name": "load"}})
    s.watches["more"]["directory"] = s.drop
    s.write_configuration()
    found = findings(s, status=1)
    assert found == {"drop": [("error", "same_job")], "more": [("error", "same_job")]}


@pytest.mark.parametrize("fault, words", [
    ({"kind": "status", "status": 401, "message": "no such token"}, "no such token (credential_refused)"),
    ({"kind": "status", "status": 503}, "try again later. (server_error)"),
    ({"kind": "drop"}, "(no_answer)"),
    ({"kind": "html", "status": 403, "message": "Invalid access token."}, "Invalid access token. (credential_refused)"),
])
def test_not_signed_in(service, fault, words):
    s = service()
    s.api.fault(times=None, **fault)
    done = check(s, status=69)
    assert "cannot sign in: " in done.out and words in done.out, done
    assert f"watch drop: job {JOB} was not looked at\n" in done.out
    assert "  warning: the job could not be looked at: nobody is signed in\n" \
        in done.out


@pytest.mark.parametrize("fault, words", [
    ({"kind": "html", "message": "Welcome"}, 'HTML page "Welcome" (HTTP 200)'),
    ({"kind": "html", "status": 404, "message": "404 Not Found"}, 'HTML page "404 Not Found" (HTTP 404)'),
    ({"kind": "html", "status": 403, "message": "Forbidden"}, 'HTML page "Forbidden" (HTTP 403)'),
    ({"kind": "answer", "content": "hello", "content_type": "text/plain"}, 'text "hello" (HTTP 200)'),
    ({"kind": "answer", "content": {"hello": 1}}, "JSON without id and userName (HTTP 200)"),
])
def test_what_is_no_workspace(service, fault, words):
    s = service()
    s.api.fault(times=None, **fault)
    done = check(s, status=69)
    host = s.api.url.removeprefix("http://")
    assert f"{host} answers, but not as a Databricks workspace does: {words}\n" in done.out, done
    assert "signed in with" not in done.out and "is the number right" not in done.out
    assert f"watch drop: job {JOB} was not looked at\n" in done.out
    assert "  warning: the job could not be looked at: that is no workspace\n" \
        "0 errors, 1 warning\n" in done.out
    assert findings(s, status=69) == {"drop": [("warning", "not_asked")]}


@pytest.mark.parametrize("fault", [{"kind": "html", "status": 403, "message": "Blocked"},
                                   {"kind": "status", "status": 404, "message": "no such thing"}])
def test_a_workspace_that_does_not_say_who_asks(service, fault):
    s = service()
    s.api.fault(times=None, path="scim", **fault)
    done = check(s)
    assert "not refused, but who this is was not said: " in done.out and fault["message"] in done.out, done


def test_a_workspace_that_is_not_there_and_one_that_is(service):
    s = service(watches={"drop": {"workspace": "there"}, "more": {"workspace": "gone"}})
    with JobsApi({}) as other:
        url = other.url
    s.set_workspaces(there=s.api, gone=url)
    done = check(s, status=69)
    assert "workspace there: signed in as" in done.out
    assert f"workspace gone: cannot sign in: {url.removeprefix('http://')} cannot be reached" in done.out


def test_a_credential_that_cannot_be_used(service):
    s = service()
    s.token_file.chmod(0o644)
    done = check(s, status=78)
    assert "the credential cannot be used" in done.out and "chmod 600" in done.out
    assert s.api.requests == []


def test_a_mistaken_configuration_is_not_taken_online(service):
    s = service(param="")
    s.ini.write_text(s.configuration() + "nonsense = 1\n")
    assert "nonsense" in check(s, status=78).err and s.api.requests == []
