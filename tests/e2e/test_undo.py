#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""What the operator takes back, sends elsewhere and gives back: undo,
redirect, return."""

import datetime
import os
import pty

import select
import subprocess
import threading

from client import message_id
from report import Report
from sink import by_address
from spoold_test import SpooldTest, main, message, wait_for


class SteerTest(SpooldTest):
    """office has example.com and is not there; spare and relay (which takes
    notices) are."""

    def begin(self, domain=None, limit=None, settings=None):
        self.spare, self.relay = self.sink(), self.sink()
        self.spoold = self.daemon(
            targets={"office": {},
                     "spare": {"hosts": ["127.0.0.1:%d" % self.spare.port]},
                     "relay": {"hosts": ["127.0.0.1:%d" % self.relay.port]}},
            domains={"example.com": {"return-target": "relay",
                                     **(domain or {})}},
            limit={"notices": "6000", **(limit or {})}, settings=settings)
        self.office = self.spoold.sink
        return self.spoold

    def states(self, message_id):
        return [r["state"] for r in
                self.spoold.json("show", message_id)["recipients"]]

    def wait_state(self, message_id, *expected):
        wait_for(lambda: self.states(message_id) == list(expected),
                 "%s to be %s" % (message_id, expected))

    def events(self, message_id):
        return [e["event"] for e in self.spoold.json("trace", message_id)]

    def assert_sound(self):
        self.assertEqual(self.spoold.ctl("audit").code, 0)
        check = self.spoold.ctl("check", "--content")
        self.assertEqual(check.code, 0, check)


class UndoTest(SteerTest):
    def test_each_command(self):
        daemon = self.begin()
        one = daemon.send(recipients=["bob@example.com"])
        two = daemon.send(recipients=["bob@example.com", "eve@example.com"])
        hold = daemon.json("hold", "--reason", "odd", "from:anna")
        self.assertEqual((hold["held"], hold["messages"]), (3, 2))
        release = daemon.json("release", "to:bob")
        discard = daemon.json("discard", two)
        self.assertEqual(discard["discarded"], 2)
        numbers = [hold["undo"], release["undo"], discard["undo"]]
        self.assertEqual(numbers, sorted(set(numbers)))
        listed = daemon.json("undo", "list")
        self.assertEqual([(c["number"], c["command"], c["deliveries"])
                          for c in listed],
                         [(numbers[0], "hold", 3), (numbers[1], "release", 2),
                          (numbers[2], "discard", 2)])
        self.assertEqual(listed[0]["reason"], "odd")
        self.assertEqual(daemon.status()["finished"], 1)

        dry = daemon.json("undo", "--dry-run")
        self.assertEqual((dry["undone"], dry["number"], dry["command"]),
                         (2, numbers[2], "discard"))
        undone = daemon.json("undo")
        self.assertEqual((undone["undone"], undone["messages"],
                          undone["left"]), (2, 1, 0))
        self.assertEqual(self.states(two), ["ready", "on-hold"])
        self.assertEqual(daemon.status()["finished"], 0)
        # Of the one before, both.
        self.assertEqual(daemon.json("undo")["undone"], 2)
        self.assertEqual(self.states(one) + self.states(two), ["on-hold"] * 3)
        self.assertEqual(daemon.status()["held"]["on_hold"], 3)
        daemon.restart()
        self.assertEqual(daemon.json("undo", str(numbers[0]))["undone"], 3)
        self.assertEqual(self.states(one) + self.states(two), ["ready"] * 3)
        self.assertEqual(daemon.json("undo", "list"), [])
        gone = daemon.ctl("undo")
        self.assertEqual((gone.code, "nothing to undo" in gone.err),
                         (1, True))
        self.assertEqual(daemon.ctl("undo", str(numbers[0])).code, 1)
        self.assertEqual(daemon.ctl("undo", "x").code, 1)
        self.assertIn("undone", self.events(one))
        self.office.start()
        daemon.wait_empty()
        self.assert_sound()

    def test_what_changed_since_stays(self):
        daemon = self.begin()
        one = daemon.send(recipients=["bob@example.com", "eve@example.com"])
        held = daemon.json("hold", one)["undo"]
        daemon.json("release", "to:bob")
        self.office.start()
        self.wait_state(one, "delivered", "on-hold")
        text = daemon.ctl("undo", str(held))
        self.assertEqual(text.code, 0, text)
        self.assertIn("1 delivery of 1 message as before", text.text)
        self.assertIn("1 changed since", text.text)
        self.wait_state(one, "delivered", "delivered")
        self.assert_sound()

    def test_again(self):
        """What was made ready once more by mistake has ended as before."""
        daemon = self.begin()
        one = daemon.send()
        self.office.start()
        self.wait_state(one, "delivered")
        self.office.stop()
        ended = daemon.recipients(one)["bob@example.com"]["changed"]
        daemon.json("hold", daemon.send())
        self.assertEqual(daemon.json("replay", "again", one)["again"], 1)
        self.assertEqual(daemon.json("undo")["undone"], 1)
        self.wait_state(one, "delivered")
        self.assertEqual(daemon.recipients(one)["bob@example.com"]["changed"],
                         ended)
        self.assertEqual(daemon.status()["finished"], 1)
        self.assert_sound()

    def test_waits_as_before(self):
        """A delivery that waited for its next try waits for the same."""
        daemon = self.begin()
        daemon.targets["office"] = {"retry-min": "1h", "retry-max": "2h"}
        daemon.reload()
        self.office.on["RCPT"] = "450 4.2.1 later"
        self.office.start()
        one = daemon.send()
        self.wait_state(one, "later")
        before = daemon.recipients(one)["bob@example.com"]
        daemon.json("hold", one)
        self.assertIsNone(daemon.recipients(one)["bob@example.com"]["next"])
        daemon.json("undo")
        after = daemon.recipients(one)["bob@example.com"]
        self.assertEqual((after["state"], after["next"], after["attempts"]),
                         ("later", before["next"], before["attempts"]))
        self.assert_sound()

    def test_many(self):
        """More than one portion; kept by compaction and in a backup."""
        daemon = self.begin()
        with daemon.client() as client:
            client.ehlo()
            for i in range(6):
                client.mail("anna@client.test",
                            ["user%d@example.com" % n for n in range(100)],
                            message())
        self.assertEqual(daemon.json("discard", "from:anna")["discarded"],
                         600)
        self.assertEqual(daemon.held(), [])
        daemon.json("compact")
        self.assertEqual(daemon.json("undo", "list")[0]["deliveries"], 600)
        self.assertEqual(daemon.ctl("check").code, 0)
        self.assertEqual(daemon.json("undo")["undone"], 600)
        self.assertEqual(len(daemon.held()), 6)
        self.assertEqual(daemon.json("undo", "list"), [])
        self.assert_sound()


    def test_a_backup_has_it(self):
        daemon = self.begin()
        one = daemon.send()
        daemon.json("hold", one)
        daemon.json("redirect", one, "spare")
        backup = daemon.path("backup")
        self.assertEqual(daemon.ctl("backup", backup).code, 0)
        daemon.json("undo")
        daemon.stop()
        subprocess.run(
            [os.path.join(daemon.build, "spoolctl"), "-c", daemon.config_path,
             "restore", backup], check=True, capture_output=True, timeout=120,
            env=daemon.environment())
        daemon.start()
        shown = daemon.recipients(one)["bob@example.com"]
        self.assertEqual((shown["target"], shown["home"]),
                         ("spare", "office"))
        daemon.json("undo")
        daemon.json("undo")
        shown = daemon.recipients(one)["bob@example.com"]
        self.assertEqual((shown["state"], shown["target"], shown["home"]),
                         ("ready", "office", None))
        self.assert_sound()


class RedirectTest(SteerTest):
    def test_there_and_back(self):
        daemon = self.begin()
        one = daemon.send(recipients=["bob@example.com"])
        two = daemon.send(recipients=["eve@example.com"])
        daemon.json("hold", two)
        answer = daemon.json("redirect", "--reason", "office burnt",
                             "target:office", "spare")
        self.assertEqual((answer["redirected"], answer["messages"],
                          answer["target"]), (2, 2, "spare"))
        # It goes there without a further command, what is on hold not.
        self.spare.start()
        self.wait_state(one, "delivered")
        self.assertEqual(self.spare.delivered[0].recipients,
                         ["bob@example.com"])
        shown = daemon.recipients(two)["eve@example.com"]
        self.assertEqual((shown["state"], shown["target"], shown["home"]),
                         ("on-hold", "spare", "office"))
        self.assertIn("office", daemon.ctl("show", two).text)
        self.assertEqual(daemon.ctl("redirect", "target:office",
                                    "spare").code, 1)
        entry, = [e for e in daemon.json("trace", one)
                  if e["event"] == "redirected"]
        self.assertEqual(entry["text"], "spare: office burnt")
        # Home again, by name and by --home.
        self.assertEqual(daemon.json("redirect", "--home",
                                     "state:held")["redirected"], 1)
        shown = daemon.recipients(two)["eve@example.com"]
        self.assertEqual((shown["target"], shown["home"]), ("office", None))
        daemon.json("redirect", two, "spare")
        daemon.json("redirect", two, "office")
        self.assertIsNone(daemon.recipients(two)["eve@example.com"]["home"])
        daemon.json("release", two)
        self.office.start()
        self.wait_state(two, "delivered")
        self.assertEqual(len(self.office.delivered), 1)
        self.assert_sound()

    def test_undo(self):
        daemon = self.begin()
        one = daemon.send()
        daemon.json("hold", one)
        daemon.json("redirect", one, "spare")
        daemon.json("redirect", one, "relay")
        daemon.json("undo")
        shown = daemon.recipients(one)["bob@example.com"]
        self.assertEqual((shown["target"], shown["home"]),
                         ("spare", "office"))
        daemon.json("undo")
        shown = daemon.recipients(one)["bob@example.com"]
        self.assertEqual((shown["target"], shown["home"]), ("office", None))
        self.assert_sound()

    def test_what_makes_no_sense(self):
        daemon = self.begin()
        one = daemon.send()
        for arguments in ((one,), (one, "nowhere"), ("target:office",),
                          ("--home",), ("nonsense", "spare")):
            self.assertEqual(daemon.ctl("redirect", *arguments).code, 2,
                             arguments)
        self.assertEqual(daemon.ctl("redirect", "--home", one).code, 1)
        self.assertEqual(daemon.json("redirect", "--dry-run", one,
                                     "spare")["redirected"], 1)
        self.assertIsNone(daemon.recipients(one)["bob@example.com"]["home"])

    def test_the_old_target_does_not_speak_for_it(self):
        """What was under way there is not returned by its refusal."""
        daemon = self.begin()
        gate, dots = threading.Event(), []

        def on_dot(session, argument):
            dots.append(session)
            gate.wait(60)
            return "554 5.3.0 broken"

        self.office.on["DOT"] = on_dot
        self.office.start()
        one = daemon.send()
        wait_for(lambda: dots, "the final dot")
        daemon.json("redirect", one, "spare")
        gate.set()
        self.spare.start()
        self.wait_state(one, "delivered")
        self.assertEqual(len(self.spare.delivered), 1)
        self.assertEqual(self.relay.delivered, [])
        self.assertNotIn("returned", self.events(one))
        self.assert_sound()


class ReturnTest(SteerTest):
    def test_a_notice(self):
        daemon = self.begin()
        self.relay.start()
        one = daemon.send(recipients=["bob@example.com", "eve@example.com"])
        two = daemon.send("zoe@client.test", ["bob@example.com"])
        dry = daemon.json("return", "--dry-run", "from:anna")
        self.assertEqual((dry["returned"], dry["messages"]), (2, 1))
        self.assertEqual(self.states(one), ["ready", "ready"])
        answer = daemon.json("return", "--reason", "the office is closed",
                             "from:anna")
        self.assertEqual((answer["returned"], answer["messages"],
                          answer["left"]), (2, 1, 0))
        self.assertNotIn("undo", answer)
        self.assertEqual(self.states(one), ["returned", "returned"])
        wait_for(lambda: self.relay.delivered, "the notice")
        report = Report(self.relay.delivered[0].content)
        self.assertEqual([(f["action"], f["status"], f["final-recipient"])
                          for f in report.recipients],
                         [("failed", "5.3.0", "rfc822; bob@example.com"),
                          ("failed", "5.3.0", "rfc822; eve@example.com")])
        self.assertIn("administrators of this server send it back",
                      report.words)
        self.assertIn("send the message again later", report.words)
        self.assertNotIn("the office is closed", report.words)
        entries = [e for e in daemon.json("trace", one)
                   if e["event"] == "returned"]
        self.assertEqual([e["text"] for e in entries],
                         ["the office is closed"] * 2)
        self.assertTrue(all(e["by"] for e in entries))
        self.assertEqual(daemon.counter("returned"), 2)
        self.assertEqual(self.states(two), ["ready"])
        self.assertEqual(daemon.ctl("return", "from:anna").code, 1)
        self.assertEqual(daemon.ctl("undo").code, 1)
        self.office.start()
        self.wait_state(two, "delivered")
        self.assertEqual(len(self.office.delivered), 1)
        self.assert_sound()

    def test_who_cannot_be_told(self):
        """Their mail stays, and the reason is said."""
        daemon = self.begin(domain={"return": "never"})
        self.relay.start()
        null = daemon.send("", ["bob@example.com"])
        with daemon.client() as client:
            client.ehlo()
            client.expect(250, "MAIL FROM:<zoe@client.test>")
            client.expect(250, "RCPT TO:<eve@example.com> NOTIFY=NEVER")
            quiet = message_id(client.data(message()))
        told = daemon.send()
        result = daemon.ctl("return", "state:held")
        self.assertEqual(result.code, 1)
        self.assertIn("1 delivery of 3 messages given back", result.text)
        self.assertIn("2 cannot be returned and stay, first %s: the sender "
                      "is null" % null, result.err)
        self.assertEqual(self.states(told), ["returned"])
        self.assertEqual(self.states(null) + self.states(quiet),
                         ["ready", "ready"])
        wait_for(lambda: self.relay.delivered, "the notice")
        self.assert_sound()

    def test_under_way(self):
        daemon = self.begin()
        gate, dots = threading.Event(), []

        def on_dot(session, argument):
            dots.append(session)
            gate.wait(60)
            return None

        self.office.on["DOT"] = on_dot
        self.office.start()
        one = daemon.send()
        wait_for(lambda: dots, "the final dot")
        result = daemon.ctl("return", one)
        self.assertEqual(result.code, 1)
        self.assertIn("being delivered at this moment", result.err)
        gate.set()
        self.wait_state(one, "delivered")
        self.assert_sound()

    def test_many_at_their_moments(self):
        """Hundreds at once make no burst of notices."""
        daemon = self.begin(limit={"notices": "60"})
        self.relay.start()
        with daemon.client() as client:
            client.ehlo()
            for i in range(300):
                client.mail("s%d@client.test" % i, ["bob@example.com"],
                            message())
        answer = daemon.json("return", "state:held")
        self.assertEqual((answer["returned"], answer["messages"]), (300, 300))
        waiting = daemon.messages("state:later")
        due = sorted(datetime.datetime.fromisoformat(
            m["recipients"][0]["next"]) for m in waiting)
        self.assertGreater(len(due), 100)
        for earlier, later in zip(due, due[1:]):
            self.assertGreaterEqual((later - earlier).total_seconds(), 0.99)
        self.assertEqual(daemon.ctl("check").code, 0)

    def ask(self, answer):
        """spoolctl at a terminal, which says answer."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [os.path.join(self.spoold.build, "spoolctl"), "-s",
             self.spoold.control, "return", "state:held"], stdin=theirs,
            stdout=theirs, stderr=theirs, env=self.spoold.environment())
        os.close(theirs)
        said = b""
        while b"[y/N]" not in said:
            self.assertTrue(select.select([ours], [], [], 60)[0], said)
            said += os.read(ours, 4096)
        os.write(ours, answer + b"\n")
        status = process.wait(60)
        os.close(ours)
        return status, said.decode()

    def test_asks_at_a_terminal(self):
        daemon = self.begin()
        one = daemon.send()
        status, said = self.ask(b"n")
        self.assertEqual(status, 1)
        self.assertIn("1 delivery of 1 message would be given back", said)
        self.assertEqual(self.states(one), ["ready"])
        self.assertEqual(self.ask(b"y")[0], 0)
        self.assertEqual(self.states(one), ["returned"])


if __name__ == "__main__":
    main()
