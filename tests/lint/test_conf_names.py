"""Sample and manual say of every configuration key what the schema table says: that it is there, its default, its
bounds, its words, and whether it works in this version. lint_keys.py looks at names only; this one reads the rows.

Each check is a function of texts that returns complaints, so that it can be tried on damaged texts too.
"""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

import common

TOP = pathlib.Path(os.environ.get("BW_TOP") or pathlib.Path(__file__).resolve().parents[2])
SCHEMA = "watcher/core/conf_schema.c"
SAMPLE = "packaging/config/brickwatch.ini"
MANUAL = "man/brickwatch.ini.5"

ROW = re.compile(r'\{(SERVICE|EVENTS|WORKSPACE|WATCH|NOTIFY), "([a-z0-9_.*]+)", ([A-Z]+), '
                 r'(?:0|AT\(\w+, \w+\)), (.*?)\},\n(?=\t\{|\n|\};)', re.S)
TEXT = r'(NULL|"[^"]*")'


class Key:
    """One row of the table."""

    def __init__(self, section, name, rest, words):
        self.section = section.lower()
        self.name = name
        texts = re.match(rf'{TEXT}(?:,\s*{TEXT},\s*{TEXT})?', rest).groups()
        self.default, self.low, self.high = (None if t in (None, "NULL") else t.strip('"') for t in texts)
        self.multi = "MULTI" in rest
        table = re.search(r"\.words = (\w+)", rest)
        self.words = words.get(table.group(1), []) if table else []  # those of trace are no table of this file

    def __repr__(self):
        return f"{self.name} of [{self.section}]"


def read(path):
    return (TOP / path).read_text(encoding="utf-8")


def schema_keys(text):
    text = common.without_comments(text)
    words = {name: [w for w in re.findall(r'"([^"]*)"', body) if w]
             for name, body in re.findall(r"\*const ([A-Z_]+)\[\] = \{(.*?)\};", text, re.S)}
    return [Key(section, name, rest, words) for section, name, _, rest in ROW.findall(text)]


# ---- the sample

def sample_entries(text):
    """[(section, key, value, is commented out, the comment block it stands in)]"""
    entries = []
    section = None
    block = []
    for line in text.split("\n"):
        header = re.match(r"#?\[(\w+)(?::[^]]*)?\]$", line)
        entry = re.match(r"(#?)([a-z][\w.]*) = (.*)$", line)
        if header:
            section = header.group(1)
        elif entry:
            name = "param.*" if entry.group(2).startswith("param.") else entry.group(2)
            entries.append((section, name, entry.group(3), bool(entry.group(1)), block))
            continue
        if not line:
            block = []
        elif line.startswith("# "):
            block.append(line[2:])
    return entries


def check_sample(keys, text):
    found = {}
    complaints = []
    for section, name, value, off, block in sample_entries(text):
        if (section, name) in found and section != "notify":  # of which there are two: by mail, by webhook
            complaints.append(f"{name} of [{section}] stands twice")
        found.setdefault((section, name), (value, off, " ".join(block).lower()))
    known = {(k.section, k.name): k for k in keys}
    complaints += [f"{name} of [{section}] is not in the table" for section, name in found
                   if (section, name) not in known]
    for place, key in known.items():
        if place not in found:
            complaints.append(f"{key} is missing")
            continue
        value, off, block = found[place]
        if key.default is not None and (not off or value != key.default):
            complaints.append(f"{key} should be commented out with its default {key.default}")
        if key.default is not None and not block.endswith("default:"):
            complaints.append(f"{key}: its comment should end in Default:")
        if key.default is None and block.endswith("default:"):
            complaints.append(f"{key} has no default, but its comment says so")
        said = f"{block} {value.lower()}"
        complaints += [f"{key}: its comment lacks {word}" for word in key.words
                       if not re.search(rf"(?<![\w+-]){re.escape(word.lower())}(?![\w+-])", said)]
    return complaints


# ---- the manual

def plain(line):
    """A line of mdoc as it is read, roughly."""
    if line.startswith("."):
        line = re.sub(r'\b(?:Ns|No|Li|Ar|Ic|Ql|Op|Em|Po|Pc|Pq|Sx|Pa|Xr)\b ?|^\.\w+ ?', "", line).replace('"', "")
    return line.replace("\\&", "").replace("\\e", "\\")


def manual_items(text):
    """[(section, key, its text, does it stand alone)]; keys that stand together share the text behind the last."""
    items = []
    for section, part in re.findall(r"^\.Sh (SERVICE|EVENTS|WORKSPACE|WATCH|NOTIFY)\n(.*?)(?=^\.Sh )", text,
                                    re.S | re.M):
        waiting = []
        body = []
        depth = 0

        def finish(section=section):
            items.extend((section.lower(), name, " ".join(heads + body), len(waiting) == 1) for name, heads in waiting)

        for line in part.split("\n"):
            depth += line.startswith(".Bl") - line.startswith(".El")
            item = re.match(r"\.It Ic ([\w.]+) No = (.*)", line)
            if item and depth == 1:
                if body:
                    finish()
                    waiting, body = [], []
                name = "param.*" if item.group(1) == "param.KEY" else item.group(1)
                waiting.append((name, [plain(item.group(2))]))
            elif waiting and (depth or line.startswith(".El")):
                body.append(plain(line))
        finish()
    return items


def has_word(text, word):
    return re.search(rf"(?<![\w/.+-]){re.escape(word)}(?![\w/+-])(?!\.\w)", text) is not None


def check_manual(keys, text):
    complaints = []
    found = {}
    for section, name, body, alone in manual_items(text):
        if (section, name) in found:
            complaints.append(f"{name} of [{section}] stands twice")
        found[section, name] = (body, alone)
    known = {(k.section, k.name): k for k in keys}
    complaints += [f"{name} of [{section}] is not in the table" for section, name in found
                   if (section, name) not in known]
    for place, key in known.items():
        if place not in found:
            complaints.append(f"{key} is missing")
            continue
        body, alone = found[place]
        default = re.search(r"Default: (\S+)", body)
        if key.default is not None and (not default or default.group(1).rstrip(".;") != key.default):
            complaints.append(f"{key} should say Default: {key.default}")
        complaints += [f"{key} lacks its bound {bound}" for bound in (key.low, key.high)
                       if bound is not None and not has_word(body, bound)]
        complaints += [f"{key} lacks its word {word}" for word in key.words if not has_word(body, word)]
        if alone and key.multi != ("several values" in body):
            complaints.append(f"{key}: whether it takes several values is not as in the table")
    return complaints


# ---- the tree

@pytest.fixture(name="keys", scope="module")
def _keys():
    return schema_keys(read(SCHEMA))


def test_every_row_is_read(keys):
    assert len(keys) == len(re.findall(r"\.help = ", read(SCHEMA)))
    assert len(keys) > 90
    settle = [k for k in keys if k.name == "settle"][0]
    assert (settle.default, settle.low, settle.high) == (None, "0", "24h")
    rate = [k for k in keys if repr(k) == "rate of [workspace]"][0]
    assert (rate.default, rate.low, rate.high) == ("5/s", "1/365d", "1000000/s")
    assert [k.words for k in keys if k.name == "durability"] == [["power", "process"]]


def test_sample(keys):
    assert not check_sample(keys, read(SAMPLE))


def test_manual(keys):
    assert not check_manual(keys, read(MANUAL))


def test_manual_is_good_mdoc():
    """What mandoc complains about, but for style."""
    if not shutil.which("mandoc"):
        pytest.skip("no mandoc here")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(TOP / MANUAL)], capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stdout) == (0, "")


# ---- the checks find what they are for

@pytest.mark.parametrize("old, new, complaint", [
    ("#burst = 20\n", "", "burst of [workspace] is missing"),
    ("#burst = 20\n", "#burst = 21\n", "burst of [workspace] should be commented out with its default 20"),
    ("#burst = 20\n", "burst = 20\n", "burst of [workspace] should be commented out with its default 20"),
    ("#burst = 20\n", "#burst = 20\n#bursts = 1\n", "bursts of [workspace] is not in the table"),
    ("#burst = 20\n", "#burst = 20\n#burst = 20\n", "burst of [workspace] stands twice"),
    ("Highest TLS version", "Default: Highest TLS version", None),
    ("# Version of the Jobs API: 2.0, 2.1, 2.2. Default:", "# Version of the Jobs API: 2.0, 2.2. Default:",
     "api_version of [workspace]: its comment lacks 2.1"),
])
def test_sample_planted(keys, old, new, complaint):
    text = read(SAMPLE)
    assert old in text
    complaints = check_sample(keys, text.replace(old, new, 1))
    assert complaints == ([] if complaint is None else [complaint])


@pytest.mark.parametrize("old, new, complaint", [
    (".It Ic burst No = Ar number\n", ".It Ic bursts No = Ar number\n", "burst of [workspace] is missing"),
    (".It Ic burst No = Ar number\n", ".It Ic bursts No = Ar number\n", "bursts of [workspace] is not in the table"),
    ("Default:\n.Li 20 .", "Default:\n.Li 21 .", "burst of [workspace] should say Default: 20"),
    ("to\n.Li 64MiB .", "to\n.Li 65MiB .", "type_bytes of [watch] lacks its bound 64MiB"),
    ("2.0 | 2.1 | 2.2", "2.0 | 2.2", "api_version of [workspace] lacks its word 2.1"),
    ("The folder to watch; several values.", "The folder to watch.",
     "directory of [watch]: whether it takes several values is not as in the table"),
])
def test_manual_planted(keys, old, new, complaint):
    text = read(MANUAL)
    assert old in text
    assert complaint in check_manual(keys, text.replace(old, new, 1))
