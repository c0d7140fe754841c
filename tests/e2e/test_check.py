#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""check: damage made by hand while the daemon is stopped is found and named;
after --repair everything outside of the damaged rows flows, and the accounts
balance."""

import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "interop"))

import spool_reader  # noqa: E402
from spoold_test import SpooldTest, main, message, wait_for  # noqa: E402

ALPHABET = spool_reader.ID_DIGITS


def number_of(text):
    number = 0
    for digit in text:
        number = number << 5 | ALPHABET.index(digit)
    return number


class Editor(spool_reader.Lmdb):
    """Changes bytes of a value where it stands in the file."""

    def __init__(self, path):
        super().__init__(path)
        self.path = path

    def places(self, root):
        """(key, place of the value, its length)"""
        if root == 2 ** 64 - 1:
            return
        at = root * self.page_size
        _, _, flags, lower, _ = self.PAGE_HEADER.unpack_from(self.bytes, at)
        for i in range((lower - 16) // 2):
            offset, = struct.unpack_from("<H", self.bytes, at + 16 + 2 * i)
            node = at + offset
            low, high, kind, size = struct.unpack_from("<HHHH", self.bytes,
                                                       node)
            if flags & self.BRANCH:
                yield from self.places(low | high << 16 | kind << 32)
                continue
            data = node + 8 + size
            if kind & self.BIG:
                page, = struct.unpack_from("<Q", self.bytes, data)
                data = page * self.page_size + 16
            yield (self.bytes[node + 8:node + 8 + size], node + 8, data,
                   low | high << 16)

    def flip(self, table, key, at=6, in_key=False):
        for found, key_place, place, size in self.places(self.tables[table]):
            if found != key:
                continue
            place = key_place + at if in_key else place + at % max(1, size)
            with open(self.path, "r+b") as file:
                file.seek(place)
                byte = file.read(1)[0]
                file.seek(place)
                file.write(bytes([byte ^ 1]))
            return
        raise AssertionError("there is no row %s in %s" % (key.hex(), table))


class CheckTest(SpooldTest):
    def filled(self):
        """Ids of three messages; the second has two recipients."""
        daemon = self.daemon()
        ids = [daemon.send(recipients=recipients,
                           content=message("letter %d\r\n" % n))
               for n, recipients in enumerate((["a@example.com"],
                                               ["b@example.com",
                                                "c@example.com"],
                                               ["d@example.com"]))]
        return daemon, ids

    def edit(self, daemon, *flips):
        daemon.stop()
        for table, key, options in flips:
            Editor(os.path.join(daemon.spool, "data.mdb")).flip(
                table, key, **options)
        daemon.start()

    def check(self, daemon, *options):
        result = daemon.ctl("--json", "check", *options)
        return result.code, result.json

    def key(self, message_id, n=None):
        key = struct.pack(">Q", number_of(message_id))
        return key if n is None else key + struct.pack(">I", n)

    def repaired(self, daemon, delivered):
        code, found = self.check(daemon, "--repair")
        self.assertEqual(code, 0, found)
        code, found = self.check(daemon)
        self.assertEqual((code, found), (0, []))
        daemon.sink.start()
        wait_for(lambda: sorted(
            r for t in daemon.sink.delivered for r in t.recipients) ==
            sorted(delivered), "what can be delivered")
        audit = daemon.ctl("audit")
        self.assertEqual(audit.code, 0, audit)

    def test_nothing_is_wrong(self):
        daemon, _ = self.filled()
        self.assertEqual(self.check(daemon), (0, []))
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(self.check(daemon), (0, []))
        self.assertIn("all is as it should be", daemon.ctl("check").text)

    def test_a_message_that_cannot_be_read(self):
        daemon, ids = self.filled()
        self.edit(daemon, ("message", self.key(ids[0]), {}))
        code, found = self.check(daemon)
        self.assertEqual(code, 1)
        self.assertIn((ids[0], "its row cannot be read"),
                      [(f["id"], f["finding"]) for f in found])
        self.repaired(daemon, ["b@example.com", "c@example.com",
                               "d@example.com"])
        self.assertIn("set aside", daemon.ctl("check").text)

    def test_one_delivery_of_two(self):
        daemon, ids = self.filled()
        self.edit(daemon, ("delivery", self.key(ids[1], 0), {}))
        code, found = self.check(daemon)
        self.assertEqual((code, [f["finding"] for f in found]),
                         (1, ["delivery 0 cannot be read"]))
        self.repaired(daemon, ["a@example.com", "c@example.com",
                               "d@example.com"])

    def test_index_rows(self):
        daemon, ids = self.filled()
        ready = b"office\0client.test\0" + self.key(ids[2], 0)
        # The row now names a delivery that is not there.
        self.edit(daemon, ("ready", ready, {"at": len(ready) - 1,
                                            "in_key": True}))
        code, found = self.check(daemon)
        self.assertEqual((code, sorted(f["finding"] for f in found)),
                         (1, ["a row in ready without a delivery",
                              "delivery 0 is ready and has no row in ready"]))
        self.repaired(daemon, ["a@example.com", "b@example.com",
                               "c@example.com", "d@example.com"])

    def test_damaged_content_is_told_and_the_rest_flows(self):
        daemon, ids = self.filled()
        self.edit(daemon, ("body", self.key(ids[0], 0), {"at": 20}))
        daemon.sink.start()
        wait_for(lambda: len(daemon.sink.delivered) == 2, "the others")
        wait_for(lambda: "damaged id=" + ids[0] in daemon.log(),
                 "the event")
        self.assertEqual(daemon.held(), [ids[0]])
        self.assertEqual(daemon.ctl("audit", "--content").code, 1)

    def test_while_mail_flows(self):
        """What changes between two looks is no finding."""
        daemon = self.daemon()
        daemon.sink.start()
        for n in range(30):
            daemon.send(content=message("letter %d\r\n" % n))
            self.assertEqual(self.check(daemon), (0, []))


if __name__ == "__main__":
    main()
