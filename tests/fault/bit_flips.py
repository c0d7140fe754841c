#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Bits that turn over in the files of a store that holds mail.

A store with held mail is copied back again and again, each time with some
random bits flipped in data.mdb, sometimes in lock.mdb. Whatever the daemon
then does: what reaches the target is what was sent, to whom it was sent, and
where a message does not come, something says so: the log, check or audit.
After "check --offline --repair" and "check --repair" everything flows but
what they, or audit, have named.

FLIP_SECONDS says how long (25), FLIP_SEED repeats a run: the seed is printed.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "e2e"))

from spoold_test import (Result, SpooldTest, below_received,  # noqa: E402
                         main, message, wait_for)

SECONDS = float(os.environ.get("FLIP_SECONDS", "25"))
SEED = int(os.environ.get("FLIP_SEED", random.randrange(10 ** 6)))
MESSAGES = 40
STILL = 1.0  # seconds without news: nothing more comes
SAYS_SO = re.compile(r"damage|corrupt|contradict|SIGBUS|SIGSEGV|"
                     r"check --offline|spoolctl check|not a store")
ID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{13}\b")


class BitFlipsTest(SpooldTest):
    def test_flips(self):
        print("\nnote: FLIP_SEED=%d" % SEED, file=sys.stderr, flush=True)
        self.rng = random.Random(SEED)
        self.fill()
        end = time.monotonic() + SECONDS
        rounds = hurt = 0
        while time.monotonic() < end:
            hurt += self.round(rounds)
            rounds += 1
        print("note: %d rounds, %d of them lost mail to the flips" %
              (rounds, hurt), file=sys.stderr, flush=True)

    # --- the store that is damaged

    def fill(self):
        self.spoold = daemon = self.daemon()
        self.sent = {}  # id: (recipients, content)
        for i in range(MESSAGES):
            size = self.rng.choice([100, 600, 3000])
            if i == MESSAGES // 2:
                size = 150000
            to = ["bob@example.com", "anna@example.com"][:1 + i % 2]
            content = message(self.rng.randbytes(size // 2).hex()
                              .replace("0d0a", "0000") + "\r\n")
            self.sent[daemon.send(recipients=to, content=content)] = (
                set(to), content)
        daemon.stop()
        self.good = daemon.path("good")
        shutil.copytree(daemon.spool, self.good)
        daemon.sink.start()

    def flip(self, name, count):
        path = os.path.join(self.spoold.spool, name)
        with open(path, "r+b") as file:
            data = file.read()
            used = len(data.rstrip(b"\0"))
            for _ in range(count):
                place = self.rng.randrange(used)
                file.seek(place)
                file.write(bytes([data[place] ^ 1 << self.rng.randrange(8)]))

    def damage(self):
        for name in os.listdir(self.spoold.spool):
            if name.startswith("data.mdb") or name == "lock.mdb":
                os.unlink(os.path.join(self.spoold.spool, name))
        for name in ("data.mdb", "lock.mdb"):
            good = os.path.join(self.good, name)
            to = os.path.join(self.spoold.spool, name)
            shutil.copy2(good, to)
            st = os.stat(good)
            os.chown(to, self.owner.st_uid, self.owner.st_gid)
            os.chmod(to, st.st_mode)
        self.flip("data.mdb", self.rng.choice([1, 1, 2, 5, 20, 60]))
        if self.rng.random() < 0.2:
            self.flip("lock.mdb", 3)

    # --- what came

    def delivered(self):
        """The ids that came to all of their recipients; nothing may be
        wrong."""
        got = {}
        by_content = {content: message_id for message_id, (_, content)
                      in self.sent.items()}
        for transaction in self.spoold.sink.delivered:
            content = transaction.content
            if b"MAILER-DAEMON" in content[:2000]:
                continue
            message_id = by_content.get(below_received(content))
            self.assertIsNotNone(message_id, "content nobody sent: %r" %
                                 content[:300])
            to = set(transaction.recipients)
            self.assertLessEqual(to, self.sent[message_id][0])
            got.setdefault(message_id, set()).update(to)
        return {message_id for message_id, to in got.items()
                if to == self.sent[message_id][0]}

    def settle(self):
        """Until all came, nothing new comes, or the daemon ended."""
        last, since = -1, time.monotonic()
        while time.monotonic() < since + STILL:
            count = len(self.spoold.sink.delivered)
            if count != last:
                last, since = count, time.monotonic()
            if self.spoold.process.poll() is not None or \
                    len(self.delivered()) == MESSAGES:
                break
            time.sleep(0.02)
        return self.delivered()

    # --- a round

    def offline(self, *options):
        return Result(subprocess.run(
            [os.path.join(self.spoold.build, "spoolctl"), "-c",
             self.spoold.config_path, "check", "--offline", *options],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
            env=self.spoold.environment()))

    def end(self):
        """The daemon may have ended, or may not be able to end in order."""
        process = self.spoold.process
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            self.spoold.kill_all()
        self.spoold.process = None

    def says_so(self, mark):
        """Does anything say that something is wrong?"""
        if SAYS_SO.search(self.spoold.log(mark)):
            return True
        if self.spoold.process.poll() is not None:
            return self.spoold.process.returncode != 0
        return self.spoold.ctl("check", "--content").code != 0 or \
            self.spoold.ctl("audit").code != 0

    def round(self, number):
        daemon = self.spoold
        self.owner = os.stat(daemon.spool)
        self.damage()
        daemon.sink.clear()
        mark = daemon.log_size()
        daemon.launch()
        came = self.settle()
        if len(came) < MESSAGES:
            self.assertTrue(self.says_so(mark), "round %d: %d of %d came and "
                            "nobody says why" % (number, len(came), MESSAGES))
        self.end()
        self.repair(number, mark)
        return len(came) < MESSAGES

    def repair(self, number, mark):
        daemon = self.spoold
        first = self.offline("--repair")
        # What cannot be mended is left and counted: an entry of the ledger is
        # evidence, and without its data key a message stays sealed.
        if first.code != 0:
            self.assertEqual(first.code, 1, first)
            self.assertRegex(first.text, r"made in its rows, [1-9]\d* left")
        self.assertIn(self.offline().code, (0, 1))
        start = daemon.log_size()
        daemon.start()
        second = daemon.ctl("check", "--content", "--repair")
        self.settle()
        audit = daemon.ctl("--json", "audit")
        came = self.delivered()
        named = set(ID.findall(first.text + second.text + audit.text +
                               daemon.log(mark)))
        missing = set(self.sent) - came
        if audit.code == 0:
            self.assertLessEqual(missing, named, "round %d" % number)
        else:
            self.assertTrue(audit.json["findings"], audit)
        if not missing:
            wait_for(lambda: daemon.status()["held"]["messages"] == 0,
                     "nothing to be held", 5)
        self.end()
        # LMDB may fall over a damaged page; after the repair nothing may.
        self.assertNotRegex(daemon.log(start), r"Sanitizer|SIGSEGV|SIGBUS|"
                            r"role-died|store is damaged")


if __name__ == "__main__":
    main()
