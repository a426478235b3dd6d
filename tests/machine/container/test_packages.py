"""The packages themselves: what the distributions' checkers say, whether they build again bit for bit, the unit."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import machine
from machine import PACKAGES, TOP, the_package

UNIT = "brickwatch.service"


def run(*words, cwd=None, env=None):
    done = subprocess.run([str(w) for w in words], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, **(env or {})}, check=False)
    return done.returncode, done.stdout


def check(*words, **options):
    status, out = run(*words, **options)
    assert status == 0, out
    return out


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """What the .deb installs."""
    folder = tmp_path_factory.mktemp("deb")
    check("dpkg-deb", "-x", the_package("brickwatch_*.deb"), folder)
    return folder


def test_lintian():
    out = check("lintian", "--allow-root", "--pedantic", "-E", "-I", "--fail-on", "error,warning,info,pedantic",
                the_package("brickwatch_*.changes"))
    assert not re.findall(r"^[EWIPX]: .*", out, re.MULTILINE), out


def links_into_nothing(folder):
    """Those of the documents in there that lead to a file that is not there."""
    documents = sorted(folder.rglob("*.md"))
    assert len(documents) > 20
    links = [(path, link) for path in documents for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8"))]
    assert len(links) > 5
    return [(path.name, link) for path, link in links if not (path.parent / link).exists()]


def test_documents_lead_to_documents(unpacked, tmp_path):
    assert links_into_nothing(unpacked / "usr/share/doc/brickwatch") == []
    rpm = next(p for p in PACKAGES.glob("brickwatch-[0-9]*.rpm") if not p.name.endswith(".src.rpm"))
    check("sh", "-c", f"rpm2cpio {rpm} | cpio -id --quiet", cwd=tmp_path)
    assert links_into_nothing(tmp_path / "usr/share/doc/brickwatch") == []


def test_every_override_has_a_reason():
    for path in (TOP / "packaging" / "debian").rglob("*lintian-overrides"):
        before = ""
        for line in path.read_text(encoding="ascii").splitlines():
            assert line.startswith("#") or before, f"{path}: {line}"
            before = line


def test_what_building_takes_is_said():
    """Both packages name each library that configure asks for. (They are built on a machine that has more.)"""
    configure = (TOP / "configure.ac").read_text()
    control = (TOP / "packaging/debian/control").read_text()
    spec = (TOP / "packaging/rpm/brickwatch.spec").read_text()
    modules = set(re.findall(r"PKG_CHECK_MODULES\(\[\w+\], \[(\w+) ", configure))
    modules.remove("libmagic")  # which is file-devel there, with or without a .pc
    assert len(modules) >= 8
    assert {m for m in modules if f"pkgconfig({m})" not in spec} == set()
    needs = check("sh", "-c", f". {TOP}/packaging/needs.sh && needs_packages build").split()
    libraries = [name for name in needs if name.endswith("-dev") and name != "libc6-dev"]
    assert len(libraries) >= 7
    assert [name for name in libraries if f"\n {name}" not in control] == []


def test_rpmlint():
    out = check("rpmlint", "-c", TOP / "packaging/rpm/rpmlint.toml", *sorted(PACKAGES.glob("*.rpm")),
                TOP / "packaging/rpm/brickwatch.spec")
    assert "0 errors, 0 warnings" in out, out


def test_blhc():
    """Each compiler call of the build had Debian's hardening flags, and our own."""
    log = PACKAGES / "deb.log"
    check("blhc", "--all", log)
    calls = [line for line in log.read_text().splitlines() if re.match(r"(x86_64-linux-gnu-)?gcc .* -c ", line)]
    assert len(calls) > 100
    assert all("-fstack-clash-protection" in line for line in calls)


def test_the_tarball_is_the_tree():
    status, out = run("/usr/bin/python3", TOP / "tests/lint/dist_tree.py", the_package("brickwatch-*.tar.xz"), TOP)
    if status == 77:
        pytest.skip(out)
    assert status == 0, out


def test_verify(unpacked):
    """systemd finds nothing to complain about in the unit. It wants the units that are named to be there."""
    for name in ("sysinit.target", "basic.target", "network-online.target", "nss-lookup.target", "time-sync.target",
                 "remote-fs.target", "shutdown.target", "multi-user.target", "system.slice", "-.mount"):
        shutil.copy(f"/lib/systemd/system/{name}", unpacked / "lib/systemd/system") if Path(
            f"/lib/systemd/system/{name}").exists() else None
    out = check("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={unpacked}",
                unpacked / "lib/systemd/system" / UNIT)
    assert UNIT not in out, out


def test_exposure(unpacked):
    out = check("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=14",
                unpacked / "lib/systemd/system" / UNIT)
    print(out.splitlines()[-1])


def test_nothing_of_the_unit_runs_as_root(unpacked):
    """No prefix that lifts the walls, nothing before the start (it would be tried again after 78)."""
    lines = (unpacked / "lib/systemd/system" / UNIT).read_text().splitlines()
    started = [line for line in lines if re.match(r"Exec", line)]
    assert started == ["ExecStart=/usr/bin/brickwatch run", "ExecReload=/usr/bin/brickwatch reload"]


def test_the_deb_holds_one_conffile_and_no_secret(unpacked):
    out = check("dpkg-deb", "-I", the_package("brickwatch_*.deb"), "conffiles")
    assert out.split() == ["/etc/brickwatch/brickwatch.ini"]
    assert sorted(p.name for p in (unpacked / "etc/brickwatch").iterdir()) == ["brickwatch.ini", "conf.d"]


def test_both_packages_hold_the_same(unpacked, tmp_path):
    """But for what each distribution wants elsewhere."""
    with subprocess.Popen(["rpm2cpio", the_package("brickwatch-[0-9]*[!c].rpm")], stdout=subprocess.PIPE) as archive:
        subprocess.run(["cpio", "-idm", "--quiet"], stdin=archive.stdout, cwd=tmp_path, check=True)
    assert archive.returncode == 0

    def listed(folder):
        found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}
        found = {n.replace("usr/lib/systemd/system/", "lib/systemd/system/") for n in found}
        return {n for n in found if not n.startswith(("usr/share/doc/", "usr/share/licenses/", "usr/share/lintian/"))
                and (UNIT in n or not n.startswith("lib/systemd"))}
    assert listed(unpacked) == listed(tmp_path)
    ours = [(tmp_path / "usr/lib/systemd/system" / UNIT), (unpacked / "lib/systemd/system" / UNIT)]
    assert ours[0].read_bytes() == ours[1].read_bytes()


def sums(folder, pattern):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(folder).rglob(pattern)}


def build_again(what, where):
    """In the folder `where`. The compiler's cache may answer (not with BW_LONG=1)."""
    env = {"CCACHE_DISABLE": "1"} if os.environ.get("BW_LONG") else {}
    check(TOP / "packaging" / f"build-{what}", "--no-check", "--in", where, "--tarball",
          the_package("brickwatch-*.tar.xz"), cwd="/", env=env)


def test_the_deb_builds_again_bit_for_bit(tmp_path):
    """At another place and time."""
    before = sums(PACKAGES, "brickwatch*.deb")
    build_again("deb", tmp_path / "other")
    assert before and sums(tmp_path, "brickwatch*.deb") == before


def test_the_rpm_builds_again_bit_for_bit():
    """At the same place: what rpmbuild writes of its flags holds the folder."""
    before = sums(PACKAGES, "*.rpm")
    build_again("rpm", PACKAGES / "rpm")
    assert before and {**sums(PACKAGES / "rpm/RPMS", "*.rpm"), **sums(PACKAGES / "rpm/SRPMS", "*.rpm")} == before


def test_autopkgtest(tmp_path):
    """The tests that Debian runs on what is installed: in a root of their own, from our package alone."""
    check("dpkg-source", "--no-check", "-x", the_package("brickwatch_*.dsc"), tmp_path / "source")
    with machine.layered(machine.ROOT) as root:
        for file in (root / "etc/apt").glob("sources.list.d/*"):
            file.unlink()
        (root / "etc/apt/sources.list").write_text("")
        machine.mount("--bind", "/proc", root / "proc")
        try:
            out = check("autopkgtest", "-q", "-o", tmp_path / "result", "--no-built-binaries",
                        the_package("brickwatch_*.deb"), f"{tmp_path}/source/", "--", "chroot", root)
        finally:
            check("umount", root / "proc")
    summary = (tmp_path / "result" / "summary").read_text()
    assert re.fullmatch(r"smoke +PASS\n", summary), summary + out


def test_machine_names_are_not_ours():
    """What the packages say of themselves holds nothing of the machine they were built on."""
    assert machine.JOB
    out = check("rpm", "-qp", "--qf", "%{BUILDHOST}\n", *sorted(PACKAGES.glob("brickwatch-[0-9]*.rpm")))
    assert set(out.split()) == {"reproducible"}
