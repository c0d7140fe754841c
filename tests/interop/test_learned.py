#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Learned sign-in: while the primary, a real Dovecot, is up it says who may
read; when it is gone, what it said is remembered for a time."""

import datetime
import imaplib
import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]

import dovecot_server  # noqa: E402
from certificates import Authority  # noqa: E402
from spoold_test import (SpooldTest, main, message, test_directory,  # noqa
                         wait_for)

NAME = "imap.example.com"


@unittest.skipUnless(dovecot_server.is_here(), "Dovecot is not installed")
class LearnedTest(SpooldTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.authority = Authority(test_directory())
        cls.certificate = cls.authority.issue("DNS:" + NAME)
        cls.other = Authority(test_directory(), "Another CA")

    def setUp(self):
        super().setUp()
        self.primary = dovecot_server.DovecotServer(
            {"anna@example.com": "secret", "bob": "hidden",
             "eve@elsewhere.test": "secret"}, self.certificate.path)
        self.addCleanup(self.primary.close)
        self.primary.start()
        self.addresses = 0
        self.hosts = os.path.join(test_directory(), "hosts")
        with open(self.hosts, "w") as file:
            file.write("127.0.0.1 %s\n" % NAME)
        self.spoold = self.daemon(
            imap=True, resolver={"hosts-file": self.hosts}, settings={
                "auth-upstream": "imaps://%s:%d" % (NAME,
                                                    self.primary.tls_port),
                "auth-upstream-ca": self.authority.path})

    def sign_in(self, name, password):
        """How it went: what counted, or "no". Each comes from an address of
        its own, so that guesses do not make the next ones wait."""
        self.addresses += 1
        address = "127.0.2.%d" % self.addresses
        imap = self.spoold.imap_client(address=address)
        try:
            imap.login(name, password)
        except imaplib.IMAP4.error as error:
            self.assertIn("AUTHENTICATIONFAILED", str(error))
            return "no"
        imap.logout()
        return wait_for(lambda: re.search(
            r" login user=%s client=%s how=(\S+)" % (
                re.escape(name), re.escape(address)),
            self.spoold.log()), "the event").group(1)

    def primary_goes(self):
        self.primary.stop()

    def primary_returns(self):
        """And is asked again at once."""
        self.primary.start()
        self.spoold.reload()

    def users(self):
        return {u["user"]: u for u in self.spoold.json("user", "list")}

    def test_goes_away(self):
        self.spoold.send(recipients=["anna@example.com"],
                         content=message(subject="held"))
        # While it is up it says who is right, and a user is made of it.
        self.assertEqual(self.sign_in("anna@example.com", "wrong"), "no")
        self.assertEqual(self.users(), {})
        self.assertEqual(self.sign_in("anna@example.com", "secret"),
                         "upstream")
        self.assertEqual(self.sign_in("bob", "hidden"), "upstream")
        users = self.users()
        self.assertEqual(users["anna@example.com"]["addresses"],
                         ["anna@example.com"])
        self.assertEqual(users["bob"]["addresses"], ["bob@example.com"])
        self.assertTrue(users["bob"]["by_primary"])
        self.assertIsNotNone(users["bob"]["learned"])
        # It may know others, whose mail is not taken here.
        self.assertEqual(self.sign_in("eve@elsewhere.test", "secret"), "no")
        # Others' guesses take nothing from a user.
        self.assertEqual(self.sign_in("bob", "guess"), "no")

        self.primary_goes()
        imap = self.spoold.imap_client("anna@example.com", "secret",
                                       "127.0.2.100")
        self.assertEqual(imap.select()[1], [b"1"])
        self.assertEqual(self.sign_in("anna@example.com", "Secret"), "no")
        self.assertEqual(self.sign_in("bob", "hidden"), "learned")
        self.assertEqual(self.sign_in("carl", "hidden"), "no")
        # Nothing of it is in memory only.
        self.spoold.restart()
        self.assertEqual(self.sign_in("bob", "hidden"), "learned")
        self.assertEqual(self.sign_in("carl", ""), "no")
        # It has an end.
        self.spoold.settings["auth-learned-for"] = "1s"
        self.spoold.reload()

        def is_over():
            until = datetime.datetime.fromisoformat(
                self.users()["bob"]["learned_until"].replace("Z", "+00:00"))
            return until < datetime.datetime.now(datetime.timezone.utc)

        wait_for(is_over, "the end of what was learned")
        self.assertEqual(self.sign_in("bob", "hidden"), "no")
        # And is learned anew.
        self.spoold.settings["auth-learned-for"] = "30d"
        self.primary_returns()
        self.assertEqual(self.sign_in("bob", "hidden"), "upstream")

    def test_other_password(self):
        """While it is up only what it takes now counts."""
        name = "anna@example.com"
        self.assertEqual(self.sign_in(name, "secret"), "upstream")
        self.primary.set_users({name: "changed"})
        self.assertEqual(self.sign_in(name, "secret"), "no")
        self.assertIsNone(self.users()[name]["learned"])
        self.primary_goes()
        self.assertEqual(self.sign_in(name, "secret"), "no")
        self.primary_returns()
        self.assertEqual(self.sign_in(name, "changed"), "upstream")

    def test_other_password_learned(self):
        """The last one that it took counts, also where nobody tried the one
        before meanwhile."""
        self.assertEqual(self.sign_in("bob", "hidden"), "upstream")
        self.primary.set_users({"bob": "changed"})
        self.assertEqual(self.sign_in("bob", "changed"), "upstream")
        self.primary_goes()
        self.assertEqual(self.sign_in("bob", "hidden"), "no")
        self.assertEqual(self.sign_in("bob", "changed"), "learned")
        # The operator's password counts beside it, and makes what was
        # learned void.
        self.spoold.ctl("user", "passwd", "bob", input=b"by hand\n")
        self.assertEqual(self.sign_in("bob", "by hand"), "password")
        self.assertEqual(self.sign_in("bob", "changed"), "no")

    def test_its_own_trouble(self):
        """A primary that cannot tell has not refused."""
        self.assertEqual(self.sign_in("bob", "hidden"), "upstream")
        self.primary.set_trouble(True)
        self.primary.set_users({})
        self.assertEqual(self.sign_in("bob", "hidden"), "learned")
        self.assertEqual(self.sign_in("carl", "guess"), "no")

        # Nor is one asked that cannot show it is the primary.
        self.spoold.settings["auth-upstream-ca"] = self.other.path
        self.spoold.reload()
        self.primary.set_users({"bob": "other"})
        self.assertEqual(self.sign_in("bob", "other"), "no")
        self.assertEqual(self.sign_in("bob", "hidden"), "learned")
        self.assertNotIn("bob", [
            line.split("user=<")[1].split(">")[0]
            for line in self.primary.log().splitlines()
            if "user=<" in line and "other" in line])

        # By STARTTLS, asked anew because the configuration is.
        self.spoold.settings["auth-upstream-ca"] = self.authority.path
        self.spoold.settings["auth-upstream"] = "imap://%s:%d" % (
            NAME, self.primary.port)
        self.spoold.reload()
        self.assertEqual(self.sign_in("bob", "other"), "upstream")
        # No primary any more: what was learned is worth nothing.
        del self.spoold.settings["auth-upstream"]
        del self.spoold.settings["auth-upstream-ca"]
        self.spoold.reload()
        self.assertEqual(self.sign_in("bob", "other"), "no")


if __name__ == "__main__":
    main()
