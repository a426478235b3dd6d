"""A mount whose server does not answer: the watcher that waits for it is shown with path and call, and holds up nothing
else. When the server answers everything arrives, once.
"""

import errno
import os
import signal
import time

import pytest

import fuse
from fuse import Fuse
from harness import put, text, wait_for
from mounts import Bindfs, can_mount

pytestmark = pytest.mark.skipif(not can_mount(), reason="needs root and /dev/fuse")

KEYS = {"poll_interval": "200ms", "settle": "300ms", "rescan": "7d"}
LATE_S = 3  # for a file of the other watch, on a busy machine


@pytest.fixture
def hanging(service):
    """hanging(**keys): a service with a watch on a mount of ours, and another one."""
    mounts = []

    def make(kind=Fuse, environment=None, **keys):
        s = service(watches={"drop": {**KEYS, **keys}, "other": {}}, environment=environment)
        mounts.append(kind(s.folder / "low", s.drop))
        s.backing[s.drop] = s.folder / "low"
        return s, mounts[-1]

    yield make
    for mount in mounts:
        if isinstance(mount, Bindfs):
            mount.process.send_signal(signal.SIGCONT)
        mount.close()


def wait_stuck(s, call, path):
    """Until `status` names it."""
    words = f"it is in {call} of {path} for "
    wait_for(lambda: words in s.verb("status").out, lambda: f"{words}\n{s.verb('status').out}\n{s.err()[-2000:]}")


def check_the_other_watch(s, name):
    """As quick as ever."""
    began = time.monotonic()
    path = s.folder / "other" / f"{name}.csv"
    put(path, text(name))
    took = s.wait_run(path)[0].at - began
    assert took < LATE_S, f"{took:.1f} s"
    return path


# the call that hangs, on what, and what the kernel asks the server then
STUCK = {
    "listing": ("getdents", "", fuse.READDIR, ""),
    "opening the folder": ("open", "", fuse.OPENDIR, ""),
    "stat": ("statx", "a.csv", fuse.LOOKUP, ""),
    "open": ("open", "a.csv", fuse.OPEN, ""),
    "read": ("read", "a.csv", fuse.READ, "brickwatch"),
    "type": ("type", "a.csv", fuse.READ, "bw-sniff"),
}


@pytest.mark.slow
@pytest.mark.parametrize("where", STUCK)
def test_a_server_that_does_not_answer(hanging, where):
    call, name, opcode, caller = STUCK[where]
    s, mount = hanging(types="@csv")
    s.start()
    put(mount.low / "before.csv", text("before"))
    s.wait_run(s.drop / "before.csv")
    mount.hold(opcode, caller)
    put(mount.low / "a.csv", text("a"))
    wait_stuck(s, call, s.drop / name if name else s.drop)
    others = [check_the_other_watch(s, "first")]
    done = s.verb("explain", s.drop / "a.csv", timeout=20)
    assert "stalled in" in done.out + done.err or where == "type", done
    waiting = s.verb("files", "--state", "waiting", "--watch", "drop", timeout=20)
    assert where == "type" or (waiting.status == 1 and "no files that could be asked about" in waiting.out), waiting
    done = s.verb("reload", timeout=20)
    assert done.status == 0, done
    others.append(check_the_other_watch(s, "reloaded"))
    wait_stuck(s, call, s.drop / name if name else s.drop)
    put(mount.low / "b.csv", text("b"))
    mount.release()
    for path in ("a.csv", "b.csv"):
        s.wait_run(s.drop / path)
    s.stop()
    s.check_runs({**{s.drop / path: 1 for path in ("before.csv", "a.csv", "b.csv")}, **dict.fromkeys(others, 1)})
    for kind in ("file.rejected", "start.failed", "file.vanished", "watch.lost"):
        assert s.events(kind) == []


def test_its_own_watch_is_changed(hanging):
    """The process hangs and cannot even be killed: shown all the same, no second one is started, until it ends."""
    s, mount = hanging()
    s.start()
    mount.hold(fuse.READDIR)
    wait_stuck(s, "getdents", s.drop)
    pid = s.pid("bw-watch", "drop")
    s.watches["drop"]["settle"] = "400ms"
    s.write_configuration()
    assert s.verb("reload", timeout=20).status == 0
    other = check_the_other_watch(s, "changed")
    wait_for(lambda: "watch drop does not even end when killed" in s.err(), s.err)
    assert s.pids("bw-watch", "drop") == [pid]
    wait_stuck(s, "getdents", s.drop)
    assert s.verb("reload", timeout=20).status == 0
    assert s.pids("bw-watch", "drop") == [pid]
    put(mount.low / "a.csv", text("a"))
    mount.release()
    s.wait_run(s.drop / "a.csv")
    s.stop()
    s.check_runs({s.drop / "a.csv": 1, other: 1})


def test_stop(hanging):
    """Who cannot be ended is left behind."""
    s, mount = hanging()
    s.start()
    put(mount.low / "a.csv", text("a"))
    s.wait_run(s.drop / "a.csv")
    mount.hold(fuse.READDIR)
    wait_stuck(s, "getdents", s.drop)
    s.process.send_signal(signal.SIGTERM)
    assert s.process.wait(15) == 0, s.err()
    assert [e["type"] for e in s.events()][-1] == "service.stopped"
    mount.release()
    s.wait_gone()
    s.start()
    put(mount.low / "b.csv", text("b"))
    s.wait_run(s.drop / "b.csv")
    s.stop()
    s.check_runs({s.drop / name: 1 for name in ("a.csv", "b.csv")})


@pytest.mark.slow
def test_it_hangs_at_the_start(hanging, systemd):
    """The other watch is ready at once, and the service after ten seconds; one event names the call."""
    s, mount = hanging(environment={"NOTIFY_SOCKET": systemd.address})
    mount.hold(fuse.OPENDIR)
    put(mount.low / "a.csv", text("a"))
    s.start(wait=False)
    s.wait_event("watch.ready", watch="other")
    other = check_the_other_watch(s, "start")
    systemd.wait("READY=1")
    assert "STATUS=watching 1 of 2 folders (not yet: drop);" in systemd.told[-1], systemd.told
    assert not s.events("watch.stalled")
    told = s.wait_event("watch.stalled", watch="drop", timeout=60)[0]
    assert f"stuck in open of {s.drop} for 3" in told["detail"], told
    done = s.verb("status", "--check")
    assert done.status == 1 and "drop" in done.out and "stalled" in done.out, done
    mount.release()
    s.wait_run(s.drop / "a.csv")
    s.wait_event("watch.ready", watch="drop")
    systemd.wait("watching 2 of 2 folders;")
    assert s.verb("status", "--check").status == 0
    s.stop()
    s.check_runs({s.drop / "a.csv": 1, other: 1})
    assert len(s.events("watch.stalled")) == 1


def test_the_dispatcher_is_replaced_meanwhile(hanging):
    """The new one shows where the process hangs that cannot be ended, and lets all go on when it can."""
    s, mount = hanging()
    s.start()
    put(mount.low / "a.csv", text("a"))
    s.wait_run(s.drop / "a.csv")
    mount.hold(fuse.READDIR)
    wait_stuck(s, "getdents", s.drop)
    pid = s.pid("bw-watch", "drop")
    s.kill("bw-dispatch")
    wait_for(lambda: s.verb("status").status == 0, s.err)
    wait_stuck(s, "getdents", s.drop)
    assert s.pids("bw-watch", "drop") == [pid]
    other = check_the_other_watch(s, "replaced")
    put(mount.low / "b.csv", text("b"))
    mount.release()
    s.wait_run(s.drop / "b.csv")
    s.stop()
    s.check_runs({s.drop / "a.csv": 1, s.drop / "b.csv": 1, other: 1})


@pytest.mark.slow
def test_bindfs_is_stopped(hanging):
    """Somebody else's server, stopped again and again while files come."""
    s, mount = hanging(Bindfs, types="@csv")
    s.start()
    expected = {}
    for n in range(8):
        path = s.drop / f"{n}.csv"
        put(mount.low / path.name, text(n))
        expected[path] = [text(n)]
        mount.process.send_signal(signal.SIGSTOP)
        words = "it is in "
        wait_for(lambda: words in s.verb("status").out, lambda: s.verb("status").out)
        expected[check_the_other_watch(s, str(n))] = 1
        mount.process.send_signal(signal.SIGCONT)
        if n % 2:
            s.wait_run(path)
    for path in expected:
        s.wait_run(path)
    s.stop()
    s.check_runs(expected)
    assert s.events("file.rejected") == [] and s.events("start.failed") == []


# --- a server that answers with errors --------------------------------------------------------------------------------

@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EACCES], ids=errno.errorcode.get)
def test_every_call_fails(hanging, code):
    """Said once, however long it lasts and whatever looks meanwhile."""
    s, mount = hanging()
    s.start()
    put(mount.low / "a.csv", text("a"))
    s.wait_run(s.drop / "a.csv")
    mount.fail(code)
    lost = s.wait_event("watch.lost", watch="drop")[0]
    assert os.strerror(code) in lost["detail"], lost
    put(mount.low / "b.csv", text("b"))
    assert s.verb("rescan").status == 0
    other = check_the_other_watch(s, "meanwhile")
    mount.release()
    s.wait_run(s.drop / "b.csv")
    s.wait_event("watch.ready", 2, watch="drop")
    s.stop()
    s.check_runs({s.drop / "a.csv": 1, s.drop / "b.csv": 1, other: 1})
    assert len(s.events("watch.lost")) == 1 and s.events("file.vanished") == []


def test_listing_fails_again_and_again(hanging):
    """The folder opens, and its listing breaks off: not said for each try."""
    s, mount = hanging()
    s.start()
    mount.fail(errno.EIO, fuse.LOOKUP, fuse.READDIR)
    s.wait_event("watch.lost")
    mount.release()
    put(mount.low / "a.csv", text("a"))
    s.wait_run(s.drop / "a.csv")
    s.stop()
    assert len(s.events("watch.lost")) == 1


def test_files_that_cannot_be_read_for_now(hanging):
    """EIO for reading, also by the sniffer: neither rejected nor failed."""
    s, mount = hanging(types="@csv")
    s.start()
    mount.fail(errno.EIO, fuse.READ)
    put(mount.low / "a.csv", text("a"))
    wait_for(lambda: "a.csv" in s.verb("files", "--state", "waiting").out, "it waits")
    other = check_the_other_watch(s, "meanwhile")
    mount.release()
    s.wait_run(s.drop / "a.csv")
    s.stop()
    s.check_runs({s.drop / "a.csv": 1, other: 1})
    assert s.events("file.rejected") == [] and s.events("start.failed") == []
