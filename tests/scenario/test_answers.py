"""What the program tells when it is asked: why something stands still, what it cannot see, and what was mistyped."""

import json
import os
import shutil
import subprocess

import pytest

from harness import JOB, put, text, wait_for

PROMISE = "the service would not start"


def records(done):
    return [json.loads(line) for line in done.out.splitlines()]


def as_nobody(s, *arguments):
    """The verb, asked by a user who may read the configuration and nothing of the service's own."""
    user, prefix = s.user, s.prefix
    try:
        s.user = 65534
        return s.verb(*arguments)
    finally:
        s.user, s.prefix = user, prefix


def watch_record(s, name="drop", *options):
    [found] = [r for r in records(s.verb("status", "--json", *options)) if r["kind"] == "watch" and r["watch"] == name]
    return found


def degraded(s, *words):
    """`status --check`: one line that says why."""
    def seen():
        done = s.verb("status", "--check")
        return done if done.status == 1 and all(w in done.out for w in words) else None
    done = wait_for(seen, lambda: f"{words} in {s.verb('status', '--check')}\n{s.err()[-2000:]}")
    assert done.out.startswith("degraded: ") and done.out.count("\n") == 1, done
    return done


def healthy(s):
    done = s.verb("status", "--check")
    assert done.status == 0 and done.out.startswith("healthy: "), done


def refuse(s, status=401, code="UNAUTHORIZED", message="Token is expired, says the server"):
    s.api.fault("status", path="run-now", times=1000000, status=status, error_code=code, message=message)


# --- who cannot read the ledger ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("state", [0o755, 0o700])
def test_who_may_not_read_the_ledger_is_told_so(service, state):
    s = service().start()
    path = s.put("a.csv")
    s.wait_event("run.started")
    s.stop()
    os.chmod(s.state, state)
    os.chmod(s.drop, 0o755)
    done = as_nobody(s, "explain", path)
    assert done.status == 1 and "not permitted to read the ledger" in done.out, done
    assert "starts job" not in done.out and "no ledger" not in done.out
    done = as_nobody(s, "scan", "--dry-run")
    assert done.status == 1 and "not permitted to read the ledger" in done.err, done
    assert "would start" not in done.out
    done = as_nobody(s, "files")
    assert done.status == 1 and "not permitted to read the ledger" in done.err, done
    assert "started already" in s.verb("explain", path).out


# --- why a workspace, a job or a file waits ---------------------------------------------------------------------------

def test_why_a_workspace_is_suspended(service):
    """The server's words, in `status`, `status --check` and `explain`, also after a restart."""
    s = service().start()
    refuse(s)
    path = s.put("a.csv")
    s.wait_event("workspace.suspended")
    for _ in range(2):
        degraded(s, "workspace", "Token is expired, says the server")
        assert "Token is expired, says the server" in s.verb("status").out
        [place] = [r for r in records(s.verb("status", "--json")) if r["kind"] == "workspace"]
        assert place["state"] == "suspended" and "Token is expired, says the server" in place["detail"]
        done = s.verb("explain", path)
        assert "Token is expired, says the server" in done.out.split("verdict")[1], done
        s.stop()
        s.start()
    assert s.api.token not in s.verb("status").out
    s.api.clear_faults()
    s.wait_run(path)
    s.wait_event("workspace.resumed")
    wait_for(lambda: s.verb("status", "--check").status == 0, "healthy again")
    assert "Token is expired" not in s.verb("status").out


def test_a_token_that_was_replaced_badly_is_named(service):
    """While the workspace is suspended: the new file is open to others."""
    s = service().start()
    refuse(s)
    s.put("a.csv")
    s.wait_event("workspace.suspended")
    os.chmod(s.token_file, 0o644)
    wait_for(lambda: "is open to others" in s.err(), s.err)
    degraded(s, "is open to others")
    [last] = s.wait_event("workspace.suspended", 2)[1:]
    assert str(s.token_file) in last["detail"]
    assert s.err().count("is open to others") == 1
    os.chmod(s.token_file, 0o600)
    s.api.clear_faults()
    s.wait_event("workspace.resumed")


def test_why_a_job_is_suspended(service):
    s = service(job_id=JOB + 1).start()
    path = s.put("a.csv")
    s.wait_event("job.suspended")
    degraded(s, "the job of watch drop", "does not exist")
    assert "does not exist" in s.verb("status").out
    assert "does not exist" in s.verb("explain", path).out.split("verdict")[1]


def test_why_a_file_is_tried_again(service):
    s = service().start()
    refuse(s, 503, "TEMPORARILY_UNAVAILABLE", "the control plane has a cold")
    path = s.put("a.csv")
    s.wait_event("start.retrying")
    assert "the control plane has a cold" in s.verb("explain", path).out
    [row, _] = records(s.verb("files", "--json"))
    assert row["state"] == "pending" and "the control plane has a cold" in row["detail"]
    s.api.clear_faults()
    s.wait_event("run.started")
    [row, _] = records(s.verb("files", "--json"))
    assert row["state"] == "started" and row["detail"] == ""


def test_why_a_file_is_a_dead_letter(service):
    s = service().start()
    s.api.fault("status", path="run-now", times=1, status=400, message="such parameters!")
    path = s.put("a.csv")
    s.wait_event("start.failed")
    [row, _] = records(s.verb("files", "--json"))
    assert row["state"] == "failed" and "such parameters!" in row["detail"], row
    assert "such parameters!" in s.verb("explain", path).out
    s.stop()
    assert "such parameters!" in s.verb("explain", path).out


# --- status --check: everything that a person must do -----------------------------------------------------------------

def test_the_brake_is_no_good_health(service):
    s = service(brake="1/1h").start()
    healthy(s)
    s.put("a.csv")
    s.put("b.csv")
    s.wait_event("watch.held")
    degraded(s, "watch drop has 1 held file (brake)")
    done = s.verb("status")
    assert "watch drop has 1 held file (brake); brickwatch release --watch drop lets it go" in done.out, done
    assert s.verb("release", "--watch", "drop").status == 0
    s.wait_event("run.started", 2)
    healthy(s)


def test_a_watch_that_a_dead_letter_has_paused(service):
    s = service(on_failure="pause").start()
    s.api.fault("status", path="run-now", times=1, status=400, message="no")
    s.put("a.csv")
    s.wait_event("watch.paused")
    degraded(s, "watch drop is paused since a file became a dead letter (bad_request)")
    path = s.put("b.csv")
    wait_for(lambda: "is paused since" in s.verb("explain", path).out, lambda: s.verb("explain", path))
    assert s.verb("resume", "drop").status == 0
    s.wait_run(path)
    healthy(s)
    assert s.verb("pause", "drop").status == 0
    healthy(s)  # on purpose


def test_a_lost_ledger_leaves_files_held(service):
    s = service().start()
    s.put("a.csv")
    s.wait_event("run.started")
    s.stop()
    shutil.rmtree(s.state)
    s.state.mkdir()
    s.put("b.csv")
    s.start()
    degraded(s, "watch drop has 1 held file (ledger_lost)")


def test_what_may_not_be_read(service):
    """A file and a folder: counted, listed with the reason, one event, and healthy again when it may be."""
    s = service(user=65534, rescan="1s").start()
    private, secret = s.drop / "private", s.drop / "secret.csv"
    private.mkdir(mode=0o700)
    put(private / "in.csv", text("in"))
    os.close(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600))
    put(secret, text("secret"))
    degraded(s, "watch drop may not read 1 file and 1 directory")
    found = {r["path"]: r for r in records(s.verb("files", "--json", "--state", "waiting"))[:-1]}
    assert set(found) == {str(private), str(secret)}
    assert "cannot be read (permission denied)" in found[str(secret)]["waiting_for"]
    assert "this directory" in found[str(private)]["waiting_for"]
    s.wait_listings(2)
    [event] = s.wait_event("watch.degraded")
    assert str(private) in event["detail"] or str(secret) in event["detail"]
    assert watch_record(s)["unreadable_files"] == 1 and watch_record(s)["unreadable_directories"] == 1
    os.chmod(private, 0o755)
    os.chmod(secret, 0o644)
    s.wait_run(secret)
    s.wait_run(private / "in.csv")
    wait_for(lambda: s.verb("status", "--check").status == 0, lambda: s.verb("status", "--check"))


@pytest.mark.slow
def test_a_service_that_answers_and_never_starts_a_run(service):
    """503 for ever suspends nothing; yet it is not healthy."""
    s = service().start()
    fault = s.api.fault("status", status=503, path="run-now", message="Backend down", times=None)
    path = s.put("a.csv")
    degraded(s, "the job of watch drop is not started, whatever is tried (")
    shown = s.verb("status").out
    assert "is failing, no run was started for 1" in shown and "Backend down" in shown, shown
    s.api.remove_fault(fault)
    s.wait_run(path)
    wait_for(lambda: s.verb("status", "--check").status == 0, lambda: s.verb("status", "--check"))
    assert "failing" not in s.verb("status").out


def test_a_workspace_that_asks_for_a_long_pause(service):
    s = service().start()
    s.api.fault("status", status=429, retry_after=3000, path="run-now", message="come tomorrow", times=1)
    s.put("a.csv")
    degraded(s, "asks to wait (rate_limited: come tomorrow)")
    shown = s.verb("status").out
    assert "is slow, next try in 49 min" in shown and "come tomorrow" in shown, shown


def test_a_credential_that_is_refused_before_the_first_file(service):
    s = service()
    s.token_file.write_text("of-yesterday\n")
    s.start()
    degraded(s, "the credential of watch drop (")


def test_files_of_a_workspace_that_is_no_more(service):
    s = service().start()
    refuse(s, 503, "TEMPORARILY_UNAVAILABLE", "later")
    s.put("a.csv")
    s.wait_event("start.retrying")
    port = s.api.url.rpartition(":")[2]
    s.sections["workspace"]["host"] = f"http://localhost:{port}"
    s.write_configuration()
    assert s.verb("reload").status == 0
    degraded(s, "watch drop has 1 file for 127.0.0.1", "which is no workspace of the configuration")
    del s.sections["workspace"]["host"]
    s.write_configuration()
    s.api.clear_faults()
    assert s.verb("reload").status == 0
    s.wait_event("run.started")


# --- held, and told by an event ---------------------------------------------------------------------------------------

def test_files_held_by_changed_rules_are_told(service):
    s = service(types="@parquet").start()
    s.put("a.csv")
    s.put("b.csv")
    s.wait_event("file.rejected", 2)
    s.watches["drop"]["types"] = None
    s.write_configuration()
    assert s.verb("reload").status == 0
    wait_for(lambda: any(e["count"] == 2 for e in s.events("watch.held")), lambda: s.events("watch.held"))
    assert "method" not in s.events("watch.held")[0] and "file_system" not in s.events("watch.held")[0]
    degraded(s, "watch drop has 2 held files (rules_changed)")


def test_files_of_a_removed_watch_are_told(service):
    s = service(watches={"drop": {}, "more": {}}).start()
    refuse(s)
    for name in ("a.csv", "b.csv", "c.csv"):
        put(s.folder / "more" / name, text(name))
    s.wait_event("workspace.suspended")
    wait_for(lambda: "pending 3" in s.verb("files").out, lambda: s.verb("files"))
    del s.watches["more"]
    s.write_configuration()
    assert s.verb("reload").status == 0
    [event] = s.wait_event("watch.held")
    held = event["count"]
    assert event["watch"] == "more" and held >= 2, event  # one may have been out
    degraded(s, f"watch more has {held} held files (watch_removed)")
    s.stop()
    path = s.folder / "more" / "c.csv"
    for running in (False, True):
        if running:
            s.start()
        done = s.verb("explain", path)
        assert done.status == 0 and "watch more, which is not configured any more" in done.out, done
        assert "(watch_removed" in done.out and "no watch:" not in done.out
        [found] = json.loads(s.verb("explain", "--json", path).out)
        assert found["watch"] == "more" and found["configured"] is False


# --- a mount that is missing ------------------------------------------------------------------------------------------

def test_a_missing_mount_is_said(service):
    s = service()
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    s.start()
    s.put("a.csv")
    s.wait_event("run.started")
    s.stop()
    if subprocess.run(["mount", "-t", "ramfs", "ramfs", s.drop], check=False).returncode != 0:
        pytest.skip("cannot mount here")
    try:
        os.chmod(s.drop, 0o755)
        path = s.put("b.csv")
        for running in (False, True):
            if running:
                s.start(wait=False)
                s.wait_event("watch.lost")
                degraded(s, "watch drop is lost (its mount is missing)")
                assert "its mount is missing" in s.verb("status").out
            done = s.verb("explain", path)
            assert "its mount is missing" in done.out and "starts job" not in done.out, done
        assert s.runs_of(path) == []
        s.stop()
    finally:
        subprocess.run(["umount", s.drop], check=True)


# --- digits that were cut ---------------------------------------------------------------------------------------------

def test_explain_shows_all_digits_of_ends(service):
    s = service(settle="1h").start()
    path = s.put("a.csv")
    found = []
    for _ in range(2):
        [watch] = json.loads(s.verb("explain", "--json", path).out)
        [version] = [step["text"] for step in watch["steps"] if step["step"] == "version"]
        found.append(version.rpartition("ends ")[2])
        if s.process:
            s.stop()
    assert len(found[0]) == 64 and found[0] == found[1], found


# --- the ground is taken away -----------------------------------------------------------------------------------------

def test_the_folder_of_the_event_log_is_replaced(service):
    s = service().start()
    s.put("a.csv")
    s.wait_event("run.started")
    old = s.log.parent.with_name("log.old")
    os.rename(s.log.parent, old)
    s.log.parent.mkdir()
    paths = [s.put(f"b{n}.csv") for n in range(5)]
    wait_for(lambda: s.log.exists() and s.log.read_bytes().count(b"run.started") == 5, "five lines in the new folder")
    assert "b4.csv" in s.verb("events", "--type", "run.started").out
    s.stop()
    lines = [json.loads(line) for place in (old / s.log.name, s.log) for line in place.read_bytes().splitlines()]
    assert sorted(e["path"] for e in lines if e["type"] == "run.started") == sorted([str(s.drop / "a.csv"), *paths])
    assert len({e["id"] for e in lines}) == len(lines)


def test_the_folder_of_the_event_log_is_renamed(service):
    """Nothing in its place: events wait in the ledger, and the service says so."""
    s = service().start()
    s.put("a.csv")
    s.wait_event("run.started")
    old = s.log.parent.with_name("log.old")
    os.rename(s.log.parent, old)
    s.wait_run(s.put("b.csv"))
    degraded(s, "the event log cannot be written")
    s.log.parent.mkdir()
    wait_for(lambda: s.log.exists() and b"b.csv" in s.log.read_bytes(), s.err)
    assert b"b.csv" not in (old / s.log.name).read_bytes()


def test_the_ledger_is_deleted(service):
    """Nothing more is accepted or sent: what is recorded there would be gone with the process."""
    s = service().start()
    first = s.put("a.csv")
    s.wait_event("run.started")
    healthy(s)
    kept = s.folder / "kept"
    kept.mkdir()
    for path in s.state.glob("ledger.db*"):
        os.rename(path, kept / path.name)
    degraded(s, "the ledger cannot be written", "was deleted")
    second = s.put("b.csv")
    wait_for(lambda: "was deleted or replaced" in s.err(), s.err)
    assert "CANNOT BE WRITTEN" in s.verb("status").out
    assert s.runs_of(second) == []
    for path in kept.iterdir():
        os.rename(path, s.state / path.name)
    s.wait_run(second)
    healthy(s)
    for path in s.state.glob("ledger.db*"):
        path.unlink()
    third = s.put("c.csv")
    degraded(s, "was deleted")
    s.stop()
    s.start()
    degraded(s, "held file", "(ledger_lost)")
    assert s.runs_of(third) == []
    assert s.verb("release", "--watch", "drop").status == 0
    s.wait_run(third)
    s.check_runs({first: 1, second: 1, third: 1})


# --- typing errors ----------------------------------------------------------------------------------------------------

def test_typing_errors_do_not_pass(service):
    s = service().start()
    s.put("a.csv")
    s.wait_event("run.started")
    for verb in (["retry"], ["release"], ["drop"], ["rerun", "--reason", "x"], ["rerun", "--reason", "x", "--yes"],
                 ["files"]):
        done = s.verb(*verb, "--watch", "nope")
        assert done.status == 2 and 'no watch "nope"' in done.err, (verb, done)
    for verb in (["explain", ""], ["release", ""], ["retry", "", "--watch", "drop"]):
        done = s.verb(*verb)
        assert done.status == 2 and "empty path" in done.err, (verb, done)
    done = s.verb("adopt", "/etc/passwd")
    assert done.status == 1 and "/etc/passwd is not an event log" in done.err, done
    assert s.verb("retry", "--watch", "drop").status == 0
    s.stop()
    done = s.verb("files", "--watch", "nope")
    assert done.status == 2 and 'no watch "nope"' in done.err, done
    assert s.verb("files", "--watch", "drop").status == 0


@pytest.mark.parametrize("words, said", [
    (["files", "--nope"], "brickwatch files: there is no option --nope"),
    (["files", "-x"], "brickwatch files: there is no option -x"),
    (["files", "--watch"], "brickwatch files: --watch needs a value"),
    (["files", "-c"], "brickwatch files: -c needs a value"),
    (["status", "--check=1"], "brickwatch status: there is no option --check=1, or it takes no value"),
])
def test_a_wrong_option_is_said_once(service, words, said):
    done = service().verb(*words, configured=False)
    assert done.status == 2 and done.out == "" and len(done.err.splitlines()) == 2, done
    assert done.err.startswith(said), done


def test_help_has_whole_sentences(service):
    s = service()
    done = s.verb("--help", configured=False)
    listed = [line for line in done.out.splitlines() if line.startswith("  ")]
    assert len(listed) >= 17 and all(line.endswith(".") and len(line) < 100 for line in listed), done
    for line in listed:
        done = s.verb(line.split()[0], "--help", configured=False)
        assert done.status == 0 and all(len(one) < 120 for one in done.out.splitlines()[1:]), done


# --- check ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, make", [
    ("missing", lambda s: s.token_file.unlink()),
    ("open", lambda s: os.chmod(s.token_file, 0o644)),
    ("empty", lambda s: s.token_file.write_text("")),
    ("blank", lambda s: s.token_file.write_text("dapi 123\n")),
    ("state is a file", lambda s: (s.state.rmdir(), s.state.write_text(""))),
    ("no folder above the state", lambda s: (s.sections["service"].update(state_directory=s.folder / "no" / "state"),
                                             s.write_configuration())),
])
def test_check_fails_when_the_service_would_not_start(service, name, make):
    s = service()
    assert s.verb("check").status == 0
    make(s)
    done = s.verb("check")
    assert done.status == 1 and PROMISE in done.err and "is good" not in done.out, (name, done)
    s.spawn("run", "-c", s.ini)
    assert s.spawned[-1].wait(20) != 0


def test_check_of_what_another_user_may_not_read(service):
    """The token can be judged by the service's user only: that is no mistake."""
    s = service()
    done = as_nobody(s, "check")
    assert done.status == 0, done


# --- what is shown ----------------------------------------------------------------------------------------------------

def test_status_names_its_numbers(service):
    s = service().start()
    for n in range(3):
        s.put(f"{n}.csv")
    s.wait_event("run.started", 3)
    record = watch_record(s)
    assert record["known"] == {"started": 3} and record["listed_files"] == 0
    done = s.verb("status")
    [head, row] = [line.split() for line in done.out.splitlines() if line.startswith(("WATCH", "drop"))]
    assert dict(zip(head, row))["STARTED"] == "3" and dict(zip(head, row))["LISTED"] == "0", done
    assert s.verb("rescan").status == 0
    wait_for(lambda: watch_record(s)["listed_files"] == 3, lambda: watch_record(s))


def test_success_as_json(service):
    """Verbs that change something tell what, also with --json."""
    s = service().start()
    s.api.fault("status", path="run-now", times=1, status=400, message="no")
    s.put("a.csv")
    s.wait_event("start.failed")
    [found] = records(s.verb("retry", "--state", "failed", "--json"))
    assert found == {"totals": {"changed": 1, "judged_again": 0, "superseded": 0, "left": 0}}
    for verb in (["reload"], ["rescan"], ["pause", "drop"], ["resume", "drop"]):
        [found] = records(s.verb(*verb, "--json"))
        assert list(found) == ["done"] and found["done"], verb


def test_words_of_one(service):
    s = service(existing="hold", settle="0")
    s.put("a.csv")
    s.start()
    s.wait_event("watch.held")
    assert s.events("watch.held")[0]["detail"].startswith("1 file is held (")
    done = s.verb("explain", s.put("b.csv"))
    assert "complete when unchanged for" in done.out and "otherwise" not in done.out, done


# --- what counts as a new version -------------------------------------------------------------------------------------

def test_touch_and_utime(service):
    """touch(1) opens the file for writing, whatever its options; a time that is only set makes no event."""
    s = service().start()
    path = s.put("a.csv")
    s.wait_event("run.started")
    subprocess.run(["touch", "-d", "2020-02-02", path], check=True)
    s.wait_run(path, 2)
    os.utime(path, (1700000000, 1700000000))
    s.barrier()
    assert s.verb("rescan").status == 0
    s.barrier(thorough=True)
    s.check_runs({path: 2})


def test_swapped_names(service):
    """Each path has new contents then: each gets a run."""
    s = service().start()
    one, two = s.put("1.csv"), s.put("2.csv")
    s.wait_event("run.started", 2)
    os.rename(one, s.outside / "x")
    os.rename(two, one)
    os.rename(s.outside / "x", two)
    s.wait_run(one, 2)
    s.wait_run(two, 2)
