"""`check --print-dropin`: systemd reads it as it is meant (systemd-analyze shows what it made of it)."""

import os
import pwd
import re
import shutil
import subprocess

import pytest

UNIT = """[Unit]
Description=brickwatch
[Service]
Type=notify
ExecStart=/bin/true
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
StateDirectory=brickwatch
LogsDirectory=brickwatch
RuntimeDirectory=brickwatch
"""
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")


def read_by_systemd(s, text):
    """({key: [values]}, what it complains about) of the unit with this drop-in."""
    folder = s.folder / "root" / "etc" / "systemd" / "system"
    (folder / "brickwatch.service.d").mkdir(parents=True, exist_ok=True)
    (folder / "brickwatch.service").write_text(UNIT)
    (folder / "brickwatch.service.d" / "folders.conf").write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", f"--root={s.folder}/root", "brickwatch.service"],
                          env={**os.environ, "SYSTEMD_LOG_LEVEL": "debug"}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=60)
    out = done.stdout.decode("utf-8", "surrogateescape")
    found = {}
    for key, value in re.findall(r"^\t+([A-Za-z]+): (.*)$", out, re.M):
        found.setdefault(key, []).append(value)
    return found, re.findall(r"^.*folders\.conf:\d+:.*$", out, re.M)


def lines(text, key):
    return re.findall(rf"^{key}=(.*)$", text, re.M)


@needs_systemd
def test_systemd_reads_every_path_as_it_is(service):
    s = service()
    folders = [s.folder / name for name in ("plain", "with blank", "100%", "back\\slash", 'qu"ote', "single'quote",
                                            "$dollar", "ümlaut", "#hash", "x-y")]
    for folder in folders:
        folder.mkdir()
    s.sections["service"]["state_directory"] = s.folder / "state of 1%"
    s.watches = {f"w{n}": {"directory": f'"{folder}"', "path_map": "none"} for n, folder in enumerate(folders)}
    s.write_configuration()
    done = s.verb("check", "--print-dropin")
    assert done.status == 0, done
    unit, complaints = read_by_systemd(s, done.out)
    assert complaints == []
    mounts = [value.removesuffix(" (origin-file)") for value in unit["RequiresMountsFor"]]
    assert set(mounts) >= {*map(str, folders), str(s.log.parent), f"{s.folder}/state of 1%"}
    assert unit["ReadWritePaths"] == [f"{s.folder}/state of 1% {s.log.parent} {s.folder}/run"]
    assert unit["PrivateTmp"] == ["no" if str(s.folder).startswith(("/tmp/", "/var/tmp/")) else "yes"]


@needs_systemd
def test_home_and_credentials(service):
    s = service(directory=os.path.join("/home", "nobody-here", "in"), path_map="none")
    s.sections["workspace"].update(token_file="credential:token", proxy="http://127.0.0.1:9",
                                   proxy_username="x", proxy_password_file="credential:proxy.password")
    s.write_configuration()
    done = s.verb("check", "--print-dropin")
    assert done.status == 0, done
    unit, complaints = read_by_systemd(s, done.out)
    assert complaints == []
    assert unit["ProtectHome"] == ["read-only"]
    assert lines(done.out, "LoadCredential") == ["token:/etc/brickwatch/token",
                                                 "proxy.password:/etc/brickwatch/proxy.password"]


def test_names_that_no_unit_can_have(service):
    s = service()
    odd = os.fsencode(s.folder) + b"/od\xffd"
    os.mkdir(odd)
    s.ini.write_bytes(s.configuration().replace("[watch:drop]", "[watch:odd]\njob_id = 7\npath_map = none\n"
                                                "directory = ODD\n[watch:drop]").encode().replace(b"ODD", odd))
    done = s.verb("check", "--print-dropin")
    assert done.status == 1 and "1 name of the configuration cannot stand in a unit" in done.err, done
    assert f"# {s.folder}/od\\xffd cannot stand in a unit" in done.out
    assert f'RequiresMountsFor="{s.drop}"' in done.out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder to others")
def test_who_may_not_read_the_folder_is_told(service):
    s = service(watches={"a": {}, "b": {}, "c": {}})
    for path in (s.state, s.log.parent):
        os.chown(path, 65534, 65534)
    for name, mode, group in (("a", 0o750, 4), ("b", 0o700, 4), ("c", 0o755, 4)):
        os.chown(s.folder / name, 0, group)
        os.chmod(s.folder / name, mode)
    out = s.verb("check", "--print-dropin").out
    assert f"# Only its group may read {s.folder}/a:\n#SupplementaryGroups=adm\n" in out, out
    assert f"# nobody may not read {s.folder}/b: setfacl -m u:nobody:rx, or another mode" in out, out
    assert f"{s.folder}/c:" not in out, out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder to others")
def test_a_group_that_would_not_help_is_not_proposed(service):
    """That of root, and one that the service's user is in already."""
    s = service(watches={"a": {}, "b": {}})
    os.chown(s.state, 65534, 65534)
    for name, group in (("a", 0), ("b", pwd.getpwuid(65534).pw_gid)):
        os.chown(s.folder / name, 0, group)
        os.chmod(s.folder / name, 0o750)
    out = s.verb("check", "--print-dropin").out
    assert "SupplementaryGroups" not in out and f"# nobody may not read {s.folder}/a: setfacl" in out, out
    assert f"{s.folder}/b:" not in out, out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_another_user_says_that_he_cannot_tell(service):
    s = service(user=4712)
    os.chown(s.state, 4711, 4711)
    os.chmod(s.drop, 0o700)
    out = s.verb("check", "--print-dropin").out
    assert "# Whether the service's user can read the folders was not looked at" in out, out


def test_a_mistaken_configuration_has_none(service):
    s = service(setle="1s")
    done = s.verb("check", "--print-dropin")
    assert done.status == 78 and done.out == "", done
    assert service().verb("check", "--print-dropin", "--online").status == 2
