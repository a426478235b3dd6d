"""Every configuration key, verb and event stands where users look: key in sample and brickwatch.ini(5), verb and
option in brickwatch(8) and in the verb's help (from which the shells complete), event under a heading of
brickwatch-events(5), each topic of traces in brickwatch-debug(7),
each metric in brickwatch.ini(5), and alert rules use no others. Each field of an event's JSON Schema can be named in
the templates of a notification.

The schema table is read from its source, watcher/core/conf_schema.c: rows `{WATCH, "settle", TYPE, …},`. Each verb is
a file of watcher/cli with `const struct cli_verb cli_NAME = { .name = "NAME",`, and main.c's table names it.
"""

import json
import os
import re

import common

SCHEMA = "watcher/core/conf_schema.c"
SAMPLE = "packaging/config/brickwatch.ini"
KEY_MANUAL = "man/brickwatch.ini.5"
MAIN = "watcher/main.c"
VERB_MANUAL = "man/brickwatch.8"
EVENTS = "watcher/core/event.c"
EVENT_MANUAL = "man/brickwatch-events.5"
FIELDS = "watcher/core/event_text.c"
SCHEMAS = "packaging/schema/"
TOPICS = "include/base/trace.h"
METRICS = "include/core/metrics.h"
TOPIC_MANUAL = "man/brickwatch-debug.7"

_ROW = re.compile(r'\{(SERVICE|EVENTS|WORKSPACE|WATCH|NOTIFY), "([a-z0-9_.*]+)",(.*?)\},\s*(?=\{[A-Z]+, "|\};)', re.S)
_SECTION = re.compile(r"^[;#]?\s*\[([a-z]+)(?::[^\]]*)?\]\s*$")
_ENTRY = re.compile(r"^[;#]?\s*([a-z][a-z0-9_]*(?:\.[A-Za-z0-9_.-]+)?)\s*=")
_EVENT = re.compile(r'\[EVENT_\w+\] = "([a-z.]+)"')
_VERB = re.compile(r'^const struct cli_verb (cli_\w+) = \{\s*\.name = "([a-z]+)"', re.M)
_METRIC = re.compile(r'\bX\(\w+, "(brickwatch_\w+)",')
_TOPIC = re.compile(r'\bX\((\w+), "(\w+)",')
_OPTION = re.compile(r'\{"([a-z-]+)", (no_argument|required_argument), NULL,')
_TOLD = re.compile(r'"  (?:-\w, )?--([a-z-]+)( [A-Z]+)?  +')


def schema_keys(text):
    """{(section, key)}"""
    return {(section.lower(), key) for section, key, _ in _ROW.findall(common.without_comments(text))}


def sample_keys(text):
    """{(section, key): line}; a key that is commented out counts."""
    found = {}
    section = None
    for number, line in enumerate(text.split("\n"), 1):
        match = _SECTION.match(line)
        if match:
            section = match.group(1)
        match = _ENTRY.match(line)
        if match and section:
            key = match.group(1)
            found.setdefault((section, "param.*" if key.startswith("param.") else key), number)
    return found


def plain(roff):
    """What a reader sees of a manual page, roughly: font changes and escapes are gone."""
    roff = re.sub(r'^[.\']\\".*$', "", roff, flags=re.M)
    return re.sub(r"\\f(?:\[\w*\]|\(..|.)", "", roff).replace("\\-", "-").replace("\\&", "").replace("\\_", "_")


def names(text, word):
    return re.search(r"(?<![A-Za-z0-9_])" + re.escape(word) + r"(?![A-Za-z0-9_])", text) is not None


def check_keys(top, report):
    keys = schema_keys(common.read_text(top, SCHEMA))
    if len(keys) < 20:
        report.add(SCHEMA, 0, f"only {len(keys)} rows can be read: has the table another shape?")
    sample = sample_keys(common.read_text(top, SAMPLE))
    manual = plain(common.read_text(top, KEY_MANUAL))
    for section, key in sorted(keys):
        if (section, key) not in sample:
            report.add(SAMPLE, 0, f"lacks {key} of [{section}]")
        if not names(manual, key.replace(".*", ".KEY")):
            report.add(KEY_MANUAL, 0, f"lacks {key} of [{section}]")
    for (section, key), line in sorted(sample.items()):
        if (section, key) not in keys:
            report.add(SAMPLE, line, f"[{section}] has no key {key}")


def check_verbs(top, report):
    verbs = []
    main = common.without_comments(common.read_text(top, MAIN))
    for path in common.c_files(top, "watcher", suffixes=(".c",)):
        for symbol, verb in _VERB.findall(common.read_text(top, path)) if path.startswith("watcher/cli/") else ():
            verbs.append(verb)
            if not re.search(rf"&{symbol}\b", main):
                report.add(MAIN, 0, f"does not know the verb {verb} of {path}")
    if len(verbs) < 3:
        report.add("watcher/cli", 0, f"only {len(verbs)} verbs can be read: have they another shape?")
    text = plain(common.read_text(top, VERB_MANUAL))
    for verb in verbs:
        if not names(text, verb):
            report.add(VERB_MANUAL, 0, f"lacks the verb {verb}")


def check_options(top, report):
    for path in common.c_files(top, "watcher", suffixes=(".c",)):
        if not path.startswith("watcher/cli/") or path == "watcher/cli/cli.c":
            continue
        text = common.without_comments(common.read_text(top, path))
        taken = dict(_OPTION.findall(text))
        told = {name: bool(value) for name, value in _TOLD.findall(text)}
        told.pop("json", None)
        for name, argument in taken.items():
            if told.get(name) != (argument == "required_argument"):
                report.add(path, 0, f"takes --{name} ({argument}), which its help does not tell so")
        for name in told:
            if name not in taken:
                report.add(path, 0, f"its help tells of --{name}, which it does not take")
    manual = plain(common.read_text(top, VERB_MANUAL))
    for path in common.c_files(top, "watcher", suffixes=(".c",)):
        for name, _ in _OPTION.findall(common.read_text(top, path)) if path.startswith("watcher/cli/") else ():
            if not names(manual, f"-{name}"):
                report.add(VERB_MANUAL, 0, f"lacks --{name} of {path}")


def check_events(top, report):
    events = _EVENT.findall(common.without_comments(common.read_text(top, EVENTS)))
    if len(events) < 3:
        report.add(EVENTS, 0, f"only {len(events)} events can be read: has the table another shape?")
    headings = re.findall(r"^\.Ss (.*)$", common.read_text(top, EVENT_MANUAL), re.M)
    described = {word for heading in headings for word in heading.replace(",", " ").split()}
    for event in events:
        if event not in described:
            report.add(EVENT_MANUAL, 0, f"has no heading for {event}")


def schema_fields(schema):
    """Names of fields of an event, not those of an object inside of it."""
    found = set(schema.get("properties", ()))
    for part in schema.get("$defs", {}).values():
        found |= set(part.get("properties", ()))
    return found


def check_fields(top, report):
    table = re.search(r"names\[\] = \{(.*?)\};", common.without_comments(common.read_text(top, FIELDS)), re.S)
    known = set(re.findall(r'"(\w+)"', table.group(1))) if table else set()
    if len(known) < 20:
        report.add(FIELDS, 0, f"only {len(known)} fields can be read: has the table another shape?")
    for path in (p for p in common.tree_files(top) if p.startswith(SCHEMAS)):
        for field in sorted(schema_fields(json.loads(common.read_text(top, path))) - known):
            report.add(FIELDS, 0, f"lacks {field} of {path}")


def check_topics(top, report):
    topics = _TOPIC.findall(common.read_text(top, TOPICS))
    if len(topics) < 3:
        report.add(TOPICS, 0, f"only {len(topics)} topics can be read: has the table another shape?")
    described = re.findall(r"^\.It Cm (\S+)$", common.read_text(top, TOPIC_MANUAL), re.M)
    for _, topic in topics:
        if topic not in described:
            report.add(TOPIC_MANUAL, 0, f"lacks the topic {topic}")
    for topic in described:
        if topic not in {name for _, name in topics}:
            report.add(TOPIC_MANUAL, 0, f"describes {topic}, which is no topic")
    used = set()
    for path in common.c_files(top, "watcher", suffixes=(".c",)):
        used |= set(re.findall(r"\btrace\(TRACE_(\w+),", common.read_text(top, path)))
    for symbol, topic in topics:
        if symbol not in used:
            report.add(TOPICS, 0, f"nothing is traced for {topic}")


def check_metrics(top, report):
    names = _METRIC.findall(common.read_text(top, METRICS))
    if len(names) < 3:
        report.add(METRICS, 0, f"only {len(names)} metrics can be read: has the table another shape?")
    described = re.findall(r"^\.It Li (brickwatch_\w+)$", common.read_text(top, KEY_MANUAL), re.M)
    for name in sorted(set(names) ^ set(described)):
        report.add(KEY_MANUAL, 0, f"{'lacks' if name in names else 'describes'} the metric {name}")
    for path in (p for p in common.tree_files(top) if p.startswith("packaging/prometheus/")):
        for name in sorted(set(re.findall(r"\bbrickwatch_\w+", common.read_text(top, path))) - set(names)):
            report.add(path, 0, f"uses {name}, which is no metric")


def check(top, report):
    for path in (SCHEMA, SAMPLE, KEY_MANUAL, MAIN, VERB_MANUAL, EVENTS, EVENT_MANUAL, FIELDS, TOPICS, TOPIC_MANUAL,
                 METRICS):
        if not os.path.exists(f"{top}/{path}"):
            report.add(path, 0, "is not there")
    if not report.found:
        check_keys(top, report)
        check_verbs(top, report)
        check_options(top, report)
        check_events(top, report)
        check_fields(top, report)
        check_topics(top, report)
        check_metrics(top, report)


common.main("keys, verbs and events", check)
