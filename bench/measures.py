"""What is measured: one function each, which gives what it found to a Results."""

import signal
import subprocess
import time
from datetime import datetime

from sides import WARM, Brickwatch, BrickwatchPolled, BrickwatchPower, Failed, Floor, Watchdog, cpu_s_of, fsync_s, \
    kept_place, memory_of, running, wait_for, wakeups_of

MIB = 1024 * 1024
QUEUE_FILE = "/proc/sys/fs/inotify/max_queued_events"
BATCH, BATCHES = 5000, 4  # three events a file fit the kernel's queue of 16384
ON_THEIR_WAY = 2000  # names that inotifywait and its pipe can hold beside the kernel's queue


class Results:
    """Values by measure and side; several of a kind are repetitions, in the same order for all sides."""

    def __init__(self):
        self.values = {}
        self.notes = []

    def add(self, measure, side, value):
        self.values.setdefault(measure, {}).setdefault(side, []).append(value)

    def get(self, measure, side):
        return self.values.get(measure, {}).get(side, [])

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)


def say(text):
    print(f"   {text}", flush=True)


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def latencies_s(place):
    """Close to request, of the files after the first ones that have arrived."""
    pairs = list(zip(place.written.times(), place.arrived.times()))[WARM:place.written_n]
    return [(there - closed) / 1e9 for closed, there in pairs if there]


def kinds(bench, *wanted):
    return [k for k in (wanted or bench.sides) if k in bench.sides]


def measure_latency(bench, results):
    """Files at a pace that all can follow; p50 and p99 from the writer's close to the request at the sink."""
    count = bench.latency_files
    for _ in range(bench.repeat):
        for kind in kinds(bench):
            with running(bench, kind, count) as (side, place):
                if kind is BrickwatchPower:
                    results.add("fsync_ms", kind.name, fsync_s(side.state) * 1000)
                place.write_all(count, bench.latency_rate)
                place.wait_arrivals(WARM + count, 30)
                found = latencies_s(place)
            if len(found) < count:
                results.note(f"{kind.label}, latency: {count - len(found)} of {count} files were lost")
            p50, p99 = (percentile(found, part) * 1000 for part in (0.5, 0.99))
            results.add("p50_ms", kind.name, p50)
            results.add("p99_ms", kind.name, p99)
            say(f"{kind.label}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def one_batch(side, place, count, limit_s):
    """Seconds from the moment at which the side's processes may run until the last of count files has arrived, files
    that arrived, and what the sink used of a processor meanwhile."""
    before, sink = place.arrived.distinct(), cpu_s_of(place.sink.pid)
    side.signal_all(signal.SIGSTOP)
    place.write_all(count)
    begun = time.monotonic_ns()
    side.signal_all(signal.SIGCONT)
    place.wait_arrivals(before + count, limit_s)
    arrived = place.arrived.distinct() - before
    took = max(place.arrived.head()[5] - begun, 1) / 1e9
    return took, arrived, cpu_s_of(place.sink.pid) - sink


def measure_throughput(bench, results):
    """Batches of files that are all there when the processes are let go: no writer takes processor time then."""
    for _ in range(bench.repeat):
        for kind in kinds(bench):
            batch = BATCH // kind.slow
            took = arrived = sink = 0
            with running(bench, kind, BATCHES * batch) as (side, place):
                for _ in range(BATCHES):
                    one = one_batch(side, place, batch, bench.limit_s)
                    took, arrived, sink = took + one[0], arrived + one[1], sink + one[2]
            results.add("rate", kind.name, arrived / took)
            results.add("sink_busy", kind.name, sink / took)
            say(f"{kind.label}: {arrived / took:,.0f}/s ({arrived:,} of {BATCHES * batch:,} files; "
                f"the sink was busy for {sink / took:.0%} of the time)")


def rate_of(place, written):
    """Requests a second from the first close to the last request."""
    there = [t for t in place.arrived.times()[WARM:WARM + written] if t]
    first = min(place.written.times()[WARM:WARM + written])
    return len(there) / ((max(there) - first) / 1e9) if there else 0.0


def wait_sent(bench, place, kind, count):
    """Until all is sent or nothing more comes; hopelessly slow sides are not waited for. Gives True if it is over."""
    return place.wait_arrivals(WARM + count, bench.limit_s if kind.slow > 1 else max(bench.limit_s, count / 100))


def count_losses(results, measure, side, place, count, over):
    """Notes what was lost and what came twice. over: nothing more would have come."""
    counts = place.arrived.counts()[WARM:WARM + count]
    lost, twice = counts.count(0), sum(n > 1 for n in counts)
    if not over:
        results.note(f"{side.label}, {measure}: {count - lost:,} of {count:,} files were sent when its time was over")
        with open(QUEUE_FILE, encoding="ascii") as file:
            lost = max(0, lost - int(file.read()) - ON_THEIR_WAY) if side.waits_in_kernel else None
    if lost is not None:
        results.add(f"{measure}_lost", side.name, lost)
    if lost and not over:
        results.note(f"{side.label}, {measure}: as lost count those files that neither the kernel's queue nor a pipe "
                     "could still hold")
    results.add(f"{measure}_twice", side.name, twice)
    say(f"{side.label}: lost {'(unknown)' if lost is None else f'{lost:,}'}, twice {twice:,}")


def measure_burst(bench, results):
    """Many files as fast as the disk takes them: is every one sent, once, and when was the last?"""
    count = bench.files
    for kind in kinds(bench):
        with running(bench, kind, count) as (side, place):
            begun = time.monotonic()
            place.write_all(count)
            written = time.monotonic() - begun
            over = wait_sent(bench, place, kind, count)
            rate = rate_of(place, count)
            count_losses(results, "burst", side, place, count, over)
            if isinstance(side, Brickwatch):
                results.add("burst_overflows", kind.name, count_events(side, b'"watch.overflow"'))
        results.add("burst_rate", kind.name, rate)
        results.add("burst_written", kind.name, count / written)
        say(f"{kind.label}: written {count / written:,.0f}/s, sent {rate:,.0f}/s")


def count_events(side, mark):
    with open(side.events, "rb") as file:
        return sum(mark in line for line in file)


def measure_overflow(bench, results):
    """All processes of a side are stopped while files are written, then continued."""
    count = bench.files // 2
    for kind in kinds(bench):
        with running(bench, kind, count) as (side, place):
            side.signal_all(signal.SIGSTOP)
            place.write_all(count)
            side.signal_all(signal.SIGCONT)
            over = wait_sent(bench, place, kind, count)
            count_losses(results, "overflow", side, place, count, over)


# --- restart

def find_s(folder):
    begun = time.monotonic()
    subprocess.run(["find", folder, "-printf", "%s %T@\n"], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begun


def start_s(side):
    """From exec to the time that its watch.ready event says."""
    begun = time.time()
    side.start(wait=False)
    event = wait_for(side.ready_events, "watch.ready", 600)[0]
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp() - begun


def measure_restart(bench, results):
    """A start over files that are all known: list, stat and look up each, open and send none."""
    count = bench.files
    for kind in kinds(bench, Brickwatch):
        with running(bench, kind, count) as (side, place):
            place.write_all(count)
            place.wait_arrivals(WARM + count, max(bench.limit_s, count / 500))
            if place.arrived.distinct() < WARM + count:
                raise Failed("not all files were started")
            side.stop()
            before = place.arrived.head()[0]
            for _ in range(bench.repeat):
                found, started = find_s(place.drop), start_s(side)
                time.sleep(0.2)
                side.stop()
                results.add("find_s", kind.name, found)
                results.add("restart_s", kind.name, started)
                say(f"{kind.label}: start {started:.2f} s, find {found:.2f} s")
            again = place.arrived.head()[0] - before
            results.add("restart_again", kind.name, again)
            say(f"sent again: {again}")


# --- memory

def memory_by_part(side):
    """{part: (private, resident)}; of brickwatch the dispatcher, and a watcher with its sniffer."""
    parts = {}
    for pid, name in side.pids().items():
        part = {"bw-dispatch": "dispatcher", "bw-watch": "watcher", "bw-sniff": "watcher"}.get(name, "keeper") \
            if isinstance(side, Brickwatch) else "all"
        private, resident = memory_of(pid)
        had = parts.get(part, (0, 0))
        parts[part] = (had[0] + private, had[1] + resident)
    return parts


def wait_idle(side, limit_s):
    """Until its processes use no more processor."""
    last = [-1.0, 0]

    def idle():
        used = sum(cpu_s_of(pid) for pid in side.pids())
        last[:] = [used, last[1] + 1 if used - last[0] < 0.005 else 0]
        return last[1] >= 5
    wait_for(idle, f"{side.name} to be idle", limit_s, 0.2)


def measure_memory(bench, results):
    """Files that wait because nobody answers: the workspace is down (brickwatch), or takes requests and is silent."""
    for kind in kinds(bench, Brickwatch, Floor, Watchdog):
        ours = issubclass(kind, Brickwatch)
        with running(bench, kind, bench.files, "down" if ours else "hold", warm=False) as (side, place):
            # One more than a round number: a sniffer makes way for a fresh one after a number of files, and the next
            # file starts it.
            for count in (0, bench.files // 10 + 1, bench.files + 1):
                place.write_all(count - place.written_n)
                if ours:
                    wait_for(lambda n=count: side.waiting() >= n, f"{count} files to wait", max(60, count / 500), 0.1)
                wait_idle(side, 60)
                for part, (private, resident) in memory_by_part(side).items():
                    step = {0: "none", bench.files + 1: "all"}.get(count, "some")
                    results.add(f"memory_{part}_{step}", kind.name, private / MIB)
                    results.add(f"resident_{part}_{step}", kind.name, resident / MIB)
                    say(f"{kind.label}, {count:,} waiting: {part} {private / MIB:.1f} MiB private, "
                        f"{resident / MIB:.1f} MiB resident")


def measure_idle(bench, results):
    """How often the processes of a side wake up while nothing happens."""
    for kind in kinds(bench):
        if kind is BrickwatchPower:
            continue  # no other program when nothing is written
        with running(bench, kind, 0) as (side, _place):
            time.sleep(2)
            before = sum(wakeups_of(pid) for pid in side.pids())
            cpu = sum(cpu_s_of(pid) for pid in side.pids())
            time.sleep(bench.idle_s)
            woken = sum(wakeups_of(pid) for pid in side.pids()) - before
            cpu = sum(cpu_s_of(pid) for pid in side.pids()) - cpu
        results.add("wakeups", kind.name, woken / bench.idle_s)
        say(f"{kind.label}: {woken} wake-ups in {bench.idle_s} s, {cpu:.2f} s of processor")


# --- scale

def make_tree(top, directories, files):
    """So many files in so many directories, a hundred directories in each."""
    for n in range(directories):
        folder = top / f"{n // 100}" / f"{n}"
        folder.mkdir(parents=True)
        for one in range(n, files, directories):
            with open(folder / f"{one}.csv", "wb") as file:
                file.write(b"a,b\n1,2\n")


def scale_starts(results, side, prefix):
    """The first start and another; the second goes on."""
    for measure in ("first_s", "again_s"):
        found, started = find_s(side.place.drop), start_s(side)
        results.add(f"{prefix}_find_s", "brickwatch", found)
        results.add(f"{prefix}_{measure}", "brickwatch", started)
        say(f"{side.label}, {measure}: {started:.2f} s, find {found:.2f} s")
        if measure == "first_s":
            side.stop()


def measure_scale(bench, results):
    """A tenth as many directories as files, all known: first start, start again, memory, a poll round."""
    with kept_place(bench) as place:
        make_tree(place.drop, bench.files // 10, bench.files)
        for kind, prefix in ((Brickwatch, "scale"), (BrickwatchPolled, "polled")):
            side = kind(bench, place)
            side.keys += "existing = skip\n"
            scale_starts(results, side, prefix)
            if kind is BrickwatchPolled:
                wait_for(lambda s=side: s.watch_line().get("poll_round_ms"), "a poll round", 600, 1)
                results.add("polled_round_s", "brickwatch", side.watch_line()["poll_round_ms"] / 1000)
                say(f"{side.label}: a round takes {results.get('polled_round_s', 'brickwatch')[-1]:.2f} s")
            else:
                wait_idle(side, 60)
            for part, (private, _resident) in memory_by_part(side).items():
                results.add(f"{prefix}_memory_{part}", "brickwatch", private / MIB)
                say(f"{side.label}: {part} {private / MIB:.1f} MiB private")
            side.stop()
            side.forget()


ALL = {
    "latency": measure_latency,
    "throughput": measure_throughput,
    "burst": measure_burst,
    "overflow": measure_overflow,
    "restart": measure_restart,
    "memory": measure_memory,
    "idle": measure_idle,
    "scale": measure_scale,
}
