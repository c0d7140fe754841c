#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The listener's SMTP dialogue: commands, their order, the envelope."""

import contextlib
import random

from spoold_test import (SpooldTest, below_received, header_field, main,
                         message, wait_for)


class DialogueTest(SpooldTest):
    """One daemon for each test, target down; a session at its READY."""

    def setUp(self):
        super().setUp()
        self.spoold = self.daemon(limit={"recipients": 5,
                                         "message-size": "1M"})

    @contextlib.contextmanager
    def session(self, **options):
        with self.spoold.client(**options) as client:
            client.ehlo()
            yield client

    def table(self, client, rows):
        """Rows of (line, code)."""
        for line, code in rows:
            with self.subTest(line=line):
                reply = client.expect(code, line)
                if reply.code >= 400:
                    self.assertIsNotNone(reply.enhanced, reply)
                    self.assertEqual(reply.enhanced[0], str(reply.code)[0])

    def test_greeting_and_ehlo(self):
        with self.spoold.client() as client:
            self.assertRegex(client.greeting.text,
                             r"^mx2\.example\.com ESMTP")
            reply = client.ehlo()
            self.assertTrue(reply.lines[0].startswith("mx2.example.com"))
            self.assertEqual(
                client.extensions,
                {"PIPELINING": "", "SIZE": "1048576", "8BITMIME": "",
                 "SMTPUTF8": "", "DSN": "", "ETRN": "",
                 "ENHANCEDSTATUSCODES": ""})
            client.quit()

    def test_helo_has_one_line(self):
        with self.spoold.client() as client:
            reply = client.expect(250, "HELO client.test")
            self.assertEqual(len(reply.lines), 1)
            client.mail("anna@client.test", ["bob@example.com"], message())

    def test_small_commands(self):
        with self.session() as client:
            self.table(client, [
                ("NOOP", 250),
                ("noop with an argument", 250),
                ("RSET", 250),
                ("HELP", 214),
                ("HELP MAIL", 214),
                ("VRFY bob", 252),
                ("VRFY <bob@example.com>", 252),
                ("EXPN list", (502, 550)),
                ("VRFY", 501),
                ("RSET now", 501),
                ("DATA now", (501, 503)),
                ("QUIT now", 501),
                ("BDAT 5 LAST", (500, 502)),
                ("AUTH PLAIN xxx", (500, 502)),
                ("TURN", (500, 502)),
            ])
            client.quit()

    def test_unknown_commands(self):
        with self.session() as client:
            self.table(client, [
                ("FROBNICATE", 500),
                ("", 500),
                (" MAIL FROM:<a@b.test>", 500),
                ("MAILFROM:<a@b.test>", 500),
                (b"\xff\xfe\xfd", 500),
                (b"NOOP\0", "5"),
            ])
            client.expect(250, "NOOP")

    def test_order(self):
        with self.spoold.client() as client:
            self.table(client, [
                ("NOOP", 250),
                ("RSET", 250),
                ("MAIL FROM:<anna@client.test>", 503),
                ("RCPT TO:<bob@example.com>", 503),
                ("DATA", 503),
                ("EHLO", 501),
                ("HELO", 501),
                ("EHLO client.test", 250),
                ("RCPT TO:<bob@example.com>", 503),
                ("DATA", 503),
                ("MAIL FROM:<anna@client.test>", 250),
                ("MAIL FROM:<anna@client.test>", 503),
                ("DATA", (503, 554)),
                ("RCPT TO:<bob@example.com>", 250),
                ("MAIL FROM:<anna@client.test>", 503),
            ])
            self.assertEqual(client.data(message()), 250)
            client.expect(503, "RCPT TO:<bob@example.com>")
            client.expect(503, "DATA")

    def test_reset(self):
        """RSET, EHLO and HELO end a transaction, QUIT too."""
        with self.session() as client:
            for line in ("RSET", "EHLO again.test", "HELO again.test"):
                client.begin("anna@client.test", ["bob@example.com"])
                client.expect(250, line)
                client.expect(503, "DATA")
            client.expect(250, "EHLO client.test")
            client.begin("anna@client.test", ["carol@example.com"])
            self.assertEqual(client.data(message()), 250)
            client.begin("anna@client.test", ["bob@example.com"])
            client.quit()
        held = self.spoold.messages()
        self.assertEqual([r["address"] for m in held
                          for r in m["recipients"]], ["carol@example.com"])

    def test_mail_syntax(self):
        good = [
            "MAIL FROM:<>",
            "mail from:<anna@client.test>",
            "MAIL FROM:<@relay.test,@b.test:anna@client.test>",
            'MAIL FROM:<"anna b"@client.test>',
            "MAIL FROM:<anna@[192.0.2.1]>",
            "MAIL FROM:<anna@[IPv6:2001:db8::1]>",
            "MAIL FROM:<anna+tag=x@client.test> SIZE=1000",
            "MAIL FROM:<anna@client.test> BODY=8BITMIME",
            "MAIL FROM:<anna@client.test> body=7bit size=0",
            "MAIL FROM:<anna@client.test> SMTPUTF8 BODY=8BITMIME SIZE=9",
            "MAIL FROM:<\u00e4nna@client.test> SMTPUTF8",
        ]
        bad = [
            ("MAIL", 501),
            ("MAIL FROM", 501),
            ("MAIL FROM:", 501),
            ("MAIL TO:<anna@client.test>", 501),
            ("MAIL FROM:<anna@client.test", 501),
            ("MAIL FROM:<anna@client.test>x", 501),
            ("MAIL FROM:<anna>", (501, 553)),
            ("MAIL FROM:<anna@>", (501, 553)),
            ("MAIL FROM:<@client.test>", (501, 553)),
            ("MAIL FROM:<anna b@client.test>", (501, 553)),
            ("MAIL FROM:<anna@client..test>", (501, 553)),
            ("MAIL FROM:<anna@client.test> FOO=bar", 555),
            ("MAIL FROM:<anna@client.test> BODY=BINARYMIME", (501, 555)),
            ("MAIL FROM:<anna@client.test> SIZE=many", 501),
            ("MAIL FROM:<anna@client.test> SIZE=99999999999999999999999",
             (501, 552)),
            ("MAIL FROM:<anna@client.test> SIZE=1048577", 552),
            ("MAIL FROM:<\u00e4nna@client.test>", (501, 550, 553)),
            (b"MAIL FROM:<\xe4nna@client.test> SMTPUTF8", (501, 553)),
            (b"MAIL FROM:<an\0na@client.test>", 500),
            (b"MAIL FROM:<an\rna@client.test>", 500),
        ]
        for line in good:
            with self.subTest(line=line), self.session() as client:
                client.expect(250, line)
        for row in bad:
            with self.session() as client:
                self.table(client, [row, ("RCPT TO:<bob@example.com>", 503)])

    def test_foreign_recipients(self):
        """No spelling makes this a relay."""
        with self.spoold.client() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<anna@client.test>")
            for number, path in enumerate([
                    "<bob@other.test>",
                    "<bob@sub.example.com>",
                    "<bob@notexample.com>",
                    "<bob@example.com.other.test>",
                    "<@example.com:bob@other.test>",
                    "<@a.test,@example.com:bob@other.test>",
                    "<bob%other.test@example.com>",
                    "<other.test!bob@example.com>",
                    '<"bob@other.test"@example.com>',
                    '<"bob%other.test"@example.com>',
                    "<bob@other.test@example.com>",
                    "<bob@[127.0.0.1]>",
                    "<bob@[192.0.2.1]>",
                    "<bob@[IPv6:::1]>",
                    "<bob@localhost>",
                    "<bob@mx2.example.com>",
                    "<bob@>",
                    "<@example.com>",
                    "<bob>",
                    "<>",
                    "bob@other.test",
                    "<bob@other.test,bob@example.com>",
                    "<bob@other.test>, <bob@example.com>",
                    "<bob@example.com:25>",
            ]):
                with self.subTest(path=path):
                    reply = client.cmd("RCPT TO:" + path)
                    self.assertRegex(str(reply.code), "^5", reply)
                if number % 5 == 4:  # stay below the error limit
                    client.close()
                    client = self.spoold.client()
                    self.addCleanup(client.close)
                    client.ehlo()
                    client.expect(250, "MAIL FROM:<anna@client.test>")
            client.expect(250, "RCPT TO:<bob@example.com>")
            client.close()

    def test_foreign_reply_says_why(self):
        with self.session() as client:
            client.expect(250, "MAIL FROM:<anna@client.test>")
            reply = client.expect(550, "RCPT TO:<bob@other.test>")
            self.assertEqual(reply.enhanced, "5.7.1")

    def test_our_recipients(self):
        paths = [
            "<bob@example.com>",
            "<bob@EXAMPLE.COM>",
            "<BOB@example.com>",
            "<@relay.test:bob@example.com>",
            '<"bob"@example.com>',
            "<bob+tag@example.com>",
            "<o'brien@example.com>",
            "<postmaster@example.com>",
        ]
        for path in paths:
            with self.subTest(path=path), self.session() as client:
                client.expect(250, "MAIL FROM:<anna@client.test>")
                client.expect(250, "RCPT TO:" + path)

    def test_bare_postmaster(self):
        """RFC 5321 4.5.1: with no domain, in any case."""
        with self.session() as client:
            client.mail("", ["PostMaster"], message())
        self.spoold.sink.start()
        self.spoold.wait_empty()
        self.assertRegex(self.spoold.sink.delivered[0].recipients[0],
                         r"(?i)^postmaster@example\.com\Z")

    def test_rcpt_syntax(self):
        with self.session() as client:
            client.expect(250, "MAIL FROM:<anna@client.test>")
            self.table(client, [
                ("RCPT", 501),
                ("RCPT TO:", 501),
                ("RCPT FROM:<bob@example.com>", 501),
                ("RCPT TO:<bob@example.com> NOTIFY=NEVER,DELAY", 501),
                ("RCPT TO:<bob@example.com> RET=FULL", 555),
                ("RCPT TO:<b\u00f6b@example.com>", (501, 550, 553)),
            ])
            client.expect(250, "RSET")
            client.expect(250, "MAIL FROM:<anna@client.test> SMTPUTF8")
            client.expect(250, "RCPT TO:<b\u00f6b@example.com>")

    def test_recipient_limit(self):
        with self.session() as client:
            client.begin("anna@client.test",
                         ["r%d@example.com" % i for i in range(5)])
            reply = client.expect(452, "RCPT TO:<r5@example.com>")
            self.assertEqual(reply.enhanced, "4.5.3")
            message_id = client.data(message()).text[-13:]
        self.assertEqual(sorted(self.spoold.recipients(message_id)),
                         ["r%d@example.com" % i for i in range(5)])

    def test_same_recipient_twice(self):
        """Every RCPT gets its answer; the mail comes once or twice, never
        not at all."""
        with self.session() as client:
            client.mail("", ["bob@example.com", "bob@example.com"],
                        message())
        self.spoold.sink.start()
        self.spoold.wait_empty()
        self.assertIn("bob@example.com",
                      self.spoold.sink.delivered[0].recipients)

    def test_pipelining(self):
        content = message("pipelined\r\n")
        with self.session() as client:
            client.send(b"RSET\r\nMAIL FROM:<anna@client.test>\r\n"
                        b"RCPT TO:<bob@example.com>\r\n"
                        b"RCPT TO:<bob@other.test>\r\n"
                        b"RCPT TO:<carol@example.com>\r\nDATA\r\n")
            for code in (250, 250, 250, 550, 250, 354):
                client.expect(code)
            client.send(content + b".\r\nMAIL FROM:<>\r\n"
                        b"RCPT TO:<dave@example.com>\r\nDATA\r\n")
            for code in (250, 250, 250, 354):
                client.expect(code)
            client.send(content + b".\r\nQUIT\r\n")
            client.expect(250)
            client.expect(221)
            self.assertTrue(client.at_end())
        self.assertEqual(
            [[r["address"] for r in m["recipients"]]
             for m in self.spoold.messages()],
            [["bob@example.com", "carol@example.com"],
             ["dave@example.com"]])

    def test_pipelined_data_without_recipients(self):
        with self.session() as client:
            client.send(b"MAIL FROM:<>\r\nRCPT TO:<a@other.test>\r\n"
                        b"DATA\r\nRSET\r\nNOOP\r\n")
            for code in (250, 550, (503, 554), 250, 250):
                client.expect(code)

    def test_byte_by_byte(self):
        """Cut anywhere, the dialogue is the same."""
        content = b"S: x\r\n\r\n..\r\n.\r\nEND"
        dialogue = (b"EHLO client.test\r\nMAIL FROM:<anna@client.test>\r\n"
                    b"RCPT TO:<bob@example.com>\r\nDATA\r\n")
        with self.spoold.client() as client:
            for i in range(len(dialogue)):
                client.send(dialogue[i:i + 1])
            for code in (250, 250, 250, 354):
                client.expect(code)
            rest = b"S: x\r\n\r\n...\r\n..\r\nEND\r\n.\r\nQUIT\r\n"
            for i in range(len(rest)):
                client.send(rest[i:i + 1])
            message_id = client.expect(250).text[-13:]
            client.expect(221)
        self.assertEqual(below_received(
            self.spoold.ctl("cat", message_id).out), content + b"\r\n")

    def test_utf8_is_passed_on(self):
        self.spoold.sink.start()
        with self.session() as client:
            client.mail("\u00e4nna@client.test", ["b\u00f6b@example.com"],
                        message(subject="\u00fc"),
                        "SMTPUTF8 BODY=8BITMIME")
        wait_for(lambda: self.spoold.sink.delivered)
        transaction = self.spoold.sink.delivered[0]
        self.assertEqual(transaction.sender, "\u00e4nna@client.test")
        self.assertEqual(transaction.recipients, ["b\u00f6b@example.com"])
        self.assertIn("SMTPUTF8", transaction.params)
        self.assertEqual(transaction.params["BODY"], "8BITMIME")
        self.assertIn(" with UTF8SMTP id ", header_field(
            transaction.content, "Received")[0])


class StrangeClientTest(SpooldTest):
    """Clients that break off, close halves or send rubbish."""

    def setUp(self):
        super().setUp()
        self.spoold = self.daemon(limit={"errors": 8})

    def wait_idle(self):
        wait_for(lambda: self.spoold.counter("connections-now") == 0 and
                 self.spoold.counter("transactions-now") == 0,
                 "no connections")

    def test_half_closed(self):
        """What was sent before the FIN is served to its end."""
        with self.spoold.client() as client:
            client.ehlo()
            client.begin("anna@client.test", ["bob@example.com"])
            client.expect(354, "DATA")
            client.send(message() + b".\r\nQUIT\r\n")
            client.half_close()
            client.expect(250)
            client.expect(221)
            self.assertTrue(client.at_end())
        self.assertEqual(len(self.spoold.held()), 1)
        with self.spoold.client() as client:
            client.send(b"EHLO client.test\r\nNOOP\r\n")
            client.half_close()
            client.expect(250)
            client.expect(250)
            client.at_end()
        self.wait_idle()

    def test_dies_anywhere(self):
        """Only a message with its final dot counts."""
        dialogue = (b"EHLO client.test\r\nMAIL FROM:<anna@client.test>\r\n"
                    b"RCPT TO:<bob@example.com>\r\nDATA\r\n" + message() +
                    b"x" * 300000)
        for cut in (0, 3, 18, 40, 60, 82, 90, 110, 5000, len(dialogue)):
            for reset in (False, True):
                with self.spoold.client() as client:
                    client.send(dialogue[:cut])
                    if reset:
                        client.abort()
        with self.spoold.client() as client:  # dies before the last LF
            client.ehlo()
            client.begin("anna@client.test", ["bob@example.com"])
            client.expect(354, "DATA")
            client.send(message() + b".\r")
            client.half_close()
            client.at_end()
        self.wait_idle()
        self.assertEqual(self.spoold.held(), [])
        self.spoold.send()

    def test_overlong_lines(self):
        with self.spoold.client() as client:
            client.ehlo()
            client.expect(500, "NOOP " + "x" * 4000)
            client.expect(500, "NOOP " + "x" * 1000000)
            client.expect(250, "NOOP")
            client.expect(250, "MAIL FROM:<>")
            client.expect("5", "RCPT TO:<" + "x" * 400 + "@example.com>")
            client.expect("5", "RCPT TO:<bob@" + "x" * 400 + ".test>")
            client.expect(250, "NOOP " + "x" * 500)

    def test_never_a_line_end(self):
        """A megabyte without CRLF is answered and costs no megabyte."""
        with self.spoold.client() as client:
            client.send(b"y" * 1000000)
            client.expect(500)
            client.send(b"\r\n")
            client.expect(250, "NOOP")

    def test_bare_lf_in_commands(self):
        with self.spoold.client() as client:
            client.ehlo()
            client.send(b"NOOP\nMAIL FROM:<smuggled@client.test>\r\n")
            client.expect(500)
            client.expect(503, "RCPT TO:<bob@example.com>")
            client.send(b"NOOP\n")
            client.expect(500)
            client.send(b"\r\n")
            client.expect(250, "NOOP")

    def test_error_limit(self):
        with self.spoold.client() as client:
            client.ehlo()
            codes = []
            while not codes or codes[-1] != 421:
                codes.append(client.cmd("BAD").code)
                self.assertLess(len(codes), 20)
            self.assertEqual(set(codes[:-1]), {500})
            self.assertIn(len(codes), (8, 9))
            self.assertTrue(client.at_end())

    def test_random_bytes(self):
        rng = random.Random(1)
        for _ in range(20):
            with self.spoold.client() as client:
                try:
                    client.send(rng.randbytes(rng.randrange(1, 20000)))
                    client.half_close()
                    client.at_end()
                except ConnectionError:
                    pass
        self.wait_idle()
        self.spoold.send()

    def test_http(self):
        """A browser sent here is let go after a few errors."""
        with self.spoold.client() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\n"
                        b"Accept: */*\r\n\r\n" + b"a: b\r\n" * 10)
            client.at_end()
            self.assertIn(b"\r\n421 ", client.buffer)


if __name__ == "__main__":
    main()
