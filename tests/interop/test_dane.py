#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""DANE (RFC 7672) towards real servers, with a DNS of our own that is signed:
what is proved, and that nothing goes where a proof fails."""

import hashlib
import re
import unittest

import deliveries
import peers
from name_server import NameServer
from spoold_test import wait_for

HOST = "mail.dane.example"


class DaneTest(deliveries.Base):
    peer_class = peers.Exim
    TLS_LOG = "X=TLS1.3"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = cls.authority.issue("DNS:" + HOST)
        cls.other = cls.authority.issue("DNS:" + HOST)
        with open(cls.authority.path) as file:
            cls.authority_digest = hashlib.sha256(
                deliveries.der(file.read())).hexdigest()

    def own_key(self, certificate=None):
        return "3 1 1 " + (certificate or self.good).key_fingerprint

    def names(self, peer, *records, host=HOST):
        """What the DNS says of the host: its address, its TLSA records."""
        return {host: ["A 127.0.0.1"],
                "_%d._tcp.%s" % (peer.port, host): [
                    "TLSA " + record for record in records]}

    def serve(self, names, **options):
        server = NameServer(self.folder / "names", names, **options)
        return self.stack.enter_context(server)

    def spoold(self, server, peer, host=HOST, **target):
        target = {"hosts": ["%s:%d" % (host, peer.port)], "tls": "dane",
                  **target}
        return self.daemon(sink=None, targets={"office": target},
                           resolver=server.resolver())

    def delivered(self, spoold, peer, tls):
        self.deliver(spoold, peer, deliveries.CONTENTS[:2])
        self.assertRegex(spoold.target()["tls"], tls)
        peer.wait_log(self.TLS_LOG)

    def held(self, spoold, peer, reason):
        message_id = spoold.send()
        self.stack.enter_context(peer)
        self.held_because(spoold, message_id, reason)
        self.assertEqual(self.behind.transactions, [])

    # --- proved

    def test_own_key(self):
        """One of two records fits, as while a key is being changed."""
        self.own_key_fits()

    def test_own_key_of_postfix(self):
        self.peer_class = peers.Postfix
        self.TLS_LOG = "TLS connection established from .*TLSv1.3"
        self.own_key_fits()

    def own_key_fits(self):
        peer = self.make_peer(tls=True)
        server = self.serve(self.names(
            peer, self.own_key(self.other), self.own_key()))
        self.delivered(self.spoold(server, peer), peer,
                       "^TLSv1.3 .*proved by DANE")

    def test_authority_of_an_mx_host(self):
        peer = self.make_peer(tls=True)
        server = self.serve({
            "example.com": ["MX 10 %s." % HOST],
            **self.names(peer, "2 0 1 " + self.authority_digest)})
        spoold = self.spoold(server, peer, hosts=None, mx=True, tls="dane",
                             port=peer.port)
        self.delivered(spoold, peer, "^TLSv1.3 .*proved by DANE")

    def test_alias(self):
        """The records of the name behind the alias count."""
        peer = self.make_peer(tls=True)
        server = self.serve({"alias.example": ["CNAME %s." % HOST],
                             **self.names(peer, self.own_key())})
        self.delivered(self.spoold(server, peer, "alias.example"), peer,
                       "^TLSv1.3 .*proved by DANE")

    # --- nothing to prove

    def test_usages_that_do_not_count(self):
        """Records for web browsers: TLS, whoever it is."""
        peer = self.make_peer(tls=True)
        server = self.serve(self.names(peer, "1 1 1 " + "00" * 32))
        spoold = self.spoold(server, peer)
        self.delivered(spoold, peer, r"^TLSv1.3 [^,]*(, resumed)?$")

    def test_not_signed(self):
        """What nobody vouches for is no proof of anything: as without."""
        peer = self.make_peer(tls=True)
        host = "mail.plain.example"
        server = self.serve({}, unsigned={"plain.example": self.names(
            peer, self.own_key(self.other), host=host)})
        spoold = self.spoold(server, peer, host)
        self.delivered(spoold, peer, r"^TLSv1.3 [^,]*(, resumed)?$")

    # --- not proved

    def put_right(self, spoold):
        """The operator does not wait for the next probe, nor for the next
        time a name is looked up."""
        def is_empty():
            spoold.ctl("target", "retry", "office")
            return not spoold.held()

        wait_for(is_empty, "the delivery")
        wait_for(lambda: self.passed_on(), "what Exim passes on")

    def test_wrong_key(self):
        """Held until the DNS has the right record."""
        peer = self.make_peer(tls=True)
        server = self.serve(self.names(peer, self.own_key(self.other)))
        spoold = self.spoold(server, peer)
        self.held(spoold, peer, "certificate is not good")
        server.stop()
        server.names = self.names(peer, self.own_key())
        server.start()
        self.put_right(spoold)
        self.assertRegex(spoold.target()["tls"], "proved by DANE")

    def test_no_starttls(self):
        """Stripped on the way, it would look like this."""
        peer = self.make_peer()
        server = self.serve(self.names(peer, self.own_key()))
        self.held(self.spoold(server, peer), peer, "STARTTLS is not offered")

    def test_forged(self):
        """Signed by somebody else: not even the address is believed."""
        peer = self.make_peer(tls=True)
        server = self.serve(self.names(peer, self.own_key()))
        resolver = server.resolver()
        server.stop()
        server.key = server.make_key()
        server.start()
        spoold = self.daemon(sink=None, resolver=resolver, targets={
            "office": {"hosts": ["%s:%d" % (HOST, peer.port)],
                       "tls": "dane"}})
        self.held(spoold, peer, "bogus")

    def test_name_server_is_dead(self):
        """Held, and not a word to the sender; then it is back."""
        peer = self.make_peer(tls=True)
        server = self.serve(self.names(peer, self.own_key()))
        server.stop()
        spoold = self.spoold(server, peer)
        self.held(spoold, peer, "does not answer|SERVFAIL")
        server.start()
        self.put_right(spoold)
        self.assertEqual(re.findall(r"\breturned\b.*", spoold.log()), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
