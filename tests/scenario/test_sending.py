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
