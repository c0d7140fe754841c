#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A full disk: the spool on a small file system of its own.

New mail is answered 452 before its content is read, what is held still goes
out, and when that made room mail is taken again. Needs root and a mount
namespace: the test starts itself again under unshare(1), where it mounts a
tmpfs that nobody else sees.
"""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "e2e"))

from client import Client, Closed  # noqa: E402
from spoold_test import (IS_ROOT, SpooldTest, below_received,  # noqa: E402
                         main, wait_for)

INSIDE = "SPOOLD_FULL_DISK_INSIDE"


def noise(kilobytes):
    """Content that does not compress to less than half."""
    return b"S: x\r\n\r\n" + b"".join(
        os.urandom(256).hex().encode() + b"\r\n"
        for _ in range(kilobytes * 2))


class FullDiskTest(SpooldTest):
    def setUp(self):
        super().setUp()
        if INSIDE not in os.environ:
            self.skipTest("needs root and a mount namespace of its own: a "
                          "small file system is mounted")

    def small_disk(self, megabytes, **options):
        daemon = self.configured(**options)
        disk = daemon.path("disk")
        os.mkdir(disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o",
                        "mode=755,size=%dm" % megabytes, "tmpfs", disk],
                       check=True)
        daemon.before_close = lambda: subprocess.run(
            ["umount", "-l", disk], check=True)
        daemon.disk = disk
        daemon.spool = os.path.join(disk, "spool")
        return daemon

    def fill(self, daemon, content):
        """Sends until the first refusal; what was accepted, and the
        reply."""
        accepted = []
        while len(accepted) < 1000:
            with daemon.client() as client:
                client.ehlo()
                reply = client.cmd("MAIL FROM:<anna@client.test>")
                if reply != 250:
                    return accepted, reply
                client.expect(250, "RCPT TO:<bob@example.com>")
                client.expect(354, "DATA")
                client.send(content + b".\r\n")
                reply = client.reply()
                if reply == 250:
                    accepted.append(reply.text[-13:])
                else:
                    # The one that was under way when space ran out.
                    self.assertIn(reply.code, (451, 452), reply)
        self.fail("never full")

    def test_reserve_then_drain_then_room(self):
        daemon = self.small_disk(32, limit={"reserve": "8M"},
                                 store={"keep-delivered": "0"})
        daemon.start()
        content = noise(200)
        accepted, reply = self.fill(daemon, content)
        self.assertEqual((reply.code, reply.enhanced), (452, "4.3.1"))
        self.assertGreater(len(accepted), 10)
        self.assertTrue(daemon.status()["space"]["full"])
        self.assertEqual(daemon.held(), accepted)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(
            [below_received(t.content) for t in daemon.sink.delivered],
            [content] * len(accepted))
        wait_for(daemon.takes_mail, "room again")
        daemon.sink.stop()
        again, reply = self.fill(daemon, content)
        self.assertEqual(reply, 452)
        self.assertGreater(len(again), len(accepted) // 2)
        self.assertEqual(daemon.held(), again)
        self.assertEqual(daemon.log().count("role-died"), 0)
        daemon.sink.start()
        daemon.wait_empty()

    def test_filled_by_somebody_else(self):
        """Not a byte left, reserve and all: what is held is safe; when
        there is room again, so is the daemon."""
        daemon = self.small_disk(48, limit={"reserve": "4M"})
        daemon.start()
        ids = [daemon.send() for _ in range(20)]
        ballast = os.path.join(daemon.disk, "ballast")
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
            except OSError:
                pass
        wait_for(lambda: not daemon.takes_mail(), "452")
        codes = set()
        for _ in range(20):
            try:
                with Client(daemon.port) as client:
                    client.ehlo()
                    codes.add(client.cmd("MAIL FROM:<>").code)
            except (Closed, OSError):
                pass
        self.assertEqual(codes - {451, 452}, set())
        os.unlink(ballast)
        wait_for(lambda: daemon.ctl("status").code == 0 and
                 daemon.takes_mail(), "mail to be taken again")
        self.assertEqual(daemon.held(), ids)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 20)

    def test_drain_inside_the_reserve(self):
        """Finishing deliveries needs less than the reserve."""
        daemon = self.small_disk(48, limit={"reserve": "16M"})
        daemon.start()
        ids = [daemon.send() for _ in range(300)]
        with open(os.path.join(daemon.disk, "ballast"), "wb", buffering=0) as file:
            free = os.statvfs(daemon.disk)
            file.write(b"\0" * (free.f_bavail * free.f_frsize -
                                (8 << 20)))
        wait_for(lambda: not daemon.takes_mail(), "452")
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), len(ids))
        self.assertEqual(daemon.log().count("role-died"), 0)


def can_mount():
    return IS_ROOT and subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True).returncode == 0


if __name__ == "__main__":
    if INSIDE not in os.environ and can_mount():
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
    main()
