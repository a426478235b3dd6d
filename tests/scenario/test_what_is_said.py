"""What the verbs say to who runs the service: the true reason, the present one, in time, and what to do about it."""

import json
import os
import re
import shutil
import signal
import time

from harness import JOB, Follower, put, text, wait_for
from jobsapi import Job, JobsApi
from test_terminal import on_terminal


def rows_of(s, *words):
    """{name: [its records]}"""
    found = {}
    for line in s.verb("files", "--json", *words).out.splitlines():
        record = json.loads(line)
        if "path" in record:
            found.setdefault(os.path.basename(record["path"]), []).append(record)
    return found


def why(s, name):
    return rows_of(s, "--state", "pending").get(name, [{}])[0].get("waiting_for") or ""


# --- why a pending file waits -----------------------------------------------------------------------------------------

def test_a_watch_that_is_paused_by_its_configuration(service):
    s = service(paused="yes").start()
    path = s.put("a.csv")
    words = "watch drop is paused by its configuration (paused = yes)"
    wait_for(lambda: why(s, "a.csv") == words, lambda: why(s, "a.csv"))
    assert words in s.verb("files").out and words in s.verb("explain", path).out
    done = s.verb("resume", "drop")
    assert done.status == 1 and "stays paused" in done.err and "brickwatch reload" in done.err, done
    assert s.verb("pause", "drop").status == 0
    assert why(s, "a.csv") == f"watch drop is paused by a person; {words}"
    assert s.verb("resume", "drop").status == 1
    s.stop()
    assert words in s.verb("files").out  # from the ledger and the configuration
    s.check_runs({})
    del s.watches["drop"]["paused"]
    s.write_configuration()
    s.start()
    s.wait_run(path)
    s.stop()


def test_the_trouble_of_a_former_job_is_none(service):
    """After the job was mended, and again after that."""
    s = service(api=JobsApi([Job(5, ["other"]), Job(JOB, ["path"])]), job_id=999).start()
    path = s.put("a.csv")
    s.wait_event("job.suspended")
    assert "999 does not exist" in why(s, "a.csv")
    s.watches["drop"]["job_id"] = 5
    s.write_configuration()
    assert s.verb("reload").status == 0
    assert "999" not in why(s, "a.csv")
    [event] = s.wait_event("job.suspended", job_id=5)
    assert "parameter_undefined" in event["detail"]
    words = wait_for(lambda: why(s, "a.csv"), "the trouble of the new job")
    assert "parameter_undefined" in words and "999" not in words
    done = wait_for(lambda: next((d for d in [s.verb("explain", path)] if d.status == 0), None), "its watcher is there")
    assert "parameter_undefined" in done.out and "999" not in done.out, done
    assert [e["job_id"] for e in s.events("job.suspended")] == [999, 5]
    s.stop()
    s.start()  # the same job: still known, and not told again
    assert "parameter_undefined" in why(s, "a.csv") and "999" not in s.verb("explain", path).out
    s.watches["drop"]["job_id"] = JOB
    s.write_configuration()
    assert s.verb("reload").status == 0
    s.wait_run(path)
    s.stop()
    assert len(s.events("job.suspended")) == 2


# --- a service that hangs ---------------------------------------------------------------------------------------------

def test_a_service_that_hangs(service):
    s = service().start()
    path = s.put("a.csv")
    s.wait_run(path)
    s.kill("bw-dispatch", signo=signal.SIGSTOP)
    for words in (["status", "--check"], ["status"], ["explain", path]):
        began = time.monotonic()
        done = s.verb(*words, timeout=30)
        assert time.monotonic() - began < 25, "longer than any monitor waits"
        assert "the service does not answer: it has said nothing for 10 s, so it hangs" in done.out + done.err, done
        assert done.status == 1 or words[0] == "explain", done
    s.kill("bw-dispatch", signo=signal.SIGCONT)
    assert s.verb("status", "--check").status == 0
    s.stop()


# --- adopt ------------------------------------------------------------------------------------------------------------

def test_adopt_counts_what_was_held(service):
    s = service().start()
    paths = [s.put(f"{n}.csv") for n in range(3)]
    s.wait_event("run.started", 3)
    s.stop()
    old = s.outside / "old.jsonl"
    os.rename(s.log, old)
    shutil.rmtree(s.state)
    s.state.mkdir()
    s.follower.close()
    s.follower = Follower(s.log)
    s.watches["drop"]["existing"] = "hold"
    s.write_configuration()
    s.put("more.csv")
    s.start()
    wait_for(lambda: len(rows_of(s, "--state", "held")) == 4, "all to be held")
    done = s.verb("adopt", old)
    assert done.out.startswith("0 files adopted that were not known, 3 that waited, were held or skipped; 0 "), done
    held = rows_of(s, "--state", "held")
    assert list(held) == ["more.csv"] and len(rows_of(s, "--state", "started")) == 3
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))


# --- scan -------------------------------------------------------------------------------------------------------------

def test_a_scan_without_the_patience_that_is_needed(service):
    """What a listing finds must stay unchanged for `settle`: who waits less would start nothing, for ever."""
    s = service(settle=None)
    path = s.put("a.csv")
    done = s.verb("scan", "--wait", "1s")
    assert done.status == 1 and "must stay unchanged for 30 s (settle), and --wait 1 s is no longer" in done.err, done
    assert not s.runs_of(path)
    s.watches["drop"]["settle"] = "1500ms"
    s.write_configuration()
    done = s.verb("scan", "--wait", "20s")
    assert done.status == 0 and len(s.runs_of(path)) == 1, done
    done = s.verb("scan", "--wait", "1s")
    assert done.status == 0 and "must stay" not in done.err, done  # nothing is left


# --- files ------------------------------------------------------------------------------------------------------------

def test_times_of_the_table_can_be_given_back(service):
    s = service(environment={"TZ": "Asia/Kolkata"}).start()
    s.put("a.csv")
    s.wait_event("run.started")
    [line] = [line for line in s.verb("files").out.splitlines() if "a.csv" in line]
    at = re.search(r" (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ", line)[1]
    assert "started 1" in s.verb("files", "--since", at).out
    assert "no files" in s.verb("files", "--until", at).out
    s.stop()


def test_a_day_that_is_not_over(service):
    s = service(paused="yes").start()
    s.put("a.csv")
    wait_for(lambda: why(s, "a.csv"), "a pending file")
    today = time.strftime("%Y-%m-%d")
    done = s.verb("files", "--day", today)
    assert done.status == 1 and f"not all files of {today} are through: 1 pending" in done.err, done
    done = s.verb("files", "--day", "2001-02-03")
    assert done.status == 0 and "no files" in done.out, done
    done = s.verb("files", "--day", "2101-02-03")
    assert done.status == 2 and "2101-02-03 has not begun yet" in done.err, done
    s.stop()


def test_words_that_are_no_state_or_type(service):
    s = service().start()
    done = s.verb("files", "--state", "stuck")
    assert done.status == 2 and "there are waiting, pending, started, rejected, " in done.err, done
    done = s.verb("events", "--type", "run.*ed")
    assert done.status == 0, done
    for word in ("nonsense", "run", "run.?"):
        done = s.verb("events", "--type", word)
        assert done.status == 2 and "there are run.started, " in done.err and " file.rejected, " in done.err, done
    done = s.verb("release", "--state", "waiting")
    assert done.status == 2 and "there are pending, started, rejected, " in done.err, done
    s.stop()


def test_a_held_file_is_listed_once(service):
    """Also while it is looked at."""
    s = service(existing="hold", settle=None)
    put(s.drop / "old.csv", text("old"))
    s.start()
    assert [r["state"] for r in wait_for(lambda: rows_of(s).get("old.csv"), "the row")] == ["held"]
    assert [r["state"] for r in rows_of(s, "--state", "waiting")["old.csv"]] == ["waiting"]
    assert "held 1" in s.verb("files").out and "waiting" not in s.verb("files").out
    s.stop()


def test_a_narrow_terminal_keeps_the_name(service):
    s = service(watches={"a-watch-of-a-long-name": {}}).start()
    s.put("orders-today.csv")
    s.wait_event("run.started")
    for columns in (30, 40, 60, 75):
        _, seen = on_terminal(s, columns, "files")
        assert "orders-today.csv" in seen.split("\n")[0] and len(seen.split("\n")[0]) <= columns, seen
    for columns in (60, 75, 86):
        _, seen = on_terminal(s, columns, "events", "--type", "run.*")
        assert "orders-today.csv" in seen and len(seen.split("\n")[0]) <= columns, seen
    s.stop()


# --- status -----------------------------------------------------------------------------------------------------------

def test_a_lost_watch_says_which_and_why(service):
    s = service(sentinel="here", watches={"drop": {}, "gone": {"directory": "/nowhere/at/all"}})
    s.start(wait=False)
    s.wait_event("watch.lost", 2)
    done = s.verb("status")
    assert f"{s.drop}: " in done.out and "sentinel" in done.out, done
    assert "/nowhere/at/all: " in done.out and "No such file" in done.out, done
    done = s.verb("status", "--check")
    assert done.status == 1 and f"is lost ({s.drop}: " in done.out and "is lost (/nowhere/at/all: " in done.out, done
    (s.drop / "here").touch()
    s.wait_event("watch.ready", watch="drop")
    s.stop()
