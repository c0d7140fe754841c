#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Signing in: passwords, access codes, who is out at once, and that nobody
gets in by guessing or keeps others out by it."""

import imaplib
import re
import threading
import time

from reader import refusal
from spoold_test import SpooldTest, main, wait_for

PATIENCE = 60  # for what takes a moment on an idle machine


class UserTest(SpooldTest):
    def reading(self, **options):
        return self.daemon(imap=True, **options)

    def signed_in(self, daemon, name, how):
        """The log says how it was found to be right."""
        wait_for(lambda: re.search(r" login user=%s client=127.0.0.1 how=%s" %
                                   (re.escape(name), how), daemon.log()),
                 "the event")


class SignInTest(UserTest):
    def test_password(self):
        daemon = self.reading()
        daemon.user("anna@example.com", password="Grünes Öl \"\\ 1")
        imap = daemon.imap_client()
        plain = "\0anna@example.com\0Grünes Öl \"\\ 1".encode()
        self.assertEqual(imap.authenticate("PLAIN", lambda _: plain)[0],
                         "OK")
        imap.logout()
        self.assertIn("AUTHENTICATIONFAILED", refusal(
            daemon.imap_client(), "anna@example.com", "Gruenes Oel"))
        self.signed_in(daemon, "anna@example.com", "password")

    def test_restart(self):
        daemon = self.reading()
        daemon.user("anna")
        daemon.restart()
        daemon.imap_client("anna")
        daemon.kill_role("auth")
        wait_for(lambda: "auth" in daemon.role_pids(), "auth to be back")

        def signs_in():
            try:
                daemon.imap_client("anna").logout()
                return True
            except imaplib.IMAP4.error as error:
                self.assertIn("UNAVAILABLE", str(error))
                return False

        wait_for(signs_in, "the sign-in", PATIENCE)

    def test_code_is_used_once(self):
        daemon = self.reading()
        daemon.user("anna", password=None)
        code = daemon.json("user", "invite", "anna")["code"]
        self.assertRegex(code, r"^([a-z2-9]{4}-){3}[a-z2-9]{4}$")
        self.assertEqual(len(daemon.json("user", "list")[0]["codes"]), 1)
        # As a person types it.
        first = daemon.imap_client()
        typed = code.replace("-", " ").upper()
        first.login("anna", typed)
        self.assertEqual(daemon.json("user", "list")[0]["codes"], [])
        # The program's next connection, while the first is open; not that of
        # somebody elsewhere.
        second = daemon.imap_client()
        second.login("anna", typed)
        stranger = daemon.imap_client(address="127.0.0.2")
        self.assertIn("AUTHENTICATIONFAILED",
                      refusal(stranger, "anna", typed))
        stranger.logout()
        first.logout()
        second.logout()
        wait_for(lambda: daemon.counter("imap-sessions-now") == 0,
                 "the end of the sessions")
        self.assertIn("AUTHENTICATIONFAILED", refusal(
            daemon.imap_client(address="127.0.0.3"), "anna", code))

    def test_code_expires(self):
        daemon = self.reading()
        daemon.user("anna", password=None)
        code = daemon.json("user", "invite", "--for", "1s", "anna")["code"]
        other = daemon.json("user", "invite", "anna")["code"]
        wait_for(lambda: len(daemon.json("user", "list")[0]["codes"]) == 1,
                 "the end of its time")
        self.assertIn("AUTHENTICATIONFAILED",
                      refusal(daemon.imap_client(), "anna", code))
        # With another password the open ones are worth nothing.
        daemon.ctl("user", "passwd", "anna", input=b"new\n")
        self.assertIn("AUTHENTICATIONFAILED", refusal(
            daemon.imap_client(address="127.0.0.2"), "anna", other))
        for _ in range(16):
            self.assertEqual(daemon.ctl("user", "invite", "anna").code, 0)
        result = daemon.ctl("user", "invite", "anna")
        self.assertEqual(result.code, 1)
        self.assertIn("16 access codes are open already", result.err)

    def idle(self, imap):
        imap.send(b"i IDLE\r\n")
        self.assertTrue(imap.readline().startswith(b"+"))

    def test_out_at_once(self):
        """Sessions that are open, whatever they do, end with the change."""
        daemon = self.reading()
        changes = [("remove", ["user", "remove", "anna"], None),
                   ("passwd", ["user", "passwd", "bob"], b"new\n"),
                   ("addresses", ["user", "addresses", "carl",
                                  "c@example.com"], None)]
        for name in ("anna", "bob", "carl", "dora"):
            daemon.user(name)
        other = daemon.imap_client("dora")
        for (what, command, text), name in zip(changes,
                                               ("anna", "bob", "carl")):
            idling = daemon.imap_client(name)
            idling.select()
            self.idle(idling)
            quiet = daemon.imap_client(name)
            result = daemon.ctl(*command, input=text or b"")
            self.assertEqual(result.code, 0, result)
            for imap in (idling, quiet):
                self.assertTrue(imap.readline().startswith(b"* BYE"), what)
                self.assertEqual(imap.readline(), b"")
        self.assertEqual(other.noop()[0], "OK")
        daemon.imap_client("bob", "new")
        for name in ("anna", "bob"):
            self.assertIn("AUTHENTICATIONFAILED", refusal(
                daemon.imap_client(address="127.0.1.%d" % len(name)),
                name, "secret"))
        # Another of that name is another.
        daemon.user("anna", "b@example.com", password="else")
        daemon.imap_client("anna", "else")

    def test_reload(self):
        daemon = self.reading()
        daemon.user("anna")
        first = daemon.imap_client("anna")
        daemon.imap = {"connections-per-user": 1}
        daemon.reload()
        self.assertIn("LIMIT", refusal(daemon.imap_client(), "anna",
                                       "secret"))
        daemon.imap = {}
        daemon.reload()
        daemon.imap_client("anna")
        self.assertEqual(first.noop()[0], "OK")


class GuessTest(UserTest):
    def test_slowed(self):
        """A wrong guess makes the next of this client, and the next at this
        name, wait. Others do not wait, and the user gets in."""
        daemon = self.reading()
        for name in ("anna", "bob"):
            daemon.user(name)
        start = time.monotonic()
        guesser = daemon.imap_client()
        for _ in range(2):  # a second before the second
            refusal(guesser, "anna", "guess")
        self.assertGreater(time.monotonic() - start, 1.4)
        guesser.send(b"x LOGIN nobody guess\r\n")
        ends = {}

        def sign_in(what, imap, name):
            began = time.monotonic()
            imap.login(name, "secret")
            ends[what] = (time.monotonic(), time.monotonic() - began)

        threads = [threading.Thread(target=sign_in, args=arguments)
                   for arguments in
                   [("here", daemon.imap_client(), "bob"),
                    ("there", daemon.imap_client(address="127.0.0.2"),
                     "bob"),
                    ("anna", daemon.imap_client(address="127.0.0.3"),
                     "anna")]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(set(ends), {"here", "there", "anna"})
        # By the address, and by the name.
        self.assertGreater(ends["here"][1], 1.9)
        self.assertGreater(ends["anna"][1], 1.9)
        self.assertLess(ends["there"][0], ends["here"][0])
        # The third ends the connection.
        lines = b"".join(iter(guesser.readline, b""))
        self.assertRegex(lines, rb"x NO \[AUTHENTICATIONFAILED\] "
                                rb"(?s:.*)\* BYE ")
        # Who was right lately does not wait for his address.
        daemon.imap_client("anna")
        self.signed_in(daemon, "anna", "again")

    def test_nobody(self):
        """A name that is not there is refused in the same words and the same
        half seconds."""
        daemon = self.reading()
        for name in ("anna", "bob", "carl"):
            daemon.user(name)
        daemon.user("codes", password=None)
        daemon.json("user", "invite", "codes")
        said, took = set(), {}
        for n, name in enumerate(["anna", "bob", "carl", "codes", "nobody",
                                  "nothing", "x@example.com"]):
            imap = daemon.imap_client(address="127.0.1.%d" % (n + 1))
            start = time.monotonic()
            said.add(refusal(imap, name, "guess"))
            took[name] = time.monotonic() - start
        self.assertEqual(len(said), 1, said)
        self.assertGreater(min(took.values()), 0.49)
        print("note: refusals took %s" % ", ".join(
            "%s %.2f s" % item for item in took.items()))

    def test_flood(self):
        """Hundreds of guesses at once from one address: others sign in."""
        daemon = self.reading()
        for name in ("anna", "bob"):
            daemon.user(name)
        flood = [daemon.imap_client() for _ in range(150)]
        for n, imap in enumerate(flood):
            imap.send(b"x LOGIN anna guess%d\r\n" % n)
        answer = flood[-1].readline()
        self.assertTrue(answer.startswith(b"x NO [UNAVAILABLE] "), answer)
        daemon.imap_client("bob", address="127.0.0.2")
        # The first ones are looked at, the next in their turn.
        self.assertTrue(flood[0].readline().startswith(
            b"x NO [AUTHENTICATIONFAILED] "))


if __name__ == "__main__":
    main()
