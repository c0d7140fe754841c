# SPDX-License-Identifier: ISC
"""Replay's scheduler over a great backlog, on a virtual clock, without I/O.

A million messages at ten thousand targets, of which 30 in 100 are away for
hours, hang, come and go, put off, refuse connections, break sessions or are
slow; beside that the same with all of them well.
"""

import harness
from report import Result, seconds

TARGETS = 10000
FAILING = 30


def run(options):
    messages = 100_000 if options.quick else 1_000_000
    figures = {}
    for failing in (0, FAILING):
        rounds = [harness.measured("schedule", messages, TARGETS, failing,
                                   seed + 1) for seed in range(options.rounds)]
        figures[str(failing)] = {
            key: harness.median([r[key] for r in rounds])
            for key in ("cpu", "events", "virtual_ms", "sound_ms",
                        "longest_ms")}
    result = Result(figures=figures)
    table = result.table(
        f"Scheduler alone: {messages:,} held messages, {TARGETS:,} targets,"
        " virtual clock", "targets that fail", "one core",
        "all delivered", "of sound targets", "longest wait of one")
    for failing, row in figures.items():
        table.add(f"{failing} %", seconds(row["cpu"]),
                  *(f"{row[key] / 1000:,.0f} s"
                    for key in ("virtual_ms", "sound_ms", "longest_ms")))
    result.goal("schedule: seconds on one core", figures[str(FAILING)]["cpu"],
                most=20, unit=" s")
    return result
