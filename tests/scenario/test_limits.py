"""Where the system gives no more: a full state disk, too few inotify watches, too few descriptors. Nothing is lost, it
is said, and it goes on by itself when there is room."""

import contextlib
import os
import resource
import subprocess

import pytest

from harness import put, text, wait_for


@pytest.fixture
def mounts():
    """A function that mounts a small file system on a folder; afterwards it is unmounted."""
    made = []

    def mount(folder, size):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "none", folder], check=False,
                              stderr=subprocess.PIPE)
        if done.returncode != 0:
            pytest.skip(f"cannot mount: {done.stderr.decode().strip()}")
        made.append(folder)
    yield mount
    for folder in reversed(made):
        subprocess.run(["umount", "-l", folder], check=False)


def fill(folder):
    with contextlib.suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_state_disk_full(service, mounts, restart):
    s = service()
    mounts(s.state, "8m")
    s.start()
    paths = [s.put(f"before-{n}.csv") for n in range(5)]
    s.wait_event("run.started", 5)
    fill(s.state)
    paths += [s.put(f"full-{n}.csv") for n in range(200)]
    wait_for(lambda: "ledger" in s.err(), "a word about the ledger")
    if restart:
        s.kill_keeper()
        (s.state / "filler").unlink()
        s.start()
    else:
        (s.state / "filler").unlink()
    s.wait_runs(205)
    s.barrier()
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))
    s.check_started(repeated=restart)


def test_no_descriptors_left(service):
    """Twenty at most for each process, with a tree that is wider than that."""
    s = service(prefix=["prlimit", "--nofile=40:40", "--"], types="@csv").start()
    folders = [s.drop / f"{n}" for n in range(100)]
    for folder in folders:
        folder.mkdir()
        put(folder / "a.csv", text("a"))
    for folder in folders:
        s.wait_run(folder / "a.csv")
    s.barrier()
    s.stop()
    s.check_runs({folder / "a.csv": 1 for folder in folders})


def test_too_few_inotify_watches(service):
    """Directories without one are seen by the listing only, and the words say which limit to raise."""
    limit = ["unshare", "-Ur", "sh", "-c", 'echo 20 >/proc/sys/user/max_inotify_watches && exec "$@"', "sh"]
    if subprocess.run([*limit, "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no user namespaces here")
    s = service(prefix=limit, rescan="1s").start()
    folders = [s.drop / f"{n}" for n in range(50)]
    for folder in folders:
        folder.mkdir()
        put(folder / "early.csv", text("early"))
    for folder in folders:
        s.wait_run(folder / "early.csv")
        put(folder / "late.csv", text("late"))
    for folder in folders:
        s.wait_run(folder / "late.csv")
    event = s.wait_event("watch.degraded")[0]
    assert "sysctl fs.inotify.max_user_watches=" in event["detail"]
    assert event["method"] == "inotify+poll", event
    told = s.verb("status").out
    assert "inotify+poll" in told and "directories are polled for want of inotify watches" in told, told
    assert len(s.events("watch.degraded")) == 1
    s.stop()
    s.check_runs({folder / name: 1 for folder in folders for name in ("early.csv", "late.csv")})


def has_instance(pid):
    """Does it have an inotify instance? Other descriptors come and go meanwhile."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            if "inotify" in os.readlink(f"/proc/{pid}/fd/{fd}"):
                return True
    return False


def test_no_inotify_instance(service, folder):
    """All is polled, and the words say which limit to raise; with one again it is told as usual."""
    limit = folder / "limit"  # left open for the service's name space
    script = 'echo 0 >/proc/sys/user/max_inotify_instances && ln -s /proc/$$/ns/user "$0" && exec "$@"'
    unshare = ["unshare", "-Ur", "sh", "-c"]
    if subprocess.run([*unshare, script.replace("ln -s", "true"), limit, "true"], check=False,
                      stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no user namespaces here")
    s = service(prefix=[*unshare, script, limit], poll_interval="200ms", settle="300ms", rescan="7d").start()
    (s.drop / "d").mkdir()
    put(s.drop / "d" / "a.csv", text("a"))
    s.wait_run(s.drop / "d" / "a.csv")
    told = s.wait_event("watch.degraded")[0]
    assert "no inotify instance left" in told["detail"] and "sysctl fs.inotify.max_user_instances=" in told["detail"]
    subprocess.run(["nsenter", f"--user={limit}", "--preserve-credentials", "sh", "-c",
                    "echo 100 >/proc/sys/user/max_inotify_instances"], check=True)
    pid = s.pid("bw-watch")
    wait_for(lambda: has_instance(pid), "an instance")
    s.barrier()
    s.stop()
    s.check_runs({s.drop / "d" / "a.csv": 1})
    assert len(s.events("watch.degraded")) == 1 and s.err().count("starting it again") == 0


def test_no_descriptor_left(service):
    """Nothing is lost from sight for it, the words say which limit to raise, and all goes on by itself."""
    s = service(settle="200ms", rescan="7d").start()
    put(s.drop / "first.csv", text("first"))
    s.wait_run(s.drop / "first.csv")
    pid = s.pid("bw-watch")
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, before[1]))
    put(s.drop / "file.csv", text("file"))
    (s.drop / "d").mkdir()
    put(s.drop / "d" / "below.csv", text("below"))
    told = s.wait_event("watch.degraded")[0]
    assert "Too many open files" in told["detail"] and "LimitNOFILE" in told["detail"]
    checked = s.verb("status", "--check")
    assert checked.status == 1 and "watch drop has too few descriptors (LimitNOFILE=" in checked.out, checked
    assert "it has too few descriptors" in s.verb("status").out
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    for name in ("file.csv", "d/below.csv"):
        s.wait_run(s.drop / name)
    s.barrier()
    wait_for(lambda: s.verb("status", "--check").status == 0, "it is healthy again")
    assert s.pid("bw-watch") == pid
    s.stop()
    s.check_runs({s.drop / name: 1 for name in ("first.csv", "file.csv", "d/below.csv")})
    assert len(s.events("watch.degraded")) == 1 and not s.events("watch.lost")


def test_more_folders_than_descriptors(service, folder):
    """The soft limit is raised as far as it may be: each folder of a watch is open for a moment."""
    folders = [folder / "many" / f"{n}" for n in range(60)]
    for one in folders:
        one.mkdir(parents=True)
    s = service(directory=folders, path_map="none", prefix=["prlimit", "--nofile=40:4096", "--"]).start()
    put(folders[-1] / "a.csv", text("a"))
    s.wait_event("run.started", path=str(folders[-1] / "a.csv"))
    s.stop()
    assert not s.events("watch.degraded") and not s.events("watch.lost")


def test_unreadable_files_and_folders_wait(service):
    """As an ordinary user: tried again at each listing, never rejected; others are not kept from their runs."""
    s = service(user=65534, rescan="1s").start()
    private = s.drop / "private"
    private.mkdir(mode=0o700)
    put(private / "in.csv", text("in"))
    secret = s.drop / "secret.csv"
    os.close(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600))
    put(secret, text("secret"))
    open_to_all = s.put("open.csv")
    s.wait_run(open_to_all)
    wait_for(lambda: str(secret) in s.err() and "cannot be read" in s.err(), s.err)
    wait_for(lambda: "private: cannot list this directory" in s.err(), s.err)
    assert s.runs_of(secret) == []
    os.chmod(secret, 0o644)
    os.chmod(private, 0o755)
    s.wait_run(secret)
    s.wait_run(private / "in.csv")
    s.stop()
    s.check_runs({open_to_all: 1, secret: 1, private / "in.csv": 1})
    assert s.events("file.rejected") == [] and s.events("start.failed") == []


def test_without_proc(service):
    """Its own processes cannot be started there: it ends, and says what is missing."""
    if "ASAN_OPTIONS" in os.environ:
        pytest.skip("the checking tool reads /proc")
    hidden = ["unshare", "-m", "sh", "-c", 'mount --make-rprivate / && umount -l /proc && exec "$@"', "sh"]
    if subprocess.run([*hidden, "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no mount namespaces here")
    s = service(prefix=hidden)
    for words in (("run",), ("scan",), ("scan", "--dry-run")):
        done = s.verb(*words)
        assert done.status == 1 and "is /proc mounted?" in done.err, (words, done)
