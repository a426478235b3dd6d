"""Mounts that are missing at the start, go and come back, or are covered: said once, nothing forgotten, nothing started
twice, and no file taken for gone that is only out of sight.
"""

import contextlib
import os
import sqlite3
import subprocess

import pytest

from harness import ORDINARY, put, text, wait_for
from mounts import CACHES, Bindfs, can_mount

pytestmark = pytest.mark.skipif(not can_mount(), reason="needs root and /dev/fuse")

OVER_FILES = f"{CACHES},nonempty"  # mounts although something lies in the mount point
KEYS = {"poll_interval": "200ms", "settle": "300ms", "rescan": "7d"}


def command(*words):
    subprocess.run([str(w) for w in words], check=True, timeout=20)


class Disk:
    """A file system that is there without being mounted: it is bound to its mount point."""

    def __init__(self, store, point):
        self.store, self.point = store, point
        store.mkdir(exist_ok=True)
        point.mkdir(exist_ok=True)
        command("mount", "-t", "tmpfs", "none", store)

    def attach(self):
        command("mount", "--bind", self.store, self.point)

    def detach(self, *options):
        command("umount", *options, self.point)


@pytest.fixture
def unmounting():
    """A list of paths; whatever is mounted there is taken off afterwards, the last one first."""
    paths = []
    yield paths
    for path in reversed(paths):
        while os.path.ismount(path) and subprocess.run(["umount", "-l", path], check=False).returncode == 0:
            pass


def rows(s):
    """{relative path: state} of the ledger."""
    with contextlib.closing(sqlite3.connect(f"file:{s.state}/ledger.db?mode=ro", uri=True, timeout=10)) as ledger:
        found = ledger.execute("SELECT relpath, state FROM version ORDER BY id")
        return {os.fsdecode(name): state for name, state in found}


def wait_waiting(s, *names):
    wait_for(lambda: all(rows(s).get(name) == "pending" for name in names), lambda: f"{names}: {rows(s)}\n{s.err()}")


def check_nothing_is_taken_for_gone(s):
    """Waiting rows are asked about by a dispatcher that does not know them yet; the other watch shows that it sends."""
    s.api.start()
    s.kill("bw-dispatch")
    s.wait_event("watch.ready", 2, watch="other")
    s.barrier(folder=s.folder / "other")
    assert s.events("file.vanished") == []


# --- the watched directory itself -------------------------------------------------------------------------------------

def unmount(s, mount):
    del s
    mount.close()


def unmount_lazily_while_busy(s, mount):
    with open(mount.point / "first.csv", "rb"):
        command("umount", "-l", mount.point)
        s.wait_event("watch.lost")
    mount.close()


def kill_its_server(s, mount):
    """The mount stays, and every call fails: transport endpoint is not connected."""
    mount.process.kill()
    s.wait_event("watch.lost")


def cover(s, mount):
    del s
    command("mount", "-t", "tmpfs", "none", mount.point)


def come_back(s, mount, how):
    if how is cover:
        command("umount", mount.point)
        return mount
    mount.close()
    return Bindfs(s.folder / "low", s.drop, OVER_FILES)


@pytest.mark.parametrize("how", [unmount, unmount_lazily_while_busy, kill_its_server, cover])
def test_a_mount_goes_and_comes(service, unmounting, how):
    s = service(watches={"drop": KEYS, "other": {}})
    unmounting.append(s.drop)
    mount = Bindfs(s.folder / "low", s.drop)
    s.backing[s.drop] = s.folder / "low"
    try:
        s.start()
        put(mount.low / "first.csv", text("first"))
        s.wait_run(s.drop / "first.csv")
        s.api.stop()
        put(mount.low / "waiting.csv", text("waiting"))
        wait_waiting(s, "waiting.csv")
        how(s, mount)
        lost = s.wait_event("watch.lost")[0]
        assert lost["watch"] == "drop" and str(s.drop) in lost["detail"] + s.err()
        assert "lost" in s.verb("status").out
        if how is not kill_its_server:
            put(s.drop / "local.csv", text("in the mount point"))
        check_nothing_is_taken_for_gone(s)
        put(mount.low / "meanwhile.csv", text("meanwhile"))
        ready = len(s.events("watch.ready", watch="drop"))
        mount = come_back(s, mount, how)
        s.wait_event("watch.ready", ready + 1, watch="drop")
        for name in ("waiting.csv", "meanwhile.csv"):
            s.wait_run(s.drop / name)
        put(mount.low / "last.csv", text("last"))
        s.wait_run(s.drop / "last.csv")
        s.stop()
        s.check_runs({s.drop / f"{name}.csv": 1 for name in ("first", "waiting", "meanwhile", "last")})
        assert s.events("file.vanished") == []
        if how is not kill_its_server:  # the dispatcher that was killed had said so, the next one says it again
            assert len(s.events("watch.lost")) == 2, s.events("watch.lost")
    finally:
        mount.close()


def test_it_is_said_once(service, unmounting):
    """A mount that is missing for several looks, and for several watchers."""
    s = service(**KEYS)
    mount = Bindfs(s.folder / "low", s.drop)
    unmounting.append(s.drop)
    try:
        s.start()
        mount.process.kill()
        s.wait_event("watch.lost")
        for _ in range(2):
            pid = s.kill("bw-watch")
            wait_for(lambda pid=pid: s.pid("bw-watch") != pid, "another watcher")
        mount.close()
        mount = Bindfs(s.folder / "low", s.drop)
        s.wait_event("watch.ready", 2)
        s.stop()
        assert len(s.events("watch.lost")) == 1, s.events("watch.lost")
    finally:
        mount.close()


@pytest.fixture
def disk(service, unmounting):
    """A service for a disk whose mount point is on a file system of the same type."""
    s = service(watches={"drop": {}, "other": {}})
    base = s.folder / "base"
    base.mkdir()
    unmounting += [base, s.folder / "store", base / "drop"]
    command("mount", "-t", "tmpfs", "none", base)
    disk = Disk(s.folder / "store", base / "drop")
    s.watches["drop"].update({**KEYS, "existing": "skip", "directory": disk.point,
                              "path_map": f"{s.folder} => {s.path_of.__globals__['REMOTE']}"})
    s.write_configuration()
    return s, disk


def test_a_disk_that_is_mounted_late(disk):
    """At the very first start its mount point is empty: what `existing` forbids is not run when it comes."""
    s, disk = disk
    put(disk.store / "old.csv", text("old"))
    s.start()
    before = len(s.events("watch.ready"))
    disk.attach()
    s.wait_event("watch.ready", before + 1)
    put(disk.point / "new.csv", text("new"))
    s.wait_run(disk.point / "new.csv")
    s.stop()
    s.check_runs({disk.point / "new.csv": 1})
    assert rows(s)["old.csv"] == "skipped" and s.events("watch.lost") == []


@pytest.mark.parametrize("existing", ["skip", "hold"])
@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_an_empty_disk_that_goes_and_comes_back(disk, restart, existing):
    """No file of it is known, so its bare mount point is as good; but it had been listed: what it then has is new."""
    s, disk = disk
    s.watches["drop"]["existing"] = existing
    s.write_configuration()
    disk.attach()
    put(disk.point / ".hidden", b"")
    s.start()
    before = len(s.events("watch.ready"))
    disk.detach()
    s.wait_event("watch.ready", before + 1)
    if restart:
        s.stop()
    put(disk.store / "new.csv", text("new"))
    disk.attach()
    if restart:
        s.start()
    s.wait_run(disk.point / "new.csv")
    s.stop()
    s.check_runs({disk.point / "new.csv": 1})
    assert rows(s)["new.csv"] == "started" and s.events("watch.lost") == []


def test_a_disk_that_is_missing_at_the_start(disk):
    s, disk = disk
    disk.attach()
    s.start()
    put(disk.point / "first.csv", text("first"))
    s.wait_run(disk.point / "first.csv")
    s.api.stop()
    put(disk.point / "waiting.csv", text("waiting"))
    wait_waiting(s, "waiting.csv")
    s.stop()
    disk.detach()
    s.api.start()
    s.start(wait=False)
    lost = s.wait_event("watch.lost")[0]
    assert f"it was on the mount {disk.point}, now on {disk.point.parent}" in lost["detail"], lost
    put(disk.point / "local.csv", text("local"))
    s.barrier(folder=s.folder / "other")
    put(disk.store / "meanwhile.csv", text("meanwhile"))
    disk.attach()
    for name in ("waiting.csv", "meanwhile.csv"):
        s.wait_run(disk.point / name)
    s.stop()
    s.check_runs({disk.point / f"{name}.csv": 1 for name in ("first", "waiting", "meanwhile")})
    assert s.events("file.vanished") == [] and len(s.events("watch.lost")) == 1


def test_a_disk_that_is_detached_and_attached(disk):
    """While the service runs; no event of the kernel tells of it, since the disk stays mounted elsewhere."""
    s, disk = disk
    disk.attach()
    s.start()
    for n in range(3):
        put(disk.point / f"{n}.csv", text(n))
        s.wait_run(disk.point / f"{n}.csv")
        ready = len(s.events("watch.ready"))
        disk.detach("-l")
        s.wait_event("watch.lost", n + 1)
        put(disk.store / f"away-{n}.csv", text(n))
        disk.attach()
        s.wait_event("watch.ready", ready + 1)
        s.wait_run(disk.point / f"away-{n}.csv")
    s.stop()
    s.check_runs({disk.point / f"{name}{n}.csv": 1 for n in range(3) for name in ("", "away-")})
    assert len(s.events("watch.lost")) == 3


def test_a_bound_directory_is_the_same(disk):
    """A unit that names the directory makes a mount of it: that means nothing."""
    s, disk = disk
    (disk.store / "in").mkdir()
    disk.attach()
    s.watches["drop"]["directory"] = disk.point / "in"
    s.write_configuration()
    s.start()
    put(disk.point / "in" / "a.csv", text("a"))
    s.wait_run(disk.point / "in" / "a.csv")
    s.stop()
    command("mount", "--bind", disk.point / "in", disk.point / "in")
    try:
        s.start()
        put(disk.point / "in" / "b.csv", text("b"))
        s.wait_run(disk.point / "in" / "b.csv")
        s.stop()
    finally:
        command("umount", disk.point / "in")
    s.check_runs({disk.point / "in" / name: 1 for name in ("a.csv", "b.csv")})
    assert s.events("watch.lost") == []


# --- signs of another kind --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["auto", "poll"])
def test_sentinel(service, method):
    """Without it the folder counts as missing, however full; with it as there, however empty."""
    s = service(watches={"drop": {**KEYS, "method": method, "sentinel": ".mounted"}, "other": {}})
    put(s.drop / "early.csv", text("early"))
    s.start(wait=False)
    lost = s.wait_event("watch.lost")[0]
    assert "sentinel" in lost["detail"], lost
    s.barrier(folder=s.folder / "other")
    assert s.api.runs and s.runs_of(s.drop / "early.csv") == []
    put(s.drop / ".mounted", b"")
    s.wait_run(s.drop / "early.csv")
    s.wait_event("watch.ready", watch="drop")
    os.unlink(s.drop / "early.csv")  # an empty folder is a good day
    s.barrier()
    s.api.stop()
    put(s.drop / "waiting.csv", text("waiting"))
    wait_waiting(s, "waiting.csv")
    os.unlink(s.drop / ".mounted")
    s.wait_event("watch.lost", 2)
    os.rename(s.drop / "waiting.csv", s.outside / "waiting.csv")  # gone with the mount
    check_nothing_is_taken_for_gone(s)
    os.rename(s.outside / "waiting.csv", s.drop / "waiting.csv")
    put(s.drop / ".mounted", b"")
    s.wait_run(s.drop / "waiting.csv")
    s.stop()
    s.check_runs({s.drop / "early.csv": 1, s.drop / "waiting.csv": 1})
    assert s.events("file.vanished") == []


def test_permission_lost(service):
    s = service(user=ORDINARY, **KEYS).start()
    s.wait_run(s.put("a.csv"))
    os.chmod(s.drop, 0)
    s.verb("rescan")
    lost = s.wait_event("watch.lost")[0]
    assert "Permission denied" in lost["detail"], lost
    put(s.drop / "b.csv", text("b"))
    os.chmod(s.drop, 0o777)
    s.wait_run(s.drop / "b.csv")
    s.wait_event("watch.ready", 2)
    s.stop()
    s.check_runs({s.drop / "a.csv": 1, s.drop / "b.csv": 1})
    assert len(s.events("watch.lost")) == 1


# --- directories below ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("lazily", [False, True], ids=["unmounted", "lazily"])
def test_a_mount_below_goes_and_comes(service, unmounting, lazily):
    s = service(watches={"drop": KEYS, "other": {}})
    point = s.drop / "in" / "remote"
    point.parent.mkdir()
    mount = Bindfs(s.folder / "low", point)
    unmounting.append(point)
    s.backing[point] = mount.low
    try:
        s.start()
        (mount.low / "deep").mkdir()
        put(mount.low / "deep" / "first.csv", text("first"))
        s.wait_run(point / "deep" / "first.csv")
        s.api.stop()
        put(mount.low / "deep" / "waiting.csv", text("waiting"))
        wait_waiting(s, "in/remote/deep/waiting.csv")
        with contextlib.ExitStack() as busy:
            if lazily:
                busy.enter_context(open(point / "deep" / "first.csv", "rb"))
                command("umount", "-l", point)
            else:
                mount.close()
            away = s.wait_event("watch.degraded")[0]
            assert f"{point}: what was mounted here is gone" in away["detail"], away
            checked = s.verb("status", "--check")
            assert checked.status == 1 and "misses what was mounted on 1 directory below it" in checked.out, checked
            assert "it misses what was mounted on 1 directory" in s.verb("status").out
        put(point / "local.csv", text("in the mount point"))
        said = s.verb("explain", point / "local.csv").out
        assert f"what was mounted on {point} is gone" in said and "starts job" not in said, said
        s.api.start()
        put(s.drop / "in" / "local.csv", text("beside it"))
        s.wait_run(s.drop / "in" / "local.csv")
        s.verb("rescan")
        mount.close()
        put(mount.low / "meanwhile.csv", text("meanwhile"))
        mount = Bindfs(mount.low, point, OVER_FILES)
        s.wait_event("watch.ready", 2, watch="drop")
        for name in ("deep/waiting.csv", "meanwhile.csv"):
            s.wait_run(point / name)
        wait_for(lambda: s.verb("status", "--check").status == 0, "it is healthy again")
        s.stop()
        s.check_runs({point / "deep" / "first.csv": 1, point / "deep" / "waiting.csv": 1,
                      point / "meanwhile.csv": 1, s.drop / "in" / "local.csv": 1})
        assert s.events("file.vanished") == [] and s.events("watch.lost") == []
        assert len(s.events("watch.degraded")) == 1
    finally:
        mount.close()


def test_a_mount_over_a_directory_below(service, unmounting):
    """What it shows is taken (mounts may come late), what it hides is not gone."""
    s = service(**KEYS)
    folder = s.drop / "in"
    folder.mkdir()
    s.start()
    put(folder / "hidden.csv", text("hidden"))
    s.wait_run(folder / "hidden.csv")
    unmounting.append(folder)
    command("mount", "-t", "tmpfs", "none", folder)
    over = s.wait_event("watch.degraded")[0]
    assert f"{folder}: something was mounted over this directory" in over["detail"], over
    put(folder / "over.csv", text("over"))
    s.wait_run(folder / "over.csv")
    command("umount", folder)
    put(folder / "again.csv", text("again"))
    s.wait_run(folder / "again.csv")
    s.stop()
    s.check_runs({folder / f"{name}.csv": 1 for name in ("hidden", "over", "again")})
    assert s.events("file.vanished") == []
