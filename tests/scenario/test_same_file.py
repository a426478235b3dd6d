"""A file that is renamed, touched, moved away and back, replaced by one that looks the same: each version is started
once, or held, never lost, never twice."""

import os
import subprocess
import tarfile

from harness import put, text, wait_for
from test_reconciliation import SETTLE, rows, states, wait_states
from test_sending import POWER, accept_while_away

HOUR_NS = 3600 * 10**9
KEYS = {"settle": "100ms", "rescan": "1h"}


# --- renamed while it waits -------------------------------------------------------------------------------------------

def test_renamed_while_it_waits_and_was_not_sent(service):
    s = service(**SETTLE)
    s.api.stop()
    s.start()
    old, new = s.put("old.csv"), s.drop / "new.csv"
    wait_for(lambda: "old.csv" in states(s, "state = 'pending'"), "a file that waits")
    os.rename(old, new)
    wait_for(lambda: "new.csv" in states(s), "its new name")
    s.api.start()
    s.wait_event("run.started")
    s.barrier(thorough=True)
    s.stop()
    assert len(s.runs_of(old)) + len(s.runs_of(new)) == 1
    s.check_started()
    assert s.events("start.failed") == []


def test_renamed_while_its_answer_is_awaited(service):
    """Its run exists: it is not started under its new name."""
    s = service(**SETTLE).start()
    held = s.api.fault("hold", path="run-now", times=1)
    old = s.put("old.csv")
    s.wait_run(old)
    os.rename(old, s.drop / "new.csv")
    s.barrier(thorough=True)
    s.api.remove_fault(held)
    s.wait_event("run.started", path=old)
    wait_for(lambda: states(s).get("new.csv") == ("started", ""), lambda: f"{states(s)}")
    s.barrier(thorough=True)
    s.stop()
    s.check_runs({old: 1})
    s.check_started()


# --- times that are set late ------------------------------------------------------------------------------------------

def test_times_set_late(service):
    """As HDFS, SMB and `touch -d` do: a started and a waiting file are what they were, and so is a rejected one."""
    s = service(**KEYS, service=POWER, types="@csv").start()
    started, rejected = s.put("started.csv"), s.put("rejected.csv", b"\x7fELF" + bytes(100))
    s.wait_event("run.started", path=started)
    s.wait_event("file.rejected", path=rejected)
    s.api.stop()
    waiting = s.put("waiting.csv")
    wait_for(lambda: "waiting.csv" in states(s, "state = 'pending'"), "a file that waits")
    for path in (started, rejected, waiting):
        os.utime(path, ns=(10**18, 10**18))
    assert s.verb("rescan").status == 0
    s.api.start()
    s.wait_run(waiting)
    s.barrier(thorough=True)
    s.stop()
    s.start()
    s.barrier(thorough=True)
    s.stop()
    s.check_runs({started: 1, waiting: 1})
    assert len(s.events("file.rejected")) == 1


def test_every_time_is_shifted_by_an_hour(service):
    """As daylight saving time does on a FAT share, all at once, and back again half a year later. Nothing runs again;
    what was never read, and so cannot be compared, is held."""
    s = service(**KEYS, existing="skip")
    skipped = s.put("skipped.csv")
    s.start()
    wait_states(s, {"skipped.csv": ("skipped", "existing")})
    paths = [s.put(f"{n}.csv", text(f"{n}")) for n in range(20)]
    for path in paths:
        s.wait_event("run.started", path=path)
    for shift in (HOUR_NS, -HOUR_NS):
        for path in (skipped, *paths):
            mtime = os.stat(path).st_mtime_ns
            os.utime(path, ns=(mtime, mtime + shift))
        assert s.verb("rescan").status == 0
        s.barrier(thorough=True)
        s.stop()  # and over a restart, which lists everything
        s.start()
        s.barrier(thorough=True)
        assert {states(s)[os.path.basename(path)] for path in paths} == {("started", "")}
        assert states(s)["skipped.csv"][0] in ("held", "skipped")
    s.stop()
    s.check_runs({path: 1 for path in paths})
    assert s.runs_of(skipped) == []


# --- moved away and back ----------------------------------------------------------------------------------------------

def test_moved_back_after_it_vanished(service):
    s = service(service=POWER)
    path = s.drop / "a.csv"
    accept_while_away(s, [path])
    s.stop()
    os.rename(path, s.outside / "a.csv")
    s.api.start()
    s.start()
    s.wait_event("file.vanished", path=str(path))
    os.rename(s.outside / "a.csv", path)
    s.wait_run(path)
    s.barrier(thorough=True)
    s.stop()
    s.check_runs({path: [text("a.csv")]})
    s.check_started()
    assert len(s.events("file.vanished")) == 1


def test_moved_back_after_it_was_started(service):
    s = service(**KEYS).start()
    path = s.put("a.csv")
    s.wait_event("run.started", path=path)
    os.rename(path, s.outside / "a.csv")
    assert s.verb("rescan").status == 0
    s.barrier(thorough=True)
    os.rename(s.outside / "a.csv", path)
    s.barrier(thorough=True)
    s.stop()
    s.check_runs({path: 1})


# --- tar --------------------------------------------------------------------------------------------------------------

def pack(path, contents):
    """An archive of files that have all the same size and time."""
    assert len({len(data) for data in contents.values()}) == 1
    source = path.with_suffix(".d")
    source.mkdir()
    with tarfile.open(path, "w") as archive:
        for name, data in contents.items():
            put(source / name, data)
            os.utime(source / name, (10**9, 10**9))
            archive.add(source / name, name)


def unpack(path, folder):
    subprocess.run(["tar", "-x", "-f", path, "-C", folder], check=True)


def inodes(folder):
    return {entry.name: entry.inode() for entry in os.scandir(folder)}


def test_unpacked_again_and_again(service):
    """tar x of files of equal size and time: other names over the inodes of files that are gone, and the same names
    with other contents. Each is started once."""
    s = service(**SETTLE).start()
    names = [f"{n:02}.csv" for n in range(20)]
    first = {f"a{name}": text(f"1 {name}") for name in names}
    second = {f"b{name}": text(f"2 {name}") for name in names}
    third = {f"b{name}": text(f"3 {name}") for name in names}
    for number, contents in enumerate((first, second, third)):
        pack(s.outside / f"{number}.tar", contents)
    unpack(s.outside / "0.tar", s.drop)
    s.wait_runs(20)
    before = set(inodes(s.drop).values())
    for name in first:
        os.unlink(s.drop / name)
    unpack(s.outside / "1.tar", s.drop)
    s.wait_runs(40)
    assert before & set(inodes(s.drop).values()), "no inode was given again: this shows nothing"
    unpack(s.outside / "2.tar", s.drop)
    s.wait_runs(60)
    s.barrier(thorough=True)
    s.stop()
    s.start()
    s.barrier(thorough=True)
    s.stop()
    s.check_runs({**{s.drop / name: [data] for name, data in first.items()},
                  **{s.drop / name: [second[name], third[name]] for name in second}})
    s.check_started()
    assert len(rows(s, "id", "CAST(relpath AS TEXT) NOT LIKE 'barrier%'")) == 60
