#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The operator steers what is held: hold, release, discard, again, erase."""

import os
import sys
import threading

from spoold_test import IS_ROOT, ROOT, SpooldTest, main, message, wait_for

sys.path.insert(0, os.path.join(ROOT, "tests", "interop"))

from spool_reader import Spool, print_id  # noqa: E402

NAME = "root" if IS_ROOT else None
ERASED, LATE = 27, 41  # events of the ledger
SHIPPED = os.path.join(ROOT, "libspool", "dictionary_shipped.bin")


def states(daemon, message_id):
    return [r["state"] for r in daemon.json("show", message_id)["recipients"]]


def wait_state(daemon, message_id, *expected):
    wait_for(lambda: states(daemon, message_id) == list(expected),
             "%s to be %s" % (message_id, expected))


class HoldTest(SpooldTest):
    def test_hold_and_release(self):
        """What is on hold stays, whatever the target does."""
        daemon = self.daemon()
        first = daemon.send(recipients=["bob@example.com"])
        second = daemon.send(recipients=["eve@example.com"])
        answer = daemon.json("hold", "--reason", "looks odd", "to:eve")
        self.assertEqual((answer["held"], answer["messages"]), (1, 1))
        self.assertEqual(states(daemon, second), ["on-hold"])
        held = daemon.status()["held"]
        self.assertEqual(held["on_hold"], 1)
        self.assertEqual(held["messages"], 2)
        self.assertEqual(held["ready"] + held["later"], 1)
        self.assertIn('reason="looks odd"', daemon.log())
        if NAME:
            self.assertIn("held by=root", daemon.log())

        daemon.sink.start()
        wait_state(daemon, first, "delivered")
        daemon.restart()
        self.assertEqual(states(daemon, second), ["on-hold"])
        self.assertEqual([m["id"] for m in daemon.messages("state:on-hold")],
                         [second])
        self.assertEqual([m["id"] for m in daemon.messages("state:held")],
                         [second])
        self.assertIn("1 delivery on hold", daemon.ctl("status").text)
        self.assertEqual(daemon.json("release", second)["released"], 1)
        wait_state(daemon, second, "delivered")
        self.assertEqual(daemon.status()["held"]["on_hold"], 0)

    def test_only_the_deliveries_that_are_meant(self):
        daemon = self.daemon()
        both = daemon.send(recipients=["bob@example.com", "eve@example.com"])
        self.assertEqual(daemon.json("hold", "to:eve")["held"], 1)
        daemon.sink.start()
        wait_state(daemon, both, "delivered", "on-hold")
        self.assertEqual(daemon.json("discard", both)["discarded"], 1)
        self.assertEqual(states(daemon, both), ["delivered", "discarded"])
        self.assertEqual(daemon.held(), [])
        self.assertEqual(daemon.status()["finished"], 1)

    def test_dry_run_changes_nothing(self):
        daemon = self.daemon()
        one = daemon.send()
        for command in ("hold", "discard"):
            answer = daemon.json(command, "--dry-run", "from:anna")
            self.assertEqual(answer["messages"], 1)
            self.assertTrue(answer["dry_run"])
        receipt = daemon.json("erase", "--dry-run", one)
        self.assertEqual([r["id"] for r in receipt], [one])
        self.assertIn("would be erased",
                      daemon.ctl("erase", "--dry-run", one).text)
        self.assertNotEqual(states(daemon, one), ["on-hold"])
        self.assertEqual(daemon.held(), [one])

    def test_what_makes_no_sense(self):
        daemon = self.daemon()
        one = daemon.send()
        self.assertEqual(daemon.ctl("hold").code, 2)
        self.assertEqual(daemon.ctl("hold", "nonsense").code, 2)
        self.assertEqual(daemon.ctl("hold", "from:nobody").code, 1)
        self.assertEqual(daemon.ctl("release", one).code, 1)
        self.assertEqual(daemon.ctl("discard", "0DKX1V3Q2W000").code, 1)
        self.assertEqual(daemon.ctl("hold", "--reason", "x" * 600,
                                    one).code, 2)
        self.assertEqual(daemon.ctl("hold", one).code, 0)
        self.assertEqual(daemon.ctl("hold", one).code, 1)

    def test_many_at_once_in_portions(self):
        """More than one portion, and more recipients than one has."""
        daemon = self.daemon()
        with daemon.client() as client:
            client.ehlo()
            for i in range(8):
                client.mail("anna@client.test",
                            ["user%d@example.com" % n for n in range(100)],
                            message())
        answer = daemon.json("hold", "from:anna")
        self.assertEqual((answer["held"], answer["messages"]), (800, 8))
        held = daemon.status()["held"]
        self.assertEqual((held["on_hold"], held["ready"], held["later"]),
                         (800, 0, 0))
        self.assertEqual(daemon.json("release", "state:on-hold")["released"],
                         800)
        self.assertEqual(daemon.status()["held"]["on_hold"], 0)


class UnderWayTest(SpooldTest):
    def under_way(self):
        """A message whose final dot has no answer until the gate opens."""
        daemon = self.configured()
        gate = threading.Event()
        dots = []

        def on_dot(session, argument):
            dots.append(session)
            gate.wait(15)
            return None

        daemon.sink.on["DOT"] = on_dot
        daemon.sink.start()
        daemon.start()
        one = daemon.send()
        wait_for(lambda: dots, "the final dot")
        return daemon, gate, one

    def test_taken_while_on_hold(self):
        """The target took it: that is the truth."""
        daemon, gate, one = self.under_way()
        self.assertEqual(daemon.json("hold", one)["held"], 1)
        gate.set()
        wait_state(daemon, one, "delivered")
        self.assertEqual(len(daemon.sink.delivered), 1)
        self.assertEqual(daemon.status()["held"]["on_hold"], 0)

    def test_taken_while_discarded(self):
        daemon, gate, one = self.under_way()
        self.assertEqual(daemon.json("discard", one)["discarded"], 1)
        gate.set()
        wait_state(daemon, one, "delivered")

    def test_erased_meanwhile(self):
        """The answer is in the ledger, so that nobody wonders."""
        daemon, gate, one = self.under_way()
        self.assertEqual(daemon.ctl("erase", one).code, 0)
        gate.set()
        wait_for(lambda: daemon.sink.delivered, "the delivery")
        wait_for(lambda: "delivered id=" + one in daemon.log())
        daemon.stop()
        late = [e for e in Spool(daemon.spool).ledger() if e["event"] == LATE]
        self.assertEqual([(print_id(e["id"]), e["code"]) for e in late],
                         [(one, 250)])


class AgainTest(SpooldTest):
    def test_delivered_twice(self):
        daemon = self.configured(store={"keep-delivered": "1h"})
        daemon.sink.start()
        daemon.start()
        one = daemon.send()
        wait_state(daemon, one, "delivered")
        self.assertEqual(daemon.status()["finished"], 1)
        self.assertEqual(daemon.json("replay", "again", one)["again"], 1)
        wait_for(lambda: len(daemon.sink.delivered) == 2, "the second time")
        wait_state(daemon, one, "delivered")
        self.assertEqual(daemon.sink.delivered[0].content,
                         daemon.sink.delivered[1].content)

    def test_what_failed_only_by_name(self):
        daemon = self.configured(store={"keep-delivered": "1h"})
        daemon.start()
        one = daemon.send()
        daemon.json("discard", one)
        self.assertEqual(daemon.ctl("replay", "again", one).code, 1)
        self.assertEqual(daemon.status()["held"]["messages"], 0)
        answer = daemon.json("replay", "again", "state:discarded")
        self.assertEqual(answer["again"], 1)
        daemon.sink.start()
        wait_state(daemon, one, "delivered")


class EraseTest(SpooldTest):
    def test_nothing_is_left_to_read(self):
        """Neither the salt, without which the key to the content cannot be
        made, nor the sealed pieces are anywhere in the file."""
        daemon = self.daemon()
        secret = os.urandom(40000)
        body = secret.hex().encode()
        lines = b"\r\n".join(body[i:i + 64] for i in range(0, len(body), 64))
        other = daemon.send(content=message("stays\r\n"))
        one = daemon.send(content=message(lines + b"\r\n",
                                          subject="Zanzibar-1869"))
        spool = Spool(daemon.spool, daemon.path("spool.key"), SHIPPED)
        row = next(m for m in spool.messages() if print_id(m["id"]) == one)
        pieces = spool.pieces()[row["id"]]
        # Whoever had all of this before needed the salt as well.
        self.assertTrue(row["key"])
        self.assertIn(lines, spool.content(row, pieces))
        data = os.path.join(daemon.spool, "data.mdb")

        def in_file():
            with open(data, "rb") as file:
                file_bytes = file.read()
            probes = [b"Zanzibar-1869", row["salt"]]
            for piece in pieces:
                probes += [piece[i:i + 24]
                           for i in range(0, len(piece) - 24, 1000)]
            return sum(probe in file_bytes for probe in probes)

        self.assertGreater(in_file(), 20)
        result = daemon.ctl("erase", "--reason", "asked for", "subject:zanzibar")
        self.assertEqual(result.code, 0, result)
        self.assertIn(row["digest"].hex(), result.text)
        self.assertIn("written over", result.text)
        self.assertEqual(in_file(), 0)
        self.assertEqual(daemon.ctl("show", one).code, 1)
        self.assertEqual(daemon.ctl("cat", one).code, 1)
        self.assertIn(b"stays", daemon.ctl("cat", other).out)
        self.assertEqual(daemon.held(), [other])
        self.assertIn("erased", daemon.log())
        entry = [e for e in Spool(daemon.spool).ledger()
                 if e["event"] == ERASED][-1]
        self.assertEqual(entry["digest"], row["digest"])
        self.assertEqual(entry["code"], 1)

    def test_finished_ones_too(self):
        daemon = self.configured(store={"keep-delivered": "1h"})
        daemon.sink.start()
        daemon.start()
        one = daemon.send()
        wait_state(daemon, one, "delivered")
        self.assertEqual(daemon.ctl("erase", "from:anna").code, 0)
        self.assertEqual(daemon.status()["finished"], 0)


class FindTest(SpooldTest):
    def test_by_signatures_and_by_rows(self):
        """A selective query and one that is not find the same."""
        daemon = self.daemon()
        ids = [daemon.send("user%d@client%d.test" % (i % 7, i % 3),
                           ["staff%d@example.com" % (i % 5)],
                           message(subject="number %d of many" % i))
               for i in range(40)]
        by_rows = [m for m in daemon.messages("state:held")]
        for query, test in (
                ("from:user3@client1.test",
                 lambda m: m["sender"] == "user3@client1.test"),
                ("from:client2.test",
                 lambda m: m["sender"].endswith("@client2.test")),
                ("to:staff4", lambda m: m["recipients"][0]["address"]
                 == "staff4@example.com"),
                ("subject:\"number 17 of\"",
                 lambda m: m["subject"] == "number 17 of many"),
                ("client:127.0.0.0/24", lambda m: True),
                ("helo:*", lambda m: True)):
            expected = [m["id"] for m in by_rows if test(m)]
            self.assertTrue(expected, query)
            self.assertEqual([m["id"] for m in daemon.messages(query)],
                             expected, query)
        self.assertEqual(sorted(ids), [m["id"] for m in by_rows])
        self.assertEqual(daemon.messages("before:1h"), [])


if __name__ == "__main__":
    main()
