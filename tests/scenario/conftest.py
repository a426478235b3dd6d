"""Fixtures of the scenarios; what they are made of is in harness.py.

With pytest-xdist, tests go one by one to whoever is free: most of a scenario is waiting, and each has folders and ports
of its own. Only where a module's tests share one service they stay together.
"""

import os

import pytest

import harness


TOGETHER = ("test_matrix.py", "test_mixed.py", "test_proxy.py", "test_tls.py", "test_types.py", "test_uploaders.py")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than five seconds (run by default)")


def pytest_collection_modifyitems(items):
    """What takes long begins first, so that nobody waits for it at the end."""
    items.sort(key=lambda item: item.path.name not in TOGETHER and item.get_closest_marker("slow") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Called by pytest-xdist where there is one."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class OneByOne(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return file if file.rpartition("/")[2] in TOGETHER else nodeid

    return OneByOne(config, log)


def pytest_sessionstart(session):
    try:
        harness.find_program()
    except RuntimeError as missing:
        pytest.exit(str(missing), returncode=2)


class Makers:
    """Makes services, and ends them."""

    def __init__(self, folder):
        self.folder, self.made = folder, []

    def __call__(self, **options):
        """A harness.Service. The first takes the folder itself, further ones folders in it."""
        place = options.pop("folder", None) or (self.folder / f"s{len(self.made)}" if self.made else self.folder)
        place.mkdir(exist_ok=True)
        self.made.append(harness.Service(place, **options))
        return self.made[-1]

    def end(self):
        """Stops what runs; whatever happens, no process is left."""
        try:
            for one in self.made:
                if one.process is not None:
                    one.stop()
        finally:
            for one in self.made:
                one.clean_up()
        for one in self.made:
            one.check_manners()


@pytest.fixture
def systemd(folder):
    made = harness.Systemd(folder)
    yield made
    made.close()


@pytest.fixture
def folder():
    """A folder on a file system where leases work, removed afterwards."""
    path = harness.make_folder()
    yield path
    harness.remove(path)


@pytest.fixture
def in_memory(monkeypatch):
    """The test's folder lies in memory where that will do: for tests whose work is not to be the disk's."""
    if "BW_SCENARIO_DIR" not in os.environ and os.path.isdir("/dev/shm"):
        monkeypatch.setenv("BW_SCENARIO_DIR", "/dev/shm")


@pytest.fixture
def service(folder):
    """A function that makes services: service(settle="0", …). Afterwards they are stopped, which must end well."""
    makers = Makers(folder)
    yield makers
    makers.end()


@pytest.fixture(scope="module")
def module_service():
    """The same for all tests of a module."""
    path = harness.make_folder()
    makers = Makers(path)
    yield makers
    makers.end()
    harness.remove(path)
