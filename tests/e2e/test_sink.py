#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The tests' own client and sink against each other: what the other files
rely on when they blame spoold."""

import os
import shutil
import smtplib
import subprocess
import sys
import time
import unittest

from client import Client, Closed
from sink import (CLOSE, HANG, RESET, Last, Pieces, Sink, Slow, by_address,
                  nth, sequence)
from spoold_test import (ROOT, free_port, main, message, test_directory,
                         wait_for)


class SinkTest(unittest.TestCase):
    def setUp(self):
        self.sink = Sink(free_port()).start()

    def tearDown(self):
        self.sink.close()

    def client(self, **options):
        client = Client(self.sink.port, **options)
        if options.get("greeting", 220) == 220:
            client.ehlo()
        self.addCleanup(client.close)
        return client

    def test_exact_bytes(self):
        content = b"a: b\r\n\r\n.\r\n..x\r\n\0\xff\r\n" + b"y" * 70000 + \
            b"\r\n"
        client = self.client()
        client.begin("a@b.test", ["c@d.test", "e@f.test"], "SIZE=70021")
        self.assertEqual(client.data(content), 250)
        client.begin("", ["c@d.test"])
        self.assertEqual(client.data(b""), 250)
        client.quit()
        first, second = self.sink.transactions
        self.assertEqual(first.content, content)
        self.assertEqual(first.sender, "a@b.test")
        self.assertEqual(first.params, {"SIZE": "70021"})
        self.assertEqual(first.recipients, ["c@d.test", "e@f.test"])
        self.assertEqual((second.sender, second.content), ("", b""))
        self.assertEqual(self.sink.violations, [])

    def test_smtplib(self):
        with smtplib.SMTP("127.0.0.1", self.sink.port) as smtp:
            smtp.sendmail("a@b.test", ["c@d.test"], message())
        wait_for(lambda: len(self.sink.delivered) == 1)

    def test_pipelined(self):
        client = self.client()
        client.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n"
                    b"DATA\r\n")
        for code in (250, 250, 354):
            client.expect(code)
        client.send(b"x\r\n.\r\nMAIL FROM:<>\r\nQUIT\r\n")
        for code in (250, 250, 221):
            client.expect(code)
        self.assertTrue(client.at_end())
        self.assertEqual(self.sink.delivered[0].content, b"x\r\n")
        self.assertEqual(self.sink.violations, [])

    def test_violations_are_seen(self):
        self.sink.extensions = ["ENHANCEDSTATUSCODES"]
        client = self.client()
        client.expect(555, "MAIL FROM:<a@b.test> SIZE=5")
        client.expect(555, "MAIL FROM: <a@b.test>")
        client.expect(250, "MAIL FROM:<>")
        client.expect(503, "MAIL FROM:<>")
        client.send(b"RSET\r\nNOOP\r\n")
        client.expect(250)
        client.expect(250)
        self.assertEqual(len(self.sink.violations), 4)

    def test_refusals(self):
        self.sink.on["RCPT"] = nth(2, "452 4.2.2 full")
        client = self.client()
        client.expect(250, "MAIL FROM:<a@b.test>")
        client.expect(250, "RCPT TO:<c@d.test>")
        client.expect(452, "RCPT TO:<e@f.test>")
        client.expect(250, "RCPT TO:<g@h.test>")
        self.assertEqual(client.data(b"x\r\n"), 250)
        wait_for(lambda: self.sink.delivered)
        self.assertEqual(self.sink.delivered[0].recipients,
                         ["c@d.test", "g@h.test"])
        self.assertEqual(self.sink.delivered[0].refused, [("e@f.test", 452)])
        self.sink.on["RCPT"] = by_address({"e@f.test": "550 5.1.1 unknown"})
        self.sink.on["DOT"] = sequence("451 4.3.0 no")
        client.expect(250, "MAIL FROM:<a@b.test>")
        client.expect(550, "RCPT TO:<e@f.test>")
        client.expect(554, "DATA")
        client.expect(250, "RCPT TO:<c@d.test>")
        self.assertEqual(client.data(b"x\r\n"), 451)
        self.assertEqual(len(self.sink.delivered), 1)
        self.assertEqual(len(self.sink.transactions), 2)

    def test_deaths(self):
        for step in ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT",
                     "DOT"):
            for action in (CLOSE, RESET):
                self.sink.on = {step: action}
                with self.assertRaises((Closed, OSError), msg=step):
                    with Client(self.sink.port) as client:
                        client.ehlo()
                        client.begin("a@b.test", ["c@d.test"])
                        client.data(b"x" * 100000 + b"\r\n")
        self.assertEqual(self.sink.delivered, [])
        wait_for(lambda: len(self.sink.transactions) == 2, "the two at DOT")

    def test_hang_slow_pieces(self):
        self.sink.on = {"GREETING": Pieces("220-sink\n220 test")}
        self.assertEqual(self.client().greeting.lines, ["sink", "test"])
        self.sink.on = {"EHLO": HANG}
        client = self.client(greeting=None)
        client.expect(220)
        client.send(b"EHLO x\r\n")
        self.assertTrue(client.silent(0.1))
        self.sink.on = {"NOOP": Slow(0.1, Last("421 4.3.2 bye"))}
        client = self.client()
        begin = time.monotonic()
        client.expect(421, "NOOP")
        self.assertGreaterEqual(time.monotonic() - begin, 0.1)
        self.assertTrue(client.at_end())

    def test_helo_only(self):
        self.sink.helo_only = True
        client = self.client(greeting=None)
        client.expect(220)
        client.expect(502, "EHLO x")
        client.expect(250, "HELO x")
        client.begin("a@b.test", ["c@d.test"])
        self.assertEqual(client.data(b"x\r\n"), 250)

    def test_size(self):
        self.sink.size = 10
        client = self.client()
        client.expect(552, "MAIL FROM:<a@b.test> SIZE=11")
        client.begin("a@b.test", ["c@d.test"])
        self.assertEqual(client.data(b"x" * 20 + b"\r\n"), 552)

    def test_down_and_up(self):
        client = self.client()
        self.sink.stop()
        with self.assertRaises(ConnectionRefusedError):
            Client(self.sink.port)
        self.assertTrue(client.at_end())
        self.sink.start()
        self.client().quit()

    def test_by_hand(self):
        directory = test_directory()
        self.addCleanup(shutil.rmtree, directory)
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, os.path.join(ROOT, "tests/e2e/sink.py"),
             str(port), "--maildir", directory],
            stdout=subprocess.PIPE, text=True)
        try:
            self.assertIn(str(port), process.stdout.readline())
            with smtplib.SMTP("127.0.0.1", port) as smtp:
                smtp.sendmail("a@b.test", ["c@d.test"], message())
            self.assertIn("from <a@b.test> to <c@d.test>",
                          process.stdout.readline())
            wait_for(lambda: os.listdir(os.path.join(directory, "new")))
        finally:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    main()
