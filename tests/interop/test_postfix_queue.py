#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The queue of a real Postfix, with deferred and held mail, imported."""

import os
import pathlib
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "bench"))

import harness  # noqa: E402
from client import Client  # noqa: E402
from spoold_test import (SpooldTest, header_field, main,  # noqa: E402
                         message, wait_for)

MAILS = 8


class QueueTest(SpooldTest):
    def contents(self):
        yield b"Subject: short\r\n\r\nx\r\n"
        yield message("a dot\r\n.\r\nand ..two\r\n", subject="dots")
        yield message("w" * 5000 + "\r\n", subject="a long line")
        for n in range(MAILS - 3):
            yield message("letter\r\n" * (n * 1000 + 1), subject=str(n))

    def fill(self, postfix):
        with Client(postfix.port) as client:
            client.ehlo()
            for n, content in enumerate(self.contents()):
                client.begin("from%d@client.test" % n,
                             ["a%d@example.com" % n, "b@example.com"])
                self.assertEqual(client.data(content), 250)
        wait_for(lambda: postfix.deferred() == MAILS, "all to be deferred")

    def queue(self, postfix):
        """{queue id: content as postcat has it}"""
        ids = [path.name for path in
               pathlib.Path(postfix.folder, "queue", "deferred").rglob("*")
               if path.is_file()]
        return {name: subprocess.run(
            ["postcat", "-c", postfix.folder / "conf", "-hb", "-q", name],
            check=True, capture_output=True).stdout for name in ids}

    def test_import(self):
        why = harness.Postfix.why_not()
        if why:
            self.skipTest(why)
        with harness.scratch("interop") as folder:
            with harness.Postfix(folder / "postfix", harness.postfix_holding(
                    harness.free_port())) as postfix:
                self.fill(postfix)
                contents = self.queue(postfix)
                held = sorted(contents)[0]
                subprocess.run(["postsuper", "-c", postfix.folder / "conf",
                                "-h", held], check=True, capture_output=True)
                postfix.stop()
                daemon = self.daemon()
                result = daemon.ctl("import",
                                    str(postfix.folder / "queue"))
        self.assertEqual((result.code, result.text),
                         (0, "%d imported, 0 here already, 0 refused\n" %
                          MAILS), result)
        rows = daemon.messages()
        self.assertEqual(len(rows), MAILS)
        self.assertEqual({row["client"] for row in rows}, {"127.0.0.1"})
        on_hold, = daemon.messages("state:on-hold")
        daemon.sink.start()
        wait_for(lambda: len(daemon.sink.delivered) == MAILS - 1,
                 "all but that on hold")
        self.assertEqual(daemon.ctl("release", on_hold["id"]).code, 0)
        daemon.wait_empty()
        self.assertEqual(
            sorted(t.content.replace(b"\r\n", b"\n")
                   for t in daemon.sink.delivered),
            sorted(contents.values()))
        for transaction in daemon.sink.delivered:
            self.assertEqual(len(transaction.recipients), 2)
            self.assertTrue(header_field(transaction.content, "Received"))
        self.assertEqual(daemon.ctl("audit").code, 0)


if __name__ == "__main__":
    main()
