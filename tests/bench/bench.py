# SPDX-License-Identifier: ISC
"""The benchmark: spoold beside Debian's Postfix, in one interleaved run.

    bench.py [--quick] [--all] [--rounds N] [PART ...]

Parts: accept latency drain memory corpus store disk churn
million imap idle fragile dead schedule; without any, all of them. Prints
tables with absolute figures and ratios, and the goals with what was
measured; the same goes to build/bench/results.json. Figures of different
runs, let alone machines, don't compare: quote the ratios.
"""

import argparse
import dataclasses
import json
import os
import platform
import signal
import sys
import time

import harness
import part_accept
import part_churn
import part_corpus
import part_dead
import part_disk
import part_drain
import part_fragile
import part_idle
import part_imap
import part_latency
import part_memory
import part_million
import part_schedule
import part_store
import report

PARTS = {
    "accept": part_accept.run,
    "latency": part_latency.run,
    "drain": part_drain.run,
    "memory": part_memory.run,
    "corpus": part_corpus.run,
    "store": part_store.run,
    "disk": part_disk.run,
    "churn": part_churn.run,
    "million": part_million.run,
    "imap": part_imap.run,
    "idle": part_idle.run,
    "fragile": part_fragile.run,
    "dead": part_dead.run,
    "schedule": part_schedule.run,
}
RESULTS = harness.BUILD / "bench" / "results.json"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART",
                        help=" ".join(PARTS))
    parser.add_argument("--quick", action="store_true",
                        help="one short round: a rough idea in minutes")
    parser.add_argument("--all", action="store_true",
                        help="more loads in accept")
    parser.add_argument("--rounds", type=int, default=0,
                        help="interleaved rounds (3); medians are shown")
    parser.add_argument("--seconds", type=float, default=0,
                        help="length of a run in accept (3)")
    parser.add_argument("--held", type=int, default=0,
                        help="messages held in fragile (20000)")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {' '.join(unknown)}")
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1 if options.quick else 3)
    return options


def machine():
    return {"cpus": os.cpu_count(), "kernel": platform.release(),
            "load": os.getloadavg()[0],
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}


def stop_on_signal(number, _):
    sys.exit(128 + number)  # runs what takes the servers down


def save(results, about):
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({
        "machine": about,
        "parts": {name: {
            "figures": result.figures,
            "goals": [{**dataclasses.asdict(goal), "met": goal.met}
                      for goal in result.goals],
        } for name, result in results.items()},
    }, indent=2) + "\n")


def main():
    options = arguments()
    why = harness.Postfix.why_not()
    if why:
        sys.exit(f"bench: {why}")
    signal.signal(signal.SIGTERM, stop_on_signal)
    harness.raise_file_limit()
    about = machine()
    print("{cpus} processors, Linux {kernel}, load {load:.2f}".format(**about))
    results = {}
    for name in options.parts or PARTS:
        results[name] = PARTS[name](options)
        for table in results[name].tables:
            print(table.text(), flush=True)
        save(results, about)
    goals = [goal for result in results.values() for goal in result.goals]
    if goals:
        print(report.goals_table(goals).text())
    print(f"\nthe figures: {RESULTS}")


if __name__ == "__main__":
    try:
        main()
    except (harness.Failed, KeyboardInterrupt) as error:
        sys.exit(f"bench: {error}")
