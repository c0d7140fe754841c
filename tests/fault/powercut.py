#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The power fails: what was not synced is gone, or torn.

spoold lives on a file system of our own (powercut.c) that remembers each
write until it is synced. Under load the power is cut; a random choice of the
remembered sectors survives. On what is left spoold starts again: every
message answered 250 is held or was delivered, and all of it comes out.

The same with a disk that lies about its syncs must find losses: a test that
cannot fail proves nothing.

CUTS says how many (30), CUT_SEED repeats a run: the seed is printed. Needs
/dev/fuse and the right to mount.
"""

import os
import random
import shutil
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "e2e"))

from kill import Load  # noqa: E402
from spoold_test import (ROOT, SpooldTest, header_field,  # noqa: E402
                         main, wait_for)

CUTS = int(os.environ.get("CUTS", "30"))
SEED = int(os.environ.get("CUT_SEED", random.randrange(10 ** 6)))
POWERCUT = os.path.join(ROOT, "build", "powercut")


class Disk:
    """A directory on the file system that forgets."""

    def __init__(self, directory):
        self.directory = directory
        self.mount_point = os.path.join(directory, "mnt")
        self.tree = os.path.join(directory, "tree0")
        self.cuts = 0
        self.process = None
        os.chmod(directory, 0o755)
        for path in (self.mount_point, self.tree):
            os.mkdir(path)
            os.chmod(path, 0o755)

    def mount(self):
        self.disk = os.path.join(self.directory, "disk%d" % self.cuts)
        os.mkdir(self.disk)
        self.process = subprocess.Popen(
            [POWERCUT, self.tree, self.disk, self.mount_point],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        wait_for(self.is_mounted, "the file system")

    def is_mounted(self):
        if self.process.poll() is not None:
            raise unittest.SkipTest(
                "no file system of our own can be mounted here: " +
                self.process.stdout.read().decode().strip())
        return os.path.ismount(self.mount_point)

    def cut(self, seed, chance):
        """The power fails; each sector survives with CHANCE percent."""
        self.order("%d %d" % (seed, chance))

    def order(self, text):
        with open(os.path.join(self.mount_point, ".powercut"), "w") as file:
            file.write(text + "\n")

    def unmount(self):
        """The survivors are the disk from now on."""
        if self.process is None:
            return
        wait_for(lambda: subprocess.run(
            ["fusermount3", "-u", self.mount_point],
            capture_output=True).returncode == 0
            or self.process.poll() is not None, "the unmount")
        self.process.wait(10)
        self.process.stdout.close()
        self.process = None
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree = os.path.join(self.disk, "tree")
        self.cuts += 1


class PowerCutTest(SpooldTest):
    def setUp(self):
        super().setUp()
        if not os.path.exists("/dev/fuse"):
            self.skipTest("there is no /dev/fuse here")
        if not os.path.exists(POWERCUT):
            self.skipTest("powercut was not built: no libfuse3")
        self.rng = random.Random(SEED)
        self.stop = threading.Event()
        self.loads = []
        self.disk = None

    def begin(self):
        daemon = self.configured(targets={"office": {"connections": 4}},
                                 limit={"errors": 1000})
        os.mkdir(daemon.path("disk"))
        self.disk = Disk(daemon.path("disk"))
        daemon.before_close = self.disk.unmount
        daemon.spool = os.path.join(self.disk.mount_point, "spool")
        self.loads = [Load(daemon, i, self.stop) for i in range(3)]
        self.disk.mount()
        daemon.start()
        return daemon

    def one_life(self, daemon):
        """Some load, some deliveries, then the cut."""
        if self.rng.random() < 0.5:
            daemon.sink.start()
        before = sum(len(load.acknowledged) for load in self.loads)
        wait_for(lambda: sum(len(load.acknowledged) for load in self.loads) >
                 before + 20, "mail to be accepted", 60)
        time.sleep(0.3 * self.rng.random())  # the moment is what is random
        self.disk.cut(self.rng.randrange(2 ** 32),
                      self.rng.choice([0, 10, 50, 90, 100]))
        daemon.kill_all()
        daemon.sink.stop()
        self.disk.unmount()

    def acknowledged(self):
        return {spoold_id for load in self.loads
                for spoold_id in list(load.acknowledged.values())}

    def came(self, daemon):
        return {header_field(t.content, "Received")[0]
                .split(" id ")[1][:13] for t in daemon.sink.delivered}

    def missing(self, daemon, acknowledged):
        """What was answered 250 before and is nowhere now."""
        result = daemon.ctl("--json", "list")
        self.assertEqual(result.code, 0, result)
        held = {m["id"] for m in result.json}
        return acknowledged - held - self.came(daemon)

    def test_every_250_survives(self):
        print("\nnote: CUT_SEED=%d CUTS=%d" % (SEED, CUTS), file=sys.stderr,
              flush=True)
        daemon = self.begin()
        for load in self.loads:
            load.start()
        try:
            while self.disk.cuts < CUTS:
                self.one_life(daemon)
                before = self.acknowledged()
                self.disk.mount()
                daemon.start()
                self.assertEqual(self.missing(daemon, before), set())
        finally:
            self.stop.set()
            for load in self.loads:
                load.join()
        daemon.sink.start()
        wait_for(lambda: daemon.status()["held"]["messages"] == 0,
                 "the end of the drain", 300)
        self.assertEqual(self.acknowledged() - self.came(daemon), set())
        audit = daemon.ctl("audit")
        self.assertEqual(audit.code, 0, audit)
        print("note: %d cuts, %d messages acknowledged, none lost" %
              (self.disk.cuts, len(self.acknowledged())), file=sys.stderr,
              flush=True)
        daemon.kill_all()

    def test_lying_syncs_are_found_out(self):
        """The same, on a disk whose syncs do nothing."""
        daemon = self.begin()
        self.disk.order("lie")
        for load in self.loads:
            load.start()
        try:
            wait_for(lambda: len(self.acknowledged()) > 50,
                     "mail to be accepted", 60)
            self.disk.cut(SEED, 0)
        finally:
            self.stop.set()
            for load in self.loads:
                load.join()
        daemon.kill_all()
        self.disk.unmount()
        self.disk.mount()
        daemon.start()
        self.assertGreater(len(self.missing(daemon, self.acknowledged())), 20)
        daemon.kill_all()


if __name__ == "__main__":
    main()
