#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""What a sender asks of notifications (RFC 3461 4) goes on to the target."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from spoold_test import SpooldTest, main, message  # noqa: E402


class DsnParamTest(SpooldTest):
    def send(self, daemon, mail_params, *recipients):
        """RECIPIENTS: (address, parameters)"""
        with daemon.client() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<anna@client.test> " + mail_params)
            for address, params in recipients:
                client.expect(250, "RCPT TO:<%s> %s" % (address, params))
            self.assertEqual(client.data(message()), 250)

    def delivered(self, daemon, *extensions):
        daemon.sink.extensions += extensions
        daemon.sink.start()
        daemon.wait_empty()
        return daemon.sink.delivered[0]

    def test_handed_on(self):
        daemon = self.daemon()
        self.send(daemon, "RET=hdrs ENVID=QQ+3D1",
                  ("a@example.com",
                   "notify=success,delay ORCPT=rfc822;x+2By@other.test"),
                  ("b@example.com", "NOTIFY=NEVER"),
                  ("c@example.com", ""))
        daemon.restart()  # they are in the store, not in memory
        self.delivered(daemon, "DSN")
        # Some servers make one of NEVER and what others want: it goes apart.
        both = sorted(daemon.sink.delivered, key=lambda t: t.recipients)
        self.assertEqual([t.params["RET"] for t in both], ["HDRS"] * 2)
        self.assertEqual([t.params["ENVID"] for t in both], ["QQ+3D1"] * 2)
        self.assertEqual([t.rcpt_params for t in both], [
            {"a@example.com": {"NOTIFY": "SUCCESS,DELAY",
                               "ORCPT": "rfc822;x+2By@other.test"},
             "c@example.com": {}},
            {"b@example.com": {"NOTIFY": "NEVER"}}])

    def test_not_offered(self):
        """The sink refuses what it does not offer."""
        daemon = self.daemon()
        self.send(daemon, "RET=FULL ENVID=x",
                  ("a@example.com", "NOTIFY=FAILURE ORCPT=rfc822;a@b"))
        transaction = self.delivered(daemon)
        self.assertEqual(set(transaction.params), {"SIZE"})
        self.assertEqual(transaction.rcpt_params, {"a@example.com": {}})

    def test_orcpt_in_utf8(self):
        """RFC 6533 3: the form that needs no SMTPUTF8 where the target has
        none."""
        daemon = self.daemon()
        self.send(daemon, "SMTPUTF8",
                  ("a@example.com", "ORCPT=utf-8;b\u00f6b@example.com"))
        daemon.sink.extensions.remove("SMTPUTF8")
        transaction = self.delivered(daemon, "DSN")
        self.assertEqual(transaction.rcpt_params["a@example.com"],
                         {"ORCPT": "utf-8;b\\x{F6}b@example.com"})

    def test_orcpt_in_utf8_needs_smtputf8(self):
        daemon = self.daemon()
        with daemon.client() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<anna@client.test>")
            client.expect(553, "RCPT TO:<a@example.com> "
                               "ORCPT=utf-8;b\u00f6b@example.com")

    def test_export_and_import(self):
        daemon = self.daemon()
        self.send(daemon, "RET=FULL ENVID=x",
                  ("a@example.com", "NOTIFY=FAILURE ORCPT=rfc822;a@b"))
        other = self.daemon()
        path = other.path("exported")
        result = daemon.ctl("export", "--to", path)
        self.assertEqual(result.code, 0, result)
        result = other.ctl("import", path)
        self.assertEqual(result.code, 0, result)
        transaction = self.delivered(other, "DSN")
        self.assertEqual(transaction.params["RET"], "FULL")
        self.assertEqual(transaction.params["ENVID"], "x")
        self.assertEqual(transaction.rcpt_params["a@example.com"],
                         {"NOTIFY": "FAILURE", "ORCPT": "rfc822;a@b"})


if __name__ == "__main__":
    main()
