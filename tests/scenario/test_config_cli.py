"""The verbs: what they print, their exit status, and that a bad configuration starts nothing."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

import harness
from harness import JOB, REMOTE, put, text, wait_for

BASE = """[service]
state_directory = {folder}/state
runtime_directory = {folder}/run
[events]
file = {folder}/log/events.jsonl
[workspace]
host = {host}
token_file = {folder}/etc/token
[watch:drop]
directory = {folder}/drop
job_id = 418823550071934
path_map = {folder}/drop => /Volumes/main/landing/drop
settle = 0
"""
LAST = len(BASE.splitlines())
ALL_VERBS = (["check"], ["config"], ["explain", "/x"], ["events"], ["scan"], ["scan", "--dry-run"], ["run"],
             ["run", "--dry-run"])

# What is added to the good configuration above, and what must be said, with the line counted from the first one added.
BAD = {
    "unknown key": (b"setle = 1s", [(1, "settle")]),
    "unknown section": (b"[wacth:x]\n", [(1, "watch")]),
    "no value": (b"include =", [(1, "include")]),
    "no equals sign": (b"recursive", [(1, "=")]),
    "colon": (b"recursive: no", [(1, "=")]),
    "not a switch": (b"recursive = maybe", [(1, "yes")]),
    "not a size": (b"min_size = 5 apples", [(1, "min_size")]),
    "not a duration": (b"rescan = soon", [(1, "rescan")]),
    "out of range": (b"rescan = 1ms", [(1, "rescan")]),
    "not a number": (b"[watch:y]\ndirectory = /srv/y\njob_id = 12x\npath_map = none", [(3, "job_id")]),
    "number too large": (b"[watch:y]\ndirectory = /srv/y\njob_id = 9223372036854775808\npath_map = none",
                         [(3, "job_id")]),
    "twice": (b"recursive = no\nrecursive = yes", [(2, "recursive")]),
    "section twice": (b"[watch:drop]\nrecursive = no", [(1, "second time")]),
    "line too long": (b"exclude = " + b"x" * 300, [(1, "310")]),
    "name too long": (b"[watch:" + b"n" * 60 + b"]\n", [(1, "")]),
    "indented key": (b"include = a\n  exclude = b", [(2, "left edge")]),
    "indented comment": (b"include = a\n  # nothing", [(2, "comment")]),
    "comment behind a value": (b"include = a ; only these", [(1, "comment")]),
    "open quote": (b'include = "a', [(1, "quote")]),
    "backslash at the end": (b"include = a\\", [(1, "\\")]),
    "NUL": (b"include = a\0b", [(1, "NUL")]),
    "control character": (b"include = a\x1b[31mb", [(1, "0x1b")]),
    "no directory": (b"[watch:y]\njob_id = 5\npath_map = none", [(1, "directory")]),
    "relative directory": (b"[watch:y]\ndirectory = y\njob_id = 5\npath_map = none", [(2, "directory")]),
    "no job": (b"[watch:y]\ndirectory = /srv/y\npath_map = none", [(1, "job_id")]),
    "same job for the same files": (b"[watch:y]\ndirectory = DROP/y\njob_id = 418823550071934\npath_map = none",
                                    [(2, "overlap")]),
    "own files": (b"[watch:y]\ndirectory = FOLDER\njob_id = 5\npath_map = none", [(2, "own files")]),
    "plain http": (b"[workspace:y]\nhost = http://databricks.example\ntoken_file = /etc/token", [(2, "https")]),
    "host with a path": (b"[workspace:y]\nhost = https://databricks.example/api\ntoken_file = /etc/token", [(2, "")]),
    "no credential": (b"[workspace:y]\nhost = https://databricks.example", [(1, "token_file")]),
    "two credentials": (b"[workspace:y]\nhost = https://databricks.example\ntoken_file = /t\nusername = x\n"
                        b"password_file = /p", [(None, "credential")]),
    "unknown name in a template": (b"param.path = ${urii}", [(1, "uri")]),
    "open name in a template": (b"param.path = ${uri", [(1, "")]),
    "unknown type": (b"types = @cvs", [(1, "@csv")]),
    "bad parameter": (b"param.a/b = x", [(1, "")]),
    "min over max": (b"min_size = 10\nmax_size = 5", [(2, "max_size")]),
    "job type with the wrong parameters": (b"arg = ${uri}", [(1, "param")]),
    "a consumer without an address": (b"[notify:x]\non = run.*", [(1, "no webhook and no mail_to")]),
    "what is found in a second look": (b"setle = 1s\nparam.a = ${foo}\n[watch:y]\njob_id = 5\njob_name = x\n",
                                       [(1, "settle"), (2, "foo"), (3, "has no directory"), (5, "keep one")]),
    "several": (b"setle = 1s\nrecursive = maybe\nmin_size = x\n[wacth:y]",
                [(1, "settle"), (2, "recursive"), (3, "min_size"), (4, "watch")]),
}


def configure(s, more=b"", base=None):
    text_ = (BASE if base is None else base).format(folder=s.folder, host=s.api.url).encode()
    more = more.replace(b"DROP", os.fsencode(s.drop)).replace(b"FOLDER", os.fsencode(s.folder))
    s.ini.write_bytes(text_ + more)
    return s


def mistakes(done):
    """{line: words} of what is said about the file."""
    found = {}
    for line in done.err.splitlines():
        match = re.match(r".*?brickwatch\.ini(?::(\d+))?: (.*)", line)
        if match and not match[2].startswith("warning"):
            found.setdefault(int(match[1]) if match[1] else None, []).append(match[2])
    return found


def nothing_happened(s):
    return not list(s.state.iterdir()) and not s.log.exists() and s.api.requests == []


# --- check and config -------------------------------------------------------------------------------------------------

def test_check_of_a_good_configuration(service):
    s = configure(service())
    done = s.verb("check")
    assert done.status == 0 and "good" in done.out and done.err == "", done
    assert nothing_happened(s)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give the state to somebody")
def test_check_says_who_should_check(service):
    s = configure(service())
    os.chown(s.state, 65534, 65534)
    os.chown(s.token_file, 65534, 65534)
    done = s.verb("check")
    assert done.status == 0 and len(done.err.splitlines()) == 1, done
    assert f"sudo -u nobody brickwatch check -c {s.ini}" in done.err and "root, who checks, can read more" in done.err
    assert s.verb("check", "--print-dropin").err == ""


@pytest.mark.parametrize("name", BAD)
def test_mistakes_are_told_with_their_line(service, name):
    more, expected = BAD[name]
    s = configure(service(), more)
    done = s.verb("check")
    assert done.status == 78 and done.out == "", done
    found = mistakes(done)
    assert found, done
    for line, words in expected:
        where = None if line is None else LAST + line
        texts = [t for at, ts in found.items() if line is None or at == where for t in ts]
        assert any(words in t for t in texts), f"nothing with {words!r} in line {where}: {done.err}"
    assert f"{sum(map(len, found.values()))} mistake" in done.err, done
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.err), "control characters on the terminal"


@pytest.mark.parametrize("more, lines", [
    (b"[watch:y]\ndirectory = /srv/y # here\njob_id: 5\npath_map = none\n", {2, 3}),
    (b"[watch:y]\ndirectory = /srv/" + b"y" * 300 + b"\njob_id 5\npath_map = none\n", {2, 3}),
    (b"[watch:y]\ndirectory = /srv/y\\\njob_id = 5\npath_map = none\n", {2}),
    (b"[watch:y ; mine\ndirectory = /srv/y\njob_id = 5\n", {1}),
    (b"[workspace:y]\nhost = https://y.example\ntoken_file = /t\x01\n", {3}),
])
def test_a_refused_line_makes_no_other_mistakes(service, more, lines):
    s = configure(service(), more)
    if b"[workspace:" in more:  # then the first one needs a name
        s.ini.write_text(s.ini.read_text(encoding="latin-1").replace("[workspace]", "[workspace:x]")
                         .replace("[watch:drop]", "[watch:drop]\nworkspace = y"), encoding="latin-1")
        lines = {n + 1 for n in lines}
    done = s.verb("check")
    assert done.status == 78 and {at - LAST for at in mistakes(done)} == lines, done


def test_a_bad_configuration_starts_nothing(service):
    s = configure(service(), b"setle = 1s\n")
    s.put("a.csv")
    for words in ALL_VERBS:
        done = s.verb(*words)
        assert done.status == 78, (words, done)
        assert "settle" in done.err
    assert nothing_happened(s)


@pytest.mark.parametrize("base", [
    "", "[service]\n", "\xef\xbb\xbf" + BASE, "[watch:drop", "= = =\n", "\n" * 100000, "key = value\n", "[" * 5000,
    BASE.replace("[workspace]", "[workspace:]"), BASE.replace("[watch:drop]", "[watch:../x]"),
    BASE.replace("job_id = 418823550071934", "job_id = -1"), BASE.replace("{host}", "ftp://127.0.0.1/"),
    BASE.replace("{host}", "http://u:p@127.0.0.1:80"), "[watch:a]\n" * 1000, "x" * (2 << 20),
])
def test_hostile_files(service, base):
    s = service()
    s.ini.write_text(base.replace("{folder}", str(s.folder)).replace("{host}", s.api.url), encoding="latin-1")
    began = time.monotonic()
    done = s.verb("check")
    assert done.status == 78 and done.err.count("\n") < 1100, done
    assert time.monotonic() - began < 5
    assert nothing_happened(s)


def test_random_bytes(service):
    s = service()
    for n in range(20):
        s.ini.write_bytes(os.urandom(2000) if n % 2 else BASE.encode()[:n * 20] + os.urandom(200))
        assert s.verb("check").status == 78


@pytest.mark.parametrize("what", ["missing", "folder", "pipe", "device", "unreadable"])
def test_no_file(service, what):
    s = service()
    s.ini.unlink()
    if what == "folder":
        s.ini.mkdir()
    elif what == "pipe":
        os.mkfifo(s.ini)
    elif what == "device":
        s.ini.symlink_to("/dev/zero")
    elif what == "unreadable":
        s.ini.symlink_to(s.ini.name)
    done = s.verb("check")
    assert done.status == 78 and str(s.ini) in done.err, done


@pytest.mark.parametrize("mode, owner, command", [(0o666, 0, "chmod go-w"), (0o620, 0, "chmod g-w"),
                                                  (0o600, 1234, "chown root")])
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_a_configuration_that_others_can_write_is_refused(service, mode, owner, command):
    s = configure(service())
    os.chmod(s.ini, mode)
    os.chown(s.ini, owner, 0)
    done = s.verb("run")
    assert done.status == 78 and command in done.err, done
    assert nothing_happened(s)


def test_folder_conf_d(service):
    s = configure(service())
    parts = s.ini.parent / "conf.d"
    parts.mkdir()
    (parts / "20-more.ini").write_text(f"[watch:more]\ndirectory = {s.folder}/more\njob_id = 7\npath_map = none\n")
    (parts / "10-other.ini").write_text(f"[watch:other]\ndirectory = {s.folder}/other\njob_id = 7\npath_map = none\n")
    (parts / "30-off.ini.disabled").write_text("nonsense")
    (parts / ".hidden.ini").write_text("nonsense")
    done = s.verb("check")
    assert done.status == 0 and "3 watches" in done.out, done
    assert re.findall(r"^\[(watch:.*)\]$", s.verb("config").out, re.M) == ["watch:drop", "watch:other", "watch:more"]
    (parts / "40-again.ini").write_text("[watch:more]\nsettle = 1s\n")
    done = s.verb("check")
    assert done.status == 78 and "40-again.ini:1" in done.err and "20-more.ini:1" in done.err, done


def test_config_shows_where_each_value_comes_from(service):
    s = configure(service(), b"include = *.csv, *.json\n  *.xml\ntypes = @csv\n")
    done = s.verb("config", "--json")
    assert done.status == 0 and done.err == "", done
    shown = json.loads(done.out)
    watch = shown["watch:drop"]
    assert watch["include"]["value"] == ["*.csv", "*.json", "*.xml"]
    assert {o.rpartition(":")[2] for o in watch["include"]["origin"]} == {str(LAST + 1), str(LAST + 2)}
    assert watch["job_id"]["value"] == JOB
    assert shown["events"]["max_size"] == {"value": "64MiB", "origin": "default"}
    plain = s.verb("config")
    assert plain.status == 0
    # What is printed is a configuration: the same again.
    s.ini.write_text(plain.out)
    again = json.loads(s.verb("config", "--json").out)
    assert {sec: {k: v["value"] for k, v in keys.items()} for sec, keys in again.items()} == \
        {sec: {k: v["value"] for k, v in keys.items()} for sec, keys in shown.items()}


def test_quoted_and_continued_values(service):
    s = configure(service(), b'include = c\\\n  d.csv, x\n  "e ; f"\n  "a # b, c"\n')
    done = s.verb("config", "--json")
    assert done.status == 0, done
    assert json.loads(done.out)["watch:drop"]["include"]["value"] == ["cd.csv", "x", "e ; f", "a # b, c"]


# --- usage ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words, status", [
    ([], 2), (["--help"], 0), (["help"], 0), (["--version"], 0), (["bogus"], 2), (["chek"], 2),
    *(([verb, "--help"], 0) for verb in ("run", "scan", "check", "explain", "events", "config")),
    *(([verb, "--bogus"], 2) for verb in ("run", "scan", "check", "explain", "events", "config")),
    (["run", "surplus"], 2), (["scan", "surplus"], 2), (["check", "surplus"], 2), (["config", "surplus"], 2),
    (["explain"], 2), (["explain", "a", "b"], 2), (["check", "-c"], 2), (["scan", "--wait", "soon"], 2),
    (["events", "--since", "yesteryear"], 2),
])
def test_usage(service, words, status):
    s = service()
    done = s.verb(*words, configured=False) if words else run_bare(s)
    assert done.status == status, done
    if status == 0:
        assert done.out and done.err == ""
    else:
        assert done.out == "" and "brickwatch" in done.err
    if words == ["chek"]:
        assert "check" in done.err
    if words[-1:] == ["--help"]:
        assert len(done.out.splitlines()) > 3 and all(len(line) <= 132 for line in done.out.splitlines())


def run_bare(s):
    process = s.spawn()
    process.wait(harness.TIMEOUT)
    out, err = (output.finish() for output in s.outputs[-2:])
    return harness.Done(process.returncode, out, err)


def test_version(service):
    assert re.fullmatch(r"brickwatch \d+\.\d+\.\d+\S*\n", service().verb("--version", configured=False).out)


# --- run --------------------------------------------------------------------------------------------------------------

def test_dry_run_sends_and_writes_nothing(service):
    s = service(min_size="5")
    early = s.put("early.csv")
    s.put("small.csv", b"x")
    s.put("b{{.csv", b"0123456789")
    process = s.process = s.spawn("run", "--dry-run", "-c", s.ini)
    s.group = process.pid
    out = s.outputs[-2]
    wait_for(lambda: "early.csv" in out.text(), s.err)
    late = s.put("late.csv")
    wait_for(lambda: "late.csv" in out.text(), s.err)
    wait_for(lambda: out.text().count("\n") >= 4, lambda: out.text())
    s.stop()
    shown = out.text()
    for path in (early, late):
        line = next(x for x in shown.splitlines() if path in x)
        assert f"{REMOTE}/drop/{os.path.basename(path)}" in line and str(JOB) in line
    assert "would reject" in shown and "would dead-letter" in shown
    assert nothing_happened(s)


def test_dry_run_beside_a_running_service(service):
    s = service().start()
    known = s.put("known.csv")
    s.wait_event("run.started", path=known)
    before = s.log.read_bytes()
    done = s.verb("scan", "--dry-run")
    assert done.status == 0 and "known.csv" not in done.out, done
    assert s.log.read_bytes() == before
    s.barrier()
    s.stop()
    s.check_runs({known: 1})


def test_ready_and_stopping_are_told_to_systemd(service, systemd):
    s = service(environment={"NOTIFY_SOCKET": systemd.address})
    s.start(wait=False)
    systemd.wait("READY=1")
    s.barrier()
    s.stop()
    systemd.wait("STOPPING=1")
    assert "STATUS=watching 1 of 1 folders; started 0" in "".join(systemd.told)
    lines = s.err().splitlines()
    assert lines and all(re.match(r"<[3467]>", line) for line in lines), lines


def test_mistakes_have_the_journals_priority(service, systemd):
    s = service(environment={"NOTIFY_SOCKET": systemd.address})
    s.ini.write_text(s.ini.read_text() + "settel = 1s\n")
    s.start(wait=False)
    s.wait_end(78)
    lines = s.err().splitlines()
    assert len(lines) == 2 and all(line.startswith("<3>") for line in lines), lines
    assert "settel" in lines[0] and lines[1] == "<3>brickwatch: 1 mistake in the configuration"


def test_ready_with_a_missing_folder(service, systemd):
    """A folder that is not there yet must not keep the service from being up."""
    s = service(environment={"NOTIFY_SOCKET": systemd.address})
    s.drop.rmdir()
    s.start(wait=False)
    systemd.wait("READY=1")
    s.stop()


def test_check_knows_the_gateway_of_hdfs(service, folder):
    """By the table of mounts, which another one takes the place of here."""
    mounts = folder / "mounts"
    mounts.write_text(f"40 22 0:50 / {folder}/drop rw - nfs gw:/ rw,vers=3,nolock,proto=tcp\n", "ascii")
    prefix = ["unshare", "-m", "sh", "-c", f'mount --bind {mounts} /proc/$$/mountinfo && exec "$@"', "sh"]
    if subprocess.run([*prefix, "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("needs root, and a kernel that lets it unshare mounts")
    s = service(settle="5s", prefix=prefix)
    done = s.verb("check")
    assert done.status == 0 and "settle = 11m" in done.err and str(s.drop) in done.err, done
    s.watches["drop"]["settle"] = "11m"
    s.write_configuration()
    done = s.verb("check")
    assert done.status == 0 and "11m" not in done.err, done


def test_the_watchdog_is_fed_by_progress(service, systemd):
    """Idle or not; no more when the dispatcher hangs, and again when it goes on."""
    s = service(environment={"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "400000"}).start()
    for _ in range(5):
        systemd.wait("WATCHDOG=1")
    s.kill("bw-dispatch", signo=signal.SIGSTOP)
    wait_for(lambda: systemd.take(2) is None, "silence")  # five of its times
    s.kill("bw-dispatch", signo=signal.SIGCONT)
    systemd.wait("WATCHDOG=1")
    s.kill("bw-dispatch")
    for _ in range(5):
        systemd.wait("WATCHDOG=1")
    path = s.put("a.csv")
    s.wait_run(path)
    s.stop()
    s.check_runs({path: 1})


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_ends_at_once_and_cleanly(service, signo):
    s = service(types="@csv").start()
    s.wait_run(s.put("a.csv"))
    began = time.monotonic()
    os.kill(s.process.pid, signo)
    s.wait_end(0)
    assert time.monotonic() - began < 4
    assert [e["type"] for e in s.events()][-1] == "service.stopped"


def test_a_signal_to_the_whole_group_ends_it_cleanly(service):
    """As a terminal does with Ctrl-C."""
    s = service(types="@csv").start()
    path = s.put("a.csv")
    s.wait_event("run.started", path=path)
    os.killpg(s.group, signal.SIGINT)
    s.wait_end(0)
    assert [e["type"] for e in s.events()][-1] == "service.stopped"


@pytest.mark.slow
def test_a_second_service_is_refused(service):
    s = service().start()
    for words in (["run"], ["scan"]):
        began = time.monotonic()
        done = s.verb(*words)
        assert done.status == 1 and str(s.state) in done.err, (words, done)
        assert 4 < time.monotonic() - began < 12, "it does not wait five seconds for the lock"
    path = s.put("a.csv")
    s.wait_run(path)
    s.barrier()
    s.stop()
    s.check_runs({path: 1})
    assert len(s.events("service.started")) == 1


def test_events_of_the_service_itself(service):
    s = service().start()
    s.wait_run(s.put("a.csv"))
    s.put("empty.csv", b"")
    s.wait_event("file.rejected")
    s.stop()
    kinds = [e["type"] for e in s.events()]
    assert kinds[:2] == ["service.started", "watch.ready"] and kinds[-1] == "service.stopped"
    started, stopped = s.events("service.started")[0], s.events("service.stopped")[0]
    assert started["watch"] is None and started["configuration"] == stopped["configuration"]
    assert (stopped["started"], stopped["rejected"], stopped["failed"]) == (1, 1, 0)
    ready = s.events("watch.ready")[0]
    assert ready["watch"] == "drop" and ready["method"] == "inotify"


# --- scan -------------------------------------------------------------------------------------------------------------

def test_scan(service):
    s = service()
    paths = [s.put(f"{n}.csv") for n in range(20)]
    done = s.verb("scan")
    assert done.status == 0, done
    s.check_runs(dict.fromkeys(paths, 1))
    assert s.verb("scan").status == 0
    s.put("0.csv", text("another version"))
    paths.append(s.put("late.csv"))
    assert s.verb("scan").status == 0
    s.check_runs({**dict.fromkeys(paths, 1), paths[0]: 2})
    s.check_started()
    assert s.events("service.started") == []


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_scan_by_root(service, first):
    """It becomes the owner of the state directory: what it leaves behind is the service's, also when it is refused."""
    s = service(user=65534, events={"max_size": "4KiB"})
    if not first:
        s.start()
        s.stop()
    os.chown(s.state, 65534, 0)
    s.user = 0  # the next verbs are root's
    refused = s.verb("scan", "--watch", "nosuch")
    assert refused.status == 2
    names = [s.put(f"{n}.csv") for n in range(20)]
    os.chmod(names[0], 0o600)  # root's: the service cannot read it either
    done = s.verb("scan")
    assert f"working as the owner of {s.state} (user 65534)" in done.err, done
    assert "1 file cannot be read and is left alone" in done.err, done
    owners = {str(path): path.stat().st_uid for top in (s.state, s.log.parent) for path in top.rglob("*")}
    assert len(owners) >= 3 and set(owners.values()) == {65534}, owners
    assert {path.stat().st_gid for path in s.state.iterdir()} == {65534}  # his own, not root's
    s.user = 65534
    os.chmod(names[0], 0o644)
    s.start()
    s.wait_run(names[0])
    s.stop()
    s.check_runs(dict.fromkeys(names, 1))


def test_scan_of_an_empty_folder(service):
    s = service(types="@csv")
    began = time.monotonic()
    assert s.verb("scan").status == 0
    assert time.monotonic() - began < 5


def test_scan_leaves_what_is_being_written(service):
    s = service()
    with open(s.drop / "open.csv", "wb", buffering=0) as file:
        file.write(text("open"))
        whole = s.put("whole.csv")
        done = s.verb("scan")
        assert done.status == 0, done
        s.check_runs({whole: 1})
    assert s.verb("scan").status == 0
    s.check_runs({whole: 1, s.drop / "open.csv": 1})


def test_scan_with_the_workspace_down(service):
    s = service()
    path = s.put("a.csv")
    s.api.stop()
    done = s.verb("scan", "--wait", "4s")
    assert done.status == 69, done
    s.api.start()
    assert s.verb("scan").status == 0
    s.check_runs({path: 1})
    s.check_started()


def test_scan_with_a_dead_letter(service):
    s = service()
    s.put("a{{.csv")
    good = s.put("good.csv")
    done = s.verb("scan")
    assert done.status == 1 and "a{{.csv" in done.err, done
    s.check_runs({good: 1})
    assert s.verb("scan").status == 0, "an old dead letter is no news"


def test_scan_with_a_missing_folder(service):
    s = service()
    s.drop.rmdir()
    done = s.verb("scan", "--wait", "10s")
    assert done.status == 1 and str(s.drop) in done.err, done


def test_scan_of_one_watch(service):
    s = service(watches={"drop": {}, "other": {}})
    path = s.put("a.csv")
    put(s.folder / "other" / "b.csv", text("b"))
    assert s.verb("scan", "--watch", "drop").status == 0
    s.check_runs({path: 1})
    assert s.verb("scan", "--watch", "nobody").status == 2
    assert s.verb("scan").status == 0
    s.check_runs({path: 1, s.folder / "other" / "b.csv": 1})


def test_scan_dry_run(service):
    s = service()
    s.put("a.csv")
    done = s.verb("scan", "--dry-run")
    assert done.status == 0 and f"{REMOTE}/drop/a.csv" in done.out, done
    assert nothing_happened(s)


def test_scan_is_ended_by_a_signal(service):
    s = service(settle="1h")
    s.put("a.csv")
    process = s.process = s.spawn("scan", "-c", s.ini, "--wait", "5m")
    s.group = process.pid
    s.pid("bw-watch")
    wait_for(lambda: "ready" in s.err(), s.err)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(harness.TIMEOUT)
    assert time.monotonic() - began < 5
    s.wait_gone()
    s.process = None


# --- explain ----------------------------------------------------------------------------------------------------------

def explain(s, path):
    done = s.verb("explain", "--json", path)
    assert done.status == 0, done
    shown = json.loads(done.out)
    assert len(shown) == 1
    return {step["step"]: step for step in shown[0]["steps"]}, shown[0]["verdict"]


def test_explain_shows_the_request_that_is_sent(service):
    s = service(types="@csv", **{"param.path": "${uri}"})
    path = s.put("a.csv", text("a", 20))
    steps, verdict = explain(s, path)
    assert nothing_happened(s)
    assert "starts job" in verdict and str(JOB) in verdict
    assert all(step["passes"] is not False for step in steps.values())
    s.start()
    s.wait_run(path)
    s.stop()
    assert steps["request"]["body"] == json.loads(s.api.sent("run-now")[0].body)
    assert steps["token"]["text"].startswith(s.api.runs[0].token)
    assert steps["request"]["url"].endswith("/api/2.2/jobs/run-now")
    plain = s.verb("explain", path)
    assert plain.status == 0 and s.api.runs[0].token in plain.out and s.api.token not in plain.out
    s.watches["drop"].update({"job_id": 9, "path_map": "none"})  # what was sent stays what it was
    s.write_configuration()
    after, verdict = explain(s, path)
    assert after["request"]["body"] == steps["request"]["body"] and "started already" in verdict
    assert after["token"]["text"].startswith(s.api.runs[0].token)
    s.sections["workspace"]["host"] = "https://other.example"
    s.write_configuration()
    assert explain(s, path)[0]["request"]["url"] == s.api.url.removeprefix("http://") + "/api/2.2/jobs/run-now"


@pytest.mark.parametrize("name, data, keys, step", [
    (".hidden.csv", b"x", {}, "name"),
    ("a.csv.part", b"x", {}, "name"),
    ("a.csv", b"", {}, "size"),
    ("a.csv", b"x" * 100, {"max_size": "10"}, "size"),
    ("a.csv", b"\x7fELF" + bytes(100), {"types": "@csv"}, "type"),
    ("a.csv", b"x", {"exclude": "*.csv"}, "name"),
    ("a.csv", b"x", {"include": "*.json"}, "name"),
    ("a{{.csv", b"x", {}, "characters"),
])
def test_explain_says_why_not(service, name, data, keys, step):
    s = service(**keys)
    path = s.put(name, data)
    steps, verdict = explain(s, path)
    refused = [n for n, one in steps.items() if one["passes"] is False]
    assert refused == [step], (refused, verdict)
    assert steps[step]["text"]
    assert "starts job" not in verdict
    assert s.verb("scan").status in (0, 1)
    assert s.runs_of(path) == []


def test_explain_of_other_things(service):
    s = service()
    os.symlink("/etc/passwd", s.drop / "link.csv")
    (s.drop / "folder").mkdir()
    os.mkfifo(s.drop / "pipe.csv")
    for name in ("missing.csv", "link.csv", "folder", "pipe.csv"):
        steps, verdict = explain(s, s.drop / name)
        assert steps["file"]["passes"] is False, (name, steps)
        assert "no run" in verdict
    done = s.verb("explain", s.folder / "elsewhere.csv")
    assert done.status == 1 and "no watch" in done.out, done


def test_explain_of_a_relative_path(service, monkeypatch):
    s = service()
    s.put("a.csv")
    monkeypatch.chdir(s.drop)
    done = s.verb("explain", "./a.csv")
    assert done.status == 0 and "starts job" in done.out, done


# --- events -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def logged(service):
    """A service that has stopped, with a log of many files, most of them compressed."""
    s = service(events={"max_size": "4KiB"}, watches={"drop": {}, "other": {}}).start()
    for n in range(30):
        s.put(f"{n}.csv")
        put(s.folder / "other" / f"{n}.csv", text("o"))
    s.put("empty.csv", b"")
    wait_for(lambda: "empty.csv: 0 bytes" in s.err(), s.err)
    s.wait_runs(60)
    wait_for(lambda: len(s.api.runs) == 60 and len(list(s.log.parent.glob("*.gz"))) > 5, s.err)
    s.stop()
    return s


def lines_of(done):
    assert done.status == 0 and done.err == "", done
    return [json.loads(line) for line in done.out.splitlines()]


def test_events_across_rotated_and_compressed_files(logged):
    s = logged
    everything = lines_of(s.verb("events", "--json"))
    assert len({e["id"] for e in everything}) == len(everything)
    assert [e["time"] for e in everything] == sorted(e["time"] for e in everything)
    started = lines_of(s.verb("events", "--json", "--type", "run.started"))
    assert sorted(e["run_id"] for e in started) == sorted(r.run_id for r in s.api.runs)
    assert lines_of(s.verb("events", "--json", "--type", "run.*")) == started
    assert everything[0]["type"] == "service.started" and everything[-1]["type"] == "service.stopped"
    assert s.verb("events").out.count("\n") == len(everything)


def test_events_filters(logged):
    s = logged
    everything = lines_of(s.verb("events", "--json"))
    started = [e for e in everything if e["type"] == "run.started"]
    middle = started[30]

    def shown(*words):
        return lines_of(s.verb("events", "--json", *words))
    assert shown("--watch", "other") == [e for e in everything if e["watch"] == "other"]
    assert shown("--run", middle["run_id"]) == [middle]
    assert shown(middle["path"]) == [middle]
    assert shown(f"{s.folder}/other/*") == [e for e in everything if e.get("path", "").startswith(f"{s.folder}/other/")]
    assert shown("--type", "file.rejected") == [e for e in everything if e["type"] == "file.rejected"] != []
    assert shown("--since", middle["time"]) == [e for e in everything if e["time"] >= middle["time"]]
    assert shown("--until", middle["time"]) == [e for e in everything if e["time"] < middle["time"]]
    assert shown("--since", "1h") == everything
    assert shown("--until", "1h") == []
    unknown = s.verb("events", "--json", "--type", "no.such")
    assert unknown.status == 2 and 'there is no type of event "no.such"' in unknown.err, unknown
    assert shown("--watch", "drop", "--type", "run.started", "--since", middle["time"]) == \
        [e for e in started if e["watch"] == "drop" and e["time"] >= middle["time"]]


def test_events_with_a_damaged_file(logged):
    """What can be read is shown; the exit status says that something is missing."""
    s = logged
    everything = lines_of(s.verb("events", "--json"))
    damaged = sorted(s.log.parent.glob("*.gz"))[1]
    data = damaged.read_bytes()
    damaged.write_bytes(data[:len(data) // 2])
    done = s.verb("events", "--json")
    assert done.status == 1 and damaged.name in done.err, done
    shown = [json.loads(line) for line in done.out.splitlines()]
    assert 0 < len(shown) < len(everything)
    assert shown[-1] == everything[-1]


def test_events_without_a_log(service):
    done = service().verb("events")
    assert done.status == 1 and "events.jsonl" in done.err, done


def test_events_followed_over_rotations(service):
    s = service(events={"max_size": "4KiB"}).start()
    first = s.put("first.csv")
    s.wait_event("run.started", path=first)
    follower = s.spawn("events", "-c", s.ini, "-f", "--json", "--type", "run.started")
    out = s.outputs[-2]
    wait_for(lambda: "first.csv" in out.text(), "the follower shows what is there")
    for n in range(40):
        path = s.put(f"{n}.csv")
        wait_for(lambda: path in out.text(), f"the follower shows {path}")
    s.stop()
    follower.send_signal(signal.SIGTERM)
    follower.wait(harness.TIMEOUT)
    shown = [json.loads(line) for line in out.finish().splitlines()]
    assert len(list(s.log.parent.iterdir())) > 5
    assert sorted(e["run_id"] for e in shown) == sorted(r.run_id for r in s.api.runs)


def test_events_followed_over_quick_rotations(service):
    """Several rotations between two looks of the follower: it was stopped meanwhile."""
    s = service(events={"max_size": "4KiB"}).start()
    follower = s.spawn("events", "-c", s.ini, "-f", "--json", "--type", "run.started")
    out = s.outputs[-2]
    first = s.put("first.csv")
    wait_for(lambda: first in out.text(), "the follower shows the first")
    follower.send_signal(signal.SIGSTOP)
    paths = [s.put(f"{n}.csv") for n in range(40)]
    s.wait_runs(41)
    wait_for(lambda: len(list(s.log.parent.iterdir())) > 5, "several rotations")
    s.stop()
    follower.send_signal(signal.SIGCONT)
    wait_for(lambda: all(p in out.text() for p in paths),
             lambda: f"the follower shows {len(paths)} files; it shows {out.text().count('run.started')}")
    follower.send_signal(signal.SIGTERM)
    follower.wait(harness.TIMEOUT)
    shown = [json.loads(line)["run_id"] for line in out.finish().splitlines()]
    assert sorted(shown) == sorted(r.run_id for r in s.api.runs)
