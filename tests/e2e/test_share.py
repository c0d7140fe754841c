#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""One domain's flood does not fill the spool for the others.

The spool is on a small file system of its own, mounted as tests/fault/
full_disk.py does it: needs root and a mount namespace.
"""

import os
import subprocess
import sys

from spoold_test import IS_ROOT, SpooldTest, main, message, wait_for

INSIDE = "SPOOLD_SHARE_INSIDE"


def noise(kilobytes):
    """Content that does not compress to less than half."""
    return b"S: x\r\n\r\n" + b"".join(
        os.urandom(256).hex().encode() + b"\r\n"
        for _ in range(kilobytes * 2))


class ShareTest(SpooldTest):
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
        daemon.spool = os.path.join(disk, "spool")
        return daemon.start()

    def flood(self, daemon, address, content):
        """Sends until RCPT or the message is refused; how many were taken,
        and the reply."""
        for taken in range(1000):
            with daemon.client() as client:
                client.ehlo()
                client.expect(250, "MAIL FROM:<anna@client.test>")
                reply = client.cmd("RCPT TO:<%s>" % address)
                if reply != 250:
                    return taken, reply
                client.expect(354, "DATA")
                client.send(content + b".\r\n")
                reply = client.reply()
                if reply != 250:
                    return taken, reply
        self.fail("never full")

    def test_the_others_go_on(self):
        daemon = self.small_disk(
            48, limit={"reserve": "8M", "domain-share": 40},
            store={"keep-delivered": "0"},
            domains={"big.example": {}, "small.example": {},
                     "own.example": {"share": 10}})
        content = noise(200)
        taken, reply = self.flood(daemon, "a@big.example", content)
        self.assertEqual((reply.code, reply.enhanced), (452, "4.3.1"))
        self.assertIn("big.example", reply.text)
        # 40 % of 40M, and what came in until somebody looked.
        self.assertGreater(taken * 200 * 1024 / 2, 4 << 20)
        self.assertLess(taken * 200 * 1024 / 2, 30 << 20)
        space = daemon.status()["space"]
        self.assertEqual(space["full_domains"], ["big.example"])
        self.assertFalse(space["full"])
        self.assertIn("USED ITS SHARE", daemon.ctl("status").text)
        self.assertIn("share-full domain=big.example", daemon.log())

        daemon.send(recipients=["b@small.example"])
        with daemon.client() as client:  # both at once: only one is refused
            client.ehlo()
            client.expect(250, "MAIL FROM:<anna@client.test>")
            client.expect(452, "RCPT TO:<a@BIG.example>")
            client.expect(250, "RCPT TO:<b@small.example>")
            client.expect(354, "DATA")
            client.send(message() + b".\r\n")
            client.expect(250)
        few, reply = self.flood(daemon, "c@own.example", content)
        self.assertEqual(reply, 452)
        self.assertLess(few, taken)
        self.assertGreater(few, 2)

        daemon.sink.start()
        daemon.wait_empty()
        wait_for(lambda: daemon.status()["space"]["full_domains"] == [],
                 "the domains to have room again")
        self.assertIn("share-ok domain=big.example", daemon.log())
        daemon.send(recipients=["a@big.example"])
        daemon.wait_empty()

    def test_kept_mail_makes_room(self):
        """Finished messages of a full domain go before mail is refused for
        long; those of others stay."""
        daemon = self.small_disk(
            48, limit={"reserve": "8M", "domain-share": 30},
            store={"keep-delivered": "1d"},
            domains={"big.example": {}, "small.example": {}})
        daemon.sink.start()
        other = daemon.send(recipients=["b@small.example"])
        self.flood(daemon, "a@big.example", noise(200))
        wait_for(lambda: daemon.status()["space"]["full_domains"] == [],
                 "room in the domain")
        self.assertEqual(daemon.ctl("show", other).code, 0)

    def test_one_domain_has_all(self):
        daemon = self.small_disk(32, limit={"reserve": "8M",
                                            "domain-share": 5})
        for _ in range(30):
            daemon.send(content=noise(200))
        self.assertEqual(daemon.status()["space"]["full_domains"], [])


if __name__ == "__main__":
    if IS_ROOT and INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation",
                              "private", sys.executable, *sys.argv])
    main()
