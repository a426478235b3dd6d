"""Whoever silences a tool says why, in the same place."""

import re

import common

# Marker, and what a reason looks like behind it.
_EXCUSES = (
    (re.compile(r"NOLINT(?!END)"), re.compile(r"NOLINT(?:NEXTLINE|BEGIN)?\([\w.,-]+\): \S.{9}")),
    (re.compile(r"cppcheck-suppress"), re.compile(r"cppcheck-suppress(?:-\w+)? [\w\[\], ]+; \S.{9}")),
    (re.compile(r"# noqa"), re.compile(r"# noqa: (E402$|[A-Z0-9, ]+ \S.{9})")),
    (re.compile(r"# shellcheck disable"), re.compile(r"# shellcheck disable=[A-Z0-9,]+ # reason: \S.{5}")),
)
_SUFFIXES = (".c", ".h", ".py", ".sh")
_SCRIPTS = ("check", "demo", ".ci/run")


def check(top, report):
    for path in common.tree_files(top):
        if not (path.endswith(_SUFFIXES) or path in _SCRIPTS) or path.startswith("tests/lint/"):
            continue
        before = ""
        for number, line in enumerate(common.read_text(top, path).split("\n"), 1):
            # clang-format 14 knows the bare comment only, so the reason stands above it.
            if "clang-format off" in line and not before.endswith("*/"):
                report.add(path, number, "the line above must say why clang-format is off")
            before = line
            for marker, reason in _EXCUSES:
                if marker.search(line) and not reason.search(line):
                    report.add(path, number, "a tool is silenced without its name and a reason")


common.main("reasons for silenced tools", check)
