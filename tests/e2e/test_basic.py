#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Mail in, held, given back: the route of a message on good days."""

import email.utils
import os
import re
import smtplib
import socket
import time

from spoold_test import (SpooldTest, below_received, header_field, main,
                         message, wait_for)


class BasicTest(SpooldTest):
    def test_held_while_down_then_delivered(self):
        daemon = self.daemon()
        contents = [message("number %d\r\n" % i) for i in range(3)]
        ids = [daemon.send(content=c) for c in contents]
        self.assertEqual(daemon.held(), ids)
        self.assertEqual(ids, sorted(set(ids)))
        daemon.wait_target("down")
        self.assertEqual(daemon.status()["held"]["messages"], 3)

        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(daemon.held(), [])
        self.assertEqual(
            sorted(below_received(t.content)
                   for t in daemon.sink.delivered), sorted(contents))
        for transaction in daemon.sink.transactions:
            self.assertEqual(transaction.sender, "anna@client.test")
            self.assertEqual(transaction.recipients, ["bob@example.com"])
        finished = daemon.messages("state:delivered")
        self.assertEqual([m["id"] for m in finished], ids)
        self.assertEqual({m["state"] for m in finished}, {"finished"})
        self.assertEqual(daemon.status()["finished"], 3)
        self.assertEqual(daemon.target()["state"], "up")

    def test_passed_on_at_once(self):
        daemon = self.daemon()
        daemon.sink.start()
        for number in range(1, 4):
            daemon.send()
            wait_for(lambda: len(daemon.sink.delivered) == number)

    def test_kept_over_a_restart(self):
        daemon = self.daemon()
        content = message("still there?\r\n")
        first = daemon.send(content=content)
        daemon.restart()
        second = daemon.send()
        self.assertLess(first, second)
        self.assertEqual(daemon.held(), [first, second])
        self.assertEqual(
            below_received(daemon.ctl("cat", first).out), content)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 2)

    def test_contents_of_all_shapes(self):
        """Byte for byte, whatever the size and the last line."""
        daemon = self.daemon()
        contents = [
            b"",
            b"\r\n",
            b"Subject: only a header\r\n",
            b"Subject: x\r\n\r\n",
            b"no header at all, really\r\n",
            b"S: x\r\n\r\n.\r\n..\r\n.x\r\n...\r\n",
            b"S: x\r\n\r\n" + bytes(range(11, 13)) + bytes(range(14, 256)) +
            bytes(range(10)) + b"\r\n",
            b"S: x\r\n\r\n" + b"one line of 20000 " * 1100 + b"\r\n",
            b"S: x\r\n\r\n" + b"all the same\r\n" * 50000,
            b"S: x\r\n\r\n" + os.urandom(70000).hex().encode() + b"\r\n",
            b"S: x\r\n\r\n" + b"".join(
                os.urandom(400).replace(b"\r", b"r").replace(b"\n", b"n") +
                b"\r\n" for _ in range(8000)),
        ]
        with daemon.client() as client:
            client.ehlo()
            ids = [client.mail("anna@client.test", ["bob@example.com"], c)
                   for c in contents]
            client.quit()
        for message_id, content in zip(ids, contents):
            out = daemon.ctl("cat", message_id).out
            self.assertEqual(below_received(out), content)
            self.assertEqual(daemon.json("show", message_id)["size"],
                             len(out))
        daemon.sink.start()
        daemon.wait_empty()
        got = {header_field(t.content, "Received")[0].split(" id ")[1][:13]:
               below_received(t.content) for t in daemon.sink.delivered}
        self.assertEqual(sorted(got), ids)
        for message_id, content in zip(ids, contents):
            self.assertEqual(got[message_id], content)

    def test_received_field(self):
        daemon = self.daemon()
        daemon.sink.start()
        before = int(time.time())
        message_id = daemon.send()
        wait_for(lambda: daemon.sink.delivered)
        value = header_field(daemon.sink.delivered[0].content, "Received")[0]
        match = re.fullmatch(
            r"from client\.test \(\[127\.0\.0\.1\]\) by mx2\.example\.com "
            r"\(spoold\) with ESMTP id ([0-9A-Z]{13}) for <bob@example\.com>; (.+)",
            value)
        self.assertIsNotNone(match, value)
        self.assertEqual(match.group(1), message_id)
        when = email.utils.parsedate_to_datetime(match.group(2)).timestamp()
        self.assertTrue(before - 1 <= when <= time.time() + 1, value)
        for line in daemon.sink.delivered[0].content.split(b"\r\n\r\n")[0] \
                .split(b"\r\n"):
            self.assertLessEqual(len(line), 200)

    def test_received_field_keeps_secrets(self):
        """With several recipients none of them is named; HELO is SMTP."""
        daemon = self.daemon()
        daemon.sink.start()
        with daemon.client() as client:
            client.expect(250, "HELO old.test")
            client.mail("", ["bob@example.com", "carol@example.com"],
                        message())
        wait_for(lambda: daemon.sink.delivered)
        value = header_field(daemon.sink.delivered[0].content, "Received")[0]
        self.assertIn(" with SMTP id ", value)
        self.assertNotIn("carol", value)
        self.assertNotIn("bob", value)

    def test_ipv6_and_several_addresses(self):
        daemon = self.configured()
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::1", daemon.port))
            except OSError:
                self.skipTest("no IPv6 on the loopback")
        daemon.listen.append("[::1]:%d" % daemon.port)
        daemon.start()
        daemon.sink.start()
        with daemon.client(host="::1") as client:
            client.ehlo()
            message_id = client.mail("", ["bob@example.com"], message())
        daemon.send()
        wait_for(lambda: len(daemon.sink.delivered) == 2)
        self.assertEqual(daemon.json("show", message_id)["client"], "::1")
        values = [header_field(t.content, "Received")[0]
                  for t in daemon.sink.delivered]
        self.assertEqual(
            sorted(v.split(") by ")[0] for v in values),
            ["from client.test ([127.0.0.1]",
             "from client.test ([IPv6:::1]"])

    def test_smtplib(self):
        """An ordinary client, many messages on one connection."""
        daemon = self.daemon()
        daemon.sink.start()
        with smtplib.SMTP("127.0.0.1", daemon.port) as smtp:
            for i in range(20):
                refused = smtp.sendmail(
                    "anna@client.test",
                    ["bob@example.com", "carol@example.com"],
                    message("%d\r\n" % i))
                self.assertEqual(refused, {})
        wait_for(lambda: len(daemon.sink.delivered) == 20)
        daemon.wait_empty()
        self.assertEqual(daemon.counter("accepted"), 20)
        self.assertEqual(daemon.counter("delivered"), 40)
        self.assertEqual(daemon.status()["finished"], 20)

    def test_finished_messages_are_purged(self):
        daemon = self.daemon(store={"keep-delivered": "300ms"})
        daemon.sink.start()
        daemon.send()
        wait_for(lambda: daemon.sink.delivered)
        wait_for(lambda: daemon.messages("state:any") == [], "the purge")
        self.assertEqual(daemon.status()["finished"], 0)
        daemon.restart()
        self.assertEqual(daemon.messages("state:any"), [])


if __name__ == "__main__":
    main()
