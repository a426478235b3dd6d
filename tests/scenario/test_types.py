"""Types: real files, made by real tools, go through the real program with the real libmagic.

files/ holds what no tool of Debian can write (files/make_files.py says how it was made).
"""

import base64
import contextlib
import csv
import gzip
import io
import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import tarfile
import tempfile
import threading
import time
import zipfile
import zlib

import pytest

import harness
from harness import JOB, put, text, wait_for
from jobsapi import JobsApi

FILES = harness.TOP / "tests" / "scenario" / "files"


def stored(name):
    return base64.b64decode((FILES / f"{name}.b64").read_bytes())


GROUPS = ("csv", "json", "ndjson", "xml", "text", "parquet", "avro", "orc", "arrow", "gzip", "zstd", "zip")
OCTETS = "application/octet-stream"
NEWLINES = b"\n" * 65536  # libmagic needs half a second for these, of whatever speed
TYPE_BYTES = 65536

# name: (MIME types, any of them; groups; maker). The dictionary is filled by @row.
ROWS = {}


def row(name, mime, *groups):
    """Registers a file of this name and what it must be taken for. The function gives its bytes."""
    def register(function):
        assert name not in ROWS
        ROWS[name] = ((mime,) if isinstance(mime, str) else mime, set(groups), function)
        return function
    return register


def pipe(*command, data=None):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, timeout=harness.TIMEOUT, check=True).stdout


def records(count):
    return [{"id": n, "name": f"name, {n}", "amount": n * 2.5, "none": None} for n in range(count)]


def table(separator, count):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow(["id", "name", "amount"])
    writer.writerows([n, f"name {n}", n * 2.5] for n in range(count))
    return out.getvalue().encode()


# --- tables -----------------------------------------------------------------------------------------------------------

@row("small.csv", "text/csv", "csv", "text")
def small_csv():
    return table(",", 3)


@row("large.csv", "text/csv", "csv", "text")
def large_csv():
    return table(",", 60000)


@row("cut.csv", "text/csv", "csv", "text")
def cut_csv():
    return table(",", 60000)[:50001]


@row("quoted.csv", "text/csv", "csv", "text")
def quoted_csv():
    return b'id,text\r\n1,"a ""word"", and\r\nanother line"\r\n2,plain\r\n3,"x"\r\n'


@row("no-extension", "text/csv", "csv", "text")
def csv_without_extension():
    return table(",", 30)


@row("small.tsv", "text/tab-separated-values", "csv", "text")
def small_tsv():
    return table("\t", 30)


@row("large.tsv", "text/tab-separated-values", "csv", "text")
def large_tsv():
    return table("\t", 60000)


@row("semicolon.csv", "text/csv", "csv", "text")
def semicolon_csv():
    return "Straße;Größe;Ort\n".encode() + "Weg 1;12,5;Köln\n".encode() * 400


@row("column.csv", "text/csv", "csv", "text")
def one_column_csv():
    return b"id\n" + b"".join(b"%d\n" % n for n in range(100))


# --- JSON and XML -----------------------------------------------------------------------------------------------------

@row("small.json", "application/json", "json", "text")
def small_json():
    return json.dumps(records(1)[0]).encode()


@row("pretty.json", "application/json", "json", "text")
def pretty_json():
    return json.dumps(records(3000), indent=2).encode()  # several times what libmagic may read here


@row("large.json", "application/json", "json", "text")
def large_json():
    return json.dumps(records(40000)).encode()


@row("cut.json", "application/json", "json", "text")
def cut_json():
    return json.dumps(records(40000)).encode()[:1000001]


@row("lines.ndjson", "application/x-ndjson", "ndjson", "text")
def lines_of_json():
    return b"".join(json.dumps(one).encode() + b"\n" for one in records(50))


@row("large.jsonl", "application/x-ndjson", "ndjson", "text")
def large_lines_of_json():
    return b"".join(json.dumps(one).encode() + b"\n" for one in records(40000))


@row("spark.json", "application/x-ndjson", "json", "ndjson", "text")
def lines_of_json_as_spark_names_them():
    return b"".join(json.dumps(one).encode() + b"\n" for one in records(50))


@row("small.xml", "text/xml", "xml", "text")
def small_xml():
    return b'<?xml version="1.0" encoding="UTF-8"?>\n<rows>\n  <row id="1">a</row>\n</rows>\n'


@row("large.xml", "text/xml", "xml", "text")
def large_xml():
    rows = b"".join(b'<row id="%d">x</row>\n' % n for n in range(30000))
    return b'<?xml version="1.0"?>\n<rows>\n' + rows + b"</rows>\n"


# --- packed -----------------------------------------------------------------------------------------------------------

@row("table.csv.gz", "application/gzip", "gzip")
def gzip_file():
    return pipe("gzip", "-9", data=table(",", 5000))


@row("cut.csv.gz", "application/gzip", "gzip")
def cut_gzip_file():
    return gzip.compress(table(",", 5000))[:4000]


@row("table.csv.zst", "application/zstd", "zstd")
def zstd_file():
    return pipe("zstd", "-q", data=table(",", 5000))


@row("table.csv.xz", "application/x-xz")
def xz_file():
    return pipe("xz", data=table(",", 5000))


@row("table.csv.bz2", "application/x-bzip2")
def bzip2_file():
    return pipe("bzip2", data=table(",", 5000))


@row("table.zip", "application/zip", "zip")
def zip_file():
    return pipe("zip", "-q", "-", "-", data=table(",", 5000))


@row("table.tar", "application/x-tar")
def tar_file():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        one = tarfile.TarInfo("table.csv")
        one.size = 14
        tar.addfile(one, io.BytesIO(b"id,name\n1,abc\n"))
    return out.getvalue()


@row("book.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
def xlsx_file():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        for name in ("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml", "xl/worksheets/sheet1.xml"):
            book.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>\n<x xmlns="urn:x"/>\n')
    return out.getvalue()


# --- columns and rows -------------------------------------------------------------------------------------------------

def kept(name):
    return lambda: stored(name)


row("snappy.parquet", "application/vnd.apache.parquet", "parquet")(kept("snappy.parquet"))
row("zstd.parquet", "application/vnd.apache.parquet", "parquet")(kept("zstd.parquet"))
row("part-00000", "application/vnd.apache.parquet", "parquet")(kept("zstd.parquet"))
row("plain.orc", "application/vnd.apache.orc", "orc")(kept("plain.orc"))
row("zlib.orc", "application/vnd.apache.orc", "orc")(kept("zlib.orc"))
row("null.avro", "application/avro", "avro")(kept("null.avro"))
row("deflate.avro", "application/avro", "avro")(kept("deflate.avro"))
row("feather.arrow", "application/vnd.apache.arrow.file", "arrow")(kept("feather.arrow"))
row("stream.arrows", "application/vnd.apache.arrow.stream", "arrow")(kept("stream.arrows"))


@row("large.parquet", "application/vnd.apache.parquet", "parquet")
def large_parquet():
    # The ends of a real one, with more between them than libmagic may read.
    data = stored("snappy.parquet")
    return data[:4] + os.urandom(3 * TYPE_BYTES) + data[4:]


@row("cut.parquet", OCTETS)
def cut_parquet():
    return stored("snappy.parquet")[:-20]


@row("cut.orc", OCTETS)
def cut_orc():
    return stored("zlib.orc")[:-20]


# --- other ------------------------------------------------------------------------------------------------------------

@row("letter.txt", "text/plain", "text")
def text_file():
    return b"Nothing but words, and a second\nline of them.\n"


@row("utf8.txt", "text/plain", "text")
def utf8_file():
    return "Grüße aus Köln.\nZweite Zeile, größer.\n".encode()


@row("utf16.txt", "text/plain", "text")
def utf16_file():
    return "Grüße aus Köln.\r\nZweite Zeile.\r\n".encode("utf-16")


@row("empty", "application/x-empty")
def empty_file():
    return b""


@row("blank.txt", "text/plain", "text")
def blank_file():
    return b"\n\n\n"


@row("picture.png", "image/png")
def png_file():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)) + \
        chunk(b"IDAT", zlib.compress(b"\0" * 14)) + chunk(b"IEND", b"")


@row("orders.csv", "image/png")
def png_called_csv():
    return png_file()


@row("paper.pdf", "application/pdf")
def pdf_file():
    return b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"


@row("program", ("application/x-pie-executable", "application/x-executable", "application/x-sharedlib"))
def elf_file():
    with open(shutil.which("true"), "rb") as file:
        return file.read()


@row("noise.bin", OCTETS)
def noise():
    return bytes(range(255, 0, -1)) * 40


@row("base.sqlite", ("application/vnd.sqlite3", "application/x-sqlite3"))
def sqlite_file():
    with tempfile.NamedTemporaryFile() as file:
        with contextlib.closing(sqlite3.connect(file.name)) as base:
            base.execute("create table t (id integer)")
            base.commit()
        return file.read()


# --- all of them, at once ---------------------------------------------------------------------------------------------

class Typed:
    """Every row's file through one service: a watch that sends ${type}, and one watch for each group."""

    def __init__(self, maker):
        self.contents = {name: function() for name, (_, _, function) in ROWS.items()}
        common = {"min_size": "0", "type_bytes": "64KiB", "rescan": "1h"}
        watches = {"all": {**common, "param.path": "${uri}", "param.type": "${type}"}}
        for group in GROUPS:
            watches[group] = {**common, "types": f"@{group}"}
            watches[f"not-{group}"] = {**common, "exclude_types": f"@{group}"}
        api = JobsApi({JOB: ["path", "type"]})
        self.service = s = maker(watches=watches, api=api)
        for name, data in self.contents.items():
            put(s.outside / name, data)
            for watch in watches:
                os.link(s.outside / name, s.folder / watch / name)
        s.start()
        wait_for(lambda: self.decided() >= len(watches) * len(ROWS),
                 lambda: f"{len(watches) * len(ROWS)} decisions; there are {self.decided()}\n{s.err()[-3000:]}", 120)
        s.stop()
        self.started = {(e["watch"], e["relpath"]): e for e in s.events("run.started")}
        self.rejected = {(e["watch"], e["relpath"]): e for e in s.events("file.rejected")}
        self.dead = s.events("start.failed")

    def decided(self):
        return len(self.service.events("run.started")) + len(self.service.events("file.rejected")) + \
            len(self.service.events("start.failed"))


@pytest.fixture(scope="module")
def typed(module_service):
    return Typed(module_service)


@pytest.mark.parametrize("name", ROWS)
def test_type(typed, name):
    mimes, _, _ = ROWS[name]
    assert typed.dead == []
    event = typed.started["all", name]
    assert event["mime"] in mimes
    (seen,) = typed.service.runs_of(typed.service.folder / "all" / name)
    assert seen.run.parameters["type"] == event["mime"]
    assert seen.content == typed.contents[name]


@pytest.mark.parametrize("name", ROWS)
def test_groups(typed, name):
    _, groups, _ = ROWS[name]
    assert {g for g in GROUPS if (g, name) in typed.started} == groups
    assert {g for g in GROUPS if (g, name) in typed.rejected} == set(GROUPS) - groups
    assert {g for g in GROUPS if (f"not-{g}", name) in typed.rejected} == groups
    assert {g for g in GROUPS if (f"not-{g}", name) in typed.started} == set(GROUPS) - groups


def test_rejections_say_why(typed):
    event = typed.rejected["csv", "picture.png"]
    assert event["rule"] == "types" and event["mime"] == "image/png"
    assert "image/png" in event["detail"]
    event = typed.rejected["not-csv", "small.csv"]
    assert event["rule"] == "exclude_types" and "@csv" in event["detail"]
    assert "does not end so" in typed.rejected["parquet", "cut.parquet"]["detail"]


# --- explain ----------------------------------------------------------------------------------------------------------

def explained(service, path):
    done = service.verb("explain", "--json", path)
    assert done.status == 0, done
    (answer,) = json.loads(done.out)
    return answer, {step["step"]: step for step in answer["steps"]}


def test_explain_shows_each_voice(service):
    s = service(types=["@csv", "@json"], type_bytes="64KiB")
    _, steps = explained(s, s.put("table.tsv", small_tsv()))
    voices = steps["voices"]["text"]
    assert "libmagic: text/plain" in voices and "separated by tabs" in voices and "extension: .tsv" in voices
    assert steps["type"]["passes"] and steps["type"]["text"].startswith("text/tab-separated-values @csv")

    _, steps = explained(s, s.put("large.json", large_json()))
    assert "libmagic: text/plain" in steps["voices"]["text"]  # it was not given all
    assert steps["type"]["passes"] and steps["type"]["text"].startswith("application/json @json")

    answer, steps = explained(s, s.put("picture.csv", png_file()))
    assert "libmagic: image/png" in steps["voices"]["text"]
    assert not steps["type"]["passes"] and "turned away" in answer["verdict"]


def test_type_bytes_bounds_what_is_read(service):
    """The same file, once read as a whole and once not: libmagic's own answer shows it."""
    s = service(types="*/*", type_bytes="1MiB")
    path = s.put("large.json", large_json()[:900000].rpartition(b", {")[0] + b"]")
    _, steps = explained(s, path)
    assert "libmagic: application/json" in steps["voices"]["text"]
    s.watches["drop"]["type_bytes"] = "64KiB"
    s.write_configuration()
    _, steps = explained(s, path)
    assert "libmagic: text/plain" in steps["voices"]["text"]


def test_a_type_nobody_asks_for_is_not_looked_at(service):
    s = service()
    path = s.put("a.csv")
    s.start()
    started = s.wait_event("run.started", path=path)
    assert s.pids("bw-sniff") == []
    assert "mime" not in started[0]


# --- a file that libmagic does not come to an end with ----------------------------------------------------------------

def test_deadline(service):
    """Files of newlines: each costs its own watch `type_deadline` of processor time, and nobody else."""
    s = service(watches={"bombs": {"types": "*/*", "type_deadline": "200ms"}, "other": {"types": "@csv"}})
    bombs = [s.put(f"bomb{n:02}.txt", NEWLINES) for n in range(8)]
    s.start()
    s.wait_event("start.failed")
    others = [os.fspath(s.folder / "other" / f"{n}.csv") for n in range(10)]
    for path in others:
        put(path, text("other"))
    for path in others:
        s.wait_run(path)
    assert len(s.events("start.failed")) < len(bombs), "the other watch had to wait"
    after = s.put("after.csv")
    s.wait_run(after)
    failed = s.wait_event("start.failed", len(bombs))
    assert sorted(e["path"] for e in failed) == bombs
    assert {e["reason"] for e in failed} == {"type_unknown"}
    assert s.err().count("libmagic needed more than 200 ms of processor time") == len(bombs)
    s.stop()
    s.check_runs({**dict.fromkeys(others, 1), after: 1})


def test_what_bytes_decide_needs_no_libmagic(service):
    """No answer from libmagic is no reason to turn a file away that other voices know."""
    s = service(types="@csv", type_deadline="100ms")
    data = b"id,name\n" + b"1,a\n" * 2000 + b"\n" * 200000
    path = s.put("a.csv", data)
    s.start()
    s.wait_run(path)
    s.stop()
    s.check_runs({path: 1})


# --- the sniffer dies, or stands still --------------------------------------------------------------------------------

def first_run(s):
    """After it there is a sniffer that has answered."""
    path = s.put("first.csv")
    s.start()
    s.wait_run(path)
    return path


def wait_until_asked(s, path):
    """The watcher keeps a file open while the sniffer has it."""
    def is_open():
        folder = f"/proc/{s.pid('bw-watch')}/fd"
        with contextlib.suppress(FileNotFoundError):
            return path in [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
    wait_for(is_open, f"{path} with the sniffer")


def test_killed_in_the_middle_of_a_file(service):
    s = service(types="@csv")
    first = first_run(s)
    pid = s.kill("bw-sniff", signo=signal.SIGSTOP)
    path = s.put("second.csv")
    wait_until_asked(s, path)
    os.kill(pid, signal.SIGKILL)
    s.wait_run(path)
    assert s.pid("bw-sniff") != pid
    s.stop()
    s.check_runs({first: 1, path: 1})
    assert s.events("start.failed") == []


def test_a_stall_is_no_deadline(service):
    """One that gets no further and uses no processor time (here: stopped; elsewhere: a hung mount) is waited for."""
    s = service(types="@csv", type_deadline="50ms")
    first = first_run(s)
    pid = s.kill("bw-sniff", signo=signal.SIGSTOP)
    path = s.put("second.csv")
    wait_until_asked(s, path)
    until = time.monotonic() + 1
    wait_for(lambda: time.monotonic() > until, "twenty deadlines gone by")
    assert s.runs_of(path) == [] and s.pids("bw-sniff") == [pid]
    os.kill(pid, signal.SIGCONT)
    s.wait_run(path)
    assert s.pids("bw-sniff") == [pid]
    s.stop()
    s.check_runs({first: 1, path: 1})


@pytest.mark.slow
def test_killed_again_and_again(service):
    s = service(types="@csv").start()
    stop = threading.Event()

    def kill():
        while not stop.wait(0.2):
            for pid in s.pids("bw-sniff"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        paths = []
        for n in range(100):
            paths.append(s.put(f"{n:03}.csv"))
            stop.wait(0.02)  # spread over the kills; nobody relies on it
        for path in paths:
            s.wait_run(path)
    finally:
        stop.set()
        killer.join()
    s.stop()
    # Killed twice over one file it is a crash of that file; then the other voices decide, and here they can.
    s.check_runs(dict.fromkeys(paths, 1))
    assert s.events("start.failed") == []


# --- who rules libmagic -----------------------------------------------------------------------------------------------

def test_environment_does_not_rule_libmagic(service):
    s = service(types="application/pdf")
    home = s.folder / "home"
    home.mkdir()
    put(home / ".magic", b"0\tstring\t%PDF\tpoison\n!:mime application/x-poison\n")
    said = pipe("env", f"HOME={home}", "file", "-b", "--mime-type", "-", data=pdf_file())
    assert said.strip() == b"application/x-poison", "the poison does not work, so nothing is shown here"
    s.environment = {"HOME": os.fspath(home), "MAGIC": os.fspath(home / ".magic")}
    path = s.put("paper.pdf", pdf_file())
    s.start()
    s.wait_run(path)
    s.stop()
    assert s.events("run.started")[0]["mime"] == "application/pdf"


def test_sniffer_has_nothing(service):
    """Its socket and stderr, no capability, no environment; and it ends with the watcher."""
    s = service(types="@csv")
    first_run(s)
    pid = s.pid("bw-sniff")
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    assert status["NoNewPrivs"] == "1"
    assert status["CapPrm"] == status["CapEff"] == status["CapAmb"] == "0" * 16
    assert {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")} == {0, 1, 2, 3}
    with open(f"/proc/{pid}/environ", "rb") as file:
        names = {entry.partition(b"=")[0] for entry in file.read().split(b"\0") if entry}
    assert names <= {b"LD_LIBRARY_PATH", b"ASAN_OPTIONS", b"LSAN_OPTIONS", b"UBSAN_OPTIONS"}
    s.kill("bw-watch")
    wait_for(lambda: pid not in s.pids("bw-sniff"), "the end of the sniffer")
    path = s.put("later.csv")
    s.wait_run(path)
