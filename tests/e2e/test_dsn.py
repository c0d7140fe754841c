#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Delivery status notifications (RFC 3464, 6522) and hold-for."""

import email
import email.policy
import email.utils
import time

from sink import CLOSE, by_address
from spoold_test import SpooldTest, main, message, wait_for


class DsnTest(SpooldTest):
    def setUp(self):
        super().setUp()
        self.spoold = self.daemon(domains={"example.com": {},
                                           "example.org": {}})
        self.target = self.spoold.sink
        self.target.on["RCPT"] = by_address({
            "gone@example.com": "550 5.1.1 no such user here",
            "full@example.com": "552 5.2.2 over quota",
            "odd@example.com": "550 without an enhanced code",
            "lines@example.com": "550-5.7.1 first line\n550 5.7.1 second",
        })
        self.target.start()

    def dsns(self):
        return [t for t in self.target.delivered if t.sender == ""]

    def one_dsn(self):
        transaction = wait_for(self.dsns, "a DSN")[0]
        self.spoold.wait_empty()
        self.assertEqual(len(self.dsns()), 1)
        return transaction, self.parse(transaction)

    def parse(self, transaction):
        report = email.message_from_bytes(transaction.content,
                                          policy=email.policy.SMTP)
        for part in report.walk():
            self.assertEqual(part.defects, [], part.as_string()[:2000])
        for line in transaction.content.split(b"\r\n"):
            self.assertLessEqual(len(line), 998)
            self.assertNotIn(b"\n", line)
        return report

    def check_outside(self, report, to):
        """RFC 5322, 3834 and 6522: the message that carries the report."""
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report.get_param("report-type"),
                         "delivery-status")
        self.assertEqual(report["MIME-Version"], "1.0")
        self.assertEqual(report["To"].addresses[0].addr_spec, to)
        self.assertEqual(len(report["From"].addresses), 1)
        self.assertTrue(report["Subject"])
        self.assertTrue(report["Message-ID"])
        self.assertEqual(report["Auto-Submitted"], "auto-replied")
        when = email.utils.parsedate_to_datetime(report["Date"])
        self.assertLess(abs(when.timestamp() - time.time()), 60)
        types = [part.get_content_type()
                 for part in report.iter_parts()]
        self.assertEqual(types[:2],
                         ["text/plain", "message/delivery-status"])
        self.assertIn(types[2], ("text/rfc822-headers", "message/rfc822"))
        self.assertEqual(len(types), 3)
        return list(report.iter_parts())

    def fields(self, status_part):
        """RFC 3464: the fields of the message, then of each recipient."""
        blocks = status_part.get_payload()
        self.assertTrue(blocks[0]["Reporting-MTA"].replace(" ", "")
                        .startswith("dns;mx2.example.com"))
        if blocks[0]["Arrival-Date"]:
            email.utils.parsedate_to_datetime(blocks[0]["Arrival-Date"])
        return [b for b in blocks[1:] if b.keys()]

    def test_refused_recipient(self):
        original = message("the secret body\r\n", subject="important")
        message_id = self.spoold.send("anna@example.org",
                                      ["gone@example.com"], original)
        transaction, report = self.one_dsn()
        self.assertEqual(transaction.recipients, ["anna@example.org"])
        text, status, copy = self.check_outside(report, "anna@example.org")
        fields = self.fields(status)
        self.assertEqual(len(fields), 1)
        recipient = fields[0]
        self.assertEqual(recipient["Final-Recipient"].replace(" ", ""),
                         "rfc822;gone@example.com")
        self.assertEqual(recipient["Action"].lower(), "failed")
        self.assertEqual(recipient["Status"], "5.1.1")
        self.assertEqual(recipient["Diagnostic-Code"],
                         "smtp; 550 5.1.1 no such user here")
        self.assertIn("gone@example.com", text.get_content())
        self.assertIn("no such user here", text.get_content())
        self.assertIn("Subject: important", copy.as_string())
        self.assertIn("anna@client.test", copy.as_string())

        shown = self.spoold.recipients(message_id)["gone@example.com"]
        self.assertEqual((shown["state"], shown["code"]), ("returned", 550))
        self.assertEqual(shown["reply"], "5.1.1 no such user here")
        origins = sorted(m["origin"] for m in
                         self.spoold.messages("state:any"))
        self.assertEqual(origins, ["dsn", "smtp"])
        self.assertEqual(self.spoold.counter("returned"), 1)

    def test_one_dsn_for_several(self):
        """Only those refused are named, each with its own status."""
        self.spoold.send("anna@example.org", [
            "gone@example.com", "bob@example.com", "full@example.com",
            "odd@example.com", "lines@example.com"])
        _, report = self.one_dsn()
        status = self.check_outside(report, "anna@example.org")[1]
        fields = {f["Final-Recipient"].replace(" ", ""): f
                  for f in self.fields(status)}
        self.assertEqual(
            {name: f["Status"] for name, f in fields.items()},
            {"rfc822;gone@example.com": "5.1.1",
             "rfc822;full@example.com": "5.2.2",
             "rfc822;odd@example.com": "5.0.0",
             "rfc822;lines@example.com": "5.7.1"})
        self.assertIn("second", fields["rfc822;lines@example.com"]
                      ["Diagnostic-Code"])

    def test_refused_at_mail_data_and_dot(self):
        for step, reply in (("MAIL", "550 5.7.1 sender not liked"),
                            ("DATA", "554 5.5.0 no"),
                            ("DOT", "554 5.7.1 spam, they say")):
            with self.subTest(step=step):
                self.target.clear()
                self.target.on[step] = self.for_anna(reply)
                message_id = self.spoold.send(
                    "anna@example.org", ["a@example.com", "b@example.com"])
                _, report = self.one_dsn()
                status = self.check_outside(report, "anna@example.org")[1]
                self.assertEqual(
                    {f["Diagnostic-Code"] for f in self.fields(status)},
                    {"smtp; " + reply})
                self.assertEqual(
                    {r["state"] for r in
                     self.spoold.recipients(message_id).values()},
                    {"returned"})
                del self.target.on[step]

    @staticmethod
    def for_anna(reply):
        """Refuses her mail and nobody else's (the DSN above all)."""
        def refuse(session, argument):
            sender = argument if isinstance(argument, str) else \
                (argument or session.transaction).sender
            return reply if sender == "anna@example.org" else None
        return refuse

    def test_never_for_a_null_sender(self):
        message_id = self.spoold.send("", ["gone@example.com"])
        self.spoold.wait_empty()
        self.assertEqual(self.spoold.recipients(message_id)
                         ["gone@example.com"]["state"], "dropped")
        self.assertEqual(len(self.spoold.messages("state:any")), 1)
        self.assertEqual(self.target.transactions, [])

    def test_dsn_that_is_refused_itself(self):
        """No DSN about a DSN."""
        self.target.on["RCPT"] = "550 5.1.1 nobody"
        self.spoold.send("anna@example.org", ["gone@example.com"])
        self.spoold.wait_empty()
        self.assertEqual(
            sorted(r["state"] for m in self.spoold.messages("state:any")
                   for r in m["recipients"]), ["dropped", "returned"])

    def test_foreign_sender(self):
        """Goes by way of the target, which knows the world."""
        self.spoold.send("anna@client.test", ["gone@example.com"])
        transaction, report = self.one_dsn()
        self.assertEqual(transaction.recipients, ["anna@client.test"])
        self.check_outside(report, "anna@client.test")

    def test_foreign_sender_by_return_target(self):
        relay = self.sink().start()
        self.spoold.targets["relay"] = {
            "hosts": ["127.0.0.1:%d" % relay.port]}
        self.spoold.domains["example.com"] = {"target": "office",
                                              "return-target": "relay"}
        self.spoold.restart()
        self.spoold.send("anna@client.test", ["gone@example.com"])
        self.spoold.send("anna@example.org", ["full@example.com"])
        self.spoold.wait_empty()
        self.assertEqual([t.recipients for t in relay.delivered],
                         [["anna@client.test"]])
        self.assertEqual([t.recipients for t in self.dsns()],
                         [["anna@example.org"]])

    def test_utf8(self):
        """RFC 6533 where an address needs it."""
        self.target.on["RCPT"] = by_address({
            "b\u00f6b@example.com": "550 5.1.1 unknown"})
        self.spoold.send("\u00e4@example.org", ["b\u00f6b@example.com"],
                         mail_params="SMTPUTF8")
        transaction = wait_for(self.dsns, "a DSN")[0]
        self.assertEqual(transaction.recipients, ["\u00e4@example.org"])
        self.assertIn("SMTPUTF8", transaction.params)
        self.assertIn("b\u00f6b@example.com".encode(), transaction.content)
        self.assertIn(b"global-delivery-status", transaction.content)

    def test_hostile_originals(self):
        """Whatever is in the original, the report stays well formed."""
        for content in (b"", b"\r\n", b"no header\r\n",
                        b"Subject: " + b"x" * 50000 + b"\r\n\r\n",
                        b"Subject: \xff\xfe\0\r\n\r\nx\r\n",
                        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
                        b"--b\r\n\r\n--b--\r\n--=\r\n",
                        b"A: b\r\n" * 20000 + b"\r\n",
                        b"S: x\r\n\r\n" + b"line\r\n" * 100000):
            with self.subTest(content=content[:30]):
                self.target.clear()
                self.spoold.send("anna@example.org", ["gone@example.com"],
                                 content)
                transaction = wait_for(self.dsns, "a DSN")[0]
                report = email.message_from_bytes(transaction.content)
                self.assertEqual(len(report.get_payload()), 3)
                self.assertEqual(report.defects, [])
                self.assertLess(len(transaction.content), 200000)
                for line in transaction.content.split(b"\r\n"):
                    self.assertLessEqual(len(line), 998)

    def test_reply_that_would_forge_fields(self):
        self.target.on["RCPT"] = by_address({
            "gone@example.com": b"550 5.1.1 \xff x\r Status: 2.0.0"
                                b"\0\t" + b"y" * 400 + b"\r\n"})
        self.spoold.send("anna@example.org", ["gone@example.com"])
        _, report = self.one_dsn()
        fields = self.fields(
            self.check_outside(report, "anna@example.org")[1])
        self.assertEqual([f["Status"] for f in fields], ["5.1.1"])


class HoldForTest(SpooldTest):
    def test_expires_on_a_reachable_target(self):
        daemon = self.daemon(domains={"example.com": {"hold-for": "1s"}})
        daemon.sink.on["RCPT"] = by_address({
            "busy@example.com": "450 4.2.1 busy"})
        daemon.sink.start()
        begin = time.monotonic()
        message_id = daemon.send("anna@example.com", ["busy@example.com"])
        wait_for(lambda: daemon.recipients(message_id)["busy@example.com"]
                 ["state"] == "expired", "the end of hold-for")
        self.assertGreater(time.monotonic() - begin, 0.9)
        dsn = wait_for(lambda: [t for t in daemon.sink.delivered
                                if t.sender == ""], "a DSN")[0]
        self.assertEqual(dsn.recipients, ["anna@example.com"])
        report = email.message_from_bytes(dsn.content)
        fields = report.get_payload()[1].get_payload()[1]
        self.assertEqual(fields["Action"].lower(), "failed")
        self.assertRegex(fields["Status"], r"^[45]\.4\.7$")
        self.assertIn("450 4.2.1 busy", fields["Diagnostic-Code"])

    def test_alarm_comes_first(self):
        """An event and an alarm, then one notice; the alarm ends with it."""
        daemon = self.daemon(domains={"example.com": {"hold-for": "1s"}})
        daemon.sink.on["RCPT"] = by_address({
            "busy@example.com": "450 4.2.1 busy"})
        daemon.sink.start()
        message_id = daemon.send("anna@example.com", ["busy@example.com"])
        wait_for(lambda: daemon.recipients(message_id)["busy@example.com"]
                 ["state"] == "expired", "the end of hold-for")
        wait_for(lambda: not daemon.status()["alarms"])
        log = daemon.log()
        self.assertEqual(log.count("expiring id="), 1)
        self.assertLess(log.index("expiring id="), log.index("expired id="))
        wait_for(lambda: [t for t in daemon.sink.delivered if t.sender == ""])
        self.assertEqual(daemon.ctl("audit").code, 0)

    def test_kept_for_ever(self):
        """expire = keep: the alarm, and nothing ends."""
        daemon = self.daemon(domains={"example.com": {
            "hold-for": "1s", "expire": "keep"}})
        daemon.sink.on["RCPT"] = "450 4.2.1 busy"
        daemon.sink.start()
        message_id = daemon.send()
        wait_for(lambda: daemon.json("why", message_id)["recipients"][0]
                 ["left_ms"] == 0, "the end of hold-for")
        attempts = daemon.recipients(message_id)["bob@example.com"]["attempts"]
        wait_for(lambda: daemon.recipients(message_id)["bob@example.com"]
                 ["attempts"] > attempts + 3)
        self.assertEqual(daemon.held(), [message_id])
        self.assertEqual([(a["alarm"], a["target"], a["deliveries"])
                          for a in daemon.status()["alarms"]],
                         [("expiring", "office", 1)])
        self.assertIn("ALARM", daemon.ctl("status").text)
        self.assertEqual(daemon.counter("returned"), 0)
        daemon.sink.on["RCPT"] = None
        daemon.wait_empty()
        self.assertEqual(daemon.status()["alarms"], [])

    def test_paused_time_does_not_count(self):
        daemon = self.daemon()
        daemon.sink.start()
        self.assertEqual(daemon.ctl("target", "pause", "office").code, 0)
        message_id = daemon.send()
        begin = time.monotonic()
        wait_for(lambda: time.monotonic() - begin > 2)
        self.assertEqual(daemon.json("why", message_id)["recipients"][0]
                         ["used_ms"], 0)
        daemon.sink.on["RCPT"] = "450 4.2.1 busy"
        self.assertEqual(daemon.ctl("target", "resume", "office").code, 0)
        wait_for(lambda: daemon.json("why", message_id)["recipients"][0]
                 ["used_ms"] > 0)
        daemon.sink.on["RCPT"] = None
        daemon.wait_empty()

    def test_null_sender_expires_silently(self):
        daemon = self.daemon(domains={"example.com": {"hold-for": "1s"}})
        daemon.sink.on["RCPT"] = "450 4.2.1 busy"
        daemon.sink.start()
        message_id = daemon.send("", ["busy@example.com"])
        daemon.wait_empty()
        self.assertIn(daemon.recipients(message_id)["busy@example.com"]
                      ["state"], ("expired", "dropped"))
        self.assertEqual(len(daemon.messages("state:any")), 1)

    def test_a_dead_target_expires_nothing(self):
        daemon = self.daemon(domains={"example.com": {"hold-for": "1s"}})
        message_id = daemon.send()
        daemon.wait_target("down")
        begin = time.monotonic()
        wait_for(lambda: time.monotonic() - begin > 2)
        self.assertEqual(daemon.held(), [message_id])
        reachable = daemon.target()["reachable_ms"]
        daemon.restart()
        self.assertEqual(daemon.held(), [message_id])
        self.assertLessEqual(daemon.target()["reachable_ms"],
                             reachable + 200)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 1)

    def test_target_that_only_refuses_connections_to_all(self):
        """A greeting of 421 is not reachable either."""
        daemon = self.daemon(domains={"example.com": {"hold-for": "1s"}})
        daemon.sink.on["GREETING"] = CLOSE
        daemon.sink.start()
        message_id = daemon.send()
        begin = time.monotonic()
        wait_for(lambda: time.monotonic() - begin > 1.8)
        self.assertEqual(daemon.held(), [message_id])
        self.assertEqual(daemon.recipients(message_id)["bob@example.com"]
                         ["state"], "ready")

    def test_success_after_hold_for_is_success(self):
        """Nothing expires by the mere passing of time."""
        daemon = self.daemon(
            domains={"example.com": {"hold-for": "1s"}},
            targets={"office": {"retry-min": "2s", "retry-max": "2s"}})
        refused = []

        def once(session, address):
            refused.append(address)
            return "450 4.2.1 busy" if len(refused) == 1 else None

        daemon.sink.on["RCPT"] = once
        daemon.sink.start()
        message_id = daemon.send()
        daemon.wait_empty()
        self.assertEqual(daemon.recipients(message_id)["bob@example.com"]
                         ["state"], "delivered")


if __name__ == "__main__":
    main()
