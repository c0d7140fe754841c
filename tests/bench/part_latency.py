# SPDX-License-Identifier: ISC
"""A lone client's wait from its final dot to the 250.

Beside a bare LMDB commit of the same bytes on the same disk, in turns
short enough that both see the same disk, and beside Postfix.
"""

import base64
import random

import harness
from report import Result, times

SIZE = 4096
MESSAGES = 500
TURNS = 5  # in a round


def run(options):
    count = MESSAGES // 5 if options.quick else MESSAGES
    with harness.scratch("bench") as folder:
        turns = measure(folder, count, options.rounds * TURNS)
    figures = {name: {key: harness.median([turn[name][key]
                                           for turn in turns])
                      for key in ("p50_us", "p99_us")}
               for name in turns[0]}
    return tell(figures)


def measure(folder, count, turns):
    hop = harness.free_port()
    mails = folder / "mails"
    harness.write_mails(mails, [message(n) for n in range(MESSAGES)])
    (folder / "lmdb").mkdir()
    with harness.Spoold(folder / "spoold", {harness.DOMAIN: hop}) as spoold, \
            harness.Postfix(folder / "postfix",
                            harness.postfix_holding(hop)) as postfix:
        return [turn(folder, mails, count, spoold, postfix)
                for _ in range(turns)]


def turn(folder, mails, count, spoold, postfix):
    postfix.settle()
    figures = {
        "spoold": harness.measured("feed", 1, count, spoold.port, mails),
        "lmdb": harness.measured("lmdb_commit", count, folder / "lmdb",
                                 mails),
    }
    figures["postfix"] = harness.measured("feed", 1, count // 2,
                                          postfix.port, mails)
    return figures


def message(number):
    """SIZE bytes that compress like mail with an attachment: hardly."""
    noise = base64.encodebytes(random.Random(number).randbytes(SIZE * 3 // 4))
    head = f"Subject: number {number}\n\n".encode()
    text = (head + noise).replace(b"\n", b"\r\n")
    return text[:SIZE - 2].rstrip(b"\r\n") + b"\r\n.\r\n"


def tell(figures):
    result = Result(figures=figures)
    table = result.table("A lone client, final dot to 250 (4 KB, us)", "",
                         "p50", "p99")
    for name, title in (("spoold", "spoold"), ("lmdb", "bare LMDB commit"),
                        ("postfix", "Postfix")):
        table.add(title, figures[name]["p50_us"], figures[name]["p99_us"])
    p50, p99 = (figures["spoold"][key] / figures["lmdb"][key]
                for key in ("p50_us", "p99_us"))
    table.add("spoold / LMDB", times(p50), times(p99))
    result.goal("latency p50: of a bare LMDB commit", p50, most=1.5,
                unit="x")
    return result
