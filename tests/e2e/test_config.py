#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Command line and configuration of spoold: -n, -V, errors with file and
line."""

import os
import re
import shutil
import subprocess

from client import Client
from spoold_test import (BUILD, Result, SpooldTest, free_port, main, message,
                         test_directory, wait_for)

GOOD = """hostname = "mx2.example.com"
spool    = "SPOOL"          # a comment
control  = SPOOL/control
user     = "nobody"

listen smtp { address = "127.0.0.1:2525" }
target office {
    hosts = { "127.0.0.1:2526", mail.example.com }
    port  = 25
    probe-min = "30s"
}
domain "example.com" {
    target = "office"
}
limit { message-size = "25M" }
"""

# What is appended to GOOD, or replaced in it, and what the reason must name.
BAD = [
    ("colour = red", "colour"),
    ("limit2 { recipients = 5 }", "limit2"),
    ("domain x.test { target = office\n tarpit = 5s }", "tarpit"),
    ("domain x.test { }", "target"),
    ("domain x.test { target = nowhere }", "nowhere"),
    ("domain example.com { target = office }", "example.com"),
    ("domain EXAMPLE.com { target = office }", "(?i)example.com"),
    ("domain \"not a domain\" { target = office }", "not a domain"),
    ("domain x.test { target = office\n recipients = list }",
     "recipient-file"),
    ("domain x.test { target = office\n recipients = some }", "some"),
    ("domain x.test { target = office\n recipients = learned }",
     "later version"),
    ("domain x.test { target = office\n hold-for = 5 }", "duration"),
    ("domain x.test { target = office\n hold-for = 0.5s }", "0.5s"),
    ("domain x.test { target = office\n hold-for = -1d }", "-1d"),
    ("domain x.test { target = office\n warn-after = 400d }", "400d"),
    ("target office { hosts = mail.test }", "office"),
    ("target t { }", "hosts"),
    ("target t { hosts = { } }", "hosts"),
    ("target t { hosts = \"a:b:c\" }", "a:b:c"),
    ("target t { hosts = mail.test:99999 }", "99999"),
    ("target t { hosts = mail.test\n port = 0 }", "0"),
    ("target t { hosts = mail.test\n port = 0x19 }", "0x19"),
    ("target t { hosts = mail.test\n connections = many }", "many"),
    ("target t { mx = true }", "mx-domain"),
    ("target t { hosts = mail.test\n tls-ca = x }", "tls = verify"),
    ("target t { hosts = mail.test\n tls = maybe }", "maybe"),
    ("target t { hosts = mail.test\n client = sometimes }", "sometimes"),
    ("target t { hosts = mail.test\n probe-min = 10m\n probe-max = 5m }",
     "probe-m"),
    ("target t { hosts = mail.test\n probe-min = 1ms }", "1ms"),
    ("store { seal = maybe }", "is not known"),
    ("store { compression = 22 }", "22"),
    ("store { compression = -1 }", "-1"),
    ("store {", "not closed"),
    ("limit { memory = 1X }", "1X"),
    ("limit { message-size = 5M }", "message-size"),
    ("limit { errors = 5\n", "not closed"),
    ("tls { certificate = /x }", "key"),
    ("listen smtp { address = \"127.0.0.1:2527\" }", "smtp"),
    ("listen pop3 { address = \"127.0.0.1:2527\" }", "pop3"),
    ("listen { address = \"127.0.0.1:2527\" }", "listen"),
    ("include(\"/nonexistent/file\")", "/nonexistent/file"),
    ("hostname = other.test", "hostname"),
    ("= 5", "."),
    ("\"", "."),
    ("}", "."),
    ("hostname", "."),
    ("\xff\xfe", "."),
]


class ConfigTest(SpooldTest):
    def setUp(self):
        super().setUp()
        self.directory = test_directory()
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "spoold.conf")
        self.good = GOOD.replace("SPOOL", self.directory)

    def write(self, text, name="spoold.conf"):
        with open(os.path.join(self.directory, name), "w",
                  encoding="latin-1") as file:
            file.write(text)

    def spoold(self, *arguments):
        return Result(subprocess.run(
            [os.path.join(BUILD, "spoold"), *arguments], timeout=30,
            stdin=subprocess.DEVNULL, capture_output=True,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}))

    def check(self):
        return self.spoold("-c", self.path, "-n")

    def test_good(self):
        self.write(self.good)
        result = self.check()
        self.assertEqual((result.code, result.err), (0, ""), result)
        self.assertEqual(os.listdir(self.directory), ["spoold.conf"])

    def test_bad(self):
        lines = self.good.count("\n")
        for text, reason in BAD:
            with self.subTest(text=text):
                self.write(self.good + text + "\n")
                result = self.check()
                self.assertEqual(result.code, 1, result)
                match = re.match(r"(?:spoold: )?%s:(\d+): (.+)\n\Z" %
                                 re.escape(self.path), result.err, re.S)
                self.assertIsNotNone(match, result)
                self.assertTrue(
                    lines < int(match.group(1)) <=
                    lines + 3 + text.count("\n"), result)
                self.assertRegex(match.group(2), reason)
                self.assertNotIn("\n", match.group(2))

    def test_bad_in_the_middle(self):
        for old, new, line, reason in [
                ("port  = 25", "prot  = 25", 9, "prot"),
                ("\"30s\"", "\"30x\"", 10, "30x"),
                ("\"25M\"", "\"0\"", 15, "0"),
                ("127.0.0.1:2525", "127.0.0.1", 6, "127.0.0.1"),
                ("127.0.0.1:2525", "localhost:25:26", 6, "localhost"),
                ("\"office\"", "\"home\"", 13, "home"),
        ]:
            with self.subTest(new=new):
                self.write(self.good.replace(old, new))
                result = self.check()
                self.assertEqual(result.code, 1)
                self.assertIn("%s:%d: " % (self.path, line), result.err)
                self.assertIn(reason, result.err)

    def test_missing_sections(self):
        """Without a domain, a listen or a target there is nothing to do;
        the reason says what to write."""
        for head, word in (("domain", "domain"), ("listen", "listen")):
            text = re.sub(r"(?ms)^%s.*?\}\n" % head, "", self.good, count=1)
            self.write(text)
            result = self.check()
            self.assertEqual(result.code, 1, result)
            self.assertIn(word, result.err)

    def test_include(self):
        os.mkdir(os.path.join(self.directory, "conf.d"))
        self.write("domain example.org {\n    target = office\n}\n",
                   "conf.d/more.conf")
        self.write(self.good + "include(\"%s/conf.d/more.conf\")\n" %
                   self.directory)
        self.assertEqual(self.check().code, 0, self.check())
        self.write("domain example.org {\n    tarket = office\n}\n",
                   "conf.d/more.conf")
        result = self.check()
        self.assertEqual(result.code, 1)
        self.assertIn("conf.d/more.conf:2: ", result.err)
        self.write("include(\"%s\")\n" % self.path)
        self.assertEqual(self.check().code, 1, "includes itself")

    def test_no_file(self):
        result = self.spoold("-c", self.directory + "/none", "-n")
        self.assertEqual(result.code, 1)
        self.assertIn(self.directory + "/none", result.err)
        result = self.spoold("-c", self.directory + "/none")
        self.assertNotEqual(result.code, 0)
        self.assertIn("hostname", result.err, "says what to write")
        self.assertIn("demo", result.err, "or how to see it run")
        self.write("")
        result = self.check()
        self.assertEqual(result.code, 1)

    def test_unreadable_file(self):
        os.mkdir(self.path)
        self.assertEqual(self.check().code, 1)

    def test_options(self):
        self.assertRegex(self.spoold("-V").text, r"^spoold \d+\.\d+")
        self.assertEqual(self.spoold("-V").code, 0)
        for arguments in (("-Z",), ("-c",), ("-n", "stray")):
            result = self.spoold(*arguments)
            self.assertNotEqual(result.code, 0)
            self.assertIn("usage", result.err.lower())

    def test_bad_roles(self):
        """The inner option is of no use by hand."""
        for role in ("store", "nonsense"):
            self.assertNotEqual(self.spoold("-x", role).code, 0)

    def test_port_taken(self):
        daemon = self.configured()
        first = self.daemon()
        daemon.listen = first.listen
        daemon.launch()
        self.assertNotEqual(daemon.process.wait(20), 0)
        daemon.process = None
        self.assertIn(":%d" % first.port, daemon.log())
        first.send()

    def test_debug(self):
        """-d reaches the roles; without it the log has events only."""
        loud = self.configured()
        plain_command = loud.command_line
        loud.command_line = lambda: plain_command("-d")
        quiet = self.configured()
        for daemon in (loud, quiet):
            daemon.start()
            daemon.kill_role("control")
            wait_for(lambda: daemon.ctl("status").code == 0)
        self.assertIn("channel to control lost", loud.log())
        self.assertNotIn("channel to control lost", quiet.log())


class ReloadTest(SpooldTest):
    def test_new_domain_and_target(self):
        daemon = self.daemon()
        other = self.sink().start()
        with daemon.client() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<>")
            client.expect(550, "RCPT TO:<bob@example.org>")
            daemon.targets["home"] = {"hosts": ["127.0.0.1:%d" %
                                                other.port]}
            daemon.domains["example.org"] = {"target": "home"}
            daemon.reload()
            wait_for(lambda: client.cmd(
                "RCPT TO:<bob@example.org>") == 250, "the new domain")
        daemon.send(recipients=["bob@example.org"])
        wait_for(lambda: other.delivered)
        self.assertEqual({t["name"] for t in daemon.json("target", "list")},
                         {"office", "home"})

    def test_target_moves(self):
        daemon = self.daemon()
        daemon.send()
        daemon.wait_target("down")
        other = self.sink().start()
        daemon.targets["office"] = {"hosts": ["127.0.0.1:%d" % other.port]}
        daemon.reload()
        wait_for(lambda: other.delivered, "delivery to the new address")

    def test_domain_removed_while_mail_is_held(self):
        """What was accepted is still delivered; new mail is refused."""
        daemon = self.daemon(domains={"example.com": {},
                                      "example.org": {}})
        daemon.send(recipients=["bob@example.org"])
        del daemon.domains["example.org"]
        daemon.reload()
        with daemon.client() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<>")
            client.expect(550, "RCPT TO:<bob@example.org>")
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 1)

    def test_limits(self):
        daemon = self.daemon()
        daemon.limit["message-size"] = "20K"
        daemon.reload()

        def offered():
            with daemon.client() as client:
                client.ehlo()
                return client.extensions["SIZE"]

        wait_for(lambda: offered() == "20480", "the new limit")

    def test_listen_elsewhere(self):
        """The new address is served, the old one is not; sessions stay."""
        daemon = self.daemon()
        with daemon.client() as client:
            client.ehlo()
            old, daemon.port = daemon.port, free_port()
            daemon.listen = ["127.0.0.1:%d" % daemon.port]
            daemon.reload()
            wait_for(daemon.takes_mail, "the new address")

            def refused():
                try:
                    Client(old).close()
                    return False
                except OSError:
                    return True

            wait_for(refused, "the end of the old address")
            client.mail("", ["bob@example.com"], message())
        daemon.send()
        self.assertEqual(len(daemon.held()), 2)

    def test_mistake_keeps_the_old_one(self):
        daemon = self.daemon()
        mark = daemon.log_size()
        with open(daemon.config_path, "a") as file:
            file.write("rubbish = 1\n")
        daemon.write_config = lambda: None
        daemon.reload()
        self.assertRegex(daemon.log(mark), r"spoold\.conf:\d+: .*rubbish")
        daemon.send()
        self.assertIsNone(daemon.process.poll())


if __name__ == "__main__":
    main()
