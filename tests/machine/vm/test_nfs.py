"""A real NFS 4.2 mount, in a guest with Debian's kernel: server and client on one machine, so what is written into the
exported folder is what another host would write. Exactly one run each, never before the last byte; the server may stop,
come back, or not.

tests/machine/qemu puts this file beside the scenarios, whose harness and writers it uses.
"""

import contextlib
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import test_mounts
from harness import put, text, wait_for
from test_mounts import WRITERS, play, steps

EXPORT = Path("/srv/exp")
CACHE_S = 3
KEYS = {"poll_interval": "1s", "settle": "6s", "rescan": "7d"}
# found when the listing is no older than the cache, a round later, a look later, then quiet; the guest is slow
DELAY_S = CACHE_S + 1 + 2 + 6 + 60
QUICK_S = 15  # for a file of another watch


def server(on):
    subprocess.run(["rpc.nfsd", "-N", "3", "2" if on else "0"], check=True)


class Nfs:
    """EXPORT/NAME, mounted at point as long as this is open."""

    def __init__(self, low, point, options):
        self.low, self.point, self.options = low, point, options
        low.mkdir()
        point.mkdir(exist_ok=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-t", "nfs", "-o", f"vers=4.2,{self.options}", f"127.0.0.1:{self.low}", self.point],
                       check=True, timeout=120)

    def umount(self):
        subprocess.run(["umount", "-l", self.point], check=False, timeout=60)

    def close(self):
        server(True)
        self.umount()


@pytest.fixture
def mounted(service, monkeypatch):
    """mounted(options, **keys): a service with a watch on the mount, and a local one; s.low is what the server has."""
    monkeypatch.setattr(test_mounts, "DELAY_S", DELAY_S)
    mounts = []

    def make(options=f"actimeo={CACHE_S}", **keys):
        s = service(watches={"drop": {**KEYS, **keys}, "other": {}})
        mounts.append(Nfs(EXPORT / s.folder.name, s.drop, options))
        s.low, s.mount = mounts[-1].low, mounts[-1]
        s.backing[s.drop] = s.low
        return s

    yield make
    for mount in mounts:
        mount.close()


def check_the_other_watch(s, name):
    path = s.folder / "other" / f"{name}.csv"
    began = time.monotonic()
    put(path, text(name))
    assert s.wait_run(path)[0].at - began < QUICK_S
    return path


def wait_hung(s):
    """Until `status` says where the watcher is stuck; gives what it says."""
    return wait_for(lambda: next((o for o in [s.verb("status").out] if "it is in " in o and str(s.drop) in o), None),
                    lambda: s.verb("status").out)


def test_written_on_the_server(mounted):
    s = mounted().start()
    ready = s.wait_event("watch.ready", watch="drop")[0]
    assert ready["method"] == "inotify+poll" and ready["file_system"] == "nfs", ready
    expected = {}
    with ThreadPoolExecutor(len(WRITERS)) as pool:
        for part in [pool.submit(play, s, writer) for writer in WRITERS]:
            expected.update(part.result())
    assert s.verb("rescan").status == 0
    s.barrier()
    s.stop()
    s.check_runs(expected)
    s.check_started()


def test_written_on_the_client(mounted):
    s = mounted().start()
    put(s.drop / "closed.csv", text("closed"))
    content = steps(s.drop / "steps.csv", [2, 1])
    put(s.drop / "a.part", text("renamed"))
    os.rename(s.drop / "a.part", s.drop / "renamed.csv")
    subprocess.run(["cp", "-p", s.drop / "closed.csv", s.drop / "copied.csv"], check=True)
    names = ("closed.csv", "steps.csv", "renamed.csv", "copied.csv")
    for name in names:
        s.wait_run(s.drop / name)
    s.barrier()
    s.stop()
    s.check_runs({**{s.drop / name: 1 for name in names}, s.drop / "steps.csv": [content]})


def test_replaced_and_rewritten_on_the_server(mounted):
    """A file that replaces another is found in the next round, since NFS lists inode numbers; in place by `rescan`."""
    s = mounted().start()
    for name in ("replaced.csv", "in-place.csv"):
        put(s.low / name, text("one"))
    for name in ("replaced.csv", "in-place.csv"):
        s.wait_run(s.drop / name)
    put(s.low / "new.part", text("two"))
    os.rename(s.low / "new.part", s.low / "replaced.csv")
    s.wait_run(s.drop / "replaced.csv", 2)
    with open(s.low / "in-place.csv", "r+b") as file:
        file.write(text("two", 9))
    # in vain as long as the client believes what it remembers
    wait_for(lambda: s.verb("rescan").status == 0 and len(s.runs_of(s.drop / "in-place.csv")) == 2, "its second run")
    s.stop()
    s.check_runs({s.drop / "replaced.csv": [text("one"), text("two")],
                  s.drop / "in-place.csv": [text("one"), text("two", 9)]})


def test_attributes_are_old(mounted):
    """With the caches of a mount as it comes (acregmin 3 s … acdirmax 60 s) a growing file is not complete."""
    s = mounted("rw", settle="12s").start()
    content = steps(s.low / "grows.csv", [5, 8, 5, 8])
    s.wait_run(s.drop / "grows.csv")
    s.stop()
    s.check_runs({s.drop / "grows.csv": [content]})


def test_the_server_stops_and_comes_back(mounted):
    s = mounted(types="@csv").start()
    put(s.low / "before.csv", text("before"))
    s.wait_run(s.drop / "before.csv")
    server(False)
    put(s.low / "meanwhile.csv", text("meanwhile"))
    wait_hung(s)
    others = [check_the_other_watch(s, "first")]
    assert s.verb("reload", timeout=60).status == 0
    s.wait_event("watch.stalled", watch="drop", timeout=120)
    others.append(check_the_other_watch(s, "second"))
    server(True)
    s.wait_run(s.drop / "meanwhile.csv")
    put(s.low / "after.csv", text("after"))
    s.wait_run(s.drop / "after.csv")
    s.barrier()
    s.stop()
    s.check_runs({**{s.drop / f"{n}.csv": 1 for n in ("before", "meanwhile", "after")}, **dict.fromkeys(others, 1)})
    for kind in ("file.vanished", "file.rejected", "start.failed"):
        assert s.events(kind) == []


def test_the_server_is_gone_for_good(mounted):
    """The service stops in time; started again without the server, the other watch works."""
    s = mounted().start()
    put(s.low / "before.csv", text("before"))
    s.wait_run(s.drop / "before.csv")
    server(False)
    wait_hung(s)
    s.process.send_signal(signal.SIGTERM)
    assert s.process.wait(60) == 0, s.err()
    s.start(wait=False)
    s.wait_event("watch.ready", watch="other", count=2)
    other = check_the_other_watch(s, "without")
    s.process.send_signal(signal.SIGTERM)
    assert s.process.wait(60) == 0, s.err()
    server(True)
    s.wait_gone()
    put(s.low / "after.csv", text("after"))
    s.start()
    s.wait_run(s.drop / "after.csv")
    s.stop()
    s.check_runs({s.drop / "before.csv": 1, s.drop / "after.csv": 1, other: 1})
    assert s.events("file.vanished") == []


def test_mounted_again(mounted):
    """Unmounted and mounted again while files come: the device number is another one."""
    s = mounted().start()
    expected = {}
    for n in range(3):
        expected[s.drop / f"{n}.csv"] = 1
        put(s.low / f"{n}.csv", text(n))
        if n < 2:
            s.wait_run(s.drop / f"{n}.csv")
        s.mount.umount()
        s.wait_event("watch.lost", n + 1, watch="drop")
        s.mount.mount()
        s.wait_event("watch.ready", n + 2, watch="drop")
    s.wait_run(s.drop / "2.csv")
    s.barrier()
    s.stop()
    s.check_runs(expected)
    assert s.events("file.vanished") == [] and s.events("start.failed") == []


def test_an_error_is_not_an_end(mounted):
    """A soft mount gives up with an error: nothing is taken for gone."""
    s = mounted(f"actimeo={CACHE_S},soft,timeo=10,retrans=1").start()
    put(s.low / "before.csv", text("before"))
    s.wait_run(s.drop / "before.csv")
    server(False)
    put(s.low / "meanwhile.csv", text("meanwhile"))
    s.wait_event("watch.lost", watch="drop", timeout=240)
    other = check_the_other_watch(s, "other")
    server(True)
    s.wait_run(s.drop / "meanwhile.csv", timeout=240)
    s.barrier()
    s.stop()
    s.check_runs({s.drop / "before.csv": 1, s.drop / "meanwhile.csv": 1, other: 1})
    assert s.events("file.vanished") == []


def test_removed_on_the_server(mounted):
    """The exported folder is exchanged for another one: ESTALE, then another directory."""
    s = mounted().start()
    put(s.low / "before.csv", text("before"))
    s.wait_run(s.drop / "before.csv")
    (s.low / "sub").mkdir()
    put(s.low / "sub" / "a.csv", text("a"))
    s.wait_run(s.drop / "sub" / "a.csv")
    os.rename(s.low / "sub", s.low.parent / f"{s.low.name}-away")
    (s.low / "sub").mkdir()
    put(s.low / "sub" / "b.csv", text("b"))
    s.wait_run(s.drop / "sub" / "b.csv")
    s.barrier()
    s.stop()
    s.check_runs({s.drop / "before.csv": 1, s.drop / "sub" / "a.csv": 1, s.drop / "sub" / "b.csv": 1})
    with contextlib.suppress(OSError):
        (s.low.parent / f"{s.low.name}-away" / "a.csv").unlink()
