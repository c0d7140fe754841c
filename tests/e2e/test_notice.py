#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Notices to senders: read back strictly, their policy, their pace."""

import time

from report import Report
from sink import by_address
from spoold_test import SpooldTest, main, message, wait_for


class NoticeTest(SpooldTest):
    """office has example.com; relay takes notices for senders elsewhere."""

    def begin(self, domain=None, limit=None, **office):
        self.relay = self.sink()
        self.spoold = self.daemon(
            targets={"office": office,
                     "relay": {"hosts": ["127.0.0.1:%d" % self.relay.port]}},
            domains={"example.com": {"return-target": "relay",
                                     **(domain or {})}},
            limit=limit)
        self.office = self.spoold.sink
        self.office.on["RCPT"] = by_address({
            "gone@example.com": "550 5.1.1 no such user here",
            "busy@example.com": "450 4.2.1 try later",
        })
        self.office.start()
        self.relay.start()
        return self.spoold

    def reports(self):
        return [Report(t.content) for t in list(self.relay.delivered)]

    def one_report(self):
        wait_for(self.reports, "a notice")
        return self.reports()[0]


class FormTest(NoticeTest):
    def test_failed(self):
        self.begin()
        sent = self.spoold.send("anna@client.test", ["gone@example.com"])
        report = self.one_report()
        self.assertEqual(self.relay.delivered[0].recipients,
                         ["anna@client.test"])
        self.assertEqual(report.message["reporting-mta"],
                         "dns; mx2.example.com")
        fields, = report.recipients
        self.assertEqual(fields["final-recipient"],
                         "rfc822; gone@example.com")
        self.assertEqual((fields["action"], fields["status"]),
                         ("failed", "5.1.1"))
        self.assertEqual(fields["final-log-id"], sent)
        self.assertFalse(report.has_content)
        self.assertIn("could not be delivered", report.subject)
        for words in ("could not be delivered to this recipient",
                      "550 5.1.1 no such user here", "What you can do", sent):
            self.assertIn(words, report.words)
        # The notice knows what it is about.
        notice, = [m for m in self.spoold.messages("state:any")
                   if m["origin"] == "dsn"]
        self.assertEqual(self.spoold.json("show", notice["id"])["about"],
                         sent)

    def test_utf8_recipient_in_a_7bit_notice(self):
        self.begin()
        self.office.on["RCPT"] = "550 5.1.1 unknown"
        self.spoold.send("anna@client.test", ["b\u00f6b@example.com"],
                         mail_params="SMTPUTF8")
        report = self.one_report()
        self.assertFalse(report.is_global)
        self.assertFalse(report.is_8bit)
        self.assertEqual(report.recipients[0]["final-recipient"],
                         "utf-8; b\\x{F6}b@example.com")

    def test_utf8_sender_gets_a_global_notice(self):
        self.begin()
        self.office.on["RCPT"] = "550 5.1.1 unknown"
        self.spoold.send("\u00e4@client.test", ["b\u00f6b@example.com"],
                         message(X_Name="\u00e4"), mail_params="SMTPUTF8")
        report = self.one_report()
        self.assertTrue(report.is_global)
        self.assertEqual(report.recipients[0]["final-recipient"],
                         "utf-8; b\u00f6b@example.com")
        self.assertEqual(report.parts[2].get_content_type(),
                         "message/global-headers")
        self.assertIn("X-Name: \u00e4".encode(), report.original)
        self.assertIn("SMTPUTF8", self.relay.delivered[0].params)


class DelayTest(NoticeTest):
    def test_delayed(self):
        """Once, with what the server said; the message goes on."""
        self.begin(domain={"warn-after": "500ms"})
        sent = self.spoold.send("anna@client.test", ["busy@example.com"])
        report = self.one_report()
        fields, = report.recipients
        self.assertEqual((fields["action"], fields["status"]),
                         ("delayed", "4.2.1"))
        self.assertIn("delayed", report.subject)
        for words in ("has not been delivered yet", "450 4.2.1 try later",
                      "It is not lost, and you need not send it again"):
            self.assertIn(words, report.words)
        self.assertEqual(self.spoold.counter("warned"), 1)
        self.assertRegex(self.spoold.log(), r" warned id=%s deliveries=1 "
                                            r"dsn=\w{13}\n" % sent)
        self.assertIn("warned", [e["event"] for e in
                                 self.spoold.json("trace", sent)])
        self.spoold.restart()
        attempts = self.spoold.recipients(sent)["busy@example.com"]["attempts"]
        wait_for(lambda: self.spoold.recipients(sent)["busy@example.com"]
                 ["attempts"] >= attempts + 3, "more attempts")
        self.assertEqual(len(self.reports()), 1)
        self.office.on.pop("RCPT")
        wait_for(lambda: self.spoold.recipients(sent)["busy@example.com"]
                 ["state"] == "delivered", "the delivery")
        self.assertEqual(self.spoold.ctl("audit").code, 0)
        self.assertEqual(self.spoold.ctl("check").code, 0)

    def test_target_down(self):
        """Nothing of the message is tried meanwhile."""
        self.begin(domain={"warn-after": "1s"})
        self.office.stop()
        sent = self.spoold.send("anna@client.test")
        self.spoold.wait_target("down")
        report = self.one_report()
        fields, = report.recipients
        self.assertEqual((fields["action"], fields["status"]),
                         ("delayed", "4.4.1"))
        self.assertNotIn("diagnostic-code", fields)
        self.assertIn("could not be reached so far", report.words)
        shown = self.spoold.recipients(sent)["bob@example.com"]
        self.assertEqual((shown["state"], shown["attempts"]), ("ready", 0))
        self.assertIsNotNone(shown["warned"])

    def test_nobody_is_told(self):
        """Null senders, what is on hold, and what went in time."""
        self.begin(domain={"warn-after": "1s"})
        held = self.spoold.send("anna@client.test", ["busy@example.com"])
        self.assertEqual(self.spoold.ctl("hold", held).code, 0)
        null = self.spoold.send("", ["busy@example.com"])
        self.spoold.send("anna@client.test", ["bob@example.com"])
        last = self.spoold.send("zoe@client.test", ["busy@example.com"])
        wait_for(self.reports, "a notice")
        self.assertEqual([t.recipients for t in self.relay.delivered],
                         [["zoe@client.test"]])
        for one in (held, null):
            self.assertIsNone(self.spoold.recipients(one)
                              ["busy@example.com"]["warned"])
        self.assertIsNotNone(self.spoold.recipients(last)
                             ["busy@example.com"]["warned"])

    def test_notices_that_would_wait_too(self):
        """Not made while their own target is down; made when it is back."""
        self.begin(domain={"warn-after": "300ms"})
        self.relay.stop()
        self.office.on["RCPT"] = by_address({
            "gone@example.com": "550 5.1.1 no",
            "busy@example.com": "450 4.2.1 try later"})
        self.spoold.send("eve@client.test", ["gone@example.com"])
        self.spoold.wait_target("down", "relay")
        sent = self.spoold.send("anna@client.test", ["busy@example.com"])
        wait_for(lambda: self.spoold.recipients(sent)["busy@example.com"]
                 ["attempts"] >= 3, "attempts")
        self.assertIsNone(self.spoold.recipients(sent)["busy@example.com"]
                          ["warned"])
        self.relay.start()
        self.spoold.wait_target("up", "relay")
        wait_for(lambda: self.spoold.recipients(sent)["busy@example.com"]
                 ["warned"], "the notice")


class PolicyTest(NoticeTest):
    def test_never(self):
        self.begin(domain={"return": "never", "warn-after": "300ms"})
        sent = self.spoold.send("anna@client.test",
                                ["gone@example.com", "busy@example.com"])
        wait_for(lambda: self.spoold.recipients(sent)["gone@example.com"]
                 ["state"] == "dropped", "the end")
        wait_for(lambda: self.spoold.recipients(sent)["busy@example.com"]
                 ["attempts"] >= 4, "attempts")
        shown = self.spoold.recipients(sent)["gone@example.com"]
        self.assertEqual(shown["untold"], "return = never")
        self.assertEqual([m["id"] for m in
                          self.spoold.messages("state:dropped")], [sent])
        self.assertEqual(self.spoold.counter("dropped"), 1)
        self.assertIn("1 failed and nobody was told: spoolctl list "
                      "state:dropped",
                      " ".join(self.spoold.ctl("status").text.split()))
        self.assertEqual(self.relay.delivered, [])
        self.assertEqual([m["origin"] for m in
                          self.spoold.messages("state:any")], ["smtp"])
        self.assertIn('untold="return = never"', self.spoold.log())
        entry, = [e for e in self.spoold.json("trace", sent)
                  if e["event"] == "dropped"]
        self.assertEqual(entry["text"], "5.1.1 no such user here "
                         "(nobody was told: return = never)")
        self.assertIn("nobody was told: return = never", " ".join(
            self.spoold.ctl("why", sent).text.split()))

    def test_null_sender(self):
        self.begin()
        sent = self.spoold.send("", ["gone@example.com"])
        wait_for(lambda: self.spoold.recipients(sent)["gone@example.com"]
                 ["state"] == "dropped", "the end")
        self.assertEqual(self.spoold.recipients(sent)["gone@example.com"]
                         ["untold"], "the sender is null")


class PaceTest(NoticeTest):
    def test_one_after_the_other(self):
        """A burst of failures: notices have moments of their own."""
        self.begin(limit={"notices": "300"})
        for i in range(10):
            self.spoold.send("s%d@client.test" % i, ["gone@example.com"])
        wait_for(lambda: len(self.relay.delivered) == 10, "all notices")
        times = sorted(t.when for t in self.relay.delivered)
        self.assertGreater(times[-1] - times[0], 9 * 0.2 - 0.5)

    def test_no_burst_at_recovery(self):
        """What came due while the notices' own target was away goes out at
        the pace of notices, and holds up no other mail."""
        self.begin(limit={"notices": "60000"})
        self.spoold.domains["branch.example"] = {"target": "relay"}
        self.spoold.reload()
        self.relay.stop()
        for i in range(20):
            self.spoold.send("s%d@client.test" % i, ["gone@example.com"])
        wait_for(lambda: len(self.spoold.messages("state:returned")) == 20,
                 "the failures")
        wait_for(lambda: len(self.spoold.messages("state:ready")) == 20,
                 "all to be due")
        self.spoold.stop()
        self.spoold.limit["notices"] = "1"
        self.relay.start()
        began = time.monotonic()
        self.spoold.start()
        for i in range(10):
            self.spoold.send("z%d@client.test" % i, ["bob@branch.example"])
        wait_for(lambda: len([t for t in list(self.relay.delivered)
                              if t.sender]) == 10, "the other mail", 60)
        notices = [t for t in self.relay.delivered if not t.sender]
        self.assertLessEqual(len(notices),
                             2 + (time.monotonic() - began) // 60)
        self.spoold.limit["notices"] = "60000"
        self.spoold.reload()
        wait_for(lambda: len(self.relay.delivered) == 30, "all notices", 60)
        self.assertEqual(self.spoold.ctl("check").code, 0)

    def test_kept_over_a_restart(self):
        """Neither a restart nor an impatient operator makes a burst."""
        self.begin(limit={"notices": "2"})
        for i in range(4):
            self.spoold.send("s%d@client.test" % i, ["gone@example.com"])
        wait_for(lambda: len(self.spoold.messages("state:returned")) == 4,
                 "the failures")
        wait_for(lambda: len(self.relay.delivered) == 1, "the first notice")
        waiting = self.spoold.messages("state:later")
        self.assertEqual(len(waiting), 3)
        due = sorted(m["recipients"][0]["next"] for m in waiting)
        self.spoold.ctl("retry", "state:held")
        self.spoold.restart()
        self.assertEqual(sorted(m["recipients"][0]["next"] for m in
                                self.spoold.messages("state:later")), due)
        self.spoold.send("s9@client.test", ["gone@example.com"])
        wait_for(lambda: len(self.spoold.messages("state:later")) == 4,
                 "the last notice")
        self.assertGreater(
            max(m["recipients"][0]["next"] for m in
                self.spoold.messages("state:later")), due[-1])
        self.assertEqual(len(self.relay.delivered), 1)
        self.assertEqual(self.spoold.ctl("check").code, 0)


if __name__ == "__main__":
    main()
