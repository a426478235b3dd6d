"""check: what the service's user sees, asked by root as well: drop folders, credential, metrics."""

import os
import pwd

import pytest

import harness

NOBODY = 65534
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files to others")
GOOD = "the configuration is good"


def give(s, user=NOBODY):
    """To the service's user, as its first start does."""
    for path in (s.state, s.log.parent, s.folder / "run", s.token_file):
        os.chown(path, user, user)


@pytest.fixture
def given(service):
    s = service()
    give(s)
    return s


@root_only
@pytest.mark.parametrize("user", [NOBODY, 4711])
def test_online_by_root_with_the_services_own_token(service, user):
    """As README has it: the token is the service's, mode 0600. (4711 has no name.)"""
    s = service()
    give(s, user)
    done = s.verb("check", "--online")
    assert done.status == 0 and "signed in" in done.out and "chown" not in done.out + done.err, done


@root_only
def test_online_by_root_sees_what_the_service_could_not_read(given):
    s = given
    os.chown(s.token_file, 0, 0)
    done = s.verb("check", "--online")
    assert done.status == 78 and f"cannot read {s.token_file}: Permission denied" in done.out, done
    assert f"chown {NOBODY} {s.token_file}" in done.err, done
    assert not s.api.requests


def test_online_by_another_proposes_nothing_that_takes_it_from_the_service(service):
    """The state directory is root's (or not there): who runs the service is not known."""
    if os.geteuid() != 0:
        pytest.skip("needs root to give files away")
    s = service()
    s.state.rmdir()
    os.chown(s.token_file, 4711, 4711)
    done = s.verb("check", "--online")
    assert done.status == 78 and "belongs to user 4711" in done.out and "chown 0" not in done.out + done.err, done


@root_only
@pytest.mark.parametrize("options", [[], ["--online"]], ids=["check", "online"])
def test_a_folder_that_is_closed(given, options):
    s = given
    os.chown(s.drop, 0, 0)
    os.chmod(s.drop, 0o750)
    done = s.verb("check", *options)
    assert done.status == 1 and GOOD not in done.out, done
    assert f"nobody cannot list {s.drop}: {s.drop} is closed to him; run: setfacl -m u:nobody:rx {s.drop} " in done.err
    os.chmod(s.drop, 0o751)  # it may be passed, not listed
    assert f"{s.drop} is closed to him; run: setfacl -m u:nobody:rx {s.drop} " in s.verb("check", *options).err
    os.chown(s.drop, 0, 4)
    os.chmod(s.drop, 0o750)
    assert "run: usermod -aG adm nobody" in s.verb("check", *options).err
    os.chown(s.drop, 0, pwd.getpwuid(NOBODY).pw_gid)
    done = s.verb("check", *options)
    assert done.status == 0 and GOOD in done.out, done


@root_only
def test_a_folder_above_is_closed(service):
    s = service(watches={"a": {}})
    give(s)
    inner = s.folder / "a" / "with blank" / "in"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    s.watches["a"].update(directory=inner, path_map="none")
    s.write_configuration()
    done = s.verb("check")
    assert done.status == 1 and f"cannot list {inner}: {inner.parent} is closed to him; " \
        f"run: setfacl -m u:nobody:x '{inner.parent}'" in done.err, done


@pytest.mark.parametrize("options", [[], ["--online"]], ids=["check", "online"])
def test_a_folder_that_is_missing(service, options):
    s = service()
    s.drop.rmdir()
    done = s.verb("check", *options)
    assert done.status == 0 and GOOD in done.out, done
    assert f"warning: [watch:drop]: {s.drop}: it cannot be listed: No such file or directory; its files are found " \
        "when it is there" in done.err, done
    s.drop.write_text("")
    assert "Not a directory" in s.verb("check", *options).err


def test_nothing_is_said_of_folders_that_can_be_listed(service):
    done = service().verb("check")
    assert done.status == 0 and done.err == "", done


@root_only
def test_who_is_neither_root_nor_the_services_user_cannot_tell(service):
    s = service(user=4712)
    os.chown(s.state, 4711, 4711)
    os.chmod(s.drop, 0o700)
    assert str(s.drop) not in s.verb("check").err


@root_only
def test_dry_run_of_a_folder_that_is_closed(service):
    s = service(user=NOBODY)
    os.chmod(s.drop, 0o700)
    done = s.verb("scan", "--dry-run")
    assert done.status == 1 and "Permission denied" in done.err, done


def test_dry_run_of_a_folder_that_is_missing(service):
    s = service()
    s.drop.rmdir()
    done = s.verb("scan", "--dry-run")
    assert done.status == 1 and "No such file or directory" in done.err, done


def test_explain_of_the_directory_itself(service):
    s = service()
    done = s.verb("explain", s.drop)
    assert "yes directory" in done.out and "not a file in it" in done.out, done
    s.drop.rmdir()
    done = s.verb("explain", s.drop)
    assert "NO  directory" in done.out and "No such file or directory" in done.out, done


@root_only
def test_metrics_where_the_service_may_not_write(service):
    s = service(service={"metrics_file": "/proc/brickwatch.prom"})
    give(s)
    done = s.verb("check")
    assert done.status == 0 and "warning: metrics_file: nobody cannot write to /proc" in done.err, done
    s = service(user=4711)
    folder = s.folder / "metrics"
    folder.mkdir()
    s.sections["service"]["metrics_file"] = folder / "brickwatch.prom"
    s.write_configuration()
    s.start()
    harness.wait_for(lambda: "the metrics cannot be written" in s.verb("status", "--check").out, "degraded")
    assert s.verb("status", "--check").status == 1
    done = s.verb("status")
    assert "metrics CANNOT BE WRITTEN" in done.out and f"{folder}" in done.out, done
    assert "brickwatch check --print-dropin" in done.out, done
    os.chown(folder, 4711, 4711)
    s.put("one.csv")
    harness.wait_for(lambda: s.verb("status", "--check").status == 0, "healthy")
