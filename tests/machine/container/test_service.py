"""The installed service under a real systemd: one machine, one service, which every test leaves running."""

import re
import signal

import pytest

import machine
from conftest import DROP, INI, SECRET
from machine import wait_for

UNIT = "brickwatch.service"


@pytest.fixture(autouse=True)
def healthy(service):
    """Before each test it runs and is well; after it no file has had two runs."""
    service.configure()
    service.m.run("systemctl", "reset-failed", UNIT, check=False)
    service.m.run("systemctl", "start", UNIT)
    service.wait_healthy()
    yield
    service.check_once()


def drop_in(m, text):
    """Until the machine ends, or clear_drop_in()."""
    m.write(f"/run/systemd/system/{UNIT}.d/test.conf", text)
    m.run("systemctl", "daemon-reload")


def clear_drop_in(m):
    m.run("rm", "-rf", f"/run/systemd/system/{UNIT}.d")
    m.run("systemctl", "daemon-reload")


def test_start_waits_until_it_is_ready(service):
    """Type=notify: systemctl start comes back when the folder has been listed, and says what is watched."""
    m = service.m
    m.run("systemctl", "restart", UNIT)
    assert m.show("ActiveState") == "active" and m.show("Type") == "notify"
    assert m.show("StatusText").startswith("watching 1 of 1 folders"), m.show("StatusText")
    assert m.run("brickwatch", "status", "--check").returncode == 0


def test_a_file_starts_one_run(service):
    name = service.drop()
    service.wait_run(name)
    assert len(service.runs(name)) == 1
    wait_for(lambda: any(e["type"] == "run.started" and e["path"] == f"{DROP}/{name}" for e in service.m.events()),
             "run.started")
    wait_for(lambda: "started 0" not in service.m.show("StatusText"), lambda: service.m.show("StatusText"))


def test_the_file_of_another_user_is_asked_whether_it_is_open(service):
    """CAP_LEASE gets through the unit: of two foreign files moved in, the one that somebody still writes waits."""
    m = service.m
    with open(m.path("/srv/open.csv"), "w", encoding="utf-8") as writer:
        writer.write("id,what\n1,one\n")
        writer.flush()
        m.path("/srv/open.csv").rename(m.path(f"{DROP}/open.csv"))
        m.write("/srv/whole.csv", "id,what\n2,two\n")
        m.path("/srv/whole.csv").rename(m.path(f"{DROP}/whole.csv"))
        service.wait_run("whole.csv")
        assert not service.runs("open.csv")
    service.wait_run("open.csv")


def test_reload_takes_a_good_configuration(service):
    m = service.m
    before = m.main_pid()
    service.configure("exclude = *.skip\n")
    m.run("systemctl", "reload", UNIT)
    assert m.main_pid() == before
    assert any(e["type"] == "service.reloaded" for e in m.events())
    wait_for(lambda: "*.skip" in m.run("brickwatch", "explain", f"{DROP}/no.skip", check=False).stdout, "the new rule")
    service.configure()
    m.run("systemctl", "reload", UNIT)
    service.wait_run(service.drop())


def test_reload_refuses_a_bad_configuration_and_goes_on(service):
    m = service.m
    before = m.main_pid()
    m.write(INI, service.configuration("settel = 1s\n"))
    done = m.run("systemctl", "reload", UNIT, check=False)
    assert done.returncode != 0
    assert "settel" in m.journal(), m.journal()
    assert m.main_pid() == before and m.show("ActiveState") == "active"
    service.wait_run(service.drop())
    service.configure()
    m.run("systemctl", "reload", UNIT)


def test_a_killed_service_is_restarted_and_starts_nothing_twice(service):
    m = service.m
    names = [service.drop() for _ in range(20)]
    before, restarts = m.main_pid(), int(m.show("NRestarts"))
    m.kill(signal.SIGKILL, before)
    names += [service.drop() for _ in range(20)]
    wait_for(lambda: m.main_pid() not in (0, before) and m.show("ActiveState") == "active", "the next one")
    assert int(m.show("NRestarts")) == restarts + 1
    for name in names:
        service.wait_run(name)


def test_a_killed_dispatcher_is_started_again_by_its_keeper(service):
    m = service.m
    before, main = m.children()["bw-dispatch"], m.main_pid()
    m.kill(signal.SIGKILL, *before)
    wait_for(lambda: m.children().get("bw-dispatch", before) != before, "another dispatcher")
    assert m.main_pid() == main and m.show("ActiveState") == "active"
    service.wait_run(service.drop())


@pytest.mark.parametrize("hangs", ["bw-dispatch", "brickwatch"])
def test_who_hangs_is_ended_by_the_watchdog(service, hangs):
    """Stopped is as good as hung: no progress, so systemd is told nothing."""
    m = service.m
    drop_in(m, "[Service]\nWatchdogSec=2s\nRestartSec=100ms\n")
    try:
        m.run("systemctl", "restart", UNIT)
        before, restarts = m.main_pid(), int(m.show("NRestarts"))
        m.kill(signal.SIGSTOP, *m.children()[hangs])
        name = service.drop()
        wait_for(lambda: m.main_pid() not in (0, before) and m.show("ActiveState") == "active", "the next one")
        assert "Watchdog timeout" in m.journal()
        assert int(m.show("NRestarts")) == restarts + 1
        service.wait_run(name)
    finally:
        clear_drop_in(m)
    m.run("systemctl", "restart", UNIT)


def test_a_wrong_configuration_is_not_tried_again(service):
    m = service.m
    m.write(INI, service.configuration("settel = 1s\n"))
    assert m.run("systemctl", "restart", UNIT, check=False).returncode != 0
    assert (m.show("ActiveState"), m.show("SubState")) == ("failed", "failed")
    assert m.show("ExecMainStatus") == "78" and m.show("NRestarts") == "0"
    service.configure()


def test_the_credential_comes_from_systemd(service):
    """The file is root's; the service has a copy that nobody else can read, and its name only."""
    m = service.m
    assert m.path(SECRET).stat().st_uid == 0 and m.path(SECRET).stat().st_mode & 0o777 == 0o600
    assert m.run("runuser", "-u", "brickwatch", "--", "cat", SECRET, check=False).returncode != 0
    token = m.path(SECRET).read_text().strip()
    for pids in m.children().values():
        for pid in pids:
            assert token not in m.run("cat", f"/proc/{pid}/environ").stdout
            assert token not in m.run("cat", f"/proc/{pid}/cmdline").stdout
    assert token not in m.journal()


def test_check_online_is_told_how_to_get_it(service):
    """By hand there is none; the command that is printed, and stands in the manuals, works as it is."""
    m = service.m
    done = m.run("brickwatch", "check", "--online", check=False)
    assert done.returncode == 78 and "chown" not in done.stderr, done
    command = re.search(r"sudo (systemd-run .*)", done.stderr).group(1)
    for path in ("README.md", "doc/credentials.md", "man/brickwatch.8"):
        assert command in (machine.TOP / path).read_text(encoding="utf-8"), path
    done = m.run("sh", "-c", command, check=False)
    assert done.returncode == 0 and "signed in" in done.stdout, (done.stdout, done.stderr)


def test_check_by_root_with_a_token_of_the_service(service):
    """The README's set-up; and a folder that is closed to the service."""
    m = service.m
    m.write("/etc/brickwatch/own-token", "stand-in-token\n", mode=0o600, owner="brickwatch")
    m.write("/etc/brickwatch/own.ini", service.configuration().replace("credential:token", "/etc/brickwatch/own-token"))
    done = m.run("brickwatch", "check", "--online", "-c", "/etc/brickwatch/own.ini", check=False)
    assert done.returncode == 0 and "signed in" in done.stdout, (done.stdout, done.stderr)
    m.run("groupadd", "-f", "landing")
    m.run("chgrp", "landing", DROP)
    m.run("chmod", "750", DROP)
    try:
        done = m.run("brickwatch", "check", check=False)
        assert done.returncode == 1, (done.stdout, done.stderr)
        m.run(*re.search(r"run: (usermod -aG landing brickwatch) ", done.stderr).group(1).split())
        assert m.run("brickwatch", "check", check=False).returncode == 0
        assert "SupplementaryGroups" not in m.run("brickwatch", "check", "--print-dropin").stdout
    finally:
        m.run("chmod", "755", DROP)
        m.run("gpasswd", "-d", "brickwatch", "landing")


def test_metrics_where_the_unit_may_not_write(service):
    m = service.m
    m.run("install", "-d", "-o", "brickwatch", "/var/metrics")
    m.write(INI, service.configuration().replace(
        "[workspace]", "[service]\nmetrics_file = /var/metrics/brickwatch.prom\n[workspace]"))
    try:
        assert "ReadWritePaths=" in m.run("brickwatch", "check").stderr
        assert 'ReadWritePaths="/var/metrics"' in m.run("brickwatch", "check", "--print-dropin").stdout
        m.run("systemctl", "reload", UNIT)
        wait_for(lambda: "metrics cannot be written" in m.run("brickwatch", "status", "--check", check=False).stdout,
                 "status to say so")
        assert "check --print-dropin" in m.run("brickwatch", "status").stdout
    finally:
        service.configure()
        m.run("systemctl", "reload", UNIT)


def test_a_changed_credential_counts_from_the_next_start(service):
    m = service.m
    service.api.add_token("second-token")
    m.write(SECRET, "second-token\n", mode=0o600)
    m.run("systemctl", "restart", UNIT)
    service.api.expire_tokens("stand-in-token")
    service.wait_run(service.drop())


def test_messages_have_the_journals_priorities(service):
    m = service.m
    m.run("systemctl", "restart", UNIT)
    m.path(DROP).rename(m.path("/srv/away"))
    wait_for(lambda: {"6"} < priorities(m), lambda: f"a warning\n{m.journal()}")
    m.path("/srv/away").rename(m.path(DROP))
    service.wait_run(service.drop())
    m.write(INI, service.configuration("settel = 1s\n"))
    m.run("systemctl", "restart", UNIT, check=False)
    errors = [e["MESSAGE"] for e in m.journal_json(f"_SYSTEMD_UNIT={UNIT}", "PRIORITY=3")]
    assert any("settel" in text for text in errors), errors
    service.configure()


def priorities(m):
    return {e["PRIORITY"] for e in m.journal_json(f"_SYSTEMD_UNIT={UNIT}")}


def test_it_stops_at_once_and_says_so(service):
    m = service.m
    began = int(m.run("date", "+%s%3N").stdout)
    m.run("systemctl", "stop", UNIT)
    assert int(m.run("date", "+%s%3N").stdout) - began < 2000
    assert m.show("Result") == "success" and m.show("ActiveState") == "inactive"
    assert m.events()[-1]["type"] == "service.stopped"
    assert m.run("brickwatch", "status", check=False).returncode == 3


def test_a_ledger_of_a_newer_version_is_refused(service):
    """As after a downgrade; nothing is tried again, nothing of it is changed."""
    m = service.m
    m.run("systemctl", "stop", UNIT)
    ledger = m.path("/var/lib/brickwatch/ledger.db")
    good = ledger.read_bytes()
    newer = good[:60] + (99).to_bytes(4, "big") + good[64:]  # user_version, https://www.sqlite.org/fileformat.html
    ledger.write_bytes(newer)
    try:
        assert m.run("systemctl", "start", UNIT, check=False).returncode != 0
        assert "was written by a newer brickwatch" in m.journal()
        assert m.show("SubState") == "failed", "it must not be tried again and again"
        assert ledger.read_bytes() == newer
    finally:
        ledger.write_bytes(good)


WALLS = """
try() {{ if "$@" >/dev/null 2>&1; then echo "open: $*"; else echo "shut: $*"; fi; }}
try touch /etc/x
try touch /etc/brickwatch/x
try touch /usr/x
try touch /var/lib/x
try touch {drop}/x
try cat /etc/brickwatch/token
try ls /home/USER
try ls /root
try test -e /tmp/foreign
try dd if=/dev/mem of=/dev/null count=1
try test -b /dev/vda
try unshare -U true
try unshare -m true
try mount -t tmpfs x /tmp
try date -s 2020-01-01
try hostname other
try dmesg
try sh -c 'echo 1 >/proc/sys/kernel/sysrq'
try mkdir /sys/fs/cgroup/x
try sh -c 'cp /bin/true /var/lib/brickwatch/s && chmod u+s /var/lib/brickwatch/s'
try test -e /proc/1/status
try chown 0 /var/lib/brickwatch
try sh -c 'test "$(nice -n -5 nice)" = -5'
echo "--"
try cat {drop}/readable.csv
try touch /var/lib/brickwatch/x
try touch /var/log/brickwatch/x
try touch /run/brickwatch/x
try touch /tmp/x
try cat /etc/brickwatch/brickwatch.ini
try test -r /proc/self/mountinfo
try test -r /proc/sys/fs/inotify/max_user_watches
try cat "$CREDENTIALS_DIRECTORY/token"
rm -f /var/lib/brickwatch/x /var/lib/brickwatch/s /var/log/brickwatch/x
"""


def test_the_walls_of_the_unit(service):
    """A program in the place of brickwatch tries to climb each."""
    m = service.m
    m.run("systemctl", "stop", UNIT)
    m.write("/home/USER/x", "")
    m.write("/tmp/foreign", "")
    m.path(f"{DROP}/readable.csv").write_text("")
    m.write("/usr/local/bin/climb", WALLS.format(drop=DROP), mode=0o755)
    drop_in(m, "[Service]\nType=oneshot\nWatchdogSec=0\nRestart=no\nExecStart=\n"
               "ExecStart=/bin/sh /usr/local/bin/climb\n")
    try:
        m.run("systemctl", "start", UNIT)
    finally:
        clear_drop_in(m)
        m.path(f"{DROP}/readable.csv").unlink()
    lines = m.journal().splitlines()
    middle = len(lines) - 1 - lines[::-1].index("--")
    count = WALLS.count("\ntry ")
    told = [line for line in lines[:middle] if line.startswith(("open: ", "shut: "))]
    assert [line for line in told if line.startswith("open")] == []
    told += [line for line in lines[middle:] if line.startswith(("open: ", "shut: "))]
    assert [line for line in lines[middle:] if line.startswith("shut")] == []
    assert len(told) == count


def test_what_its_processes_may(service):
    """One capability, for the watchers; no other can be got; no system call outside the list, nobody looks in."""
    m = service.m
    lease = 1 << 28
    seen = m.children()
    assert set(seen) >= {"brickwatch", "bw-dispatch", "bw-watch"}
    for name, pids in seen.items():
        for pid in pids:
            status = m.status_of(pid)
            may = int(status["CapEff"], 16)
            assert may == (lease if name in ("brickwatch", "bw-watch") else 0), (name, status["CapEff"])
            assert int(status["CapBnd"], 16) in (0, lease), (name, status["CapBnd"])
            assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", (name, status)
            assert status["Uid"].split()[0] != "0", name
    assert m.run("runuser", "-u", "brickwatch", "--", "test", "-r", f"/proc/{m.main_pid()}/mem", check=False).returncode


def test_its_own_walls_stand_within_those_of_the_unit(service):
    """What the unit's filter must let through: Landlock and seccomp, raised by each process for itself."""
    m = service.m
    m.run("systemctl", "restart", UNIT)
    said = m.run("journalctl", "-q", "-o", "cat", f"_SYSTEMD_INVOCATION_ID={m.show('InvocationID')}").stdout
    assert re.search(r"confined: Landlock \d+, seccomp$", said, re.MULTILINE), said
    assert "not fully confined" not in said
    filters = {name: int(m.status_of(pids[0])["Seccomp_filters"]) for name, pids in m.children().items()}
    assert filters["bw-dispatch"] > filters["brickwatch"] and filters["bw-watch"] > filters["brickwatch"], filters


def test_nobody_else_can_read_what_it_keeps(service):
    m = service.m
    for path, mode in (("/var/lib/brickwatch", "700"), ("/var/log/brickwatch", "750"), ("/run/brickwatch", "750"),
                       ("/var/lib/brickwatch/ledger.db", "600"), ("/var/log/brickwatch/events.jsonl", "640")):
        assert m.run("stat", "-c", "%a %U", path).stdout.split() == [mode, "brickwatch"], path


def test_no_socket_listens(service):
    """Sockets of the unit's processes in the machine's network: none but the stand-in's, which is no process of it."""
    tables = [service.m.run("cat", f"/proc/net/{name}").stdout.splitlines()[1:] for name in ("tcp", "tcp6")]
    listening = [line.split() for table in tables for line in table if line.split()[3] == "0A"]
    assert [int(words[1].split(":")[1], 16) for words in listening] == [service.api.port]


def test_the_machine_is_well(service):
    assert service.m.run("systemctl", "is-system-running").stdout.strip() == "running"
    assert machine.JOB in service.api.jobs
