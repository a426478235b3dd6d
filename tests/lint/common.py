"""What the lints share: which files there are, C without comments, include lines, the report.

Each lint is a program: `lint_x.py [--top DIR]` prints `file:line: what is wrong` and exits 1 when it found something,
0 when not, 77 (automake: skipped) when a tool it needs is not there. Standard library only.
"""

import argparse
import os
import pathlib
import re
import shlex
import sys

SKIPPED = 77

# May include: itself and these (doc/architecture.md, layers).
LAYERS = {
    "base": (),
    "core": ("base",),
    "confine": ("base", "core"),
    "keep": ("base", "core", "confine"),
    "sniff": ("base", "core", "confine"),
    "sense": ("base", "core", "confine"),
    "dispatch": ("base", "core", "confine"),
    "cli": ("base", "core", "confine", "keep", "sniff", "sense", "dispatch"),
}

# Made by autotools, by a build or by Python; never part of the tree.
_MADE_DIRS = {".git", "__pycache__", ".pytest_cache", ".hypothesis", ".deps"}
_MADE_AT_TOP = {
    "aclocal.m4", "autom4te.cache", "build", "build-aux", "configure", "configure~", "Makefile.in",
    "Makefile", "config.log", "config.status", "brickwatch", "test-suite.log", "_build", "_inst",
}
_MADE_SUFFIXES = (".o", ".a", ".trs", ".pyc", ".dirstamp")
_BINARY = re.compile(r"tests/(unit/test|sim/sim|fuzz/fuzz)_\w+(\.log)?$|tests/(lint/)?\w+\.log$|brickwatch-[^/]*$")


def tree_files(top):
    """All files of the source tree as sorted relative paths with forward slashes."""
    found = []
    for folder, dirs, files in os.walk(top):
        here = os.path.relpath(folder, top)
        prefix = "" if here == "." else here + "/"
        dirs[:] = [d for d in dirs if d not in _MADE_DIRS and not (not prefix and d in _MADE_AT_TOP)
                   and not _BINARY.match(prefix + d)]
        for name in files:
            path = prefix + name
            if (not prefix and name in _MADE_AT_TOP) or name.endswith(_MADE_SUFFIXES) or _BINARY.match(path):
                continue
            found.append(path)
    return sorted(found)


def c_files(top, *folders, suffixes=(".c", ".h")):
    """The C files below these folders (all that hold C when none is named)."""
    folders = folders or ("include", "watcher", "tests", "bench")
    return [p for p in tree_files(top) if p.endswith(suffixes) and p.split("/")[0] in folders]


def read_text(top, path):
    return (pathlib.Path(top) / path).read_text(encoding="utf-8", errors="replace")


_TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    """C with comments blanked out; lines stay where they are."""
    return _TOKEN.sub(lambda m: _blank(m.group()) if m.group().startswith("/") else m.group(), text)


def code_only(text):
    """C with comments and the insides of literals blanked out."""
    return _TOKEN.sub(lambda m: _blank(m.group()), text)


_INCLUDE = re.compile(r"""^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]*)"|<([^>\n]*)>|(\S[^\n]*))""", re.M)


def includes(text):
    """Include lines as (line number, "quote" | "angle" | "macro", name)."""
    plain = without_comments(text)
    found = []
    for match in _INCLUDE.finditer(plain):
        line = plain.count("\n", 0, match.start()) + 1
        for kind, name in zip(("quote", "angle", "macro"), match.groups()):
            if name is not None:
                found.append((line, kind, name.strip()))
    return found


def layer_of(path):
    """The layer a file belongs to, "main" for watcher/main.c, None for files of no layer."""
    if path == "watcher/main.c":
        return "main"
    parts = path.split("/")
    if parts[0] in ("include", "watcher") and len(parts) > 2:
        return parts[1]
    match = re.match(r"tests/unit/test_([a-z0-9]+)_\w+\.c$", path)
    return match.group(1) if match else None


def make_variables(text):
    """Makefile.am's variables as {name: [words]}; all branches of conditionals count."""
    lines = [line for line in text.split("\n") if not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    variables = {}
    for line in joined.split("\n"):
        match = re.match(r"([A-Za-z0-9_]+) *\+?= *(.*)$", line)
        if match:
            variables.setdefault(match.group(1), []).extend(match.group(2).split())
    return variables


def c_defines():
    """What the build defines on the command line; by hand, something of the same shape."""
    return shlex.split(os.environ.get("BW_DEFINES", r"""
        -DBW_VERSION=\"0\" -DBW_SYSCONFDIR=\"/etc\" -DBW_LOCALSTATEDIR=\"/var\" -DBW_RUNSTATEDIR=\"/run\"
        -DBW_DATADIR=\"/usr/share\" -DBW_MAGIC_FILE=\"/usr/share/misc/magic.mgc\" """))


class Report:
    def __init__(self):
        self.found = 0

    def add(self, path, line, text):
        self.found += 1
        print(f"{path}:{line}: {text}" if line else f"{path}: {text}")


def main(what, check):
    """Runs check(top, report) as a program."""
    here = pathlib.Path(__file__).resolve()
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--top", default=str(here.parents[2]), help="top of the source tree")
    options = parser.parse_args()
    report = Report()
    check(os.path.abspath(options.top), report)
    print(f"{what}: {report.found or 'nothing'} found")
    sys.exit(1 if report.found else 0)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def asked_to_skip(name):
    """BW_SKIP holds names of slow lints that another part of ./check runs."""
    if name in os.environ.get("BW_SKIP", "").split():
        skip(f"BW_SKIP names {name}")
