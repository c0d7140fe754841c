#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A store with damaged rows: they are named, the rest flows, nothing wrong is
delivered; --repair sets them aside and the accounts still balance."""

import os
import re
import subprocess
import threading

from client import Client, Closed
from spoold_test import Result, main, message, wait_for
from test_audit import AuditTest, Store, key_of


class CheckTest(AuditTest):
    def check(self, daemon, *options, code=0):
        result = daemon.ctl("--jsonl", "check", *options)
        self.assertEqual(result.code, code, result)
        return result.jsonl

    def held_by(self, daemon, recipients, **options):
        return daemon.send(recipients=[r + "@example.com"
                                       for r in recipients], **options)

    def flip_row(self, daemon, table, key, at=-1):
        """One bit of a row of a daemon that is stopped."""
        with Store(daemon.spool) as store:
            value = dict(store.rows(table))[key]
            value = bytearray(value)
            value[at] ^= 1
            store.put(table, key, bytes(value))

    def delivered_to(self, daemon):
        return sorted(r for t in daemon.sink.delivered for r in t.recipients)

    def aside(self, daemon):
        return [row for row in daemon.ctl("check").text.splitlines()
                if "set aside" in row]


class FlowTest(CheckTest):
    def test_nothing_is_wrong_while_mail_flows(self):
        """Rows that change under the walk are not taken for damage."""
        daemon = self.daemon(store={"keep-delivered": "0"})
        daemon.sink.start()
        stop = threading.Event()
        sent = []

        def load(number):
            while not stop.is_set():
                try:
                    with Client(daemon.port) as client:
                        client.ehlo()
                        while not stop.is_set():
                            sent.append(client.mail(
                                "a@client.test",
                                ["b%d@example.com" % (len(sent) % 7),
                                 "c@example.com"],
                                message("x" * (len(sent) % 9000))))
                except (OSError, Closed):
                    pass

        threads = [threading.Thread(target=load, args=(n,))
                   for n in range(3)]
        for thread in threads:
            thread.start()
        try:
            for turn in range(12):
                self.check(daemon, *(["--content"] if turn % 2 else []))
                if turn == 4:
                    daemon.sink.stop()  # so that some is held
                if turn == 8:
                    daemon.sink.start()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertGreater(len(sent), 20)
        daemon.wait_empty()
        self.check(daemon, "--content")

    def test_text(self):
        daemon = self.daemon()
        daemon.send()
        result = daemon.ctl("check")
        self.assertEqual(result.code, 0, result)
        self.assertRegex(result.text, r"(?s)\d+ rows looked at, of 1 message: "
                                      r"all is as it should be\.")
        self.assertEqual(self.check(daemon), [])


class DamageTest(CheckTest):
    def setUp(self):
        super().setUp()
        self.spoold = self.daemon()
        self.ids = [self.held_by(self.spoold, ["one", "two"]),
                    self.held_by(self.spoold, ["three"]),
                    self.held_by(self.spoold, ["four"])]
        self.spoold.stop()

    def flow(self):
        """All that can be delivered is."""
        self.spoold.sink.start()
        self.spoold.start()
        self.spoold.ctl("target", "retry", "office")

    def damaged_events(self):
        return re.findall(r"\bdamaged id=(\S+) reason=(.*)",
                          self.spoold.log())

    def wait_delivered(self, names):
        wanted = sorted(n + "@example.com" for n in names)
        wait_for(lambda: self.delivered_to(self.spoold) == wanted,
                 "delivery to %s" % names)

    def quiet(self):
        """Nothing is tried again and again: a moment with further mail."""
        sessions = len(self.spoold.sink.sessions)
        for _ in range(20):
            self.held_by(self.spoold, ["more"])
        wait_for(lambda: self.delivered_to(self.spoold).count(
            "more@example.com") == 20, "further mail")
        self.assertLess(len(self.spoold.sink.sessions) - sessions, 30)
        self.spoold.sink.clear()

    def test_delivery(self):
        """One recipient's row: after the repair the other one has his mail,
        without a restart."""
        self.flip_row(self.spoold, "delivery", key_of(self.ids[0]) + bytes(4))
        self.flow()
        self.wait_delivered(["three", "four"])
        self.spoold.sink.clear()
        self.quiet()
        self.assertEqual([i for i, _ in self.damaged_events()], [self.ids[0]])
        why = self.spoold.ctl("why", self.ids[0])
        self.assertIn("damaged", why.text + why.err)
        self.assertEqual(self.spoold.ctl("list").code, 1)
        found = self.check(self.spoold, code=1)
        self.assertEqual([f["message"] for f in found], [self.ids[0]] * 2)
        self.assertEqual((found[0]["what"], found[0]["n"]), ("damaged", 0))
        self.assertTrue(found[0]["repairable"])
        self.check(self.spoold, "--repair")
        self.wait_delivered(["two"])
        self.check(self.spoold)
        self.assertIn("1 row set aside", self.aside(self.spoold)[0])
        self.spoold.wait_empty()
        audit = self.audit(self.spoold)
        self.assertEqual(audit["aside"], 1)
        trace = self.spoold.ctl("trace", self.ids[0])
        self.assertIn("aside", trace.text)

    def test_message(self):
        """The message's own row: set aside as a whole."""
        self.flip_row(self.spoold, "message", key_of(self.ids[0]))
        self.flow()
        self.wait_delivered(["three", "four"])
        self.spoold.sink.clear()
        self.quiet()
        self.assertEqual([i for i, _ in self.damaged_events()], [self.ids[0]])
        self.check(self.spoold, code=1)
        self.check(self.spoold, "--repair")
        self.assertEqual(self.spoold.held(), [])
        self.assertEqual(self.check(self.spoold, "--content"), [])
        self.assertEqual(self.audit(self.spoold)["aside"], 2)
        self.spoold.restart()
        self.assertEqual(self.check(self.spoold, "--content"), [])

    def test_content(self):
        """Nothing of it goes out, and it breaks one connection, once."""
        with Store(self.spoold.spool) as store:
            key, = [k for k, _ in store.rows("body")
                    if k.startswith(key_of(self.ids[1]))]
        self.flip_row(self.spoold, "body", key, at=-20)
        self.flow()
        self.wait_delivered(["one", "two", "four"])
        self.spoold.sink.clear()
        self.quiet()
        self.assertEqual([i for i, _ in self.damaged_events()], [self.ids[1]])
        wait_for(lambda: self.spoold.held() == [self.ids[1]],
                 "all but the damaged one to be recorded")
        self.assertIn("damaged piece", self.spoold.ctl("why",
                                                       self.ids[1]).text)
        self.check(self.spoold)
        found = self.check(self.spoold, "--content", code=1)
        self.assertEqual([(f["what"], f["message"]) for f in found],
                         [("content", self.ids[1])])
        self.check(self.spoold, "--content", "--repair")
        self.assertEqual(self.spoold.held(), [])
        self.assertEqual(self.audit(self.spoold)["aside"], 1)
        self.assertEqual(self.delivered_to(self.spoold), [])

    def test_indexes(self):
        """Rows of ready that are missing, or stand for nothing."""
        with Store(self.spoold.spool) as store:
            key, = [k for k, _ in store.rows("ready")
                    if key_of(self.ids[1]) in k]
            store.delete("ready", key)
            store.put("ready", key[:-12] + bytes(12), b"")
        self.flow()
        self.wait_delivered(["one", "two", "four"])
        found = self.check(self.spoold, code=1)
        self.assertEqual({f["what"] for f in found}, {"index"})
        self.check(self.spoold, "--repair")
        self.wait_delivered(["one", "two", "three", "four"])
        self.assertEqual(self.check(self.spoold), [])
        self.audit(self.spoold)

    def offline(self, *options):
        return Result(subprocess.run(
            [os.path.join(self.spoold.build, "spoolctl"), "-c",
             self.spoold.config_path, "--jsonl", "check", "--offline",
             *options], capture_output=True, timeout=60,
            env=self.spoold.environment()))

    def test_offline(self):
        """A page of the file is gone, a row is damaged, an index lacks one:
        after the repair what is left flows, without another command."""
        with Store(self.spoold.spool) as store:
            key, = [k for k, _ in store.rows("ready")
                    if key_of(self.ids[1]) in k]
            store.delete("ready", key)
        self.flip_row(self.spoold, "message", key_of(self.ids[2]))
        self.assertEqual(self.offline().code, 1)
        path = os.path.join(self.spoold.spool, "data.mdb")
        with open(path, "r+b") as file:
            data = file.read()
            place = data.rindex(b"office\0client.test\2") // 4096 * 4096
            file.seek(place + 8)
            file.write(bytes(8))  # it says it is no page at all
        before = self.offline()
        self.assertEqual(before.code, 1)
        self.assertTrue(before.jsonl)
        result = self.offline("--repair", "--content")
        self.assertEqual(result.code, 0, result)
        self.assertIn("index", {f["what"] for f in result.jsonl})
        self.assertEqual(self.offline().code, 0)
        kept = [n for n in os.listdir(self.spoold.spool)
                if n.startswith("data.mdb.damaged-")]
        self.assertEqual(len(kept), 1)
        self.flow()
        self.wait_delivered(["one", "two", "three"])
        self.assertEqual(self.check(self.spoold, "--content"), [])
        self.assertEqual(self.audit(self.spoold)["aside"], 1)
        self.assertEqual(self.offline("--repair").code, 1)  # it is in use

    def test_many(self):
        """More than one step, more than one commit of repairs; the rest is
        delivered as it came."""
        self.spoold.start()
        with Client(self.spoold.port) as client:
            client.ehlo()
            ids = [client.mail("a@client.test", ["n%d@example.com" % n],
                               message("number %d\r\n" % n))
                   for n in range(600)]
        self.spoold.stop()
        with Store(self.spoold.spool) as store:
            rows = dict(store.rows("message"))
            for number in range(0, 600, 3):
                key = key_of(ids[number])
                value = bytearray(rows[key])
                value[10] ^= 0x40
                store.put("message", key, bytes(value))
        self.spoold.start()
        self.assertEqual(len(self.check(self.spoold, code=1)),
                         200 + 200 + self.blocks(ids))
        self.check(self.spoold, "--repair")
        self.assertEqual(len(self.spoold.held()), 403)
        self.spoold.sink.start()
        self.spoold.ctl("target", "retry", "office")
        self.spoold.wait_empty()
        self.assertEqual(len(self.delivered_to(self.spoold)), 404)
        self.assertEqual(self.audit(self.spoold)["aside"], 200)

    def blocks(self, ids):
        """Blocks of 127 signatures that hold some of them."""
        return (len(ids) + 3 + 126) // 127

    def test_killed_on_the_way(self):
        """The store dies between repairs: the same command again does the
        rest."""
        for message_id in self.ids:
            self.flip_row(self.spoold, "message", key_of(message_id))
        self.spoold.start()
        self.spoold.kill_role("store")
        self.spoold.ctl("check", "--repair")  # whatever it says

        def repaired():
            return self.spoold.ctl("check", "--repair").code == 0

        wait_for(repaired, "the repair")
        self.assertEqual(self.spoold.held(), [])
        self.assertEqual(self.audit(self.spoold)["aside"], 4)


if __name__ == "__main__":
    main()
