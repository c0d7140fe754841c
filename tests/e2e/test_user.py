#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Users: how the operator makes and changes them, and whose mail they see."""

import base64
import hashlib
import os
import pty
import re
import select
import subprocess
import time

from reader import subjects
from spoold_test import BUILD, SpooldTest, main, message, wait_for

PATIENCE = 60  # for what takes a moment on an idle machine


class UserTest(SpooldTest):
    def reading(self, **options):
        return self.daemon(imap=True, **options)


class CommandTest(UserTest):
    def test_add_list_remove(self):
        daemon = self.reading(domains={"example.com": {},
                                       "example.net": {}})
        daemon.user("Anna@Example.com")
        daemon.user("office", "info@example.com", "sales-*@example.net",
                    "old@gone.test", password=None)
        users = daemon.json("user", "list")
        self.assertEqual([u["user"] for u in users],
                         ["anna@example.com", "office"])
        self.assertEqual(users[0]["addresses"], ["anna@example.com"])
        self.assertEqual(users[0]["hashes"], ["argon2id"])
        self.assertEqual(users[1]["hashes"], [])
        self.assertEqual(users[1]["not_served"], ["old@gone.test"])
        self.assertIn("old@gone.test", daemon.ctl(
            "user", "addresses", "office", "old@gone.test").text)
        self.assertEqual([u["user"] for u in
                          daemon.json("user", "list", "*@example.com")],
                         ["anna@example.com"])
        text = daemon.ctl("user", "list").text
        self.assertRegex(text, r"(?m)^anna@example.com +password ")
        self.assertEqual(daemon.ctl("user", "remove", "office").code, 0)
        self.assertEqual(len(daemon.json("user", "list")), 1)
        wait_for(lambda: re.search(r" user what=remove user=office by=\S+",
                                   daemon.log()), "the event")
        # Nothing of a password is in the store, the log or a command line.
        for name in os.listdir(daemon.spool):
            path = os.path.join(daemon.spool, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    self.assertNotIn(b"secret\n", file.read())

    def test_refused(self):
        daemon = self.reading(domains={"example.com": {},
                                       "example.net": {}})
        daemon.user("anna@example.com")

        def refused(code, words, *arguments, text=b"secret\n"):
            result = daemon.ctl("user", *arguments, input=text)
            self.assertEqual(result.code, code, result)
            self.assertIn(words, result.err)

        refused(1, "there is a user anna@example.com already", "add",
                "ANNA@example.com")
        refused(2, "several domains", "add", "bob")
        refused(2, "cannot be the name", "add", "b ob", "b@example.com")
        refused(2, "not a domain", "add", "bob", "b@*.com")
        refused(2, "not an address", "add", "bob", "example.com")
        refused(2, "whose mail", "add", "*@example.com")
        refused(1, "standard input has no password", "add", "bob",
                "b@example.com", text=b"")
        refused(1, "at most 1000 bytes", "passwd", "anna@example.com",
                text=b"x" * 1001 + b"\n")
        refused(1, "there is no user bob", "passwd", "bob")
        refused(1, "there is no user bob", "invite", "bob")
        refused(1, "there is no user bob", "addresses", "bob",
                "b@example.com")
        refused(1, "there is no user bob", "remove", "bob")
        refused(2, "--for", "invite", "--for", "99d", "anna@example.com")
        self.assertEqual(len(daemon.json("user", "list")), 1)

    def test_on_a_terminal(self):
        """Asked for twice, and not shown."""
        daemon = self.reading()

        def run(*answers):
            pid, fd = pty.fork()
            if pid == 0:
                os.execv(os.path.join(BUILD, "spoolctl"),
                         ["spoolctl", "-s", daemon.control, "user", "add",
                          "anna"])
            shown = b""
            answers = list(answers)
            end = time.monotonic() + PATIENCE
            try:
                while time.monotonic() < end:
                    if not select.select([fd], [], [], 1)[0]:
                        continue
                    shown += os.read(fd, 1000)
                    if answers and shown.endswith(b": "):
                        os.write(fd, answers.pop(0) + b"\n")
            except OSError:  # it closed the terminal
                pass
            os.close(fd)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown

        code, shown = run(b"verborgen", b"verboten")
        self.assertEqual(code, 1, shown)
        self.assertIn(b"two different passwords", shown)
        code, shown = run(b"verborgen", b"verborgen")
        self.assertEqual(code, 0, shown)
        self.assertIn(b"Password for anna: ", shown)
        self.assertNotIn(b"verborgen", shown)
        daemon.imap_client("anna", "verborgen")

    def test_import(self):
        daemon = self.reading(domains={"example.com": {},
                                       "example.net": {}})
        crypted = subprocess.run(
            ["openssl", "passwd", "-6", "-salt", "saltsalt", "of carl"],
            check=True, capture_output=True, text=True).stdout.strip()
        salted = "{SSHA}" + base64.b64encode(
            hashlib.sha1(b"of dora" + b"salt").digest() + b"salt").decode()
        daemon.user("anna@example.com", "a@example.com", password="old")
        path = daemon.path("users")

        def write(*lines):
            with open(path, "w") as file:
                file.write("\n".join(lines) + "\n")

        good = ["# users", "",
                "anna@example.com:{PLAIN}new:1000:1000::/home/anna::",
                "carl:%s:19000:0:99999:7:::" % crypted,
                "dora@example.net:%s" % salted,
                "daemon:*:19000:0:99999:7:::"]
        # Every mistake is told, and nothing is done.
        write(*good, "nonsense", "emil@example.com:{CRAM-MD5}00ff",
              "carl:{PLAIN}twice", "f g:{PLAIN}x", "gil:$6$salt$short")
        result = daemon.ctl("user", "import", path)
        self.assertEqual(result.code, 1, result)
        for number in range(7, 12):
            self.assertIn("users:%d: " % number, result.err)
        self.assertIn("nothing was imported: 5 lines are wrong", result.err)
        # What only the daemon can know, too.
        write(*good)
        result = daemon.ctl("user", "import", path)
        self.assertEqual(result.code, 1, result)
        self.assertRegex(result.err, r"users:4: carl is not an address")
        self.assertEqual(len(daemon.json("user", "list")), 1)
        result = daemon.ctl("user", "import", "--dry-run", "--domain",
                            "example.com", path)
        self.assertIn("2 users would be added, 1 password would be changed",
                      result.text)
        self.assertEqual(len(daemon.json("user", "list")), 1)
        daemon.imap_client("anna@example.com", "old")

        result = daemon.ctl("user", "import", "--domain", "example.com", path)
        self.assertIn("2 users added, 1 password changed; 1 line is locked",
                      result.text)
        users = {u["user"]: u for u in daemon.json("user", "list")}
        self.assertEqual(users["anna@example.com"]["addresses"],
                         ["a@example.com"])
        self.assertEqual(users["carl"]["addresses"], ["carl@example.com"])
        self.assertEqual(users["carl"]["hashes"], ["sha512-crypt"])
        for name, password in [("anna@example.com", "new"),
                               ("carl", "of carl"),
                               ("dora@example.net", "of dora")]:
            daemon.imap_client(name, password).logout()
        # Again: the same.
        rows = daemon.json("user", "import", "--domain", "example.com", path)
        self.assertEqual([r["result"] for r in rows], ["changed"] * 3)

    def test_many(self):
        """A whole company in one transaction, and listed."""
        daemon = self.reading()
        lines = "".join("user%04d:{SHA}%s\n" % (i, base64.b64encode(
            hashlib.sha1(b"pw%d" % i).digest()).decode())
            for i in range(5000))
        result = daemon.ctl("user", "import", "-", input=lines.encode())
        self.assertIn("5000 users added", result.text)
        users = daemon.json("user", "list")
        self.assertEqual([u["user"] for u in users],
                         ["user%04d" % i for i in range(5000)])
        daemon.imap_client("user4321", "pw4321")
        self.assertEqual(daemon.ctl("check").code, 0)
        self.assertEqual(daemon.ctl("audit").code, 0)


class IsolationTest(UserTest):
    def test_own_addresses_only(self):
        daemon = self.reading(domains={"example.com": {},
                                       "example.net": {}})
        daemon.user("anna", "anna@example.com", "info@example.com")
        daemon.user("bob", "bob@example.com")
        daemon.user("sales", "sales-*@example.com")
        daemon.user("boss", "*@example.com")
        for recipients, subject in [
                (["Anna@Example.com"], "to anna"),
                (["bob@example.com"], "to bob"),
                (["info@example.com", "bob@example.com"], "to both"),
                (["sales-eu@example.com"], "to sales"),
                (["sales@example.com"], "to the other sales"),
                (["anna@example.net"], "to anna elsewhere")]:
            daemon.send(recipients=recipients,
                        content=message(subject=subject))
        expected = {
            "anna": ["to anna", "to both"],
            "bob": ["to bob", "to both"],
            "sales": ["to sales"],
            "boss": ["to anna", "to bob", "to both", "to both", "to sales",
                     "to the other sales"]}
        for name, wanted in expected.items():
            with self.subTest(name):
                imap = daemon.imap_client(name)
                self.assertEqual(sorted(subjects(imap)), sorted(wanted))
        # No name opens another's mailbox.
        imap = daemon.imap_client("bob")
        for box in ("anna@example.com", "Addresses/anna@example.com",
                    "Addresses", "../anna", "user/anna"):
            self.assertEqual(imap.select('"%s"' % box)[0], "NO", box)
        # Nor does a number.
        imap.select()
        self.assertEqual(imap.uid("FETCH", "1:*", "(UID)")[1].__len__(), 2)
        uids = [int(re.search(rb"UID (\d+)", row).group(1))
                for row in imap.uid("FETCH", "1:*", "(UID)")[1]]
        anna = daemon.imap_client("anna")
        anna.select()
        hers = [int(re.search(rb"UID (\d+)", row).group(1))
                for row in anna.uid("FETCH", "1:*", "(UID)")[1]]
        self.assertFalse(set(hers) & set(uids))
        answer = imap.uid("FETCH", ",".join(map(str, hers)), "(BODY[])")
        self.assertEqual(answer[1], [None])

    def test_marks_are_ones_own(self):
        """Two read one address: what one does, the other does not see."""
        daemon = self.reading()
        daemon.user("anna", "info@example.com")
        daemon.user("bob", "*@example.com")
        for n in range(3):
            daemon.send(recipients=["info@example.com"],
                        content=message(subject="n%d" % n))
        anna, bob = daemon.imap_client("anna"), daemon.imap_client("bob")
        anna.select()
        bob.select()
        anna.store("1", "+FLAGS", r"(\Seen \Flagged $Junk)")
        anna.store("2", "+FLAGS", r"(\Deleted)")
        anna.expunge()
        self.assertEqual(subjects(anna), ["n0", "n2"])
        self.assertEqual(subjects(bob), ["n0", "n1", "n2"])
        for row in bob.fetch("1:*", "(FLAGS)")[1]:
            self.assertIn(b"FLAGS ()", row)
        self.assertEqual(bob.search(None, "KEYWORD $Junk")[1], [b""])
        self.assertIn(rb"\Flagged", anna.fetch("1", "(FLAGS)")[1][0])
        # And it is a user's, not his session's.
        again = daemon.imap_client("anna")
        again.select()
        self.assertIn(rb"\Flagged", again.fetch("1", "(FLAGS)")[1][0])
        # With the user it goes.
        daemon.ctl("user", "remove", "anna")
        daemon.user("anna", "info@example.com", password="again")
        anna = daemon.imap_client("anna", "again")
        self.assertEqual(subjects(anna), ["n0", "n1", "n2"])
        self.assertIn(b"FLAGS ()", anna.fetch("1", "(FLAGS)")[1][0])
        self.assertEqual(len(daemon.held()), 3)
        self.assertEqual(daemon.ctl("check").code, 0)


if __name__ == "__main__":
    main()
