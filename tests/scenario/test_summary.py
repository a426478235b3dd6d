"""`brickwatch events --summary`: files, runs, failures and latency by watch and local day."""

import gzip
import json
import os
import re
import subprocess
import sys

import pytest

from harness import TIMEOUT, TOP, put, text
from test_terminal import on_terminal

COUNTS = ("files", "runs", "failed", "rejected", "skipped", "vanished", "superseded")
SUMMARY_RECENT = int(re.search(r"define SUMMARY_RECENT (\d+)", (TOP / "include/core/summary.h").read_text("utf-8"))[1])


def summary(s, *words):
    """{(day, watch): row} and the total."""
    done = s.verb("events", "--summary", "--json", *words)
    assert done.status == 0 and done.err == "", done
    *rows, last = map(json.loads, done.out.splitlines())
    return {(r.pop("day"), r.pop("watch")): r for r in rows}, last["total"]


def row(p50=None, p95=None, **counts):
    return {**dict.fromkeys(COUNTS, 0), **counts, "latency_p50_ms": p50, "latency_p95_ms": p95}


def line(time, kind="run.started", watch="a", number=0, **fields):
    """A line of the log, as far as a summary looks at it."""
    event = {"time": time, "type": kind, "id": f"{number:032x}", "host": "h", "watch": watch, "path": f"/in/{number}",
             "size": 1, "mtime": time, **fields}
    return json.dumps(event) + "\n"


@pytest.fixture(name="of")
def _of(service):
    """A service that never runs, and its log: of({name of the file: [lines]})."""
    s = service(environment={"TZ": "XST-13"})  # 13 hours before UTC, so that the local day is mostly another

    def of(files):
        for name, lines in files.items():
            data = "".join(lines).encode()
            (s.log.parent / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return s
    return of


def test_a_service(service):
    """What happened, against the ledger."""
    s = service(watches={"drop": {"types": "@csv"}, "other": {"min_size": "10"}}).start()
    for n in range(30):
        s.put(f"{n}.csv")
    s.put("page.html", b"<!DOCTYPE html><html><body>x</body></html>\n")
    put(s.folder / "other" / "a.csv", text("a"))
    put(s.folder / "other" / "small.csv", b"x\n")
    s.wait_event("file.rejected", 2)
    s.wait_event("run.started", 31)
    old = s.put("0.csv", text("newer"))  # a second version
    s.wait_run(old, 2)
    s.wait_event("run.started", 32)
    s.stop()
    rows, total = summary(s)
    assert {k: total[k] for k in COUNTS} == {**dict.fromkeys(COUNTS, 0), "files": 34, "runs": 32, "rejected": 2}
    assert total["repeated"] == 0
    by_watch = {}
    for (_, watch), one in rows.items():
        for key in COUNTS:
            by_watch[watch, key] = by_watch.get((watch, key), 0) + one[key]
    assert [by_watch["drop", k] for k in ("files", "runs", "rejected")] == [32, 31, 1]
    assert [by_watch["other", k] for k in ("files", "runs", "rejected")] == [2, 1, 1]
    latencies = sorted(e["latency_ms"] for e in s.events("run.started"))
    for key, rank in (("latency_p50_ms", 16), ("latency_p95_ms", 31)):
        assert abs(total[key] - latencies[rank - 1]) <= latencies[rank - 1] / 128
    ledger = [json.loads(x) for x in s.verb("files", "--json").out.splitlines()][-1]["totals"]
    assert ledger["started"] == total["runs"] and ledger["rejected"] == total["rejected"]
    table = s.verb("events", "--summary").out.splitlines()
    assert table[0].split() == ["day", "watch", "files", "runs", "failed", "rejected", "p50", "p95"]
    assert table[-1].split()[:5] == ["all", "34", "32", "0", "2"]


def test_days_are_local(of):
    """As in `files --day`."""
    s = of({"events.jsonl": [line("2026-03-01T10:59:59.999999Z", number=1, latency_ms=5),
                             line("2026-03-01T11:00:00.000000Z", number=2, latency_ms=7)]})
    rows, total = summary(s)
    assert rows == {("2026-03-01", "a"): row(5, 5, files=1, runs=1), ("2026-03-02", "a"): row(7, 7, files=1, runs=1)}
    assert total == {**row(5, 7, files=2, runs=2), "repeated": 0}
    assert list(summary(s, "--since", "2026-03-02")[0]) == [("2026-03-02", "a")]
    assert list(summary(s, "--until", "2026-03-02")[0]) == [("2026-03-01", "a")]


def test_latency(of):
    """Exact up to 127 ms, then within one part in 128; a run that took long does not get lost."""
    quick = [line("2026-03-01T00:00:00.000000Z", number=n, latency_ms=n) for n in range(1, 101)]
    slow = [line("2026-03-01T00:00:00.000000Z", watch="b", number=n, latency_ms=1000 * n) for n in range(1000, 1100)]
    s = of({"events.jsonl": quick + slow})
    rows = summary(s)[0]
    assert (rows["2026-03-01", "a"]["latency_p50_ms"], rows["2026-03-01", "a"]["latency_p95_ms"]) == (50, 95)
    for key, true in (("latency_p50_ms", 1049_000), ("latency_p95_ms", 1094_000)):
        assert abs(rows["2026-03-01", "b"][key] - true) <= true / 128
    assert summary(s, "/in/1???")[1]["runs"] == 100


def test_over_files_and_repeats(of):
    """Rotated files, compressed and not, count once each, and so does a line that a crash has left twice."""
    lines = [line(f"2026-03-01T00:00:{n:02}.000000Z", number=n, latency_ms=1) for n in range(40)]
    s = of({"events.jsonl.20260301T000010Z.gz": lines[:10], "events.jsonl.20260301T000020Z.gz": lines[10:20],
            "events.jsonl.20260301T000030Z.gz": lines[20:25], "events.jsonl.20260301T000030Z": lines[20:30],
            "events.jsonl": lines[29:]})
    rows, total = summary(s)
    assert rows == {("2026-03-01", "a"): row(1, 1, files=40, runs=40)}
    assert total["repeated"] == 1
    done = s.verb("events", "--summary")
    assert done.status == 0 and "1 line came again with the same id and is not counted twice" in done.err, done


def test_every_outcome(of):
    kinds = ("run.started", "start.failed", "file.rejected", "run.skipped", "file.vanished", "file.superseded",
             "start.retrying", "file.waiting", "watch.ready")
    s = of({"events.jsonl": [line("2026-03-01T00:00:00.000000Z", kind, number=n) for n, kind in enumerate(kinds)]})
    assert summary(s)[0] == {("2026-03-01", "a"): row(files=6, runs=1, failed=1, rejected=1, skipped=1, vanished=1,
                                                      superseded=1)}
    assert s.verb("events", "--summary").out.splitlines()[0].split() == ["day", "watch", *COUNTS, "p50", "p95"]


def test_nothing(of):
    s = of({"events.jsonl": []})
    assert summary(s) == ({}, {**row(), "repeated": 0})
    assert s.verb("events", "--summary").out.splitlines()[1].split() == ["all", "0", "0", "0", "-", "-"]


def test_what_cannot_be_read_is_said(of):
    """The rest is counted, and the exit status tells."""
    s = of({"events.jsonl": ["{broken\n", line("yesterday"), line("2026-03-01T00:00:00.000000Z", number=1)]})
    done = s.verb("events", "--summary", "--json")
    assert done.status == 1 and "not JSON" in done.err and "a time that can be read; not counted" in done.err, done
    assert json.loads(done.out.splitlines()[-1])["total"]["runs"] == 1


@pytest.mark.parametrize("columns", [64, 80])
def test_the_table_fits_the_terminal(of, columns):
    names = ["orders", "a-watch-with-a-very-long-name-of-many-words", "\u65e5\u672c"]
    s = of({"events.jsonl": [line("2026-03-01T00:00:00.000000Z", watch=name, number=n, latency_ms=n)
                             for n, name in enumerate(names * 3)]})
    status, shown = on_terminal(s, columns, "events", "--summary")
    assert status == 0
    for one in shown.splitlines():
        assert sum(2 if ord(c) >= 0x2e80 else 1 for c in one) <= columns, one
    assert "orders" in shown and "p95" in shown and "\u2026" in shown
    assert names[1] in s.verb("events", "--summary").out


def test_it_does_not_follow(of):
    done = of({"events.jsonl": []}).verb("events", "--summary", "-f")
    assert done.status == 2 and "--follow" in done.err, done


def peak_kib(s, *words):
    """The most memory that the verb had. Measured by a small process between, since a child begins with what its parent
    had."""
    script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", script, s.program, words[0], "-c", s.ini, *words[1:]], check=True,
                          stdout=subprocess.PIPE, timeout=4 * TIMEOUT)
    *_, total, peak = done.stdout.splitlines()
    return json.loads(total)["total"]["runs"], int(peak)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_log(of):
    """What is remembered of ids and files has a bound: all that this log holds would not go into it."""
    if "ASAN_OPTIONS" in os.environ:
        pytest.skip("the checking tool's own memory")
    count = 2 * SUMMARY_RECENT
    s = of({"events.jsonl": [line("2026-03-01T00:00:00.000000Z", number=n, latency_ms=n) for n in range(count)]})
    runs, peak = peak_kib(s, "events", "--summary", "--json")
    assert runs == count
    assert peak < 32 * 1024
