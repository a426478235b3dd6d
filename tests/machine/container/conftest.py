"""Fixtures: a bare machine, and one with the service installed, configured and running."""

import pytest

import machine
from jobsapi import JobsApi

TOKEN = "stand-in-token"
DROP = "/srv/landing"
INI = "/etc/brickwatch/brickwatch.ini"
SECRET = "/etc/brickwatch/token"
DROP_IN = "/etc/systemd/system/brickwatch.service.d/folders.conf"


class Service:
    """The installed service, its stand-in of the Jobs API, and one drop folder."""

    def __init__(self, m):
        self.m, self.number = m, 0
        self.api = JobsApi({machine.JOB: ["path"]}, tokens=(TOKEN,))
        self.m.path(DROP).mkdir(exist_ok=True)

    def start_api(self):
        with self.m.network():
            self.api.start()

    def configuration(self, more=""):
        return "\n".join((
            "[workspace]", f"host = {self.api.url}", "token_file = credential:token", "rate = 1000/s",
            "burst = 1000",
            "[watch:landing]", f"directory = {DROP}", f"job_id = {machine.JOB}",
            f"path_map = {DROP} => /Volumes/landing",
            "settle = 200ms", more))

    def configure(self, more=""):
        self.m.write(INI, self.configuration(more))

    def set_up(self):
        """As an administrator does: the secret, for root alone; the configuration; what the unit must be told of it."""
        self.m.write(SECRET, TOKEN + "\n", mode=0o600)
        self.configure()
        self.m.write(DROP_IN, self.m.run("brickwatch", "check", "--print-dropin").stdout)
        self.m.run("systemctl", "daemon-reload")
        self.m.run("systemctl", "enable", "--now", "brickwatch")

    def drop(self, name=None, data="id,what\n1,one\n"):
        """A file of root's, closed by its writer. Gives its name."""
        self.number += 1
        name = name or f"file-{self.number}.csv"
        self.m.path(f"{DROP}/{name}").write_text(data, encoding="utf-8")
        return name

    def runs(self, name):
        remote = f"/Volumes/landing/{name}"
        with self.api.lock:
            return [r for r in self.api.runs if remote in str(r.parameters)]

    def wait_run(self, name, timeout=machine.TIMEOUT):
        machine.wait_for(lambda: self.runs(name), lambda: f"a run for {name}\n{self.m.journal()}", timeout)

    def check_once(self):
        """Every file that was dropped has had one run, and no file two."""
        with self.api.lock:
            seen = [str(r.parameters) for r in self.api.runs]
        assert len(seen) == len(set(seen)), seen
        assert not self.api.bugs

    def wait_healthy(self):
        def healthy():
            return self.m.run("brickwatch", "status", "--check", check=False).returncode == 0
        machine.wait_for(healthy, lambda: self.m.run("brickwatch", "status", "--check", check=False).stdout
                         + self.m.journal())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Called by pytest-xdist where there is one: a module's tests stay together."""
    from xdist.scheduler.loadfile import LoadFileScheduling
    return LoadFileScheduling(config, log)


@pytest.fixture
def bare():
    with machine.Machine() as m:
        yield m


@pytest.fixture(scope="module")
def service():
    """One for all tests of a module, which leave it running."""
    with machine.Machine() as m:
        m.install(machine.the_package("brickwatch_*.deb"))
        s = Service(m)
        s.start_api()
        try:
            s.set_up()
            yield s
        finally:
            s.api.stop()
