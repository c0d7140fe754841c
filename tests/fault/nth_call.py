#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Fails the Nth write, sync or change of length, for every N.

Each loop raises N until a run meets no fault. Whatever fails: a message
answered 250 is held or delivered afterwards, in the queue exactly once; no
250 comes from a store whose commit failed; a store whose sync failed ends
rather than pretends, is started again, and until then answers are 451.

The plain build is used: the preloaded library (fault.c) and a sanitizer's
runtime do not share a process.
"""

import errno
import itertools
import mmap
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "e2e"))

from client import Client, Closed  # noqa: E402
from sink import Slow  # noqa: E402
from spoold_test import (ROOT, SpooldTest, below_received,  # noqa: E402
                         header_field, main, message, pid_is_alive,
                         wait_for)

PLAIN = os.path.join(ROOT, "build")
WRITE, SYNC, LENGTH = 1, 2, 3
ERROR, SHORT = 1, 2

HOWS = {"EIO": (ERROR, errno.EIO), "ENOSPC": (ERROR, errno.ENOSPC),
        "short": (SHORT, errno.ENOSPC)}


class Orders:
    """What fault.c is told and tells (its struct orders)."""

    FORMAT = "=9Q16s"
    FIELDS = ("armed", "fail_at", "forever", "how", "error", "count",
              "hits", "hit_call", "hit_pid")

    def __init__(self, path):
        size = struct.calcsize(self.FORMAT)
        with open(path, "w+b") as file:
            file.truncate(size)
            self.map = mmap.mmap(file.fileno(), size)

    def arm(self, role, fail_at, how, error, forever=False):
        struct.pack_into(self.FORMAT, self.map, 0, 1, fail_at, forever, how,
                         error, 0, 0, 0, 0, role.encode())

    def disarm(self):
        struct.pack_into("=Q", self.map, 0, 0)

    def __getattr__(self, name):
        return struct.unpack_from("=Q", self.map,
                                  8 * self.FIELDS.index(name))[0]


class FaultTest(SpooldTest):
    def faulty(self, **options):
        """A configured daemon that runs with the library."""
        daemon = self.configured(**options)
        daemon.build = PLAIN
        self.orders = Orders(daemon.path("orders"))
        os.chmod(daemon.path("orders"), 0o666)
        daemon.environ = {"LD_PRELOAD": os.path.join(PLAIN, "fault.so"),
                          "SPOOLD_FAULT_FILE": daemon.path("orders")}
        return daemon

    def each(self, name, run, at_least):
        """run(n, how, error) for n = 1.. until it meets no fault."""
        how, error = HOWS[name]
        for n in itertools.count(1):
            with self.subTest(how=name, n=n):
                run(n, how, error)
            self.finish()
            if self.orders.hits == 0:
                break
        self.assertGreater(n, at_least, "so few calls?")

    def finish(self):
        """The daemons and sinks of one run."""
        for daemon in self.daemons:
            if daemon.process is not None:
                daemon.stop()
            daemon.close()
        for sink in self.sinks:
            sink.close()
        self.daemons.clear()
        self.sinks.clear()

    def offer(self, daemon, content):
        """One message; its id, or None when it was not accepted."""
        try:
            with Client(daemon.port) as client:
                client.ehlo()
                for line in ("MAIL FROM:<anna@client.test>",
                             "RCPT TO:<bob@example.com>"):
                    reply = client.cmd(line)
                    if reply != 250:
                        self.assertIn(reply.code, (451, 452), reply)
                        return None
                client.expect(354, "DATA")
                client.send(content + b".\r\n")
                reply = client.reply()
        except (Closed, OSError):
            return None
        if reply != 250:
            self.assertIn(reply.code, (451, 452), reply)
            return None
        return reply.text[-13:]

    def check_kept(self, daemon, contents, acknowledged):
        """Acknowledged messages are held, once, whole; of the others none
        is there more than once."""
        held = daemon.held()
        self.assertEqual(sorted(set(held)), sorted(held))
        self.assertEqual(set(acknowledged) - set(held), set())
        seen = []
        for message_id in held:
            out = below_received(daemon.ctl("cat", message_id).out)
            number = int(header_field(out, "X-Test-Id")[0])
            self.assertEqual(out, contents[number])
            seen.append(number)
            if message_id in acknowledged:
                self.assertEqual(acknowledged[message_id], number)
        self.assertEqual(sorted(seen), sorted(set(seen)))

    def check_store_did_not_pretend(self):
        """A failed sync is the end of that store process. (A full disk is
        not: its transaction is given up and mail is answered 452.)"""
        if self.orders.hits and self.orders.hit_call == SYNC and \
                self.orders.error == errno.EIO:
            pid = self.orders.hit_pid
            wait_for(lambda: not pid_is_alive(pid),
                     "the store to end after a failed sync")


def numbered(number, body="small\r\n"):
    return message(body, X_Test_Id=number)


# Too large, compressed, for the memory of the listener.
RANDOM = random.Random(1)
LARGE = "".join(RANDOM.randbytes(32).hex() + "\r\n" for _ in range(8000))


class AcceptTest(FaultTest):
    """Faults while mail comes in; the target is down and not probed."""

    CONTENTS = {i: numbered(i) for i in range(5)}
    CONTENTS[2] = numbered(2, LARGE)

    def run_role(self, role):
        def run(n, how, error):
            daemon = self.faulty(targets={"office": {
                "probe-min": "1h", "probe-max": "1h"}})
            daemon.start()
            acknowledged = {daemon.send(content=self.CONTENTS[0]): 0}
            daemon.wait_target("down")
            self.orders.arm(role, n, how, error)
            for number in range(1, 4):
                hits = self.orders.hits
                message_id = self.offer(daemon, self.CONTENTS[number])
                if self.orders.hits > hits:
                    # A short write is no failure to who goes on with it.
                    if how == ERROR or role == "store":
                        self.assertIsNone(message_id,
                                          "250 though its commit failed")
                    self.check_store_did_not_pretend()
                    wait_for(daemon.takes_mail, "mail to be taken again")
                if message_id is not None:
                    acknowledged[message_id] = number
            if self.orders.hits == 0:
                self.assertEqual(len(acknowledged), 4)
            self.orders.disarm()
            acknowledged[wait_for(lambda: self.offer(
                daemon, self.CONTENTS[4]), "mail to be taken")] = 4
            wait_for(lambda: daemon.ctl("status").code == 0)
            self.check_kept(daemon, self.CONTENTS, acknowledged)
            daemon.kill_all()
            daemon.start()
            self.check_kept(daemon, self.CONTENTS, acknowledged)
        return run

    def test_store(self):
        for name in HOWS:
            self.each(name, self.run_role("store"), 6)

    def test_listener(self):
        """The file of a large content on its way to the store."""
        for name in HOWS:
            self.each(name, self.run_role("listener"), 1)


class DeliverTest(FaultTest):
    """Faults while outcomes are noted: every message is delivered, a second
    time only where its outcome was under way."""

    def run_drain(self, n, how, error):
        daemon = self.faulty(targets={"office": {"connections": 1}})
        daemon.start()
        for number in range(4):
            daemon.send(content=numbered(number))
        daemon.wait_target("down")
        self.orders.arm("store", n, how, error)
        daemon.sink.on["DOT"] = Slow(0.02)  # an outcome a commit
        daemon.sink.start()
        wait_for(lambda: self.orders.hits or self.is_empty(daemon))
        self.check_store_did_not_pretend()
        wait_for(lambda: self.is_empty(daemon), "the end of the drain")
        self.orders.disarm()
        got = [int(header_field(t.content, "X-Test-Id")[0])
               for t in daemon.sink.delivered]
        self.assertEqual(sorted(set(got)), [0, 1, 2, 3])
        self.assertLessEqual(len(got), 4 + self.orders.hits)

    def test_store(self):
        for name in HOWS:
            self.each(name, self.run_drain, 6)

    @staticmethod
    def is_empty(daemon):
        result = daemon.ctl("--json", "status")
        return result.code == 0 and result.json["held"]["messages"] == 0


class StartTest(FaultTest):
    """Faults while a store is made or opened."""

    CONTENTS = {i: numbered(i) for i in range(3)}

    def run_on(self, prepared):
        def run(n, how, error):
            daemon = self.faulty()
            ids = {}
            if prepared:
                daemon.start()
                ids = {daemon.send(content=self.CONTENTS[i]): i
                       for i in range(2)}
                daemon.stop()
            self.orders.arm("store", n, how, error)
            daemon.launch()
            wait_for(lambda: daemon.process.poll() is not None or
                     daemon.takes_mail(), "a start or a refusal")
            self.orders.disarm()
            if daemon.process.poll() is not None:
                self.assertGreater(daemon.process.returncode, 0)
                self.assertRegex(daemon.log(), r"(?i)store|spool")
                daemon.process = None
                daemon.start()
            ids[wait_for(lambda: self.offer(daemon, self.CONTENTS[2]),
                         "mail to be taken")] = 2
            wait_for(lambda: daemon.ctl("status").code == 0)
            self.check_kept(daemon, self.CONTENTS, ids)
        return run

    def test_new_store(self):
        for name in HOWS:
            self.each(name, self.run_on(False), 1)

    def test_existing_store(self):
        for name in HOWS:
            self.each(name, self.run_on(True), 0)


class ForeverTest(FaultTest):
    """A disk that stays broken, then is well again."""

    def test_store_until_repaired(self):
        for name in ("EIO", "ENOSPC"):
            for nth in (1, 2, 3):
                with self.subTest(how=name, nth=nth):
                    how, error = HOWS[name]
                    daemon = self.faulty(targets={"office": {
                        "probe-min": "1h", "probe-max": "1h"}})
                    daemon.start()
                    first = daemon.send(content=numbered(0))
                    daemon.wait_target("down")
                    self.orders.arm("store", nth, how, error, forever=True)
                    for number in range(1, 6):
                        self.assertIsNone(
                            self.offer(daemon, numbered(number)))
                    self.orders.disarm()
                    wait_for(daemon.takes_mail, "the store to recover")
                    second = daemon.send(content=numbered(7))
                    wait_for(lambda: daemon.ctl("status").code == 0)
                    self.assertEqual(daemon.held(), [first, second])
                self.finish()


if __name__ == "__main__":
    main()
