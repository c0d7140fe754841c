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
from client import Client
from name_server import NameServer
from spoold_test import SpooldTest, below_received, test_directory, wait_for

SENDER = "anna@client.test"
LINE = b"y" * 990 + b"\r\n"

CONTENTS = [
    b"Subject: plain\r\n\r\nhello\r\n",
    b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\r\n",
    b"Subject: long\r\n\r\n" + LINE * 400,
    b"Subject: 8 bit\r\n\r\n\xc3\xa9\xff\r\n",
    b"Authentication-Results: mx2.example.com; spf=pass\r\n"
    b"\tsmtp.mailfrom=client.test\r\n"
    b"ARC-Seal: i=1; a=rsa-sha256; cv=none; d=example.com; s=s; t=1; b=AA==\r\n"
    b"ARC-Message-Signature: i=1; a=rsa-sha256; d=example.com; s=s; h=from;\r\n"
    b"\tbh=AA==; b=AA==\r\n"
    b"ARC-Authentication-Results: i=1; mx2.example.com; spf=pass\r\n"
    b"Subject: verdicts\r\n\r\nhello\r\n",
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
        delivered = sorted(self.passed_on(), key=lambda t: t.recipients)
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
        wait_for(lambda: len(self.passed_on()) >= count,
                 "what %s passes on" % peer.name)
        self.assertEqual(len(self.passed_on()), count)

    def passed_on(self):
        """All but notices."""
        return [t for t in self.behind.delivered if t.sender]

    def send_as(self, spoold, source, helo, recipient):
        """From an address of the loopback."""
        with Client(spoold.port, source=source) as client:
            client.ehlo(helo)
            message_id = client.mail(SENDER, [recipient], whole(CONTENTS[0]))
            client.quit()
        return message_id

    def proved_by_dane(self, peer):
        """The resolver section and the host of a DNS that has the key of the
        server's certificate."""
        host = "mail.dane.example"
        server = NameServer(self.folder / "names", {
            host: ["A 127.0.0.1"],
            "_%d._tcp.%s" % (peer.port, host): [
                "TLSA 3 1 1 " + self.good.key_fingerprint]})
        self.stack.enter_context(server)
        return {"resolver": server.resolver(), "tls": "dane",
                "hosts": ["%s:%d" % (host, peer.port)]}

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

    OFFERS_UTF8 = False
    BODY_LOG = None    # says that BODY did, where it is not passed on

    def test_plain(self):
        peer = self.make_peer()
        spoold = self.spoold(peer, tls="none")
        self.deliver(spoold, peer)
        self.assertEqual(spoold.target()["tls"], "none")

    def test_parameters(self):
        """What the sender asked of notifications and of the content goes all
        the way, and nobody writes a notification meanwhile."""
        peer = self.make_peer()
        spoold = self.spoold(peer)
        with spoold.client() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<anna@client.test> BODY=8BITMIME "
                               "RET=HDRS ENVID=QQ+3D1")
            client.expect(250, "RCPT TO:<m0@example.com> NOTIFY=SUCCESS,DELAY"
                               " ORCPT=rfc822;x+2By@other.test")
            client.expect(250, "RCPT TO:<m1@example.com>")
            client.expect(250, "RCPT TO:<m2@example.com> NOTIFY=NEVER")
            client.data(whole(CONTENTS[3]))
        self.come_up(spoold, peer, 2)
        transaction, never = sorted(self.passed_on(),
                                    key=lambda t: min(t.recipients))
        self.assertEqual(never.rcpt_params["m2@example.com"]["NOTIFY"],
                         "NEVER")
        self.assertEqual(self.as_given(transaction), whole(CONTENTS[3]))
        self.check_parameters(transaction)
        if self.BODY_LOG is not None:
            peer.wait_log(self.BODY_LOG)
        else:
            self.assertEqual(transaction.params["BODY"], "8BITMIME")

    def check_parameters(self, transaction):
        self.assertEqual(transaction.params["RET"], "HDRS")
        self.assertEqual(transaction.params["ENVID"], "QQ+3D1")
        params = transaction.rcpt_params
        self.assertEqual(params["m0@example.com"], {
            "NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;x+2By@other.test"})
        self.assertNotIn("NOTIFY", params["m1@example.com"])

    def test_utf8(self):
        """Addresses and header in UTF-8; where the server cannot have that,
        a failure that says so."""
        content = whole("Subject: Gr\u00fc\u00dfe\r\n\r\nhi\r\n".encode())
        peer = self.make_peer()
        spoold = self.spoold(peer)
        message_id = spoold.send("j\u00f6rg@client.test",
                                 ["m\u00fcller@example.com"], content,
                                 "SMTPUTF8 BODY=8BITMIME")
        self.come_up(spoold, peer, int(self.OFFERS_UTF8))
        if not self.OFFERS_UTF8:
            self.assertRegex(
                spoold.log(), "returned id=%s .*need SMTPUTF8, which the "
                "server does not offer" % message_id)
            return
        transaction, = self.passed_on()
        self.assertEqual(self.as_given(transaction), content)
        self.assertEqual(transaction.sender, "j\u00f6rg@client.test")
        self.assertEqual(transaction.recipients, ["m\u00fcller@example.com"])
        self.assertIn("SMTPUTF8", transaction.params)


class TlsDeliveries(Deliveries):
    """And those whose TLS works."""

    RESUMES = False    # its tickets are for more than one session
    TLS_LOG = None     # says that there was TLS
    CHUNKS_LOG = None  # says that the content came by BDAT

    def test_starttls(self):
        peer = self.make_peer(tls=True)
        spoold = self.spoold(peer, tls="opportunistic",
                             messages_per_connection=1, connections=1)
        self.deliver(spoold, peer)
        self.assertRegex(spoold.target()["tls"], "^TLSv1.3 ")
        if self.RESUMES:
            self.assertGreater(spoold.counter("target-tls-resumed") * 2,
                               spoold.counter("target-tls"))
        peer.wait_log(self.TLS_LOG)
        peer.wait_log(self.CHUNKS_LOG)

    def test_verify(self):
        peer = self.make_peer(tls=True)
        spoold = self.spoold(peer, tls="verify", tls_ca=self.authority.path,
                             tls_name="mail.example.com")
        self.deliver(spoold, peer)
        self.assertRegex(spoold.target()["tls"], "^TLSv1.3 .*by its name")
        peer.wait_log(self.TLS_LOG)

    def test_verify_other_name(self):
        """Held, and why says so; put right, it goes."""
        peer = self.make_peer(tls=True)
        spoold = self.spoold(peer, tls="verify", tls_ca=self.authority.path,
                             tls_name="mail.example.org")
        message_id = spoold.send()
        self.stack.enter_context(peer)
        self.held_because(spoold, message_id, "hostname mismatch")
        self.assertEqual(self.behind.transactions, [])
        spoold.targets["office"]["tls_name"] = "mail.example.com"
        spoold.reload()
        spoold.wait_empty()

    def test_pinned(self):
        peer = self.make_peer(tls=True)
        spoold = self.spoold(peer, tls="verify", tls_fingerprint=[
            self.good.key_fingerprint])
        self.deliver(spoold, peer)
        self.assertRegex(spoold.target()["tls"],
                         "^TLSv1.3 .*by its fingerprint")
        peer.wait_log(self.TLS_LOG)
