# SPDX-License-Identifier: ISC
"""A server that came back weak gets its backlog (fragile.c).

Nine tenths of the mail held are one sender's, the rest of a hundred other
domains; twenty live messages a second come in all the while. Beside spoold,
Postfix with its defaults and Postfix told of what the server bears. What the
server bears is 200 messages a second: from there on it is slower.
"""

import json
import smtplib
import subprocess
import threading
import time

import harness
from report import Result, percent, rate, seconds

BEARS = 200
CONNECTIONS = 8
LIVE = 20  # a second
OTHERS = 100  # domains
LONGEST = 2.5  # times as long as it takes at best: then it is over
POSTFIX_TUNED = {
    "smtp_destination_concurrency_limit": str(CONNECTIONS - 1),
    "smtp_destination_concurrency_failed_cohort_limit": "20",
    "smtp_destination_concurrency_positive_feedback": "1/concurrency",
    "minimal_backoff_time": "10s",
    "maximal_backoff_time": "30s",
    "queue_run_delay": "10s",
}


class Fragile(harness.Server):
    """The server, and what it took: [(seconds, sender)]."""

    name = "fragile"
    limits = ()  # connections, messages a second until it is slow, and falls

    def start(self):
        self.report = open(self.folder / "report", "wb")
        self.log = self.folder / "log"
        self.launch([harness.BUILD / "bench" / "fragile", self.port, self.log,
                     *self.limits], stdout=self.report)
        harness.wait_for(self.log.exists, 20, "fragile")

    def lines(self):
        return self.log.read_bytes().count(b"\n")

    def end(self):
        """Stops it; what it says of how it was treated."""
        self.process.terminate()
        self.process.wait(20)
        self.report.close()
        return json.loads((self.folder / "report").read_text())

    def taken(self):
        for line in self.log.read_text().splitlines():
            at_ns, _, sender = line.partition(" ")
            yield int(at_ns) / 1e9, sender


class Live(threading.Thread):
    """Sends live mail, one after the other, and keeps when."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.over = threading.Event()
        self.sent = {}

    def run(self):
        begin = time.monotonic()
        with smtplib.SMTP("127.0.0.1", self.port) as client:
            while not self.over.is_set():
                sender = f"n{len(self.sent)}@live.test"
                self.sent[sender] = time.monotonic()
                client.sendmail(sender, [harness.RECIPIENT],
                                "Subject: live\r\n\r\nnow\r\n")
                wait = begin + len(self.sent) / LIVE - time.monotonic()
                if wait > 0:
                    self.over.wait(wait)

    def stop(self):
        self.over.set()
        self.join(60)


class Watch(threading.Thread):
    """Asks spoold now and then when the backlog will be gone."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.over = threading.Event()
        self.seen = []  # (when it was asked, seconds to go)

    def run(self):
        while not self.over.wait(0.5):
            asked, wall = time.monotonic(), time.time()
            drain = self.server.ctl("target", "list")
            drain = (drain[0] if isinstance(drain, list) else drain)["drain"]
            if drain["eta"]:
                self.seen.append((asked, iso_seconds(drain["eta"]) - wall))

    def stop(self):
        self.over.set()
        self.join(60)


def iso_seconds(text):
    done = subprocess.run(["date", "-d", text, "+%s.%N"], capture_output=True,
                          text=True, check=True)
    return float(done.stdout)


def run(options):
    held = options.held or (4000 if options.quick else 20000)
    runs = {
        "spoold": lambda: one("spoold", held),
        "alone": lambda: one("spoold", held // 10, flood=False),
        "postfix": lambda: one("postfix", held),
        "postfix_tuned": lambda: one("postfix", held, POSTFIX_TUNED),
    }
    figures = {name: run() for name, run in runs.items()}
    return tell(figures, held)


# --- one drain ---------------------------------------------------------------


def write_backlog(path, flood):
    """Nine of one sender for each of the others, or only these."""
    content = b"Subject: held\r\n\r\n" + b"text " * 300 + b"\r\n.\r\n"
    with open(path, "wb") as file:
        for n in range(10 * OTHERS):
            sender = f"other@d{n // 10 if flood else n % OTHERS}.test"
            if flood and n % 10:
                sender = "flood@flood.test"
            file.write(f"{len(content)} {sender} {harness.RECIPIENT}\n"
                       .encode() + content)


def make(kind, folder, hop):
    if kind == "spoold":
        return harness.Spoold(folder / "spoold", {harness.DOMAIN: hop})
    return harness.Postfix(folder / "postfix", harness.postfix_holding(hop))


def one(kind, held, settings=None, flood=True):
    hop = harness.free_port()
    with harness.scratch("bench") as folder, \
            make(kind, folder, hop) as server:
        write_backlog(folder / "mails", flood)
        harness.measured("feed", 20, held, server.port, folder / "mails")
        server.settle(300)
        if kind == "postfix":
            harness.wait_for(lambda: server.deferred() == held, 300,
                             "all mail deferred", every=0.5)
            server.restart(defer_transports="", **(settings or {}))
        return drain(folder, server, hop, held)


def wait_for_all(sink, live, held, end):
    while sink.lines() - len(live.sent) < held and time.monotonic() < end:
        time.sleep(0.2)


def drain(folder, server, hop, held):
    sink = Fragile(folder / "sink", hop)
    live = Live(server.port)
    watch = Watch(server) if isinstance(server, harness.Spoold) else None
    end = time.monotonic() + LONGEST * held / (BEARS - LIVE) + 30
    with sink:
        began = time.monotonic()
        server.flush()
        live.start()
        if watch:
            watch.start()
        wait_for_all(sink, live, held, end)
        live.stop()
        if watch:
            watch.stop()
        wait_for_all(sink, live, held, end)  # the last live ones, too
        treated = sink.end()
    return judge(list(sink.taken()), treated, live.sent, watch, began, held)


# --- what came out -----------------------------------------------------------


def share(values, part):
    """That quantile; None: there are none."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] \
        if values else None


def judge(taken, treated, sent, watch, began, held):
    ends = [at - began for at, sender in taken if sender not in sent]
    others = [at - began for at, sender in taken
              if sender not in sent and not sender.startswith("flood")]
    waits = [at - sent[sender] for at, sender in taken if sender in sent]
    attempts = treated["messages"] + treated["refused"]
    last = max(ends, default=0)
    until_last = [at for at, _ in taken if at <= began + last]
    waits += [LONGEST * held / BEARS] * (len(sent) - len(waits))
    return {
        "goodput": len(until_last) / last if last else 0,
        "done": len(ends) / held,
        "seconds": last,
        "refused": treated["refused"] / attempts if attempts else 0,
        "falls": treated["falls"],
        "peak": treated["peak"],
        "live_p50": share(waits, 0.5),
        "live_p95": share(waits, 0.95),
        "others_median": share(others, 0.5),
        "eta": eta_share(watch, ends, began) if watch else None,
    }


def eta_share(watch, ends, began):
    """Of the answers from a tenth to nine tenths: how many were right."""
    last = max(ends, default=0)
    right = total = 0
    for asked, to_go in watch.seen:
        at = asked - began
        if not 0.1 * last <= at <= 0.9 * last:
            continue
        total += 1
        right += abs(to_go - (last - at)) <= 0.25 * (last - at)
    return right / total if total else 0


def tell(figures, held):
    result = Result(figures=figures)
    table = result.table(
        f"A fragile server gets {held:,} held messages, 20 a second come in",
        "", "goodput", "given back", "in", "refused", "knocked over",
        "live p50", "live p95", "others' median")
    for name, title in (("spoold", "spoold"), ("postfix", "Postfix"),
                        ("postfix_tuned", "Postfix, tuned to it")):
        row = figures[name]
        table.add(title, rate(row["goodput"]), percent(row["done"]),
                  f"{row['seconds']:.0f} s", f"{row['refused'] * 100:.1f} %",
                  row["falls"], seconds(row["live_p50"]),
                  seconds(row["live_p95"]), seconds(row["others_median"]))
    own, alone = figures["spoold"], figures["alone"]
    table.add("spoold, the others' mail alone", rate(alone["goodput"]),
              percent(alone["done"]), f"{alone['seconds']:.0f} s",
              f"{alone['refused'] * 100:.1f} %", alone["falls"],
              seconds(alone["live_p50"]), seconds(alone["live_p95"]),
              seconds(alone["others_median"]))
    result.goal("fragile: goodput of what it bears", own["goodput"] / BEARS,
                least=0.9)
    result.goal("fragile: attempts refused", own["refused"] * 100, most=1,
                unit=" %")
    result.goal("fragile: knocked over", own["falls"], most=0)
    result.goal("fragile: live mail, p95", own["live_p95"], most=5, unit=" s")
    result.goal("fragile: others' median beside a flood",
                own["others_median"] / alone["others_median"], most=1.25,
                unit="x")
    result.goal("fragile: ETA right within 25 %", own["eta"], least=0.95)
    return result
