#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The independent reader (spool_reader.py) and spoold see the same mail."""

import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
sys.path.insert(0, HERE)

import spool_reader  # noqa: E402
from spoold_test import ROOT, SpooldTest, main, message  # noqa: E402

SHIPPED = os.path.join(ROOT, "libspool", "dictionary_shipped.bin")


class ReaderTest(SpooldTest):
    def contents(self):
        chance = random.Random(3)
        yield b"Subject: short\r\n\r\nx\r\n"
        yield message("hello\r\n" * 20)
        yield message("".join("line %d of many\r\n" % i
                              for i in range(20000)))
        yield message("".join(chance.randbytes(38).hex() + "\r\n"
                              for _ in range(4000)))
        for size in (65300, 65408, 65500, 131000):
            yield message("y" * 70 + "\r\n") + b"z" * size + b"\r\n"

    def compare(self, **options):
        daemon = self.daemon(**options)
        for content in self.contents():
            daemon.send(recipients=["a@example.com", "b@example.com"],
                        content=content)
        cats = {row["id"]: daemon.ctl("cat", row["id"]).out
                for row in daemon.messages()}
        states = {row["id"]: [(r["address"], r["state"])
                              for r in row["recipients"]]
                  for row in daemon.messages()}
        self.assertEqual(len(cats), 8)
        daemon.stop()
        spool = spool_reader.Spool(
            daemon.spool, daemon.path("spool.key"),
            SHIPPED if os.path.exists(SHIPPED) else None)
        pieces = spool.pieces()
        rows = list(spool.messages())
        self.assertEqual({spool_reader.print_id(row["id"]):
                          row["deliveries"] for row in rows}, states)
        for row in rows:
            self.assertEqual(spool.content(row, pieces[row["id"]]),
                             cats[spool_reader.print_id(row["id"])])
        events = [entry["event"] for entry in spool.ledger()]
        self.assertEqual(events.count(3), 8)
        return spool, rows

    def test_sealed(self):
        spool, rows = self.compare(store={"seal": True})
        self.assertTrue(all(row.get("key") for row in rows))
        spool.secrets = {}
        with self.assertRaises(KeyError):
            spool.content(rows[0], spool.pieces()[rows[0]["id"]])

    def test_not_sealed(self):
        _, rows = self.compare(store={"seal": False})
        self.assertFalse(any(row.get("key") for row in rows))

    def test_not_compressed(self):
        self.compare(store={"seal": True, "compression": 0})


if __name__ == "__main__":
    main()
