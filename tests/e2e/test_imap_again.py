# SPDX-License-Identifier: ISC
"""What the imap role keeps in memory of messages it was asked for: it says
the same again, to whom it may, and no longer than the message is there."""

import unittest

import spoold_test
from spoold_test import SpooldTest, message, wait_for

ITEMS = "(UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
DEADLINE = 60


def texts(answer):
    """The parts of an answer of FETCH as one text each."""
    status, rows = answer
    assert status == "OK", answer
    return [b" ".join(row) if isinstance(row, tuple) else row
            for row in rows if row is not None and row != b")"]


class AgainTest(SpooldTest):

    def setUp(self):
        super().setUp()
        self.server = self.daemon(imap=True)
        self.server.user("bob", "bob@example.com")
        self.server.user("all", "*@example.com")
        self.server.user("carl", "carl@example.com")
        for n in range(20):
            self.server.send(content=message(
                subject="number %d" % n, Content_Type="text/plain"))

    def inbox(self, name, box="INBOX"):
        client = self.server.imap_client(name)
        status, _ = client.select(box)
        self.assertEqual(status, "OK")
        return client

    def fetch(self, client, items=ITEMS):
        return texts(client.fetch("1:*", items))

    def test_same_again(self):
        """In other sessions, of other users, after a start and in a new
        file of the store."""
        first = self.fetch(self.inbox("bob"))
        self.assertEqual(len(first), 20)
        for row, n in zip(first, range(20)):
            self.assertIn(b'"number %d"' % n, row)
        self.assertEqual(self.fetch(self.inbox("bob")), first)
        self.assertEqual(self.fetch(self.inbox("all")), first)
        self.assertEqual(self.server.ctl("compact").code, 0)
        self.assertEqual(self.fetch(self.inbox("bob")), first)
        self.server.restart()
        self.assertEqual(self.fetch(self.inbox("bob")), first)

    def test_flags_are_each_users_own(self):
        bob, everybody = self.inbox("bob"), self.inbox("all")
        for client in bob, everybody:
            self.fetch(client)
        bob.store("3", "+FLAGS", r"(\Flagged)")
        self.assertIn(rb"\Flagged", self.fetch(bob, "(FLAGS ENVELOPE)")[2])
        self.assertNotIn(rb"\Flagged",
                         self.fetch(everybody, "(FLAGS ENVELOPE)")[2])

    def test_nothing_for_others(self):
        self.fetch(self.inbox("bob"))
        carl = self.inbox("carl")
        self.assertEqual(carl.search(None, "SUBJECT", "number")[1], [b""])
        self.assertEqual(carl.uid("FETCH", "1:*", ITEMS)[1], [None])

    def test_delivered(self):
        """The message moves, its envelope with it."""
        bob = self.inbox("bob")
        before = self.fetch(bob, "(ENVELOPE)")
        self.server.sink.start()
        self.server.wait_empty()
        wait_for(lambda: bob.noop() and
                 bob.search(None, "ALL")[1] == [b""], "an empty INBOX",
                 DEADLINE)
        after = self.fetch(self.inbox("bob", "Delivered"), "(ENVELOPE)")
        self.assertEqual(sorted(map(self.envelope, after)),
                         sorted(map(self.envelope, before)))

    @staticmethod
    def envelope(row):
        """Without the message's number, which is another now."""
        return row.split(b" ", 1)[1]

    def test_erased(self):
        bob = self.inbox("bob")
        self.fetch(bob)
        gone = self.server.held()[4]
        self.assertEqual(self.server.ctl("erase", gone).code, 0)

        def rows():
            bob.noop()
            # Until the news is there: "some messages are not here any more".
            if bob.fetch("1:*", ITEMS)[0] == "NO":
                return []
            return self.fetch(bob)

        wait_for(lambda: len(rows()) == 19, "it to be gone", DEADLINE)
        self.assertFalse([row for row in rows() if b'"number 4"' in row])
        self.assertEqual(len(self.fetch(self.inbox("bob"))), 19)

    def test_new_keys(self):
        """Content is read with keys that were sealed anew meanwhile."""
        bob = self.inbox("bob")
        before = self.fetch(bob, "(BODY.PEEK[])")
        self.assertEqual(self.server.ctl("key", "rotate").code, 0)
        wait_for(lambda: "key-dropped" in self.server.log(),
                 "the former pair to go", DEADLINE)
        self.assertEqual(self.fetch(bob, "(BODY.PEEK[])"), before)
        self.server.send(content=message(subject="number 20"))
        wait_for(lambda: bob.noop() and
                 len(self.fetch(bob, "(BODY.PEEK[])")) == 21, "one more",
                 DEADLINE)
        self.assertEqual(self.fetch(bob, "(BODY.PEEK[])")[:20], before)

    def test_ranges(self):
        """Of a message in several pieces, also beyond its end."""
        body = b"".join(b"line %d\r\n" % n for n in range(20000))
        self.server.send(content=message(body))
        bob = self.inbox("bob")
        whole = bob.fetch("21", "(BODY.PEEK[])")[1][0][1]
        self.assertTrue(whole.endswith(body))
        piece = 64 * 1024
        for at, length in ((0, 10), (piece - 5, 10), (piece, piece),
                           (len(whole) - 100, 100), (len(whole) - 5, 100),
                           (len(whole), 10), (10 * len(whole), 10)):
            with self.subTest(at=at, length=length):
                row = bob.fetch("21", f"(BODY.PEEK[]<{at}.{length}>)")[1][0]
                found = row[1] if isinstance(row, tuple) else b""
                self.assertEqual(found, whole[at:at + length])


if __name__ == "__main__":
    spoold_test.main()
