#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The recovery guard: a target that is back, but not well, costs no mail."""

from spoold_test import SpooldTest, main, wait_for

NO_USER = "550 5.1.1 no such user"


class GuardTest(SpooldTest):
    def guarded(self, **target):
        return self.daemon(targets={"office": {
            "guard": True, "connections": "2", **target}})

    def back_but_not_well(self, daemon, messages=8):
        """Held while it is away; then it refuses everybody."""
        ids = [daemon.send() for _ in range(messages)]
        daemon.wait_target("down")
        daemon.sink.on["RCPT"] = NO_USER
        daemon.sink.start()
        daemon.wait_target("paused")
        return ids

    def check_nothing_returned(self, daemon, ids):
        self.assertEqual(daemon.held(), ids)
        for name in ("returned", "dropped"):
            self.assertEqual(daemon.counter(name), 0)
        self.assertNotIn("returned id=", daemon.log())
        for message_id in ids:
            for recipient in daemon.recipients(message_id).values():
                self.assertIn(recipient["state"], ("ready", "later"))

    def test_refuses_everybody(self):
        """Paused, one alarm, nothing returned; then it is restored."""
        daemon = self.guarded()
        ids = self.back_but_not_well(daemon)
        target = daemon.target()
        self.assertEqual(target["paused_by"], "guard")
        self.assertEqual(target["guard"], "watches")
        self.assertIn(NO_USER[4:], target["reason"])
        self.assertIsNone(target["paused_until"])
        alarms = daemon.status()["alarms"]
        self.assertEqual([(a["alarm"], a["target"]) for a in alarms],
                         [("guard", "office")])
        self.assertIn("was paused by its guard", daemon.ctl("status").text)
        self.assertIn("watches it", daemon.ctl("target", "show",
                                               "office").text)
        self.check_nothing_returned(daemon, ids)
        self.assertEqual(daemon.log().count(" guard target=office"), 1)
        refused = len(daemon.sink.sessions)
        daemon.sink.on["RCPT"] = None
        self.assertEqual(daemon.ctl("target", "resume", "office").code, 0)
        daemon.wait_empty()
        self.assertEqual(daemon.status()["alarms"], [])
        self.assertEqual(len(daemon.sink.delivered), len(ids))
        self.assertGreater(len(daemon.sink.sessions), refused)
        self.assertEqual(daemon.counter("returned"), 0)

    def test_resumed_too_early(self):
        """It refuses still: paused again, and still nothing is returned."""
        daemon = self.guarded()
        ids = self.back_but_not_well(daemon)
        self.assertEqual(daemon.ctl("target", "resume", "office").code, 0)
        wait_for(lambda: daemon.log().count(" guard target=office") == 2)
        daemon.wait_target("paused")
        self.check_nothing_returned(daemon, ids)

    def test_trusted(self):
        """The operator says that these are really gone."""
        daemon = self.guarded()
        ids = self.back_but_not_well(daemon)
        daemon.sink.on["RCPT"] = lambda session, address: \
            NO_USER if address == "bob@example.com" else None
        reply = daemon.ctl("target", "resume", "--trust", "office")
        self.assertEqual(reply.code, 0)
        daemon.wait_empty()
        self.assertEqual(daemon.counter("returned"), len(ids))
        self.assertNotIn(daemon.target()["state"], ("paused",))
        notices = [t for t in daemon.sink.delivered if t.sender == ""]
        self.assertEqual(len(notices), len(ids))

    def test_one_whom_it_knew(self):
        """A single refusal of somebody it took mail for before is enough."""
        daemon = self.guarded()
        daemon.sink.start()
        daemon.send()
        daemon.wait_empty()
        daemon.restart()  # only the store remembers
        daemon.sink.stop()
        ids = [daemon.send()]
        daemon.wait_target("down")
        daemon.sink.on["RCPT"] = NO_USER
        daemon.sink.start()
        daemon.wait_target("paused")
        self.assertIn("whom it took mail for", daemon.target()["reason"])
        self.check_nothing_returned(daemon, ids)

    def test_few_refusals_are_verdicts(self):
        """Among much that it takes, what it refuses goes back in the end."""
        daemon = self.guarded(**{"guard-messages": "8"})
        for n in range(8):
            daemon.send(recipients=["ann%d@example.com" % n])
        daemon.send(recipients=["gone@example.com"])
        daemon.wait_target("down")
        daemon.sink.on["RCPT"] = lambda session, address: \
            NO_USER if address == "gone@example.com" else None
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(daemon.counter("returned"), 1)
        self.assertEqual(daemon.target()["guard"], "none")
        self.assertNotIn(" guard target=", daemon.log())

    def test_never_away(self):
        """No guard where nothing has returned."""
        daemon = self.guarded()
        daemon.sink.on["RCPT"] = NO_USER
        daemon.sink.start()
        daemon.send()
        wait_for(lambda: daemon.counter("returned") == 1)

    def test_survives_restart(self):
        """Paused by the guard stays so, and so does the watch after it."""
        daemon = self.guarded()
        ids = self.back_but_not_well(daemon)
        daemon.restart()
        self.assertEqual(daemon.target()["paused_by"], "guard")
        self.assertEqual(len(daemon.status()["alarms"]), 1)
        self.check_nothing_returned(daemon, ids)
        self.assertEqual(daemon.ctl("target", "resume", "office").code, 0)
        wait_for(lambda: daemon.log().count(" guard target=office") == 2)
        self.check_nothing_returned(daemon, ids)

    def test_killed_in_the_middle(self):
        """Replay, and everything, dies again and again while it is watched:
        nothing is returned, nothing is lost, and it is paused in the end."""
        daemon = self.guarded(**{"guard-messages": "1000"})
        ids = [daemon.send() for _ in range(12)]
        daemon.wait_target("down")
        seen = []

        def refuse(session, address):
            seen.append(address)
            return NO_USER
        daemon.sink.on["RCPT"] = refuse
        daemon.sink.start()
        for n in range(4):
            before = len(seen)
            wait_for(lambda: len(seen) > before or
                     daemon.log().count(" guard target=office"))
            if n % 2:
                daemon.kill_all()
                daemon.start()
            else:
                daemon.kill_role("replay")
        daemon.wait_target("paused")
        self.check_nothing_returned(daemon, ids)
        daemon.sink.on["RCPT"] = None
        daemon.ctl("target", "resume", "office")
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), len(ids))


if __name__ == "__main__":
    main()
