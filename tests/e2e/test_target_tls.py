#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Encryption towards targets: each value of tls, what fails and how it is
told, and that nothing said in the clear counts inside TLS."""

import re

from certificates import Authority
from sink import CLOSE, sequence
from spoold_test import SpooldTest, main, test_directory, wait_for


class TargetTlsTest(SpooldTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.authority = Authority(test_directory())
        cls.good = cls.authority.issue("DNS:mail.example.com",
                                       "IP:127.0.0.1")
        cls.other = Authority(test_directory(), "Another CA")

    def target(self, **values):
        """A daemon whose only target has these keys; the sink runs."""
        self.spoold = self.daemon(targets={"office": {
            "connections": 1, **values}})
        self.spoold.sink.start()
        return self.spoold

    def deliver(self, n=1):
        before = len(self.spoold.sink.delivered)
        ids = [self.spoold.send() for _ in range(n)]
        wait_for(lambda: len(self.spoold.sink.delivered) == before + n,
                 "the delivery")
        self.spoold.wait_empty()
        return ids[-1]

    def held_with(self, reason):
        """A message is not delivered, and why says so."""
        message_id = self.spoold.send()
        self.spoold.wait_target("down")
        wait_for(lambda: re.search(reason, self.spoold.target()["reason"]),
                 "the reason %s in %r" % (reason, self.spoold.target()))
        self.assertEqual(self.spoold.sink.delivered, [])
        self.assertRegex(self.spoold.ctl("why", message_id).text, reason)
        self.assertRegex(self.spoold.log(), r"attempt .*reason=.*" + reason)
        return message_id

    def commands(self, verb):
        return [line for session in self.spoold.sink.sessions
                for line, _ in session.commands
                if line.upper().startswith(verb)]

    # --- each value

    def test_none(self):
        self.target(tls="none").sink.use_tls(self.good.path)
        self.deliver()
        self.assertEqual(self.commands(b"STARTTLS"), [])
        self.assertEqual(self.spoold.target()["tls"], "none")

    def test_opportunistic(self):
        """Whatever certificate there is; sessions are resumed."""
        self.target(tls="opportunistic",
                    messages_per_connection=1).sink.use_tls(self.good.path)
        self.deliver()
        self.deliver()
        self.deliver()
        sessions = self.spoold.sink.sessions
        self.assertEqual([s.tls_version for s in sessions], ["TLSv1.3"] * 3)
        self.assertEqual([s.tls_resumed for s in sessions],
                         [False, True, True])
        self.assertEqual(self.spoold.counter("target-tls"), 3)
        self.assertEqual(self.spoold.counter("target-tls-resumed"), 2)
        self.assertRegex(self.spoold.target()["tls"], "^TLSv1.3 .*resumed$")
        for session in sessions:
            # STARTTLS comes first, and EHLO is said again.
            verbs = [line.split()[0] for line, _ in session.commands]
            self.assertEqual(verbs[:4],
                             [b"EHLO", b"STARTTLS", b"EHLO", b"MAIL"])

    def test_opportunistic_without(self):
        """Not offered: in the clear."""
        self.target(tls="opportunistic")
        self.deliver()
        self.assertEqual(self.commands(b"STARTTLS"), [])

    def test_opportunistic_refused(self):
        self.target(tls="opportunistic",
                    messages_per_connection=1).sink.use_tls(self.good.path)
        self.spoold.sink.on["STARTTLS"] = "454 4.7.0 no TLS today"
        self.deliver()
        self.deliver()
        self.assertEqual(len(self.commands(b"STARTTLS")), 1)
        self.assertRegex(self.spoold.log(),
                         "454 4.7.0 no TLS today, to STARTTLS; going on "
                         "without TLS")

    def test_opportunistic_broken(self):
        """A handshake that fails: in the clear, over a fresh connection, and
        for a while not tried again."""
        self.target(tls="opportunistic",
                    messages_per_connection=1).sink.use_tls(self.good.path)
        for broken in (b"220 go\r\n\x15\x03\x01\x00\x02\x02\x28", CLOSE):
            self.spoold.sink.on["STARTTLS"] = broken
            self.deliver()
            self.deliver()
            self.assertEqual(len(self.commands(b"STARTTLS")), 1)
            self.assertRegex(self.spoold.log(), "going on without TLS")
            first, second = self.spoold.sink.sessions[:2]
            self.assertNotIn(b"MAIL", b"".join(c for c, _ in first.commands))
            self.assertIn(b"MAIL", b"".join(c for c, _ in second.commands))
            self.spoold.sink.sessions.clear()
            self.spoold.reload()  # TLS is looked for again

    def test_require(self):
        self.target(tls="require")
        self.held_with("STARTTLS is not offered")
        self.spoold.sink.use_tls(self.good.path)
        wait_for(lambda: self.spoold.sink.delivered, "the delivery")
        self.assertIsNotNone(self.spoold.sink.delivered[0].session.tls)

    def test_require_never_clear(self):
        self.target(tls="require").sink.use_tls(self.good.path)
        self.spoold.sink.on["STARTTLS"] = b"220 go\r\nrubbish\r\n"
        self.held_with("TLS|STARTTLS")
        self.assertEqual(self.commands(b"MAIL"), [])

    def test_injected_reply(self):
        """Bytes behind the 220, in the clear, are not believed inside."""
        self.target(tls="require").sink.use_tls(self.good.path)
        self.spoold.sink.on["STARTTLS"] = sequence(
            b"220 go\r\n250-evil.test\r\n250 SIZE 1\r\n")
        self.spoold.send()
        wait_for(lambda: "plaintext after" in self.spoold.log(), "the reason")
        wait_for(lambda: self.spoold.sink.delivered, "the second try")
        self.assertEqual(self.spoold.sink.delivered[0].session.tls_error,
                         None)

    # --- who it is

    def test_verify_address(self):
        """An address is proved by the certificate's address."""
        self.target(tls="verify",
                    tls_ca=self.authority.path).sink.use_tls(self.good.path)
        self.deliver()
        self.assertRegex(self.spoold.target()["tls"], "proved by its name")

    def test_verify_wrong_authority(self):
        self.target(tls="verify",
                    tls_ca=self.other.path).sink.use_tls(self.good.path)
        self.held_with("certificate is not good: (self.signed|unable to get)")
        self.assertEqual(self.commands(b"MAIL"), [])

    def test_verify_wrong_name(self):
        wrong = self.authority.issue("DNS:mail.example.org", "IP:127.0.0.2")
        self.target(tls="verify",
                    tls_ca=self.authority.path).sink.use_tls(wrong.path)
        self.held_with("certificate is not good: IP address mismatch")
        self.spoold.sink.use_tls(self.good.path)
        wait_for(lambda: self.spoold.sink.delivered, "the delivery")

    def test_verify_name(self):
        for name in ("mail.example.com", ".example.com"):
            daemon = self.target(tls="verify", tls_ca=self.authority.path,
                                 tls_name=name)
            daemon.sink.use_tls(self.good.path)
            self.deliver()
        self.target(tls="verify", tls_ca=self.authority.path,
                    tls_name="mail.example.org").sink.use_tls(self.good.path)
        self.held_with("certificate is not good: hostname mismatch")

    def test_host_name(self):
        """The name of the host is asked for, and told to the server."""
        hosts = test_directory() + "/hosts"
        with open(hosts, "w") as file:
            file.write("127.0.0.1 mail.example.com\n127.0.0.1 mail.other\n")
        daemon = self.configured(
            targets={"office": {"tls": "verify",
                                "tls-ca": self.authority.path}},
            resolver={"hosts-file": hosts})
        daemon.targets["office"]["hosts"] = [
            "mail.other:%d" % daemon.sink.port,
            "mail.example.com:%d" % daemon.sink.port]
        daemon.start()
        self.spoold = daemon
        daemon.sink.start().use_tls(self.good.path)
        self.deliver()
        session = daemon.sink.delivered[0].session
        self.assertEqual(session.tls_name, "mail.example.com")
        self.assertRegex(daemon.log(), r"attempt .*host=mail.other\[127.0.0.1"
                         r"\].*hostname mismatch")

    def test_fingerprint(self):
        """Of the certificate or of its key, whoever vouches."""
        for digits in (self.good.fingerprint,
                       self.good.key_fingerprint.upper()):
            daemon = self.target(tls="verify", tls_fingerprint=[
                "00" * 32, ":".join(re.findall("..", digits))])
            daemon.sink.use_tls(self.good.path)
            self.deliver()
            self.assertRegex(daemon.target()["tls"], "by its fingerprint")
        self.target(tls="verify", tls_fingerprint=["00" * 32]).sink.use_tls(
            self.good.path)
        self.held_with("certificate is not good: ")
        self.assertEqual(self.commands(b"MAIL"), [])

    def test_next_host(self):
        """A host that does not prove itself is passed over."""
        second = self.sink().start()
        daemon = self.configured(targets={"office": {
            "tls": "verify", "tls-ca": self.authority.path}})
        daemon.targets["office"]["hosts"] = [
            "127.0.0.1:%d" % daemon.sink.port, "127.0.0.1:%d" % second.port]
        daemon.sink.start().use_tls(self.other.issue("IP:127.0.0.1").path)
        second.use_tls(self.good.path)
        daemon.start().send()
        wait_for(lambda: second.delivered, "the delivery")
        self.assertEqual(daemon.sink.delivered, [])

    # --- configuration

    def test_bad_files(self):
        empty = test_directory() + "/empty.pem"
        with open(empty, "w"):
            pass
        for path in (empty, empty + ".missing"):
            daemon = self.configured(targets={"office": {
                "tls": "verify", "tls-ca": path}})
            daemon.write_config()
            daemon.launch()
            wait_for(lambda: daemon.process.poll() is not None, "the end")
            self.assertEqual(daemon.process.returncode, 1)
            self.assertIn(path, daemon.log())
            daemon.process = None

    def test_other_authority_after_reload(self):
        """What a reload brings counts for the next connection, resumption or
        not."""
        self.target(tls="verify", tls_ca=self.authority.path,
                    messages_per_connection=1).sink.use_tls(self.good.path)
        self.deliver()
        self.spoold.targets["office"]["tls_ca"] = self.other.path
        self.spoold.reload()
        self.spoold.sink.clear()
        self.held_with("certificate is not good")


if __name__ == "__main__":
    main()
