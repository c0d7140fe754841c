#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Compaction while mail comes and goes: nothing is lost, nothing comes
twice, the file shrinks, readers find what is new; and death at any moment."""

import base64
import collections
import os
import random
import signal
import statistics
import subprocess
import threading
import time

from client import Client, Closed
from spoold_test import (SpooldTest, header_field, main, message, wait_for)

LARGE = 150000  # more than goes inline between the roles


def body_of(size, seed):
    """Lines that hardly compress."""
    text = base64.b64encode(random.Random(seed).randbytes(
        size * 3 // 4)).decode()
    return "".join(text[i:i + 70] + "\r\n" for i in range(0, len(text), 70))


class Feed(threading.Thread):
    """A client that sends until told to end; who it had a 250 for, and how
    long each of them took."""

    def __init__(self, daemon, number, sizes=(100, 100, 2000, LARGE)):
        super().__init__(daemon=True)
        self.spoold, self.number, self.sizes = daemon, number, sizes
        self.stop = threading.Event()
        self.acknowledged = {}  # our name to spoold's id
        self.took = []          # (when, seconds)
        self.start()

    def run(self):
        count = 0
        while not self.stop.is_set():
            try:
                with Client(self.spoold.port, timeout=20) as client:
                    client.ehlo()
                    while not self.stop.is_set():
                        count += 1
                        self.one(client, count)
            except (OSError, Closed, AssertionError):
                self.stop.wait(0.005)

    def one(self, client, count):
        name = "%d-%d" % (self.number, count)
        content = message(body_of(self.sizes[count % len(self.sizes)], name),
                          X_Test_Id=name)
        begin = time.monotonic()
        message_id = client.mail("feed@client.test", ["bob@example.com"],
                                 content)
        self.took.append((begin, time.monotonic() - begin))
        self.acknowledged[name] = message_id

    def end(self):
        self.stop.set()
        self.join()
        return self.acknowledged


def data_bytes(daemon):
    return os.path.getsize(os.path.join(daemon.spool, "data.mdb"))


class CompactTest(SpooldTest):
    def fill(self, daemon, count, size=100000):
        """Messages that are held; their ids in order."""
        ids = []
        with Client(daemon.port) as client:
            client.ehlo()
            for number in range(count):
                ids.append(client.mail(
                    "fill@client.test", ["bob@example.com"],
                    message(body_of(size, number), X_Test_Id="f%d" % number)))
        return ids

    def drained(self, daemon):
        """A daemon that kept nothing of what it delivered."""
        daemon.sink.start()
        daemon.ctl("target", "retry", "office")
        daemon.wait_empty()

    def came(self, daemon):
        return collections.Counter(
            header_field(t.content, "X-Test-Id")[0]
            for t in daemon.sink.delivered)

    def test_room_is_given_back(self):
        daemon = self.daemon(store={"keep-delivered": "0", "compact": False})
        self.fill(daemon, 200)
        full = data_bytes(daemon)
        self.drained(daemon)
        daemon.sink.stop()
        kept = [daemon.send(content=message(body_of(5000, n)))
                for n in range(20)]
        contents = {i: daemon.ctl("cat", i).out for i in kept}
        result = daemon.json("compact")
        self.assertGreater(result["before"], full * 0.8)
        self.assertLess(result["after"], full / 20)
        self.assertLess(data_bytes(daemon), full / 10)
        # The control role sees what is in the new file, old and new.
        self.assertEqual(daemon.held(), kept)
        kept.append(daemon.send())
        self.assertEqual(daemon.held(), kept)
        for message_id, content in contents.items():
            self.assertEqual(daemon.ctl("cat", message_id).out, content)
        self.assertIn("compacted before=", daemon.log())
        daemon.restart()
        self.assertEqual(daemon.held(), kept)
        self.assertFalse(os.path.exists(
            os.path.join(daemon.spool, "compact")))
        self.drained(daemon)
        self.assertEqual(len(daemon.sink.delivered), 221)

    def test_mail_flows_meanwhile(self):
        """In and out, small and large, through many compactions."""
        daemon = self.daemon(store={"keep-delivered": "0"})
        self.fill(daemon, 150)
        feeds = [Feed(daemon, n) for n in range(3)]
        daemon.sink.start()
        for _ in range(8):
            self.assertEqual(daemon.ctl("compact").code, 0)
        acknowledged = {}
        for feed in feeds:
            acknowledged.update(feed.end())
        self.assertGreater(len(acknowledged), 50)
        daemon.wait_empty()
        came = self.came(daemon)
        self.assertEqual(set(acknowledged) - set(came), set())
        self.assertEqual([n for n, times in came.items() if times > 1], [])
        self.assertEqual(len(came), len(acknowledged) + 150)

    def test_accepting_is_not_held_up(self):
        """The median of those accepted meanwhile waits at most 50 ms more
        than before."""
        daemon = self.daemon()
        self.fill(daemon, 400)
        feed = Feed(daemon, 1, sizes=(1000,))
        wait_for(lambda: len(feed.took) > 200)
        windows = []
        for _ in range(4):
            begin = time.monotonic()
            self.assertEqual(daemon.ctl("compact").code, 0)
            windows.append((begin, time.monotonic()))
        feed.end()
        during = [took for when, took in feed.took
                  if any(a <= when <= b for a, b in windows)]
        before = [took for when, took in feed.took if when < windows[0][0]]
        self.assertGreater(len(during), 10)
        delay = statistics.median(during) - statistics.median(before)
        print("\nnote: median %.1f ms more, slowest %.1f ms (before: %.1f)" %
              (delay * 1e3, max(during) * 1e3, max(before) * 1e3))
        self.assertLess(delay, 0.05)

    def test_by_itself_after_an_outage(self):
        daemon = self.daemon(store={"keep-delivered": "0"})
        self.fill(daemon, 1000)
        full = data_bytes(daemon)
        self.assertGreater(full, 64 << 20)
        self.drained(daemon)
        wait_for(lambda: data_bytes(daemon) < full / 10,
                 "the room to come back", 60)
        wait_for(lambda: " compacted " in daemon.log())

    def test_no_room_for_a_copy(self):
        daemon = self.daemon(limit={"reserve": "1M"})
        kept = [daemon.send()]
        daemon.limit["reserve"] = "1T"
        daemon.reload()
        result = daemon.ctl("compact")
        self.assertEqual(result.code, 1)
        self.assertIn("no room for a copy", result.err)
        self.assertEqual(daemon.held(), kept)

    # --- death

    def check_all_are_there(self, daemon, acknowledged):
        self.assertEqual(set(acknowledged.values()) - set(daemon.held()),
                         set())
        self.assertFalse(os.path.exists(
            os.path.join(daemon.spool, "compact")))

    def compact_and(self, daemon, rng, end):
        """Starts a compaction and calls end at some moment of it."""
        ctl = subprocess.Popen(
            [os.path.join(daemon.build, "spoolctl"), "-s", daemon.control,
             "compact"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=daemon.environment())
        time.sleep(rng.random() * self.longest)  # the moment is random
        end()
        ctl.communicate(timeout=30)

    def measure(self, daemon):
        begin = time.monotonic()
        self.assertEqual(daemon.ctl("compact").code, 0)
        self.longest = (time.monotonic() - begin) * 1.2

    def test_killed_at_any_moment(self):
        daemon = self.daemon()
        acknowledged = dict(enumerate(self.fill(daemon, 300)))
        self.measure(daemon)
        rng = random.Random(os.environ.get("KILL_SEED", 5))
        under_way = 0
        for life in range(25):
            feed = Feed(daemon, life)
            wait_for(lambda: feed.acknowledged)
            self.compact_and(daemon, rng, daemon.kill_all)
            acknowledged.update(feed.end())
            under_way += os.path.exists(os.path.join(daemon.spool, "compact"))
            daemon.start()
            self.check_all_are_there(daemon, acknowledged)
        self.assertGreater(under_way, 2)
        self.drained(daemon)
        came = {header_field(t.content, "Received")[0].split(" id ")[1][:13]
                for t in daemon.sink.delivered}
        self.assertEqual(set(acknowledged.values()) - came, set())

    def test_the_store_alone_dies(self):
        """The others had the old file open, or the new one, or one of each:
        they go on with the right one."""
        daemon = self.daemon()
        acknowledged = dict(enumerate(self.fill(daemon, 100)))
        self.measure(daemon)
        rng = random.Random(os.environ.get("KILL_SEED", 6))
        for life in range(20):
            if life % 3 == 2:  # the parent has no reason for a pause yet
                daemon.restart()
            feed = Feed(daemon, life)
            wait_for(lambda: feed.acknowledged)
            self.compact_and(daemon, rng, lambda: self.kill_store(daemon))
            last = wait_for(lambda: self.sent(daemon), "the store to be back")
            acknowledged.update(feed.end())
            acknowledged["l%d" % life] = last
            wait_for(lambda: last in daemon.held(), "the list to have it")
            self.check_all_are_there(daemon, acknowledged)
        self.drained(daemon)
        came = collections.Counter(
            header_field(t.content, "Received")[0].split(" id ")[1][:13]
            for t in daemon.sink.delivered)
        self.assertEqual(set(acknowledged.values()) - set(came), set())
        self.assertEqual([n for n, times in came.items() if times > 1], [])

    def sent(self, daemon):
        try:
            return daemon.send()
        except (OSError, Closed, AssertionError):
            return None

    def kill_store(self, daemon):
        pid = daemon.role_pids().get("store")
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
