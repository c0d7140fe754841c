#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""STARTTLS (RFC 3207) on the listener."""

import os
import ssl

from spoold_test import (SpooldTest, below_received, header_field, main,
                         make_certificate, message, wait_for)


class TlsTest(SpooldTest):
    def setUp(self):
        super().setUp()
        self.spoold = self.daemon(tls=True)

    def session(self, **options):
        client = self.spoold.client(**options)
        self.addCleanup(client.close)
        client.ehlo()
        return client

    def test_both_versions(self):
        self.spoold.sink.start()
        versions = {ssl.TLSVersion.TLSv1_2: "TLSv1.2",
                    ssl.TLSVersion.TLSv1_3: "TLSv1.3"}
        for version, name in versions.items():
            client = self.session()
            self.assertIn("STARTTLS", client.extensions)
            client.starttls(version)
            self.assertEqual(client.sock.version(), name)
            client.ehlo()
            self.assertNotIn("STARTTLS", client.extensions)
            content = message("secret " * 20000 + "\r\n")
            message_id = client.mail("anna@client.test",
                                     ["bob@example.com"], content)
            client.quit()
            shown = self.spoold.json("show", message_id)
            self.assertTrue(shown["tls"].startswith(name), shown["tls"])
            self.assertEqual(shown["protocol"], "ESMTPS")
            self.assertEqual(below_received(
                self.spoold.ctl("cat", message_id).out), content)
        wait_for(lambda: len(self.spoold.sink.delivered) == 2)
        for transaction in self.spoold.sink.delivered:
            received, _ = header_field(transaction.content, "Received")
            self.assertIn(" with ESMTPS ", received)
            self.assertIn("TLSv1.", received)
        self.assertEqual(self.spoold.counter("tls-sessions"), 2)

    def test_state_is_forgotten(self):
        """RFC 3207 4.2: what was said before TLS does not count."""
        client = self.session()
        client.begin("anna@client.test", ["bob@example.com"])
        client.expect(503, "STARTTLS")
        client.expect(250, "RSET")
        client.starttls()
        client.expect(503, "MAIL FROM:<>")
        client.expect(503, "DATA")
        client.ehlo()
        client.expect(503, "RCPT TO:<bob@example.com>")

    def test_wrong_use(self):
        client = self.session()
        client.expect(501, "STARTTLS now")
        client.expect(250, "HELO client.test")
        client.ehlo()
        client.starttls()
        client.ehlo()
        client.expect((502, 503), "STARTTLS")

    def test_injected_plaintext(self):
        """Bytes behind STARTTLS in the clear must not be taken for commands
        inside TLS: the connection is closed."""
        for injected in (b"NOOP\r\n", b"EHLO evil.test\r\nMAIL FROM:<>\r\n",
                         b"x", b"\x16\x03\x01"):
            with self.subTest(injected=injected):
                client = self.session()
                client.send(b"STARTTLS\r\n" + injected)
                client.at_end()
                self.assertNotIn(b"250", client.buffer)

    def test_broken_handshakes(self):
        for rubbish in (b"MAIL FROM:<anna@client.test>\r\n" * 20,
                        b"\x16\x03\x01\x00\x05hello", b""):
            client = self.session()
            client.expect(220, "STARTTLS")
            client.send(rubbish)
            client.half_close()
            client.at_end()
            self.assertNotRegex(client.buffer, rb"(?m)^[2-5]\d\d ")
        wait_for(lambda: self.spoold.counter("connections-now") == 0)
        self.session().starttls()

    def test_handshake_timeout(self):
        self.spoold.limit["command-timeout"] = "300ms"
        self.spoold.restart()
        client = self.session()
        client.expect(220, "STARTTLS")
        client.at_end()

    def test_dies_in_tls(self):
        client = self.session()
        client.starttls()
        client.ehlo()
        client.begin("anna@client.test", ["bob@example.com"])
        client.expect(354, "DATA")
        client.send(message())
        client.abort()
        wait_for(lambda: self.spoold.counter("transactions-now") == 0)
        self.assertEqual(self.spoold.held(), [])

    def test_pipelining_inside(self):
        client = self.session()
        client.starttls()
        client.send(b"EHLO client.test\r\nMAIL FROM:<>\r\n"
                    b"RCPT TO:<bob@example.com>\r\nDATA\r\n")
        for code in (250, 250, 250, 354):
            client.expect(code)
        client.send(message() + b".\r\nQUIT\r\n")
        client.expect(250)
        client.expect(221)
        client.at_end()

    def test_new_certificate_by_sighup(self):
        def served():
            client = self.session()
            client.starttls()
            der = client.sock.getpeercert(binary_form=True)
            client.close()
            return der

        first = served()
        old = self.session()
        make_certificate(self.spoold.path("cert"), self.spoold.path("key"))
        self.spoold.reload()
        wait_for(lambda: served() != first, "the new certificate")
        old.starttls()

    def test_bad_certificate_by_sighup(self):
        """The old one stays in use."""
        with open(self.spoold.path("cert"), "w") as file:
            file.write("rubbish")
        self.spoold.reload()
        self.session().starttls()


class NoTlsTest(SpooldTest):
    def test_not_configured(self):
        daemon = self.daemon()
        with daemon.client() as client:
            client.ehlo()
            self.assertNotIn("STARTTLS", client.extensions)
            client.expect("5", "STARTTLS")
            client.expect(250, "NOOP")

    def test_bad_files(self):
        """A certificate that cannot be used stops the start, and -n says
        so before."""
        daemon = self.configured(tls=True)
        daemon.write_config()
        os.unlink(daemon.path("key"))
        make_certificate(daemon.path("other"), daemon.path("key"))
        daemon.launch()
        self.assertNotEqual(daemon.process.wait(20), 0)
        daemon.process = None
        self.assertRegex(daemon.log(), r"certificate|key")


if __name__ == "__main__":
    main()
