# SPDX-License-Identifier: ISC
"""Mail taken and made durable, nothing delivered: rate and processor time.

The same smtp-source against spoold and Postfix, whose next hop is down,
and against smtp-sink, which stores nothing: the ceiling of this loader on
this machine.
"""

import dataclasses

import harness
from report import Result, percent, rate, seconds, times


@dataclasses.dataclass
class Case:
    sessions: int
    size: int
    reuse: bool
    least_of_postfix: float = None  # the goals, where there is one
    least_of_ceiling: float = None

    def __str__(self):
        kept = "reused" if self.reuse else "one each"
        return f"{self.sessions} x {self.size // 1024} KB, {kept}"


CASES = [
    Case(20, 4096, True, 6, 0.6),
    Case(20, 20480, True, 4, 0.6),
    Case(20, 4096, False, 4, 0.6),
    Case(1, 4096, True),
    Case(100, 4096, True),
]
MORE_CASES = [
    Case(1, 4096, False),
    Case(20, 20480, False),
    Case(20, 61440, True),
    Case(100, 4096, False),
]

TRIAL_MESSAGES = 300
MOST_MESSAGES = 50000


def run(options):
    result = Result()
    table = result.table(
        "Durable accept (smtp-source; CPU for 1000 messages)", "",
        "spoold", "Postfix", "smtp-sink", "of Postfix", "of sink",
        "CPU spoold", "CPU Postfix", "less by")
    for case in CASES + (MORE_CASES if options.all else []):
        figures = run_case(case, options)
        result.figures[str(case)] = figures
        add_row(result, table, case, figures)
    return result


def run_case(case, options):
    """{server: {"rate", "cpu"}}, medians over the rounds."""
    hop = harness.free_port()
    with harness.scratch("bench") as folder, \
            harness.Spoold(folder / "spoold",
                           {harness.DOMAIN: hop}) as spoold, \
            harness.Postfix(folder / "postfix",
                            harness.postfix_holding(hop)) as postfix, \
            harness.Sink(folder / "sink") as sink:
        servers = {"spoold": spoold, "postfix": postfix, "sink": sink}
        counts = {name: trial(case, server, options)
                  for name, server in servers.items()}
        rounds = [{name: measure(case, server, counts[name])
                   for name, server in servers.items()}
                  for _ in range(options.rounds)]
    return {name: {key: harness.median([r[name][key] for r in rounds])
                   for key in ("rate", "cpu")}
            for name in servers}


def trial(case, server, options):
    """How many messages take about as long as a run is meant to."""
    count = TRIAL_MESSAGES
    took = harness.smtp_source(server.port, count, case.sessions, case.size,
                               case.reuse)
    wanted = int(count / took * options.seconds)
    return max(TRIAL_MESSAGES, min(wanted, MOST_MESSAGES))


def measure(case, server, count):
    server.settle()
    before = server.cpu()
    took = harness.smtp_source(server.port, count, case.sessions, case.size,
                               case.reuse)
    cpu = server.cpu() - before
    server.settle()  # or its rest would be another server's load
    return {"rate": count / took, "cpu": cpu * 1000 / count}


def add_row(result, table, case, figures):
    own, peer, sink = (figures[name]
                       for name in ("spoold", "postfix", "sink"))
    faster = own["rate"] / peer["rate"]
    share = own["rate"] / sink["rate"]
    cheaper = peer["cpu"] / max(own["cpu"], 1e-9)
    table.add(case, rate(own["rate"]), rate(peer["rate"]),
              rate(sink["rate"]), times(faster), percent(share),
              seconds(own["cpu"]), seconds(peer["cpu"]), times(cheaper))
    if case.least_of_postfix:
        result.goal(f"accept {case}: Postfix's rate", faster,
                    least=case.least_of_postfix, unit="x")
        result.goal(f"accept {case}: share of the ceiling", share,
                    least=case.least_of_ceiling)
        result.goal(f"accept {case}: CPU less than Postfix's by", cheaper,
                    least=8, unit="x")
