# SPDX-License-Identifier: ISC
"""Thousands of real messages go in while the target is down and come out.

Each must arrive exactly once, byte for byte what was sent below the
Received lines: at a receiver that keeps every byte as it came, and at a
real Postfix that files them into a Maildir.
"""

import collections
import functools
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bench")]

import corpus  # noqa: E402
import harness  # noqa: E402
import mail  # noqa: E402

CONNECTIONS = 8
SECONDS = 120  # for one delivery of everything, on a slow machine

HEADER = rb"[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*"


@functools.cache
def messages():
    """The corpus, or why there is none."""
    try:
        return corpus.load()
    except corpus.Unavailable as why:
        return str(why)


def address(number, copy=0):
    return f"m{number:05}.{copy}@{harness.DOMAIN}"


def recipients(number, copies):
    return [address(number, copy) for copy in range(copies(number))]


def headers_above(arrived, sent):
    """The names of the header fields put above SENT; None: not the same."""
    if not arrived.endswith(sent):
        return None
    above = arrived[:len(arrived) - len(sent)]
    if not re.fullmatch(rb"(?:%b)*" % HEADER, above):
        return None
    return [field.split(b":")[0].decode()
            for field in re.findall(HEADER, above)]


class CorpusTest(unittest.TestCase):

    def setUp(self):
        self.messages = messages()
        if isinstance(self.messages, str):
            self.skipTest(self.messages)

    def hold_all(self, spoold, copies):
        """Sends the whole corpus; message N to copies(N) recipients."""
        mails = [(corpus.dot_stuffed(message), recipients(number, copies),
                  "8BITMIME" if corpus.has_8bit(message) else "7BIT")
                 for number, message in enumerate(self.messages)]
        answers = mail.send_in_parallel(spoold.port, mails, CONNECTIONS)
        self.assertEqual(len(set(answers)), len(self.messages),
                         "ids not unique")
        self.assertEqual(spoold.held(), len(self.messages))

    def assert_nothing_held(self, spoold):
        harness.wait_for(lambda: spoold.held() == 0, 20, "all finished")

    def assert_same(self, arrived, copies, above, as_filed):
        """ARRIVED: [(recipient, bytes)], with the fields ABOVE on top."""
        wanted = collections.Counter(
            name for number in range(len(self.messages))
            for name in recipients(number, copies))
        got = collections.Counter(name for name, _ in arrived)
        self.assertEqual(dict(wanted - got), {}, "missing")
        self.assertEqual(dict(got - wanted), {}, "too many")
        wrong = [name for name, content in arrived if headers_above(
            content.replace(b"\r\n", b"\n"),
            as_filed(self.messages[int(name[1:6])])) != above]
        self.assertEqual(wrong, [], "not as sent")

    def test_receiver(self):
        """Up to three recipients each, several messages a connection."""
        def copies(number):
            return 1 + number % 3

        port = harness.free_port()
        with harness.scratch("interop") as folder, \
                harness.Spoold(folder, {harness.DOMAIN: port}) as spoold:
            self.hold_all(spoold, copies)
            with mail.Receiver(port) as receiver:
                spoold.flush()
                harness.wait_for(
                    lambda: len(receiver.mails) >= len(self.messages),
                    SECONDS, "delivery of the corpus", every=0.1)
                self.assert_nothing_held(spoold)
            self.assertEqual(receiver.broken, [], "not CRLF")
            self.assertEqual(len(receiver.mails), len(self.messages),
                             "not one transaction a message")
            self.assert_body_types(receiver.mails)
            self.assert_same(
                [(name, content) for _, names, content in receiver.mails
                 for name in names],
                copies, ["Received"],
                lambda message: message.replace(b"\r\n", b"\n"))

    def assert_body_types(self, mails):
        """8-bit content was declared as such, as its sender did."""
        wrong = [names for line, names, _ in mails
                 if corpus.has_8bit(self.messages[int(names[0][1:6])])
                 and b"BODY=8BITMIME" not in line.upper()]
        self.assertEqual(wrong, [], "8-bit content not declared")

    @unittest.skipIf(harness.Postfix.why_not(), harness.Postfix.why_not())
    def test_postfix(self):
        """Postfix drops CRs right before a line's end; nothing else."""
        port = harness.free_port()
        with harness.scratch("interop") as folder, \
                harness.Spoold(folder, {harness.DOMAIN: port}) as spoold:
            self.hold_all(spoold, lambda _: 1)
            maildir = folder / "mail" / "new"
            with self.postfix(folder, port):
                spoold.flush()
                harness.wait_for(
                    lambda: maildir.is_dir() and
                    len(list(maildir.iterdir())) >= len(self.messages),
                    SECONDS, "delivery of the corpus", every=0.2)
                self.assert_nothing_held(spoold)
            arrived = [file.read_bytes() for file in maildir.iterdir()]
            self.assert_same(
                [(self.filed_for(content), content) for content in arrived],
                lambda _: 1,
                ["Return-Path", "X-Original-To", "Delivered-To", "Received",
                 "Received"],
                lambda message: re.sub(rb"\r+\n", b"\n", message))

    def postfix(self, folder, port):
        nobody = harness.nobody()
        (folder / "mail").mkdir()
        harness.shutil.chown(folder / "mail", "nobody")
        return harness.Postfix(folder / "postfix", {
            "virtual_mailbox_domains": harness.DOMAIN,
            "virtual_mailbox_maps": "static:mail/",
            "virtual_mailbox_base": str(folder),
            "virtual_uid_maps": f"static:{nobody.pw_uid}",
            "virtual_gid_maps": f"static:{nobody.pw_gid}",
            "virtual_minimum_uid": "1",
        }, port)

    def filed_for(self, content):
        found = re.search(rb"^Delivered-To: (\S+)\n", content, re.M)
        return found[1].decode() if found else "nobody"


if __name__ == "__main__":
    unittest.main()
