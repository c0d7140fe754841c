# SPDX-License-Identifier: ISC
"""Real mail: rate, wait and bytes on disk, beside Postfix.

The corpus of the interop test, 20 sessions, nothing delivered.
"""

import pathlib
import sys

import harness
from report import Result, rate, times

sys.path.append(str(pathlib.Path(__file__).parent.parent / "interop"))
import corpus  # noqa: E402

SESSIONS = 20
PASSES = {"spoold": 3, "postfix": 1, "sink": 3}


def run(options):
    try:
        messages = corpus.load()
    except corpus.Unavailable as why:
        result = Result()
        result.table(f"Real mail: left out, {why}", "")
        return result
    if options.quick:
        messages = messages[::5]
    with harness.scratch("bench") as folder:
        rounds = measure(folder, messages, options.rounds)
    figures = {name: {key: harness.median([r[name][key] for r in rounds])
                      for key in rounds[0][name]}
               for name in rounds[0]}
    return tell(figures, messages)


def measure(folder, messages, rounds):
    hop = harness.free_port()
    mails = folder / "mails"
    harness.write_mails(mails, map(corpus.dot_stuffed, messages))
    with harness.Spoold(folder / "spoold", {harness.DOMAIN: hop}) as spoold, \
            harness.Postfix(folder / "postfix",
                            harness.postfix_holding(hop)) as postfix, \
            harness.Sink(folder / "sink") as sink:
        servers = {"spoold": spoold, "postfix": postfix, "sink": sink}
        return [{name: one(server, mails, len(messages) * PASSES[name])
                 for name, server in servers.items()}
                for _ in range(rounds)]


def one(server, mails, count):
    server.settle(120)
    cpu, disk = server.cpu(), server.disk()
    figures = harness.measured("feed", SESSIONS, count, server.port, mails)
    cpu = server.cpu() - cpu
    server.settle(120)
    return {"rate": count / figures["seconds"],
            "p50": figures["p50_us"], "p99": figures["p99_us"],
            "cpu": cpu * 1000 / count,
            "disk": (server.disk() - disk) / count}


def tell(figures, messages):
    result = Result(figures=figures)
    mean = sum(map(len, messages)) / len(messages)
    table = result.table(
        f"Real mail ({len(messages):,} messages, {mean:,.0f} bytes on"
        f" average, {SESSIONS} sessions)", "", "rate", "p50", "p99",
        "CPU for 1000", "bytes on disk each")
    for name, title in (("spoold", "spoold"), ("postfix", "Postfix"),
                        ("sink", "smtp-sink")):
        row = figures[name]
        table.add(title, rate(row["rate"]), f"{row['p50'] / 1000:.1f} ms",
                  f"{row['p99'] / 1000:.1f} ms", f"{row['cpu']:.2f} s",
                  f"{row['disk']:,.0f}")
    own, peer = figures["spoold"], figures["postfix"]
    table.add("spoold / Postfix", times(own["rate"] / peer["rate"]),
              times(own["p50"] / peer["p50"]),
              times(own["p99"] / peer["p99"]),
              times(own["cpu"] / peer["cpu"]),
              times(own["disk"] / peer["disk"]))
    return result
