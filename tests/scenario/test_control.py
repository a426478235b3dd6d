"""The control socket: each verb asked of the real service, by the real command."""

import gzip
import json
import os
import pwd
import shutil
import signal
import socket
import stat

import pytest

from harness import Follower, put, text, wait_for


def records(done):
    return [json.loads(line) for line in done.out.splitlines()]


def files_of(service, *arguments):
    """{path: record} of `files --json`, and the totals."""
    done = service.verb("files", "--json", *arguments)
    found = records(done)
    assert "totals" in found[-1], done
    return {r["path"]: r for r in found[:-1]}, {k: n for k, n in found[-1]["totals"].items() if n}, done.status


# --- the socket itself ------------------------------------------------------------------------------------------------

def test_not_running(service):
    """Exit status 3, and where it was looked for."""
    s = service()
    for verb in (["status"], ["status", "--check"]):
        done = s.verb(*verb)
        assert done.status == 3 and "not running" in done.err and "control.sock" in done.err, done


def test_a_socket_that_a_killed_service_has_left(service):
    """Nobody runs: what needs no service goes on without one, and the others say so."""
    s = service().start()
    path = s.put("a.csv")
    s.wait_run(path)
    os.kill(s.process.pid, signal.SIGSTOP)  # so that nobody starts the next dispatcher
    s.kill("bw-dispatch")
    s.kill_keeper()
    assert stat.S_ISSOCK(os.stat(s.folder / "run" / "control.sock").st_mode)
    done = s.verb("status", "--check")
    assert done.status == 3 and "nobody listens" in done.err, done
    found, totals, status = files_of(s)
    assert found[path]["state"] == "started" and totals == {"started": 1} and status == 0
    assert "started" in s.verb("explain", path).out
    done = s.verb("adopt", s.log)
    assert done.status == 3 and "nobody listens" in done.err, done


def test_socket_is_ours_and_is_removed(service):
    s = service().start()
    path = s.folder / "run" / "control.sock"
    mode = os.stat(path)
    assert stat.S_ISSOCK(mode.st_mode) and stat.S_IMODE(mode.st_mode) == 0o660
    s.stop()
    assert not path.exists()
    s.start()
    s.kill_keeper()
    wait_for(lambda: s.verb("status").status == 3, "nobody answers on the socket of a killed service")
    s.start()
    assert s.verb("status").status == 0
    s.stop()


# --- status, files ----------------------------------------------------------------------------------------------------

def test_status(service):
    s = service(watches={"drop": {}, "more": {}}).start()
    path = s.put("a.csv")
    s.wait_event("run.started")
    done = s.verb("status")
    assert done.status == 0, done
    assert "drop" in done.out and "more" in done.out and "started 1" in done.out, done
    found = records(s.verb("status", "--json"))
    watches = {r["watch"]: r for r in found if r["kind"] == "watch"}
    assert {w["state"] for w in watches.values()} == {"ready"} and set(watches) == {"drop", "more"}
    assert watches["drop"]["method"] == "inotify" and watches["drop"]["waiting"] == 0
    [counts] = [r for r in found if r["kind"] == "counts"]
    assert counts["started"] == 1 and counts["failed"] == 0
    [own] = [r for r in found if r["kind"] == "service"]
    assert own["pid"] == s.process.pid and own["runs_started"] == 1 and not own["ledger_failing"]
    done = s.verb("status", "--check")
    assert done.status == 0 and done.out.startswith("healthy") and done.out.count("\n") == 1, done
    (s.folder / "more").rmdir()
    s.wait_event("watch.lost")
    done = s.verb("status", "--check")
    assert done.status == 1 and "watch more is lost" in done.out, done
    assert path
    s.stop()


def test_numbers_of_the_service(service):
    """What status says of the service goes on over a reload, and over a dispatcher that was killed."""
    def own():
        return wait_for(lambda: next((r for r in records(s.verb("status", "--json")) if r["kind"] == "service"), None),
                        "the service to answer")
    s = service().start()
    for name in ("a.csv", "b.csv"):
        s.put(name)
    s.wait_event("run.started", 2)
    first = wait_for(lambda: (lambda r: r if r["runs_started"] == 2 else None)(own()), own)
    s.watches["drop"]["max_size"] = "1MiB"
    s.write_configuration()
    assert s.verb("reload").status == 0
    assert own()["runs_started"] == 2 and own()["started"] == first["started"]
    s.wait_ready(2)
    s.put("c.csv")
    s.wait_event("run.started", 3)
    wait_for(lambda: own()["runs_started"] == 3, own)
    s.kill("bw-dispatch")
    s.wait_ready(3)
    assert own()["runs_started"] == 3 and own()["started"] == first["started"]
    s.stop()
    [stopped] = s.events("service.stopped")
    assert stopped["started"] == 3, stopped


def test_files(service):
    s = service(min_size="5").start()
    started = s.put("a.csv")
    small = s.put("sub.txt", b"x")
    s.wait_event("run.started")
    s.wait_event("file.rejected")
    with open(s.drop / "open.csv", "wb") as file:
        file.write(b"a,b\n1,2\n")
        file.flush()
        found, totals, status = wait_for(
            lambda: (lambda f: f if "waiting" in f[1] else None)(files_of(s)), "the open file is shown")
        assert found[str(s.drop / "open.csv")]["state"] == "waiting"
        assert found[str(s.drop / "open.csv")]["waiting_for"]
        assert totals == {"waiting": 1, "started": 1, "rejected": 1} and status == 0
        assert set(files_of(s, "--state", "waiting")[0]) == {str(s.drop / "open.csv")}
        assert s.verb("files", "--day", "2001-01-01").status == 0
        assert s.verb("files", "--day", "today").status == 2
    assert found[started]["state"] == "started"
    assert found[started]["run_id"] == s.events("run.started")[0]["run_id"]
    assert found[small]["state"] == "rejected" and found[small]["reason"] == "min_size"
    s.wait_event("run.started", 2)
    assert set(files_of(s, "--state", "rejected")[0]) == {small}
    assert set(files_of(s, "*.txt")[0]) == {small}
    assert set(files_of(s, started)[0]) == {started}
    assert files_of(s, "--since", "2h")[1] == {"started": 2, "rejected": 1}
    assert files_of(s, "--until", "2h")[1] == {}
    assert files_of(s, "--watch", "other")[1] == {}
    assert s.verb("files", "--state", "sarted").status == 2
    done = s.verb("files")
    assert done.out.splitlines()[-1] == "started 2, rejected 1", done
    s.stop()
    found, totals, status = files_of(s)
    assert totals == {"started": 2, "rejected": 1} and status == 0
    assert s.verb("files", "--state", "waiting").status == 3


def test_files_names_of_any_bytes(service):
    s = service().start()
    s.put(b"bad\xff.csv")
    s.put("tab\tand\nline.csv")
    s.wait_event("start.failed")
    s.wait_event("run.started")
    found = files_of(s)[0]
    assert str(s.drop / "tab\tand\nline.csv") in found
    [bad] = [r for r in found.values() if "path_base64" in r]
    assert bad["state"] == "failed" and bad["reason"]
    assert "\t" not in s.verb("files").out
    s.stop()


def test_files_many(service):
    """More than a page, and more than one socket buffer."""
    s = service(events={"rejected": "no"}).start()
    for n in range(1500):
        put(s.drop / f"{n:04d}-{'x' * 150}.csv", text(n))
    wait_for(lambda: len(s.events("run.started")) == 1500, "all started")
    found, totals, _ = files_of(s)
    assert totals == {"started": 1500} and len(found) == 1500
    s.stop()


# --- what changes rows ------------------------------------------------------------------------------------------------

def actions(service, verb):
    return service.events("operator.action", verb=verb)


def user():
    return pwd.getpwuid(os.geteuid()).pw_name


def refuse(service, name, times=1, **options):
    """run-now is refused for this file, in a way that makes a dead letter."""
    return service.api.fault("status", status=400, path="run-now", body=name, times=times, **options)


def test_retry(service):
    s = service().start()
    refuse(s, "a.csv")
    refuse(s, "b.csv")
    a, b = s.put("a.csv"), s.put("b.csv")
    s.wait_event("start.failed", 2)
    token = json.loads(s.verb("files", "--json", a).out.splitlines()[0])["token"]
    done = s.verb("retry", a)
    assert done.status == 0 and "1 file tried again" in done.out, done
    assert len(s.wait_run(a)) == 1
    s.check_runs({a: 1})
    [event] = s.wait_event("operator.action")
    assert event["verb"] == "retry" and event["user"] == user() and event["count"] == 1, event
    assert event["arguments"] == a and event["reason"] is None and event["watch"] is None
    done = s.verb("retry", "--state", "failed", "--watch", "drop", "--reason", "mended")
    assert done.status == 0, done
    s.wait_run(b)
    [_, event] = s.wait_event("operator.action", 2)
    assert event["reason"] == "mended" and event["watch"] == "drop"
    done = s.verb("retry", a)
    assert done.status == 1 and "it is started, not failed" in done.err, done
    done = s.verb("retry", str(s.drop / "never.csv"))
    assert done.status == 1 and "knows no such file" in done.err, done
    assert len(actions(s, "retry")) == 2
    s.check_runs({a: 1, b: 1})
    assert token in {r.token for r in s.api.runs}
    s.check_started()
    s.stop()


def test_retry_when_the_run_exists(service):
    """The answer was lost, then the job refused: only the token can tell, and it does."""
    s = service().start()
    s.api.fault("truncate", path="run-now", times=1)
    refuse(s, "a.csv", times=1)
    path = s.put("a.csv")
    [failed] = s.wait_event("start.failed")
    assert failed["reason"] == "outcome_unknown"
    assert s.verb("retry", path).status == 0
    [started] = s.wait_event("run.started")
    assert [r.run_id for r in s.api.runs] == [started["run_id"]]
    s.stop()


def test_retry_of_what_has_no_request(service):
    """A name that could not be sent: judged anew, and still refused."""
    s = service().start()
    bad = str(s.drop / "{{x}}.csv")
    s.put("{{x}}.csv")
    s.wait_event("start.failed")
    done = s.verb("retry", bad)
    assert done.status == 0 and "never been judged" in done.out, done
    s.wait_event("start.failed", 2)
    s.barrier()
    s.check_runs({})
    s.stop()


def test_drop(service):
    s = service().start()
    refuse(s, "a.csv")
    path = s.put("a.csv")
    s.wait_event("start.failed")
    done = s.verb("drop", path, "--reason", "not needed")
    assert done.status == 0 and "1 file dropped" in done.out, done
    found, totals, _ = files_of(s)
    assert totals == {"dropped": 1} and found[path]["detail"] == "not needed"
    assert s.verb("retry", path).status == 1
    assert s.verb("files", "--day", "2000-01-01").status == 0
    s.stop()
    s.start()
    s.barrier()
    s.check_runs({})
    s.stop()


def test_release_of_rules_changed(service):
    """Turned away, then passed by other rules: held, and judged when released."""
    s = service(min_size="1000").start()
    path = s.put("a.csv")
    s.wait_event("file.rejected")
    s.stop()
    s.watches["drop"]["min_size"] = "1"
    s.write_configuration()
    s.start()
    wait_for(lambda: files_of(s)[1] == {"held": 1}, "held")
    assert s.verb("retry", path).status == 1
    done = s.verb("release", path)
    assert done.status == 0 and "judged now, by a listing" in done.out, done
    s.wait_run(path)
    s.check_runs({path: 1})
    [event] = s.wait_event("operator.action", verb="release")
    assert event["count"] == 1
    s.stop()


def test_release_with_a_request(service):
    """A file that was there before, touched: held because nobody knows what was in it; then it goes."""
    s = service(existing="skip")
    path = s.put("a.csv")
    s.start()
    s.stop()
    os.utime(path, (1, 1))
    s.start()
    wait_for(lambda: files_of(s)[1] == {"skipped": 1, "held": 1}, lambda: files_of(s))
    s.stop()
    s.start()
    done = s.verb("release", "--watch", "drop")
    assert done.status == 0 and "1 file released" in done.out, done
    s.wait_run(path)
    s.barrier()
    s.check_runs({path: 1})
    s.stop()


def test_release_of_a_removed_watch(service):
    """What waits for a watch that is taken out is held; released, it is sent all the same."""
    s = service(watches={"drop": {}, "gone": {}}).start()
    assert s.verb("pause", "gone").status == 0
    path = str(s.folder / "gone" / "a.csv")
    put(path, text("a"))
    wait_for(lambda: files_of(s)[1] == {"pending": 1}, "it waits")
    del s.watches["gone"]
    s.write_configuration()
    assert s.verb("reload").status == 0
    found, totals, _ = files_of(s)
    assert totals == {"held": 1} and found[path]["reason"] == "watch_removed"
    assert s.verb("resume", "gone").status == 2
    done = s.verb("release", "--state", "held")
    assert done.status == 0 and "1 file released" in done.out, done
    s.wait_run(path)
    s.wait_event("run.started", path=path)
    s.stop()


def test_release_uses_the_present_configuration(service):
    """Held under one job, released under another: it was never sent, so the new one counts."""
    s = service(existing="skip")
    path = s.put("a.csv")
    s.start()
    s.stop()
    os.utime(path, (1, 1))
    s.start()
    wait_for(lambda: files_of(s)[1] == {"skipped": 1, "held": 1}, lambda: files_of(s))
    s.api.add_job(4711, ["path"])
    s.watches["drop"]["job_id"] = 4711
    s.write_configuration()
    assert s.verb("reload").status == 0
    assert s.verb("release", path).status == 0
    [run] = s.wait_run(path)
    assert run.run.job_id == 4711
    s.stop()


def test_rerun(service):
    s = service().start()
    a, b = s.put("a.csv"), s.put("b.csv")
    s.wait_event("run.started", 2)
    refuse(s, "c.csv")
    c = s.put("c.csv")
    lost = s.api.fault("status", status=503, path="run-now", body="d.csv", times=None)
    d = s.put("d.csv")
    s.wait_event("start.retrying", path=d)
    refuse(s, "d.csv")
    s.api.remove_fault(lost)
    s.wait_event("start.failed", 2)
    assert s.verb("rerun", a).status == 2
    done = s.verb("rerun", "--watch", "drop", "--reason", "x")
    assert done.status == 1 and "4 files would be run again, 1 of them" in done.err and d in done.err, done
    assert not actions(s, "rerun")
    done = s.verb("rerun", a, c, "--reason", "new code", "--yes")
    assert done.status == 0 and "2 files run again" in done.out, done
    runs = s.wait_run(a, 2)
    s.wait_run(c)
    s.wait_event("run.started", 4)
    first, second = s.events("run.started", path=a)
    assert (first["generation"], second["generation"]) == (1, 2)
    assert second["previous_run_id"] == first["run_id"] == runs[0].run.run_id
    s.barrier()
    assert s.verb("rescan").status == 0
    s.barrier()
    s.check_runs({a: 2, b: 1, c: 1})
    s.stop()
    s.start()
    s.barrier()
    s.check_runs({a: 2, b: 1, c: 1})
    assert s.verb("files", "--state", "failed").out.splitlines()[-1] == "failed 1"
    s.stop()


def test_rerun_of_an_older_version(service):
    """Only the newest version of a file can be run again, else the newest would look new."""
    s = service().start()
    path = s.put("a.csv", text("one"))
    s.wait_event("run.started")
    s.put("a.csv", text("two, longer"))
    s.wait_event("run.started", 2)
    done = s.verb("rerun", path, "--reason", "x")
    assert done.status == 1 and "1 file would be run again, 0 of them" in done.err and "left" not in done.err, done
    done = s.verb("rerun", path, "--reason", "x", "--yes")
    assert done.status == 0 and "1 file run again" in done.out and "left" not in done.out, done
    s.wait_run(path, 3)
    assert s.verb("rescan").status == 0
    s.barrier()
    s.check_runs({path: 3})
    s.stop()


def test_rerun_says_why_not(service):
    """The form that only asks says of each kind of file why it would not be run again."""
    s = service(brake="1/1h", watches={"drop": {}, "gone": {}}).start()
    path = str(s.folder / "gone" / "g.csv")
    put(path, text("g"))
    s.wait_run(path)
    s.wait_run(s.put("a.csv"))
    held = s.put("held.csv")
    wait_for(lambda: files_of(s)[1] == {"started": 2, "held": 1}, "a held one")
    del s.watches["gone"]
    s.write_configuration()
    assert s.verb("reload").status == 0
    done = s.verb("rerun", held, path, str(s.drop / "never.csv"), "--reason", "x")
    assert done.status == 1 and "0 files would be run again" in done.err and "--yes" not in done.err, done
    assert f"{held}: it is held, not started or failed" in done.err, done
    assert "never.csv: the ledger knows no such file" in done.err, done
    assert "1 left as it is: the watch is not configured any more" in done.err, done
    done = s.verb("rerun", "--watch", "drop", "--since", "2100-01-01", "--reason", "x")
    assert done.status == 1 and "none of those selected is started or failed" in done.err, done
    s.stop()


def test_rerun_of_what_was_skipped(service):
    """It was there before the watch, and has had no run: the first one, if it passes the rules. Only by its path."""
    s = service(existing="skip", settle="100ms", types="@csv")
    path, other, bad = s.put("a.csv"), s.put("b.csv"), s.put("c.csv", b"\x7fELF" + bytes(100))
    s.start()
    assert files_of(s)[1] == {"skipped": 3}
    done = s.verb("release", path)
    assert done.status == 1 and "it is skipped, not held; brickwatch rerun starts it" in done.err, done
    done = s.verb("rerun", "--watch", "drop", "--reason", "x", "--yes")
    assert "0 files run again" in done.out, done
    done = s.verb("rerun", path, bad, "--reason", "wanted after all")
    assert done.status == 1 and "2 would be judged now, and have their first run" in done.err, done
    assert files_of(s)[1] == {"skipped": 3}
    done = s.verb("rerun", path, bad, "--reason", "wanted after all", "--yes")
    assert done.status == 0 and "2 files that had never been judged are judged now" in done.out, done
    s.wait_run(path)
    [started] = s.wait_event("run.started")
    assert started["generation"] == 1 and started["path"] == path
    wait_for(lambda: files_of(s)[1] == {"started": 1, "skipped": 1, "rejected": 1}, lambda: files_of(s))
    assert s.verb("rescan").status == 0
    s.barrier(thorough=True)
    s.check_runs({path: 1})
    assert files_of(s)[0][other]["state"] == "skipped"
    s.stop()


def test_rerun_of_what_was_discarded(service):
    s = service(on_failure="discard").start()
    refuse(s, "a.csv")
    path, bad = s.put("a.csv"), s.put("{{x}}.csv")
    s.wait_event("start.failed", 2)
    assert files_of(s)[1] == {"discarded": 2}
    done = s.verb("retry", path)
    assert done.status == 1 and "it is discarded, not failed; brickwatch rerun starts it" in done.err, done
    done = s.verb("rerun", path, "--reason", "mended", "--yes")
    assert done.status == 0 and "1 file run again" in done.out, done
    s.wait_run(path)
    done = s.verb("rerun", bad, "--reason", "judged again, and no better", "--yes")
    assert done.status == 0 and "1 file that had never been judged" in done.out, done
    s.wait_event("start.failed", 3)
    s.barrier()
    s.check_runs({path: 1})
    s.check_started()
    s.stop()


def test_release_many(service):
    """More than one chunk, one event."""
    s = service(min_size="1000", events={"rejected": "no"})
    paths = [s.put(f"{n}.csv") for n in range(700)]
    s.start()
    wait_for(lambda: files_of(s)[1] == {"rejected": 700}, "all rejected")
    s.stop()
    s.watches["drop"]["min_size"] = "1"
    s.write_configuration()
    s.start()
    wait_for(lambda: files_of(s)[1] == {"held": 700}, "all held")
    assert s.verb("release", "--state", "held").status == 0
    wait_for(lambda: len(s.events("run.started")) == 700, "all started")
    s.check_runs({p: 1 for p in paths})
    [event] = s.events("operator.action")
    assert event["count"] == 700 and event["arguments"] == "--state held"
    s.stop()


def test_usage(service):
    """What is wrong with the command line is said without a service."""
    s = service()
    for words in (["release"], ["retry", "--state", "nothing"], ["rerun", "x"], ["pause"], ["resume"],
                  ["rescan", "a", "b"], ["drop", "--since", "tomorrowish", "x"], ["status", "x"],
                  ["files", "a", "b"]):
        assert s.verb(*words).status == 2, words
    for words in (["release", "x"], ["rerun", "x", "--reason", "y"], ["pause", "drop"], ["rescan"]):
        assert s.verb(*words).status == 3, words


# --- one watch --------------------------------------------------------------------------------------------------------

def test_pause_and_resume(service):
    s = service(watches={"drop": {}, "more": {}}).start()
    done = s.verb("pause", "drop", "--reason", "a freeze")
    assert done.status == 0, done
    assert "already" in s.verb("pause", "drop").out
    path = s.put("a.csv")
    other = str(s.folder / "more" / "b.csv")
    put(other, text("b"))
    s.wait_run(other)
    wait_for(lambda: files_of(s)[1] == {"started": 1, "pending": 1}, "it waits")
    assert "paused" in s.verb("status").out
    assert s.verb("status", "--check").status == 0
    s.check_runs({other: 1})
    assert [e["watch"] for e in s.wait_event("watch.paused")] == ["drop"]
    assert s.verb("resume", "drop").status == 0
    s.wait_run(path)
    assert [e["watch"] for e in s.wait_event("watch.resumed")] == ["drop"]
    assert "not paused" in s.verb("resume", "drop").out
    assert [(e["verb"], e["watch"], e["reason"]) for e in s.events("operator.action")] == [
        ("pause", "drop", "a freeze"), ("resume", "drop", None)]
    told = [line.split(None, 2)[2] for line in s.verb("events", "--type", "operator.action").out.splitlines()]
    me = s.events("operator.action")[0]["user"]
    assert [line.split() for line in told] == [
        ["drop", "pause", "drop", "by", me, "a", "freeze"], ["drop", "resume", "drop", "by", me]]
    assert s.verb("pause", "nothing").status == 2
    s.check_runs({path: 1, other: 1})
    s.stop()


def test_rescan(service):
    """What only a listing can show is found at once."""
    s = service(rescan="24h").start()
    source, linked = s.outside / "l", s.drop / "linked.csv"
    put(source, text("one"))
    os.link(source, linked)
    s.wait_run(linked)
    with open(source, "ab") as file:
        file.write(b"7,more\n")
    assert s.verb("rescan", "drop").status == 0
    s.wait_run(linked, 2)
    s.wait_event("operator.action", verb="rescan", watch="drop")
    assert s.verb("rescan").status == 0
    s.stop()


# --- adopt ------------------------------------------------------------------------------------------------------------

def test_adopt(service):
    """A new ledger learns from logs, plain and compressed, what was started, and starts none of it again."""
    s = service().start()
    paths = [s.put(f"{n}.csv") for n in range(5)]
    s.wait_event("run.started", 5)
    s.stop()
    old = s.log.read_bytes().splitlines(keepends=True)
    first, second = s.outside / "old.jsonl.gz", s.outside / "young.jsonl"
    with gzip.open(first, "wb") as file:
        file.writelines(old[:len(old) // 2])
    second.write_bytes(b"".join(old[len(old) // 2:]))
    for path in paths:
        os.rename(path, s.outside / os.path.basename(path))
    shutil.rmtree(s.state)
    s.state.mkdir()
    s.log.unlink()
    s.follower.close()
    s.follower = Follower(s.log)
    s.start()
    done = s.verb("adopt", first, second, "--reason", "a new disk")
    assert done.status == 0 and done.out.startswith("5 files adopted"), done
    done = s.verb("adopt", "--json", first, second)
    assert json.loads(done.out) == {"inserted": 0, "started": 0, "known": 5, "damaged": 0}
    events = actions(s, "adopt")
    assert sum(e["count"] for e in events) == 5 and {e["reason"] for e in events} == {"a new disk"}
    assert {e["arguments"] for e in events} <= {str(first), str(second)}
    for path in paths:
        os.rename(s.outside / os.path.basename(path), path)
    s.barrier()
    assert s.verb("rescan").status == 0
    s.barrier()
    assert files_of(s, "--state", "started", "[0-9].csv")[1] == {"started": 5}
    sent = [r for r in s.api.requests if r.path.endswith("run-now")]
    assert len(sent) == 5 + len([r for r in s.seen if "barrier" in r.path]), "a known one was sent again"
    s.stop()


def test_adopt_of_what_is_none(service):
    s = service().start()
    nothing = s.outside / "nothing.jsonl"
    nothing.write_text('{"type":"run.started"}\nno json "run.started"\n{"type":"watch.ready"}\n')
    done = s.verb("adopt", "--json", nothing)
    assert done.status == 1 and json.loads(done.out)["inserted"] == 0, done
    assert s.verb("adopt", s.outside / "missing").status == 1
    assert s.verb("adopt").status == 2
    assert not actions(s, "adopt")
    s.stop()
    assert s.verb("adopt", nothing).status == 3


# --- reload -----------------------------------------------------------------------------------------------------------

def test_reload_refused(service):
    """A mistaken configuration is refused whole, and the running one goes on."""
    s = service().start()
    before = s.pid("bw-watch")
    s.watches["drop"]["settle"] = "soon"
    s.sections["service"]["log_level"] = "loud"
    s.write_configuration()
    done = s.verb("reload")
    assert done.status == 78 and "settle" in done.err and "log_level" in done.err and "stays" in done.err, done
    del s.watches["drop"]["settle"]
    s.sections["service"]["log_level"] = "info"
    state = s.sections["service"].pop("state_directory")
    s.sections["service"]["state_directory"] = s.folder / "elsewhere"
    s.write_configuration()
    done = s.verb("reload")
    assert done.status == 78 and "needs a restart" in done.err, done
    s.sections["service"]["state_directory"] = state
    s.sections["workspace"]["token_file"] = s.folder / "none"
    s.write_configuration()
    done = s.verb("reload")
    assert done.status == 78 and "none" in done.err, done
    path = s.put("a.csv")
    s.wait_run(path)
    assert s.pid("bw-watch") == before and s.verb("status", "--check").status == 0
    assert not s.events("service.reloaded")
    s.stop()


def test_reload_of_what_is_the_same(service):
    s = service().start()
    s.wait_run(s.put("a.csv"))
    pids = [s.pid("bw-watch"), s.pid("bw-dispatch")]
    done = s.verb("reload", "--reason", "to see")
    assert done.status == 0 and "reloaded: 1 watch" in done.out, done
    s.wait_run(s.put("b.csv"))
    assert pids == [s.pid("bw-watch"), s.pid("bw-dispatch")]
    s.wait_event("service.reloaded")
    [event] = s.wait_event("operator.action")
    assert event["verb"] == "reload" and event["user"] == user() and event["reason"] == "to see"
    assert s.verb("status", "--check").status == 0
    s.wait_event("run.started", 2)
    s.check_runs({s.drop / "a.csv": 1, s.drop / "b.csv": 1})
    s.check_started()
    s.stop()


def test_reload_of_watches(service):
    """A changed watch is restarted, a new one started, one that is gone stopped; the others go on."""
    s = service(watches={"same": {}, "other": {"min_size": "1000"}, "gone": {}}).start()
    same, other, gone = s.pid("bw-watch", "same"), s.pid("bw-watch", "other"), s.pid("bw-watch", "gone")
    small = str(s.folder / "other" / "small.csv")
    put(small, text("small"))
    s.wait_event("file.rejected")
    s.watches["other"]["min_size"] = "1"
    del s.watches["gone"]
    s.watches["new"] = {}
    (s.folder / "new").mkdir()
    put(s.folder / "new" / "n.csv", text("n"))
    s.write_configuration()
    assert s.verb("reload").status == 0
    s.wait_run(s.folder / "new" / "n.csv")
    wait_for(lambda: not s.pids("bw-watch", "gone"), "the watch that is gone has ended")
    wait_for(lambda: s.pids("bw-watch", "other") not in ([], [other]), "the changed watch was restarted")
    assert s.pid("bw-watch", "same") == same and gone
    wait_for(lambda: "3 of 3 watches ready" in s.verb("status", "--check").out, "all ready")
    wait_for(lambda: "held" in files_of(s)[1], "known under other rules: held")
    put(s.folder / "other" / "next.csv", text("next"))
    s.wait_run(s.folder / "other" / "next.csv")
    put(s.folder / "same" / "s.csv", text("s"))
    s.wait_run(s.folder / "same" / "s.csv")
    put(s.folder / "gone" / "g.csv", text("g"))
    s.watches["gone"] = {}
    s.write_configuration()
    assert s.verb("reload").status == 0
    s.wait_run(s.folder / "gone" / "g.csv")
    s.wait_event("run.started", 4)
    s.check_runs({s.folder / w / n: 1 for w, n in (("new", "n.csv"), ("other", "next.csv"), ("same", "s.csv"),
                                                   ("gone", "g.csv"))})
    assert len(s.events("service.reloaded")) == 2
    assert s.verb("rescan", "gone").status == 0
    s.stop()
    s.start()
    s.stop()
    s.check_started()


def test_reload_under_load(service):
    """Files that come while it is reloaded, again and again, are started once; so is what was on its way."""
    s = service(workspace={"max_requests": "4"}).start()
    held = s.api.fault("slow", path="run-now", delay_s=0.0001, times=None)
    paths = []
    for round_number in range(6):
        for n in range(40):
            paths.append(s.put(f"{round_number}-{n}.csv"))
        s.watches["drop"]["rescan"] = f"{round_number + 10}m"
        s.write_configuration()
        assert s.verb("reload").status == 0
    s.api.remove_fault(held)
    wait_for(lambda: len(s.events("run.started")) >= len(paths), lambda: s.err()[-2000:])
    s.check_runs({p: 1 for p in paths})
    s.check_started()
    s.stop()


def test_reload_counts_for_what_waits(service):
    """A mended job is used for files that were accepted under the mistaken one and not sent."""
    s = service().start()
    assert s.verb("pause", "drop").status == 0
    path = s.put("a.csv")
    wait_for(lambda: files_of(s)[1] == {"pending": 1}, "it waits")
    s.api.add_job(4711, ["path"])
    s.watches["drop"]["job_id"] = 4711
    s.write_configuration()
    assert s.verb("reload").status == 0
    assert s.verb("resume", "drop").status == 0
    [run] = s.wait_run(path)
    assert run.run.job_id == 4711
    s.stop()


# --- explain on a running service -------------------------------------------------------------------------------------

def test_explain_live(service):
    """What the running watch waits for, and since when."""
    s = service(types="@csv").start()
    path = s.drop / "a.csv"
    with open(path, "wb") as file:
        file.write(text("a"))
        file.flush()
        done = wait_for(lambda: (lambda d: d if "open for writing since" in d.out else None)(
            s.verb("explain", path)), "the evidence")
        assert done.status == 0 and "not yet, noticed" in done.out and "@csv" in done.out, done
    s.wait_run(path)
    s.wait_event("run.started")
    done = s.verb("explain", path)
    assert "does not wait for it" in done.out and "started already, as run" in done.out, done
    [answer] = json.loads(s.verb("explain", "--json", path).out)
    assert "complete" in [step["step"] for step in answer["steps"]] and "service" not in answer["steps"]
    done = s.verb("explain", s.drop / "none.csv")
    assert "no such file" in done.out, done
    s.barrier()
    s.stop()
    done = s.verb("explain", path)
    assert done.status == 0 and "noticed" not in done.out and "started already" in done.out, done


def test_explain_and_status_of_a_stalled_watch(service):
    """A stopped watcher answers nothing: that is said after five seconds, and files goes on without it."""
    s = service().start()
    path = s.put("a.csv")
    s.wait_event("run.started")
    pid = s.kill("bw-watch", signo=signal.SIGSTOP)
    try:
        done = s.verb("explain", path)
        assert done.status == 1 and "has not answered in 5 s" in done.out, done
        done = s.verb("files")
        assert done.status == 1 and "does not answer" in done.err and "started 1" in done.out, done
        done = s.verb("status")
        assert done.status == 0 and " ? " in done.out, done
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: s.verb("files").status == 0, "it answers again")
    assert "does not wait for it" in s.verb("explain", path).out
    s.stop()


# --- hostile and careless clients -------------------------------------------------------------------------------------

def connect(service):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(str(service.folder / "run" / "control.sock"))
    client.settimeout(10)
    return client


@pytest.mark.parametrize("garbage", [b"x", b"\0" * 8, b"\1\0\x26\0\xff\xff\xff\xff" + b"y" * 100, b"z" * 65536])
def test_garbage(service, garbage):
    """Who sends what is none is let go, and nobody else notices."""
    s = service().start()
    with connect(s) as client:
        client.send(garbage)
        try:
            assert client.recv(100) == b""
        except ConnectionResetError:
            pass
    assert s.verb("status").status == 0
    s.wait_run(s.put("a.csv"))
    s.stop()


def test_too_many_clients(service):
    s = service().start()
    clients = [connect(s) for _ in range(40)]
    wait_for(lambda: s.verb("status").status == 1, "turned away")
    s.wait_run(s.put("a.csv"))
    for client in clients:
        client.close()
    wait_for(lambda: s.verb("status").status == 0, "served again")
    s.stop()
