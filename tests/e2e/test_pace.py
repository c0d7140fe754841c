#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""How a target is paced: pause, turns, limits, what it bears."""

import time

from spoold_test import SpooldTest, main, wait_for


class PauseTest(SpooldTest):
    def test_pause_and_resume(self):
        """Nothing goes out, mail is taken, and it survives a restart."""
        daemon = self.daemon()
        daemon.sink.start()
        self.assertEqual(daemon.ctl("target", "pause", "office").code, 0)
        self.assertEqual(daemon.target()["state"], "paused")
        daemon.send()
        daemon.restart()
        target = daemon.target()
        self.assertEqual(target["state"], "paused")
        self.assertEqual(target["paused_by"], "root")
        self.assertEqual(len(daemon.held()), 1)
        self.assertEqual(daemon.sink.sessions, [])
        self.assertEqual(daemon.ctl("target", "retry", "office").code, 0)
        self.assertEqual(daemon.target()["state"], "paused")
        self.assertEqual(daemon.ctl("target", "resume", "office").code, 0)
        daemon.wait_empty()
        self.assertRegex(
            daemon.log(), r"(?s)target-paused target=office by=root "
            r"reason=.*pause-ended target=office by=root"
            r".*target-returning.*target-up")

    def test_pause_for_a_time(self):
        """It ends by itself and says so."""
        daemon = self.daemon()
        daemon.sink.start()
        reply = daemon.json("target", "pause", "--for", "1s", "office")
        self.assertIsNotNone(reply["until"])
        daemon.send()
        self.assertEqual(daemon.target()["state"], "paused")
        self.assertIsNotNone(daemon.target()["paused_until"])
        daemon.wait_empty()
        self.assertIn('pause-ended target=office by="its time is over"',
                      daemon.log())

    def test_what_makes_no_sense(self):
        daemon = self.daemon()
        for words in (["pause", "nowhere"], ["resume", "office"]):
            self.assertEqual(daemon.ctl("target", *words).code, 1)
        for words in (["pause"], ["pause", "--for", "never", "office"]):
            self.assertEqual(daemon.ctl("target", *words).code, 2)


class LimitTest(SpooldTest):
    def test_message_rate(self):
        """One a second."""
        daemon = self.daemon(targets={"office": {"message-rate": "60"}})
        daemon.sink.start()
        for _ in range(4):
            daemon.send()
        daemon.wait_empty()
        when = [t.when for t in daemon.sink.delivered]
        self.assertGreater(when[3] - when[0], 1.9)

    def test_total(self):
        """Two targets share two connections."""
        other = self.sink().start()
        daemon = self.daemon(
            limit={"target-connections": "2"},
            targets={"office": {},
                     "other": {"hosts": ["127.0.0.1:%d" % other.port]}},
            domains={"example.com": {}, "example.net": {"target": "other"}})
        seen = []
        for sink in (daemon.sink, other):
            sink.on["DOT"] = lambda session, t: seen.append(
                len(daemon.sink.open_sessions) + len(other.open_sessions))
        for n in range(40):
            daemon.send(recipients=["bob@example." + ("com", "net")[n % 2]])
        daemon.sink.start()
        daemon.wait_empty()
        self.assertLessEqual(max(seen), 4)  # what is on its way included


class EtaTest(SpooldTest):
    def test_when_the_backlog_will_be_gone(self):
        daemon = self.daemon(targets={"office": {"message-rate": "120"}})
        for _ in range(60):
            daemon.send()
        daemon.wait_target("down")
        self.assertIsNone(daemon.target()["drain"]["eta"])
        daemon.sink.start()
        wait_for(lambda: len(daemon.sink.delivered) >= 3)
        for drain in (daemon.target()["drain"],
                      daemon.json("target", "show", "office")["drain"],
                      daemon.json("status")["targets"][0]["drain"]):
            self.assertGreater(drain["out"], drain["in"])
            self.assertIn(drain["left"], range(1, 58))
            self.assertIsNotNone(drain["eta"])
        self.assertRegex(daemon.ctl("target", "show", "office").text,
                         r"Drain +[0-9.]+ messages a second out, .* left")
        self.assertRegex(daemon.ctl("status").text, r" ETA ")
        daemon.ctl("target", "set", "office", "message-rate=100000")
        daemon.wait_empty()
        self.assertEqual(daemon.target()["drain"]["left"], 0)


class TurnsTest(SpooldTest):
    def test_domains_and_recipients_take_turns(self):
        """A flood of one sender, to one recipient, delays nobody else."""
        daemon = self.daemon(targets={"office": {"connections": 1}})
        for _ in range(60):
            daemon.send("flood@flood.test", ["bob@example.com"])
        daemon.send("flood@flood.test", ["carl@example.com"])
        daemon.send("other@quiet.test", ["bob@example.com"])
        daemon.wait_target("down")
        daemon.sink.start()
        daemon.wait_empty()
        order = [(t.sender, t.recipients[0]) for t in daemon.sink.delivered]
        self.assertLess(order.index(("other@quiet.test", "bob@example.com")),
                        6)
        self.assertLess(order.index(("flood@flood.test", "carl@example.com")),
                        10)

    def test_live_mail_while_a_backlog_drains(self):
        daemon = self.daemon(targets={"office": {
            "connections": 1, "message-rate": "3000"}})
        for _ in range(100):
            daemon.send("old@old.test")
        daemon.wait_target("down")
        daemon.sink.start()
        wait_for(lambda: daemon.sink.delivered)
        begin = time.monotonic()
        daemon.send("live@live.test")
        wait_for(lambda: any(t.sender == "live@live.test"
                             for t in daemon.sink.delivered))
        waited = time.monotonic() - begin
        done = len(daemon.sink.delivered)
        self.assertLess(done, 60, "before most of the backlog")
        self.assertLess(waited, 5)
        daemon.wait_empty()


class PreferTest(SpooldTest):
    def order(self, daemon):
        return [t.sender for t in daemon.sink.delivered]

    def away(self):
        """A target that is not there, with one connection."""
        return self.daemon(targets={"office": {"connections": 1}})

    def test_preferred_goes_first(self):
        """What is held and what comes in, but not what does not match."""
        daemon = self.away()
        for n in range(40):
            daemon.send("bulk@b%d.test" % n)
        chosen = [daemon.send("vip@z%d.test" % n) for n in range(3)]
        reply = daemon.json("prefer", "--reason", "the board", "from:vip@*")
        self.assertEqual((reply["preferred"], reply["rule"]), (3, 1))
        daemon.send("vip@zz.test")
        rules = daemon.json("prefer", "list")
        self.assertEqual([(r["rule"], r["query"], r["reason"], r["until"])
                          for r in rules],
                         [(1, "from:vip@*", "the board", None)])
        self.assertEqual(daemon.ctl("check").code, 0)
        daemon.restart()
        daemon.wait_target("down")
        daemon.sink.start()
        daemon.wait_empty()
        order = self.order(daemon)
        self.assertEqual(len(order), 44)
        # The canary may have been picked before.
        self.assertLess(max(n for n, sender in enumerate(order)
                            if sender.startswith("vip")), 6, order)
        self.assertEqual(len(chosen), 3)
        self.assertRegex(daemon.log(), r" prefer by=\S+ rule=1 messages=3 "
                         r"done=3")

    def test_first_rule_first(self):
        daemon = self.away()
        for sender in ("c@c.test", "b@b.test", "a@a.test"):
            for _ in range(4):
                daemon.send(sender)
        self.assertEqual(daemon.json("prefer", "from:a@*")["rule"], 1)
        self.assertEqual(daemon.json("prefer", "from:b@* to:*")["rule"], 2)
        # A message has one rule: the first.
        reply = daemon.json("prefer", "to:*")
        self.assertEqual((reply["preferred"], reply["messages"]), (4, 12))
        daemon.wait_target("down")
        daemon.sink.start()
        daemon.wait_empty()
        order = "".join(sender[0] for sender in self.order(daemon))
        self.assertLess(order.rindex("a"), order.rindex("b"), order)
        self.assertLess(order.rindex("b"), order.rindex("c"), order)
        self.assertLess(order.rindex("a"), 7, order)

    def test_removed(self):
        """Taken back: turns again; the number is not used again."""
        daemon = self.away()
        for n in range(10):
            daemon.send("bulk@b%d.test" % n)
        for _ in range(10):
            daemon.send("vip@vip.test")
        self.assertEqual(daemon.json("prefer", "from:vip@*")["rule"], 1)
        self.assertEqual(daemon.ctl("prefer", "remove", "1").code, 0)
        self.assertEqual(daemon.ctl("prefer", "remove", "1").code, 1)
        self.assertEqual(daemon.json("prefer", "list"), [])
        self.assertEqual(daemon.ctl("check").code, 0)
        daemon.wait_target("down")
        daemon.sink.start()
        daemon.wait_empty()
        order = self.order(daemon)
        self.assertLess(order.index("bulk@b0.test"), 6, order)
        self.assertEqual(daemon.json("prefer", "from:vip@*")["rule"], 2)
        self.assertIn("prefer-ended rule=1 by=", daemon.log())

    def test_for_a_time(self):
        daemon = self.away()
        reply = daemon.json("prefer", "--for", "1s", "from:vip@*")
        self.assertEqual(reply["preferred"], 0)
        wait_for(lambda: 'prefer-ended rule=1 by="its time is over"'
                 in daemon.log())
        self.assertEqual(daemon.json("prefer", "list"), [])

    def test_what_is_no_rule(self):
        daemon = self.away()
        daemon.send("vip@vip.test")
        self.assertEqual(daemon.ctl("prefer", "nonsense:1").code, 2)
        self.assertEqual(daemon.ctl("prefer", "remove", "x").code, 2)
        reply = daemon.json("prefer", "--dry-run", "from:vip@*")
        self.assertEqual((reply["preferred"], reply["dry_run"]), (1, True))
        self.assertEqual(daemon.json("prefer", "list"), [])
        for n in range(16):
            self.assertEqual(daemon.ctl("prefer", "from:%d@*" % n).code, 0)
        self.assertEqual(daemon.ctl("prefer", "from:x@*").code, 1)


if __name__ == "__main__":
    main()
