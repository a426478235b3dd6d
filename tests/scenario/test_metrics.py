"""The metrics file: its format, what its numbers say, and when it is written."""

import json
import os
import re
import shutil
import subprocess
import time

import pytest

from harness import JOB, TIMEOUT, TOP, JobsApi, wait_for

RULES = TOP / "packaging" / "prometheus" / "brickwatch.rules.yml"
NAMES = re.findall(r'\bX\(\w+, "(brickwatch_\w+)",', (TOP / "include" / "core" / "metrics.h").read_text())
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9]+(?:\.[0-9]+)?)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def family_of(name, kinds):
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return base if kinds.get(base) == "histogram" else name


def parse(text):
    """{name: {labels: value}}, strictly as the exposition format has it: HELP and TYPE first, each family in one piece,
    no sample twice, histograms cumulative."""
    assert text.endswith("\n")
    found, kinds, order = {}, {}, []
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            assert line.split(" ")[2] not in kinds
        elif line.startswith("# TYPE "):
            name, kind = line.split(" ")[2:]
            assert kind in ("gauge", "counter", "histogram") and name in NAMES, line
            kinds[name] = kind
            order.append(name)
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert family_of(match[1], kinds) == order[-1], f"{line} is not of {order[-1]}"
            labels = tuple(LABEL.findall(match[2] or ""))
            assert labels not in found.setdefault(match[1], {}), line
            found[match[1]][labels] = float(match[3])
    for name, kind in kinds.items():
        if kind == "histogram":
            check_histogram(name, found)
    return found


def check_histogram(name, found):
    series = {}
    for labels, value in found.get(f"{name}_bucket", {}).items():
        series.setdefault(labels[:-1], []).append((float(labels[-1][1]), value))
    for labels, buckets in series.items():
        assert buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets)
        assert buckets[-1] == (float("inf"), found[f"{name}_count"][labels])
        assert labels in found[f"{name}_sum"]


def metrics(s):
    """None when there is no file."""
    try:
        return parse((s.folder / "bw.prom").read_text())
    except FileNotFoundError:
        return None


def value(s, name, **labels):
    found = metrics(s)
    return found and found.get(name, {}).get(tuple(labels.items()))


def serve(service, **keys):
    s = service(**keys)
    s.sections["service"]["metrics_file"] = s.folder / "bw.prom"
    s.write_configuration()
    return s


def ledger_counts(s):
    """{(watch, state): rows} as the files verb tells."""
    counts = {}
    for line in s.verb("files", "--json").out.splitlines():
        row = json.loads(line)
        if "path" in row:
            counts[row["watch"], row["state"]] = counts.get((row["watch"], row["state"]), 0) + 1
    return counts


def test_what_a_stopped_service_leaves(service):
    s = serve(service, watches={"orders": {"max_size": "100"}, "returns": {"paused": "yes"}}, types="@csv").start()
    began = time.time()
    for n in range(3):
        s.wait_run(s.put(f"{n}.csv"))
    s.put("large.csv", b"x,y\n" * 100)
    s.wait_event("file.rejected")
    (s.folder / "returns" / "a.csv").write_bytes(b"id,what\n1,x\n")
    wait_for(lambda: ledger_counts(s).get(("returns", "pending")), "the pending file")
    counts = ledger_counts(s)
    s.stop()
    found = metrics(s)
    assert counts == {("orders", "started"): 3, ("orders", "rejected"): 1, ("returns", "pending"): 1}
    kept = {tuple(v for _, v in labels): n for labels, n in found["brickwatch_files"].items() if n}
    assert kept == counts
    assert found["brickwatch_running"][()] == 0 and found["brickwatch_ledger_up"][()] == 1
    assert found["brickwatch_runs_started_total"][()] == 3 and found["brickwatch_starts_failed_total"][()] == 0
    orders, returns = (("watch", "orders"),), (("watch", "returns"),)
    assert found["brickwatch_start_latency_seconds_count"] == {orders: 3, returns: 0}
    assert 0 < found["brickwatch_start_latency_seconds_sum"][orders] < TIMEOUT
    assert found["brickwatch_watch_paused"] == {orders: 0, returns: 1}
    assert found["brickwatch_job_up"] == {orders: 1, returns: 1}
    host = s.api.url.removeprefix("http://")  # of the workspace that has no name
    assert found["brickwatch_workspace_up"] == {(("workspace", host),): 1}
    for name, where in (("oldest_pending", returns), ("last_file", orders), ("last_listing", orders)):
        assert began - 5 < found[f"brickwatch_{name}_timestamp_seconds"][where] < time.time(), name
    assert orders not in found["brickwatch_oldest_pending_timestamp_seconds"]
    changed = found["brickwatch_credential_changed_timestamp_seconds"]
    assert list(changed.values()) == [pytest.approx(s.token_file.stat().st_mtime, abs=1e-5)]
    assert os.stat(s.folder / "bw.prom").st_mode & 0o777 == 0o644
    assert [n for n in os.listdir(s.folder) if n.startswith(".bw.prom")] == []


def test_a_running_service_writes_at_most_every_15_seconds(service):
    s = serve(service, watches={"drop": {}})
    s.api.fault("status", status=403, path="run-now", times=1000)
    s.start()
    first = wait_for(lambda: (metrics(s) or {}).get("brickwatch_running") and time.monotonic(), "the first file")
    assert value(s, "brickwatch_running") == 1
    for n in range(5):
        s.put(f"{n}.csv")
    s.wait_event("job.suspended")
    shown = s.folder / "bw.prom"
    inode = shown.stat().st_ino
    wait_for(lambda: value(s, "brickwatch_job_up", watch="drop") == 0, "job_up is 0", timeout=40)
    assert time.monotonic() - first > 13 and shown.stat().st_ino != inode
    assert value(s, "brickwatch_files", watch="drop", state="pending") == 5
    assert value(s, "brickwatch_watch_up", watch="drop") == 1
    s.stop(status=0)


def test_numbers_of_a_ledger_that_was_there(service):
    s = serve(service, watches={"drop": {}}).start()
    for n in range(20):
        s.put(f"{n}.csv")
    s.wait_runs(20)
    s.wait_event("run.started", 20)
    s.stop()
    os.unlink(s.folder / "bw.prom")
    s.start()
    s.stop()
    assert value(s, "brickwatch_files", watch="drop", state="started") == 20
    assert value(s, "brickwatch_last_file_timestamp_seconds", watch="drop") > 0


def test_a_file_that_is_open_is_unsettled(service):
    s = serve(service).start()
    with open(s.drop / "open.csv", "wb") as file:
        file.write(b"a,b\n")
        file.flush()
        wait_for(lambda: json.loads([line for line in s.verb("status", "--json").out.splitlines()
                                     if '"kind":"watch"' in line][0])["waiting"] == 1, "it waits")
        s.stop()
    assert value(s, "brickwatch_files_unsettled", watch="drop") == 1


@pytest.mark.parametrize("name", ["other.prom", "elsewhere/other.prom"])
def test_a_reload_moves_the_file(service, name):
    """By this dispatcher, or the next one, which may write into the other folder."""
    s = serve(service).start()
    wait_for(lambda: metrics(s), "the first file")
    other = s.folder / name
    other.parent.mkdir(exist_ok=True)
    s.sections["service"]["metrics_file"] = other
    s.write_configuration()
    assert s.verb("reload").status == 0
    wait_for(other.exists, "the other file", timeout=40)
    assert not (s.folder / "bw.prom").exists()
    s.stop()


def test_a_folder_that_is_missing_is_said_and_holds_nothing_up(service):
    s = serve(service)
    s.sections["service"]["metrics_file"] = s.folder / "none" / "bw.prom"
    s.write_configuration()
    s.start()
    s.wait_run(s.put("a.csv"))
    s.stop()
    assert s.err().count("none/bw.prom") == 1, s.err()


def test_a_token_of_its_own_has_an_end(service):
    api = JobsApi({JOB: ["path"]}, clients={"metrics-client": "metrics-secret"})
    s = serve(service, api=api)
    secret = s.folder / "etc" / "secret"
    secret.touch(0o600)
    secret.write_text("metrics-secret\n")
    s.sections["workspace"].update(token_file=None, client_id="metrics-client", client_secret_file=secret)
    s.write_configuration()
    s.start()
    s.wait_run(s.put("a.csv"))
    s.stop()
    found = metrics(s)["brickwatch_token_expiry_timestamp_seconds"]
    assert [time.time() < end < time.time() + 7200 for end in found.values()] == [True]


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here")
def test_promtool_agrees(service):
    s = serve(service).start()
    s.wait_run(s.put("a.csv"))
    s.stop()
    with open(s.folder / "bw.prom", "rb") as file:
        done = subprocess.run(["promtool", "check", "metrics"], stdin=file, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, timeout=60)
    assert done.returncode == 0 and done.stdout == b"", done
    assert subprocess.run(["promtool", "check", "rules", RULES], stdout=subprocess.PIPE, check=False,
                          timeout=60).returncode == 0
