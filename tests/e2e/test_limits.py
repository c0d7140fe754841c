#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Timeouts, connection limits, memory and disk limits of the listener."""

import os
import re
import time

from client import Client
from spoold_test import SpooldTest, main, message, read_proc, wait_for


class TimeoutTest(SpooldTest):
    def test_idle_session(self):
        daemon = self.daemon(limit={"command-timeout": "300ms"})
        with daemon.client() as client:
            begin = time.monotonic()
            client.ehlo()
            reply = client.reply()
            self.assertEqual((reply.code, reply.enhanced), (421, "4.4.2"))
            self.assertTrue(client.at_end())
            self.assertGreater(time.monotonic() - begin, 0.25)

    def test_silent_from_the_start(self):
        daemon = self.daemon(limit={"command-timeout": "300ms"})
        with daemon.client() as client:
            client.expect(421)
            self.assertTrue(client.at_end())

    def test_data_timeout(self):
        daemon = self.daemon(limit={"data-timeout": "300ms"})
        with daemon.client() as client:
            client.ehlo()
            client.begin("anna@client.test", ["bob@example.com"])
            client.expect(354, "DATA")
            client.send(message())
            client.expect(421)
            self.assertTrue(client.at_end())
        self.assertEqual(daemon.held(), [])

    def test_slow_but_alive(self):
        """Each byte renews the timeout of content."""
        daemon = self.daemon(limit={"data-timeout": "500ms"})
        with daemon.client() as client:
            client.ehlo()
            client.begin("anna@client.test", ["bob@example.com"])
            client.expect(354, "DATA")
            end = time.monotonic() + 1
            while time.monotonic() < end:
                client.send(b"x")
                time.sleep(0.1)  # the slowness is what is tested
            client.send(b"\r\n.\r\n")
            client.expect(250)

    def test_client_that_does_not_read(self):
        """Output that nobody takes ends the session, not the memory."""
        daemon = self.daemon(limit={"command-timeout": "1s"})
        with daemon.client() as client:
            client.sock.settimeout(0.2)
            try:
                for _ in range(2000):
                    client.send(b"HELP\r\n" * 1000)
            except (TimeoutError, ConnectionError):
                pass
            wait_for(lambda: daemon.counter("connections-now") == 0,
                     "the end of the session")


class ConnectionLimitTest(SpooldTest):
    def connect(self, daemon, count, **options):
        clients = [daemon.client(**options) for _ in range(count)]
        for client in clients:
            self.addCleanup(client.close)
        return clients

    def refused(self, daemon, **options):
        with Client(daemon.port, greeting=None, **options) as client:
            reply = client.expect(421)
            self.assertRegex(reply.enhanced, r"^4\.(7\.0|3\.2|4\.5)$")
            self.assertTrue(client.at_end())

    def test_per_client(self):
        daemon = self.daemon(limit={"connections-per-client": 3})
        clients = self.connect(daemon, 3)
        self.refused(daemon)
        others = self.connect(daemon, 3, source="127.0.0.2")
        self.refused(daemon, source="127.0.0.2")
        clients[0].quit()
        wait_for(lambda: daemon.takes_mail(), "a free place")
        clients[1].abort()
        others[0].quit()
        self.assertEqual(daemon.counter("connections-refused"), 2)
        wait_for(lambda: daemon.counter("connections-now") == 3)

    def test_total(self):
        daemon = self.daemon(limit={"connections": 5,
                                    "connections-per-client": 5})
        clients = [c for i in range(5)
                   for c in self.connect(daemon, 1,
                                         source="127.0.1.%d" % (i + 1))]
        self.refused(daemon, source="127.0.1.9")
        clients[3].quit()
        wait_for(lambda: daemon.takes_mail(), "a free place")
        for client in clients[:3]:
            client.ehlo()

    def test_waves(self):
        """Places of clients that vanish come back."""
        daemon = self.daemon(limit={"connections": 20,
                                    "connections-per-client": 20})
        for _ in range(10):
            wait_for(lambda: daemon.counter("connections-now") == 0)
            for client in self.connect(daemon, 20):
                client.abort()
        wait_for(lambda: daemon.counter("connections-now") == 0)


class SpaceTest(SpooldTest):
    def test_reserve(self):
        """Less free disk than the reserve: 452 before the content; what is
        held still goes out; SIGHUP with another reserve opens again."""
        daemon = self.daemon()
        held = daemon.send()
        daemon.stop()
        daemon.limit["reserve"] = "1T"
        daemon.launch()
        wait_for(lambda: daemon.ctl("status").code == 0)
        wait_for(lambda: daemon.status()["space"]["full"])
        with daemon.client() as client:
            client.ehlo()
            reply = client.expect(452, "MAIL FROM:<anna@client.test>")
            self.assertEqual(reply.enhanced, "4.3.1")
            client.expect(250, "NOOP")
        self.assertEqual(daemon.held(), [held])
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 1)
        self.assertRegex(daemon.log(), r"\bspace-low\b")
        daemon.limit["reserve"] = "1M"
        daemon.reload()
        wait_for(daemon.takes_mail, "mail to be taken again")
        self.assertRegex(daemon.log(), r"\bspace-ok\b")

    def test_memory_budget(self):
        """Past the budget new mail is put off, what was begun ends well."""
        daemon = self.daemon(limit={"memory": "1M"})
        before = anonymous_kilobytes(daemon.role_pids()["listener"])
        clients = []
        refused = 0
        for _ in range(40):
            client = daemon.client()
            self.addCleanup(client.close)
            client.ehlo()
            reply = client.cmd("MAIL FROM:<anna@client.test>")
            if reply == 452:
                refused += 1
                continue
            self.assertEqual(reply, 250)
            client.expect(250, "RCPT TO:<bob@example.com>")
            if client.cmd("DATA") != 354:
                refused += 1
                continue
            client.send(b"S: x\r\n\r\n" + random_lines(100))
            clients.append(client)
        self.assertGreater(refused, 10)
        # The budget, and what the sessions themselves take.
        self.assertLess(anonymous_kilobytes(daemon.role_pids()["listener"]),
                        before + 3500)
        for client in clients:
            client.send(b".\r\n")
            client.expect((250, 452))
        self.assertGreater(len(daemon.held()), 5)
        wait_for(daemon.takes_mail, "mail to be taken again")


def anonymous_kilobytes(pid):
    return int(re.search(r"RssAnon:\s+(\d+)",
                         read_proc(pid, "status")).group(1))


def random_lines(kilobytes):
    return b"".join(os.urandom(511).hex().encode() + b"\r\n"
                    for _ in range(kilobytes))


if __name__ == "__main__":
    main()
