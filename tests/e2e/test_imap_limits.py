#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""IMAP and people who mean harm: everything a stranger can make big is
bounded, and what one does never stops another."""

import re
import socket

from imap_strict import StrictClient
from spoold_test import Daemon, SpooldTest, main, message, wait_for

PASSWORD = "secret"
# What clients may make the role hold here. Without bounds it would be 800 MB
# and more; a sanitizer's own memory is in it.
HELD_MAX = 96 << 20


def resident_bytes(pid):
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", file.read(),
                             re.M).group(1)) * 1024


class ImapTest(SpooldTest):
    def spoold(self, users=("anna",), **options):
        # Freed memory is given back soon, so that what is held can be seen.
        daemon = self.daemon(
            imap=options.pop("imap", True), environ={
                "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=1"},
            **options)
        for user in users:
            daemon.user(user, user + "@example.com", password=PASSWORD)
        return daemon

    def client(self, daemon, user=None, mailbox=None, **options):
        client = StrictClient(daemon.imap_port, **options)
        self.addCleanup(client.close)
        if user:
            client.ok("LOGIN %s %s" % (user, PASSWORD))
        if mailbox:
            client.ok("SELECT " + mailbox)
        return client


class ConnectionTest(ImapTest):
    def test_connections_of_one_user(self):
        daemon = self.spoold(users=("anna", "bob"),
                             imap={"connections-per-user": 2})
        first = self.client(daemon, "anna")
        self.client(daemon, "anna")
        third = self.client(daemon)
        third.no("LOGIN anna secret", code="LIMIT")
        third.ok("LOGIN bob secret")
        first.ok("LOGOUT")
        # The place is free once the connection is gone.
        wait_for(lambda: self.client(daemon).cmd("LOGIN anna secret").status
                 == "OK", "a place")

    def test_connections_of_one_address(self):
        daemon = self.spoold(imap={"connections-per-client": 2})
        first = self.client(daemon)
        self.client(daemon)
        refused = self.client(daemon)
        self.assertEqual(refused.greeting.kind, "BYE")
        self.assertTrue(refused.is_over())
        self.client(daemon, source="127.0.0.2").ok("NOOP")
        first.close()
        wait_for(lambda: self.client(daemon).greeting.kind == "OK", "a place")

    def test_connections_in_all(self):
        daemon = self.spoold(imap={"connections": 2})
        self.client(daemon, source="127.0.0.2")
        self.client(daemon, source="127.0.0.3")
        refused = self.client(daemon, source="127.0.0.4")
        self.assertEqual(refused.greeting.kind, "BYE")
        self.assertEqual(daemon.status()["counters"]["imap-refused"], 1)

    def test_silence(self):
        """Who signed in may be silent for so long, and no longer."""
        daemon = self.spoold(imap={"timeout": "300ms"})
        client = self.client(daemon, "anna")
        bye = client.response()
        self.assertEqual(bye.kind, "BYE")
        self.assertTrue(client.is_over())

    def test_bad_commands(self):
        daemon = self.spoold(limit={"errors": 3})
        client = self.client(daemon, "anna")
        for _ in range(3):
            client.bad("XYZZY")
        client.ends_without_tag = True
        client.bad("XYZZY")
        self.assertEqual(client.response().kind, "BYE")
        self.assertTrue(client.is_over())


class TlsTest(ImapTest):
    def test_starttls(self):
        daemon = self.spoold(tls=True)
        client = self.client(daemon)
        self.assertIn("STARTTLS", client.ok("CAPABILITY").one(
            "CAPABILITY").words)
        client.ok("STARTTLS")
        client.start_tls()
        words = client.ok("CAPABILITY").one("CAPABILITY").words
        self.assertNotIn("STARTTLS", words)
        self.assertIn("AUTH=PLAIN", words)
        client.bad("STARTTLS")
        client.ok("LOGIN anna secret")
        client.ok("SELECT INBOX")
        client.ok("LOGOUT")

    def test_what_comes_behind_starttls(self):
        """Commands in the same packet are from somebody else, perhaps."""
        daemon = self.spoold(tls=True)
        client = self.client(daemon)
        client.send("a STARTTLS\r\nb LOGIN anna secret\r\n")
        said = []
        with self.assertRaises((EOFError, ConnectionResetError)):
            while True:
                said.append(client.response())
        self.assertFalse([r for r in said if r.tag == "b"])

    def test_without_tls_from_elsewhere(self):
        """Passwords are not taken in clear but from this host."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.99", 9))
                address = probe.getsockname()[0]
            except OSError:
                address = "127.0.0.1"
        if address.startswith("127."):
            self.skipTest("this host has no other address")
        daemon = self.configured(imap=True, tls=True)
        daemon.imap_address = address
        daemon.start()
        daemon.user("anna", "anna@example.com", password=PASSWORD)
        client = self.client(daemon, host=address)
        words = client.ok("CAPABILITY").one("CAPABILITY").words
        self.assertIn("LOGINDISABLED", words)
        self.assertFalse([w for w in words if w.startswith("AUTH=")])
        client.no("LOGIN anna secret", code="PRIVACYREQUIRED")
        client.no("AUTHENTICATE PLAIN AGFubmEAc2VjcmV0",
                  code="PRIVACYREQUIRED")
        client.ok("STARTTLS")
        client.start_tls()
        words = client.ok("CAPABILITY").one("CAPABILITY").words
        self.assertNotIn("LOGINDISABLED", words)
        client.ok("LOGIN anna secret")


class BombTest(ImapTest):
    """Input without an end. The connection may be lost, the server not."""

    def setUp(self):
        super().setUp()
        self.daemon_ = self.spoold(users=("anna",))
        self.daemon_.send(recipients=["anna@example.com"])
        self.pid = self.daemon_.role_pids()["imap"]

    def pour(self, client, block, total):
        """Sends so much, as long as the server takes it."""
        sent = 0
        try:
            while sent < total:
                client.send(block)
                sent += len(block)
        except OSError:
            pass
        return sent

    def check_alive(self):
        self.client(self.daemon_, "anna", "INBOX").ok("FETCH 1 UID")

    def test_an_endless_line(self):
        before = resident_bytes(self.pid)
        for client in (self.client(self.daemon_),
                       self.client(self.daemon_, "anna")):
            self.pour(client, b"x" * 65536, 128 << 20)
            self.check_alive()
        self.assertLess(resident_bytes(self.pid) - before, HELD_MAX)

    def test_an_endless_line_is_answered_once(self):
        client = self.client(self.daemon_, "anna")
        client.send(b"t9 NOOP " + b"x" * 300000 + b"\r\n")
        self.assertEqual(client.response().tag, "t9")
        client.ok("NOOP")

    def test_literals_that_are_too_large(self):
        client = self.client(self.daemon_, "anna")
        for length in (65537, 10 ** 6, 2 ** 31, 2 ** 32, 2 ** 63, 10 ** 18):
            client.send("t%d LIST \"\" {%d}\r\n" % (client.tags + 1, length))
            client.tags += 1
            response = client.response()
            self.assertEqual((response.kind, response.tag),
                             ("BAD", "t%d" % client.tags))
        client.ok("NOOP")
        # One that was not asked for is taken and forgotten.
        client.send(b"u LIST \"\" {1000000+}\r\n" + b"x" * 10 ** 6 + b"\r\n")
        self.assertEqual(client.response().tag, "u")
        client.ok("NOOP")
        client.send("v LIST \"\" {99999999999+}\r\n")
        self.assertEqual(client.response().kind, "BYE")

    def test_many_literals(self):
        client = self.client(self.daemon_, "anna")
        client.send(b"u SEARCH " + b"OR SUBJECT {60000+}\r\n" + b"x" * 60000 +
                    (b" OR SUBJECT {60000+}\r\n" + b"y" * 60000) * 9 +
                    b" ALL\r\n")
        self.assertEqual(client.response().tag, "u")
        client.ok("NOOP")

    def test_a_message_that_is_too_large(self):
        daemon = self.daemon_
        client = self.client(daemon, "anna")
        client.send("u APPEND Drafts {10000000000}\r\n")
        response = client.response()
        self.assertEqual((response.tag, response.code), ("u", "TOOBIG"))
        client.ok("NOOP")
        client.send("v APPEND Drafts {10000000000+}\r\n")
        self.assertEqual(client.response().kind, "BYE")
        self.assertTrue(client.is_over())

    def test_tags(self):
        client = self.client(self.daemon_, "anna")
        client.send("x" * 128 + " NOOP\r\n" + "y" * 129 + " NOOP\r\n")
        self.assertEqual(client.response().tag, "x" * 128)
        self.assertEqual(client.response().kind, "BAD")
        client.ok("NOOP")

    def test_sets(self):
        client = self.client(self.daemon_, "anna", "INBOX")
        good = ",".join("%d" % (2 * i + 1) for i in range(9000))
        client.ok("UID FETCH %s FLAGS" % good)
        client.bad("UID FETCH %s FLAGS" % ",".join(["1:2"] * 16385))
        client.ok("UID FETCH %s FLAGS" % ",".join(["1:4294967295"] * 3000))
        client.ok("UID SEARCH UID %s" % ",".join(["1:4294967295"] * 3000))

    def test_search_programs(self):
        client = self.client(self.daemon_, "anna", "INBOX")
        client.ok("SEARCH " + " ".join(["ALL"] * 999))
        client.bad("SEARCH " + " ".join(["ALL"] * 1001))
        client.ok("SEARCH " + "(" * 31 + "ALL" + ")" * 31)
        client.bad("SEARCH " + "(" * 40 + "ALL" + ")" * 40)
        client.bad("SEARCH " + "(" * 30000)
        client.bad("SEARCH " + "NOT " * 16000 + "ALL")
        client.bad("SEARCH " + "OR " * 16000 + "ALL")
        client.ok("SEARCH " + " ".join(["BODY x"] * 64))
        client.no("SEARCH " + " ".join(["BODY x"] * 65), code="LIMIT")

    def test_items_and_fields(self):
        client = self.client(self.daemon_, "anna", "INBOX")
        client.bad("FETCH 1 (%s)" % " ".join(["BODY.PEEK[%d]" % i
                                              for i in range(1, 80)]))
        client.bad("FETCH 1 BODY.PEEK[HEADER.FIELDS (%s)]" %
                   " ".join("X-%d" % i for i in range(200)))
        client.bad("FETCH 1 BODY.PEEK[%s]" % ".".join(["1"] * 1000))
        client.bad("SORT (%s) UTF-8 ALL" % " ".join(["SIZE"] * 17))
        client.bad("ENABLE " + " ".join(["X"] * 33))
        client.bad('LIST "" (%s)' % " ".join(["x"] * 33))
        client.bad("STORE 1 +FLAGS (%s)" % ("k" * 257))
        client.ok('LIST "" "%s"' % ("*%" * 500))
        client.ok('LIST "" "%s"' % ("*%" * 5000))

    def test_keywords(self):
        client = self.client(self.daemon_, "anna", "INBOX")
        client.ok("STORE 1 FLAGS.SILENT (%s)" % " ".join(
            "k%d" % i for i in range(300)))
        client.no("STORE 1 +FLAGS.SILENT (%s)" % " ".join(
            "word%d" % i for i in range(2000)))
        client.ok("FETCH 1 FLAGS")

    def test_idle_with_noise(self):
        client = self.client(self.daemon_, "anna", "INBOX")
        client.send("i IDLE\r\n")
        self.assertEqual(client.response().kind, "+")
        self.pour(client, b"x" * 65536, 8 << 20)
        self.check_alive()

    def test_authenticate_with_noise(self):
        client = self.client(self.daemon_)
        client.send("i AUTHENTICATE PLAIN\r\n")
        self.assertEqual(client.response().kind, "+")
        self.pour(client, b"A" * 65536, 8 << 20)
        self.check_alive()


class SlowReaderTest(ImapTest):
    """Who does not read what he asked for costs a bounded amount."""

    def setUp(self):
        super().setUp()
        self.daemon_ = self.spoold(users=("anna", "bob"),
                                   limit={"message-size": "64M"})
        self.daemon_.send(recipients=["anna@example.com", "bob@example.com"],
                          content=message(b"x" * 76 + b"\r\n"))
        self.large = message((b"y" * 76 + b"\r\n") * 100000)
        self.daemon_.send(recipients=["anna@example.com"],
                          content=self.large)
        self.pid = self.daemon_.role_pids()["imap"]

    def others_work(self):
        client = self.client(self.daemon_, "bob", "INBOX")
        for _ in range(20):
            client.ok("FETCH 1 (ENVELOPE BODY.PEEK[])")

    def test_a_large_message(self):
        self.others_work()
        before = resident_bytes(self.pid)
        clients = [self.client(self.daemon_, "anna", "INBOX") for _ in range(8)]
        for client in clients:
            client.send("".join("a%d FETCH 2 BODY.PEEK[]\r\n" % i
                                for i in range(20)))
        self.others_work()
        self.assertLess(resident_bytes(self.pid) - before, HELD_MAX)
        # And in the end all of it comes.
        for i in range(2):
            fetch = clients[0].response()
            self.assertEqual(fetch.kind, "FETCH")
            self.assertTrue(fetch.items["BODY[]"].endswith(self.large[-1000:]))
            self.assertEqual(clients[0].response().tag, "a%d" % i)

    def test_small_commands_without_an_end(self):
        before = resident_bytes(self.pid)
        client = self.client(self.daemon_, "anna", "INBOX")
        client.socket.setblocking(False)
        block = b"".join(b"a CAPABILITY\r\n" for _ in range(1000))
        sent = 0
        # The server must stop taking them: 600 bytes come of 14.
        try:
            while sent < 64 << 20:
                sent += client.socket.send(block)
        except BlockingIOError:
            pass
        self.others_work()
        try:
            while sent < 64 << 20:
                sent += client.socket.send(block)
        except BlockingIOError:
            pass
        self.assertLess(sent, 16 << 20)
        self.assertLess(resident_bytes(self.pid) - before, HELD_MAX)
        client.socket.setblocking(True)
        for _ in range(5000):
            self.assertIn(client.response().kind, ("CAPABILITY", "OK"))


class FairnessTest(ImapTest):
    def test_a_long_search_stops_nobody(self):
        """Everybody else is answered while one command takes long."""
        daemon = self.spoold(users=("anna", "bob"))
        content = message((b"z" * 76 + b"\r\n") * 20000)
        with daemon.client() as smtp:
            smtp.ehlo()
            for _ in range(30):
                smtp.mail("a@client.test", ["anna@example.com"], content)
        daemon.send(recipients=["bob@example.com"])
        busy = self.client(daemon, "anna", "INBOX")
        other = self.client(daemon, "bob", "INBOX")
        busy.send("s SEARCH OR BODY \"no such words\" TEXT zzzzzzzzx\r\n")
        answered = 0
        while not busy.buffer:
            other.ok("FETCH 1 (ENVELOPE BODY.PEEK[])")
            answered += 1
            busy.socket.setblocking(False)
            try:
                busy.fill()
            except BlockingIOError:
                pass
            busy.socket.setblocking(True)
        self.assertEqual(busy.response().kind, "SEARCH")
        self.assertGreater(answered, 5)


if __name__ == "__main__":
    main()
