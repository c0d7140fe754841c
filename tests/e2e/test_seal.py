#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Sealing: who has the spool, or the process that faces the network, reads
nothing that is stored; who has the key file, everything."""

import base64
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "interop"))

import spool_reader  # noqa: E402
from spoold_test import (IS_ROOT, SpooldTest, main,  # noqa: E402
                         message, wait_for)

MARKER = "xylophone-quartz-jackdaw-%d"


def memory_of(pid):
    """Everything a process can read of itself."""
    found = []
    with open("/proc/%d/maps" % pid) as maps, \
            open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            words = line.split()
            start, end = (int(n, 16) for n in words[0].split("-"))
            # The store's map of data.mdb is looked at as a file, and a
            # sanitizer's shadow, terabytes of nothing, not at all.
            if "r" not in words[1] or line.rstrip().endswith(".mdb") or \
                    "[v" in line or end - start > 1 << 30:
                continue
            try:
                memory.seek(start)
                found.append(memory.read(end - start))
            except (OSError, ValueError, OverflowError):
                continue
    return b"\0".join(found)


def files_below(directory):
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    yield path, file.read()


class SealTest(SpooldTest):
    def key_path(self, daemon):
        return daemon.path("spool.key")

    def secrets(self, daemon):
        with open(self.key_path(daemon)) as file:
            return [base64.b64decode(secret) for secret in
                    re.findall(r"^pair (\S+)", file.read(), re.M)]

    def drain(self, daemon):
        daemon.sink.start()
        daemon.wait_empty()

    def pairs(self, daemon):
        return daemon.json("key", "list")

    # --- what is stored

    def test_nothing_in_clear_on_disk(self):
        daemon = self.daemon()
        for n, size in enumerate((10, 5000, 300000)):
            body = (MARKER % n + "\r\n") + "filler\r\n" * (size // 8)
            daemon.send(content=message(body))
        daemon.stop()
        for path, text in files_below(daemon.spool):
            self.assertNotIn(b"xylophone", text, path)
            self.assertNotIn(self.secrets(daemon)[0], text, path)
        daemon.start()
        self.drain(daemon)
        self.assertEqual(
            sorted(n for n in range(3) for t in daemon.sink.delivered
                   if (MARKER % n).encode() in t.content), [0, 1, 2])

    def test_not_sealed_when_told_so(self):
        daemon = self.daemon(store={"seal": False, "compression": 0})
        daemon.send(content=message(MARKER % 1 + "\r\n"))
        daemon.store = {"seal": True, "compression": 0}
        daemon.restart()
        daemon.send(content=message(MARKER % 2 + "\r\n"))
        daemon.stop()
        text = b"".join(text for _, text in files_below(daemon.spool))
        self.assertIn((MARKER % 1).encode(), text)
        self.assertNotIn((MARKER % 2).encode(), text)
        daemon.store = {"seal": False}
        daemon.start()
        self.drain(daemon)  # both kinds, whatever is written now
        self.assertEqual(len(daemon.sink.delivered), 2)

    # --- the processes

    def reachable(self, daemon):
        """All that the listener and the store can get at."""
        pids = daemon.role_pids()
        found = {}
        for role in ("listener", "store"):
            try:
                found[role + "'s memory"] = memory_of(pids[role])
            except PermissionError:
                self.skipTest("the memory of a role cannot be read here")
            for fd in os.listdir("/proc/%d/fd" % pids[role]):
                path = "/proc/%d/fd/%s" % (pids[role], fd)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        found["%s's descriptor %s" % (role, fd)] = file.read()
            root = "/proc/%d/root/" % pids[role]
            if IS_ROOT and os.readlink("/proc/%d/root" % pids[role]) != "/":
                found.update(files_below(root))
        found.update(files_below(daemon.spool))
        return found

    @unittest.skipUnless(IS_ROOT, "roles are kept apart only when started as "
                         "root")
    def test_listener_and_store_cannot_read_what_is_stored(self):
        daemon = self.daemon()
        for n in range(20):
            daemon.send(content=message((MARKER % n + "\r\n") * 40))
        # Mail goes on: what is looked for was stored before.
        for n in range(30):
            daemon.send(content=message(
                random.Random(n).randbytes(20000).hex() + "\r\n"))
        found = self.reachable(daemon)
        shutil.copytree(daemon.spool, daemon.path("copy"), symlinks=True)
        reader = spool_reader.Spool(daemon.path("copy"),
                                    self.key_path(daemon))
        secret = self.secrets(daemon)[0]
        opens = {"the secret": secret,
                 "the secret, as text": base64.b64encode(secret)}
        for row in reader.messages():
            opens["the key of %d" % row["id"]] = reader.message_key(row)
            data_key = reader.keys[row["key"]]
            opens["data key %d" % row["key"]] = reader.sodium.open_box(
                data_key["sealed"], *reader.secrets[data_key["pair"]])
        self.assertGreater(len(opens), 50)
        # The search itself finds what is there: the public half.
        public = reader.sodium.public_of(secret)
        self.assertIn(public, found["listener's memory"])
        for where, text in found.items():
            for what, key in opens.items():
                self.assertNotIn(key, text, "%s in %s" % (what, where))
            self.assertNotIn(b"xylophone-quartz", text, where)

    def send_in_parts(self, client, marker, size, starttls=False):
        """A message whose end comes later than its middle, so that input is
        held over; the session stays open."""
        client.expect(250, "EHLO client.test")
        if starttls:
            client.starttls()
            client.expect(250, "EHLO client.test")
        client.expect(250, "MAIL FROM:<anna@client.test>")
        client.expect(250, "RCPT TO:<bob@example.com>")
        client.expect(354, "DATA")
        content = message("".join("%s line %d\r\n" % (marker, n)
                                  for n in range(size // 40)),
                          x_field=marker, subject="none")
        for at in range(0, len(content), 70001):
            client.send(content[at:at + 70001])
        client.expect(250, ".")

    def test_the_listener_forgets_content_at_once(self):
        daemon = self.daemon(tls=True)
        for n, (size, tls) in enumerate(
                ((400, False), (400, True), (300000, False),
                 (300000, True))):
            client = daemon.client()
            self.addCleanup(client.close)
            self.send_in_parts(client, MARKER % n, size, tls)
        # Taken with what follows it in one go.
        pipelined = daemon.client()
        self.addCleanup(pipelined.close)
        pipelined.expect(250, "EHLO client.test")
        pipelined.send(("MAIL FROM:<anna@client.test>\r\n"
                        "RCPT TO:<bob@example.com>\r\nDATA\r\n"))
        pipelined.send(message(MARKER % 4 + "\r\n", x_field=MARKER % 4) +
                       b"\r\n.\r\nNOOP\r\n")
        for code in (250, 250, 354, 250, 250):
            self.assertEqual(pipelined.reply(), code)
        try:
            memory = memory_of(daemon.role_pids()["listener"])
        except PermissionError:
            self.skipTest("the memory of a role cannot be read here")
        self.assertIn(b"client.test", memory)
        for n in range(5):
            self.assertEqual(
                [memory[at - 40:at + 60] for at in
                 [memory.find((MARKER % n).encode())] if at >= 0], [], n)

    # --- rotation

    def test_rotation_seals_everything_anew(self):
        daemon = self.daemon()
        for n in range(5):
            daemon.send(content=message(MARKER % n + "\r\n"))
        before = self.secrets(daemon)
        self.assertEqual(daemon.ctl("key", "rotate").code, 0)
        daemon.send(content=message(MARKER % 5 + "\r\n"))
        self.assertEqual(len(self.secrets(daemon)), 2)
        wait_for(lambda: len(self.pairs(daemon)) == 1,
                 "the former pair to go", 30)
        after = self.secrets(daemon)
        self.assertEqual(len(after), 1)
        self.assertNotIn(after[0], before)
        pair, = self.pairs(daemon)
        self.assertEqual((pair["state"], pair["messages"]), ("current", 6))
        self.assertRegex(daemon.log(), r"key-dropped pair=[0-9a-f]{16}")
        daemon.restart()
        self.drain(daemon)
        self.assertEqual(len(daemon.sink.delivered), 6)
        self.assertEqual(daemon.ctl("audit").code, 0)

    def test_killed_while_rotating(self):
        daemon = self.daemon()
        chance = random.Random(5)
        sent = 0
        for _ in range(8):
            for _ in range(3):
                daemon.send(content=message(MARKER % sent + "\r\n"))
                sent += 1
            self.assertEqual(daemon.ctl("key", "rotate").code, 0)
            time.sleep(chance.random() * 0.05)  # the moment is random
            if chance.random() < 0.5:
                daemon.kill_role(chance.choice(["store", "replay",
                                                "listener", "control"]))
                wait_for(daemon.takes_mail, "the role to be back")
            else:
                daemon.kill_all()
                daemon.start()
        wait_for(lambda: len(self.pairs(daemon)) == 1,
                 "the former pairs to go", 60)
        self.drain(daemon)
        self.assertEqual(len({t.content for t in daemon.sink.delivered}),
                         sent)
        self.assertEqual(daemon.ctl("audit").code, 0)

    def test_a_slow_store_is_waited_for(self):
        """What a writer sealed to the former pair may still be on its way
        when nothing in the store needs that pair."""
        daemon = self.daemon()
        store = daemon.role_pids()["store"]
        client = daemon.client()
        self.addCleanup(client.close)
        client.ehlo()
        client.expect(250, "MAIL FROM:<anna@client.test>")
        client.expect(250, "RCPT TO:<bob@example.com>")
        client.expect(354, "DATA")
        os.kill(store, signal.SIGSTOP)
        try:
            client.send(message(MARKER % 1 + "\r\n") + b".\r\n")
            self.assertTrue(client.silent(0.3))
            self.assertEqual(daemon.ctl("key", "rotate").code, 0)
            self.assertTrue(client.silent(1))
            self.assertEqual(len(self.secrets(daemon)), 2)
        finally:
            os.kill(store, signal.SIGCONT)
        code = client.reply().code
        self.assertIn(code, (250, 451))
        wait_for(lambda: len(self.secrets(daemon)) == 1,
                 "the former pair to go", 30)
        self.drain(daemon)
        self.assertEqual(len(daemon.sink.delivered), int(code == 250))

    def test_a_reload_reads_the_key_file(self):
        daemon = self.daemon()
        daemon.send(content=message(MARKER % 1 + "\r\n"))
        kept = daemon.path("kept.key")
        shutil.copy(self.key_path(daemon), kept)
        other = self.configured()
        other.start()
        other.stop()
        shutil.copy(self.key_path(other), self.key_path(daemon))
        daemon.reload()
        self.assertRegex(daemon.log(), r"key pair [0-9a-f]{16} is not in it")
        daemon.send(content=message(MARKER % 2 + "\r\n"))
        shutil.copy(kept, self.key_path(daemon))
        with open(self.key_path(daemon), "a") as file:
            file.write("lost 0123456789abcdef\n")
        daemon.reload()
        self.assertEqual(
            [(row["state"], row["messages"]) for row in self.pairs(daemon)],
            [("current", 2), ("lost", 0)])
        self.drain(daemon)

    # --- where the secret is

    def test_a_lost_secret_is_told_at_start(self):
        daemon = self.daemon()
        daemon.send(content=message(MARKER % 1 + "\r\n"))
        pair = self.pairs(daemon)[0]["pair"]
        daemon.stop()
        kept = daemon.path("kept.key")
        shutil.move(self.key_path(daemon), kept)
        os.unlink(os.path.join(daemon.spool, "spool.key"))
        daemon.launch()
        self.assertNotEqual(daemon.process.wait(20), 0)
        daemon.process = None
        log = daemon.log()
        self.assertRegex(log, "holds 1 messages .* sealed to key pair " + pair)
        self.assertIn("spoolctl key forget " + pair, log)
        # Found again: as if nothing had been.
        fresh = daemon.path("fresh.key")
        shutil.move(self.key_path(daemon), fresh)
        shutil.copy(kept, self.key_path(daemon))
        daemon.start()
        self.assertIn(MARKER % 1, daemon.ctl("cat", daemon.held()[0]).text)
        daemon.stop()
        # Gone for good.
        shutil.copy(fresh, self.key_path(daemon))
        subprocess.run([os.path.join(daemon.build, "spoolctl"), "-c",
                        daemon.config_path, "key", "forget", pair],
                       check=True, stdout=subprocess.DEVNULL)
        daemon.start()
        self.assertIn(("lost", 1), [(row["state"], row["messages"])
                                    for row in self.pairs(daemon)])
        daemon.send(content=message(MARKER % 2 + "\r\n"))
        daemon.sink.start()
        wait_for(lambda: len(daemon.sink.delivered) == 1, "the new message")
        wait_for(lambda: len(daemon.held()) == 1, "its end to be recorded")
        wait_for(lambda: re.search(
            r"damaged id=%s reason=.*key pair %s is lost" %
            (daemon.held()[0], pair), daemon.log()), "the reason to be told")
        result = daemon.ctl("cat", daemon.held()[0])
        self.assertEqual(result.code, 1)
        self.assertIn("secret of key pair " + pair, result.err)
        # Found after all.
        with open(self.key_path(daemon), "a") as file, open(kept) as found:
            file.write(re.search("^pair.*\n", found.read(), re.M).group())
        daemon.reload()
        wait_for(lambda: len(daemon.sink.delivered) == 2, "the old message")

    def test_another_configuration_finds_the_key(self):
        """The spool knows where its key file is."""
        daemon = self.daemon()
        daemon.send()
        daemon.stop()
        other = self.configured(sink=daemon.sink)
        other.spool = daemon.spool
        other.start()
        self.drain(other)

    def export_locked(self, daemon, passphrase):
        """key export --lock, typed at a terminal."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execv(os.path.join(daemon.build, "spoolctl"),
                     ["spoolctl", "-c", daemon.config_path, "key", "export",
                      "--lock"])
        text = b""
        asked = False
        while True:
            try:
                part = os.read(fd, 4096)
            except OSError:  # it ended
                break
            if not part:
                break
            text += part
            if not asked and b"Passphrase" in text:
                asked = True
                os.write(fd, passphrase.encode() + b"\n")
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        self.assertEqual(status, 0, text)
        return re.search(rb"spoold-keys-locked.*", text).group().decode()

    def test_a_passphrase_at_the_start(self):
        daemon = self.daemon()
        daemon.send(content=message(MARKER % 1 + "\r\n"))
        locked = self.export_locked(daemon, "open sesame")
        daemon.stop()
        self.assertNotIn(base64.b64encode(self.secrets(daemon)[0]).decode(),
                         locked)
        with open(self.key_path(daemon), "w") as file:
            file.write(locked + "\n")
        credentials = daemon.path("credentials")
        os.mkdir(credentials)
        for passphrase, starts in (("wrong", False), ("open sesame\n", True)):
            with open(os.path.join(credentials, "spool.passphrase"),
                      "w") as file:
                file.write(passphrase)
            daemon.environ = {"CREDENTIALS_DIRECTORY": credentials}
            daemon.launch()
            if not starts:
                self.assertNotEqual(daemon.process.wait(20), 0)
                self.assertIn("passphrase is wrong", daemon.log())
                continue
            daemon.wait_ready()
        daemon.reload()
        self.assertEqual(daemon.ctl("key", "rotate").code, 0)
        with open(self.key_path(daemon)) as file:  # locked as before
            self.assertRegex(file.read(), r"^spoold-keys-locked 1 ")
        self.drain(daemon)

    def test_a_passphrase_typed_at_the_start(self):
        daemon = self.daemon()
        daemon.send(content=message(MARKER % 1 + "\r\n"))
        locked = self.export_locked(daemon, "open sesame")
        daemon.stop()
        with open(self.key_path(daemon), "w") as file:
            file.write(locked + "\n")
        daemon.launch()  # nobody is there to type it
        self.assertNotEqual(daemon.process.wait(20), 0)
        self.assertIn("start spoold on a terminal", daemon.log())
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        command = daemon.command_line()
        daemon.command_line = lambda: [
            "/usr/bin/python3", "-c",
            "import os, sys; os.setsid(); os.open(sys.argv[1], os.O_RDWR); "
            "os.execv(sys.argv[2], sys.argv[2:])", os.ttyname(slave)] + command
        daemon.launch()
        asked = b""
        while b"Passphrase of" not in asked:
            asked += os.read(master, 1000)
        os.write(master, b"open sesame\n")
        daemon.wait_ready()
        os.close(slave)
        os.set_blocking(master, False)
        self.assertNotIn(b"sesame", os.read(master, 1000))
        self.drain(daemon)

    @unittest.skipUnless(IS_ROOT, "needs a second user")
    def test_a_key_file_from_other_hands_is_not_used(self):
        """Who can write to the spool could slip his own pair in."""
        daemon = self.daemon()
        daemon.stop()
        inside = os.path.join(daemon.spool, "spool.key")
        elsewhere = daemon.path("elsewhere")
        os.unlink(inside)
        for plant in (lambda: shutil.copy(daemon.path("kept"), inside),
                      lambda: os.symlink(elsewhere, inside)):
            if os.path.exists(self.key_path(daemon)):
                shutil.move(self.key_path(daemon), daemon.path("kept"))
            plant()
            os.lchown(inside, 65534, 65534)
            daemon.launch()
            self.assertNotEqual(daemon.process.wait(20), 0)
            daemon.process = None
            self.assertIn("was not made by spoold", daemon.log())
            self.assertFalse(os.path.exists(elsewhere))
            os.unlink(inside)

    def test_an_open_key_file_is_warned_of(self):
        daemon = self.daemon()
        daemon.stop()
        os.chmod(self.key_path(daemon), 0o644)
        daemon.start()
        self.assertRegex(daemon.log(), r"spool\.key: not only its owner")

    def test_a_credential_is_the_key_file(self):
        daemon = self.daemon()
        daemon.send()
        daemon.stop()
        credentials = daemon.path("credentials")
        os.mkdir(credentials)
        shutil.move(self.key_path(daemon),
                    os.path.join(credentials, "spool.key"))
        os.unlink(os.path.join(daemon.spool, "spool.key"))
        daemon.environ = {"CREDENTIALS_DIRECTORY": credentials}
        daemon.start()
        result = daemon.ctl("key", "rotate")
        self.assertEqual(result.code, 1)
        self.assertIn("credential", result.err)
        self.drain(daemon)

    def test_a_bad_key_file_stops_the_start(self):
        daemon = self.daemon()
        daemon.stop()
        with open(self.key_path(daemon), "a") as file:
            file.write("pear x\n")
        daemon.launch()
        self.assertNotEqual(daemon.process.wait(20), 0)
        daemon.process = None
        self.assertRegex(daemon.log(), r"spool\.key:\d+: a line begins with")


if __name__ == "__main__":
    main()
