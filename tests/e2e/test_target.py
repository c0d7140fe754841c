#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""target show and target set: limits of a target's pace for a time."""

import unittest

from spoold_test import SpooldTest, wait_for


class TargetTest(SpooldTest):

    def limits(self, daemon):
        return {l["limit"]: l["value"]
                for l in daemon.target()["limits"]}

    def test_show(self):
        daemon = self.daemon()
        for _ in range(3):
            daemon.send(recipients=["a@example.com", "b@example.com"])
        shown = daemon.json("target", "show", "office")
        self.assertEqual(shown["name"], "office")
        self.assertEqual(shown["domains"], ["example.com"])
        self.assertEqual(shown["waiting"],
                         {"messages": 3, "deliveries": 6, "more": False})
        self.assertEqual(shown["configuration"]["probe-min"], "100ms")
        self.assertEqual(shown["configuration"]["connections"], "20")
        self.assertEqual(shown["limits"], [])
        daemon.wait_target("down")
        text = " ".join(daemon.ctl("target", "show", "office").text.split())
        for part in ("State down since", "Ready 3 messages, 6 deliveries",
                     "Domains example.com", "retry-max = 400ms"):
            self.assertIn(part, text)
        result = daemon.ctl("target", "show", "nowhere")
        self.assertEqual(result.code, 1)
        self.assertIn("no target", result.err)

    def test_set_and_back(self):
        daemon = self.daemon()
        done = daemon.json("target", "set", "office", "connections=3")
        self.assertEqual(done["limits"],
                         [{"limit": "connections", "value": 3, "until": None,
                           "default": False}])
        self.assertEqual(daemon.target()["connections_max"], 3)
        self.assertIn(" limit-set ", daemon.log())
        self.assertIn("connections = 3 instead of 20", " ".join(
            daemon.ctl("target", "show", "office").text.split()))
        daemon.restart()
        self.assertEqual(self.limits(daemon), {"connections": 3})
        self.assertEqual(daemon.target()["connections_max"], 3)
        # The configuration is another one: what was set stays before it.
        daemon.targets["office"]["connections"] = 9
        daemon.reload()
        self.assertEqual(daemon.target()["connections_max"], 3)
        daemon.json("target", "set", "office", "connections=default")
        self.assertEqual(self.limits(daemon), {})
        self.assertEqual(daemon.target()["connections_max"], 9)

    def test_ends_by_itself(self):
        daemon = self.daemon()
        daemon.json("target", "set", "--for", "1500ms", "office",
                    "connections=2")
        self.assertEqual(daemon.target()["connections_max"], 2)
        self.assertIsNotNone(daemon.target()["limits"][0]["until"])
        wait_for(lambda: daemon.target()["connections_max"] == 20,
                 "the end of the limit")
        self.assertEqual(self.limits(daemon), {})
        self.assertRegex(daemon.log(), r" limit-ended target=office "
                                       r"limit=connections by=\S+\n")

    def test_ended_while_stopped(self):
        daemon = self.daemon()
        daemon.json("target", "set", "--for", "1s", "office", "connections=2")
        daemon.restart()
        wait_for(lambda: "limit-ended" in daemon.log(), "the end")
        self.assertEqual(daemon.target()["connections_max"], 20)
        daemon.restart()
        self.assertEqual(self.limits(daemon), {})

    def test_refused(self):
        daemon = self.daemon()
        for arguments, code, words in (
                (("office", "connections=0"), 2, "1"),
                (("office", "connections=many"), 2, "many"),
                (("office", "connections="), 2, "VALUE"),
                (("office", "port=26"), 2, "cannot be set"),
                (("--for", "soon", "office", "connections=2"), 2, "soon"),
                (("nowhere", "connections=2"), 1, "no target")):
            with self.subTest(arguments=arguments):
                result = daemon.ctl("target", "set", *arguments)
                self.assertEqual(result.code, code)
                self.assertIn(words, result.err)
        self.assertEqual(self.limits(daemon), {})

    def test_obeyed(self):
        """Connections over the new number end; it is not exceeded."""
        daemon = self.daemon()
        daemon.json("target", "set", "office", "connections=1")
        for _ in range(30):
            daemon.send()
        daemon.sink.start()
        daemon.wait_empty()
        sessions = sorted((s.opened, s.closed or float("inf"))
                          for s in daemon.sink.sessions)
        for before, after in zip(sessions, sessions[1:]):
            self.assertLessEqual(before[1], after[0] + 0.05)


if __name__ == "__main__":
    unittest.main(verbosity=2)
