"""What each running process has given up, what happens where the kernel has no such wall, and that no wall keeps the
service from what it needs later: another log, another token, another directory under the same name. That the walls
cannot be climbed is proved by the unit tests of confine."""

import os
import shutil
import subprocess
import sys

import pytest

from harness import ORDINARY, find_program, put, text, wait_for

LEASE, DAC_OVERRIDE, DAC_READ_SEARCH, CHOWN, FOWNER = 1 << 28, 1 << 1, 1 << 2, 1 << 0, 1 << 3
# Starts what follows with a filter that makes one system call fail, when its first argument is ARGUMENT (if given).
WITHOUT = r"""
import ctypes, os, struct, sys
number, argument, code = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
def op(code, jt, jf, k): return struct.pack("HBBI", code, jt, jf, k)
steps = [op(0x20, 0, 0, 0), op(0x15, 0, 3 if argument >= 0 else 1, number)]
if argument >= 0:
    steps += [op(0x20, 0, 0, 16), op(0x15, 0, 1, argument)]
steps += [op(0x06, 0, 0, 0x50000 | code), op(0x06, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b"".join(steps))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter, 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[4], sys.argv[4:])
"""
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>
static long call(const char *name, long a, long b, long c, long d)
{
    static void *real;
    if (!real)
        real = dlopen(REAL, RTLD_NOW);
    return ((long (*)(long, long, long, long))dlsym(real, name))(a, b, c, d);
}
#define PASS(name) long name(long a, long b, long c, long d) { return call(#name, a, b, c, d); }
PASS(magic_close) PASS(magic_errno) PASS(magic_error) PASS(magic_load_buffers) PASS(magic_open) PASS(magic_setparam)
PASS(magic_version)
long magic_descriptor(long a, long b, long c, long d)
{
    syscall(SYS_getuid);
    return call("magic_descriptor", a, b, c, d);
}
"""


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


@pytest.fixture(name="walled")
def walled_fixture(service):
    """Makes a service, with its type check at work; skips where there are no walls (a checking tool)."""
    def make(walls=True, **options):
        s = service(types="@csv", **options)
        s.start()
        s.wait_run(s.put("first.csv"))
        if walls and "under a checking tool" in s.err():
            s.stop()
            pytest.skip("the walls are off under a checking tool")
        return s
    return make


def lines_about(s, words):
    return [line for line in s.err().splitlines() if words in line]


# --- in force -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("user", [0, ORDINARY])
def test_in_force(walled, user):
    s = walled(user=user)
    assert len(lines_about(s, "confined: Landlock ")) == 1 and ", seccomp" in lines_about(s, "confined:")[0], s.err()
    kept = {"bw-dispatch": (CHOWN | DAC_OVERRIDE | DAC_READ_SEARCH | FOWNER) if user == 0 else 0,
            "bw-watch": LEASE | (DAC_READ_SEARCH if user == 0 else 0), "bw-sniff": 0}
    filters = {"bw-dispatch": "1", "bw-watch": "1", "bw-sniff": "2"}
    for name, capabilities in kept.items():
        status = status_of(s.pid(name))
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", (name, status)
        assert status.get("Seccomp_filters", filters[name]) == filters[name], (name, status)
        for kind in ("CapEff", "CapPrm"):
            assert int(status[kind], 16) == capabilities, (name, kind, status)
    keeper = status_of(s.pid("keeper"))
    assert keeper["NoNewPrivs"] == "1" and keeper["Seccomp"] == "0", keeper
    s.stop()
    assert not lines_about(s, "not fully confined")


def test_root_reads_what_root_may_read(walled):
    """A scan or service of root: the file is nobody else's business."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    s = walled()
    path = str(s.outside / "closed.csv")
    put(path, text("closed"))
    os.chown(path, 12345, 12345)
    os.chmod(path, 0o600)
    os.rename(path, s.drop / "closed.csv")
    s.wait_run(str(s.drop / "closed.csv"))
    s.stop()


# --- kernels without ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("code,words", [(38, "Landlock is not in this kernel"), (95, "Landlock is turned off"),
                                        (1, "Landlock is forbidden here")])
def test_without_landlock(walled, code, words):
    s = walled(prefix=[sys.executable, "-c", WITHOUT, "444", "-1", str(code)])
    assert len(lines_about(s, "confined")) == 1, s.err()
    assert f"confined less than could be: {words}" in s.err() and ", seccomp; going on" in s.err()
    assert status_of(s.pid("bw-sniff"))["Seccomp"] == "2"
    s.stop()
    s.check_started()


def test_without_seccomp(walled):
    s = walled(prefix=[sys.executable, "-c", WITHOUT, str(prctl_number()), "22", "22"])
    assert len(lines_about(s, "confined")) == 1, s.err()
    assert "confined less than could be: Landlock " in s.err() and "seccomp is not in this kernel" in s.err()
    assert status_of(s.pid("bw-watch")).get("Seccomp_filters", "1") == "1"  # the test's own
    s.stop()
    s.check_started()


def prctl_number():
    return {"x86_64": 157, "aarch64": 167}.get(os.uname().machine) or pytest.skip("number of prctl not known here")


def test_a_libmagic_that_makes_other_calls(service, folder):
    """It does not work under the filter: types are told with Landlock alone, and that is said once."""
    real = subprocess.run(["ldd", find_program()], stdout=subprocess.PIPE, check=True, text=True).stdout
    real = next((line.split()[2] for line in real.splitlines() if "libmagic.so.1 =>" in line), None)
    if real is None or shutil.which("gcc") is None:
        pytest.skip("no shared libmagic, or no compiler")
    (folder / "lib").mkdir()
    (folder / "shim.c").write_text(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", f'-DREAL="{os.path.realpath(real)}"', "-Wl,-soname,libmagic.so.1",
                    "-o", folder / "lib" / "libmagic.so.1", folder / "shim.c"], check=True)
    s = service(types="@csv", environment={"LD_LIBRARY_PATH": str(folder / "lib")}).start()
    s.wait_run(s.put("a.csv"))
    if "under a checking tool" in s.err():
        pytest.skip("the walls are off under a checking tool")
    assert len(lines_about(s, "without a system call filter")) == 1 and "signal 31" in s.err(), s.err()
    first = s.pid("bw-sniff")
    assert status_of(first).get("Seccomp_filters", "1") == "1"  # the watcher's, inherited
    s.kill("bw-sniff")
    s.wait_run(s.put("b.csv"))
    assert s.pid("bw-sniff") != first
    assert len(lines_about(s, "without a system call filter")) == 1
    s.stop()
    s.check_started()


# --- what is needed later -----------------------------------------------------------------------------------------

def reload(s):
    wait_for(lambda: s.verb("status").status == 0, "the dispatcher to answer")
    done = s.verb("reload")
    assert done.status == 0 and "reloaded: 1 watch" in done.out, done


def test_reload_with_another_token_and_log(walled):
    """They lie where the running dispatcher may not look: another one tries them, and takes over."""
    s = walled(walls=False)
    before, keeper = s.pid("bw-dispatch"), s.pid("keeper")
    (s.folder / "secrets").mkdir()
    (s.folder / "journal").mkdir()
    token, log = s.folder / "secrets" / "token", s.folder / "journal" / "events.jsonl"
    s.sections["workspace"]["token_file"] = token
    s.sections["events"]["file"] = log
    s.write_configuration()
    done = s.verb("reload")  # there is no token yet
    assert done.status == 78 and str(token) in done.err and "stays" in done.err, done
    assert s.pid("bw-dispatch") == before
    token.touch(0o644)
    token.write_text(s.api.token + "\n")
    done = s.verb("reload")
    assert done.status == 78 and f"chmod 600 {token}" in done.err, done
    token.chmod(0o600)
    assert s.pid("bw-dispatch") == before and not s.events("service.reloaded")
    reload(s)
    wait_for(lambda: s.pids("bw-dispatch") not in ([], [before]), "another dispatcher")
    path = s.put("second.csv")
    wait_for(lambda: len(s.runs_of(path)) == 1, s.err)
    wait_for(lambda: f'"{path}"' in (log.read_text() if log.exists() else ""), "its event in the new log")
    assert s.pid("keeper") == keeper
    own = s.verb("status", "--json")
    assert own.status == 0 and '"runs_started":2' in own.out.replace(" ", ""), own
    s.stop()
    # each event once, in one log or the other, in order
    lines = s.log.read_bytes() + log.read_bytes()
    kinds = [line.split(b'"type":"')[1].split(b'"')[0] for line in lines.splitlines()]
    assert kinds.count(b"service.reloaded") == 1 and kinds.count(b"run.started") == 2, kinds
    assert lines_about(s, "a new dispatcher takes over") and "killed" not in s.err()


def test_who_asks_while_a_dispatcher_takes_over_waits_for_it(walled):
    """Another token file each time. The service runs, so nobody is told that it does not."""
    s = walled(walls=False)
    for turn in range(4):
        token = s.folder / f"secrets{turn}" / "token"
        token.parent.mkdir()
        shutil.copy(s.token_file, token)
        s.sections["workspace"]["token_file"] = token
        s.write_configuration()
        before = s.pid("bw-dispatch")
        assert s.verb("reload").status == 0
        while s.pids("bw-dispatch") in ([], [before]):
            done = s.verb("status", "--check")
            assert done.status in (0, 1) and "watches ready" in done.out, done
            done = s.verb("reload")
            assert done.status == 0, done
        assert s.verb("status", "--check").status in (0, 1)


def test_reload_while_files_come(walled):
    """Every file is started once, whichever dispatcher is there."""
    s = walled(walls=False)
    paths = [s.put(f"a{n}.csv") for n in range(30)]
    (s.folder / "secrets").mkdir()
    for turn in range(3):
        token = s.folder / "secrets" / f"token{turn}"
        shutil.copy(s.token_file, token)
        s.sections["workspace"]["token_file"] = token
        s.write_configuration()
        before = s.pid("bw-dispatch")
        paths += [s.put(f"b{turn}-{n}.csv") for n in range(30)]
        reload(s)
        # the directory is known from the first time on, the file is not
        wait_for(lambda old=before: s.pids("bw-dispatch") not in ([], [old]), "another dispatcher")
        paths += [s.put(f"c{turn}-{n}.csv") for n in range(30)]
    for path in paths:
        s.wait_run(path)
    s.barrier()
    s.stop()
    s.check_runs(dict.fromkeys([*paths, str(s.drop / "first.csv")], 1))
    s.check_started()
    assert len(s.events("service.reloaded")) == 3


def test_reload_that_needs_no_other_paths(walled):
    s = walled(walls=False)
    before = s.pid("bw-dispatch")
    s.sections["workspace"]["rate"] = "500000/s"
    s.write_configuration()
    reload(s)
    s.wait_run(s.put("second.csv"))
    assert s.pid("bw-dispatch") == before
    s.stop()


def test_the_directory_of_the_token_is_replaced(walled):
    """Deployed anew as a whole, with another token in it; the old one is not good any more."""
    s = walled()
    before = s.pid("bw-dispatch")
    secrets, new = s.token_file.parent, s.folder / "new"
    shutil.copytree(secrets, new)
    (new / "token").write_text("another\n")
    os.rename(secrets, s.folder / "old")
    os.rename(new, secrets)
    s.api.expire_tokens()
    s.api.add_token("another")
    s.wait_run(s.put("second.csv"))
    assert s.pid("bw-dispatch") != before
    assert lines_about(s, f"{secrets} leads elsewhere")
    s.barrier()
    s.stop()
    s.check_started()


def test_the_directory_of_the_log_is_replaced(walled):
    s = walled()
    log = s.log.parent
    os.rename(log, s.folder / "oldlog")
    log.mkdir()
    path = s.put("second.csv")
    wait_for(lambda: s.log.exists() and f'"{path}"' in s.log.read_text(), lambda: s.err())
    s.stop()
    lines = (s.folder / "oldlog" / s.log.name).read_bytes() + s.log.read_bytes()
    assert lines.count(b'"type":"run.started"') == 2
    assert len(s.runs_of(path)) == 1


def test_the_folder_of_a_watch_lies_beside_our_files(service):
    """Nothing can keep the dispatcher out of there: that is said, and it works."""
    s = service()
    s.sections["events"]["file"] = s.folder / "events.jsonl"
    s.write_configuration()
    s.start(wait=False)
    path = s.put("a.csv")
    wait_for(lambda: s.runs_of(path), s.err)
    said = lines_about(s, "nothing keeps it out of there")
    assert len(said) == 1 and f"{s.drop} of watch drop" in said[0] and f" lies in {s.folder}," in said[0], s.err()
    s.stop()


def test_markers_in_a_directory_that_comes_later(service):
    s = service(complete="marker", poll_interval="1s")
    marks = s.folder / "marks"
    s.watches["drop"]["marker"] = f"{marks}/${{name}}.ok"
    s.write_configuration()
    s.start()
    path = s.put("a.csv")
    s.wait_event("watch.ready")
    marks.mkdir()
    put(marks / "a.csv.ok", b"")
    s.wait_run(path)
    os.rename(marks, s.folder / "old")
    marks.mkdir()
    path = s.put("b.csv")
    put(marks / "b.csv.ok", b"")
    s.wait_run(path)
    s.stop()
    s.check_started()
