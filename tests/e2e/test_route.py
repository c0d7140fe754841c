#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Finding the target by the DNS: MX hosts and their order, this server among
them, null MX, and a DNS that says nothing: mail is held then."""

import re
import socket

from nameserver import NameServer
from sink import Sink
from spoold_test import SpooldTest, free_port, main, wait_for

DOMAIN = "example.com"


class RouteTest(SpooldTest):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.dns = NameServer({}).start()
        self.dns.ttl = 1
        self.addCleanup(self.dns.close)

    def host(self, number, *preferences):
        """A sink at 127.0.0.NUMBER that the DNS knows, not started."""
        sink = Sink(self.port, "127.0.0.%d" % number)
        self.sinks.append(sink)
        self.dns.table[("mx%d.example.org" % number, "A")] = [sink.host]
        for preference in preferences:
            self.dns.table.setdefault((DOMAIN, "MX"), []).append(
                (preference, "mx%d.example.org" % number))
        return sink

    def spoold(self, resolver=None, **target):
        return self.daemon(sink=None, targets={"office": {
            "hosts": None, "mx": True, "port": self.port, **target}},
            resolver={"mode": "forward", "dnssec": False, "timeout": "1s",
                      "forwarders": ["127.0.0.1:%d" % self.dns.port],
                      **(resolver or {})})

    def held_because(self, spoold, reason):
        """It stays, why says so, and no sender hears of it."""
        message_id = spoold.send()
        wait_for(lambda: re.search(reason, spoold.target()["reason"]),
                 "the reason %s in %r" % (reason, spoold.target()))
        self.assertRegex(spoold.ctl("why", message_id).text, reason)
        self.assertEqual(spoold.held(), [message_id])
        self.assertNotRegex(spoold.log(), r"\b(returned|dropped) id=")

    def put_right(self, spoold):
        def is_empty():
            spoold.ctl("target", "retry", "office")
            return not spoold.held()

        wait_for(is_empty, "the delivery")

    # --- which host

    def test_the_best_first(self):
        worse, best = self.host(2, 20).start(), self.host(3, 10).start()
        spoold = self.spoold()
        spoold.send()
        spoold.wait_empty()
        self.assertEqual([len(best.delivered), len(worse.delivered)], [1, 0])

    def test_the_next_where_the_best_is_down(self):
        worse, best = self.host(2, 20).start(), self.host(3, 10)
        spoold = self.spoold()
        spoold.send()
        spoold.wait_empty()
        self.assertEqual([len(best.delivered), len(worse.delivered)], [0, 1])
        self.assertRegex(spoold.log(), "attempt .*mx3.example.org.*refused")

    def test_same_preference_share(self):
        """Both get some; which is first is chance (2 ** -40 that it is always
        the same one)."""
        sinks = [self.host(n, 10).start() for n in (2, 3)]
        spoold = self.spoold(messages_per_connection=1, connections=1)
        for _ in range(40):
            spoold.send()
        spoold.wait_empty()
        self.assertEqual(sum(len(sink.delivered) for sink in sinks), 40)
        self.assertTrue(all(sink.delivered for sink in sinks))

    def test_hosts_come_last(self):
        """Named hosts beside the MX hosts are what is left when those are
        down."""
        self.host(2, 10)
        named = self.host(3).start()
        spoold = self.spoold(hosts=["mx3.example.org"])
        spoold.send()
        spoold.wait_empty()
        self.assertEqual(len(named.delivered), 1)

    def test_no_mx_records(self):
        """The domain is its own host (RFC 5321 5.1)."""
        sink = self.host(2).start()
        self.dns.table[(DOMAIN, "A")] = [sink.host]
        spoold = self.spoold()
        spoold.send()
        spoold.wait_empty()
        self.assertEqual(len(sink.delivered), 1)

    def test_both_families(self):
        """An address that does not answer costs no more than a moment."""
        sink = self.host(2, 10).start()
        self.dns.table[("mx2.example.org", "AAAA")] = ["::1"]
        spoold = self.spoold()
        spoold.send()
        spoold.wait_empty()
        self.assertEqual(len(sink.delivered), 1)

    def test_other_address_after_its_time(self):
        """A server that moved is found where it is as soon as the DNS
        allows."""
        before, after = self.host(2, 10).start(), self.host(3).start()
        spoold = self.spoold(messages_per_connection=1)
        spoold.send()
        spoold.wait_empty()
        self.dns.table[("mx2.example.org", "A")] = [after.host]

        def is_found():
            spoold.send()
            spoold.wait_empty()
            return after.delivered

        wait_for(is_found, "mail at the new address")
        self.assertTrue(before.delivered)

    def test_an_address_that_hangs(self):
        """Its other address is tried beside it after a moment, not when the
        connection has timed out."""
        hangs = self.black_hole("127.0.0.4")
        sink = self.host(2, 10).start()
        self.dns.table[("mx2.example.org", "A")] = [hangs, sink.host]
        spoold = self.spoold(connect_timeout="10m")
        spoold.send()
        spoold.wait_empty()
        self.assertEqual(len(sink.delivered), 1)

    def black_hole(self, address):
        """Nobody accepts there and the queue is full: connecting hangs."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind((address, self.port))
        listener.listen(0)
        while True:
            client = socket.socket()
            self.addCleanup(client.close)
            client.settimeout(0.3)
            try:
                client.connect((address, self.port))
            except TimeoutError:
                return address

    # --- this server among them

    def test_only_better_ones_count(self):
        """The backup is an MX host itself, by name; what is worse than it
        would only send the mail back."""
        best = self.host(2, 10)
        worse = self.host(3, 30).start()
        self.dns.table[(DOMAIN, "MX")].append((20, "mx2.example.com"))
        spoold = self.spoold()
        self.held_because(spoold, "refused")
        best.start()
        spoold.wait_empty()
        self.assertEqual([len(best.delivered), len(worse.delivered)], [1, 0])

    def test_no_better_one(self):
        self.host(2, 20).start()
        self.dns.table[(DOMAIN, "MX")].append((10, "mx2.example.com"))
        spoold = self.spoold()
        self.held_because(spoold, "no MX host is better than this server")
        self.dns.table[(DOMAIN, "MX")][0] = (5, "mx2.example.org")
        self.put_right(spoold)

    def test_by_its_greeting(self):
        """The DNS has another name for this server: it is known by what it
        says, and nothing is sent in a circle."""
        sink = self.host(2, 10)
        sink.banner = "220 mx2.example.com ESMTP"
        sink.start()
        spoold = self.spoold()
        self.held_because(spoold, "our own name")
        self.assertEqual(sink.transactions, [])

    def test_by_its_address(self):
        spoold = self.spoold(port=None, hosts=None)
        spoold.stop()
        spoold.targets["office"]["port"] = spoold.port
        self.dns.table[(DOMAIN, "MX")] = [(10, "this.example.org")]
        self.dns.table[("this.example.org", "A")] = ["127.0.0.1"]
        spoold.start()
        self.held_because(spoold, "this server itself")

    # --- no mail, no answer

    def test_null_mx(self):
        """RFC 7505: the domain takes no mail, and the sender is told."""
        self.dns.table[(DOMAIN, "MX")] = [(0, "")]
        spoold = self.spoold()
        message_id = spoold.send("")
        spoold.wait_empty()
        row = spoold.recipients(message_id)["bob@example.com"]
        self.assertEqual((row["state"], row["code"]), ("dropped", 556))
        self.assertIn("null MX", row["reply"])

    def test_no_such_name(self):
        """Perhaps a mistake in the zone: held."""
        spoold = self.spoold()
        self.held_because(spoold, "no such name")
        sink = self.host(2, 10).start()
        self.put_right(spoold)
        self.assertEqual(len(sink.delivered), 1)

    def test_no_address(self):
        self.dns.table[(DOMAIN, "MX")] = [(10, "mx9.example.org")]
        self.dns.table[("mx9.example.org", "MX")] = [(10, "x")]
        self.held_because(self.spoold(), "no address")

    def test_name_server_does_not_answer(self):
        self.dns.table[(DOMAIN, "MX")] = None
        spoold = self.spoold()
        self.held_because(spoold, "does not answer|SERVFAIL")
        del self.dns.table[(DOMAIN, "MX")]
        sink = self.host(2, 10).start()
        self.put_right(spoold)
        self.assertEqual(len(sink.delivered), 1)

    def test_last_answer_goes_on_counting(self):
        """The name server dies after an answer whose time is over: mail goes
        on where it went."""
        sink = self.host(2, 10).start()
        spoold = self.spoold()
        spoold.send()
        spoold.wait_empty()
        self.dns.table = {key: None for key in self.dns.table}
        spoold.ctl("target", "retry", "office")
        sink.stop()
        spoold.send()
        spoold.wait_target("down")
        sink.start()
        spoold.wait_empty()
        self.assertEqual(len(sink.delivered), 2)


if __name__ == "__main__":
    main()
