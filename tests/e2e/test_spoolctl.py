#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""spoolctl: each command for people and for programs, exit codes, who may
ask."""

import base64
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from spoold_test import (BUILD, IS_ROOT, SpooldTest, main, message,
                         wait_for)

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")


class ReadTest(SpooldTest):
    def setUp(self):
        super().setUp()
        self.spoold = self.daemon(domains={"example.com": {},
                                           "example.org": {}})

    def fill(self):
        """Four messages that queries can tell apart."""
        spoold = self.spoold
        small = spoold.send("anna@client.test", ["bob@example.com"],
                            message(subject="invoice 17"))
        large = spoold.send("carl@other.test",
                            ["bob@example.com", "dora@example.org"],
                            message("x" * 50000 + "\r\n"))
        null = spoold.send("", ["eve@example.org"], message())
        with spoold.client(source="127.0.0.5") as client:
            client.ehlo("five.test")
            from_five = client.mail("anna@client.test",
                                    ["frank@example.org"], message())
        return small, large, null, from_five

    def test_status(self):
        self.fill()
        status = self.spoold.status()
        self.assertEqual(status["hostname"], "mx2.example.com")
        self.assertRegex(status["version"], r"^\d+\.\d+\.\d+$")
        self.assertGreater(status["uptime_ms"], 0)
        self.assertEqual(status["held"]["messages"], 4)
        self.assertEqual(status["held"]["ready"] + status["held"]["later"],
                         5)
        self.assertGreater(status["held"]["bytes"], 0)
        self.assertEqual(status["finished"], 0)
        self.assertFalse(status["space"]["full"])
        self.assertGreater(status["space"]["free"], 0)
        self.assertEqual(status["space"]["reserve"], 1 << 20)
        self.assertEqual([t["name"] for t in status["targets"]],
                         ["office"])
        self.assertEqual(status["counters"]["accepted"], 4)
        human = self.spoold.ctl("status")
        self.assertEqual((human.code, human.err), (0, ""))
        for word in ("office", "mx2.example.com", "held", "store"):
            self.assertIn(word, human.text)

    def test_list(self):
        ids = self.fill()
        listed = self.spoold.messages()
        self.assertEqual([m["id"] for m in listed], list(ids))
        one = listed[1]
        self.assertEqual(one["sender"], "carl@other.test")
        self.assertEqual(one["client"], "127.0.0.1")
        self.assertEqual(one["helo"], "client.test")
        self.assertEqual(one["protocol"], "ESMTP")
        self.assertEqual(one["origin"], "smtp")
        self.assertEqual(one["state"], "held")
        self.assertEqual(one["subject"], "a test")
        self.assertRegex(one["message_id"], r"^<\d+@client\.test>$")
        self.assertRegex(one["arrived"], ISO)
        self.assertGreater(one["size"], 50000)
        self.assertLess(one["stored"], one["size"])
        self.assertFalse(one["tls"])
        self.assertEqual(
            [(r["n"], r["address"], r["target"])
             for r in one["recipients"]],
            [(0, "bob@example.com", "office"),
             (1, "dora@example.org", "office")])
        result = self.spoold.ctl("--jsonl", "list")
        self.assertEqual([m["id"] for m in result.jsonl], list(ids))
        human = self.spoold.ctl("list")
        self.assertEqual(human.code, 0)
        for word in (*ids, "carl@other.test", "bob@example.com +1"):
            self.assertIn(word, human.text)

    def test_queries(self):
        small, large, null, five = self.fill()
        for query, ids in [
                ("from:anna@client.test", [small, five]),
                ("from:ANNA@client.test", [small, five]),
                ("from:*@client.test", [small, five]),
                ("from:<>", [null]),
                ("to:bob@*", [small, large]),
                ("to:dora@example.org", [large]),
                ("-to:bob@*", [null, five]),
                ("client:127.0.0.5", [five]),
                ("client:127.0.0.0/30", [small, large, null]),
                ("helo:five.test", [five]),
                ("size:>10K", [large]),
                ("size:<10K", [small, null, five]),
                ("subject:invoice", [small]),
                ("subject:\"invoice 17\"", [small]),
                ("target:office", [small, large, null, five]),
                ("target:other", []),
                ("since:1h", [small, large, null, five]),
                ("before:1h", []),
                ("state:held", [small, large, null, five]),
                ("state:delivered", []),
                ("state:any", [small, large, null, five]),
                ("id:" + large, [large]),
                ("from:anna* to:*@example.org", [five]),
        ]:
            with self.subTest(query=query):
                self.assertEqual(
                    [m["id"] for m in self.spoold.messages(query)], ids)
        self.assertEqual(
            [m["id"] for m in self.spoold.messages(
                "from:anna*", "to:*@example.org")], [five])
        for query in ("colour:red", "size:big", "since:soon", "from",
                      "state:lost"):
            with self.subTest(query=query):
                result = self.spoold.ctl("list", query)
                self.assertIn(result.code, (1, 2))
                self.assertIn(query.split(":")[0], result.err)
                self.assertEqual(result.out, b"")

    def test_show(self):
        large = self.fill()[1]
        shown = self.spoold.json("show", large)
        self.assertEqual(shown, self.spoold.messages()[1])
        self.assertEqual(self.spoold.json("show", large.lower()), shown)
        human = self.spoold.ctl("show", large)
        self.assertEqual(human.code, 0)
        for word in (large, "carl@other.test", "bob@example.com",
                     "dora@example.org", "127.0.0.1", "a test"):
            self.assertIn(word, human.text)

    def test_cat(self):
        content = b"S: x\r\n\r\n" + bytes(range(14, 256)) + b"\0\x1b\r\n" + \
            os.urandom(200000).replace(b"\r", b"r").replace(b"\n", b"n") + \
            b"\r\n"
        message_id = self.spoold.send(content=content)
        out = self.spoold.ctl("cat", message_id).out
        self.assertTrue(out.endswith(content))
        answer = self.spoold.json("cat", message_id)
        self.assertEqual(answer["id"], message_id)
        self.assertEqual(base64.b64decode(answer["content"]), out)

    def test_cat_on_a_terminal(self):
        """Content cannot steer the operator's terminal."""
        message_id = self.spoold.send(
            content=b"S: x\r\n\r\na\x1b]0;title\x07b\x9bc\r\n")
        master, slave = pty.openpty()
        done = subprocess.run(
            [os.path.join(BUILD, "spoolctl"), "-s", self.spoold.control,
             "cat", message_id], stdout=slave, stderr=slave, timeout=30)
        os.close(slave)
        out = os.read(master, 65536)
        os.close(master)
        self.assertEqual(done.returncode, 0, out)
        self.assertIn(b"title", out)
        self.assertIsNone(re.search(rb"[\x00-\x08\x0b-\x0c\x0e-\x1f\x9b]",
                                    out), out)

    def test_odd_bytes_stay_json_and_text(self):
        """A stranger's bytes break neither the JSON nor the terminal."""
        self.spoold.send("\u00e4@client.test", ["b\u00f6b@example.com"],
                         b"Subject: \xff\x1b]0;title\x07 \xe2\x80\xae\r\n"
                         b"Message-ID: <\x9b@x>\r\n\r\n",
                         "SMTPUTF8")
        self.assertEqual(len(self.spoold.messages()), 1)
        self.assertEqual(len(self.spoold.ctl("--jsonl", "list").jsonl), 1)
        message_id = self.spoold.held()[0]
        for command in (("list",), ("show", message_id)):
            out = self.spoold.ctl(*command).out
            self.assertIsNone(re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", out),
                              out)
            out.decode("utf-8")

    def test_not_found(self):
        self.fill()
        for command in ("show", "cat", "retry"):
            result = self.spoold.ctl(command, "0000000000001")
            self.assertEqual(result.code, 1, result)
            self.assertEqual(result.out, b"")
            self.assertIn("0000000000001", result.err)
        self.assertIn(self.spoold.ctl("show", "rubbish!").code, (1, 2))
        self.assertEqual(
            self.spoold.ctl("target", "retry", "nowhere").code, 1)

    def test_usage(self):
        for arguments in ((), ("frobnicate",), ("show",), ("cat",),
                          ("show", "a", "b"), ("target",),
                          ("target", "explode"), ("--nonsense", "status"),
                          ("status", "extra"), ("retry",)):
            with self.subTest(arguments=arguments):
                result = self.spoold.ctl(*arguments)
                self.assertEqual(result.code, 2, result)
                self.assertEqual(result.out, b"")
                self.assertTrue(result.err)

    def test_help(self):
        result = self.spoold.ctl("help")
        self.assertEqual(result.code, 0)
        for command in ("status", "list", "show", "cat", "retry",
                        "target list", "target retry", "events", "version"):
            self.assertIn(command, result.text)
            one = self.spoold.ctl("help", *command.split())
            self.assertEqual(one.code, 0, command)
            self.assertIn(command, one.text)
        # Each sentence begins in the same column, and not in its command.
        for row in self.spoold.json("help"):
            self.assertRegex(result.text, r"(?m)^.{21} %s" %
                             re.escape(row["help"][:20]))
        self.assertEqual(self.spoold.ctl("--help").code, 0)
        self.assertNotEqual(self.spoold.ctl("help", "nonsense").code, 0)

    def test_version(self):
        result = self.spoold.ctl("version")
        self.assertEqual(result.code, 0)
        version = self.spoold.json("version")["version"]
        self.assertIn(version, result.text)
        self.assertEqual(version, self.spoold.status()["version"])

    def test_target_list(self):
        self.spoold.send()
        self.spoold.wait_target("down")
        target = self.spoold.target()
        self.assertEqual(
            {"name", "state", "since", "reason", "reachable_ms",
             "next_probe", "connections", "connections_max", "delivered",
             "deferred", "hosts"} - set(target), set())
        self.assertRegex(target["since"], ISO)
        self.assertRegex(target["next_probe"], ISO)
        self.assertIn("refused", target["reason"].lower())
        self.assertEqual(self.spoold.ctl("--jsonl", "target", "list")
                         .jsonl[0]["name"], "office")
        human = self.spoold.ctl("target", "list")
        self.assertEqual(human.code, 0)
        self.assertRegex(human.text, r"office\s.*down")
        self.spoold.sink.start()
        self.spoold.wait_target("up")
        target = self.spoold.target()
        self.assertIsNone(target["next_probe"])
        wait_for(lambda: self.spoold.target()["delivered"] == 1)

    def test_retry(self):
        spoold = self.spoold
        spoold.targets["office"].update({"retry-min": "1h",
                                         "retry-max": "1h"})
        spoold.restart()
        spoold.sink.on["RCPT"] = "450 4.2.1 busy"
        spoold.sink.start()
        ids = [spoold.send("anna@client.test"),
               spoold.send("carl@client.test"),
               spoold.send("dora@client.test")]
        wait_for(lambda: spoold.status()["held"]["later"] == 3)
        spoold.sink.on.clear()
        self.assertEqual(spoold.json("retry", "from:anna*"),
                         {"retried": 1})
        wait_for(lambda: spoold.held() == ids[1:])
        result = spoold.ctl("retry", ids[1], ids[2])
        self.assertEqual(result.code, 0, result)
        self.assertIn("2", result.text)
        spoold.wait_empty()
        self.assertEqual(
            {spoold.recipients(i)["bob@example.com"]["attempts"]
             for i in ids}, {2})

    def test_closed_pipe(self):
        """spoolctl list | head -1"""
        for _ in range(30):
            self.spoold.send()
        command = "%s -s %s list | head -1" % (
            os.path.join(BUILD, "spoolctl"), self.spoold.control)
        done = subprocess.run(["sh", "-c", command], capture_output=True,
                              timeout=30)
        self.assertEqual(done.stderr, b"")

    def test_long_lists_while_busy(self):
        """A list is whole while mail comes and goes."""
        with self.spoold.client() as client:
            client.ehlo()
            ids = [client.mail("", ["bob@example.com"], message())
                   for _ in range(1500)]
            stop = threading.Event()

            def load():
                with self.spoold.client() as other:
                    other.ehlo()
                    while not stop.is_set():
                        other.mail("", ["eve@example.org"], message())

            thread = threading.Thread(target=load)
            thread.start()
            try:
                for _ in range(3):
                    listed = [m["id"] for m in self.spoold.messages()]
                    self.assertEqual(listed, sorted(set(listed)))
                    self.assertEqual(set(ids) - set(listed), set())
            finally:
                stop.set()
                thread.join()

    def test_config_names_the_socket(self):
        result = subprocess.run(
            [os.path.join(BUILD, "spoolctl"), "-c",
             self.spoold.config_path, "--json", "status"],
            capture_output=True, timeout=30,
            env=self.spoold.environment())
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads(result.stdout)["hostname"],
                         "mx2.example.com")


class EventsTest(SpooldTest):
    def follow(self, daemon, *options):
        process = subprocess.Popen(
            [os.path.join(BUILD, "spoolctl"), "-s", daemon.control,
             *options, "events", "-f"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=daemon.environment())
        lines = []
        thread = threading.Thread(
            target=lambda: [lines.append(line) for line in process.stdout],
            daemon=True)
        thread.start()

        def end():
            process.send_signal(signal.SIGINT)
            process.wait(20)
            thread.join()
            process.stdout.close()
            process.stderr.close()

        self.addCleanup(end)
        return process, lines

    def feed(self, daemon, lines):
        """Mail until the follower sees some: it takes a moment to be
        there. Returns the id of the last message."""
        def seen():
            message_id = daemon.send()
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                if any(message_id.encode() in line and
                       b"accepted" in line for line in list(lines)):
                    return message_id
                time.sleep(0.02)
            return None
        return wait_for(seen, "an event")

    def test_json(self):
        daemon = self.daemon()
        _, lines = self.follow(daemon, "--jsonl")
        message_id = self.feed(daemon, lines)
        daemon.wait_target("down")
        daemon.sink.start()

        def of(event):
            events = [json.loads(line) for line in list(lines)]
            return [e for e in events if e["event"] == event and
                    message_id in (e.get("id"), None)]

        delivered = wait_for(lambda: of("delivered"))[0]
        accepted = of("accepted")[0]
        self.assertEqual(accepted["role"], "listener")
        self.assertRegex(accepted["time"], ISO)
        self.assertRegex(delivered["time"], ISO)
        wait_for(lambda: any(b"target-up" in line for line in list(lines)))

    def test_human(self):
        daemon = self.daemon()
        _, lines = self.follow(daemon)
        message_id = self.feed(daemon, lines)
        line = [li.decode() for li in lines if message_id.encode() in li
                and b"accepted" in li][0]
        self.assertRegex(line, r"\baccepted\b.*id=%s" % message_id)

    def test_two_followers_and_their_ends(self):
        daemon = self.daemon()
        first, lines = self.follow(daemon)
        second, more = self.follow(daemon)
        self.feed(daemon, lines)
        self.feed(daemon, more)
        first.kill()
        first.wait()
        count = len(more)
        daemon.send()
        wait_for(lambda: len(more) > count)
        daemon.stop()
        self.assertIn(second.wait(20), (0, 1, 3))

    def test_a_follower_that_does_not_read(self):
        """Costs neither memory nor mail."""
        daemon = self.daemon()
        process = subprocess.Popen(
            [os.path.join(BUILD, "spoolctl"), "-s", daemon.control,
             "events", "-f"], stdout=subprocess.PIPE,
            env=daemon.environment())
        try:
            process.send_signal(signal.SIGSTOP)
            with daemon.client() as client:
                client.ehlo()
                for _ in range(300):
                    client.mail("", ["bob@example.com"], message())
            self.assertEqual(len(daemon.held()), 300)
        finally:
            process.kill()
            process.communicate()


class DoorTest(SpooldTest):
    """Who may ask, and what happens when nobody answers."""

    def test_not_running(self):
        daemon = self.configured()
        daemon.write_config()
        for arguments in (("status",), ("--json", "list")):
            result = daemon.ctl(*arguments)
            self.assertEqual(result.code, 3, result)
            self.assertIn(daemon.control, result.err)
        result = subprocess.run(
            [os.path.join(BUILD, "spoolctl"), "-c", "/nonexistent",
             "status"], capture_output=True, timeout=30)
        self.assertIn(result.returncode, (2, 3))
        self.assertEqual(daemon.ctl("version").code, 0)
        self.assertEqual(daemon.ctl("help").code, 0)

    def test_stale_socket(self):
        """Left by a kill -9: no hindrance to the next start."""
        daemon = self.daemon()
        daemon.kill_all()
        self.assertEqual(daemon.ctl("status").code, 3)
        daemon.start()

    @unittest.skipUnless(IS_ROOT, "needs another user to ask as")
    def test_another_user(self):
        daemon = self.daemon()
        base = tempfile.mkdtemp(prefix="spoold-other-")
        self.addCleanup(shutil.rmtree, base)
        os.chmod(base, 0o755)
        shutil.copy(os.path.join(BUILD, "spoolctl"), base)
        for uid, may in ((0, True), (12345, False)):
            done = subprocess.run(
                ["setpriv", "--reuid=%d" % uid, "--clear-groups", "--",
                 base + "/spoolctl", "-s", daemon.control, "status"],
                capture_output=True, timeout=30, cwd="/",
                env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
            if may:
                self.assertEqual(done.returncode, 0, done.stderr)
            else:
                self.assertIn(done.returncode, (1, 3), done.stderr)
                self.assertNotEqual(done.stderr, b"")
                self.assertEqual(done.stdout, b"")
        # The mode of the socket is one door, the peer's credentials the
        # other: with the first open the second still holds.
        os.chmod(daemon.control, 0o666)
        done = subprocess.run(
            ["setpriv", "--reuid=12345", "--clear-groups", "--",
             base + "/spoolctl", "-s", daemon.control, "status"],
            capture_output=True, timeout=30, cwd="/",
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        self.assertIn(done.returncode, (1, 3))
        self.assertEqual(done.stdout, b"")

    def test_rubbish_on_the_socket(self):
        """Whoever may connect still cannot harm."""
        daemon = self.daemon()
        for rubbish in (b"", b"x", b"{}\n", b"GET / HTTP/1.0\r\n\r\n",
                        os.urandom(100000), b"\0" * 100000,
                        b"\xff" * 1000, b"[" * 100000,
                        b'{"command": "status"' + b" " * 1000000):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(daemon.control)
                try:
                    sock.sendall(rubbish)
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        pass
                except (OSError, TimeoutError):
                    pass
            self.assertEqual(daemon.ctl("status").code, 0)
        self.assertEqual(
            {r["restarts"] for r in daemon.status()["roles"]}, {0})


if __name__ == "__main__":
    main()
