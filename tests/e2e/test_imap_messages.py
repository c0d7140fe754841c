#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Held mail as IMAP shows it: odd messages, huge structures, mail that is
delivered while somebody watches, structures that are kept."""

import glob
import os

import imap_mail
from imap_strict import StrictClient
from spoold_test import ROOT, SpooldTest, main, message, wait_for

PASSWORD = "secret"
ALL_ITEMS = ("FLAGS UID RFC822.SIZE INTERNALDATE ENVELOPE BODY BODYSTRUCTURE "
             "BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT]")


class MessagesTest(SpooldTest):
    def spoold(self, users=("anna",), **options):
        daemon = self.daemon(imap=options.pop("imap", True), **options)
        for user in users:
            daemon.user(user, user + "@example.com", password=PASSWORD)
        return daemon

    def client(self, daemon, user="anna", mailbox="INBOX", qresync=False):
        client = StrictClient(daemon.imap_port)
        self.addCleanup(client.close)
        client.ok("LOGIN %s %s" % (user, PASSWORD))
        if qresync:
            client.ok("ENABLE QRESYNC")
        client.ok("SELECT " + mailbox)
        return client

    def wait_for_messages(self, client, count):
        wait_for(lambda: client.ok("NOOP") and client.exists == count,
                 "%d messages" % count, 60)


def as_mail(data):
    """Bytes as SMTP carries them."""
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.replace(b"\n", b"\r\n").rstrip(b"\r\n") + b"\r\n"


def leaves(body, path=()):
    """Part numbers of a BODYSTRUCTURE, as FETCH takes them, and the part."""
    if body["type"] == "multipart":
        for i, part in enumerate(body["parts"], 1):
            yield from leaves(part, path + (i,))
        return
    yield ".".join(map(str, path or (1,))), body


class OddMessagesTest(MessagesTest):
    def fill(self, daemon):
        """Every odd message of the fuzzers' corpus that SMTP lets in."""
        taken = 0
        paths = [path for name in ("mime", "mime_addr", "header", "mime_search")
                 for path in sorted(glob.glob(os.path.join(
                     ROOT, "tests", "fuzz", "corpus", name, "*")))]
        with daemon.client() as smtp:
            smtp.ehlo()
            for path in paths:
                with open(path, "rb") as file:
                    content = as_mail(file.read())
                try:
                    smtp.mail("a@client.test", ["anna@example.com"], content)
                    taken += 1
                except AssertionError:
                    smtp.expect(250, "RSET")
        return taken

    def test_every_odd_message_has_a_grammar(self):
        daemon = self.spoold(limit={"errors": 1000})
        taken = self.fill(daemon)
        self.assertGreater(taken, 100)
        client = self.client(daemon)
        self.wait_for_messages(client, taken)
        fetches = client.ok("FETCH 1:* (%s)" % ALL_ITEMS).of("FETCH")
        self.assertEqual(len(fetches), taken)
        for fetch in fetches:
            items = fetch.items
            self.assertEqual(len(items["BODY[]"]), items["RFC822.SIZE"])
            self.assertEqual(items["BODY[HEADER]"] + items["BODY[TEXT]"],
                             items["BODY[]"])
            self.check_parts(client, fetch)
        # Searching and sorting get through all of them as well.
        client.ok("SEARCH OR TEXT x NOT HEADER Subject y")
        for by in ("SUBJECT", "FROM", "TO", "CC", "DATE"):
            result = client.ok("SORT (%s) UTF-8 ALL" % by).one("SORT")
            self.assertEqual(sorted(result.numbers),
                             list(range(1, taken + 1)))

    def check_parts(self, client, fetch):
        parts = list(leaves(fetch.items["BODYSTRUCTURE"]))[:20]
        names = ["BODY.PEEK[%s]" % path for path, _ in parts]
        got = client.ok("FETCH %d (%s)" % (fetch.number, " ".join(names)))
        items = got.one("FETCH").items
        for path, part in parts:
            content = items["BODY[%s]" % path]
            # A multipart without parts is shown with one that is not there.
            if content is not None:
                self.assertEqual(len(content), part["octets"], fetch)

    def test_deep_and_wide(self):
        """10,000 levels and 100,000 parts: bounded, and quickly said."""
        daemon = self.spoold(limit={"message-size": "64M"})
        deep = (b"Subject: deep\r\nMIME-Version: 1.0\r\n" + b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" %
            (i, i) for i in range(10000)) + b"\r\nthe bottom\r\n")
        inside = b"Content-Type: message/rfc822\r\n\r\n" * 10000 + \
            b"Subject: the innermost\r\n\r\ntext\r\n"
        wide = (b"Subject: wide\r\nMIME-Version: 1.0\r\n"
                b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
                b"--b\r\n\r\nx\r\n" * 100000 + b"--b--\r\n")
        for content in (deep, inside, wide):
            daemon.send(recipients=["anna@example.com"], content=content)
        client = self.client(daemon)
        for number in (1, 2, 3):
            items = client.ok("FETCH %d (BODYSTRUCTURE ENVELOPE RFC822.SIZE)" %
                              number).one("FETCH").items
            self.assertGreater(items["RFC822.SIZE"], 300000)
        structure = items["BODYSTRUCTURE"]
        self.assertGreater(len(structure["parts"]), 1000)
        self.assertLessEqual(len(structure["parts"]), 10000)
        client.ok("FETCH 1 BODY.PEEK[%s]" % ".".join(["1"] * 90))
        client.ok("FETCH 3 (BODY.PEEK[5000] BODY.PEEK[99999.MIME])")
        self.assertEqual(
            client.ok("SEARCH BODY \"the bottom\"").one("SEARCH").numbers, [1])


class DeliveredTest(MessagesTest):
    def test_delivered_while_watched(self):
        """Here it goes (EXPUNGE or VANISHED), there it comes (EXISTS)."""
        daemon = self.spoold()
        for content in imap_mail.MAIL[:3]:
            daemon.send(recipients=["anna@example.com"], content=content)
        plain = self.client(daemon)
        quick = self.client(daemon, qresync=True)
        uids = [f.items["UID"]
                for f in quick.ok("FETCH 1:* UID").of("FETCH")]
        delivered = self.client(daemon, mailbox="Delivered")
        plain.ok("STORE 2 FLAGS (\\Flagged keep)")
        plain.send("i IDLE\r\n")
        self.assertEqual(plain.response().kind, "+")
        daemon.sink.start()
        expunged = 0
        while expunged < 3:
            expunged += plain.response().kind == "EXPUNGE"
        self.assertEqual(plain.exists, 0)
        plain.send("DONE\r\n")
        while plain.response().tag != "i":
            pass
        vanished = []

        def all_vanished():
            for response in quick.ok("NOOP").of("VANISHED"):
                vanished.extend(response.uids)
            return sorted(vanished) == uids

        wait_for(all_vanished, "all to vanish", 60)
        self.assertEqual(quick.exists, 0)
        self.wait_for_messages(delivered, 3)
        # Flags go with the message; new UIDs are higher than all before.
        fetches = delivered.ok("FETCH 1:* (UID FLAGS ENVELOPE)").of("FETCH")
        flags = {f.items["ENVELOPE"][1]: f.items["FLAGS"] for f in fetches}
        self.assertEqual(flags[b"report (attached)"],
                         [b"\\Flagged", b"keep"])
        self.assertGreater(min(f.items["UID"] for f in fetches), max(uids))

    def test_new_mail_while_idle(self):
        daemon = self.spoold()
        client = self.client(daemon)
        client.send("i IDLE\r\n")
        self.assertEqual(client.response().kind, "+")
        for i in range(3):
            daemon.send(recipients=["anna@example.com"])
            while client.exists != i + 1:
                client.response()
        client.send("DONE\r\n")
        while client.response().tag != "i":
            pass
        self.assertEqual(len(client.ok("FETCH 1:3 FLAGS").of("FETCH")), 3)

    def test_a_message_that_goes_during_a_pipeline(self):
        """Numbers stay what they are while commands that use them wait."""
        daemon = self.spoold()
        for content in imap_mail.MAIL[:5]:
            daemon.send(recipients=["anna@example.com"], content=content)
        client = self.client(daemon)
        other = self.client(daemon)
        other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
        other.ok("EXPUNGE")
        # FETCH, STORE and SEARCH by numbers tell no EXPUNGE (StrictClient).
        for _ in range(20):
            client.cmd("FETCH 2:5 FLAGS")
            client.cmd("STORE 5 +FLAGS (\\Seen)")
            client.cmd("SEARCH 1:5")
        wait_for(lambda: client.ok("NOOP") and client.exists == 4,
                 "the EXPUNGE", 60)


class ManyAddressesTest(MessagesTest):
    def test_one_mailbox_of_forty_addresses(self):
        """Mail of many addresses is one list in the order of UIDs, whatever
        pieces it is read in; each address has its own mailbox beside it."""
        daemon = self.spoold(users=())
        daemon.user("team", "*@example.com", password=PASSWORD)
        addresses = ["a%02d@example.com" % i for i in range(40)]
        count = {address: 0 for address in addresses}
        with daemon.client() as smtp:
            smtp.ehlo()
            for n in range(60):
                # The first has all, the last nearly nothing.
                to = [a for i, a in enumerate(addresses) if n % (i + 1) == 0]
                smtp.mail("a@client.test", to, message())
                for address in to:
                    count[address] += 1
        total = sum(count.values())
        self.assertGreater(total, 256)
        client = self.client(daemon, "team")
        self.assertEqual(client.exists, total)
        uids = [f.items["UID"] for f in client.ok("FETCH 1:* UID").of("FETCH")]
        self.assertEqual(uids, sorted(set(uids)))
        self.assertEqual(len(uids), total)
        status = client.ok("STATUS INBOX (MESSAGES UIDNEXT SIZE)").one(
            "STATUS").items
        self.assertEqual(status["MESSAGES"], total)
        self.assertEqual(status["UIDNEXT"], uids[-1] + 1)
        for address in (addresses[0], addresses[7], addresses[39]):
            client.ok("SELECT Addresses/" + address)
            self.assertEqual(client.exists, count[address])


class KeptStructureTest(MessagesTest):
    def test_content_is_read_once(self):
        """ENVELOPE and BODYSTRUCTURE are in the store once they were made."""
        daemon = self.spoold()
        for content in imap_mail.MAIL:
            daemon.send(recipients=["anna@example.com"], content=content)
        client = self.client(daemon)
        first = client.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE)").of("FETCH")
        pieces = daemon.counter("imap-pieces")
        self.assertGreaterEqual(pieces, len(imap_mail.MAIL))
        client.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE)")
        client.ok("SORT (SUBJECT) UTF-8 ALL")
        client.ok("SEARCH SUBJECT first SENTSINCE 1-Jan-2025")
        self.assertEqual(daemon.counter("imap-pieces"), pieces)
        # It is in the store, not in memory alone.
        wait_for(lambda: self.structures_are_kept(daemon, first),
                 "the structures to be in the store", 60)
        daemon.stop()

    def structures_are_kept(self, daemon, first):
        daemon.restart()
        client = self.client(daemon)
        before = daemon.counter("imap-pieces")
        again = client.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE)").of("FETCH")
        self.assertEqual([f.raw for f in again], [f.raw for f in first])
        return daemon.counter("imap-pieces") == before

    def test_a_part_at_the_end_needs_its_pieces_only(self):
        daemon = self.spoold(limit={"message-size": "64M"})
        content = message((b"y" * 76 + b"\r\n") * 200000 + b"the end\r\n")
        daemon.send(recipients=["anna@example.com"], content=content)
        client = self.client(daemon)
        size = client.ok("FETCH 1 RFC822.SIZE").one("FETCH").items[
            "RFC822.SIZE"]
        before = daemon.counter("imap-pieces")
        fetch = client.ok("FETCH 1 BODY.PEEK[]<%d.65536>" %
                          (size - 65536)).one("FETCH")
        self.assertTrue(fetch.items["BODY[]<%d>" % (size - 65536)].endswith(
            b"the end\r\n"))
        self.assertLessEqual(daemon.counter("imap-pieces") - before, 3)

    def test_quota(self):
        daemon = self.spoold(limit={"user-quota": "20K"})
        client = self.client(daemon)
        content = b"Subject: draft\r\n\r\n" + os.urandom(8000).hex().encode()
        result = client.cmd("APPEND Drafts {}", content)
        while result.status == "OK":
            result = client.cmd("APPEND Drafts {}", content)
        self.assertEqual((result.status, result.code), ("NO", "OVERQUOTA"))
        client.ok("SELECT Drafts")
        client.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        client.ok("EXPUNGE")
        client.ok("APPEND Drafts {}", content)


if __name__ == "__main__":
    main()
