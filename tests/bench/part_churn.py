# SPDX-License-Identifier: ISC
"""Ten times filled and drained, with a random tenth held throughout.

Each fill brings messages for two targets, in random order: one takes its
mail after the fill, the other, which gets the tenth, does not in all cycles.
So each cycle leaves holes of its own in the store. What is watched is the
store's file beside the most that a file without holes would ever have had to
be, and the slowest commit of a cycle, by the store's own clock.

Twice: as shipped, where the store is compacted after a drain when more than
half of it is free, and without that, which shows what the file does by itself.
"""

import os
import random
import time

import harness
from report import Result, seconds, times

CYCLES = 10
SESSIONS = 20
KEPT_DOMAIN = "kept.test"
LONGEST = 600
CASES = {"shipped": "", "plain": "compact = false"}
TITLES = {"shipped": "as shipped", "plain": "compact = false"}


def run(options):
    count = 3000 if options.quick else 20000
    figures = {name: [] for name in CASES}
    for _ in range(options.rounds):
        for name, store in CASES.items():
            figures[name].append(one_run(count, store))
    return tell({name: middle(rounds) for name, rounds in figures.items()},
                count)


def middle(rounds):
    """The median of each figure of each cycle."""
    return [{key: harness.median([cycles[n][key] for cycles in rounds])
             for key in rounds[0][n]} for n in range(CYCLES)]


def mails(path, count, cycle):
    """Sizes as mail has them: most are small, a few are large."""
    rng = random.Random(cycle)
    kept = 0
    with open(path, "wb") as file:
        for number in range(count):
            size = min(int(rng.lognormvariate(8.5, 1.4)), 2_000_000)
            held = rng.random() < 0.1
            kept += held
            words = rng.randbytes(size // 3).hex(" ", 4)
            content = (f"Subject: {cycle}-{number}\r\n\r\n" + "\r\n".join(
                words[n:n + 76] for n in range(0, len(words), 76))
                + "\r\n.\r\n").encode()
            recipient = "someone@" + (KEPT_DOMAIN if held else harness.DOMAIN)
            file.write(f"{len(content)} {harness.SENDER} {recipient}\n"
                       .encode() + content)
    return kept


class Watch:
    """The store's own figures; the slowest commit since reset."""

    def __init__(self, server):
        self.server = server
        self.slowest = 0

    def look(self):
        status = self.server.ctl("status")
        self.slowest = max(self.slowest,
                           status["counters"]["commit-usec-max"])
        return status

    def reset(self):
        self.look()
        self.slowest = 0

    def wait_held(self, count):
        def there():
            return self.look()["held"]["messages"] == count

        harness.wait_for(there, LONGEST, f"{count} held", every=0.2)


def one_run(count, store):
    hop = harness.free_port()
    targets = {harness.DOMAIN: hop, KEPT_DOMAIN: harness.free_port()}
    options = "probe-min = 1h probe-max = 1h"
    cycles = []
    with harness.scratch("bench") as folder, harness.Spoold(
            folder / "spoold", targets, options=options,
            store=f"keep-delivered = 0 {store}") as server:
        watch = Watch(server)
        kept = 0
        for cycle in range(CYCLES):
            kept += mails(folder / "mails", count, cycle)
            cycles.append(one_cycle(server, watch, folder, hop, count, kept))
            cycles[-1]["packed"] = 0
        cycles[-1]["packed"] = server.ctl("compact")["after"]
    return cycles


def one_cycle(server, watch, folder, hop, count, kept):
    before = watch.look()["held"]["messages"]
    watch.reset()
    start = time.monotonic()
    harness.measured("feed", SESSIONS, count, server.port, folder / "mails")
    watch.wait_held(before + count)
    filled = watch.look()["space"]
    with harness.Sink(folder / "sink", hop):
        server.ctl("target", "retry", "target1")
        watch.wait_held(kept)
    took = time.monotonic() - start
    server.settle(LONGEST)
    drained = watch.look()["space"]
    data = server.folder / "spool" / "data.mdb"
    return {"filled_file": filled["file"], "filled_used": filled["used"],
            "drained_used": drained["used"],
            "data": os.path.getsize(data),
            "slowest": watch.slowest / 1e6, "took": took}


def tell(figures, count):
    result = Result(figures=figures)
    for name, cycles in figures.items():
        table = result.table(
            f"Churn, {TITLES[name]}: {count:,} messages a cycle, a random "
            "tenth stays", "cycle", "full: in use", "file", "drained: in use",
            "file", "slowest commit", "took")
        for n, cycle in enumerate(cycles, 1):
            table.add(n, megabytes(cycle["filled_used"]),
                      megabytes(cycle["filled_file"]),
                      megabytes(cycle["drained_used"]),
                      megabytes(cycle["data"]), milliseconds(cycle["slowest"]),
                      seconds(cycle["took"]))
        # When it is fullest, in a new file: a fill, and what stays of nine.
        packed = cycles[-1]["packed"]
        mark = cycles[0]["filled_used"] + packed * (CYCLES - 1) / CYCLES
        file = max(max(cycle["filled_file"], cycle["data"])
                   for cycle in cycles)
        slower = cycles[-1]["slowest"] / cycles[0]["slowest"]
        table.add("the rest, compacted", "", "", megabytes(packed),
                  times(cycles[-1]["drained_used"] / packed), "", "")
        table.add("file / high-water mark", "", times(file / mark), "", "",
                  "", "")
        result.goal(f"churn, {TITLES[name]}: file / high-water mark",
                    file / mark, most=1.3, unit="x")
        result.goal(f"churn, {TITLES[name]}: slowest commit, last / first",
                    slower, most=2, unit="x")
    return result


def milliseconds(value):
    return f"{value * 1e3:.1f} ms"


def megabytes(value):
    return f"{value / 1e6:,.0f} MB"
