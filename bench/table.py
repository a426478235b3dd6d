"""The table: what was found by side, beside it the ratio that has a budget, the budget, and whether it is met. Pure."""

import statistics

NONE = "–"


def median(values):
    return statistics.median(values) if values else None


def ratio(over, under):
    """Median of the ratios of each repetition: what disturbed one side disturbed the other."""
    return median([a / b for a, b in zip(over, under) if b])


class Budget:
    """Some values of a row have one: found (or None: not measured), how it is shown, the limit."""

    def __init__(self, limit, form, against="", at_most=True):
        self.limit, self.form, self.against, self.at_most = limit, form, against, at_most

    def text(self):
        return f"{'≤' if self.at_most else '≥'} {self.limit:g}{self.against}"

    def verdict(self, found):
        return "met" if (found <= self.limit if self.at_most else found >= self.limit) else "missed"


FLOOR_3 = Budget(3, "{:.1f} ×", " × floor")
FLOOR_HALF = Budget(0.5, "{:.2f} ×", " × floor", at_most=False)
NOTHING = Budget(0, "{:,.0f}")
MIB_12 = Budget(12, "{:.1f} MiB", " MiB")
FLAT = Budget(1, "{:+.1f} MiB", " MiB more")


def against_floor(measure):
    return lambda r: [ratio(r.get(measure, s), r.get(measure, "floor")) for s in ("brickwatch", "power")]


def latency(measure):
    """With durability = power one fsync comes on top and is taken off here."""
    def found(r):
        less = [p - f for p, f in zip(r.get(measure, "power"), r.get("fsync_ms", "power"))]
        return [ratio(r.get(measure, "brickwatch"), r.get(measure, "floor")), ratio(less, r.get(measure, "floor"))]
    return found


def plain(measure, *sides):
    return lambda r: [median(r.get(measure, s)) for s in sides or ("brickwatch", "power")]


def growth(part):
    def found(r):
        some, most = (median(r.get(f"memory_{part}_{step}", "brickwatch")) for step in ("some", "all"))
        return [most - some if most is not None and some is not None else None]
    return found


def scale_rows(prefix, label):
    def found(r):
        return [ratio(r.get(f"{prefix}_again_s", "brickwatch"), r.get(f"{prefix}_find_s", "brickwatch"))]
    return (
        (f"{label}: the first start", f"{prefix}_first_s", "{:.1f} s", None, None),
        ("… start again", f"{prefix}_again_s", "{:.1f} s", Budget(2, "{:.1f} ×", " × find"), found),
        ("… the same files by find", f"{prefix}_find_s", "{:.1f} s", None, None),
        ("… a poll round", f"{prefix}_round_s", "{:.1f} s", None, None),
        ("… private memory: dispatcher", f"{prefix}_memory_dispatcher", "{:.1f} MiB", None, None),
        ("… watcher + sniffer", f"{prefix}_memory_watcher", "{:.1f} MiB", None, None),
    )


# Label, measure, how a value is shown, budget, what is held against it.
ROWS = (
    ("close → request, p50", "p50_ms", "{:.2f} ms", FLOOR_3, latency("p50_ms")),
    ("close → request, p99", "p99_ms", "{:.2f} ms", FLOOR_3, latency("p99_ms")),
    ("one fsync of this disk", "fsync_ms", "{:.2f} ms", None, None),
    ("throughput", "rate", "{:,.0f}/s", FLOOR_HALF, against_floor("rate")),
    ("burst: sent", "burst_rate", "{:,.0f}/s", None, None),
    ("burst: files lost", "burst_lost", "{:,}", NOTHING, plain("burst_lost")),
    ("burst: files sent twice", "burst_twice", "{:,}", NOTHING, plain("burst_twice")),
    ("overflow: files lost", "overflow_lost", "{:,}", NOTHING, plain("overflow_lost")),
    ("overflow: files sent twice", "overflow_twice", "{:,}", NOTHING, plain("overflow_twice")),
    ("restart, all files known", "restart_s", "{:.2f} s", Budget(2, "{:.1f} ×", " × find"),
     lambda r: [ratio(r.get("restart_s", "brickwatch"), r.get("find_s", "brickwatch"))]),
    ("the same files by find", "find_s", "{:.2f} s", None, None),
    ("restart: files sent again", "restart_again", "{:,}", NOTHING, plain("restart_again", "brickwatch")),
    ("private memory, none waiting: dispatcher", "memory_dispatcher_none", "{:.1f} MiB", None, None),
    ("… watcher + sniffer", "memory_watcher_none", "{:.1f} MiB", None, None),
    ("… all of it", "memory_all_none", "{:.1f} MiB", None, None),
    ("private memory, a tenth waiting: dispatcher", "memory_dispatcher_some", "{:.1f} MiB", None, None),
    ("… watcher + sniffer", "memory_watcher_some", "{:.1f} MiB", None, None),
    ("… all of it", "memory_all_some", "{:.1f} MiB", None, None),
    ("private memory, all waiting: dispatcher", "memory_dispatcher_all", "{:.1f} MiB", MIB_12,
     plain("memory_dispatcher_all", "brickwatch")),
    ("… against a tenth", "memory_dispatcher_all", "{:.1f} MiB", FLAT, growth("dispatcher")),
    ("… watcher + sniffer", "memory_watcher_all", "{:.1f} MiB", MIB_12, plain("memory_watcher_all", "brickwatch")),
    ("… against a tenth", "memory_watcher_all", "{:.1f} MiB", FLAT, growth("watcher")),
    ("… all of it", "memory_all_all", "{:.1f} MiB", None, None),
    ("resident memory, all waiting: dispatcher", "resident_dispatcher_all", "{:.1f} MiB", None, None),
    ("… watcher + sniffer", "resident_watcher_all", "{:.1f} MiB", None, None),
    ("… all of it", "resident_all_all", "{:.1f} MiB", None, None),
    *scale_rows("scale", "a tenth as many directories"),
    *scale_rows("polled", "the same, polled"),
    ("idle: wake-ups", "wakeups", "{:.1f}/s", Budget(0, "{:.1f}/s", "/s"), plain("wakeups", "brickwatch")),
)


def spread(values):
    """Half of what lies between the smallest and the largest, as a part of the median."""
    middle = median(values)
    return (max(values) - min(values)) / 2 / middle if len(values) > 1 and middle else 0.0


def show(values, form):
    if not values:
        return NONE
    text = form.format(median(values))
    return f"{text} ±{spread(values):.0%}" if len(values) > 1 and spread(values) >= 0.005 else text


def budget_cells(r, budget, found_of):
    """[found, asked, verdict]; of brickwatch and of it with durability = power where both were measured."""
    found = [f for f in found_of(r) if f is not None] if budget else []
    if not found:
        return ["", "", ""]
    return [" / ".join(budget.form.format(f) for f in found), budget.text(),
            " / ".join(budget.verdict(f) for f in found)]


def rows_of(r, sides):
    rows = [["measure", *(s.label for s in sides), "found", "budget", "verdict"]]
    for label, measure, form, budget, found_of in ROWS:
        if measure in r.values:
            values = [show(r.get(measure, s.name), form) for s in sides]
            rows.append([label, *values, *budget_cells(r, budget, found_of)])
    return rows


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
    """The whole result, with the table as text or as markdown."""
    notes = "\n".join(f"- {n}" for n in r.notes)
    return "\n\n".join([machine, form(rows_of(r, sides)), *([notes] if notes else [])]) + "\n"
