"""Rows: many small scenarios in one service, all at the same time, each in a folder of its own below the drop folder.

A row is a function that gets a Row and gives back what it expects: {name: [content of the file at each of its runs]}.
A module makes a Book, registers rows with @book.row(), and has one test for each row and setting (book.cases).
"""

import os
import threading
import traceback
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import harness


class Row:
    """What a row has to work with: its folder below the drop folder, and one outside on the same file system."""

    def __init__(self, service, name):
        self.service, self.name = service, name
        self.dir = service.drop / name
        self.outside = service.outside / name
        self.dir.mkdir()
        self.outside.mkdir()

    def at(self, name):
        return str(self.dir / name)

    def away(self, name):
        return str(self.outside / name)

    def put_away(self, name, data):
        harness.put(self.away(name), data)
        return self.away(name)

    def ran(self, name, count=1):
        return self.service.wait_run(self.at(name), count)

    def not_yet(self, name):
        """Everything that is due by now has been decided, and this file has no run."""
        self.service.barrier(thorough=True, folder=self.dir)
        assert self.service.runs_of(self.at(name)) == [], f"{name} was started before its writer closed"

    def events(self, kind=None):
        prefix = f"{self.dir}/"
        return [e for e in self.service.events(kind) if e.get("path", "").startswith(prefix)]


class Played:
    """All rows of one setting, and what came of them."""

    def __init__(self, service, rows):
        self.service = service
        self.expected, self.failed = {}, {}
        with ThreadPoolExecutor(len(rows)) as pool:
            for name, function in rows.items():
                pool.submit(self._play, name, function)
        service.barrier(thorough=True)
        if "rescan" in next(iter(service.watches.values())):
            service.wait_listings()
        service.stop()

    def _play(self, name, function):
        try:
            self.expected[name] = function(Row(self.service, name))
        except BaseException:
            self.failed[name] = traceback.format_exc()

    def check(self, name):
        """This row's runs are those it expects, each with the content it expects."""
        assert name not in self.failed, self.failed[name]
        prefix = f"{self.service.drop / name}/"
        found = defaultdict(list)
        for seen in self.service.seen:
            if seen.path.startswith(prefix) and not os.path.basename(seen.path).startswith("barrier-"):
                found[seen.path[len(prefix):]].append(seen.content)
        expected = {n: c for n, c in self.expected[name].items() if c}
        assert {n: [harness.describe(c) for c in cs] for n, cs in found.items()} == \
            {n: [harness.describe(c) for c in cs] for n, cs in expected.items()}
        assert dict(found) == expected

    def check_together(self):
        """One run.started for each run; nothing failed, nothing was lost on the way."""
        self.service.check_started()
        kinds = {e["type"] for e in self.service.events()}
        assert kinds <= {"service.started", "service.stopped", "watch.ready", "run.started", "file.rejected",
                         "file.vanished"}, kinds


class Book:
    """The rows of a module. settings: {name: keys of the watch}."""

    def __init__(self, settings):
        self.settings, self.rows = settings, {}
        self.played, self.lock = {}, threading.Lock()

    def row(self, *settings):
        """Registers a row, for these settings or for all."""
        def register(function):
            self.rows[function.__name__] = (function, settings or tuple(self.settings))
            return function
        return register

    @property
    def cases(self):
        return [(s, name) for s in self.settings for name, (_, settings) in self.rows.items() if s in settings]

    def play(self, setting, makers):
        """Plays the rows of a setting, once."""
        with self.lock:
            if setting not in self.played:
                rows = {n: f for n, (f, settings) in self.rows.items() if setting in settings}
                self.played[setting] = Played(makers(**self.settings[setting]).start(), rows)
            return self.played[setting]
