#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Deliveries to a real OpenSMTPD.

The one of Debian 12 offers STARTTLS and fails in every handshake: it was
made for an older OpenSSL. So what is seen of TLS here is what becomes of a
target that breaks in this way.
"""

import unittest

import deliveries
import peers


class OpenSmtpdTest(deliveries.Deliveries):
    peer_class = peers.OpenSmtpd
    BODY_LOG = ""

    def check_parameters(self, transaction):
        """It knows no BODY towards others, and gives all recipients the
        NOTIFY of the first."""
        self.assertEqual(transaction.params["RET"], "HDRS")
        self.assertEqual(transaction.params["ENVID"], "QQ+3D1")
        self.assertEqual(transaction.rcpt_params["m0@example.com"], {
            "NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;x+2By@other.test"})

    def test_starttls(self):
        """In the clear, where it may be, and the log says why."""
        peer = self.make_peer(tls=True)
        spoold = self.spoold(peer, tls="opportunistic")
        self.deliver(spoold, peer)
        self.assertEqual(spoold.target()["tls"], "none")
        self.assertRegex(spoold.log(), "alert internal error.*; "
                                       "going on without TLS")

    def test_require(self):
        """Held, where it may not be, and spoolctl says why."""
        peer = self.make_peer(tls=True)
        self.check_held(self.spoold(peer, tls="require"), peer)

    def test_dane(self):
        """Likewise: the DNS says that there is TLS."""
        peer = self.make_peer(tls=True)
        self.check_held(self.spoold(peer, **self.proved_by_dane(peer)), peer)

    def check_held(self, spoold, peer):
        message_id = spoold.send()
        with peer:
            self.held_because(spoold, message_id, "alert internal error")
        self.assertEqual(self.behind.transactions, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
