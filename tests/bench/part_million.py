# SPDX-License-Identifier: ISC
"""A great many messages held: start, finding, audit, holding back, memory.

1,000,000 of them (100,000 with --quick), small ones: what costs here is
their number.
"""

import random
import statistics
import subprocess
import threading
import time

import harness
from report import Result

HELD = 1000000
KINDS = 20000  # different ones, sent in turn
SESSIONS = 20
TENTH = "from:user*7@sender*"  # what every tenth message fits
MB = 1024 * 1024


def run(options):
    held = HELD // 10 if options.quick else HELD
    result = Result()
    with harness.scratch("bench") as folder:
        hop = harness.free_port()
        targets = {harness.DOMAIN: hop}
        with harness.Spoold(folder / "spoold", targets) as server:
            needle = fill(server, folder, held)
        start = time.monotonic()
        with harness.Spoold(folder / "spoold", targets) as server:
            started = time.monotonic() - start
            server.settle(300)
            figures = {
                "start": started,
                "find": find(server, needle),
                "audit": audit(server),
                "steer": steer(server, folder),
                "memory": sum(harness.settled_rss_anon(
                    server.process.pid).values()) / MB,
            }
    result.figures = figures
    return tell(result, figures, held)


def fill(server, folder, held):
    """Fills the store; the terms of one message nobody else has."""
    mails = folder / "mails"
    chance = random.Random(7)
    words = [f"{a}{b}" for a in ("re", "in", "con", "pro", "sub", "over")
             for b in ("voice", "tract", "port", "mise", "view", "due",
                       "stance", "test", "call", "sult")]
    with open(mails, "wb") as file:
        for n in range(KINDS):
            write(file, f"user{n}@sender{n % 4000}.test",
                  f"box{n % 7000}@{harness.DOMAIN}",
                  " ".join(chance.sample(words, 5)) + f" {n:06d}", chance)
    feed(server, mails, held)
    needle = {"from": "needle@haystack.test",
              "to": f"lost@{harness.DOMAIN}", "subject": "where is my thimble",
              "client": "127.0.0.1"}
    one = folder / "needle"
    with open(one, "wb") as file:
        write(file, needle["from"], needle["to"], needle["subject"], chance)
    feed(server, one, 1, sessions=1)
    return needle


def write(file, sender, recipient, subject, chance):
    body = "".join(f"line {chance.randrange(10**9)} of a letter\r\n"
                   for _ in range(12))
    content = (f"From: <{sender}>\r\nTo: <{recipient}>\r\n"
               f"Subject: {subject}\r\n\r\n{body}.\r\n").encode()
    file.write(f"{len(content)} {sender} {recipient}\n".encode())
    file.write(content)


def feed(server, mails, count, sessions=SESSIONS):
    return harness.measured("feed", sessions, count, server.port, mails)


def spoolctl(server, *words, timeout=600):
    """The seconds a command took, and what it printed."""
    command = [harness.BINARIES / "spoolctl", "-c", server.folder / "conf",
               *words]
    start = time.monotonic()
    done = subprocess.run([str(word) for word in command],
                          capture_output=True, text=True, timeout=timeout)
    took = time.monotonic() - start
    if done.returncode:
        raise harness.Failed(f"{' '.join(map(str, words))}: {done.stderr}")
    return took, done.stdout


def find(server, needle):
    """Milliseconds of the slowest selective query; each must find it."""
    queries = {
        "sender": f"from:{needle['from']}",
        "recipient": f"to:{needle['to']}",
        "subject": f"subject:\"{needle['subject']}\"",
        "client": f"client:{needle['client']} from:*@haystack.test",
        "time": "since:5m from:needle@*",
    }
    found = {}
    for name, query in queries.items():
        spoolctl(server, "list", "--jsonl", query)  # the pages come in
        took = []
        for _ in range(5):
            seconds, text = spoolctl(server, "list", "--jsonl", query)
            took.append(seconds)
            if needle["from"] not in text:
                raise harness.Failed(f"{query}: not found")
        found[name] = harness.median(took) * 1000
    return found


def audit(server):
    took, _ = spoolctl(server, "audit")
    return took


def steer(server, folder):
    """Milliseconds of a lone accept, calm and while a tenth is steered."""
    mails = folder / "needle"
    calm = waits(server, mails, lambda: time.sleep(2))
    took = []

    def work():
        for word in ("hold", "release"):
            seconds, _ = spoolctl(server, word, TENTH, timeout=900)
            took.append(seconds)

    busy = waits(server, mails, work)
    return {"calm": calm, "busy": busy, "hold": took[0], "release": took[1]}


def waits(server, mails, work):
    """Median milliseconds of lone messages sent while WORK is done."""
    took = []
    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        took.append(feed(server, mails, 5, sessions=1)["p50_us"] / 1000)
    thread.join()
    return statistics.median(took)


def tell(result, figures, held):
    table = result.table(f"{held:,} messages held", "", "measured", "wanted")
    rows = [("start to listening", figures["start"], 2, " s")]
    rows += [(f"find by {name}", value, 50, " ms")
             for name, value in figures["find"].items()]
    rows += [
        ("audit of everything", figures["audit"], 30, " s"),
        ("an accept is slower while a tenth is held and released",
         figures["steer"]["busy"] - figures["steer"]["calm"], 50, " ms"),
        ("anonymous memory, all roles", figures["memory"], 200, " MB"),
    ]
    for what, value, most, unit in rows:
        table.add(what, f"{value:,.1f}{unit}", f"at most {most}{unit}")
        result.goal(f"{held:,} held: {what}", value, most=most, unit=unit)
    table.add("holding a tenth", f"{figures['steer']['hold']:.1f} s", "")
    table.add("releasing it", f"{figures['steer']['release']:.1f} s", "")
    return result
