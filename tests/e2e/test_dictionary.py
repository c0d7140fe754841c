#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""dictionary train: from what is held to new mail that takes less room."""

import os
import random
import subprocess

from spoold_test import DEADLINE, SpooldTest, main, message, wait_for

WORDS = ("invoice meeting project delivery customer regards contract budget "
         "schedule attached forward question answer system office").split()


class DictionaryTest(SpooldTest):
    def letter(self, n):
        chance = random.Random(n)
        stock = random.Random(n % 9)  # what letters of this house share
        text = "".join(" ".join(stock.choice(WORDS) for _ in range(9)) +
                       "\r\n" for _ in range(25))
        own = " ".join(chance.choice(WORDS) for _ in range(40))
        return message(text + own + "\r\nsecret-%032x\r\n" %
                       chance.getrandbits(128))

    def fill(self, daemon, numbers):
        with daemon.client() as client:
            client.ehlo()
            for n in numbers:
                client.mail("a%d@domain%d.test" % (n, n % 20),
                            ["user%d@example.com" % (n % 30)],
                            self.letter(n))

    def stored(self, daemon):
        """What each held message takes, in order."""
        return [row["stored"] for row in daemon.messages()]

    def rows(self, daemon):
        return {row["id"]: row for row in daemon.json("dictionary", "list")}

    def assert_no_secret(self, daemon, numbers):
        """The store is sealed but for the dictionary: it is in clear."""
        with open(os.path.join(daemon.spool, "data.mdb"), "rb") as file:
            data = file.read()
        self.assertIn(b"Message-ID: <", data)  # what all letters have
        for n in numbers:
            secret = self.letter(n).split(b"secret-")[1]
            for at in range(0, 24, 8):
                self.assertNotIn(secret[at:at + 8], data)

    def test_training_and_what_follows(self):
        daemon = self.daemon()
        self.assertTrue(self.rows(daemon)[1]["in_use"])
        self.fill(daemon, range(300))
        before = sum(self.stored(daemon)[-100:])
        first = daemon.json("dictionary", "train")["id"]
        self.assertGreaterEqual(first, 32768)
        self.fill(daemon, range(300, 400))
        after = sum(self.stored(daemon)[-100:])
        self.assertLess(after, 0.8 * before)
        self.assert_no_secret(daemon, range(300))
        rows = self.rows(daemon)
        self.assertEqual((rows[first]["in_use"], rows[first]["messages"],
                          rows[1]["in_use"]), (True, 100, False))
        # A restart uses it again; what needed the shipped one is readable.
        daemon.restart()
        self.fill(daemon, range(400, 410))
        self.assertEqual(self.rows(daemon)[first]["messages"], 110)
        # A second one retires the first, which goes with its messages.
        second = daemon.json("dictionary", "train")["id"]
        self.fill(daemon, range(410, 415))
        rows = self.rows(daemon)
        self.assertEqual((rows[first]["in_use"], rows[second]["in_use"]),
                         (False, True))
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(
            {t.content.split(b"secret-")[1] for t in daemon.sink.delivered},
            {self.letter(n).split(b"secret-")[1] for n in range(415)})
        daemon.store = {"keep_delivered": "1ms"}
        daemon.restart()
        self.assertEqual(daemon.ctl("audit").code, 0)

    def test_a_retired_one_goes_with_its_last_message(self):
        daemon = self.daemon(store={"keep_delivered": 0})
        self.fill(daemon, range(150))
        first = daemon.json("dictionary", "train")["id"]
        self.fill(daemon, range(150, 155))
        second = daemon.json("dictionary", "train")["id"]
        self.assertIn(first, self.rows(daemon))
        daemon.sink.start()
        daemon.wait_empty()
        wait_for(lambda: set(self.rows(daemon)) == {1, second},
                 "the retired dictionary to go")

    def test_too_little_mail(self):
        daemon = self.daemon()
        self.fill(daemon, range(5))
        result = daemon.ctl("dictionary", "train")
        self.assertEqual(result.code, 1)
        self.assertIn("too few to learn from", result.err)

    def training(self, daemon):
        """spoolctl dictionary train, and wait until it is at work."""
        replay = daemon.role_pids()["replay"]
        tasks = "/proc/%d/task" % replay
        before = len(os.listdir(tasks))
        training = subprocess.Popen(
            [os.path.join(daemon.build, "spoolctl"), "-s", daemon.control,
             "dictionary", "train"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(training.wait)
        wait_for(lambda: len(os.listdir(tasks)) > before, "the training")
        return training

    def test_killed_while_training(self):
        daemon = self.daemon()
        self.fill(daemon, range(600))
        training = self.training(daemon)
        daemon.kill_role("replay")
        self.assertNotEqual(training.wait(DEADLINE), 0)
        wait_for(lambda: daemon.role_pids().get("replay"), "replay")
        self.assertEqual(list(self.rows(daemon)), [1])
        self.training(daemon)
        daemon.kill_all()
        daemon.start()
        self.assertEqual(list(self.rows(daemon)), [1])
        wait_for(lambda: daemon.ctl("dictionary", "train").code == 0,
                 "a training to come through")
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 600)

    def test_stopped_while_training(self):
        daemon = self.daemon()
        self.fill(daemon, range(600))
        training = self.training(daemon)
        second = daemon.ctl("dictionary", "train")
        self.assertIn("a training is under way", second.err)
        daemon.stop()
        self.assertNotEqual(training.wait(DEADLINE), 0)
        daemon.start()
        self.assertEqual(list(self.rows(daemon)), [1])
        self.assertEqual(len(daemon.held()), 600)


if __name__ == "__main__":
    main()
