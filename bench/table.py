"""The table: what was found by side, the ratio against the floor, the budget and whether it is met. Pure."""

import statistics

NONE = "–"

# Label, measure, how a value is shown.
ROWS = (
    ("close → request, p50", "p50_ms", "{:.2f} ms"),
    ("close → request, p99", "p99_ms", "{:.2f} ms"),
    ("throughput", "rate", "{:,.0f}/s"),
    ("burst: throughput", "burst_rate", "{:,.0f}/s"),
    ("burst: lost", "burst_lost", "{:,}"),
    ("burst: twice", "burst_twice", "{:,}"),
    ("overflow: lost", "overflow_lost", "{:,}"),
    ("overflow: twice", "overflow_twice", "{:,}"),
    ("restart: until listed", "restart_s", "{:.2f} s"),
    ("restart: sent again", "restart_again", "{:,}"),
    ("memory, none waiting: dispatcher", "memory_dispatcher_none", "{:.1f} MiB"),
    ("memory, none waiting: watcher + sniffer", "memory_watcher_none", "{:.1f} MiB"),
    ("memory, none waiting: all of it", "memory_all_none", "{:.1f} MiB"),
    ("memory, a tenth waiting: dispatcher", "memory_dispatcher_some", "{:.1f} MiB"),
    ("memory, a tenth waiting: watcher + sniffer", "memory_watcher_some", "{:.1f} MiB"),
    ("memory, a tenth waiting: all of it", "memory_all_some", "{:.1f} MiB"),
    ("memory, all waiting: dispatcher", "memory_dispatcher_all", "{:.1f} MiB"),
    ("memory, all waiting: watcher + sniffer", "memory_watcher_all", "{:.1f} MiB"),
    ("memory, all waiting: all of it", "memory_all_all", "{:.1f} MiB"),
    ("resident, all waiting: dispatcher", "resident_dispatcher_all", "{:.1f} MiB"),
    ("resident, all waiting: watcher + sniffer", "resident_watcher_all", "{:.1f} MiB"),
    ("resident, all waiting: all of it", "resident_all_all", "{:.1f} MiB"),
    ("idle wake-ups", "wakeups", "{:.1f}/s"),
)


def median(values):
    return statistics.median(values) if values else None


def spread(values):
    """Half of what lies between the smallest and the largest, as a part of the median."""
    middle = median(values)
    return (max(values) - min(values)) / 2 / middle if len(values) > 1 and middle else 0.0


def show(values, form):
    if not values:
        return NONE
    text = form.format(median(values))
    return f"{text} ±{spread(values):.0%}" if len(values) > 1 and spread(values) >= 0.005 else text


def ratio(over, under):
    """Median of the ratios of each repetition: what disturbed one side disturbed the other."""
    pairs = [a / b for a, b in zip(over, under) if b]
    return median(pairs)


class Budget:
    """A line of the second half: what is compared, how, and whether that is enough."""

    def __init__(self, label, found, against, limit, at_most=True):
        self.label, self.found, self.against, self.limit, self.at_most = label, found, against, limit, at_most

    def is_met(self):
        return self.found <= self.limit if self.at_most else self.found >= self.limit

    def cells(self):
        sign = "≤" if self.at_most else "≥"
        unit = " ×" if self.against in ("floor", "find") else f" {self.against}" if self.against else ""
        return [self.label, f"{self.found:.2f}{unit}" if self.against else f"{self.found:.0f}",
                f"{sign} {self.limit:g}{unit}{' ' + self.against if unit == ' ×' else ''}",
                "met" if self.is_met() else "missed"]


def budgets(r):
    """The budgets of doc/performance.md that these results say something about."""
    found = []

    def add(label, value, against, limit, at_most=True):
        if value is not None:
            found.append(Budget(label, value, against, limit, at_most))

    add("latency p50", ratio(r.get("p50_ms", "brickwatch"), r.get("p50_ms", "floor")), "floor", 3)
    add("latency p99", ratio(r.get("p99_ms", "brickwatch"), r.get("p99_ms", "floor")), "floor", 3)
    for part in ("p50", "p99"):
        less = [p - f for p, f in zip(r.get(f"{part}_ms", "power"), r.get("fsync_ms", "power"))]
        add(f"latency {part}, power, less one fsync", ratio(less, r.get(f"{part}_ms", "floor")), "floor", 3)
    add("throughput", ratio(r.get("rate", "brickwatch"), r.get("rate", "floor")), "floor", 0.5, False)
    add("throughput, power", ratio(r.get("rate", "power"), r.get("rate", "floor")), "floor", 0.5, False)
    for side in ("brickwatch", "power"):
        for measure in ("burst", "overflow"):
            for what in ("lost", "twice"):
                add(f"{measure}, {side}: {what}", median(r.get(f"{measure}_{what}", side)), "", 0)
    add("restart over known files", ratio(r.get("restart_s", "brickwatch"), r.get("find_s", "brickwatch")), "find", 2)
    add("restart: sent again", median(r.get("restart_again", "brickwatch")), "", 0)
    for part, label in (("dispatcher", "dispatcher"), ("watcher", "watcher + sniffer")):
        all_waiting, some = (median(r.get(f"memory_{part}_{step}", "brickwatch")) for step in ("all", "some"))
        add(f"memory, private: {label}", all_waiting, "MiB", 12)
        if some:
            add(f"memory, ten times as many waiting: {label}", all_waiting - some, "MiB", 1)
    add("idle: wake-ups of brickwatch a second", median(r.get("wakeups", "brickwatch")), "/s", 0)
    return found


def values_table(r, sides):
    rows = [["measure", *(s.label for s in sides)]]
    for label, measure, form in ROWS:
        if measure in r.values:
            rows.append([label, *(show(r.get(measure, s.name), form) for s in sides)])
    return rows


def budgets_table(r):
    found = [b.cells() for b in budgets(r)]
    return [["budget", "found", "asked", "verdict"], *found] if found else []


def as_text(rows):
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = [f"{row[0]:<{widths[0]}}  " + "  ".join(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:])) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def as_markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|" + "--:|" * (len(rows[0]) - 1))
    return "\n".join(lines)


def render(r, sides, machine, form):
    """The whole result as text, or as markdown."""
    tables = [form(rows) for rows in (values_table(r, sides), budgets_table(r)) if len(rows) > 1]
    return "\n\n".join([machine, *tables, *(["\n".join(r.notes)] if r.notes else [])]) + "\n"
