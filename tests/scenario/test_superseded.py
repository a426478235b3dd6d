"""A file is written anew while an older version of it waits for a person: that one is never started, whatever the
person says later. Both runs would read the same bytes."""

import json
import os

import pytest

from harness import put, text, wait_for


def states(s, path):
    """States of all versions of a file, oldest first."""
    lines = [json.loads(line) for line in s.verb("files", "--json", str(path)).out.splitlines()]
    return [line["state"] for line in lines if "state" in line]


def wait_states(s, path, expected):
    wait_for(lambda: states(s, path) == expected, lambda: f"{expected}; there is {states(s, path)}\n{s.err()[-3000:]}")


def test_held_ones_that_were_there_before(service):
    """The command that the message of the held files advises, after one of them was written anew."""
    s = service(existing="hold", settle="100ms", rescan="1s")
    path, other = s.put("a.csv", text("old")), s.put("b.csv")
    s.start()
    s.wait_event("watch.held")
    s.put("a.csv", text("new and longer"))
    s.wait_run(path)
    [gone] = s.wait_event("file.superseded")
    assert gone["path"] == path and gone["size"] == len(text("old"))
    wait_states(s, path, ["superseded", "started"])
    done = s.verb("release", "--watch", "drop")
    assert done.status == 0 and "superseded" not in done.out, done
    s.wait_run(other)
    s.barrier(thorough=True)
    s.check_runs({path: [text("new and longer")], other: 1})
    s.stop()


def test_of_several_held_by_the_brake_the_newest_is_released(service):
    s = service(brake="1/1h").start()
    s.wait_run(s.put("first.csv"))
    for n in range(3):
        path = s.put("q.csv", text("q", n + 1))
        wait_states(s, path, ["superseded"] * n + ["held"])
    done = s.verb("release", path)
    assert done.status == 0 and "1 file released" in done.out, done
    s.wait_run(path)
    wait_states(s, path, ["superseded", "superseded", "started"])
    assert len(s.wait_event("file.superseded", 2)) == 2
    s.check_runs({path: [text("q", 3)], s.drop / "first.csv": 1})
    s.stop()


def test_a_dead_letter_of_an_older_version(service):
    """The job was mended, and everything that failed is tried again."""
    s = service().start()
    s.api.fault("status", status=400, path="run-now", body=".csv", times=2)
    path, other = s.put("r.csv", text("old")), s.put("o.csv")
    s.wait_event("start.failed", 2)
    s.put("r.csv", text("new and longer"))
    s.wait_run(path)
    wait_states(s, path, ["failed", "started"])
    done = s.verb("retry", "--state", "failed")
    assert done.status == 0, done
    assert "1 file tried again; 1 superseded: a newer version of the file is known" in done.out, done
    s.wait_run(other)
    wait_states(s, path, ["superseded", "started"])
    [gone] = s.wait_event("file.superseded")
    assert gone["path"] == path and gone["size"] == len(text("old"))
    [event] = s.wait_event("operator.action")
    assert event["count"] == 2
    s.barrier()
    s.check_runs({path: [text("new and longer")], other: 1})
    s.check_started()
    s.stop()


def test_a_dead_letter_whose_run_may_exist_is_asked_for(service):
    """Only the token can tell: it is sent again as it stands, though a newer version is there. (The connection of the
    first request is a kept one, so curl sends it again by itself when there is no answer.)"""
    s = service().start()
    s.api.fault("lose", path="run-now", times=1)
    s.api.fault("status", status=400, path="run-now", body="a.csv", times=1)
    path = s.put("a.csv", text("old"))
    [failed] = s.wait_event("start.failed")
    assert failed["reason"] == "outcome_unknown"
    s.put("a.csv", text("new and longer"))
    s.wait_run(path, 2)
    done = s.verb("retry", path)
    assert done.status == 0 and "1 file tried again" in done.out, done
    wait_states(s, path, ["started", "started"])
    s.check_runs({path: 2})
    s.check_started()
    s.stop()


@pytest.mark.parametrize("way", ["release", "drop"])
def test_held_before_a_restart(service, way):
    """A restart lies between the two versions: nothing waits for ever."""
    s = service(brake="1/1h").start()
    s.wait_run(s.put("first.csv"))
    path = s.put("f.csv", text("old"))
    wait_states(s, path, ["held"])
    s.kill_keeper()
    s.start()
    s.put("f.csv", text("new and longer"))
    wait_states(s, path, ["superseded", "held"])
    assert s.verb(way, "--watch", "drop").status == 0
    if way == "release":
        s.wait_run(path)
        wait_states(s, path, ["superseded", "started"])
    else:
        wait_states(s, path, ["superseded", "dropped"])
    assert s.verb("rescan").status == 0
    wait_for(lambda: s.verb("status", "--json").out.count('"pending":0'), "nothing is pending")
    s.check_runs({path: [text("new and longer")] if way == "release" else [], s.drop / "first.csv": 1})
    s.stop()


# --- looked at once more ----------------------------------------------------------------------------------------------

def test_released_and_gone(service):
    """Released or tried again, a file is looked at before its run is started, however lately it came."""
    s = service(brake="1/1h").start()
    s.wait_run(s.put("first.csv"))
    path, kept = s.put("gone.csv"), s.put("kept.csv")
    wait_states(s, path, ["held"])
    wait_states(s, kept, ["held"])
    os.unlink(path)
    done = s.verb("release", "--watch", "drop")
    assert done.status == 0 and "2 files released" in done.out, done
    [gone] = s.wait_event("file.vanished")
    assert gone["path"] == path
    s.wait_run(kept)
    s.check_runs({s.drop / "first.csv": 1, kept: 1})
    s.stop()


def test_tried_again_and_gone(service):
    s = service().start()
    s.api.fault("status", status=400, path="run-now", body=".csv", times=2)
    path, kept = s.put("gone.csv"), s.put("kept.csv")
    s.wait_event("start.failed", 2)
    os.unlink(path)
    assert s.verb("retry", "--state", "failed").status == 0
    [gone] = s.wait_event("file.vanished")
    assert gone["path"] == path
    s.wait_run(kept)
    s.check_runs({kept: 1})
    s.stop()


def test_released_and_replaced_unseen(service):
    """Replaced where the kernel tells nothing: what is there is found by a listing, and started once."""
    s = service(brake="1/1h", settle="100ms").start()
    s.wait_run(s.put("first.csv"))
    put(s.outside / "h.csv", text("old"))
    os.link(s.outside / "h.csv", s.drop / "h.csv")
    path = s.drop / "h.csv"
    wait_states(s, path, ["held"])
    put(s.outside / "h.csv", text("new and longer"))
    assert s.verb("release", path).status == 0
    assert s.verb("rescan").status == 0
    wait_states(s, path, ["superseded", "held"])
    assert s.verb("release", path).status == 0
    s.wait_run(path)
    s.check_runs({path: [text("new and longer")], s.drop / "first.csv": 1})
    s.stop()
