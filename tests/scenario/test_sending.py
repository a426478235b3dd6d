"""How waiting files are sent: what is looked at once more before, what waits for what, and what is told about it."""

import contextlib
import os
import sqlite3

from harness import put, text, wait_for

POWER = {"durability": "power"}


def rows(s, columns="path, state"):
    """What the ledger has: a list of tuples."""
    with contextlib.closing(sqlite3.connect(f"file:{s.state}/ledger.db?mode=ro", uri=True)) as db:
        return db.execute(f"SELECT {columns} FROM files ORDER BY id").fetchall()


def accept_while_away(s, paths):
    """Has these files accepted while the workspace cannot be reached: they wait, and were never sent."""
    s.api.stop()
    s.start()
    for path in paths:
        put(path, text(os.path.basename(path)))
    wait_for(lambda: len(rows(s)) >= len(paths), lambda: f"{len(paths)} rows, there are {len(rows(s))}")


# --- looked at once more ----------------------------------------------------------------------------------------------

def test_what_has_gone_or_changed_meanwhile_is_not_sent(service):
    """Files that waited over a restart: gone, replaced, and as they were."""
    s = service(service=POWER)
    gone, replaced, same = (s.drop / f"{name}.csv" for name in ("gone", "replaced", "same"))
    accept_while_away(s, [gone, replaced, same])
    s.stop()
    os.unlink(gone)
    put(replaced, text("another content", 3))
    s.api.start()
    s.start()
    event = s.wait_event("file.vanished", path=str(gone))[0]
    s.wait_run(same)
    s.wait_run(replaced)
    s.barrier()
    s.stop()
    s.check_runs({same: [text("same.csv")], replaced: [text("another content", 3)]})
    s.check_started()
    assert event["waiting_for"] and event["since"] and event["uri"].endswith("/gone.csv")
    assert len(s.events("file.vanished")) == 1 and s.events("start.failed") == []
    assert (str(gone), "vanished") in rows(s)


def test_a_touched_file_is_the_same(service):
    s = service(service=POWER)
    path = s.drop / "a.csv"
    accept_while_away(s, [path])
    s.stop()
    os.utime(path, ns=(5, 5))
    s.api.start()
    s.start()
    s.wait_run(path)
    s.barrier()
    s.stop()
    s.check_runs({path: 1})
    assert s.events("file.vanished") == []


def test_what_may_be_out_is_asked_for_though_its_file_has_gone(service):
    """The request sent, the answer lost, the input deleted by its own job, the service killed."""
    s = service(service=POWER).start()
    held = s.api.fault("hold", path="run-now", times=1)
    path = s.put("a.csv")
    s.wait_run(path)
    os.unlink(path)
    s.kill_keeper()
    s.api.remove_fault(held)
    s.start()
    event = s.wait_event("run.started", path=path)[0]
    s.barrier()
    s.stop()
    s.check_runs({path: 1})
    assert event["run_id"] == s.runs_of(path)[0].run.run_id and s.events("file.vanished") == []


def test_a_missing_folder_makes_only_its_own_files_wait(service):
    s = service(service=POWER, watches={"a": {}, "b": {}})
    mine, other = s.folder / "a" / "x.csv", s.folder / "b" / "y.csv"
    accept_while_away(s, [mine, other])
    s.stop()
    os.rename(s.folder / "a", s.folder / "elsewhere")
    s.api.start()
    s.start(wait=False)
    s.wait_run(other)
    s.wait_event("watch.lost", watch="a")
    assert s.runs_of(mine) == [] and s.events("file.vanished") == []
    os.rename(s.folder / "elsewhere", s.folder / "a")
    s.wait_run(mine)
    s.stop()
    s.check_runs({mine: 1, other: 1})
    s.check_started()


def test_a_long_backlog_after_a_restart(service):
    """Looked at in batches: every file, once, and at a pace as if nobody had asked."""
    s = service(service=POWER)
    paths = [s.drop / f"{n:04}.csv" for n in range(600)]
    accept_while_away(s, paths)
    s.stop()
    for path in paths[::100]:
        os.unlink(path)
    s.api.start()
    s.start()
    s.wait_runs(594)
    s.wait_event("file.vanished", 6)
    s.barrier()
    s.stop()
    s.check_runs({path: int(n % 100 != 0) for n, path in enumerate(paths) if n % 100})
    s.check_started()


# --- suspended --------------------------------------------------------------------------------------------------------

def test_workspace_suspended_and_resumed(service):
    """Told once, after three failures to get through, and once more when it works again; nothing is given up."""
    s = service(workspace={"retry_for": "1s"}).start()
    s.api.stop()
    paths = [s.put(f"{n}.csv") for n in range(5)]
    event = s.wait_event("workspace.suspended")[0]
    assert event["watch"] is None and event["detail"].startswith("unreachable: ")
    s.api.start()
    for path in paths:
        s.wait_run(path)
    s.wait_event("workspace.resumed")
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))
    kinds = [e["type"] for e in s.events() if e["type"].startswith("workspace.")]
    assert kinds == ["workspace.suspended", "workspace.resumed"]
    assert s.events("start.failed") == []


def test_revoked_credential_and_a_new_one(service):
    s = service(workspace={"retry_for": "1s"}).start()
    s.token_file.write_text("dapi-revoked-long-ago\n")
    path = s.put("before.csv")  # the one that was read at the start still works
    s.wait_run(path)
    s.stop()
    s.start()
    waiting = [s.put("a.csv"), s.put("b.csv")]
    event = s.wait_event("workspace.suspended")[0]
    assert event["detail"].startswith("credential_refused: ")
    s.kill_keeper()  # the end of a suspension is told, whichever process sees it
    s.token_file.write_text(s.api.token + "\n")
    s.start()
    for one in waiting:
        s.wait_run(one)
    s.wait_event("workspace.resumed")
    s.stop()
    s.check_runs({path: 1, waiting[0]: 1, waiting[1]: 1})
    assert len(s.events("workspace.suspended")) == 1 and s.events("start.failed") == []


def test_job_deleted_and_restored(service):
    """Its watch waits, and says so; the other goes on."""
    s = service(watches={"a": {"job_id": 7}, "b": {}}, workspace={"retry_for": "1s"}).start()
    mine, other = s.folder / "a" / "x.csv", s.folder / "b" / "y.csv"
    put(mine, text("x"))
    event = s.wait_event("job.suspended")[0]
    assert event["watch"] == "a" and event["job_id"] == 7 and event["detail"].startswith("job_missing: ")
    put(other, text("y"))
    s.wait_run(other)
    s.api.add_job(7, ["path"])
    s.wait_run(mine)
    s.wait_event("job.resumed", watch="a", job_id=7)
    s.stop()
    s.check_runs({mine: 1, other: 1})
    assert s.events("start.failed") == [] and s.events("workspace.suspended") == []


# --- slower, and not at all -------------------------------------------------------------------------------------------

def test_too_many_requests_slow_down(service):
    """The service takes a request in each tenth of a second only: everything is started in the end."""
    s = service(workspace={"rate": "100/s", "burst": "4"})
    taken = [0.0]

    def too_early(request):
        if request.time - taken[0] < 0.1:
            return True
        taken[0] = request.time
        return False

    s.api.fault("status", status=429, path="run-now", when=too_early, times=None)
    s.start()
    paths = [s.put(f"{n:02}.csv") for n in range(40)]
    for path in paths:
        s.wait_run(path, timeout=60)
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))
    assert "going slower" in s.err() and s.events("start.failed") == []


def test_a_share_for_a_watch(service):
    """`rate` and `max_requests` of a watch bound it, and not its neighbour."""
    s = service(watches={"a": {"rate": "10/s", "max_requests": 1}, "b": {}}).start()
    slow = [s.folder / "a" / f"{n}.csv" for n in range(11)]
    quick = [s.folder / "b" / f"{n}.csv" for n in range(11)]
    for one in slow + quick:
        put(one, text(str(one)))
    for one in slow + quick:
        s.wait_run(one)
    s.stop()
    times = sorted(s.runs_of(one)[0].at for one in slow)
    assert times[-1] - times[0] >= 0.9
    s.check_runs(dict.fromkeys(slow + quick, 1))


def test_what_can_never_succeed_is_discarded(service):
    s = service(on_failure="discard").start()
    s.api.fault("status", status=400, path="run-now", body="bad.csv", times=None)
    bad = s.put("bad.csv")
    event = s.wait_event("start.failed", path=bad)[0]
    assert event["reason"] == "bad_request"
    s.stop()
    s.start()
    s.barrier()
    s.stop()
    assert (bad, "discarded") in rows(s) and len(s.events("start.failed")) == 1
    s.check_runs({})


def test_a_failure_pauses_its_watch(service):
    """Over a restart too, and the others go on."""
    s = service(service=POWER, watches={"a": {"on_failure": "pause"}, "b": {}}).start()
    s.api.fault("status", status=400, path="run-now", body="bad.csv", times=None)
    bad, later, other = s.folder / "a" / "bad.csv", s.folder / "a" / "later.csv", s.folder / "b" / "other.csv"
    put(bad, text("bad"))
    event = s.wait_event("watch.paused", watch="a")[0]
    assert event["detail"] == "bad_request"
    s.kill_keeper()
    s.start()
    put(later, text("later"))
    wait_for(lambda: (str(later), "pending") in rows(s), "the later file in the ledger")
    put(other, text("other"))
    s.wait_run(other)
    s.stop()
    s.check_runs({other: 1})
    assert (str(bad), "failed") in rows(s) and len(s.events("watch.paused")) == 1


def test_paused_by_the_configuration(service):
    s = service(service=POWER, paused="yes").start()
    path = s.put("a.csv")
    wait_for(lambda: (path, "pending") in rows(s), "the file in the ledger")
    s.stop()
    s.check_runs({})
    s.watches["drop"]["paused"] = "no"
    s.write_configuration()
    s.start()
    s.wait_run(path)
    s.stop()
    s.check_runs({path: 1})


# --- runs that Databricks skips ---------------------------------------------------------------------------------------

def test_a_skipped_run_is_started_again(service):
    """Without a queue the second run is skipped; noticed after a restart, said, and started again for the room."""
    s = service(service=POWER, queue="no", job_id=9)
    s.api.add_job(9, ["path"], max_concurrent_runs=1, queue=False, auto_finish=False)
    s.start()
    first = s.put("first.csv")
    first_run = s.wait_run(first)[0].run
    second = s.put("second.csv")
    skipped = s.wait_run(second)[0].run
    s.wait_event("run.started", path=second)
    assert skipped.state == "SKIPPED"
    s.kill_keeper()  # before anybody has looked at it
    s.start()
    event = s.wait_event("run.skipped", path=second)[0]
    assert event["run_id"] == skipped.run_id and event["token"] == skipped.token and event["generation"] == 1
    assert event["reason"].startswith("MAX_CONCURRENT_RUNS_EXCEEDED: Skipping this run")
    s.api.finish_run(first_run.run_id)
    again = s.wait_run(second, 2)[1].run
    s.wait_event("run.started", 2, path=second)
    s.stop()
    assert again.state == "RUNNING" and again.token != skipped.token
    started = s.events("run.started", path=second)[1]
    assert started["previous_run_id"] == skipped.run_id and started["generation"] == 2
    s.check_runs({first: 1, second: 2})
    assert len(s.events("run.skipped")) == 1


def test_runs_that_wait_in_the_queue_are_left_alone(service):
    """With a queue nobody looks at runs; a lost answer is a reason to, and a queued run is none to start another."""
    s = service(service=POWER, job_id=9)
    s.api.add_job(9, ["path"], max_concurrent_runs=1, auto_finish=False)
    s.api.fault("truncate", path="run-now", body="b.csv", times=1)  # not "lose": libcurl repeats that by itself
    s.start()
    paths = [s.put("a.csv"), s.put("b.csv")]
    for path in paths:
        s.wait_event("run.started", path=path)
    wait_for(lambda: s.api.sent("runs/get"), "a look at the run whose answer was lost")
    s.stop()
    looked = {r.target.rpartition("=")[2] for r in s.api.sent("runs/get")}
    assert looked == {str(s.runs_of(paths[1])[0].run.run_id)}
    s.check_runs(dict.fromkeys(paths, 1))
    assert s.events("run.skipped") == []
