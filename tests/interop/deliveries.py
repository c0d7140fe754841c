# SPDX-License-Identifier: ISC
"""What is the same for deliveries to each real server.

spoold takes mail while the server is down, the server comes up, and what it
took it passes on to a sink that keeps every byte: the envelope and its
parameters, and the content below the field the server put on top.
"""

import contextlib
import re
import ssl

import peers  # noqa: F401: it knows where the others are
import harness
from certificates import Authority
from spoold_test import SpooldTest, below_received, test_directory, wait_for

SENDER = "anna@client.test"
LINE = b"y" * 990 + b"\r\n"

CONTENTS = [
    b"Subject: plain\r\n\r\nhello\r\n",
    b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\r\n",
    b"Subject: long\r\n\r\n" + LINE * 400,
    b"Subject: 8 bit\r\n\r\n\xc3\xa9\xff\r\n",
    b"Subject: From\r\n\r\nFrom me\r\n>From you\r\n",
    b"Subject: folded\r\n\tand\r\n  folded\r\nX-Empty:\r\n\r\n\r\n\r\n",
]


def whole(content):
    """With the fields servers add where they are missing."""
    return (b"From: anna@client.test\r\nTo: bob@example.com\r\n"
            b"Date: Mon, 06 Jan 2025 10:00:00 +0000\r\n"
            b"Message-ID: <1@client.test>\r\n" + content)


def der(text):
    """The first certificate of a PEM file."""
    end = "-----END CERTIFICATE-----"
    return ssl.PEM_cert_to_DER_cert(text[:text.index(end) + len(end)])


class Base(SpooldTest):
    """A server of peer_class, a sink behind it, and what is wanted of them."""

    peer_class = None
    TLS_LOG = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.authority = Authority(test_directory())
        cls.good = cls.authority.issue("DNS:mail.example.com",
                                       "IP:127.0.0.1")

    def setUp(self):
        super().setUp()
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.folder = self.stack.enter_context(harness.scratch("interop"))
        self.behind = self.sink()
        self.behind.extensions.append("DSN")
        self.behind.start()

    def make_peer(self, tls=False, **settings):
        """Not started yet."""
        return self.peer_class(self.folder / "peer",
                               self.good if tls else None,
                               next_hop=self.behind.port, **settings)

    def spoold(self, peer, resolver=None, **target):
        target = {"hosts": ["127.0.0.1:%d" % peer.port], **target}
        return self.daemon(sink=None, targets={"office": target},
                           resolver=resolver)

    def deliver(self, spoold, peer, contents=CONTENTS):
        """All contents, each once, byte for byte; what the sink has."""
        for n, content in enumerate(contents):
            spoold.send(SENDER, ["m%d@example.com" % n, "all@example.com"],
                        whole(content), "BODY=8BITMIME")
        self.come_up(spoold, peer, len(contents))
        delivered = sorted(self.behind.delivered,
                           key=lambda t: t.recipients)
        for n, content in enumerate(contents):
            transaction, = [t for t in delivered
                            if "m%d@example.com" % n in t.recipients]
            self.assertEqual(transaction.sender, SENDER)
            self.assertEqual(sorted(transaction.recipients),
                             ["all@example.com", "m%d@example.com" % n])
            self.assertEqual(self.as_given(transaction), whole(content))
        return delivered

    def come_up(self, spoold, peer, count):
        self.stack.enter_context(peer)
        spoold.wait_empty()
        wait_for(lambda: len(self.behind.delivered) >= count,
                 "what %s passes on" % peer.name)
        self.assertEqual(len(self.behind.delivered), count)

    def as_given(self, transaction):
        """What the client sent, below the peer's field and ours."""
        above, below = re.match(
            rb"(?s)(Received:.*?\r\n)(Received:.*)",
            transaction.content).groups()
        self.assertIn(b"by " + self.peer_class.hostname.encode(), above)
        self.assertIn(b"by mx2.example.com", below.partition(b"\r\n\r\n")[0])
        return below_received(below)

    def held_because(self, spoold, message_id, reason):
        """It is not delivered, and why says so."""
        wait_for(lambda: re.search(reason, spoold.target()["reason"]),
                 "the reason %s in %r" % (reason, spoold.target()))
        self.assertRegex(spoold.ctl("why", message_id).text, reason)
        self.assertEqual(spoold.held(), [message_id])


class Deliveries(Base):
    """What each is asked."""

    def test_plain(self):
        peer = self.make_peer()
        spoold = self.spoold(peer, tls="none")
        self.deliver(spoold, peer)
        self.assertEqual(spoold.target()["tls"], "none")

    def test_starttls(self):
        peer = self.make_peer(tls=True)
        spoold = self.spoold(peer, tls="opportunistic")
        self.deliver(spoold, peer)
        self.assertRegex(spoold.target()["tls"], "^TLSv1.[23] ")
        peer.wait_log(self.TLS_LOG)
