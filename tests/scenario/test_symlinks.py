"""follow_symlinks = yes: a symbolic link to a file beneath the same folder is a file of that name. One to a directory
is not entered, one that leads out is not followed, and without the key none is."""

import json
import os

import pytest

from harness import put, text, wait_for
from mounts import Bindfs, can_mount

STORE = ".store"  # hidden: what is in it is no file of the watch by itself


@pytest.fixture
def linked(service):
    """linked(**keys): a service that follows links, with a folder that it does not look into."""
    def make(**keys):
        s = service(**{"follow_symlinks": "yes", **keys})
        s.store = s.drop / STORE
        s.store.mkdir()
        return s
    return make


def link(target, path):
    """As `ln -sfn`: under another name, then renamed."""
    os.symlink(target, f"{path}.part")
    os.rename(f"{path}.part", path)


def size_of_runs(s, path):
    """The size in each run.started of this path."""
    return [e["size"] for e in s.events("run.started", path=str(path))]


def test_links_stand_for_their_files(linked):
    """Found at the start, and made later; in a directory, absolute, and one behind another."""
    s = linked()
    (s.drop / "sub").mkdir()
    put(s.store / "one", text("one"))
    os.symlink(f"{STORE}/one", s.drop / "before.csv")
    s.start()
    s.wait_run(s.drop / "before.csv")
    os.symlink(f"../{STORE}/one", s.drop / "sub" / "up.csv")
    os.symlink(s.store / "one", s.drop / "absolute.csv")
    os.symlink("before.csv", s.drop / "chain.csv")
    link(f"{STORE}/one", s.drop / "renamed.csv")
    names = ["before.csv", "sub/up.csv", "absolute.csv", "chain.csv", "renamed.csv"]
    for name in names:
        s.wait_run(s.drop / name)
    s.barrier()
    s.stop()
    s.check_runs({s.drop / name: 1 for name in names})
    assert all(size_of_runs(s, s.drop / name) == [len(text("one"))] for name in names)


def test_a_file_and_a_link_to_it_are_two(linked):
    s = linked().start()
    path = s.put("a.csv")
    s.wait_run(path)
    os.symlink("a.csv", s.drop / "b.csv")
    s.wait_run(s.drop / "b.csv")
    s.stop()
    s.check_runs({path: 1, s.drop / "b.csv": 1})


@pytest.mark.parametrize("follow", ["yes", "no"])
def test_never_followed(service, follow):
    """Out of the folder, in a circle, to nothing, to a directory, to what is no file; and none at all by default."""
    s = service(follow_symlinks=follow, rescan="1s")
    put(s.outside / "x.csv", text("x"))
    (s.drop / "d").mkdir()
    s.start()
    inside = s.put("d/f.csv")
    os.mkfifo(s.drop / "pipe")
    for name, target in {"out.csv": "../outside/x.csv", "absolute.csv": s.outside / "x.csv", "circle.csv": "circle.csv",
                         "dangling.csv": "nowhere", "dir": "d", "self": ".", "top": "/", "to_pipe.csv": "pipe",
                         "passwd.csv": "/etc/passwd"}.items():
        os.symlink(target, s.drop / name)
    if follow == "no":
        os.symlink("d/f.csv", s.drop / "inside.csv")
    s.wait_run(inside)
    s.barrier()
    s.wait_listings()
    s.stop()
    s.start()
    s.barrier()
    s.stop()
    s.check_runs({inside: 1})
    assert not s.events("watch.degraded") and not s.events("watch.lost")


def test_set_to_another_file(linked):
    """Another one is a new version, the same one is not."""
    s = linked().start()
    put(s.store / "one", text("one"))
    put(s.store / "two", text("another one"))
    path = s.drop / "latest.csv"
    link(f"{STORE}/one", path)
    s.wait_run(path)
    link(s.store / "one", path)
    s.barrier()
    link(f"{STORE}/two", path)
    s.wait_run(path, 2)
    s.barrier()
    s.stop()
    s.check_runs({path: 2})
    assert size_of_runs(s, path) == [len(text("one")), len(text("another one"))]


def test_of_the_same_size_and_time(linked):
    """Another file all the same."""
    s = linked().start()
    path = s.drop / "latest.csv"
    for name in ("one", "two"):
        put(s.store / name, text(name))
        os.utime(s.store / name, (1e9, 1e9))
    link(f"{STORE}/one", path)
    s.wait_run(path)
    link(f"{STORE}/two", path)
    s.wait_run(path, 2)
    s.stop()
    s.check_runs({path: 2})


def test_written_while_it_is_linked(linked):
    """Its writer has it open under the other name."""
    s = linked().start()
    path = s.drop / "a.csv"
    with open(s.store / "one", "wb", buffering=0) as file:
        file.write(text("a"))
        os.symlink(f"{STORE}/one", path)
        wait_for(lambda: "open for writing" in s.verb("explain", path).out, "its waiting")
        s.barrier(thorough=True)
        assert s.runs_of(path) == []
        file.write(b"7,more\n")
    s.wait_run(path)
    s.barrier()
    s.stop()
    assert size_of_runs(s, path) == [len(text("a")) + 7]


def test_linked_before_it_is_there_and_rewritten(linked):
    """Nobody tells of what happens to the file elsewhere; the listing shows it."""
    s = linked(rescan="1s").start()
    path = s.drop / "a.csv"
    os.symlink(f"{STORE}/one", path)
    s.barrier()
    put(s.store / "one", text("a"))
    s.wait_run(path)
    put(s.store / "one", text("longer than before"))
    s.wait_run(path, 2)
    put(s.store / "new", text("replaced by rename"))
    os.rename(s.store / "new", s.store / "one")
    s.wait_run(path, 3)
    s.wait_listings()
    s.stop()
    s.check_runs({path: 3})
    assert size_of_runs(s, path) == [len(text(t)) for t in ("a", "longer than before", "replaced by rename")]


def test_its_file_moves_on(linked):
    """The link leads to nothing then: that is no trouble, and the file is known under its new name."""
    s = linked(rescan="1s").start()
    path, archived = s.drop / "a.csv", s.drop / "archived.csv"
    put(s.store / "one", text("a"))
    os.symlink(f"{STORE}/one", path)
    s.wait_run(path)
    os.rename(s.store / "one", archived)
    s.wait_listings()
    s.stop()
    s.check_runs({path: 1})
    assert not s.events("start.failed") and not s.events("file.vanished")


def test_explained(linked):
    s = linked()
    put(s.store / "one", text("one"))
    put(s.outside / "x.csv", text("x"))
    (s.drop / "d").mkdir()
    for name, target, words in (
            ("a.csv", f"{STORE}/one", [f"a symbolic link to {STORE}/one", "starts job"]),
            ("out.csv", s.outside / "x.csv", ["leads out of the folder, or to another file system: not followed"]),
            ("circle.csv", "circle.csv", ["the link leads in a circle"]),
            ("dangling.csv", "nowhere", ["the link leads to nothing (yet)"]),
            ("dir.csv", "d", ["the link does not lead to a regular file"])):
        os.symlink(target, s.drop / name)
        out = s.verb("explain", s.drop / name).out
        assert all(w in out for w in words), out
        steps = json.loads(s.verb("explain", "--json", s.drop / name).out.splitlines()[0])
        assert steps, steps
    s.watches["drop"]["follow_symlinks"] = "no"
    s.write_configuration()
    out = s.verb("explain", s.drop / "a.csv").out
    assert "it is a symbolic link (follow_symlinks = no)" in out, out


@pytest.mark.skipif(not can_mount(), reason="needs root and /dev/fuse")
def test_on_a_mount(linked):
    """Found by listing; one that leads to nothing yet is looked at in each round."""
    s = linked(poll_interval="300ms", settle="500ms", rescan="10m")
    low = s.folder / "low"
    s.store.rmdir()
    mount = Bindfs(low, s.drop, "attr_timeout=0,entry_timeout=0,negative_timeout=0")
    try:
        (low / STORE).mkdir()
        s.start()
        put(low / STORE / "one", text("one"))
        os.symlink(f"{STORE}/one", low / "a.csv")
        os.symlink(f"{STORE}/two", low / "b.csv")
        s.wait_run(s.drop / "a.csv")
        put(low / STORE / "two", text("two"))
        s.wait_run(s.drop / "b.csv")
        s.stop()
        s.check_runs({s.drop / "a.csv": 1, s.drop / "b.csv": 1})
    finally:
        mount.close()


def test_with_verify(linked):
    """The end that counts is that of the file it leads to."""
    s = linked(verify="yes", rescan="1s").start()
    path = s.drop / "a.parquet"
    put(s.store / "one", b"PAR1\x15\x04\x15columns\x07\0\0\0PAR")
    os.symlink(f"{STORE}/one", path)
    wait_for(lambda: "Parquet: the footer at the end is missing" in s.verb("files", "--state", "waiting", "--json").out,
             "its waiting")
    with open(s.store / "one", "ab") as file:
        file.write(b"1")
    s.wait_run(path)
    s.stop()
    s.check_runs({path: 1})
