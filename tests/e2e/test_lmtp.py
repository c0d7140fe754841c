#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""LMTP (RFC 2033) towards a target: each recipient has its own end."""

import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from sink import Last, Sink, by_address, nth  # noqa: E402
from spoold_test import (SpooldTest, below_received, main,  # noqa: E402
                         message, wait_for)

ABC = ["a@example.com", "b@example.com", "c@example.com"]


class LmtpTest(SpooldTest):
    def configured(self, **options):
        target = {"protocol": "lmtp", **options.pop("target", {})}
        daemon = super().configured(targets={"office": target}, **options)
        daemon.sink.lmtp = True
        return daemon

    def states(self, daemon, message_id):
        return [daemon.recipients(message_id)[a]["state"] for a in ABC]

    def test_delivered(self):
        content = message(".\r\n..\r\n")
        for extension in ("SIZE", "CHUNKING"):
            daemon = self.daemon()
            daemon.sink.extensions.append(extension)
            message_id = daemon.send(recipients=ABC, content=content)
            daemon.sink.start()
            daemon.wait_empty()
            transaction, = daemon.sink.delivered
            self.assertEqual(transaction.recipients, ABC)
            self.assertEqual(below_received(transaction.content), content)
            self.assertEqual(self.states(daemon, message_id),
                             ["delivered"] * 3)

    def test_each_its_own_verdict(self):
        for extension in ("SIZE", "CHUNKING"):
            daemon = self.daemon()
            daemon.sink.extensions.append(extension)
            full = nth(1, "452 4.2.2 full")
            daemon.sink.on["VERDICT"] = lambda session, address: {
                "a@example.com": lambda *_: None,
                "b@example.com": full,
                "c@example.com": lambda *_: "552 5.2.2 never",
            }[address](session, address)
            message_id = daemon.send("", ABC)
            daemon.sink.start()
            daemon.wait_empty()
            rows = daemon.recipients(message_id)
            self.assertEqual([rows[a]["state"] for a in ABC],
                             ["delivered", "delivered", "dropped"])
            self.assertEqual([rows[a]["attempts"] for a in ABC], [1, 2, 1])
            # Who had it is not given it again.
            self.assertEqual([t.recipients for t in daemon.sink.transactions],
                             [ABC, ["b@example.com"]])

    def test_refused_at_rcpt(self):
        """Replies after the dot are only of those that were accepted."""
        daemon = self.daemon()
        daemon.sink.on = {
            "RCPT": by_address({"b@example.com": "550 5.1.1 who?"}),
            "VERDICT": by_address({"c@example.com": "550 5.7.1 no"})}
        message_id = daemon.send("", ABC)
        daemon.sink.start()
        daemon.wait_empty()
        rows = daemon.recipients(message_id)
        self.assertEqual([(rows[a]["state"], rows[a]["reply"]) for a in ABC],
                         [("delivered", "2.0.0 taken"),
                          ("dropped", "5.1.1 who?"),
                          ("dropped", "5.7.1 no")])

    def test_nobody_accepted(self):
        daemon = self.daemon()
        daemon.sink.on["RCPT"] = lambda *_: "550 5.1.1 who?"
        message_id = daemon.send("", ABC)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(self.states(daemon, message_id), ["dropped"] * 3)

    def test_broken_within_the_verdicts(self):
        """Who had a reply keeps it; of the others nobody knows."""
        daemon = self.daemon(target={"unknown-retry": "100ms"})
        daemon.sink.on["VERDICT"] = by_address({
            "b@example.com": Last("250 2.0.0 taken")})
        message_id = daemon.send(recipients=ABC)
        daemon.sink.start()
        wait_for(lambda: " unknown id=" + message_id in daemon.log(),
                 "the state unknown")
        daemon.wait_empty()
        unknown = [line for line in daemon.log().splitlines()
                   if " unknown id=" in line]
        self.assertEqual(len(unknown), 1, unknown)
        self.assertIn("to=c@example.com", unknown[0])
        self.assertEqual([t.recipients for t in daemon.sink.transactions],
                         [ABC, ["c@example.com"]])

    def test_a_backlog(self):
        daemon = self.daemon(target={"connections": 1})
        daemon.sink.on["VERDICT"] = nth(5, "451 4.3.0 later")
        for n in range(20):
            daemon.send(recipients=ABC[:1 + n % 3])
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.transactions), 21)

    def test_no_helo(self):
        """A server that refuses LHLO speaks no LMTP: it is down."""
        daemon = self.daemon()
        daemon.sink.on["LHLO"] = nth(1, "500 5.5.1 what?")
        daemon.send()
        daemon.sink.start()
        daemon.wait_empty()
        self.assertIn("reason=\"500 5.5.1 what?\"", daemon.log())

    def on_socket(self, protocol):
        """A daemon whose target is a socket of this system that is root's,
        and the sink there, stopped."""
        directory = tempfile.mkdtemp(prefix="spoold-")
        self.addCleanup(shutil.rmtree, directory)
        sink = Sink(host=directory + "/socket")
        os.chmod(sink.host, 0o600)
        self.sinks.append(sink)
        daemon = self.configured(sink=sink, target={
            "hosts": [sink.host], "protocol": protocol,
            "tls": "opportunistic", "client": "xclient"})
        daemon.sink.lmtp = protocol == "lmtp"
        return daemon.start()

    def test_unix_socket(self):
        content = message(".\r\n..\r\n")
        for protocol in ("lmtp", "smtp"):
            daemon = self.on_socket(protocol)
            message_id = daemon.send(recipients=ABC, content=content)
            wait_for(lambda: "refused" in daemon.target()["reason"].lower(),
                     "the reason of %r" % daemon.target())
            self.assertRegex(daemon.ctl("why", message_id).text,
                             re.escape(daemon.sink.host) + ".*refused")
            daemon.sink.start()
            daemon.wait_empty()
            transaction, = daemon.sink.delivered
            self.assertEqual(transaction.recipients, ABC)
            self.assertEqual(below_received(transaction.content), content)

    def test_unix_socket_comes_and_goes(self):
        daemon = self.on_socket("lmtp")
        os.rename(daemon.sink.host, daemon.sink.host + ".away")
        daemon.send()
        wait_for(lambda: "No such file" in daemon.target()["reason"],
                 "the reason")
        os.rename(daemon.sink.host + ".away", daemon.sink.host)
        daemon.sink.start()
        daemon.wait_empty()
        daemon.sink.stop()
        daemon.targets["office"]["hosts"] = [daemon.sink.host + ".other"]
        os.rename(daemon.sink.host, daemon.sink.host + ".other")
        daemon.sink.host += ".other"
        daemon.sink.stop()
        daemon.reload()
        daemon.send()
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 2)

    def test_reload_to_smtp(self):
        daemon = self.daemon()
        daemon.sink.start()
        daemon.send()
        wait_for(lambda: len(daemon.sink.delivered) == 1, "by LMTP")
        daemon.sink.stop()
        daemon.sink.lmtp = False
        daemon.targets["office"]["protocol"] = "smtp"
        daemon.reload()
        daemon.sink.start()
        daemon.send(recipients=ABC)
        daemon.wait_empty()


if __name__ == "__main__":
    main()
