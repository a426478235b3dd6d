"""bench/run calls this: measures what was named, side by side, and prints the table."""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import measures
import sides
import table

TOP = Path(__file__).resolve().parents[1]


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="bench/run", description="Measures brickwatch beside a bare inotify + curl "
                                     "loop and what people write by hand; see doc/performance.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(measures.ALL)}; all when none is named")
    parser.add_argument("--sides", default="", help=f"only these: {','.join(s.name for s in sides.ALL)}")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions, of which the median is shown (3)")
    parser.add_argument("--files", type=int, default=100000,
                        help="of burst, restart and memory; half of it for overflow (100000)")
    parser.add_argument("--latency-files", type=int, default=300, help="of latency (300)")
    parser.add_argument("--latency-rate", type=int, default=50, help="how many of them a second (50)")
    parser.add_argument("--parallel", type=int, default=8, help="requests at once, for all sides that can (8)")
    parser.add_argument("--limit-s", type=int, default=60, help="no side gets longer to send a batch (60)")
    parser.add_argument("--idle-s", type=int, default=10, help="how long wake-ups are counted (10)")
    parser.add_argument("--work", type=Path, default=TOP / "build/bench/work", help="where files are written")
    parser.add_argument("--program", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--tools", type=Path, required=True, help=argparse.SUPPRESS)
    found = parser.parse_args(arguments)
    unknown = [n for n in found.names if n not in measures.ALL]
    if unknown:
        parser.error(f"no measure is called {unknown[0]}; there are {', '.join(measures.ALL)}")
    return found


class Bench:
    """What all measurements share."""

    def __init__(self, options):
        self.__dict__.update(vars(options))
        names = [n for n in options.sides.split(",") if n]
        self.sides = []
        for side in sides.ALL:
            if names and side.name not in names:
                continue
            if side.why_not():
                print(f"left out: {side.label}: {side.why_not()}")
            else:
                self.sides.append(side)
        self.work = options.work / f"run-{os.getpid()}"

    def tool(self, name):
        return str(self.tools / name)


def words_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def machine_of(bench):
    fs = words_of("findmnt", "-n", "-o", "FSTYPE", "-T", bench.work)
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        models = {line.partition(":")[2].strip() for line in file if line.startswith("model name")}
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / 1024 / 1024
    version = words_of(bench.program, "--version").split("\n")[0]
    load = os.getloadavg()[0]
    model = ", ".join(sorted(models)) or platform.machine()
    return (f"{version}; {os.cpu_count()} processors ({model}), {memory:.0f} GiB, "
            f"Linux {platform.release().split('-')[0]}, {fs}; load before: {load:.1f}; "
            f"{bench.parallel} requests at once; medians of {bench.repeat}, ± is half the range")


def show(bench, results, machine):
    raw = {"machine": machine, "values": results.values, "notes": results.notes}
    json_file, md_file = bench.tools / "result.json", bench.tools / "result.md"
    json_file.write_text(json.dumps(raw, indent=1))
    md_file.write_text(table.render(results, bench.sides, machine, table.as_markdown))
    print("\n" + table.render(results, bench.sides, machine, table.as_text))
    print(f"also as {os.path.relpath(md_file)} and {os.path.relpath(json_file)}")


def run(bench):
    results = measures.Results()
    machine = machine_of(bench)
    failed = 0
    for name in bench.names or measures.ALL:
        print(f"== {name}: {measures.ALL[name].__doc__.splitlines()[0]}", flush=True)
        begun = time.monotonic()
        try:
            measures.ALL[name](bench, results)
        except sides.Failed as error:
            failed = 1
            results.note(f"{name} failed: {error}")
            print(f"   FAILED: {error}")
        print(f"   ({time.monotonic() - begun:.0f} s)", flush=True)
    show(bench, results, machine)
    return failed


def main():
    bench = Bench(options_of(sys.argv[1:]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench.work.mkdir(parents=True)
    try:
        return run(bench)
    finally:
        shutil.rmtree(bench.work, ignore_errors=True)


sys.exit(main())
