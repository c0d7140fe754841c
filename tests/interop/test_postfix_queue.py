# SPDX-License-Identifier: ISC
"""The queue of a real Postfix moves into spoold.

Mail waits in deferred, in hold, and with some recipients already done; the
Postfix is stopped, its queue imported and delivered: each message once, to
whom it was still to go, byte for byte what Postfix itself would have sent.
"""

import collections
import contextlib
import pathlib
import re
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bench")]

import harness  # noqa: E402
import mail  # noqa: E402

OTHER = "other.test"
LONG = b"y" * 5000 + b"\r\n"

CONTENTS = [
    b"Subject: plain\r\n\r\nhello\r\n",
    b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\r\n",
    b"Subject: long\r\n\r\n" + LONG + b"end\r\n" + LONG * 40,
    b"Subject: 8 bit\r\n\r\n\xc3\xa9\xff\r\n",
    b"Subject: nothing\r\n",
    b"Subject: CR\r\n\r\na \r b\r\nc\r\r\n",
    b"Subject: From\r\n\r\nFrom me\r\n>From you\r\n",
]


def stuffed(content):
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def as_queued(content):
    """Postfix drops CRs right before a line's end; nothing else."""
    return re.sub(rb"\r+\n", b"\r\n", content)


def tail(content):
    """What is the same on all ways: from the Subject on."""
    return content[content.index(b"Subject: "):]


@unittest.skipIf(harness.Postfix.why_not(), harness.Postfix.why_not())
class PostfixQueueTest(unittest.TestCase):

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.folder = self.stack.enter_context(harness.scratch("interop"))
        self.port = harness.free_port()

    def postfix(self, **settings):
        return harness.Postfix(self.folder / "postfix", {
            **harness.postfix_holding(self.port),
            "line_length_limit": "2048", "smtp_line_length_limit": "0",
            "hash_queue_names": "deferred, defer, hold", **settings})

    def spoold(self, domains=(harness.DOMAIN,)):
        return self.stack.enter_context(harness.Spoold(
            self.folder / "spoold", {name: self.port for name in domains}))

    def send(self, postfix, recipients_of):
        mail.send_in_parallel(
            postfix.port, [(stuffed(content), recipients_of(n), "8BITMIME")
                           for n, content in enumerate(CONTENTS)], 1)

    def wait_deferred(self, postfix, count):
        harness.wait_for(lambda: postfix.deferred() == count, 20,
                         "all to be deferred")

    def ids(self, postfix, queue):
        return [file.name for file in
                (postfix.folder / "queue" / queue).rglob("*")
                if file.is_file()]

    def import_queue(self, spoold, path, *options, code=0):
        done = subprocess.run(
            [harness.BINARIES / "spoolctl", "-c", spoold.folder / "conf",
             "import", *options, path],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def delivered(self, spoold, count):
        with mail.Receiver(self.port) as receiver:
            spoold.ctl("retry", "state:held")
            harness.wait_for(lambda: len(receiver.mails) >= count, 30,
                             "delivery")
            harness.wait_for(lambda: spoold.held() == 0, 20, "all finished")
        self.assertEqual(receiver.broken, [])
        return receiver.mails

    def test_deferred_and_held(self):
        with self.postfix() as postfix:
            self.send(postfix, lambda n: [f"m{n}.{i}@{harness.DOMAIN}"
                                          for i in range(1 + n % 3)])
            self.wait_deferred(postfix, len(CONTENTS))
            on_hold = sorted(self.ids(postfix, "deferred"))[:2]
            subprocess.run(
                ["postsuper", "-c", postfix.folder / "conf", "-h", "-"],
                input="\n".join(on_hold), text=True, check=True,
                capture_output=True)
        self.assertEqual(sorted(self.ids(postfix, "hold")), on_hold)
        spoold = self.spoold()
        queue = postfix.folder / "queue"
        before = sorted((str(f), f.stat().st_mtime_ns)
                        for f in queue.rglob("*") if f.is_file())
        self.assertIn(f"{len(CONTENTS)} messages imported",
                      self.import_queue(spoold, queue).stdout)
        again = self.import_queue(spoold, queue).stdout
        self.assertIn(f"0 messages imported, {len(CONTENTS)} already", again)
        self.assertEqual(before, sorted(
            (str(f), f.stat().st_mtime_ns)
            for f in queue.rglob("*") if f.is_file()))
        self.check_states(spoold)
        mails = self.delivered_all(spoold, len(CONTENTS))
        got = collections.Counter(
            (name, tail(content)) for _, names, content in mails
            for name in names)
        self.assertEqual(got, collections.Counter(
            (f"m{n}.{i}@{harness.DOMAIN}", as_queued(content))
            for n, content in enumerate(CONTENTS)
            for i in range(1 + n % 3)))

    def check_states(self, spoold):
        messages = spoold.ctl("list")
        self.assertEqual(
            collections.Counter(r["state"] == "on-hold" for m in messages
                                for r in m["recipients"][:1]),
            {True: 2, False: len(CONTENTS) - 2})
        for message in messages:
            self.assertEqual(message["client"], "127.0.0.1")
            self.assertEqual(message["helo"], "source.test")
            self.assertEqual(message["protocol"], "ESMTP")
            self.assertEqual(message["sender"], mail.SENDER)
            self.assertEqual(message["origin"], "import")

    def delivered_all(self, spoold, count):
        with mail.Receiver(self.port) as receiver:
            spoold.ctl("retry", "state:held")
            harness.wait_for(lambda: len(receiver.mails) >= count - 2, 30,
                             "delivery")
            harness.wait_for(lambda: spoold.held() == 2, 20, "two on hold")
            spoold.ctl("release", "state:on-hold")
            harness.wait_for(lambda: spoold.held() == 0, 20, "all finished")
        self.assertEqual(receiver.broken, [])
        return receiver.mails

    def test_same_as_postfix_sends(self):
        """Below the Received field of each, both deliver the same bytes."""
        with self.postfix() as postfix:
            self.send(postfix, lambda n: [f"m{n}@{harness.DOMAIN}"])
            self.wait_deferred(postfix, len(CONTENTS))
        spoold = self.spoold()
        self.import_queue(spoold, postfix.folder / "queue" / "deferred")
        ours = {names[0]: content for _, names, content
                in self.delivered(spoold, len(CONTENTS))}
        with mail.Receiver(self.port) as receiver:
            with self.postfix(defer_transports="") as postfix:
                postfix.flush()
                harness.wait_for(
                    lambda: len(receiver.mails) >= len(CONTENTS), 30,
                    "Postfix to deliver")
        theirs = {names[0]: content
                  for _, names, content in receiver.mails}
        self.assertEqual(ours, theirs)

    def test_some_recipients_are_done(self):
        """Who had it does not get it again; unknown domains are refused."""
        def recipients_of(n):
            return [f"m{n}@{harness.DOMAIN}", f"m{n}@{OTHER}"]

        with mail.Receiver(self.port) as receiver:
            ways = ("inline:{ {%s=smtp:[127.0.0.1]:%d}, {%s=smtp:[127.0.0.1]:1} }"
                    % (OTHER, self.port, harness.DOMAIN))
            settings = {"defer_transports": "", "relayhost": "",
                        "transport_maps": ways.replace("{", "{{").replace(
                            "}", "}}")}
            with self.postfix(**settings) as postfix:
                self.send(postfix, recipients_of)
                self.wait_deferred(postfix, len(CONTENTS))
                harness.wait_for(
                    lambda: len(receiver.mails) == len(CONTENTS), 20,
                    "half of the deliveries")
        spoold = self.spoold()
        self.import_queue(spoold, postfix.folder / "queue")
        mails = self.delivered(spoold, len(CONTENTS))
        self.assertEqual(
            sorted(names for _, names, _ in mails),
            [[f"m{n}@{harness.DOMAIN}"] for n in range(len(CONTENTS))])

    def test_unknown_domains(self):
        with self.postfix() as postfix:
            self.send(postfix, lambda n: [
                f"m{n}@{OTHER if n else harness.DOMAIN}"])
            self.wait_deferred(postfix, len(CONTENTS))
        spoold = self.spoold()
        queue = postfix.folder / "queue"
        done = self.import_queue(spoold, queue, code=1)
        self.assertIn("its domain is not configured here", done.stderr)
        self.assertIn("1 message imported", done.stdout)
        self.import_queue(spoold, queue, "--target", "target1")
        self.assertEqual(len(self.delivered(spoold, len(CONTENTS))),
                         len(CONTENTS))

    def test_damaged_files(self):
        """A file that is cut or odd is named; the others come in."""
        with self.postfix() as postfix:
            self.send(postfix, lambda n: [f"m{n}@{harness.DOMAIN}"])
            self.wait_deferred(postfix, len(CONTENTS))
        queue = postfix.folder / "queue"
        files = sorted(f for f in (queue / "deferred").rglob("*")
                       if f.is_file())
        files[0].write_bytes(files[0].read_bytes()[:-20])
        files[1].write_bytes(b"")
        files[2].write_bytes(b"nonsense" * 100)
        files[3].chmod(0o600)
        spoold = self.spoold()
        done = self.import_queue(spoold, queue, code=1)
        for file in files[:4]:
            self.assertIn(str(file), done.stderr)
        self.assertIn(f"{len(CONTENTS) - 4} messages imported, 4 not",
                      done.stdout)


if __name__ == "__main__":
    unittest.main()
