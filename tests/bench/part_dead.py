# SPDX-License-Identifier: ISC
"""A thousand targets, three hundred of them black holes.

Half of these let connections hang, the other half accept them and never say
a word. The others are one quick server by as many names. What they are given
in a second when there is mail for all is put beside what they are given when
there is none for the black holes; both at full speed, both in turn.
"""

import contextlib
import socket

import harness
from part_fragile import Fragile
from report import Result, percent, rate

TARGETS = 1000
DEAD = 300
MB = 1024 * 1024
# Soon noticed, and asked again and again: harder than with the defaults.
OPTIONS = 'probe-min = "1s"\n    probe-max = "10s"'
LONGEST = 300


class Quick(Fragile):
    """It takes what comes."""

    limits = (100000, 0, 0)


@contextlib.contextmanager
def black_holes():
    """A port whose connections hang, and one where nobody speaks."""
    with contextlib.ExitStack() as stack:
        hangs = stack.enter_context(socket.create_server(("127.0.0.1", 0),
                                                         backlog=0))
        mute = stack.enter_context(socket.create_server(("127.0.0.1", 0),
                                                        backlog=4096))
        for _ in range(4):  # the queue of those nobody accepts is full then
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(hangs.getsockname())
        yield hangs.getsockname()[1], mute.getsockname()[1]


def run(options):
    each = 5 if options.quick else 20
    rounds = [(one(each, True), one(each, False))
              for _ in range(options.rounds)]
    figures = {
        name: {key: harness.median([r[n][key] for r in rounds])
               for key in rounds[0][n]}
        for n, name in enumerate(("with", "without"))}
    figures["slower"] = 1 - (figures["with"]["rate"] /
                             figures["without"]["rate"])
    return tell(figures, each)


def one(each, with_dead):
    """Messages for every target, or for those that live."""
    hop = harness.free_port()
    with harness.scratch("bench") as folder, black_holes() as (hangs, mute):
        ports = [hangs if n < DEAD // 2 else mute if n < DEAD else hop
                 for n in range(TARGETS)]
        targets = {f"d{n}.test": port for n, port in enumerate(ports)}
        first = 0 if with_dead else DEAD
        write_mails(folder / "mails", range(first, TARGETS))
        with harness.Spoold(folder / "spoold", targets,
                            options=OPTIONS) as server:
            harness.measured("feed", 20, each * (TARGETS - first),
                             server.port, folder / "mails")
            return drain(server, folder, hop, each * (TARGETS - DEAD))


def write_mails(path, numbers):
    content = b"Subject: held\r\n\r\n" + b"text " * 300 + b"\r\n.\r\n"
    # one target after the other, in a shuffled order that is always the same
    with open(path, "wb") as file:
        for n in sorted(numbers, key=lambda n: n * 7919 % TARGETS):
            file.write(f"{len(content)} {harness.SENDER} a@d{n}.test\n"
                       .encode() + content)


def drain(server, folder, hop, count):
    memory = 0
    with Quick(folder / "sink", hop) as sink:
        def over():
            nonlocal memory
            memory = max(memory, harness.rss_anon(server.process.pid)
                         .get("replay", 0))
            return sink.lines() >= count

        harness.wait_for(over, LONGEST, "the living got their mail", every=0.1)
        sink.end()
    times = sorted(at for at, _ in sink.taken())
    low, high = count // 20, count * 19 // 20
    return {"rate": (high - low) / (times[high] - times[low]),
            "memory": memory}


def tell(figures, each):
    result = Result(figures=figures)
    table = result.table(
        f"{TARGETS:,} targets, {DEAD} of them black holes,"
        f" {each} messages for each", "", "to those that live",
        "replay's memory")
    for name, title in (("with", "mail for all"),
                        ("without", "none for the black holes")):
        table.add(title, rate(figures[name]["rate"]),
                  f"{figures[name]['memory'] / MB:.1f} MB")
    table.add("slower by", percent(figures["slower"]), "")
    result.goal("dead: slower by", figures["slower"] * 100, most=10,
                unit=" %")
    return result
