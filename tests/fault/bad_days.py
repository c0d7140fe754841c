#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Bad days that are nobody's fault: a disk that cannot read, a clock that is
set, a program that never stops reading, files that belong to somebody else."""

import ctypes
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
sys.path.insert(0, HERE)

from powercut import POWERCUT, Disk  # noqa: E402
from spoold_test import (BUILD, IS_ROOT, ROOT, SpooldTest,  # noqa: E402
                         header_field, main, message, wait_for)

PLAIN = os.path.join(ROOT, "build")
HOUR = 3600


class Clock:
    """What clock.c adds to the clocks of a daemon, in seconds."""

    def __init__(self, path):
        self.path = path
        self.wall = self.mono = 0
        self.write()
        os.chmod(path, 0o644)

    def write(self):
        with open(self.path, "r+b" if os.path.exists(self.path)
                  else "wb") as file:
            file.write(struct.pack("=qq", int(1000 * self.wall),
                                   int(1000 * self.mono)))

    def set_wall(self, by):
        """The administrator sets it."""
        self.wall += by
        self.write()

    def advance(self, by):
        """Time goes by."""
        self.wall += by
        self.mono += by
        self.write()


def ids(daemon):
    return [m["id"] for m in daemon.messages()]


class ClockTest(SpooldTest):
    def clocked(self, **options):
        daemon = self.configured(**options)
        daemon.build = PLAIN
        self.clock = Clock(daemon.path("clock"))
        daemon.environ = {"LD_PRELOAD": os.path.join(PLAIN, "clock.so"),
                          "SPOOLD_CLOCK_FILE": daemon.path("clock")}
        return daemon

    def test_set_back_an_hour(self):
        daemon = self.clocked(targets={"office": {"retry-min": "10m",
                                                  "retry-max": "20m"}})
        daemon.sink.on = {"DOT": "451 4.3.0 not now"}
        daemon.sink.start()
        daemon.start()
        daemon.send(content=message("first\r\n"))
        wait_for(lambda: daemon.messages("state:later"), "the deferral")
        first = ids(daemon)[0]
        daemon.sink.on = {}
        self.clock.set_wall(-HOUR)
        wait_for(lambda: "clock-back ms=" in daemon.log(), "it to be noticed")
        # New mail has a later id, whatever the clock says, and flows.
        daemon.send(content=message("second\r\n"))
        wait_for(lambda: len(daemon.sink.delivered) == 1, "new mail")
        second = header_field(daemon.sink.delivered[0].content,
                              "Received")[0].split(" id ")[1][:13]
        self.assertGreater(second, first)
        # The retry waits for its twenty minutes, not for an hour more, and
        # not for less than its ten.
        self.clock.advance(300)
        daemon.send(content=message("third\r\n"))
        wait_for(lambda: len(daemon.sink.delivered) == 2, "more new mail")
        self.assertTrue(daemon.messages("state:later"))
        self.clock.advance(1000)
        wait_for(lambda: len(daemon.sink.delivered) == 3, "the retry")
        self.assertEqual(daemon.ctl("audit", "--content").code, 0)
        # So after a start in the hour that comes twice.
        daemon.restart()
        daemon.sink.stop()
        daemon.send(content=message("fourth\r\n"))
        self.assertGreater(ids(daemon)[0], second)
        self.assertEqual(daemon.ctl("audit").code, 0)

    def test_set_forward_a_year(self):
        """Mail does not grow old by it: only time in which the target could
        be reached counts."""
        daemon = self.clocked(domains={"example.com": {"hold-for": "1d"}})
        daemon.start()
        daemon.send(content=message("old\r\n"))
        self.clock.set_wall(365 * 24 * HOUR)
        daemon.send(content=message("new\r\n"))
        daemon.sink.start()
        wait_for(lambda: len(daemon.sink.delivered) == 2, "both")
        daemon.wait_empty()
        self.assertNotIn("expired", daemon.log())
        self.assertEqual(daemon.ctl("audit").code, 0)


class ReaderTest(ClockTest):
    """A program of somebody's that reads the store and stops half-way."""

    test_set_back_an_hour = test_set_forward_a_year = None

    def hang(self, daemon):
        lmdb = ctypes.CDLL("liblmdb.so.0")
        env, txn = ctypes.c_void_p(), ctypes.c_void_p()
        self.assertEqual(lmdb.mdb_env_create(ctypes.byref(env)), 0)
        self.assertEqual(lmdb.mdb_env_set_mapsize(
            env, ctypes.c_size_t(1 << 40)), 0)
        self.assertEqual(lmdb.mdb_env_open(
            env, daemon.spool.encode(), 0x20000, 0o600), 0)  # MDB_RDONLY
        self.assertEqual(lmdb.mdb_txn_begin(env, None, 0x20000,
                                            ctypes.byref(txn)), 0)

        def end():
            lmdb.mdb_txn_abort(txn)
            lmdb.mdb_env_close(env)

        return end

    def test_a_reader_that_hangs_is_told_of(self):
        daemon = self.clocked()
        daemon.start()
        daemon.send()
        end = self.hang(daemon)
        daemon.send()
        told = r"reader-hangs process=%d seconds=\d+ commits=\d+" % os.getpid()

        def hangs():
            self.clock.advance(15)
            daemon.send()  # the roles wake up and look at the time
            return re.search(told, daemon.log())

        wait_for(hangs, "the reader to be told of")
        end()
        wait_for(lambda: (self.clock.advance(15), daemon.send(),
                          "process %d reads on" % os.getpid()
                          in daemon.log())[2], "its end")
        self.assertEqual(len(re.findall(told, daemon.log())), 1)


@unittest.skipUnless(IS_ROOT, "needs root, who can give files away")
class OwnerTest(SpooldTest):
    NOBODY = 65534

    def stopped(self, **options):
        daemon = self.daemon(**options)
        daemon.send(content=message("kept\r\n"))
        daemon.stop()
        return daemon

    def test_files_of_root_are_taken_over(self):
        """As a restore by hand leaves them."""
        daemon = self.stopped()
        for name in ("data.mdb", "lock.mdb"):
            os.chown(os.path.join(daemon.spool, name), 0, 0)
        daemon.start()
        self.assertEqual(len(daemon.held()), 1)

    def test_files_of_somebody_else_are_refused(self):
        daemon = self.stopped(as_uid=self.NOBODY)
        os.chown(os.path.join(daemon.spool, "data.mdb"), 12345, 12345)
        daemon.launch()
        self.assertNotEqual(daemon.process.wait(20), 0)
        daemon.process = None
        self.assertRegex(daemon.log(),
                         r"data\.mdb belongs to user 12345, the daemon runs "
                         r"as %d" % self.NOBODY)
        os.chown(os.path.join(daemon.spool, "data.mdb"), self.NOBODY,
                 self.NOBODY)
        daemon.start()
        self.assertEqual(len(daemon.held()), 1)


@unittest.skipUnless(os.path.exists("/dev/fuse") and os.path.exists(POWERCUT),
                     "there is no /dev/fuse here, or no powercut")
class BadSectorTest(SpooldTest):
    """The disk cannot read some pages any more."""

    MESSAGES = 60

    def begin(self):
        daemon = self.configured()
        daemon.build = PLAIN  # SIGBUS is ours, not a sanitizer's
        os.mkdir(daemon.path("disk"))
        self.disk = Disk(daemon.path("disk"))
        daemon.before_close = self.disk.unmount
        daemon.spool = os.path.join(self.disk.mount_point, "spool")
        self.disk.mount()
        daemon.start()
        return daemon

    def test_the_rest_flows(self):
        daemon = self.begin()
        rng = random.Random(7)
        for n in range(self.MESSAGES):
            body = rng.randbytes(30000).hex() + "\r\n"
            daemon.send(content=message(body, X_Test_Id=str(n)))
        accepted = set(daemon.held())
        daemon.stop()
        self.disk.cut(1, 100)
        self.disk.unmount()
        self.disk.mount()
        # A page of content in the middle of the file.
        self.disk.order("bad %d %d /spool/data.mdb" % (300 * 4096, 4096))
        daemon.sink.start()
        daemon.start()
        wait_for(lambda: len(daemon.sink.delivered) >= self.MESSAGES - 1,
                 "the others", 60)
        wait_for(lambda: len(daemon.held()) == 1, "their ends", 30)
        self.assertIn("SIGBUS", daemon.log())
        lost = daemon.held()
        wait_for(lambda: "damaged id=%s reason=\"reading it ended" % lost[0]
                 in daemon.log(), "the reason")
        daemon.stop()
        done = self.offline(daemon)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(lost[0], done.stdout)
        done = self.offline(daemon, "--repair")
        self.assertEqual(done.returncode, 0, done)
        # The new file lies elsewhere.
        daemon.start()
        self.assertEqual(daemon.held(), [])
        came = {header_field(t.content, "Received")[0].split(" id ")[1][:13]
                for t in daemon.sink.delivered}
        self.assertEqual(accepted - came, set(lost))
        self.assertEqual(daemon.ctl("check", "--content").code, 0)

    def offline(self, daemon, *options):
        return subprocess.run(
            [os.path.join(PLAIN, "spoolctl"), "-c", daemon.config_path,
             "check", "--offline", *options], capture_output=True, text=True,
            timeout=60)


if __name__ == "__main__":
    main()
