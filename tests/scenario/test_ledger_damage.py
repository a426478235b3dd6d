"""A ledger that is damaged or lost: a new one is made from the event log, and what that does not tell is held."""

import os
import shutil

import pytest

from harness import text, wait_for
from test_reconciliation import rows, states

SETTLE = {"settle": "100ms", "rescan": "1s"}


def aside(s):
    return sorted(p.name for p in s.state.glob("ledger.db.damaged-*Z"))


@pytest.mark.parametrize("page", [0, 1, 3, 4, 6])
def test_damaged_pages(service, page):
    """It is set aside, and nothing that was started is started again."""
    s = service(**SETTLE).start()
    paths = [s.put(f"{n}.csv", text(f"{n}")) for n in range(40)]
    for path in paths:
        s.wait_run(path)
    s.stop()
    with open(s.state / "ledger.db", "r+b") as file:
        file.seek(page * 4096)
        file.write(os.urandom(4096))
    unknown = s.put("unknown.csv")  # nobody can say whether it was started
    s.start(wait=False)
    wait_for(lambda: aside(s), "a ledger that is set aside")
    wait_for(lambda: (s.state / "ledger.db").exists() and "unknown.csv" in states(s), "the new ledger")
    s.wait_run(s.put("announced.csv"))
    assert states(s)["unknown.csv"] == ("held", "ledger_lost")
    assert len(aside(s)) == 1 and "the damaged ledger is set aside" in s.err()
    assert "knows the 40 started files" in s.err()
    s.check_runs({**{path: 1 for path in paths}, s.drop / "announced.csv": 1})
    assert s.runs_of(unknown) == []
    held = s.wait_event("watch.held")[0]
    assert held["count"] == 1 and "brickwatch release --watch drop" in held["detail"]
    # from then on it is like any other, and a file that is held stays so
    s.stop()
    s.start()
    s.barrier(thorough=True)
    s.wait_run(s.put("later.csv"))
    assert s.runs_of(unknown) == []


def test_lost_ledger(service):
    """The state directory is gone, the event log is there, part of it rotated and compressed."""
    s = service(**SETTLE, events={"max_size": "8KiB"}).start()
    paths = [s.put(f"{n}.csv", text(f"{n}")) for n in range(60)]
    for path in paths:
        s.wait_run(path)
    s.stop()
    before = rows(s, "relpath, size, mtime_ns, ends, token, generation, run_id, job_id")
    assert len(before) == 60
    assert len(list(s.log.parent.glob("events.jsonl.*"))) > 1
    shutil.rmtree(s.state)
    s.state.mkdir(mode=0o700)
    s.start(wait=False)
    wait_for((s.state / "ledger.db").exists, "the new ledger")
    assert sorted(rows(s, "relpath, size, mtime_ns, ends, token, generation, run_id, job_id")) == sorted(before)
    again = s.put("0.csv", text("a new version"))
    s.wait_run(again, 2)
    assert s.runs_of(again)[0].run.run_id in [n for n, in rows(s, "previous_run_id", "previous_run_id IS NOT NULL")]
    s.barrier(thorough=True)
    s.check_runs({**{path: 1 for path in paths}, again: 2})


def test_killed_while_it_is_made(service):
    """What was half done is done again from the beginning."""
    s = service(**SETTLE).start()
    path = s.put("a.csv")
    s.wait_run(path)
    s.check_started()
    s.stop()
    (s.state / "rebuild").mkdir(mode=0o700)
    os.rename(s.state / "ledger.db", s.state / "rebuild" / "ledger.db")
    with open(s.state / "rebuild" / "ledger.db", "r+b") as file:
        file.truncate(4096)
    s.start()
    s.barrier()
    assert not (s.state / "rebuild").exists()
    s.check_runs({path: 1})


def test_first_start_is_none_of_that(service):
    s = service(**SETTLE)
    path = s.put("a.csv")
    s.start()
    s.wait_run(path)
    assert "lost" not in s.err()


def test_something_else_in_its_place(service):
    """It may be what is left of a ledger: it is kept, and what is there is held."""
    s = service(**SETTLE)
    shutil.copy("/bin/true", s.state / "ledger.db")
    s.put("a.csv")
    s.start()
    assert len(aside(s)) == 1
    assert states(s) == {"a.csv": ("held", "ledger_lost")}
    assert s.api.runs == []


def test_damaged_again_and_again(service):
    """Then it is no use, and the program ends with a clear word."""
    s = service()
    for n in range(10):
        (s.state / f"ledger.db.damaged-20260101T00000{n}Z").touch()
    shutil.copy("/bin/true", s.state / "ledger.db")
    s.start(wait=False)
    s.wait_end(78)
    assert "damaged again and again" in s.err()
