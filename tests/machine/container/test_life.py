"""The life of a package on a machine: installed, upgraded, removed, purged; as .deb and as .rpm."""

import subprocess

import pytest

import machine
from conftest import DROP, DROP_IN, INI, SECRET, Service
from machine import TOP, the_package, wait_for

UNIT = "brickwatch.service"
DEB = "brickwatch_*.deb"


@pytest.fixture
def lived(bare):
    """A service that was installed as a .deb, and has started a run."""
    bare.install(the_package(DEB))
    yield from live(bare)


def live(m):
    s = Service(m)
    s.start_api()
    try:
        s.set_up()
        s.wait_run(s.drop("first.csv"))
        yield s
        s.check_once()
    finally:
        s.api.stop()


def files(m):
    """What lies on the machine, but for what changes by itself."""
    changing = ("/var/lib/dpkg/*", "/var/lib/systemd/*", "/var/log/dpkg.log", "/var/log/journal*", "/run/*",
                "/tmp/*", "/var/tmp/*", "/etc/*-")
    leave_out = [word for pattern in changing for word in ("-not", "-path", pattern)]
    return set(m.run("find", "/", "-xdev", *leave_out, check=False).stdout.splitlines())


def newer_deb(tmp_path, version="0.1.0-2"):
    """The same package with a higher version and another configuration file."""
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "-R", the_package(DEB), tree], check=True)
    control = tree / "DEBIAN/control"
    text = control.read_text()
    assert "Version: 0.1.0-1\n" in text
    control.write_text(text.replace("Version: 0.1.0-1\n", f"Version: {version}\n"))
    with open(tree / "etc/brickwatch/brickwatch.ini", "a", encoding="ascii") as file:
        file.write("# another remark\n")
    made = tmp_path / f"brickwatch_{version}_amd64.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, made], check=True, stdout=subprocess.DEVNULL)
    return made


def test_installation_starts_nothing_and_fails_nothing(bare):
    m = bare
    m.install(the_package(DEB))
    user = m.run("getent", "passwd", "brickwatch").stdout.strip().split(":")
    assert user[5] == "/var/lib/brickwatch" and user[6].endswith("nologin")
    assert m.run("systemctl", "is-enabled", "brickwatch", check=False).stdout.strip() == "disabled"
    assert m.show("ActiveState") == "inactive"
    assert m.run("systemctl", "is-system-running").stdout.strip() == "running"
    assert m.run("stat", "-c", "%a %U", INI).stdout.split() == ["644", "root"]
    # who starts it nevertheless is told what is missing, once
    assert m.run("systemctl", "start", "brickwatch", check=False).returncode != 0
    assert (m.show("SubState"), m.show("ExecMainStatus"), m.show("NRestarts")) == ("failed", "78", "0")
    errors = [e["MESSAGE"] for e in m.journal_json(f"_SYSTEMD_UNIT={UNIT}", "PRIORITY=3")]
    assert any("no [workspace]" in text for text in errors), errors


def test_smoke(bare):
    """From the installed files alone."""
    bare.install(the_package(DEB))
    bare.write("/srv/smoke", (TOP / "packaging/smoke").read_text(), mode=0o755)
    out = bare.run("/srv/smoke").stdout
    assert out.count("ok: ") == 4, out


def test_what_depends_is_said(bare):
    """Everything the program is linked with is among the dependencies, as dpkg sees it."""
    bare.install(the_package(DEB))
    assert bare.run("dpkg", "--audit").stdout == ""
    assert "not found" not in bare.run("ldd", "/usr/bin/brickwatch").stdout


def test_upgrade_keeps_the_configuration_and_goes_on(lived, tmp_path):
    s, m = lived, lived.m
    before, edited = m.main_pid(), m.path(INI).read_text()
    m.install(newer_deb(tmp_path))
    assert m.path(INI).read_text() == edited
    assert "another remark" in m.path(INI + ".dpkg-dist").read_text()
    assert m.show("ActiveState") == "active" and m.main_pid() != before, "the new program is to run"
    s.wait_healthy()
    s.wait_run(s.drop("second.csv"))
    assert len(s.runs("first.csv")) == 1


def test_an_upgrade_starts_nothing_that_was_stopped(lived, tmp_path):
    """It is enabled still: it may have been moved to another host, or be stopped for a reason of its own."""
    s, m = lived, lived.m
    m.run("systemctl", "stop", "brickwatch")
    m.install(newer_deb(tmp_path))
    assert m.show("ActiveState") == "inactive"
    m.install(the_package(DEB))
    assert m.show("ActiveState") == "inactive"
    m.run("dpkg", "-r", "brickwatch")
    m.install(the_package(DEB))
    assert m.show("ActiveState") == "inactive"
    assert m.run("systemctl", "is-enabled", "brickwatch").stdout.strip() == "enabled"
    m.run("systemctl", "start", "brickwatch")
    s.wait_run(s.drop("second.csv"))


def test_an_upgrade_restarts_what_runs_without_being_enabled(lived, tmp_path):
    m = lived.m
    m.run("systemctl", "disable", "brickwatch")
    before = m.main_pid()
    m.install(newer_deb(tmp_path))
    assert m.show("ActiveState") == "active" and m.main_pid() not in (0, before)


def test_an_untouched_configuration_is_replaced(bare, tmp_path):
    bare.install(the_package(DEB))
    bare.install(newer_deb(tmp_path))
    assert "another remark" in bare.path(INI).read_text()
    assert not bare.path(INI + ".dpkg-dist").exists()
    assert bare.show("ActiveState") == "inactive", "nobody had enabled it"


def test_downgrade(lived, tmp_path):
    """The ledger is of the same schema, so the older version goes on with it."""
    s, m = lived, lived.m
    m.install(newer_deb(tmp_path))
    m.install(the_package(DEB))
    s.wait_healthy()
    s.wait_run(s.drop("second.csv"))
    assert len(s.runs("first.csv")) == 1


def test_removal_keeps_what_it_knows(lived):
    s, m = lived, lived.m
    m.run("dpkg", "-r", "brickwatch")
    assert m.show("ActiveState") == "inactive"
    assert not m.path("/usr/bin/brickwatch").exists() and not m.path(f"/lib/systemd/system/{UNIT}").exists()
    for kept in (INI, SECRET, "/var/lib/brickwatch/ledger.db", "/var/log/brickwatch/events.jsonl", f"{DROP}/first.csv"):
        assert m.run("test", "-e", kept, check=False).returncode == 0, kept
    s.drop("meanwhile.csv")
    m.install(the_package(DEB))
    m.run("systemctl", "enable", "--now", "brickwatch")
    s.wait_run("meanwhile.csv")
    assert len(s.runs("first.csv")) == 1


def test_purge_leaves_nothing_but_the_user(bare):
    m = bare
    before = files(m)
    m.install(the_package(DEB))
    for s in live(m):
        s.drop("not-taken.txt", "x")
    m.write("/etc/brickwatch/conf.d/more.ini", "")
    m.run("dpkg", "-P", "brickwatch")
    m.run("rm", "-r", DROP_IN.rpartition("/")[0])  # the administrator's own
    assert files(m) == before
    assert m.run("systemctl", "list-units", "--all", "--no-legend", "brickwatch*").stdout.strip() == ""
    assert sorted(p.name for p in m.path(DROP).iterdir()) == ["first.csv", "not-taken.txt"]
    assert m.run("getent", "passwd", "brickwatch").stdout.startswith("brickwatch:")


@pytest.fixture
def rpm_machine():
    """The same Debian, with the program from the .rpm: its scriptlets have run in there."""
    with machine.Machine(prepare=install_rpm) as m:
        yield m


def rpm(root, *words):
    done = subprocess.run(["rpm", "--root", str(root), "--dbpath", "/var/lib/rpm", *map(str, words)], text=True,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout


def the_rpm():
    return the_package("brickwatch-[0-9]*[!c].rpm")


def install_rpm(root):
    rpm(root, "--initdb")
    out = rpm(root, "--nodeps", "-i", the_rpm())  # what it requires is no RPM here
    assert "warning" not in out and "rror" not in out, out


def test_the_rpm_installs_and_runs(rpm_machine):
    m = rpm_machine
    assert m.run("getent", "passwd", "brickwatch").stdout.startswith("brickwatch:")
    m.write("/srv/smoke", (TOP / "packaging/smoke").read_text(), mode=0o755)
    assert m.run("/srv/smoke").stdout.count("ok: ") == 4
    for s in live(m):
        s.wait_healthy()
        assert m.show("ActiveState") == "active"


def test_the_rpm_keeps_an_edited_configuration_and_erases_the_rest():
    """In an alternate root, without a machine."""
    with machine.layered(machine.ROOT) as root:
        install_rpm(root)
        assert "/etc/brickwatch/brickwatch.ini" in rpm(root, "-qc", "brickwatch")
        ini = root / INI.lstrip("/")
        ini.write_text(ini.read_text() + "# edited\n")
        (root / "etc/brickwatch/token").write_text("x")
        assert subprocess.run(["chroot", str(root), "/usr/bin/brickwatch", "--version"], text=True, check=True,
                              stdout=subprocess.PIPE).stdout.startswith("brickwatch ")
        rpm(root, "--nodeps", "-e", "brickwatch")
        assert not (root / "usr/bin/brickwatch").exists()
        assert "# edited" in (root / (INI.lstrip("/") + ".rpmsave")).read_text()
        assert (root / "etc/brickwatch/token").exists()


def test_rpm_and_deb_say_the_same_version(rpm_machine):
    assert rpm_machine.run("brickwatch", "--version").stdout.split()[1] in the_package(DEB).name
    wait_for(lambda: rpm_machine.show("LoadState") == "loaded", "the unit")
