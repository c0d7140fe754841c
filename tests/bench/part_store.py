# SPDX-License-Identifier: ISC
"""What sealing and compressing cost, and what the store role itself does.

The same load against spoold with both on and with both off, and the
processor time of the store role beside a bare LMDB loop that commits as many
bytes a message in batches of the same size.
"""

import harness
from report import Result, percent, rate, seconds, times

COUNT = 20000
CASES = [(20, 4096), (20, 20480)]
OFF = "seal = false compression = 0"


def run(options):
    result = Result()
    count = COUNT // 5 if options.quick else COUNT
    with harness.scratch("bench") as folder:
        hop = harness.free_port()
        with harness.Spoold(folder / "on", {harness.DOMAIN: hop}) as on, \
                harness.Spoold(folder / "off", {harness.DOMAIN: hop},
                               store=OFF) as off:
            sealing(result, {"on": on, "off": off}, count, options.rounds)
            store_cpu(result, folder, on, count, options.rounds)
    return result


def sealing(result, servers, count, rounds):
    table = result.table(
        "Sealing and compression (smtp-source, 20 sessions reused)", "",
        "on", "off", "on / off", "CPU on", "CPU off")
    for sessions, size in CASES:
        found = [{name: one(server, count, sessions, size)
                  for name, server in servers.items()}
                 for _ in range(rounds)]
        figures = {name: {key: harness.median([f[name][key] for f in found])
                          for key in ("rate", "cpu")} for name in servers}
        share = harness.median(
            [f["on"]["rate"] / f["off"]["rate"] for f in found])
        case = f"{sessions} x {size // 1024} KB"
        result.figures[f"sealing {case}"] = figures
        table.add(case, rate(figures["on"]["rate"]),
                  rate(figures["off"]["rate"]), percent(share),
                  seconds(figures["on"]["cpu"]),
                  seconds(figures["off"]["cpu"]))
        result.goal(f"accept {case}: sealed and compressed against neither",
                    share, least=0.85)


def one(server, count, sessions, size):
    server.settle()
    before = server.cpu()
    took = harness.smtp_source(server.port, count, sessions, size)
    cpu = server.cpu() - before
    server.settle()
    return {"rate": count / took, "cpu": cpu * 1000 / count}


def store_cpu(result, folder, server, count, rounds):
    """CPU for 1000 messages: the store role, and LMDB with nothing else."""
    found = [one_store(folder / f"bare{n}", server, count)
             for n in range(rounds)]
    figures = {key: harness.median([f[key] for f in found])
               for key in found[0]}
    table = result.table(
        "The store role beside a bare LMDB loop (CPU for 1000 messages)", "",
        "store", "bare LMDB", "times", "messages a commit", "bytes each")
    ratio = figures["store"] / figures["bare"]
    table.add("20 x 4 KB", f"{figures['store'] * 1000:.1f} ms",
              f"{figures['bare'] * 1000:.1f} ms", times(ratio),
              f"{figures['batch']:.1f}", f"{figures['bytes']:,.0f}")
    result.figures["store CPU"] = figures
    result.goal("store role's CPU: times a bare LMDB loop's", ratio, most=3,
                unit="x")


def one_store(folder, server, count):
    server.settle()
    cpu = server.role_cpu("store")
    commits, disk = server.counter("commits"), server.disk()
    harness.smtp_source(server.port, count)
    server.settle()
    cpu = server.role_cpu("store") - cpu
    commits = server.counter("commits") - commits
    size = max(1, (server.disk() - disk) // count)
    batch = max(1, round(count / commits))
    folder.mkdir()
    mails = folder / "mails"
    harness.write_mails(mails, [b"x" * size])
    bare = harness.measured("lmdb_commit", count, folder, mails, batch)
    return {"store": cpu * 1000 / count, "batch": count / commits,
            "bytes": size, "bare": bare["cpu_seconds"] * 1000 / count}
