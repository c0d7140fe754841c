# SPDX-License-Identifier: ISC
"""Held mail given back to a fast sink, from the operator's word on.

The sink ends by itself with the last message, at a moment that is the
same for everybody; how fast smtp-source fills that sink is the ceiling.
"""

import time

import harness
from report import Result, percent, rate, seconds, times

SIZE = 4096
LONGEST = 300


def run(options):
    count = 4000 if options.quick else 20000
    rounds = [one_round(count) for _ in range(options.rounds)]
    figures = {name: {key: harness.median([r[name][key] for r in rounds])
                      for key in rounds[0][name]}
               for name in rounds[0]}
    return tell(figures, count)


def one_round(count):
    return {
        "spoold": drain(spoold, count),
        "postfix": drain(postfix, count),
        "postfix_100": drain(postfix, count,
                             default_destination_concurrency_limit="100"),
        "source": fill(count),
    }


def spoold(folder, hop):
    return harness.Spoold(folder / "spoold", {harness.DOMAIN: hop})


def postfix(folder, hop):
    return harness.Postfix(folder / "postfix", harness.postfix_holding(hop))


def drain(make, count, **settings):
    hop = harness.free_port()
    with harness.scratch("bench") as folder, \
            make(folder, hop) as server:
        harness.smtp_source(server.port, count, size=SIZE)
        server.settle(120)
        if isinstance(server, harness.Postfix):
            harness.wait_for(lambda: server.deferred() == count, 120,
                             "all mail deferred", every=0.5)
            server.restart(defer_transports="", **settings)
        with harness.Sink(folder / "sink", hop, count) as sink:
            before = server.cpu()
            start = time.monotonic()
            server.flush()
            first = sink.first(LONGEST)
            last = sink.last(LONGEST)
        server.settle()  # recording what was delivered is part of the work
        cpu = server.cpu() - before
        check_given_back(server)
    return {"rate": count / (last - first), "wait": first - start,
            "whole_rate": count / (last - start), "cpu": cpu * 1000 / count}


def check_given_back(server):
    """All but perhaps the last, whose 250 can go down with the sink."""
    if isinstance(server, harness.Spoold) and server.held() > 1:
        raise harness.Failed(f"still held: {server.held()}")


def fill(count):
    with harness.scratch("bench") as folder, \
            harness.Sink(folder / "sink") as sink:
        before = sink.cpu()
        took = harness.smtp_source(sink.port, count, size=SIZE)
        cpu = sink.cpu() - before
    return {"rate": count / took, "whole_rate": count / took, "wait": 0,
            "cpu": cpu * 1000 / count}


def tell(figures, count):
    result = Result(figures=figures)
    table = result.table(
        f"Drain of {count:,} held messages of 4 KB into smtp-sink", "",
        "first to last", "flush to last", "flush to first", "CPU for 1000")
    for name, title in (("spoold", "spoold"),
                        ("postfix", "Postfix, 20 connections"),
                        ("postfix_100", "Postfix, 100 connections")):
        row = figures[name]
        table.add(title, rate(row["rate"]), rate(row["whole_rate"]),
                  seconds(row["wait"]), seconds(row["cpu"]))
    table.add("smtp-source (ceiling)", rate(figures["source"]["rate"]), "",
              "", "")
    own = figures["spoold"]["rate"]
    best = max(figures[name]["rate"] for name in ("postfix", "postfix_100"))
    share = own / figures["source"]["rate"]
    table.add("spoold / the better Postfix", times(own / best), "", "", "")
    table.add("spoold / ceiling", percent(share), "", "", "")
    result.goal("drain: Postfix's rate", own / best, least=5, unit="x")
    result.goal("drain: share of the ceiling", share, least=0.7)
    return result
