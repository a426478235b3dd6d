"""Counts test results for ./check.

    tally.py trs FILE PART DIR     adds up what automake's .trs files in DIR (with their .log) say
    tally.py junit FILE PART XML [AGAIN]   the same for a pytest report (and of what failed, run again)
    tally.py one FILE PART passed|failed|skipped   one result, of a build for instance
    tally.py total FILE            prints the last line of ./check; exit 1 if anything failed or nothing ran

FILE collects one line a part. A cmocka program counts as its tests, any other program as one.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree

KINDS = ("passed", "failed", "skipped")
_TRS = {"PASS": "passed", "XFAIL": "passed", "SKIP": "skipped", "FAIL": "failed", "XPASS": "failed", "ERROR": "failed"}
_CMOCKA = (("passed", r"^\[       OK \] "), ("failed", r"^\[  FAILED  \] "), ("skipped", r"^\[  SKIPPED \] "))


def count_cmocka(log):
    """Counts of a cmocka log. FAILED and SKIPPED stand again in its summary, there also as "group: 2 test(s)"."""
    counts = {}
    for kind, pattern in _CMOCKA:
        names = re.findall(pattern + r"(\S+)$", log, re.M)
        counts[kind] = len(names) if kind == "passed" else len(set(names))
    return counts


def count_trs(folder):
    total = dict.fromkeys(KINDS, 0)
    for trs in sorted(pathlib.Path(folder).rglob("*.trs")):
        match = re.search(r"^:global-test-result: (\w+)", trs.read_text(), re.M)
        outcome = _TRS.get(match.group(1) if match else "ERROR", "failed")
        log = trs.with_suffix(".log")
        counts = count_cmocka(log.read_text(errors="replace")) if log.exists() else dict.fromkeys(KINDS, 0)
        if not any(counts.values()):
            counts[outcome] = 1
        elif outcome == "failed" and not counts["failed"]:
            counts["failed"] = 1  # it died between tests, or left memory behind
        for kind in KINDS:
            total[kind] += counts[kind]
    return total


def count_junit(report):
    total = dict.fromkeys(KINDS, 0)
    try:
        suites = xml.etree.ElementTree.parse(report).getroot().iter("testsuite")
    except (OSError, xml.etree.ElementTree.ParseError):
        return {**total, "failed": 1}  # pytest itself died
    for suite in suites:
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        total["failed"] += bad
        total["skipped"] += skipped
        total["passed"] += max(0, int(suite.get("tests", 0)) - bad - skipped)
    return total


def count_junit_twice(report, again):
    total = count_junit(report)
    if again and pathlib.Path(again).exists():
        failed = count_junit(again)["failed"]
        total["passed"] += total["failed"] - failed
        total["failed"] = failed
    return total


def total_line(path):
    total = dict.fromkeys(KINDS, 0)
    for line in pathlib.Path(path).read_text().splitlines():
        for kind, number in zip(KINDS, line.split()[1:]):
            total[kind] += int(number)
    return total


def main():
    what, path, *rest = sys.argv[1:]
    if what == "total":
        total = total_line(path)
        print(f"{total['passed']} passed, {total['failed']} failed"
              + (f", {total['skipped']} skipped" if total["skipped"] else ""))
        sys.exit(1 if total["failed"] or not total["passed"] else 0)
    part, thing, *again = rest
    if what == "one":
        counts = {kind: int(kind == thing) for kind in KINDS}
    else:
        counts = count_trs(thing) if what == "trs" else count_junit_twice(thing, again[0] if again else None)
    with open(path, "a", encoding="ascii") as out:
        print(part, *(counts[kind] for kind in KINDS), file=out)


main()
