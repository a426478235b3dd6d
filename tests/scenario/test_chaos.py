"""Many things at once, drawn by lot: whatever happened, in the end every file that is there has had a run with its last
content, and none was for a file that was still being written. What a run was for is told by its event: path and `ends`,
the digest of what was judged; at the stand-in the name may mean something else already."""

import hashlib
import os
import random
import threading
import time

import pytest

import harness
from harness import text, wait_for

SECONDS = float(os.environ.get("BW_CHAOS_SECONDS", "4"))
HIDDEN = (".x{}", "{}.csv.part", "{}.csv.filepart", "~${}")


class Actor(threading.Thread):
    """Does one thing after the other in folders that several actors share. Every content is written once only."""

    def __init__(self, service, seed, number):
        super().__init__()
        self.dice = random.Random(f"{seed}/{number}")
        self.service, self.number = service, number
        self.finished = threading.Event()
        self.serial, self.trouble = 0, None
        self.written = set()  # contents that were whole when their writer closed
        self.open = []
        self.did = []

    def run(self):
        end = time.monotonic() + SECONDS
        try:
            while time.monotonic() < end:
                act = self.dice.choice(self.ACTS)
                self.did.append(act.__name__)
                try:
                    act(self)
                except OSError:
                    pass  # somebody else was quicker; that is the point
                if self.dice.random() < 0.3:
                    self.finished.wait(self.dice.random() * 0.05)
            while self.open:
                self.close_one()
        except BaseException as trouble:
            self.trouble = trouble
            raise

    # --- choosing

    def content(self):
        self.serial += 1
        return text(f"actor {self.number} content {self.serial}", self.dice.randrange(1, 40)) + b"9,end\n"

    def folder(self):
        drop = self.service.drop
        if self.dice.random() < 0.5:
            return drop
        return drop / self.dice.choice("abc") / self.dice.choice(("", "x", "y"))

    def name(self, folder):
        """Mostly one of few, so that there are collisions."""
        return folder / f"{self.dice.randrange(12)}.csv"

    def hidden(self, folder):
        return folder / self.dice.choice(HIDDEN).format(f"{self.number}-{self.dice.randrange(5)}")

    def away(self):
        self.serial += 1
        return self.service.outside / f"{self.number}-{self.serial}"

    def write(self, path, mode="xb"):
        content = self.content()
        with open(path, mode, buffering=0) as file:
            middle = len(content) // 2
            file.write(content[:middle])
            file.write(content[middle:])
        self.written.add(content)
        return path

    # --- acts

    def write_in_place(self):
        path = self.name(self.folder())
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        self.write(path)

    def move_in(self):
        os.rename(self.write(self.away()), self.name(self.folder()))

    def link_in(self):
        os.link(self.write(self.away()), self.name(self.folder()))

    def sftp(self):
        folder = self.folder()
        source, target = self.hidden(folder), self.name(folder)
        self.write(source)
        os.link(source, target)
        os.unlink(source)

    def rename_from_hidden(self):
        folder = self.folder()
        source = self.hidden(folder)
        self.write(source)
        os.rename(source, self.name(self.folder() if self.dice.random() < 0.3 else folder))

    def rename(self):
        os.rename(self.name(self.folder()), self.name(self.folder()))

    def exchange(self):
        harness.rename_flags(self.name(self.folder()), self.name(self.folder()), 2)

    def move_out(self):
        os.rename(self.name(self.folder()), self.away())

    def unlink(self):
        os.unlink(self.name(self.folder()))

    def touch(self):
        os.utime(self.name(self.folder()))

    def open_and_close(self):
        os.close(os.open(self.name(self.folder()), os.O_WRONLY))

    def open_one(self):
        """Begins to write, perhaps elsewhere, and goes on with other things."""
        path = self.dice.choice((self.name, self.hidden, lambda _: self.away()))(self.folder())
        content = self.content()
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, content[:len(content) // 2])
        self.open.append((fd, path, content))

    def move_open_one(self):
        """Renames a file whose writer goes on."""
        if self.open:
            at = self.dice.randrange(len(self.open))
            fd, path, content = self.open[at]
            target = self.name(self.folder())
            os.rename(path, target)
            self.open[at] = (fd, target, content)

    def close_one(self):
        if self.open:
            fd, _, content = self.open.pop(self.dice.randrange(len(self.open)))
            os.write(fd, content[len(content) // 2:])
            self.written.add(content)
            os.close(fd)

    def make_folder(self):
        self.folder().mkdir(parents=True)

    def rename_folder(self):
        drop = self.service.drop
        os.rename(drop / self.dice.choice("abc"), drop / self.dice.choice("abc"))

    def exchange_folders(self):
        drop = self.service.drop
        harness.rename_flags(drop / self.dice.choice("abc"), drop / self.dice.choice("abc"), 2)

    def move_tree_in(self):
        tree = self.away()
        for part in ("", "x", "y"):
            (tree / part).mkdir(parents=True, exist_ok=True)
            self.write(tree / part / f"{self.dice.randrange(12)}.csv")
        os.rename(tree, self.service.drop / self.dice.choice("abc"))

    def move_tree_out(self):
        os.rename(self.service.drop / self.dice.choice("abc"), self.away())

    ACTS = ([write_in_place, move_in, link_in, sftp, rename_from_hidden] * 3 + [open_one, close_one] * 3
            + [rename, exchange, move_out, unlink, touch, open_and_close, move_open_one, make_folder, make_folder]
            + [rename_folder, exchange_folders, move_tree_in, move_tree_out])


def digest(content):
    """As the field `ends` has it, for files smaller than 128 KiB."""
    return hashlib.sha256(content).hexdigest()


def files_below(folder):
    """{path: content} of what has a name that is looked at."""
    found = {}
    for here, _, names in os.walk(folder):
        for name in names:
            if name[0].isdigit() and name.endswith(".csv"):
                with open(os.path.join(here, name), "rb") as file:
                    found[os.path.join(here, name)] = file.read()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("keys", [{"settle": "0"}, {"settle": "50ms", "types": "@csv"}], ids=["settle=0", "types"])
def test_chaos(service, keys):
    seed = int(os.environ.get("BW_CHAOS_SEED", random.randrange(1 << 32)))
    print(f"BW_CHAOS_SEED={seed}")
    s = service(**keys).start()
    actors = [Actor(s, seed, n) for n in range(4)]
    for actor in actors:
        actor.start()
    for actor in actors:
        actor.join()
        assert actor.trouble is None
    whole = {digest(content) for actor in actors for content in actor.written}
    left = {path: digest(content) for path, content in files_below(s.drop).items()}

    def unseen():
        """Files that are there, and no run was for what they hold: under this name, or one that they had before."""
        had = {e["ends"] for e in s.events("run.started")}
        return sorted(path for path, ends in left.items() if ends not in had)
    wait_for(lambda: not unseen(), lambda: f"seed {seed}: a run of each of {unseen()} ({len(left)} files are left)")
    s.barrier(thorough=True)
    s.stop()
    assert {path: digest(content) for path, content in files_below(s.drop).items()} == left
    half = [e for e in s.events("run.started") if e["ends"] not in whole and "barrier" not in e["path"]]
    assert not half, f"seed {seed}: started before the last byte: {half}"
    s.check_started()
