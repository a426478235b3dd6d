"""A workspace that goes wrong: in one answer out of five, for a day, for one job, for the credential. What should wait
waits, what should go goes, and each file has one run."""

import random

import pytest

from faults import LONG, Preload, arrive, arrive_all, check_all, end, wait_all
from harness import JOB, put, text, wait_for
from jobsapi import Job

SHARE = 0.2
COUNT = 200 if LONG else 25
HALF_JSON = '{"run_id": 12345'
FAULTS = {
    "lost": ("lose", {}),  # the run was made, the answer never came
    "half": ("truncate", {"missing": 5}),  # likewise, cut off
    "reset": ("reset", {}),
    "s429": ("status", {"status": 429}),
    "s429-wait": ("status", {"status": 429, "retry_after": 1}),
    "s500": ("status", {"status": 500}),
    "s503": ("status", {"status": 503}),
    "html": ("html", {"status": 200}),
    "html-502": ("html", {"status": 502}),
    "half-json": ("answer", {"status": 200, "content": HALF_JSON}),
}


@pytest.mark.slow
@pytest.mark.timeout(1800 if LONG else 120)
def test_one_answer_in_five_is_spoiled(service):
    """Each kind for files of its own, all at the same time, retries included."""
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    print(f"seed {seed}")
    s = service(service={"durability": "power"}).start()
    faults = {name: s.api.fault(kind, path="run-now", body=f"/{name}-", times=None,
                                when=lambda request: dice.random() < SHARE, **options)
              for name, (kind, options) in FAULTS.items()}
    expected = {}
    for number in range(COUNT):
        for name in FAULTS:
            path = arrive(s, f"{name}-{number}.csv", way=dice.choice(("close", "rename", "link")))
            expected[path] = [text(f"{name}-{number}.csv")]
    wait_all(s, expected, timeout=100)
    s.api.clear_faults()
    end(s)
    assert all(fault.hits > 0 for fault in faults.values()), {n: f.hits for n, f in faults.items()}
    check_all(s, expected)
    bodies = {}
    for request in s.api.sent("run-now"):
        if request.run is not None:
            bodies.setdefault(request.run.run_id, set()).add(request.body)
    assert all(len(some) == 1 for some in bodies.values()), "a retry was another request"


@pytest.mark.slow
def test_a_day_without_the_workspace(service, folder):
    """The dispatcher's own clocks run through thirty hours, more than retry_for (24 h): nothing is given up."""
    preload = Preload(folder)
    s = service(environment=preload.environment).start()
    expected = arrive_all(s, "before", 3)
    wait_all(s, expected)
    s.api.stop()
    expected |= arrive_all(s, "during", 12)
    wait_for(lambda: "cannot be reached" in s.err(), "a word that the workspace cannot be reached")
    preload.sleep_fast(0.002)
    wait_for(lambda: preload.skipped_s > 30 * 3600, lambda: f"30 hours; {preload.skipped_s} s", timeout=60)
    expected |= arrive_all(s, "late", 3)
    assert s.events("start.failed") == []
    s.api.start()
    preload.sleep_fast(0.2)  # long enough for an answer, short enough to come to the next try
    wait_all(s, expected)
    preload.sleep_fast(0)
    end(s)
    check_all(s, expected)


@pytest.mark.slow
def test_hours_with_a_revoked_credential(service, folder):
    """Refused for hours, then another one is put into the file: all that waited goes, with its old request."""
    preload = Preload(folder)
    s = service(environment=preload.environment).start()
    expected = arrive_all(s, "before", 3)
    wait_all(s, expected)
    s.api.expire_tokens()
    expected |= arrive_all(s, "during", 6)
    wait_for(lambda: "refuses the credential" in s.err(), "a word about the credential")
    preload.sleep_fast(0.02)
    wait_for(lambda: preload.skipped_s > 3 * 3600, lambda: f"3 hours; {preload.skipped_s} s", timeout=60)
    assert s.events("start.failed") == []
    s.api.add_token("another-token-of-the-stand-in")
    s.token_file.write_text("another-token-of-the-stand-in\n")
    preload.sleep_fast(0.2)
    wait_all(s, expected)
    preload.sleep_fast(0)
    end(s)
    check_all(s, expected)


@pytest.mark.slow
def test_a_job_deleted_for_hours_and_restored(service, folder):
    """Its files wait and nobody else's; they go when it is back."""
    other = 99
    preload = Preload(folder)
    s = service(watches={"drop": {}, "second": {"job_id": other}}, environment=preload.environment)
    s.api.add_job(Job(other, ["path"]))
    s.start()
    with s.api.lock:
        del s.api.jobs[other]
    waiting = [s.folder / "second" / f"{n}.csv" for n in range(5)]
    for path in waiting:
        put(path, text(path.name))
    s.wait_event("job.suspended", watch="second", job_id=other)
    preload.sleep_fast(0.02)
    wait_for(lambda: preload.skipped_s > 3 * 3600, lambda: f"3 hours; {preload.skipped_s} s", timeout=60)
    preload.sleep_fast(0)
    expected = arrive_all(s, "others", 6)
    wait_all(s, expected)
    assert s.events("start.failed") == []
    assert not any(s.runs_of(path) for path in waiting)
    s.api.add_job(Job(other, ["path"]))
    preload.sleep_fast(0.2)
    expected |= {str(path): [text(path.name)] for path in waiting}
    wait_all(s, expected)
    preload.sleep_fast(0)
    end(s)
    check_all(s, expected)
    assert {run.job_id for run in s.api.runs} == {JOB, other}


@pytest.mark.slow
def test_what_can_never_succeed_goes(service, folder):
    """A file that the service answers with 503 again and again is given up after retry_for, once; the others go on."""
    preload = Preload(folder)
    s = service(workspace={"retry_for": "2h"}, environment=preload.environment).start()
    s.api.fault("status", status=503, path="run-now", body="bad.csv", times=None)
    bad = s.put("bad.csv")
    s.wait_event("start.retrying", path=bad)
    preload.sleep_fast(0.02)
    event = s.wait_event("start.failed", path=bad, timeout=60)[0]
    preload.sleep_fast(0)
    assert preload.skipped_s > 1.9 * 3600
    assert event["reason"] == "outcome_unknown" and event["attempts"] > 100
    good = arrive_all(s, "good", 3)
    wait_all(s, good)
    s.barrier()
    s.stop()
    assert len(s.events("start.failed")) == 1
    s.check_runs(good)
