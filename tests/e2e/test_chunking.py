#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Content by BDAT (RFC 3030), and the limits a target tells (RFC 9422)."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from sink import CLOSE, by_address, nth  # noqa: E402
from spoold_test import (SpooldTest, below_received, main,  # noqa: E402
                         message, wait_for)

PIECE = 65408  # of content, man/spool.5


class ChunkingTest(SpooldTest):
    def drained(self, *contents, extensions=(), **options):
        """The transactions of a drain, in order."""
        daemon = self.daemon(**options)
        self.daemon_here = daemon
        daemon.sink.extensions += ["CHUNKING", *extensions]
        for content in contents:
            daemon.send(content=content)
        daemon.sink.start()
        daemon.wait_empty()
        return daemon.sink.delivered

    def test_one_chunk(self):
        """No dot is doubled, no byte is changed."""
        content = message("..two\r\n.\r\n.one\r\n")
        transaction, = self.drained(content)
        self.assertEqual(below_received(transaction.content), content)
        self.assertEqual(transaction.chunks, [len(transaction.content)])
        commands = [line.split()[0] for line, _ in
                    transaction.session.commands]
        self.assertNotIn(b"DATA", commands)
        self.assertEqual(int(transaction.params["SIZE"]),
                         len(transaction.content))

    def test_many_chunks(self):
        content = message("all work and no play\r\n" * 40000)
        transaction, = self.drained(content)
        self.assertEqual(below_received(transaction.content), content)
        self.assertEqual(set(transaction.chunks[:-1]), {PIECE})
        self.assertEqual(len(transaction.chunks),
                         -(-len(transaction.content) // PIECE))

    def test_without_pipelining(self):
        """The sink watches that each chunk is awaited."""
        daemon = self.daemon()
        daemon.sink.extensions = ["CHUNKING", "SIZE"]
        content = message("all work and no play\r\n" * 20000)
        daemon.send(content=content)
        daemon.send()
        daemon.sink.start()
        daemon.wait_empty()
        self.assertIn(content, [below_received(t.content)
                                for t in daemon.sink.delivered])

    def test_a_backlog_over_one_connection(self):
        """The next envelope goes out behind a single chunk."""
        contents = [message("x\r\n" * n) for n in range(30)]
        contents[7] = message("all work and no play\r\n" * 20000)
        have = self.drained(*contents,
                            targets={"office": {"connections": 1}})
        self.assertEqual([below_received(t.content) for t in have], contents)

    def test_nobody_accepted(self):
        """No content goes out where no recipient was taken."""
        daemon = self.daemon()
        daemon.sink.extensions.append("CHUNKING")
        daemon.sink.on["RCPT"] = by_address({"no@example.com": "550 5.1.1 no"})
        for n in range(3):
            daemon.send("", ["no@example.com"])
        daemon.send()
        daemon.sink.start()
        daemon.wait_empty()
        transaction, = daemon.sink.transactions
        self.assertEqual(transaction.recipients, ["bob@example.com"])

    def test_a_chunk_is_refused(self):
        """Its reply is the verdict, and the session goes on or is begun
        anew: other messages do not suffer from it."""
        for code in ("452 4.3.1 full", "552 5.3.4 no"):
            for extensions in (["CHUNKING", "PIPELINING"], ["CHUNKING"]):
                daemon = self.daemon(targets={"office": {"connections": 1}})
                daemon.sink.extensions = extensions
                daemon.sink.on["BDAT"] = nth(1, code)
                big = daemon.send("", content=message("x\r\n" * 200000))
                small = daemon.send()
                daemon.sink.start()
                daemon.wait_empty()
                row = daemon.recipients(big)["bob@example.com"]
                if code[0] == "5":
                    self.assertEqual((row["state"], row["code"]),
                                     ("dropped", 552))
                else:
                    self.assertEqual((row["state"], row["attempts"]),
                                     ("delivered", 2))
                row = daemon.recipients(small)["bob@example.com"]
                self.assertEqual((row["state"], row["attempts"]),
                                 ("delivered", 1))

    def test_the_last_chunk_is_refused(self):
        daemon = self.daemon()
        daemon.sink.extensions.append("CHUNKING")
        daemon.sink.on["DOT"] = nth(1, "554 5.6.0 spam")
        message_id = daemon.send("")
        daemon.sink.start()
        daemon.wait_empty()
        row = daemon.recipients(message_id)["bob@example.com"]
        self.assertEqual((row["state"], row["reply"]),
                         ("dropped", "5.6.0 spam"))

    def test_broken_before_the_last_chunk(self):
        """Nobody has it: it is tried again, and not counted as unknown."""
        daemon = self.daemon()
        daemon.sink.extensions.append("CHUNKING")
        daemon.sink.on["BDAT"] = nth(1, CLOSE)
        content = message("all work and no play\r\n" * 400000)
        message_id = daemon.send(content=content)
        daemon.sink.start()
        daemon.wait_empty()
        transaction, = daemon.sink.delivered
        self.assertEqual(below_received(transaction.content), content)
        self.assertNotIn(" unknown id=" + message_id, daemon.log())

    def test_broken_after_the_last_chunk(self):
        daemon = self.daemon(targets={"office": {"unknown-retry": "100ms"}})
        daemon.sink.extensions.append("CHUNKING")
        daemon.sink.on["DOT"] = nth(1, CLOSE)
        message_id = daemon.send()
        daemon.sink.start()
        daemon.wait_empty()
        self.assertIn(" unknown id=" + message_id, daemon.log())
        self.assertEqual(len(daemon.sink.transactions), 2)


class LimitsTest(SpooldTest):
    """The sink keeps what goes beyond its limits as a violation."""

    def drain(self, limits, recipients, messages=1, **target):
        domains = {name: {} for name in ("example.com", "example.org",
                                         "example.net")}
        daemon = self.daemon(domains=domains, targets={"office": target})
        daemon.sink.extensions.append("LIMITS " + limits)
        for _ in range(messages):
            daemon.send(recipients=recipients)
        daemon.sink.start()
        daemon.wait_empty()
        return daemon, daemon.sink.delivered

    def test_rcptmax(self):
        recipients = ["r%02d@example.com" % n for n in range(25)]
        daemon, have = self.drain("RCPTMAX=10", recipients)
        self.assertEqual([len(t.recipients) for t in have], [10, 10, 5])
        self.assertEqual(sorted(sum((t.recipients for t in have), [])),
                         recipients)
        for row in daemon.recipients(daemon.messages("state:any")[0]["id"]
                                     ).values():
            self.assertEqual((row["state"], row["attempts"]),
                             ("delivered", 1))

    def test_rcptdomainmax(self):
        recipients = ["%s@example.%s" % (who, top) for who in "abc"
                      for top in ("com", "net")]
        recipients += ["a@example.org", "b@EXAMPLE.ORG", "c@example.org"]
        daemon, have = self.drain("RCPTDOMAINMAX=1", recipients)
        self.assertEqual(sorted(len(t.recipients) for t in have), [3, 3, 3])

    def test_mailmax(self):
        daemon, have = self.drain("MAILMAX=3", ["a@example.com"], 8,
                                  connections=1)
        self.assertEqual(len(have), 8)
        self.assertEqual(max(s.mails for s in daemon.sink.sessions), 3)

    def test_refused_with_some_left_out(self):
        """MAIL is refused: that is of all recipients."""
        recipients = ["r%d@example.com" % n for n in range(4)]
        daemon = self.daemon()
        daemon.sink.extensions.append("LIMITS RCPTMAX=2")
        daemon.sink.on["MAIL"] = nth(1, "550 5.7.1 not you")
        message_id = daemon.send("", recipients)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual({r["state"] for r in
                          daemon.recipients(message_id).values()},
                         {"dropped"})

    def test_broken_with_some_left_out(self):
        """Those that were not asked have no failed attempt."""
        recipients = ["r%d@example.com" % n for n in range(4)]
        daemon = self.daemon()
        daemon.sink.extensions.append("LIMITS RCPTMAX=2")
        daemon.sink.on["DATA"] = nth(1, CLOSE)
        message_id = daemon.send(recipients=recipients)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(sorted(
            r["attempts"] for r in daemon.recipients(message_id).values()),
            [1, 1, 2, 2])


if __name__ == "__main__":
    main()
