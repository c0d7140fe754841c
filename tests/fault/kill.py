#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""kill -9 at random moments under load: of single roles, and of everything.

Clients send without pause, a target takes mail (most of the time), and
processes die. At the end, and after each start in between: every message
that was answered 250 is held or was delivered, and the audit is clean; a
message came twice only where its first delivery was under way when something
died. Old entries of the ledger go all the while, and an operator compacts,
rotates keys, trains a dictionary, makes backups and imports mail, each of
which the next death may cut short.

KILLS says how many (200), KILL_SEED repeats a run: the seed is printed.
"""

import collections
import os
import random
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "e2e"))

from client import Client, Closed  # noqa: E402
from sink import Slow  # noqa: E402
from spoold_test import (SpooldTest, header_field, main,  # noqa: E402
                         message, wait_for)

KILLS = int(os.environ.get("KILLS", "200"))
SEED = int(os.environ.get("KILL_SEED", random.randrange(10 ** 6)))
KILLS_A_LIFE = 4
# Seconds an outcome may be under way: from the final dot to the commit that
# notes it, on a busy disk.
IN_FLIGHT = 1.0
# What many write to many, as a dictionary learns it.
SENTENCES = ["This is sentence number %d, as everybody writes it.\r\n" % i
             for i in range(40)]


class Load(threading.Thread):
    """One client that sends message after message until told to end: in
    bursts, or the end of the test would be a long drain."""

    def __init__(self, daemon, number, stop):
        super().__init__(daemon=True)
        self.spoold, self.number, self.stop = daemon, number, stop
        self.rng = random.Random(number)
        self.sent = 0
        self.acknowledged = {}  # our number to spoold's id

    def run(self):
        while not self.stop.is_set():
            try:
                with Client(self.spoold.port, timeout=10) as client:
                    client.ehlo()
                    for _ in range(self.rng.randrange(1, 30)):
                        if self.stop.is_set():
                            break
                        self.one(client)
                self.stop.wait(0.4 * self.rng.random())
            except (OSError, Closed, AssertionError):
                self.stop.wait(0.005)

    def one(self, client):
        self.sent += 1
        name = "%d-%d" % (self.number, self.sent)
        body = "".join(self.rng.choices(SENTENCES, k=self.rng.choice(
            [1, 1, 20, 100])))
        if self.rng.random() < 0.02:
            body = self.rng.randbytes(150000).hex()
        recipients = self.rng.sample("abcdefgh", self.rng.choice([1, 1, 2]))
        client.send("MAIL FROM:<load@client%d.test>\r\n" %
                    self.rng.randrange(6) + "".join(
            "RCPT TO:<%s@example.com>\r\n" % r for r in recipients) +
            "DATA\r\n")
        replies = [client.reply() for _ in range(len(recipients) + 2)]
        if replies[-1] != 354:
            client.expect(250, "RSET")
            self.stop.wait(0.005)
            return
        client.send(message(body + "\r\n", X_Test_Id=name) + b".\r\n")
        reply = client.reply()
        if reply == 250:
            self.acknowledged[name] = reply.text[-13:]


class Operator(threading.Thread):
    """Long work, one after the other; a death ends it, and it begins anew."""

    WORK = ["compact", "rotate", "train", "backup", "bring_in"]

    def __init__(self, daemon, stop):
        super().__init__(daemon=True)
        self.spoold, self.stop = daemon, stop
        self.rng = random.Random(SEED)
        self.done = collections.Counter()
        self.cut = collections.Counter()
        self.number = 0
        self.imported = []

    def run(self):
        while not self.stop.is_set():
            work = self.rng.choice(self.WORK)
            self.number += 1
            count = self.done if getattr(self, work)() else self.cut
            count[work] += 1
            self.stop.wait(0.01)

    def ctl(self, *arguments):
        return self.spoold.ctl(*arguments).code == 0

    def compact(self):
        return self.ctl("compact")

    def rotate(self):
        return self.ctl("key", "rotate")

    def train(self):
        return self.ctl("dictionary", "train")

    def backup(self):
        path = self.spoold.path("backup-%d" % self.number)
        done = self.ctl("backup", path)
        shutil.rmtree(path, ignore_errors=True)
        return done

    def bring_in(self):
        """Twenty messages; those of an import that says it took them in are
        answered for like those of a 250."""
        directory = self.spoold.path("import-%d" % self.number)
        names = ["import-%d-%d" % (self.number, i) for i in range(20)]
        os.mkdir(directory)
        for name in names:
            with open(os.path.join(directory, name + ".eml"), "wb") as file:
                file.write(message("x" * 500 + "\r\n", X_Test_Id=name,
                                   Return_Path="<load@client.test>",
                                   Delivered_To="a@example.com"))
        done = self.ctl("import", directory)
        if done:
            self.imported += names
        shutil.rmtree(directory)
        return done


class KillTest(SpooldTest):
    def test_kills(self):
        print("\nnote: KILL_SEED=%d KILLS=%d" % (SEED, KILLS),
              file=sys.stderr, flush=True)
        self.rng = random.Random(SEED)
        daemon = self.daemon(targets={"office": {"connections": 4}},
                             limit={"errors": 1000},
                             store={"keep-ledger": "2s"})
        self.kills = []  # (when, what)
        self.cuts = []   # when the target went away
        stop = threading.Event()
        loads = [Load(daemon, i, stop) for i in range(3)]
        operator = Operator(daemon, stop)
        daemon.sink.start()
        for thread in loads + [operator]:
            thread.start()
        try:
            while len(self.kills) < KILLS:
                self.life(daemon)
                daemon.start()
                self.check_list(daemon, loads)
                self.check_audit(daemon)
        finally:
            stop.set()
            for thread in loads + [operator]:
                thread.join()
        self.settle(daemon)
        self.check_end(daemon, loads, operator)

    def life(self, daemon):
        """Some deaths of roles, then of all at once."""
        sink = daemon.sink
        mood = self.rng.random()
        sink.on = {"DOT": Slow(0.02)} if mood < 0.3 else {}
        if mood > 0.8:
            self.cuts.append(time.monotonic())
            sink.stop()
        for _ in range(KILLS_A_LIFE - 1):
            self.pause()
            pids = daemon.role_pids()
            if pids:
                role = self.rng.choice(sorted(pids))
                self.note(role)
                os.kill(pids[role], signal.SIGKILL)
        if mood > 0.8:
            sink.start()
        self.pause()
        self.note("all")
        daemon.kill_all()

    def pause(self):
        time.sleep(self.rng.choice([0.001, 0.02, 0.1, 0.2]) *
                   self.rng.random())  # the moment is what is random

    def note(self, what):
        self.kills.append((time.monotonic(), what))

    def check_list(self, daemon, loads):
        """After each start: whole, without repetition, nothing missing."""
        acknowledged = {m for load in loads
                        for m in list(load.acknowledged.values())}
        result = daemon.ctl("--json", "list")
        self.assertEqual(result.code, 0, result)
        held = [m["id"] for m in result.json]
        self.assertEqual(sorted(set(held)), held)
        for one in result.json:
            self.assertTrue(any(r["state"] in ("ready", "later", "unknown")
                                for r in one["recipients"]), one)
        # The list was made before the sink is asked.
        missing = acknowledged - set(held)
        came = {header_field(t.content, "Received")[0]
                .split(" id ")[1][:13] for t in daemon.sink.delivered
                if t.content.startswith(b"Received:")}  # not imported
        self.assertEqual(missing - came, set())

    def check_audit(self, daemon):
        """All that was accepted has its end or is here; and then the ledger
        is signed and shortened, which the next death may cut short."""
        result = daemon.ctl("--json", "audit", "--content")
        self.assertEqual(result.code, 0, result)
        self.shorten = threading.Thread(target=daemon.ctl,
                                        args=("checkpoint",))
        self.shorten.start()

    def settle(self, daemon):
        daemon.sink.on = {}
        wait_for(lambda: daemon.ctl("--json", "status").code == 0)
        wait_for(lambda: daemon.status()["held"]["messages"] == 0,
                 "the end of the drain", 300)

    def check_end(self, daemon, loads, operator):
        self.check_audit(daemon)
        self.shorten.join()
        acknowledged = {n for load in loads for n in load.acknowledged}
        acknowledged.update(operator.imported)
        deaths = self.cuts + [at for at, what in self.kills
                              if what in ("all", "replay", "store")]
        came = collections.defaultdict(list)
        for transaction in daemon.sink.transactions:
            name = header_field(transaction.content, "X-Test-Id")[0]
            for recipient in transaction.recipients:
                came[name, recipient].append(transaction.when)
        self.assertEqual(
            acknowledged - {name for name, _ in came}, set())
        twice = {key: sorted(times) for key, times in came.items()
                 if len(times) > 1}
        longest = 0.0
        for (name, recipient), times in twice.items():
            for when in times[:-1]:
                near = [at - when for at in deaths
                        if -0.1 <= at - when <= IN_FLIGHT]
                self.assertTrue(
                    near, "%s came twice and nothing died: %s" %
                    (name, times))
                longest = max(longest, min(map(abs, near)))
        counts = collections.Counter(what for _, what in self.kills)
        print("note: %d kills (%s), %d sent, %d acknowledged, "
              "%d deliveries, %d of them twice (within %.0f ms of a "
              "death)" % (
                  len(self.kills),
                  ", ".join("%s %d" % c for c in sorted(counts.items())),
                  sum(load.sent for load in loads), len(acknowledged),
                  len(came), len(twice), 1000 * longest),
              file=sys.stderr, flush=True)
        print("note: done %s; cut %s" % tuple(
            ", ".join("%s %d" % c for c in sorted(count.items())) or "none"
            for count in (operator.done, operator.cut)),
            file=sys.stderr, flush=True)
        self.assertGreater(len(acknowledged), len(self.kills))


if __name__ == "__main__":
    main()
