"""What writers do in a drop folder, row by row, and which runs that gives: exactly one for each finished version, with
all of its bytes, and never one for anything else.

The rows are played under several settings: with settle = 0, with a settle time, and with a type check.
"""

import ctypes
import mmap
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

import harness
from harness import put, text, wait_for
from rows import Book

SETTINGS = {
    "settle=0": {"settle": "0"},
    "settle": {"settle": "400ms"},
    "types": {"settle": "0", "types": "@csv"},
}
RENAME_EXCHANGE = 2
BOOK = Book(SETTINGS)
row = BOOK.row


class HeldOpen:
    """A file that is being written: the last bytes come with finish()."""

    def __init__(self, path, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
        self.label = os.path.basename(path)
        self.fd = os.open(path, flags, 0o644)
        self.content = text(f"{self.label} begin")
        os.write(self.fd, self.content)

    def finish(self):
        last = b"7,end\n"
        os.write(self.fd, last)
        self.content += last
        os.close(self.fd)
        return self.content


# --- plain writing ----------------------------------------------------------------------------------------------------

@row()
def create_write_close(r):
    put(r.at("a.csv"), text("a"))
    r.ran("a.csv")
    return {"a.csv": [text("a")]}


@row()
def empty_file_is_rejected(r):
    with open(r.at("empty.csv"), "wb"):
        pass
    wait_for(lambda: [e for e in r.events("file.rejected") if e["rule"] == "min_size"], "a rejection")
    put(r.at("empty.csv"), text("late"))
    r.ran("empty.csv")
    return {"empty.csv": [text("late")]}


@row()
def opened_and_closed_without_a_write(r):
    put(r.at("a.csv"), text("a"))
    r.ran("a.csv")
    for flags in (os.O_RDWR, os.O_WRONLY, os.O_WRONLY | os.O_APPEND):
        os.close(os.open(r.at("a.csv"), flags))
    return {"a.csv": [text("a")]}


@row()
def only_times_and_mode_change(r):
    put(r.at("a.csv"), text("a"))
    r.ran("a.csv")
    os.utime(r.at("a.csv"), ns=(1, 1))
    os.chmod(r.at("a.csv"), 0o600)
    return {"a.csv": [text("a")]}


@row()
def written_again(r):
    put(r.at("a.csv"), text("one"))
    r.ran("a.csv")
    put(r.at("a.csv"), text("two"))
    r.ran("a.csv", 2)
    put(r.at("a.csv"), text("six"))
    r.ran("a.csv", 3)
    return {"a.csv": [text("one"), text("two"), text("six")]}


@row("settle")
def append_and_close_three_times(r):
    for n in range(3):
        with open(r.at("a.csv"), "ab") as file:
            file.write(text(f"page {n}"))
    r.ran("a.csv")
    return {"a.csv": [b"".join(text(f"page {n}") for n in range(3))]}


@row()
def two_writers(r):
    first = HeldOpen(r.at("a.csv"))
    second = os.open(r.at("a.csv"), os.O_WRONLY | os.O_APPEND)
    content = first.finish()
    r.not_yet("a.csv")
    os.write(second, b"8,more\n")
    os.close(second)
    r.ran("a.csv")
    return {"a.csv": [content + b"8,more\n"]}


@row()
def descriptor_kept_by_a_child(r):
    held = HeldOpen(r.at("a.csv"))
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=held.fd)
    os.close(held.fd)
    r.not_yet("a.csv")
    child.communicate(b"9,child\n", timeout=harness.TIMEOUT)
    r.ran("a.csv")
    return {"a.csv": [held.content + b"9,child\n"]}


@row()
def descriptor_duplicated(r):
    held = HeldOpen(r.at("a.csv"))
    copy = os.dup(held.fd)
    os.close(held.fd)
    held.fd = copy
    r.not_yet("a.csv")
    content = held.finish()
    r.ran("a.csv")
    return {"a.csv": [content]}


@row()
def shared_mapping_kept_after_close(r):
    content = text("mapped", 100)
    fd = os.open(r.at("a.csv"), os.O_RDWR | os.O_CREAT, 0o644)
    os.write(fd, content)
    harness.libc.mmap.restype = ctypes.c_void_p
    address = harness.libc.mmap(None, ctypes.c_size_t(len(content)), mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED,
                                fd, ctypes.c_long(0))
    os.close(fd)
    r.not_yet("a.csv")
    content = content[:-2] + b"X\n"
    ctypes.memmove(address, content, len(content))
    harness.libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(len(content)))
    r.ran("a.csv")
    return {"a.csv": [content]}


@row()
def writer_killed(r):
    program = "import sys,time;f=open(sys.argv[1],'wb',0);f.write(b'id,what\\n1,x\\n');print(flush=True);time.sleep(99)"
    child = subprocess.Popen([sys.executable, "-c", program, r.at("a.csv")], stdout=subprocess.PIPE)
    child.stdout.readline()
    r.not_yet("a.csv")
    child.kill()
    child.wait()
    child.stdout.close()
    r.ran("a.csv")
    return {"a.csv": [b"id,what\n1,x\n"]}


@row()
def preallocated_to_its_full_size(r):
    content = text("a", 300)
    fd = os.open(r.at("a.csv"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.posix_fallocate(fd, 0, len(content))
    r.not_yet("a.csv")
    os.write(fd, content)
    os.close(fd)
    r.ran("a.csv")
    return {"a.csv": [content]}


@row()
def truncated_by_path(r):
    """No close, so nobody may notice before the next listing; but then it must not count as finished twice."""
    put(r.at("a.csv"), text("a", 50))
    r.ran("a.csv")
    os.truncate(r.at("a.csv"), 20)
    put(r.at("a.csv"), text("b"))
    r.ran("a.csv", 2)
    return {"a.csv": [text("a", 50), text("b")]}


# --- renames ----------------------------------------------------------------------------------------------------------

@row("settle")
def renamed_while_settling(r):
    put(r.at("a.csv"), text("a"))
    os.rename(r.at("a.csv"), r.at("b.csv"))
    r.ran("b.csv")
    return {"b.csv": [text("a")]}


@row()
def renamed_in_from_elsewhere(r):
    put(r.away("x"), text("a"))
    os.rename(r.away("x"), r.at("a.csv"))
    r.ran("a.csv")
    return {"a.csv": [text("a")]}


@row()
def renamed_over_a_started_name(r):
    put(r.at("a.csv"), text("one"))
    r.ran("a.csv")
    put(r.away("x"), text("two"))
    os.rename(r.away("x"), r.at("a.csv"))
    r.ran("a.csv", 2)
    return {"a.csv": [text("one"), text("two")]}


@row()
def temporary_name_renamed_over_a_started_name(r):
    for n in range(3):
        put(r.at(".a.csv.tmp"), text(f"version {n}"))
        os.rename(r.at(".a.csv.tmp"), r.at("a.csv"))
        r.ran("a.csv", n + 1)
    return {"a.csv": [text(f"version {n}") for n in range(3)]}


@row()
def names_exchanged(r):
    put(r.at("a.csv"), text("a"))
    put(r.at("b.csv"), text("bb", 2))
    r.ran("a.csv")
    r.ran("b.csv")
    harness.rename_flags(r.at("a.csv"), r.at("b.csv"), RENAME_EXCHANGE)
    r.ran("a.csv", 2)
    r.ran("b.csv", 2)
    return {"a.csv": [text("a"), text("bb", 2)], "b.csv": [text("bb", 2), text("a")]}


@row()
def renamed_in_while_open(r):
    held = HeldOpen(r.away("x"))
    os.rename(r.away("x"), r.at("a.csv"))
    r.not_yet("a.csv")
    content = held.finish()
    r.ran("a.csv")
    return {"a.csv": [content]}


@row()
def renamed_inside_while_open(r):
    held = HeldOpen(r.at("a.csv"))
    os.rename(r.at("a.csv"), r.at("b.csv"))
    r.not_yet("b.csv")
    content = held.finish()
    r.ran("b.csv")
    return {"b.csv": [content]}


@row()
def renamed_from_a_temporary_name_while_open(r):
    held = HeldOpen(r.at("a.csv.part"))
    os.rename(r.at("a.csv.part"), r.at("a.csv"))
    r.not_yet("a.csv")
    content = held.finish()
    r.ran("a.csv")
    return {"a.csv": [content]}


@row()
def renamed_out_while_open(r):
    held = HeldOpen(r.at("a.csv"))
    os.rename(r.at("a.csv"), r.away("x"))
    held.finish()
    return {}


# --- links ------------------------------------------------------------------------------------------------------------

@row()
def linked_from_a_temporary_name(r):
    put(r.at(".upload-1"), text("a"))
    os.link(r.at(".upload-1"), r.at("a.csv"))
    r.ran("a.csv")
    return {"a.csv": [text("a")]}


@row()
def linked_from_elsewhere(r):
    put(r.away("x"), text("a"))
    os.link(r.away("x"), r.at("a.csv"))
    r.ran("a.csv")
    return {"a.csv": [text("a")]}


@row()
def linked_from_a_started_name(r):
    put(r.at("a.csv"), text("a"))
    r.ran("a.csv")
    os.link(r.at("a.csv"), r.at("b.csv"))
    r.ran("b.csv")
    return {"a.csv": [text("a")], "b.csv": [text("a")]}


@row()
def sftp_rename_at_once(r):
    """OpenSSH's server renames by link and unlink."""
    for n in range(20):
        put(r.at(f"{n}.csv.filepart"), text(f"{n}"))
        os.link(r.at(f"{n}.csv.filepart"), r.at(f"{n}.csv"))
        os.unlink(r.at(f"{n}.csv.filepart"))
    for n in range(20):
        r.ran(f"{n}.csv")
    return {f"{n}.csv": [text(f"{n}")] for n in range(20)}


@row()
def sftp_rename_slowly(r):
    put(r.at("a.csv.filepart"), text("a"))
    r.not_yet("a.csv")
    os.link(r.at("a.csv.filepart"), r.at("a.csv"))
    r.ran("a.csv")
    os.unlink(r.at("a.csv.filepart"))
    return {"a.csv": [text("a")]}


@row("settle")
def sftp_rename_between_two_data_names(r):
    put(r.at("a.csv"), text("a"))
    os.link(r.at("a.csv"), r.at("b.csv"))
    os.unlink(r.at("a.csv"))
    r.ran("b.csv")
    return {"b.csv": [text("a")]}


@row()
def linked_while_open(r):
    held = HeldOpen(r.away("x"))
    os.link(r.away("x"), r.at("a.csv"))
    r.not_yet("a.csv")
    content = held.finish()
    r.ran("a.csv")
    return {"a.csv": [content]}


def link_descriptor(fd, path):
    """linkat(2) with AT_SYMLINK_FOLLOW, as open(2) shows it for O_TMPFILE."""
    if harness.libc.linkat(-100, f"/proc/self/fd/{fd}".encode(), -100, os.fsencode(path), 0x400) != 0:
        raise OSError(ctypes.get_errno(), "linkat")


def without_a_name(r, folder):
    fd = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o644)
    os.write(fd, text("a"))
    link_descriptor(fd, r.at("a.csv"))
    r.not_yet("a.csv")
    os.write(fd, b"7,end\n")
    os.close(fd)
    r.ran("a.csv")
    return {"a.csv": [text("a") + b"7,end\n"]}


@row()
def without_a_name_then_linked(r):
    """O_TMPFILE and linkat(2)."""
    return without_a_name(r, r.dir)


@row()
def without_a_name_elsewhere_then_linked(r):
    return without_a_name(r, r.outside)


@row()
def without_a_name_linked_and_closed_at_once(r):
    for n in range(10):
        fd = os.open(r.dir, os.O_TMPFILE | os.O_WRONLY, 0o644)
        os.write(fd, text(f"{n}"))
        link_descriptor(fd, r.at(f"{n}.csv"))
        os.close(fd)
    for n in range(10):
        r.ran(f"{n}.csv")
    return {f"{n}.csv": [text(f"{n}")] for n in range(10)}


@row()
def unlinked_while_open(r):
    held = HeldOpen(r.at("a.csv"))
    os.unlink(r.at("a.csv"))
    held.finish()
    return {}


@row("settle")
def vanished_while_settling(r):
    for n in range(10):
        put(r.at(f"{n}.csv"), text(f"{n}"))
        os.unlink(r.at(f"{n}.csv"))
    return {}


# --- what is no file --------------------------------------------------------------------------------------------------

@row()
def symbolic_links(r):
    put(r.away("x.csv"), text("x"))
    (r.outside / "d").mkdir()
    put(r.away("d/y.csv"), text("y"))
    put(r.at("a.csv"), text("a"))
    os.symlink(r.away("x.csv"), r.at("outside.csv"))
    os.symlink("a.csv", r.at("inside.csv"))
    os.symlink(r.away("d"), r.at("folder"))
    os.symlink("nowhere", r.at("dangling.csv"))
    put(r.away("d/z.csv"), text("z"))
    put(r.at("folder/through.csv"), text("through"))
    r.ran("a.csv")
    return {"a.csv": [text("a")]}


@row()
def pipes_sockets_and_devices(r):
    os.mkfifo(r.at("pipe.csv"))
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(r.dir, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket.csv")
        os.close(here)
    os.mkfifo(r.away("pipe"))
    os.rename(r.away("pipe"), r.at("moved-pipe.csv"))
    if os.geteuid() == 0:
        os.mknod(r.at("null.csv"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    put(r.at("a.csv"), text("a"))
    r.ran("a.csv")
    return {"a.csv": [text("a")]}


@row()
def data_name_becomes_a_pipe(r):
    put(r.at("a.csv"), text("a"))
    os.unlink(r.at("a.csv"))
    os.mkfifo(r.at("a.csv"))
    r.service.barrier(thorough=True, folder=r.dir)
    assert len(r.service.runs_of(r.at("a.csv"))) <= 1
    return {"a.csv": [s.content for s in r.service.runs_of(r.at("a.csv"))]}


# --- directories ------------------------------------------------------------------------------------------------------

@row()
def new_directories_and_at_once_a_file(r):
    expected = {}
    for n in range(40):
        os.makedirs(r.at(f"{n}/a/b/c"))
        for name in (f"{n}/a/b/c/deep.csv", f"{n}/a/middle.csv", f"{n}/top.csv"):
            put(r.at(name), text(name))
            expected[name] = [text(name)]
    for name in expected:
        r.ran(name)
    return expected


@row()
def populated_tree_moved_in(r):
    expected = {}
    for n in range(5):
        (r.outside / f"tree/{n}/x").mkdir(parents=True)
        for name in (f"tree/{n}/1.csv", f"tree/{n}/x/2.csv"):
            put(r.away(name), text(name))
            expected[name] = [text(name)]
    os.rename(r.away("tree"), r.at("tree"))
    for name in expected:
        r.ran(name)
    put(r.at("tree/0/x/late.csv"), text("late"))
    r.ran("tree/0/x/late.csv")
    return {**expected, "tree/0/x/late.csv": [text("late")]}


@row()
def directory_renamed(r):
    (r.dir / "old/deep").mkdir(parents=True)
    put(r.at("old/deep/a.csv"), text("a"))
    r.ran("old/deep/a.csv")
    os.unlink(r.at("old/deep/a.csv"))
    os.rename(r.at("old"), r.at("new"))
    for n in range(10):
        put(r.at(f"new/deep/{n}.csv"), text(f"{n}"))
    put(r.at("new/a.csv"), text("top"))
    for n in range(10):
        r.ran(f"new/deep/{n}.csv")
    r.ran("new/a.csv")
    return {"old/deep/a.csv": [text("a")], "new/a.csv": [text("top")],
            **{f"new/deep/{n}.csv": [text(f"{n}")] for n in range(10)}}


@row()
def directories_exchanged(r):
    for name in ("one", "two"):
        (r.dir / name / "deep").mkdir(parents=True)
        put(r.at(f"{name}/{name}.csv"), text(name))
        r.ran(f"{name}/{name}.csv")
    harness.rename_flags(r.at("one"), r.at("two"), RENAME_EXCHANGE)
    put(r.at("one/new.csv"), text("new"))
    put(r.at("two/deep/new.csv"), text("new"))
    for name in ("one/new.csv", "two/deep/new.csv"):
        r.ran(name)
    # the others are moved files
    return {"one/one.csv": [text("one")], "two/two.csv": [text("two")], "one/new.csv": [text("new")],
            "two/deep/new.csv": [text("new")]}


@row()
def file_and_directory_exchanged(r):
    (r.dir / "x.csv").mkdir()
    put(r.at("x.csv/in.csv"), text("in"))
    put(r.at("y.csv"), text("file"))
    r.ran("x.csv/in.csv")
    r.ran("y.csv")
    harness.rename_flags(r.at("x.csv"), r.at("y.csv"), RENAME_EXCHANGE)
    put(r.at("y.csv/new.csv"), text("new"))
    r.ran("y.csv/new.csv")
    # the others are moved files
    return {"x.csv/in.csv": [text("in")], "y.csv": [text("file")], "y.csv/new.csv": [text("new")]}


@row()
def directory_renamed_while_a_file_in_it_is_open(r):
    (r.dir / "old").mkdir()
    held = HeldOpen(r.at("old/a.csv"))
    r.not_yet("old/a.csv")
    os.rename(r.at("old"), r.at("new"))
    r.not_yet("new/a.csv")
    content = held.finish()
    r.ran("new/a.csv")
    return {"new/a.csv": [content]}


@row()
def directory_removed_and_made_again(r):
    for n in range(3):
        (r.dir / "sub/deep").mkdir(parents=True)
        put(r.at("sub/a.csv"), text(f"a {n}"))
        put(r.at("sub/deep/b.csv"), text(f"b {n}"))
        r.ran("sub/a.csv", n + 1)
        r.ran("sub/deep/b.csv", n + 1)
        shutil.rmtree(r.at("sub"))
    return {"sub/a.csv": [text(f"a {n}") for n in range(3)], "sub/deep/b.csv": [text(f"b {n}") for n in range(3)]}


@row()
def directory_moved_out(r):
    (r.dir / "sub").mkdir()
    put(r.at("sub/a.csv"), text("a"))
    r.ran("sub/a.csv")
    os.rename(r.at("sub"), r.away("sub"))
    put(r.away("sub/b.csv"), text("b"))
    return {"sub/a.csv": [text("a")]}


# --- the tests --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("setting, name", BOOK.cases, ids=[f"{s}-{n}" for s, n in BOOK.cases])
def test_row(module_service, setting, name):
    BOOK.play(setting, module_service).check(name)


@pytest.mark.parametrize("setting", SETTINGS)
def test_all_rows_together(module_service, setting):
    BOOK.play(setting, module_service).check_together()


# --- the watched folder itself, and what needs a service of its own ---------------------------------------------------

def test_empty_files_with_min_size_0(service):
    s = service(min_size="0", include="_SUCCESS, touched, *.csv").start()
    path = s.put("_SUCCESS", b"")
    touched = s.put("touched", b"")
    s.wait_run(path)
    s.wait_run(touched)
    s.barrier(thorough=True)
    s.stop()
    s.check_runs({path: [b""], touched: [b""]})


def test_folder_missing_at_start(service):
    s = service()
    s.drop.rmdir()
    s.start(wait=False)
    s.wait_event("watch.lost")
    s.drop.mkdir()
    path = s.put("a.csv")
    s.wait_run(path)
    s.wait_event("watch.ready")
    s.barrier(thorough=True)
    s.stop()
    s.check_runs({path: [text("a.csv")]})
    s.check_started()


@pytest.mark.parametrize("gone", ["removed", "renamed"])
def test_folder_itself_made_again(service, gone):
    s = service().start()
    first = s.put("a.csv", text("one"))
    s.wait_run(first)
    if gone == "removed":
        shutil.rmtree(s.drop)
    else:
        os.rename(s.drop, s.outside / "old")
        put(s.outside / "old" / "b.csv", text("not watched any more"))
    s.wait_event("watch.lost")
    s.drop.mkdir()
    again = s.put("a.csv", text("two"))
    other = s.put("sub.csv", text("sub"))
    s.wait_run(again, 2)
    s.wait_run(other)
    s.barrier(thorough=True)
    s.stop()
    s.check_runs({first: [text("one"), text("two")], other: [text("sub")]})
    s.check_started()


def test_folder_above_renamed_and_made_again(service):
    """No event tells that; the safety listing looks whether the path still means the same folder."""
    s = service(rescan="1s")
    (s.folder / "above" / "drop").mkdir(parents=True)
    s.watches["drop"].update(directory=s.folder / "above" / "drop", path_map=f"{s.folder} => {harness.REMOTE}")
    s.write_configuration()
    s.start()
    first = str(s.folder / "above" / "drop" / "a.csv")
    put(first, text("one"))
    s.wait_run(first)
    os.rename(s.folder / "above", s.folder / "away")
    (s.folder / "above" / "drop").mkdir(parents=True)
    put(first, text("two, in the new one"))
    s.wait_run(first, 2)
    put(s.folder / "away" / "drop" / "b.csv", text("not watched any more"))
    s.stop()
    s.check_runs({first: [text("one"), text("two, in the new one")]})


def test_folder_given_by_a_symbolic_link(service):
    """The link in the configuration is the administrator's word; those in the folder are not followed."""
    s = service()
    os.rename(s.drop, s.outside / "real")
    s.drop.symlink_to(s.outside / "real")
    s.start()
    path = s.put("a.csv")
    s.wait_run(path)
    s.check_runs({path: 1})


def test_not_recursive(service):
    s = service(recursive="no").start()
    (s.drop / "sub").mkdir()
    put(s.drop / "sub" / "a.csv", text("a"))
    top = s.put("top.csv")
    s.wait_run(top)
    s.barrier(thorough=True)
    s.check_runs({top: [text("top.csv")]})


def test_listing_alone_finds_what_no_event_told(service):
    """Written through a hard link outside of the folder: no event at all. The safety listing shows it."""
    s = service(rescan="1s").start()
    put(s.outside / "x", text("a"))
    os.link(s.outside / "x", s.drop / "a.csv")
    s.wait_run(s.drop / "a.csv")
    with open(s.outside / "x", "ab") as file:
        file.write(b"8,more\n")
    s.wait_run(s.drop / "a.csv", 2)
    s.barrier(thorough=True)
    s.stop()
    s.check_runs({s.drop / "a.csv": [text("a"), text("a") + b"8,more\n"]})


def test_listings_start_nothing_twice(service):
    """Times and modes change, and a listing comes every second: no second run."""
    s = service(rescan="1s").start()
    paths = [s.put(f"{n}.csv") for n in range(50)]
    for path in paths:
        s.wait_run(path)
    for path in paths:
        os.utime(path, ns=(time.time_ns(), time.time_ns() - 10**12))
        os.chmod(path, 0o600)
    s.wait_listings()
    s.stop()
    s.check_runs(dict.fromkeys(paths, 1))


def test_stop_ends_a_blocked_reader_of_a_pipe(service):
    """A pipe without a writer would block who opens it; the service must not even notice."""
    s = service(types="@csv")
    os.mkfifo(s.drop / "pipe.csv")
    s.start()
    s.barrier(thorough=True)
    began = time.monotonic()
    s.stop()
    assert time.monotonic() - began < 5
    assert s.err().count("pipe.csv") == 0
    assert signal.SIGKILL.name not in s.err()
