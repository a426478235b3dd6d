"""The configuration is changed in every way that could touch the token, while rows of every kind are there: no version
runs twice, and what waits goes."""

import os

import pytest

import harness
from harness import JOB, REMOTE, put, text, wait_for
from test_reconciliation import rows

OTHER_JOB = 77


def map_elsewhere(s):
    s.watches["drop"]["path_map"] = f"{s.drop} => {REMOTE}/elsewhere"


def other_job(s):
    s.watches["drop"]["job_id"] = OTHER_JOB


def other_host(s):
    s.sections["workspace"]["host"] = s.api.url.replace("127.0.0.1", "localhost")


def other_rules(s):
    s.watches["drop"].update({"types": "@json", "exclude": "*.tmp"})


def other_version(s):
    s.watches["drop"]["version"] = "size"


def without_the_watch(s):
    del s.watches["drop"]


CHANGES = {"path_map": map_elsewhere, "job": other_job, "host": other_host, "rules": other_rules,
           "version": other_version, "watch removed": without_the_watch}


class Rows:
    """One service with a started, a failed, a rejected, a waiting row, and one whose run exists and whose answer was
    lost."""

    def __init__(self, service):
        api = harness.JobsApi({JOB: ["path"], OTHER_JOB: ["path"]})
        self.s = s = service(watches={"drop": {"types": "@csv"}, "other": {}}, api=api)
        s.path_of = lambda uri: str(s.folder / ("other" if "/other/" in uri else "drop") / os.path.basename(uri))
        s.start()
        s.api.fault("status", status=400, path="run-now", body="failed.csv", times=1)
        s.api.fault("truncate", path="run-now", body="lost.csv", times=1)
        s.api.fault("status", status=503, path="run-now", body="lost.csv", times=None)
        self.started, self.failed = s.put("started.csv"), s.put("failed.csv")
        self.rejected, self.lost = s.put("rejected.csv", b"\x7fELF" + bytes(100)), s.put("lost.csv")
        s.wait_run(self.started)
        s.wait_event("start.failed", path=self.failed)
        s.wait_event("file.rejected", path=self.rejected)
        s.wait_run(self.lost)
        wait_for(lambda: len(s.api.sent("run-now", status=503)) >= 1, "a second try")
        assert s.verb("pause", "drop").status == 0
        self.waiting = s.put("waiting.csv")
        wait_for(lambda: ("waiting.csv", "pending", "") in rows(s, where="sent = 0"), "a row that waits")

    def configure(self, how):
        """The written configuration becomes the running one."""
        s = self.s
        s.write_configuration()
        if how == "reload":
            done = s.verb("reload")
            assert done.status == 0, done
        else:
            s.stop()
            s.start()

    def go(self):
        """Nothing keeps them any more."""
        self.s.api.clear_faults()
        if "drop" in self.s.watches:
            assert self.s.verb("resume", "drop").status == 0

    def settle(self):
        """All that is due has been done."""
        s = self.s
        assert s.verb("rescan").status == 0
        for name, keys in s.watches.items():
            last, data = ("last.json", b'{"a": 1}\n') if keys.get("types") == "@json" else ("last.csv", text("last"))
            path = s.folder / name / f"{s.started}-{last}"
            put(path, data)
            wait_for(lambda path=path: s.runs_of(path), lambda: f"the run of {path}\n{s.err()[-3000:]}")

    def check(self, once, never):
        s = self.s
        for path in once:
            s.wait_event("run.started", path=path)
        self.settle()
        s.stop()
        found = {path: len(s.runs_of(path)) for path in [*once, *never]}
        assert found == {**dict.fromkeys(once, 1), **dict.fromkeys(never, 0)}


@pytest.mark.parametrize("how", ["restart", "reload"])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_and_changed_back(service, change, how):
    r = Rows(service)
    watches, sections = dict(r.s.watches), {k: dict(v) for k, v in r.s.sections.items()}
    watches["drop"] = dict(watches["drop"])
    CHANGES[change](r.s)
    r.configure(how)
    put(r.s.folder / "other" / "meanwhile.csv", text("meanwhile"))
    r.s.wait_run(r.s.folder / "other" / "meanwhile.csv")
    r.s.watches, r.s.sections = watches, sections
    r.configure(how)
    r.go()
    r.check(once=[r.started, r.lost, r.waiting], never=[r.failed, r.rejected])


@pytest.mark.parametrize("how", ["restart", "reload"])
@pytest.mark.parametrize("change", ["path_map", "job", "rules", "version"])
def test_changed_for_good(service, change, how):
    """What waits goes by the new configuration, what may have been sent as it was; a dead letter when asked for."""
    r = Rows(service)
    CHANGES[change](r.s)
    r.configure(how)
    r.go()
    r.s.wait_run(r.waiting)
    assert r.s.verb("retry", r.failed).status == 0
    r.check(once=[r.started, r.lost, r.waiting, r.failed], never=[r.rejected])


@pytest.mark.parametrize("how", ["restart", "reload"])
def test_another_host_for_good(service, how):
    """What may have been sent to the old host can only be asked for there, so it waits for that; the rest goes to the
    new one."""
    r = Rows(service)
    other_host(r.s)
    r.configure(how)
    r.go()
    r.s.wait_run(r.waiting)
    r.check(once=[r.started, r.waiting], never=[r.failed, r.rejected])
    assert len(r.s.runs_of(r.lost)) == 1 and not r.s.events("run.started", path=r.lost)
    r.s.sections["workspace"].pop("host")
    r.s.write_configuration()
    r.s.start()
    r.check(once=[r.started, r.waiting, r.lost], never=[r.failed, r.rejected])


def test_rules_that_take_what_was_rejected(service):
    """It is held, and released once."""
    r = Rows(service)
    r.s.watches["drop"]["types"] = None
    r.configure("reload")
    r.go()
    wait_for(lambda: ("rejected.csv", "held", "rules_changed") in rows(r.s), lambda: f"{rows(r.s)}")
    done = r.s.verb("release", r.rejected)
    assert done.status == 0, done
    r.check(once=[r.started, r.lost, r.waiting, r.rejected], never=[r.failed])
