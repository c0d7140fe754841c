#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Roles: deaths and restarts, privileges, orderly stops, the spool's lock."""

import os
import re
import shutil
import signal
import tempfile
import time
import unittest

from client import Client, Closed
from sink import HANG, Slow
from spoold_test import (BUILD, IS_ROOT, NOBODY, SpooldTest,
                         below_received, main, message, pid_is_alive,
                         read_proc, wait_for)

ROLES = ("listener", "store", "replay", "control")


class DeathTest(SpooldTest):
    def wait_reborn(self, daemon, role, pid):
        """The role is there again, and status knows it."""
        def reborn():
            now = daemon.role_pids().get(role)
            if now in (None, pid) or daemon.ctl("status").code != 0:
                return False
            known = {r["role"]: r for r in daemon.status()["roles"]}
            return known[role]["pid"] == now and known[role]
        return wait_for(reborn, role + " to be back")

    def test_each_role(self):
        """Others go on; the role comes back; mail flows."""
        daemon = self.daemon()
        daemon.sink.start()
        for role in ROLES:
            with self.subTest(role=role):
                before = daemon.role_pids()
                self.assertEqual(set(before), set(ROLES))
                pid = daemon.kill_role(role)
                row = self.wait_reborn(daemon, role, pid)
                self.assertGreaterEqual(row["restarts"], 1)
                after = daemon.role_pids()
                self.assertEqual(
                    {r: p for r, p in after.items() if r != role},
                    {r: p for r, p in before.items() if r != role})
                wait_for(daemon.takes_mail, "mail to be taken")
                count = len(daemon.sink.delivered)
                daemon.send()
                wait_for(lambda: len(daemon.sink.delivered) == count + 1)
        self.assertEqual(daemon.log().count("role-died"), len(ROLES))

    def test_status_has_all_roles(self):
        daemon = self.daemon()
        roles = {r["role"]: r for r in daemon.status()["roles"]}
        self.assertEqual(set(roles) - {"parent"}, set(ROLES))
        pids = daemon.role_pids()
        for role in ROLES:
            self.assertEqual(roles[role]["pid"], pids[role])
            self.assertEqual(roles[role]["restarts"], 0)
            self.assertTrue(roles[role]["since"])

    def test_sessions_outlive_the_store(self):
        """451 while it is away; the same session takes mail again."""
        daemon = self.daemon()
        with daemon.client() as client:
            client.ehlo()
            client.begin("anna@client.test", ["bob@example.com"])
            client.expect(354, "DATA")
            pid = daemon.role_pids()["store"]
            os.kill(pid, signal.SIGSTOP)
            client.send(message() + b".\r\n")
            self.assertTrue(client.silent(0.2), "no 250 without a commit")
            os.kill(pid, signal.SIGKILL)
            reply = client.expect(451)
            self.assertTrue(reply.enhanced.startswith("4.3."))
            wait_for(lambda: client.cmd("MAIL FROM:<>") in (250, 503),
                     "the store to be back")
            client.expect(250, "RSET")
            message_id = client.mail("anna@client.test",
                                     ["bob@example.com"], message())
        self.assertEqual(daemon.held(), [message_id])

    def test_451_while_the_store_is_away(self):
        """Every MAIL in the gap is answered 451, and there is a gap when
        the store dies again and again."""
        daemon = self.daemon()
        codes = []
        with daemon.client() as client:
            client.ehlo()
            for _ in range(3):
                daemon.kill_role("store")
                while True:
                    codes.append(client.cmd("MAIL FROM:<>").code)
                    client.expect(250, "RSET")
                    if codes[-1] == 250:
                        break
        self.assertEqual(set(codes), {250, 451})

    def test_replay_dies_in_the_middle(self):
        daemon = self.daemon(targets={"office": {"connections": 2}})
        daemon.sink.on["DOT"] = HANG
        daemon.sink.start()
        ids = [daemon.send() for _ in range(4)]
        wait_for(lambda: len(daemon.sink.transactions) == 2)
        daemon.kill_role("replay")
        daemon.sink.on.clear()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), len(ids))

    def test_store_dies_before_the_outcome(self):
        """The target said 250, the store was not there to note it: replay
        keeps the outcome and the mail does not come twice."""
        daemon = self.daemon()
        daemon.send()
        wait_for(lambda: daemon.target()["state"] == "down")
        pids = daemon.role_pids()

        def stop_store(session, transaction):
            os.kill(pids["store"], signal.SIGSTOP)

        daemon.sink.on["DOT"] = stop_store
        daemon.sink.start()
        wait_for(lambda: daemon.sink.delivered)
        daemon.sink.on.clear()
        os.kill(pids["store"], signal.SIGKILL)
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.transactions), 1)

    def test_parent_dies(self):
        """Roles do not outlive it, and the spool is free again."""
        daemon = self.daemon()
        message_id = daemon.send()
        pids = list(daemon.role_pids().values())
        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.process.wait()
        daemon.process = None
        wait_for(lambda: not any(map(pid_is_alive, pids)),
                 "the roles to end")
        daemon.start()
        self.assertEqual(daemon.held(), [message_id])

    def test_power_cut(self):
        daemon = self.daemon()
        ids = [daemon.send() for _ in range(5)]
        daemon.kill_all()
        daemon.start()
        self.assertEqual(daemon.held(), ids)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 5)


class StopTest(SpooldTest):
    def test_transaction_under_way(self):
        """Finishes within the limit; the answer is kept to."""
        daemon = self.daemon()
        busy = daemon.client()
        idle = daemon.client()
        for client in (busy, idle):
            self.addCleanup(client.close)
            client.ehlo()
        busy.begin("anna@client.test", ["bob@example.com"])
        busy.expect(354, "DATA")
        busy.send(message())
        daemon.terminate()
        idle.expect(421)
        self.assertTrue(idle.at_end())
        wait_for(lambda: self.refused(daemon), "new clients to be refused")
        busy.send(b"the end\r\n.\r\n")
        reply = busy.expect((250, 421, 451))
        busy.at_end()
        daemon.wait()
        daemon.start()
        self.assertEqual(len(daemon.held()), 1 if reply == 250 else 0)
        self.assertEqual(reply, 250, "time enough to finish")

    @staticmethod
    def refused(daemon):
        try:
            with Client(daemon.port, greeting=None) as client:
                return client.reply() == 421
        except (OSError, Closed):
            return True

    def test_transaction_without_end(self):
        """The limit holds against a client that never finishes."""
        daemon = self.daemon(limit={"drain": "500ms"})
        with daemon.client() as client:
            client.ehlo()
            client.begin("anna@client.test", ["bob@example.com"])
            client.expect(354, "DATA")
            begin = time.monotonic()
            daemon.stop()
            self.assertLess(time.monotonic() - begin, 5)
            client.at_end()
            self.assertNotIn(b"250", client.buffer)

    def test_delivery_under_way(self):
        """Ends, is noted, and does not come twice."""
        daemon = self.daemon()
        daemon.sink.on["DOT"] = Slow(0.4)
        daemon.sink.start()
        daemon.send()
        wait_for(lambda: daemon.sink.transactions)
        daemon.stop()
        self.assertEqual(len(daemon.sink.delivered), 1)
        daemon.start()
        self.assertEqual(daemon.held(), [])
        self.assertEqual(len(daemon.sink.transactions), 1)

    def test_delivery_without_end(self):
        daemon = self.daemon(limit={"drain": "500ms"})
        daemon.sink.on["DOT"] = HANG
        daemon.sink.start()
        message_id = daemon.send()
        wait_for(lambda: daemon.sink.transactions)
        daemon.stop()
        daemon.start()
        self.assertEqual(daemon.held(), [message_id])

    def test_idle_stop_is_fast(self):
        daemon = self.daemon(limit={"drain": "1h"})
        begin = time.monotonic()
        daemon.stop()
        self.assertLess(time.monotonic() - begin, 5)
        self.assertRegex(daemon.log(), r"\bstopped\b")
        self.assertFalse(os.path.exists(daemon.control))

    def test_interrupt(self):
        """Ctrl-C on the terminal reaches all processes at once."""
        daemon = self.daemon()
        # The parent last: it stops the others, which may be gone by then.
        for pid in [*daemon.role_pids().values(), daemon.process.pid]:
            os.kill(pid, signal.SIGINT)
        daemon.wait()

    def test_stop_while_starting(self):
        for pause in (0, 0.01, 0.05, 0.1, 0.2):
            daemon = self.configured()
            daemon.launch()
            time.sleep(pause)  # the moment is what varies
            daemon.terminate()
            self.assertIn(daemon.process.wait(20), (0, -signal.SIGTERM))
            daemon.process = None
            daemon.check_log()

    def test_many_reloads(self):
        daemon = self.daemon()
        daemon.sink.start()
        with daemon.client() as client:
            client.ehlo()
            for _ in range(20):
                daemon.process.send_signal(signal.SIGHUP)
                client.mail("", ["bob@example.com"], message())
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 20)
        self.assertEqual(daemon.log().count("role-died"), 0)


class SpoolTest(SpooldTest):
    def expect_refusal(self, daemon, pattern):
        daemon.launch()
        status = daemon.process.wait(20)
        daemon.process = None
        self.assertNotEqual(status, 0)
        self.assertGreater(status, 0, "an exit, not a signal")
        daemon.check_log()
        self.assertRegex(daemon.log(), pattern)

    def test_two_on_one_spool(self):
        first = self.daemon()
        message_id = first.send()
        second = self.configured(sink=first.sink)
        second.spool = first.spool
        self.expect_refusal(second, re.escape(first.spool))
        self.assertEqual(first.held(), [message_id])
        first.send()
        first.stop()
        second.start()
        self.assertEqual(len(second.held()), 2)

    def snapshot(self, directory):
        files = {}
        for path, _, names in os.walk(directory):
            for name in names:
                with open(os.path.join(path, name), "rb") as file:
                    files[os.path.join(path, name)] = file.read()
        return files

    def test_foreign_data(self):
        """A data file that is none of ours is left alone."""
        for rubbish in (b"this is somebody's letter\n" * 1000,
                        b"\0" * 65536, os.urandom(65536)):
            daemon = self.configured()
            daemon.start()
            daemon.stop()
            names = [n for n in os.listdir(daemon.spool)
                     if n.endswith("data.mdb")]
            self.assertEqual(len(names), 1, os.listdir(daemon.spool))
            with open(os.path.join(daemon.spool, names[0]), "r+b") as file:
                file.truncate(0)
                file.write(rubbish)
            self.expect_refusal(daemon, r"(?i)spool|store|data\.mdb")
            with open(os.path.join(daemon.spool, names[0]), "rb") as file:
                self.assertEqual(file.read(), rubbish)

    def test_foreign_directory(self):
        """A directory with somebody's files in it is no new spool."""
        daemon = self.configured()
        os.mkdir(daemon.spool)
        with open(os.path.join(daemon.spool, "letter"), "w") as file:
            file.write("dear anna")
        before = self.snapshot(daemon.spool)
        self.expect_refusal(daemon, re.escape(daemon.spool))
        self.assertEqual(self.snapshot(daemon.spool), before)

    def test_no_directory_can_be_made(self):
        daemon = self.configured()
        with open(daemon.path("file"), "w"):
            pass
        daemon.spool = daemon.path("file/spool")
        self.expect_refusal(daemon, re.escape(daemon.spool))
        daemon.spool = daemon.path("file")
        self.expect_refusal(daemon, re.escape(daemon.spool))

    def test_newer_format(self):
        """A store that a later version made is refused and left as it is."""
        daemon = self.daemon()
        message_id = daemon.send()
        daemon.stop()
        path = os.path.join(daemon.spool, "data.mdb")
        with open(path, "rb") as file:
            ours = file.read()
        # The row of the table of settings: key, then a 64-bit number.
        newer, count = re.subn(rb"format\0{7}(.)", b"format" + b"\0" * 6 +
                               rb"\1\1", ours, flags=re.S)
        self.assertGreater(count, 0)
        with open(path, "wb") as file:
            file.write(newer)
        before = self.snapshot(daemon.spool)
        self.expect_refusal(daemon, r"format 771\b")
        after = self.snapshot(daemon.spool)
        for path in before:
            if path.endswith("data.mdb"):
                self.assertEqual(before[path], after.get(path), path)
        with open(os.path.join(daemon.spool, "data.mdb"), "wb") as file:
            file.write(ours)
        daemon.start()
        self.assertEqual(daemon.held(), [message_id])

    def test_truncated_store(self):
        """A store cut short is refused or found damaged; it is no crash
        and no silent new beginning."""
        daemon = self.daemon()
        daemon.send(content=message("x" * 100000 + "\r\n"))
        daemon.stop()
        path = os.path.join(daemon.spool, [
            n for n in os.listdir(daemon.spool)
            if n.endswith("data.mdb")][0])
        os.truncate(path, 4096)
        self.expect_refusal(daemon, r"(?i)spool|store|data\.mdb")


@unittest.skipUnless(IS_ROOT, "only root can drop to another user")
class PrivilegeTest(SpooldTest):
    def test_roles_are_dropped(self):
        """Each role: another user, no groups, no capabilities, a root
        directory of its own."""
        daemon = self.daemon()
        daemon.send()
        for role, pid in daemon.role_pids().items():
            with self.subTest(role=role):
                status = read_proc(pid, "status")
                ids = re.search(r"^Uid:\s+(.*)", status, re.M).group(1)
                self.assertEqual(set(ids.split()), {str(NOBODY)})
                self.assertNotIn("0", re.search(
                    r"^Groups:(.*)", status, re.M).group(1).split())
                for name in ("CapEff", "CapPrm", "CapInh"):
                    value = re.search(r"^%s:\s+(\w+)" % name, status, re.M)
                    self.assertEqual(int(value.group(1), 16), 0)
                root = os.readlink("/proc/%d/root" % pid)
                self.assertTrue(root.startswith(daemon.spool), root)
                if role == "listener":  # never sees the store
                    self.assertNotEqual(root, daemon.spool)

    def test_no_inherited_descriptors(self):
        """A role holds no descriptor of another's business."""
        daemon = self.daemon()
        for role, pid in daemon.role_pids().items():
            links = [os.readlink("/proc/%d/fd/%s" % (pid, fd))
                     for fd in os.listdir("/proc/%d/fd" % pid)]
            if role == "listener":
                self.assertEqual([li for li in links if "mdb" in li], [])
            self.assertEqual([li for li in links
                              if li.endswith("spoold.conf")], [])


class OrdinaryUserTest(SpooldTest):
    """Wholly as an ordinary user; under root by way of setpriv, with a
    copy of the programs where that user can reach them. The leak check of
    the sanitizer build works here."""

    def setUp(self):
        super().setUp()
        self.base = tempfile.mkdtemp(prefix="spoold-user-")
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        os.chmod(self.base, 0o755)
        self.build = os.path.join(self.base, "bin")
        os.mkdir(self.build)
        for name in ("spoold", "spoolctl"):
            shutil.copy(os.path.join(BUILD, name), self.build)

    def ordinary(self, name, **options):
        directory = os.path.join(self.base, name)
        os.mkdir(directory)
        daemon = self.configured(directory=directory,
                                 as_uid=NOBODY if IS_ROOT else None,
                                 **options)
        daemon.build = self.build
        return daemon

    def test_all_of_it(self):
        daemon = self.ordinary("a", tls=True)
        daemon.settings["user"] = "somebody-who-does-not-exist"
        daemon.start()
        content = message("x" * 70000 + "\r\n" * 70000)
        small = daemon.send(sender="anna@example.com",
                            recipients=["bob@example.com",
                                        "gone@example.com"])
        large = daemon.send(content=content)
        with daemon.client() as client:
            client.ehlo()
            client.starttls()
            client.ehlo()
            client.mail("", ["bob@example.com"], message())
        self.assertEqual(len(daemon.held()), 3)
        self.assertEqual(below_received(daemon.ctl("cat", large).out),
                         content)
        daemon.sink.on["RCPT"] = lambda session, address: \
            "550 5.1.1 gone" if address.startswith("gone") else None
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 4)
        self.assertEqual(daemon.recipients(small)["gone@example.com"]
                         ["state"], "returned")
        for role in ROLES:
            pid = daemon.kill_role(role)
            wait_for(lambda: daemon.role_pids().get(role) not in
                     (None, pid))
            wait_for(lambda: daemon.takes_mail() and
                     daemon.ctl("status").code == 0)
        daemon.reload()
        daemon.restart()
        self.assertEqual(len(daemon.messages("state:any")), 4)

    def test_directory_that_cannot_be_read(self):
        daemon = self.ordinary("b")
        os.mkdir(daemon.spool, 0)
        daemon.launch()
        status = daemon.process.wait(20)
        daemon.process = None
        self.assertGreater(status, 0)
        self.assertIn(daemon.spool, daemon.log())

    def test_privileged_port(self):
        """Said in words, with the address."""
        daemon = self.ordinary("c")
        daemon.listen = ["127.0.0.1:25"]
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
            if int(file.read()) <= 25:
                self.skipTest("port 25 is free to all here")
        daemon.launch()
        status = daemon.process.wait(20)
        daemon.process = None
        self.assertGreater(status, 0)
        self.assertIn("127.0.0.1:25", daemon.log())


class RootTest(SpooldTest):
    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_unknown_user(self):
        daemon = self.configured(settings={"user": "no-such-user"})
        daemon.launch()
        self.assertGreater(daemon.process.wait(20), 0)
        daemon.process = None
        self.assertIn("no-such-user", daemon.log())


if __name__ == "__main__":
    main()
