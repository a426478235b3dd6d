"""Which job: by number and by name, several of them, and what the service finds out about them by itself."""

import json

import pytest

from harness import JOB, put, text, wait_for
from jobsapi import Job, JobsApi

BIG, ODD = 9223372036854775807, 9007199254740993


def status(s):
    """{(kind, name): record} of status --json."""
    records = [json.loads(line) for line in s.verb("status", "--json").out.splitlines()]
    return {(r["kind"], r.get("watch") or r.get("workspace")): r for r in records}


def by_name(service, *jobs, name="load", **keys):
    return service(api=JobsApi(list(jobs)), job_id=None, job_name=name, **keys)


# --- a job by its name ------------------------------------------------------------------------------------------------

def test_by_name(service):
    s = by_name(service, Job(BIG, ["path"], name="load"), Job(5, ["path"], name="LOAD"),
                Job(6, ["path"], name="load 2")).start()
    path = s.put("a.csv")
    [event] = s.wait_event("run.started", path=path)
    assert event["job_id"] == BIG and s.api.runs[0].job_id == BIG
    assert f'the job "load" is job {BIG}' in s.err()
    record = status(s)["job", "drop"]
    assert record["job_id"] == BIG and record["job_name"] == "load" and record["checked"]
    s.stop()
    lists = len(s.api.sent("jobs/list"))
    s.start()  # known already: the file does not wait for the workspace
    s.wait_event("run.started", path=s.put("b.csv"))
    assert s.err().count(f'the job "load" is job {BIG}') == 1
    wait_for(lambda: len(s.api.sent("jobs/list")) > lists, "it is looked up again at every start")
    s.stop()
    s.check_started()


def test_a_name_that_is_not_there_yet(service):
    """Its watch waits, which status says; its files are found when the job is."""
    s = by_name(service, Job(5, ["path"], name="other"))
    early = s.put("early.csv")
    s.start(wait=False)
    [event] = s.wait_event("job.suspended")
    assert event["watch"] == "drop" and event["detail"].startswith('job_missing: there is no job named "load"')
    assert "job_id" not in event
    record = status(s)["watch", "drop"]
    assert record["state"] == "no_job"
    done = s.verb("status", "--check")
    assert done.status == 1 and "it waits until its job is known" in done.out
    assert s.verb("status").out.count('there is no job named "load"') == 1
    assert not s.events("watch.ready") and not s.api.sent("run-now")
    why = 'nothing is done before job "load" is known: there is no job named "load"'
    done = s.verb("explain", early)
    assert done.status == 0 and f"  NO  job               {why}" in done.out, done
    assert "no run; see the first NO above" in done.out and "yes name" in done.out
    done = s.verb("files")
    assert done.status == 1 and f"what it waits for is not shown: {why}" in done.err and "ask again" not in done.err
    s.api.add_job(BIG, ["path"], name="load")
    s.wait_ready(1)
    s.wait_event("run.started", path=early)
    [event] = s.wait_event("job.resumed")
    assert event["job_id"] == BIG
    late = s.put("late.csv")
    s.wait_run(late)
    assert s.err().count('there is no job named "load"') == 1  # looked at again and again, and said once
    s.stop()
    s.check_runs({early: 1, late: 1})
    s.check_started()


def test_a_name_of_several_jobs(service):
    s = by_name(service, Job(5, ["path"], name="load"), Job(BIG, ["path"], name="load"))
    s.start(wait=False)
    [event] = s.wait_event("job.suspended")
    assert f"several jobs are named \"load\": 5, {BIG}" in event["detail"]
    s.api.change_job(5, permission=None)
    s.wait_ready(1)
    [event] = s.wait_event("run.started", path=s.put("a.csv"))
    assert event["job_id"] == BIG
    s.stop()


def test_a_workspace_that_is_down_when_the_name_is_asked_for(service):
    s = by_name(service, Job(BIG, ["path"], name="load"))
    s.api.stop()
    path = s.put("a.csv")
    s.start(wait=False)
    wait_for(lambda: "could not be looked at" in s.err(), s.err)
    assert status(s)["watch", "drop"]["state"] == "no_job"
    s.api.start()
    s.wait_ready(1)
    s.wait_run(path)
    s.stop()
    s.check_runs({path: 1})


def test_another_job_gets_the_name(service):
    """What waits for the former one, and was not sent, becomes a dead letter that rerun starts anew."""
    s = by_name(service, Job(ODD, ["path"], name="load"), workspace={"rate": "1/365d", "burst": "1"}).start()
    first = s.put("first.csv")
    s.wait_event("run.started", path=first)
    waiting = [s.put(f"{n}.csv") for n in range(300)]
    wait_for(lambda: status(s)["service", None]["pending"] >= 300, "300 files to wait for the rate")
    s.stop()
    s.api.delete_job(ODD)
    s.api.add_job(BIG, ["path"], name="load")
    s.sections["workspace"].update(rate="1000000/s", burst="1000000")
    s.write_configuration()
    s.start()
    gone = s.wait_event("start.failed", 300)
    assert {e["reason"] for e in gone} == {"job_gone"} and {e["path"] for e in gone} == set(waiting)
    assert f'"load" stands for job {BIG} now' in gone[0]["message"] and f"for job {ODD}" in gone[0]["message"]
    assert f"now and was job {ODD}" in s.err() and "300 files that waited for job" in s.err()
    after = s.put("after.csv")
    s.wait_run(after)
    s.barrier()
    assert len(s.api.runs) == 3
    done = s.verb("rerun", "--state", "failed", "--reason", "the job was made anew", "--yes")
    assert done.status == 0, done
    for path in waiting:
        s.wait_run(path)
    s.stop()
    s.check_runs({first: 1, after: 1, **dict.fromkeys(waiting, 1)})
    assert {r.job_id for r in s.api.runs} == {ODD, BIG} and [r.job_id for r in s.api.runs].count(ODD) == 1
    s.check_started()


def test_what_was_sent_to_the_former_job_stays_with_it(service):
    """Its answer was lost: the token brings the run that exists, of the former job."""
    s = by_name(service, Job(ODD, ["path"], name="load"), Job(BIG, ["path"], name="next")).start()
    s.api.fault("truncate", path="run-now")
    s.api.fault("status", path="run-now", status=503, times=None)
    path = s.put("a.csv")
    wait_for(lambda: len(s.api.sent("run-now")) >= 2, "a second attempt")
    s.stop()
    s.api.change_job(ODD, name="former")
    s.api.change_job(BIG, name="load")
    s.api.clear_faults()
    s.start()
    [event] = s.wait_event("run.started", path=path)
    assert event["job_id"] == ODD
    [event] = s.wait_event("run.started", path=s.put("b.csv"))
    assert event["job_id"] == BIG
    s.stop()
    assert not s.events("start.failed") and [r.job_id for r in s.api.runs] == [ODD, BIG]


def test_from_number_to_name(service):
    """What waits is expanded anew when the name is known: the configuration was changed by a person."""
    s = service(api=JobsApi([Job(5, ["path"], permission="CAN_VIEW"), Job(BIG, ["path"], name="load")]), job_id=5)
    paths = [s.put(f"{n}.csv") for n in range(5)]
    s.start()
    s.wait_event("job.suspended")
    s.watches["drop"].update(job_id=None, job_name="load")
    s.write_configuration()
    assert s.verb("reload").status == 0
    for path in paths:
        s.wait_run(path)
    s.stop()
    assert {r.job_id for r in s.api.runs} == {BIG} and not s.events("start.failed")
    s.check_runs(dict.fromkeys(paths, 1))


def test_reload_with_a_name_that_is_known(service):
    s = by_name(service, Job(BIG, ["path"], name="load"), Job(6, ["path"], name="more")).start()
    s.wait_event("run.started", path=s.put("a.csv"))
    s.watches["drop"]["rate"] = "1000/s"
    s.write_configuration()
    assert s.verb("reload").status == 0
    s.wait_ready(2)
    s.wait_event("run.started", path=s.put("b.csv"))
    s.watches["drop"]["job_name"] = "more"
    s.write_configuration()
    assert s.verb("reload").status == 0
    s.wait_ready(3)
    s.wait_event("run.started", path=s.put("c.csv"))
    s.stop()
    assert [r.job_id for r in s.api.runs] == [BIG, BIG, 6]


def test_scan_by_name(service):
    s = by_name(service, Job(BIG, ["path"], name="load"))
    path = s.put("a.csv")
    done = s.verb("scan")
    assert done.status == 0 and len(s.runs_of(path)) == 1, done
    s.api.delete_job(BIG)
    s.put("b.csv")
    done = s.verb("scan")
    assert done.status == 69 and "no job named" in done.err, done  # the file waits


def test_scan_of_a_name_that_is_not_known(service):
    s = by_name(service, Job(BIG, ["path"], name="load"), name="nobody")
    s.put("a.csv")
    done = s.verb("scan")
    assert done.status == 1 and "its job is not known" in done.err, done
    s.api.stop()
    done = s.verb("scan")
    assert done.status == 69 and "its job is not known" in done.err, done
    s.api.start()


def test_dry_run_by_name(service):
    """Nothing is asked; the name stands for the number until it is known."""
    s = by_name(service, Job(BIG, ["path"], name="load"))
    path = s.put("a.csv")
    done = s.verb("scan", "--dry-run")
    assert done.status == 0 and f'would start job "load" (drop) {path}' in done.out, done
    assert s.api.requests == []
    assert s.verb("scan").status == 0
    s.put("b.csv")
    assert f'would start job "load" ({BIG}) (drop)' in s.verb("scan", "--dry-run").out


def test_explain_by_name(service):
    s = by_name(service, Job(BIG, ["path"], name="load"))
    path = str(s.drop / "a.csv")
    assert 'job "load", whose number is not known yet' in s.verb("explain", path).out
    s.start()
    s.wait_event("run.started", path=s.put("a.csv"))
    other = s.verb("explain", str(s.drop / "b.csv")).out
    assert f'"job_id":{BIG}' in other or f'"job_id": {BIG}' in other, other
    s.stop()


# --- what the service finds out ---------------------------------------------------------------------------------------

def test_a_parameter_that_the_job_does_not_define(service):
    """Found before the first file is sent; when the job is mended, all goes on."""
    s = service(api=JobsApi([Job(JOB, ["other"])]))
    paths = [s.put(f"{n}.csv") for n in range(5)]
    s.start()
    [event] = s.wait_event("job.suspended")
    assert event["job_id"] == JOB and event["workspace"]
    assert event["detail"].startswith('parameter_undefined: the job does not define the parameter "path"')
    assert "suspended" in s.verb("status").out and 'does not define the parameter "path"' in s.verb("status").out
    record = status(s)["job", "drop"]
    assert record["state"] == "suspended" and record["findings"][0]["code"] == "parameter_undefined"
    assert record["pending"] == 5 and not s.api.sent("run-now")
    s.api.change_job(JOB, parameters=["path"])
    for path in paths:
        s.wait_run(path)
    s.wait_event("job.resumed")
    assert s.err().count("does not define the parameter") == 1 and "nothing to object any more" in s.err()
    assert status(s)["job", "drop"]["state"] == "ok"
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))
    assert len(s.events("job.suspended")) == len(s.events("job.resumed")) == 1


def test_a_job_no_task_of_which_gets_the_path(service):
    """A run that does not know its file is worse than a late one."""
    s = service(api=JobsApi([Job(JOB, ["path"], task_type="spark_jar_task")]))
    path = s.put("a.csv")
    s.start()
    [event] = s.wait_event("job.suspended")
    assert event["detail"].startswith('not_reached: no task gets the parameter "path"')
    assert s.verb("status", "--check").status == 1 and not s.api.sent("run-now")
    tasks = [{"task_key": "load", "spark_jar_task": {"parameters": ["{{job.parameters.path}}"]}}]
    s.api.change_job(JOB, settings={"tasks": tasks})
    s.wait_run(path)
    s.wait_event("job.resumed")
    s.stop()


@pytest.mark.parametrize("job", [Job(JOB, ["path"], permission=None), Job(5, ["path"])])
def test_a_job_that_is_missing_or_hidden(service, job):
    s = service(api=JobsApi([job])).start()
    [event] = s.wait_event("job.suspended")
    assert event["detail"].split(":")[0] in ("job_missing", "job_forbidden") and str(JOB) in event["detail"]
    path = s.put("a.csv")
    s.api.add_job(JOB, ["path"])
    s.wait_run(path)
    s.wait_event("job.resumed")
    s.stop()
    s.check_runs({path: 1})
    assert not s.events("start.failed")


def test_a_job_that_may_be_seen_but_not_started(service):
    """Only a start can tell; looking at it does not end the suspension."""
    s = service(api=JobsApi([Job(JOB, ["path"], permission="CAN_VIEW")])).start()
    path = s.put("a.csv")
    [event] = s.wait_event("job.suspended")
    assert event["detail"].startswith("job_forbidden: User ") and "Manage Run" in event["detail"]
    wait_for(lambda: f"job {JOB} cannot be started: User " in s.err() and "CAN MANAGE RUN" in s.err(), s.err)
    s.api.change_job(JOB, permission="CAN_MANAGE_RUN")
    s.wait_run(path)
    s.wait_event("job.resumed")
    s.stop()
    assert len(s.events("job.suspended")) == 1


def test_a_look_that_rows_prove_wrong(service):
    """Something in front of the workspace lets only run-now through: that is no reason not to start runs."""
    s = service()
    s.api.fault("status", path="jobs/get", status=403, times=None, message="only POST is allowed here")
    path = s.put("a.csv")
    s.start()
    s.wait_event("job.suspended")
    s.wait_run(path)
    s.wait_event("job.resumed")
    s.barrier()
    s.stop()
    assert len(s.events("job.suspended")) == 1
    s.check_runs({path: 1})


def test_warnings_are_said_once(service):
    job = Job(JOB, ["path"], settings={"schedule": {"quartz_cron_expression": "0 0 * * * ?"}})
    s = service(api=JobsApi([job])).start()
    wait_for(lambda: "also started by its schedule" in s.err(), s.err)
    assert "also started by its schedule" in s.verb("status").out
    assert s.verb("status", "--check").status == 0  # nothing is degraded
    s.wait_run(s.put("a.csv"))
    s.verb("reload")
    s.barrier()
    s.stop()
    assert not s.events("job.suspended")


def test_the_workspace_cannot_be_asked(service):
    """Looks that find nothing out hold nothing up."""
    s = service()
    s.api.fault("status", path="jobs/get", status=500, times=None)
    s.start()
    s.wait_event("run.started", path=s.put("a.csv"))
    assert s.err().count("could not be looked at") == 1
    assert "could not be looked at" in s.verb("status").out
    s.stop()
    assert not s.events("job.suspended")


def test_two_watches_that_turn_out_to_be_one_job(service):
    s = service(api=JobsApi([Job(JOB, ["path"], name="load")]),
                watches={"drop": {}, "more": {"job_id": None, "job_name": "load"}})
    s.watches["more"]["directory"] = s.drop
    s.write_configuration()
    s.start(wait=False)
    [event] = s.wait_event("job.suspended", watch="more")
    assert "[watch:drop] starts the same job" in event["detail"]
    path = s.put("a.csv")
    s.wait_run(path)
    assert status(s)["watch", "more"]["state"] == "no_job"
    verdicts = {v["watch"]: v for v in json.loads(s.verb("explain", "--json", path).out)}
    assert verdicts["drop"]["verdict"].startswith("started already")
    [step] = [t for t in verdicts["more"]["steps"] if t["step"] == "job"]
    assert not step["passes"] and "[watch:drop] starts the same job" in step["text"]
    s.api.change_job(JOB, name="former")
    s.api.add_job(6, ["path"], name="load")
    s.wait_run(path, 2)
    s.stop()
    assert sorted(r.job_id for r in s.api.runs) == [6, JOB]


# --- several ----------------------------------------------------------------------------------------------------------

def test_two_jobs_for_one_folder(service):
    s = service(api=JobsApi([Job(BIG, ["path"]), Job(ODD, ["path"])]),
                watches={"drop": {"job_id": BIG}, "more": {"job_id": ODD, "path_map": None}})
    s.watches["more"].update(directory=s.drop, path_map=s.watches["drop"].get("path_map", f"{s.drop} => /Volumes/x"))
    s.write_configuration()
    s.start()
    paths = [s.put(f"{n}.csv") for n in range(10)]
    wait_for(lambda: len(s.events("run.started")) == 20, s.err)
    s.stop()
    for name, job in (("drop", BIG), ("more", ODD)):
        events = s.events("run.started", watch=name)
        assert {e["path"] for e in events} == set(paths) and {e["job_id"] for e in events} == {job}
    assert len({r.token for r in s.api.runs}) == 20


def test_several_workspaces(service):
    """Each watch at its own, with jobs of the same number; one is down, and the other goes on."""
    with JobsApi([Job(JOB, ["path"])]) as other:
        s = service(watches={"drop": {"workspace": "one"}, "more": {"workspace": "two"}})
        s.set_workspaces(one=s.api, two=other)
        s.start()
        put(s.folder / "more" / "b.csv", text("b"))
        s.wait_event("run.started", path=s.put("a.csv"))
        s.wait_event("run.started", path=str(s.folder / "more" / "b.csv"))
        assert len(s.api.runs) == len(other.runs) == 1
        assert [e["workspace"] for e in s.events("run.started", watch="more")] == ["two"]
        other.stop()
        put(s.folder / "more" / "c.csv", text("c"))
        s.wait_event("workspace.suspended", workspace="two")
        s.wait_event("run.started", path=s.put("d.csv"))
        other.start()
        s.wait_event("run.started", path=str(s.folder / "more" / "c.csv"))
        s.stop()
        assert len(s.api.runs) == len(other.runs) == 2 and other.bad_http == []


# --- numbers ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("job_id", [ODD, BIG])
def test_numbers_are_exact_wherever_they_are_shown(service, job_id):
    """From the configuration through the request, the answer and the ledger to every output, digit by digit."""
    run_id = ODD if job_id == BIG else BIG
    s = service(api=JobsApi([Job(job_id, ["path"], name="load")], run_ids=[run_id]), job_id=job_id).start()
    path = s.put("a.csv")
    s.wait_event("run.started", path=path)
    assert f'"job_id":{job_id},' in s.api.sent("run-now")[0].body.decode()
    outputs = {"config": s.verb("config"), "config json": s.verb("config", "--json"),
               "status": s.verb("status", "--json"), "files": s.verb("files", "--json"),
               "explain": s.verb("explain", "--json", path), "events": s.verb("events", "--json"),
               "log": s.log.read_text(), "check": s.verb("check", "--online", "--json")}
    texts = {name: getattr(out, "out", out) for name, out in outputs.items()}
    for name in texts:
        assert str(job_id) in texts[name], f"{name}: {texts[name]}"
    for name in ("files", "explain", "events", "log"):
        assert str(run_id) in texts[name], f"{name}: {texts[name]}"
    assert s.verb("events", "--run", str(run_id)).out.count(str(run_id)) >= 1
    assert s.verb("events", "--run", str(run_id - 1)).out == ""
    s.stop()
