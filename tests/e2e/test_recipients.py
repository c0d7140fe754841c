#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""recipients = "list": the file, its reload, its mistakes."""

import os

from spoold_test import SpooldTest, main, message, wait_for


class RecipientsTest(SpooldTest):
    def setUp(self):
        super().setUp()
        self.spoold = self.configured()
        self.file = self.spoold.path("recipients")
        self.spoold.domains = {
            "example.com": {"recipients": "list",
                            "recipient-file": self.file},
            "example.net": {},
        }

    def write(self, text):
        with open(self.file, "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)

    def known(self, *addresses):
        """Which of these are taken at RCPT?"""
        with self.spoold.client() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<anna@client.test>")
            taken = []
            for address in addresses:
                reply = client.cmd("RCPT TO:<%s>" % address)
                if reply == 250:
                    taken.append(address)
                else:
                    self.assertEqual((reply.code, reply.enhanced),
                                     (550, "5.1.1"))
            client.expect(250, "RSET")
        return taken

    def test_list(self):
        self.write("# ours\nbob\n\n  Carol@Example.com  \r\no'brien\n"
                   "x+y\n")
        self.spoold.start()
        self.assertEqual(
            self.known("bob@example.com", "BOB@EXAMPLE.COM",
                       "carol@example.com", "dave@example.com",
                       "o'brien@example.com", "bobb@example.com",
                       "bo@example.com", "bob+tag@example.com",
                       "x+y@example.com", "x@example.com",
                       '"bob"@example.com', "anyone@example.net"),
            ["bob@example.com", "BOB@EXAMPLE.COM", "carol@example.com",
             "o'brien@example.com", "bob+tag@example.com",
             "x+y@example.com", '"bob"@example.com',
             "anyone@example.net"])

    def test_postmaster_is_always_known(self):
        """RFC 5321 4.5.1."""
        self.write("bob\n")
        self.spoold.start()
        self.assertEqual(self.known("postmaster@example.com"),
                         ["postmaster@example.com"])

    def test_empty_list(self):
        self.write("")
        self.spoold.start()
        self.assertEqual(self.known("bob@example.com"), [])

    def test_reload(self):
        self.write("bob\n")
        self.spoold.start()
        with self.spoold.client() as client:  # lives through the reload
            client.ehlo()
            client.expect(250, "MAIL FROM:<anna@client.test>")
            client.expect(250, "RCPT TO:<bob@example.com>")
            self.write("carol\n")
            self.spoold.reload()
            wait_for(lambda: self.known(
                "bob@example.com", "carol@example.com") ==
                ["carol@example.com"], "the new list")
            client.expect(250, "RCPT TO:<carol@example.com>")
            self.assertEqual(client.data(message()), 250)
        self.assertEqual(len(self.spoold.held()), 1)

    def test_bad_line_keeps_the_old_list(self):
        self.write("bob\n")
        self.spoold.start()
        for bad in ("carol\nbad line here\n", "carol\n<x@example.com>\n",
                    "carol\nx@other.test\n", b"carol\na\0b\n"):
            mark = self.spoold.log_size()
            self.write(bad)
            self.spoold.reload()
            self.assertIn("recipients:2", self.spoold.log(mark))
            self.assertEqual(
                self.known("bob@example.com", "carol@example.com"),
                ["bob@example.com"])
        self.write("carol\n")
        self.spoold.reload()
        wait_for(lambda: self.known("carol@example.com"), "the new list")

    def test_vanished_file_keeps_the_old_list(self):
        self.write("bob\n")
        self.spoold.start()
        os.unlink(self.file)
        self.spoold.reload()
        self.assertEqual(self.known("bob@example.com", "eve@example.com"),
                         ["bob@example.com"])

    def test_bad_file_at_the_start(self):
        """Nothing old to keep: the start is refused with file and line."""
        for text in ("bob\nnot a local part\n", None):
            if text is None:
                os.unlink(self.file)
            else:
                self.write(text)
            self.spoold.launch()
            self.assertNotEqual(self.spoold.process.wait(20), 0)
            self.spoold.process = None
            self.assertIn("recipients:2" if text else self.file,
                          self.spoold.log())

    def test_large_list(self):
        self.write("".join("user%d\n" % i for i in range(200000)))
        self.spoold.start()
        self.assertEqual(
            self.known("user0@example.com", "user199999@example.com",
                       "user200000@example.com"),
            ["user0@example.com", "user199999@example.com"])


if __name__ == "__main__":
    main()
