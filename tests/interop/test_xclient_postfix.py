#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A real Postfix is told who the first client was."""

import re
import unittest

import deliveries
import peers
from name_server import NameServer

CLIENT = "127.0.0.2"
CLIENT_NAME = "mail.client.example"


class XclientPostfixTest(deliveries.Base):
    peer_class = peers.Postfix

    def spoold_with_names(self, peer, **target):
        """One that finds the name of the client in the DNS."""
        reverse = ".".join(reversed(CLIENT.split("."))) + ".in-addr.arpa"
        server = NameServer(self.folder / "names", {
            reverse: ["PTR %s." % CLIENT_NAME],
            CLIENT_NAME: ["A " + CLIENT]})
        self.stack.enter_context(server)
        return self.spoold(peer, resolver=server.resolver(), **target)

    def test_xclient(self):
        """Postfix takes the first client for its own: name, address and
        HELO are in its log and in its Received field, and its restrictions
        are about that client."""
        peer = self.make_peer(
            smtpd_authorized_xclient_hosts="127.0.0.1",
            smtpd_client_restrictions=
            "check_client_access inline:{{{{127.0.0.3=REJECT go away}}}}")
        spoold = self.spoold_with_names(peer, client="xclient")
        self.send_as(spoold, CLIENT, "helo.client.example", "m0@example.com")
        refused = self.send_as(spoold, "127.0.0.3", "other.client.example",
                               "m1@example.com")
        self.come_up(spoold, peer, 1)
        peer.wait_log(r"client=mail\.client\.example\[127\.0\.0\.2\]")
        transaction, = self.passed_on()
        self.assertRegex(
            transaction.content.decode(),
            r"^Received: from helo\.client\.example \(mail\.client\.example "
            r"\[127\.0\.0\.2\]\)\r\n\s+by postfix\.test")
        self.assertRegex(spoold.log(),
                         "returned id=%s .*go away" % refused)
        peer.wait_log(r"NOQUEUE: reject: .*\[127\.0\.0\.3\].*go away.*"
                      "helo=<other.client.example>")

    def test_xforward(self):
        """Postfix logs who the first client was, and goes by this host."""
        peer = self.make_peer(smtpd_authorized_xforward_hosts="127.0.0.1",
                              smtpd_peername_lookup="no")
        spoold = self.spoold_with_names(peer, client="xclient")
        message_id = self.send_as(spoold, CLIENT, "helo.client.example",
                                  "m0@example.com")
        self.come_up(spoold, peer, 1)
        peer.wait_log(
            r"client=unknown\[127\.0\.0\.1\], orig_queue_id=" + message_id +
            r", orig_client=mail\.client\.example\[127\.0\.0\.2\]")
        transaction, = self.passed_on()
        self.assertRegex(
            transaction.content.decode(),
            r"^Received: from mx2\.example\.com \(unknown \[127\.0\.0\.1\]\)")

    def test_nothing_is_handed_over(self):
        peer = self.make_peer(smtpd_authorized_xforward_hosts="127.0.0.1",
                              smtpd_authorized_xclient_hosts="127.0.0.1")
        spoold = self.spoold(peer, client="none")
        self.send_as(spoold, CLIENT, "helo.client.example", "m0@example.com")
        self.come_up(spoold, peer, 1)
        peer.wait_log(r"client=unknown\[127\.0\.0\.1\]\n")
        self.assertEqual(re.findall("orig_client|127.0.0.2", peer.log()), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
