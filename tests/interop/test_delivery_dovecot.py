#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Deliveries to a real Dovecot by LMTP: over TCP, TLS and a unix socket."""

import re
import unittest

import deliveries
import peers
from deliveries import CONTENTS, SENDER, whole
from spoold_test import below_received, header_field

ANNA, BOB, NOBODY = "anna@example.com", "bob@example.com", "x@example.com"


class DovecotTest(deliveries.Base):
    peer_class = peers.Dovecot

    def make_peer(self, tls=False):
        # The path of a socket has 107 bytes at most.
        return peers.Dovecot(self.folder / "d", self.good if tls else None,
                             users=[ANNA, BOB])

    def spoold(self, peer, **target):
        return super().spoold(peer, protocol="lmtp", **target)

    def stored(self, peer, name, content):
        """The mail of NAME that ends in this content, byte for byte; its
        fields above ours."""
        mail, = [m for m in peer.mails(name) if m.endswith(content)]
        ours = [found.start() for found in
                re.finditer(rb"(?m)^Received:", mail)][1]
        self.assertEqual(below_received(mail[ours:]), content)
        return mail[:ours]

    def deliver(self, spoold, peer):
        for content in CONTENTS:
            spoold.send(SENDER, [ANNA, BOB], whole(content), "BODY=8BITMIME")
        self.stack.enter_context(peer)
        spoold.wait_empty()
        for content in CONTENTS:
            for name in (ANNA, BOB):
                above = self.stored(peer, name, whole(content))
                self.assertEqual(header_field(above, "Return-Path")[0],
                                 "<%s>" % SENDER)
        self.assertEqual(len(peer.mails(ANNA)), len(CONTENTS))
        self.assertEqual(len(peer.mails(BOB)), len(CONTENTS))

    def test_port(self):
        peer = self.make_peer()
        self.deliver(self.spoold(peer, tls="opportunistic"), peer)

    def test_starttls(self):
        peer = self.make_peer(tls=True)
        spoold = self.spoold(peer, tls="verify", tls_ca=self.authority.path,
                             tls_name="mail.example.com")
        self.deliver(spoold, peer)
        self.assertRegex(spoold.target()["tls"], "^TLSv1.3 .*by its name")

    def test_dane(self):
        peer = self.make_peer(tls=True)
        spoold = self.spoold(peer, **self.proved_by_dane(peer))
        self.deliver(spoold, peer)
        self.assertRegex(spoold.target()["tls"], "^TLSv1.3 .*by DANE")

    def test_socket(self):
        """The server is not there yet, and so is its socket."""
        peer = self.make_peer()
        spoold = self.spoold(peer, hosts=[str(peer.folder / "lmtp")])
        self.deliver(spoold, peer)
        self.assertRegex(spoold.log(), "attempt .*lmtp.*No such file")

    def test_each_recipient_has_its_verdict(self):
        peer = self.make_peer()
        spoold = self.spoold(peer)
        content = whole(CONTENTS[0])
        message_id = spoold.send("", [ANNA, NOBODY, BOB], content)
        self.stack.enter_context(peer)
        spoold.wait_empty()
        rows = spoold.recipients(message_id)
        self.assertEqual([rows[name]["state"] for name in (ANNA, NOBODY, BOB)],
                         ["delivered", "dropped", "delivered"])
        self.assertRegex(rows[NOBODY]["reply"], "User doesn't exist")
        for name in (ANNA, BOB):
            self.stored(peer, name, content)

    def test_xclient(self):
        """Dovecot takes it from its trusted networks."""
        peer = self.make_peer()
        spoold = self.spoold(peer, client="xclient")
        self.send_as(spoold, "127.0.0.2", "helo.client.example", ANNA)
        self.stack.enter_context(peer)
        spoold.wait_empty()
        above = self.stored(peer, ANNA, whole(CONTENTS[0]))
        self.assertRegex(header_field(above, "Received")[0],
                         r"^from helo\.client\.example \(\[127\.0\.0\.2\]\) "
                         "by dovecot.test with LMTP")


if __name__ == "__main__":
    unittest.main(verbosity=2)
