"""verify = yes: a file whose end is missing is not complete. It waits, is shown waiting, and runs once when its end is
there; it is never rejected."""

import gzip
import io
import json
import os
import resource
import struct
import time
import zipfile

import pytest

from harness import put, rename_flags, text, wait_for
from mounts import Bindfs, can_mount

BODY = text("a line of some length to be packed", 3000)
END = {"gz": "gzip: the end of the stream is missing", "zip": "zip: the record at the end of the archive is missing",
       "parquet": "Parquet: the footer at the end is missing", "orc": "ORC: the postscript at the end is missing"}
NOT_POSSIBLE = pytest.mark.skipif(not can_mount(), reason="needs root and /dev/fuse")


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in members.items():
            z.writestr(name, data)
    return file.getvalue()


def parquet(rows=b"\x15\x04\x15" + BODY, footer=b"\x15\x02" + b"columns" * 9):
    return b"PAR1" + rows + footer + struct.pack("<I", len(footer)) + b"PAR1"


def orc(footer=b"f" * 40):
    postscript = bytes([8, len(footer), 16, 1]) + b"\x82\xf4\x03\x03ORC"
    return b"ORC\n\x04\x00\x01" + BODY + footer + postscript + bytes([len(postscript)])


WHOLE = {"gz": gzip.compress(BODY), "zip": archive(a=BODY, b=BODY[::-1]), "parquet": parquet(), "orc": orc()}


def append(path, data):
    with open(path, "ab") as file:
        file.write(data)


def waiting(s, path):
    """What the file waits for, in words; None when it does not."""
    done = s.verb("files", "--json", "--state", "waiting")
    found = [json.loads(line) for line in done.out.splitlines()]
    return next((f["waiting_for"] for f in found if f.get("path") == str(path)), None)


def wait_missing(s, path, words):
    return wait_for(lambda: (waiting(s, path) or "").startswith(words) and waiting(s, path),
                    lambda: f"{path} to wait for {words!r}: {waiting(s, path)!r}\n{s.err()[-2000:]}")


# --- a queue of files to unpack ---------------------------------------------------------------------------------------

def test_without_descriptors_nothing_falls_out_of_the_queue(service):
    """Two files that take their time; when it is the second one's turn, nothing can be opened."""
    s = service(verify="yes", rescan="7d").start()
    pid = s.pid("bw-watch")
    content = gzip.compress(bytes(64 << 20)) * 24  # 1.5 GiB of zeros
    paths = [s.drop / f"{n}.gz" for n in range(2)]
    for path in paths:
        put(path, content)
        wait_missing(s, path, "its being unpacked")
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, before[1]))
    s.wait_event("watch.degraded")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    for path in paths:
        s.wait_run(path)
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))


# --- in two steps ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", WHOLE)
def test_the_rest_comes_later(service, kind):
    """Both halves are written and closed: without the check the first one would have been started."""
    s = service(verify="yes").start()
    whole, path = WHOLE[kind], s.drop / f"a.{kind}"
    put(path, whole[:len(whole) // 2])
    assert " since " in wait_missing(s, path, END[kind])
    s.barrier(thorough=True)
    append(path, whole[len(whole) // 2:-1])
    s.barrier(thorough=True)
    wait_missing(s, path, END[kind])
    append(path, whole[-1:])
    s.wait_run(path)
    s.barrier()
    s.stop()
    s.check_runs({path: [whole]})
    assert s.events("file.rejected") == [] and s.events("start.failed") == []


@NOT_POSSIBLE
@pytest.mark.parametrize("kind", WHOLE)
def test_the_rest_comes_later_on_a_mount(service, kind):
    """No event tells of the second half: the watcher looks again by itself."""
    s = service(verify="yes", poll_interval="300ms", settle="500ms", rescan="10m")
    low = s.folder / "low"
    mount = Bindfs(low, s.drop)
    s.backing[s.drop] = low
    try:
        s.start()
        whole, path = WHOLE[kind], s.drop / f"a.{kind}"
        put(low / path.name, whole[:len(whole) // 2])
        wait_missing(s, path, END[kind])
        s.barrier(folder=None)
        append(low / path.name, whole[len(whole) // 2:])
        s.wait_run(path)
        s.barrier()
        s.stop()
        s.check_runs({path: [whole]})
        assert s.events("file.rejected") == []
    finally:
        mount.close()


def test_a_torn_file_is_not_rejected_by_type(service):
    """Of a Parquet file that is being written only the first mark is there: it is no @parquet yet."""
    s = service(verify="yes", types="@parquet, @orc, @gzip, @zip", include=["*.parquet", "barrier-*"]).start()
    path = s.drop / "a.parquet"
    put(path, parquet()[:-1])
    wait_missing(s, path, END["parquet"])
    append(path, b"1")
    s.wait_run(path)
    s.stop()
    s.check_runs({path: [parquet()]})
    assert s.events("file.rejected") == []


def test_replaced_by_a_whole_one(service):
    s = service(verify="yes").start()
    path = s.drop / "a.gz"
    put(path, WHOLE["gz"][:-1])
    wait_missing(s, path, END["gz"])
    put(s.outside / "whole", WHOLE["gz"])
    os.rename(s.outside / "whole", path)
    s.wait_run(path)
    s.stop()
    s.check_runs({path: [WHOLE["gz"]]})


def test_exchanged_with_a_torn_one(service):
    """What was found out about a name does not count for what comes under it; the whole one is known, and is moved."""
    s = service(verify="yes").start()
    torn, other = s.drop / "torn.gz", s.drop / "other.gz"
    data = [gzip.compress(BODY + bytes([n]), mtime=0) for n in range(2)]
    put(torn, data[0][:-1])
    wait_missing(s, torn, END["gz"])
    put(other, data[1])
    s.wait_run(other)
    rename_flags(torn, other, 2)
    wait_missing(s, other, END["gz"])
    wait_for(lambda: waiting(s, torn) is None, "the end of its waiting")
    append(other, data[0][-1:])
    s.wait_run(other, 2)
    s.stop()
    s.check_runs({other: [data[1], data[0]]})


def test_of_full_size_from_the_start(service):
    """What is preallocated ends with zeros, and is filled without changing its size."""
    s = service(verify="yes").start()
    path = s.drop / "a.gz"
    whole = WHOLE["gz"]
    put(path, whole[:100] + bytes(len(whole) - 100))
    wait_missing(s, path, "gzip: the stream is damaged before its end, or not all of it is written yet")
    put(path, whole)
    s.wait_run(path)
    s.stop()
    s.check_runs({path: [whole]})


# --- what is not held back -------------------------------------------------------------------------------------------

def test_what_cannot_be_judged_runs(service):
    s = service(verify="yes").start()
    files = {"a.csv": text("a"), "sfx.zip": b"#!/bin/sh\n" + WHOLE["zip"][:-1], "PARENT.csv": b"PARENT,CHILD\n1,2\n",
             "half.json": b'{"a": [1, 2', "a.avro": b"Obj\x01\x04", "a.csv.gz": text("no gzip at all")}
    for name, data in files.items():
        put(s.drop / name, data)
    for name in files:
        s.wait_run(s.drop / name)
    s.stop()
    s.check_runs({s.drop / name: [data] for name, data in files.items()})


def test_without_verify_a_torn_file_runs(service):
    s = service().start()
    path = s.drop / "a.gz"
    put(path, WHOLE["gz"][:-1])
    s.wait_run(path)
    s.stop()
    s.check_runs({path: [WHOLE["gz"][:-1]]})


def test_too_small_is_still_turned_away(service):
    s = service(verify="yes", min_size="1MiB").start()
    path = s.drop / "a.gz"
    put(path, WHOLE["gz"][:-1])
    s.wait_event("file.rejected", rule="min_size")
    s.stop()
    s.check_runs({})


# --- shown -----------------------------------------------------------------------------------------------------------

def test_shown_and_overdue(service):
    s = service(verify="yes", overdue="1s", types="@gzip, @csv").start()
    path = s.drop / "a.gz"
    put(path, WHOLE["gz"][:-1])
    event = s.wait_event("file.waiting", path=str(path))[0]
    assert event["waiting_for"].startswith(END["gz"] + ", since "), event
    explained = s.verb("explain", path).out
    assert END["gz"] in explained and "starts job" in explained, explained
    assert "unpacking all of it tells" in explained
    other = s.drop / "a.parquet"
    put(other, parquet()[:-1])
    wait_missing(s, other, END["parquet"])
    explained = s.verb("explain", other).out
    assert f"{END['parquet']}: it waits until that is there" in explained and "turned away" not in explained, explained
    append(path, WHOLE["gz"][-1:])
    s.wait_run(path)
    explained = s.verb("explain", path).out
    assert "started already" in explained, explained
    s.stop()
    s.check_runs({path: [WHOLE["gz"]]})


def test_explained_without_a_service(service):
    s = service(verify="yes")
    for name, data, words in (("a.zip", WHOLE["zip"], "zip: its end is there"),
                              ("b.zip", WHOLE["zip"][:-1], END["zip"]),
                              ("c.gz", WHOLE["gz"], "unpacking all of it tells"),
                              ("d.csv", text("d"), "not judged")):
        put(s.drop / name, data)
        done = s.verb("explain", s.drop / name)
        assert words in done.out, done


def test_since_when_is_kept(service):
    """Looked at again by each listing, it still says since when."""
    s = service(verify="yes", rescan="1s").start()
    path = s.drop / "a.gz"
    put(path, WHOLE["gz"][:-1])
    began = time.monotonic()
    wait_missing(s, path, END["gz"])
    s.wait_listings()
    least = int(time.monotonic() - began) - 1
    words = waiting(s, path)
    assert words.startswith(END["gz"]) and float(words.rpartition("since ")[2].split("s")[0]) >= least > 0, words
    s.stop()
    s.check_runs({})


# --- over time -------------------------------------------------------------------------------------------------------

def test_over_a_restart(service):
    s = service(verify="yes").start()
    path = s.drop / "a.zip"
    whole = WHOLE["zip"]
    put(path, whole[:-1])
    wait_missing(s, path, END["zip"])
    s.stop()
    s.start()
    wait_missing(s, path, END["zip"])
    s.kill("bw-watch")
    wait_missing(s, path, END["zip"])
    append(path, whole[-1:])
    s.wait_run(path)
    s.stop()
    s.check_runs({path: [whole]})


def test_written_where_no_event_tells(service):
    """Through a link from outside: a listing shows it."""
    s = service(verify="yes", rescan="1s").start()
    source, path = s.outside / "a.gz", s.drop / "a.gz"
    put(source, WHOLE["gz"][:-1])
    os.link(source, path)
    wait_missing(s, path, END["gz"])
    append(source, WHOLE["gz"][-1:])
    s.wait_run(path)
    s.stop()
    s.check_runs({path: [WHOLE["gz"]]})


def test_neither_size_nor_time_changes(service):
    """A listing looks again at what is in it, too."""
    s = service(verify="yes", rescan="1s").start()
    source, path = s.outside / "a.parquet", s.drop / "a.parquet"
    put(source, parquet()[:-1] + b"2")
    os.link(source, path)
    wait_missing(s, path, END["parquet"])
    times = os.stat(source)
    with open(source, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"1")
        file.flush()
        os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    s.wait_run(path)
    s.stop()
    s.check_runs({path: [parquet()]})


def test_gone_while_it_waits(service):
    s = service(verify="yes", overdue="1s").start()
    path = s.drop / "a.gz"
    put(path, WHOLE["gz"][:-1])
    s.wait_event("file.waiting", path=str(path))
    os.unlink(path)
    s.wait_event("file.vanished", path=str(path))
    s.barrier()
    s.stop()
    s.check_runs({})


def test_scan_leaves_it_alone(service):
    s = service(verify="yes", settle="1s")
    torn, whole = s.drop / "torn.gz", s.drop / "whole.gz"
    put(torn, WHOLE["gz"][:-1])
    put(whole, WHOLE["gz"])
    done = s.verb("scan", "--wait", "30s")
    assert "1 file is without an end and is left alone" in done.err, done
    s.check_runs({whole: [WHOLE["gz"]]})


# --- unpacking -------------------------------------------------------------------------------------------------------

def slow_to_unpack(times, sound=True):
    """Some 0.1 s of processor time for each time."""
    data = gzip.compress(bytes(100 << 20), 1) * times
    return data if sound else data[:-1]


def test_unpacking_holds_up_nobody(service):
    """Neither types of other files nor their runs; and nothing of it is left afterwards."""
    s = service(verify="yes", types="@csv, @gzip").start()
    large, behind = s.drop / "large.gz", [s.drop / f"{n}.csv" for n in range(20)]
    put(large, slow_to_unpack(20))
    wait_for(lambda: len(s.pids("bw-sniff")) == 2, "a sniffer that unpacks")
    for path in behind:
        put(path, text(path.name))
        s.wait_run(path)
    assert s.runs_of(large) == [], "it was not slow enough to tell"
    s.wait_run(large)
    wait_for(lambda: len(s.pids("bw-sniff")) == 1, "the end of the sniffer that unpacks")
    s.stop()
    s.check_runs({large: 1, **dict.fromkeys(behind, 1)})


def test_many_in_turn(service):
    s = service(verify="yes").start()
    files = {s.drop / f"{n}.gz": gzip.compress(BODY + str(n).encode()) for n in range(200)}
    for path, data in files.items():
        put(path, data if int(path.stem) % 2 else data[:-9])
    for path in files:
        if int(path.stem) % 2:
            s.wait_run(path)
    for path, data in files.items():
        if int(path.stem) % 2 == 0:
            wait_missing(s, path, END["gz"]) if path.stem in ("0", "198") else None
            append(path, data[-9:])
    for path in files:
        s.wait_run(path)
    wait_for(lambda: not s.pids("bw-sniff"), "the end of the sniffer")
    s.stop()
    s.check_runs({path: [data] for path, data in files.items()})


@pytest.mark.parametrize("times", [1, 2])
def test_the_sniffer_dies_while_it_unpacks(service, times):
    """It is asked once more. Whom it dies of twice cannot be judged, and is not held back."""
    s = service(verify="yes").start()
    large, killed = s.drop / "large.gz", set()
    put(large, slow_to_unpack(15, sound=times == 1))
    while len(killed) < times:
        pid = wait_for(lambda: [p for p in s.pids("bw-sniff") if p not in killed and reads(p, large)], "unpacking")[0]
        os.kill(pid, 9)
        killed.add(pid)
    s.wait_run(large)
    assert ("cannot be told" in s.err()) == (times == 2), s.err()
    s.stop()
    s.check_runs({large: 1})


def reads(pid, path):
    """Has this process the file open?"""
    try:
        return any(os.readlink(f"/proc/{pid}/fd/{fd}") == str(path) for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def test_gone_while_it_is_unpacked(service):
    s = service(verify="yes").start()
    large, other = s.drop / "large.gz", s.drop / "other.gz"
    put(large, slow_to_unpack(500))
    wait_for(lambda: any(reads(p, large) for p in s.pids("bw-sniff")), "unpacking")
    os.unlink(large)
    put(other, WHOLE["gz"])
    s.wait_run(other)
    s.stop()
    s.check_runs({other: [WHOLE["gz"]]})


def test_stop_while_it_unpacks(service):
    s = service(verify="yes").start()
    large = s.drop / "large.gz"
    put(large, slow_to_unpack(500))
    wait_for(lambda: any(reads(p, large) for p in s.pids("bw-sniff")), "unpacking")
    s.stop(timeout=5)
    s.check_runs({})
