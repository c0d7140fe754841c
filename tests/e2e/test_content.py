#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The content of a message: where it ends, sizes, loops, odd bytes."""

import re

from spoold_test import SpooldTest, below_received, main, message, wait_for


class ContentTest(SpooldTest):
    def setUp(self):
        super().setUp()
        self.spoold = self.daemon(limit={"message-size": "200K",
                                         "hops": 10, "errors": 50})

    def session(self):
        client = self.spoold.client()
        self.addCleanup(client.close)
        client.ehlo()
        return client

    def send_raw(self, raw, pieces=None):
        """Bytes after 354 as they are; the replies until the final NOOP's
        as a list of codes (the first belongs to the content)."""
        client = self.session()
        client.begin("anna@client.test", ["bob@example.com"])
        client.expect(354, "DATA")
        raw += b"NOOP the-end\r\nQUIT\r\n"
        for i in range(0, len(raw), pieces or len(raw)):
            client.send(raw[i:i + (pieces or len(raw))])
        client.at_end()
        return [int(code) for code in
                re.findall(rb"(?m)^(\d\d\d) ", client.buffer)]

    def content(self):
        """Of the single held message, below our field; then it is gone."""
        held = self.spoold.held()
        self.assertEqual(len(held), 1, held)
        return below_received(self.spoold.ctl("cat", held[0]).out)

    def test_only_crlf_dot_crlf_ends(self):
        """Every other spelling of the end is content, and what comes after
        it is no command."""
        smuggled = (b"MAIL FROM:<smuggled@client.test>\r\n"
                    b"RCPT TO:<smuggled@example.com>\r\n"
                    b"DATA\r\nsmuggled\r\n")
        endings = {  # what comes to mean what
            b"\n.\n": b"\r\n.\r\n",
            b"\n.\r\n": b"\r\n.\r\n",
            b"\r\n.\n": b"\r\n\r\n",
            b"\n\n.\n\n": b"\r\n\r\n.\r\n\r\n",
            b"\r\n.\rx": b"\r\n\rx",
            b"\r\n.\0\r\n": b"\r\n\0\r\n",
            b"\r\n. \r\n": b"\r\n \r\n",
            b"\r\n..\r\n": b"\r\n.\r\n",
            b"\r\n.\r\r\n": b"\r\n\r\r\n",
            b"\n..\r\n": b"\r\n..\r\n",
        }
        for pieces in (None, 1, 2, 3):
            for ending, meaning in endings.items():
                with self.subTest(ending=ending, pieces=pieces):
                    daemon = self.spoold
                    before = len(daemon.messages("state:any"))
                    codes = self.send_raw(
                        b"S: x\r\n\r\nfirst" + ending + smuggled + b".\r\n",
                        pieces)
                    self.assertEqual(codes, [250, 250, 221])
                    listed = daemon.messages("state:any")
                    self.assertEqual(len(listed), before + 1)
                    out = daemon.ctl("cat", listed[-1]["id"]).out
                    self.assertEqual(
                        below_received(out),
                        b"S: x\r\n\r\nfirst" + meaning + smuggled)
        self.pass_on(len(endings) * 4)

    def pass_on(self, count):
        """What we send on means one thing to every server."""
        raw = []
        sink = self.spoold.sink
        sink.on["DOT"] = lambda session, t: raw.append(t.content)
        sink.start()
        self.spoold.wait_empty()
        self.assertEqual(len(sink.delivered), count)
        self.assertEqual({t.sender for t in sink.delivered},
                         {"anna@client.test"})
        for content in raw:
            self.assertIsNone(re.search(rb"[^\r]\n", content))
            self.assertIsNone(re.search(rb"\r\.", content))

    def test_bare_cr_before_a_dot(self):
        """To some servers it is the end: refused, nothing kept."""
        for ending in (b"\r.\r\n", b"\r.\r", b"\r.\n", b"\r.x\r\n",
                       b"\r\r.\r\n"):
            for pieces in (None, 1, 2):
                with self.subTest(ending=ending, pieces=pieces):
                    codes = self.send_raw(b"S: x\r\n\r\nfirst" + ending +
                                          b"MAIL FROM:<>\r\n.\r\n", pieces)
                    self.assertEqual(codes, [550, 250, 221])
        self.assertEqual(self.spoold.messages("state:any"), [])

    def test_bare_cr_and_nul_are_kept(self):
        raw = b"S: x\r\n\r\na\rb\0c\r\r\n\0\r\n\r"
        codes = self.send_raw(raw + b"\r\n.\r\n")
        self.assertEqual(codes, [250, 250, 221])
        self.assertEqual(self.content(), raw + b"\r\n")
        self.spoold.sink.start()
        self.spoold.wait_empty()
        self.assertEqual(
            below_received(self.spoold.sink.delivered[0].content),
            raw + b"\r\n")

    def test_bare_lf_becomes_a_line_end(self):
        codes = self.send_raw(b"S: x\n\na\n.b\n\r\n.\r\n")
        self.assertEqual(codes, [250, 250, 221])
        self.assertEqual(self.content(), b"S: x\r\n\r\na\r\n.b\r\n\r\n")

    def test_long_content_lines(self):
        raw = b"S: x\r\n\r\n" + b"y" * 100000 + b"\r\n"
        self.assertEqual(self.send_raw(raw + b".\r\n"), [250, 250, 221])
        self.assertEqual(self.content(), raw)

    def test_too_big_is_read_to_its_end(self):
        client = self.session()
        client.begin("anna@client.test", ["bob@example.com"])
        reply = client.data(b"z" * 76 + b"\r\n" * 110000)
        self.assertEqual((reply.code, reply.enhanced), (552, "5.3.4"))
        message_id = client.mail("anna@client.test", ["bob@example.com"],
                                 message())
        self.assertEqual(self.spoold.held(), [message_id])

    def test_size_at_the_limit(self):
        """The limit is on what the client sends, not on what we add."""
        client = self.session()
        head = b"S: x\r\n\r\n"
        content = head + b"z" * (200 * 1024 - len(head) - 2) + b"\r\n"
        client.mail("anna@client.test", ["bob@example.com"], content,
                    "SIZE=%d" % len(content))
        client.expect(552, "MAIL FROM:<> SIZE=%d" % (len(content) + 1))
        client.begin("anna@client.test", ["bob@example.com"])
        self.assertEqual(client.data(b"z" + content), 552)

    def test_size_lies(self):
        """SIZE is a hint: smaller or larger content is taken."""
        client = self.session()
        for size in (0, 1, 100000):
            client.mail("anna@client.test", ["bob@example.com"], message(),
                        "SIZE=%d" % size)
        self.assertEqual(len(self.spoold.held()), 3)

    def test_loop_by_hops(self):
        client = self.session()
        hop = b"Received: from a.test by b.test; Mon, 6 Jan 2025 10:00:00 " \
            b"+0000\r\n"
        client.begin("anna@client.test", ["bob@example.com"])
        reply = client.data(hop * 11 + message())
        self.assertEqual((reply.code, reply.enhanced), (554, "5.4.6"))
        client.mail("anna@client.test", ["bob@example.com"],
                    hop * 9 + message())
        client.mail("anna@client.test", ["bob@example.com"],
                    message(hop.decode() * 20))  # in the body: no hops
        self.assertEqual(len(self.spoold.held()), 2)

    def test_a_target_that_is_ourselves(self):
        """A loop by misconfiguration never begins: the mail waits, and
        the reason is told."""
        daemon = self.configured(limit={"hops": 10})
        daemon.targets = {"office": {
            "hosts": ["127.0.0.1:%d" % daemon.port]}}
        daemon.start()
        daemon.send(sender="")
        wait_for(lambda: "itself" in daemon.log(), "the reason")
        message, = daemon.messages("state:any")
        self.assertEqual([r["attempts"] for r in message["recipients"]], [0])
        text = daemon.ctl("target", "list").out.decode()
        self.assertIn("no host is left but this server itself", text)

    def test_subject_and_message_id_are_listed(self):
        client = self.session()
        client.mail("anna@client.test", ["bob@example.com"],
                    b"Received: x\r\n\tby y\r\nsubject:  two\r\n  lines\r\n"
                    b"Message-Id: <a@b>\r\nSubject: second\r\n\r\n"
                    b"Subject: body\r\n")
        client.mail("anna@client.test", ["bob@example.com"],
                    b"Subject: \xff\xfe\0 odd\r\n\r\n")
        first, second = self.spoold.messages()
        self.assertRegex(first["subject"], r"^two\s+lines\Z")
        self.assertEqual(first["message_id"], "<a@b>")
        self.assertIn("odd", second["subject"])

    def test_many_at_once(self):
        """Forty clients, interleaved byte runs, one answer each."""
        clients = [self.session() for _ in range(40)]
        contents = [message("%d " % i * 2000 + "\r\n") for i in range(40)]
        for i, client in enumerate(clients):
            client.send("MAIL FROM:<a%d@client.test>\r\n"
                        "RCPT TO:<b%d@example.com>\r\nDATA\r\n" % (i, i))
        for client in clients:
            for code in (250, 250, 354):
                client.expect(code)
        for start in range(0, max(map(len, contents)), 1000):
            for client, content in zip(clients, contents):
                client.send(content[start:start + 1000])
        for client in clients:
            client.send(b".\r\n")
        for client in clients:
            client.expect(250)
        listed = self.spoold.messages()
        self.assertEqual(len(listed), 40)
        by_sender = {m["sender"]: m["id"] for m in listed}
        for i in (0, 17, 39):
            out = self.spoold.ctl(
                "cat", by_sender["a%d@client.test" % i]).out
            self.assertEqual(below_received(out), contents[i])
        wait_for(lambda: self.spoold.counter("transactions-now") == 0)


if __name__ == "__main__":
    main()
