#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The target learns who the first client was: XCLIENT and XFORWARD."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from client import Client  # noqa: E402
from nameserver import NameServer  # noqa: E402
from sink import CLOSE, by_address, nth, sequence  # noqa: E402
from spoold_test import (SpooldTest, header_field, main,  # noqa: E402
                         message, wait_for)

XCLIENT = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
XFORWARD = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"


def verbs(session):
    return [line.split()[0].decode() for line, _ in session.commands]


class ClientTest(SpooldTest):
    def configured(self, client="xclient", **options):
        options.setdefault("targets", {"office": {"client": client}})
        return super().configured(**options)

    def send(self, daemon, source="127.0.0.2", helo="mail.client.test",
             **options):
        """From another address of this host; the message's id and the
        client's port."""
        with Client(daemon.port, source=source) as client:
            client.ehlo(helo)
            port = client.sock.getsockname()[1]
            message_id = client.mail(
                options.get("sender", "anna@client.test"),
                options.get("recipients", ["bob@example.com"]),
                options.get("content", message()))
            client.quit()
        return message_id, port

    def test_xclient(self):
        daemon = self.daemon()
        daemon.sink.extensions.append(XCLIENT)
        _, port = self.send(daemon)
        daemon.restart()
        daemon.sink.start()
        daemon.wait_empty()
        transaction, = daemon.sink.delivered
        name = transaction.client.pop("NAME")
        self.assertIn(name, ("[UNAVAILABLE]", "[TEMPUNAVAIL]"))
        self.assertEqual(transaction.client, {
            "ADDR": "127.0.0.2", "PORT": str(port), "PROTO": "ESMTP",
            "HELO": "mail.client.test", "LOGIN": "[UNAVAILABLE]",
            "DESTADDR": "127.0.0.1", "DESTPORT": str(daemon.port)})
        # The session began anew, in the client's name.
        self.assertEqual(transaction.helo, "mail.client.test")
        self.assertEqual(verbs(transaction.session)[:4],
                         ["EHLO", "XCLIENT", "EHLO", "MAIL"])

    def test_before_each_other_client(self):
        """One connection, several messages: each is its own client's."""
        daemon = self.daemon(targets={"office": {
            "client": "xclient", "connections": 1}})
        daemon.sink.extensions += [XCLIENT, "CHUNKING"]
        want = {}
        for n in (2, 3, 2):
            message_id, port = self.send(
                daemon, "127.0.0.%d" % n, "[127.0.0.%d]" % n,
                sender="s%d@client.test" % len(want))
            want["s%d@client.test" % len(want)] = (
                "127.0.0.%d" % n, str(port), "[127.0.0.%d]" % n)
        with Client(daemon.port, source="127.0.0.4") as client:
            client.ehlo("four.client.test")
            for n in range(5):
                client.mail("four@client.test", ["bob@example.com"],
                            message())
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 8)
        for transaction in daemon.sink.delivered:
            if transaction.sender in want:
                self.assertEqual(
                    (transaction.client["ADDR"], transaction.client["PORT"],
                     transaction.helo), want.pop(transaction.sender))
            else:
                self.assertEqual((transaction.client["ADDR"],
                                  transaction.helo),
                                 ("127.0.0.4", "four.client.test"))
        self.assertEqual(want, {})
        # It is said again only where the client changes.
        said = sum(verbs(s).count("XCLIENT") for s in daemon.sink.sessions)
        self.assertLessEqual(said, 5)
        self.assertGreaterEqual(said, 4)

    def test_notices_are_ours(self):
        """A session that was a client's becomes ours again for a DSN."""
        daemon = self.daemon(targets={"office": {
            "client": "xclient", "connections": 1}})
        daemon.sink.extensions.append(XCLIENT)
        daemon.sink.on["RCPT"] = by_address({"no@example.com": "550 5.1.1 no"})
        self.send(daemon, sender="anna@example.com",
                  recipients=["no@example.com", "bob@example.com"])
        daemon.sink.start()
        daemon.wait_empty()
        notice, = [t for t in daemon.sink.delivered if t.sender == ""]
        self.assertEqual(notice.recipients, ["anna@example.com"])
        self.assertEqual(notice.helo, "mx2.example.com")
        self.assertEqual(notice.client.get("ADDR", "127.0.0.1"), "127.0.0.1")
        self.assertEqual(notice.client.get("HELO", "mx2.example.com"),
                         "mx2.example.com")

    def test_refused(self):
        """XFORWARD then, and one line in the log."""
        daemon = self.daemon(targets={"office": {
            "client": "xclient", "messages-per-connection": 1}})
        daemon.sink.extensions += [XCLIENT, XFORWARD]
        daemon.sink.on["XCLIENT"] = lambda *_: "550 5.7.0 not you"
        for n in range(3):
            message_id, port = self.send(daemon)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 3)
        for transaction in daemon.sink.delivered:
            self.assertEqual(transaction.client, {})
            self.assertEqual(transaction.helo, "mx2.example.com")
            self.assertEqual(transaction.forward["ADDR"], "127.0.0.2")
        self.assertEqual(daemon.log().count("XCLIENT is refused (550)"), 1)

    def test_not_offered(self):
        daemon = self.daemon()
        for n in range(3):
            self.send(daemon)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 3)
        self.assertEqual(daemon.log().count("XCLIENT is not offered"), 1)

    def test_the_client_is_refused(self):
        """554 in place of the greeting is the verdict on that message; the
        next one of the connection is not touched by it."""
        daemon = self.daemon(targets={"office": {
            "client": "xclient", "connections": 1}})
        daemon.sink.extensions.append(XCLIENT)
        daemon.sink.on["XCLIENT"] = lambda session, attributes: \
            "554 5.7.1 listed" if attributes["ADDR"] == "127.0.0.2" else None
        bad, _ = self.send(daemon, sender="")
        good, _ = self.send(daemon, "127.0.0.3")
        daemon.sink.start()
        daemon.wait_empty()
        row = daemon.recipients(bad)["bob@example.com"]
        self.assertEqual((row["state"], row["code"], row["reply"]),
                         ("dropped", 554, "5.7.1 listed"))
        self.assertEqual(daemon.recipients(good)["bob@example.com"]["state"],
                         "delivered")

    def test_the_client_is_refused_for_now(self):
        daemon = self.daemon()
        daemon.sink.extensions.append(XCLIENT)
        # The greeting after XCLIENT refuses, and then it does not.
        hello = sequence(None, "450 4.7.1 come back")
        daemon.sink.on["EHLO"] = hello
        message_id, _ = self.send(daemon)
        daemon.sink.start()
        daemon.wait_empty()
        row = daemon.recipients(message_id)["bob@example.com"]
        self.assertEqual((row["state"], row["attempts"]), ("delivered", 2))

    def test_only_once_a_connection(self):
        """No message goes out in the name of the client before it."""
        daemon = self.daemon(targets={"office": {
            "client": "xclient", "connections": 1}})
        daemon.sink.extensions.append(XCLIENT)
        daemon.sink.on["XCLIENT"] = lambda session, _: \
            "503 5.5.1 again?" if session.client else None
        for n in range(2, 6):
            self.send(daemon, "127.0.0.%d" % n, sender="s%d@client.test" % n)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual({t.sender: t.client["ADDR"]
                          for t in daemon.sink.delivered},
                         {"s%d@client.test" % n: "127.0.0.%d" % n
                          for n in range(2, 6)})

    def test_broken_at_xclient(self):
        daemon = self.daemon()
        daemon.sink.extensions.append(XCLIENT)
        daemon.sink.on["XCLIENT"] = nth(1, CLOSE)
        self.send(daemon)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 1)

    def test_ipv6(self):
        daemon = self.configured()
        daemon.listen.append("[::1]:%d" % daemon.port)
        daemon.start()
        daemon.sink.extensions.append(XCLIENT)
        with Client(daemon.port, host="::1") as client:
            client.ehlo()
            client.mail("anna@client.test", ["bob@example.com"], message())
        daemon.sink.start()
        daemon.wait_empty()
        transaction, = daemon.sink.delivered
        self.assertEqual((transaction.client["ADDR"],
                          transaction.client["DESTADDR"]),
                         ("IPV6:::1", "IPV6:::1"))

    def test_xforward(self):
        for extensions in (["PIPELINING", XFORWARD], [XFORWARD]):
            daemon = self.daemon(client="xforward")
            daemon.sink.extensions = extensions
            message_id, port = self.send(daemon)
            daemon.sink.start()
            daemon.wait_empty()
            transaction, = daemon.sink.delivered
            transaction.forward.pop("NAME")
            self.assertEqual(transaction.forward, {
                "ADDR": "127.0.0.2", "PORT": str(port), "PROTO": "ESMTP",
                "HELO": "mail.client.test", "IDENT": message_id,
                "SOURCE": "REMOTE"})
            self.assertEqual(transaction.helo, "mx2.example.com")

    def test_xforward_before_each_message(self):
        daemon = self.daemon(targets={"office": {
            "client": "xforward", "connections": 1}})
        daemon.sink.extensions.append(XFORWARD)
        ids = {self.send(daemon)[0] for n in range(6)}
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual({t.forward["IDENT"] for t in daemon.sink.delivered},
                         ids)

    def test_xforward_refused(self):
        """The message goes on without it."""
        daemon = self.daemon(client="xforward")
        daemon.sink.extensions.append(XFORWARD)
        daemon.sink.on["XFORWARD"] = lambda *_: "501 5.5.4 what?"
        self.send(daemon)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 1)
        self.assertEqual(daemon.log().count("XFORWARD is refused (501)"), 1)

    def test_none(self):
        daemon = self.daemon(client="none")
        daemon.sink.extensions += [XCLIENT, XFORWARD]
        self.send(daemon)
        daemon.sink.start()
        daemon.wait_empty()
        transaction, = daemon.sink.delivered
        self.assertEqual((transaction.client, transaction.forward), ({}, {}))

    def test_verdicts_of_arrival_go_along(self):
        """The header is given as it came, below our Received."""
        content = (b"Authentication-Results: mx.example.com; spf=pass\r\n"
                   b"ARC-Seal: i=1; a=rsa-sha256; cv=none; b=AAAA\r\n" +
                   message())
        daemon = self.daemon()
        daemon.sink.extensions.append(XCLIENT)
        self.send(daemon, content=content)
        daemon.sink.start()
        daemon.wait_empty()
        have = daemon.sink.delivered[0].content
        self.assertTrue(have.endswith(content))
        self.assertIn("[127.0.0.2]", header_field(have, "Received")[0])

    def named(self, table, client, offer, **options):
        """A daemon that asks a name server with that table."""
        server = NameServer(table).start()
        self.addCleanup(server.close)
        daemon = self.configured(client, **options)
        daemon.resolver = {"mode": "forward", "dnssec": "false",
                           "forwarders": ["127.0.0.1:%d" % server.port],
                           "timeout": "1s"}
        daemon.start()
        daemon.sink.extensions.append(offer)
        return daemon

    def test_the_name(self):
        """The first name of the address that leads back to it."""
        table = {
            ("2.0.0.127.in-addr.arpa", "PTR"): ["forged.client.test",
                                                "mail.client.test"],
            ("forged.client.test", "A"): ["192.0.2.66"],
            ("mail.client.test", "A"): ["192.0.2.1", "127.0.0.2"],
            ("3.0.0.127.in-addr.arpa", "PTR"): ["forged.client.test"],
            ("4.0.0.127.in-addr.arpa", "PTR"): None}
        for client, offer in (("xclient", XCLIENT), ("xforward", XFORWARD)):
            daemon = self.named(table, client, offer)
            for n in (2, 3, 4):
                self.send(daemon, "127.0.0.%d" % n)
            daemon.sink.start()
            daemon.wait_empty()
            names = {}
            for transaction in daemon.sink.delivered:
                facts = transaction.client or transaction.forward
                names[facts["ADDR"]] = facts["NAME"]
            self.assertEqual(names, {"127.0.0.2": "mail.client.test",
                                     "127.0.0.3": "[UNAVAILABLE]",
                                     "127.0.0.4": "[TEMPUNAVAIL]"})

    def test_names_of_a_backlog(self):
        """Looked up while other content is on its way, over and over."""
        table = {}
        for n in range(2, 12):
            name = "mail%d.client.test" % n
            table["%d.0.0.127.in-addr.arpa" % n, "PTR"] = [name]
            table[name, "A"] = ["127.0.0.%d" % n]
        for client, offer in (("xclient", XCLIENT), ("xforward", XFORWARD)):
            daemon = self.named(table, client, offer,
                                targets={"office": {"client": client,
                                                    "connections": 1}})
            for n in range(40):
                self.send(daemon, "127.0.0.%d" % (2 + n % 10))
            daemon.sink.start()
            daemon.wait_empty()
            self.assertEqual(len(daemon.sink.delivered), 40)
            for transaction in daemon.sink.delivered:
                facts = transaction.client or transaction.forward
                self.assertEqual(facts["NAME"], "mail%s.client.test" %
                                 facts["ADDR"].rpartition(".")[2])

    def test_change_by_reload(self):
        daemon = self.daemon(client="none")
        daemon.sink.extensions.append(XCLIENT)
        daemon.sink.start()
        self.send(daemon)
        wait_for(lambda: len(daemon.sink.delivered) == 1, "the first")
        daemon.targets["office"]["client"] = "xclient"
        daemon.reload()
        self.send(daemon)
        daemon.wait_empty()
        self.assertEqual([t.client.get("ADDR")
                          for t in daemon.sink.delivered],
                         [None, "127.0.0.2"])


if __name__ == "__main__":
    main()
