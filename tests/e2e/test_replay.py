#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Giving back: probes, sessions, outcomes, targets that misbehave."""

import time

from sink import (CLOSE, HANG, RESET, Last, Pieces, Slow, by_address, nth,
                  sequence)
from spoold_test import (SpooldTest, below_received, header_field, main,
                         message, wait_for)


class ProbeTest(SpooldTest):
    def test_one_probe_not_one_each_message(self):
        """Twenty messages held: the target sees single connections."""
        daemon = self.configured(targets={"office": {
            "probe-min": "400ms", "probe-max": "400ms"}})
        sink = daemon.sink.start()
        sink.on["GREETING"] = CLOSE
        daemon.start()
        for _ in range(20):
            daemon.send()
        daemon.wait_target("down")
        count = len(sink.sessions)
        begin = time.monotonic()
        wait_for(lambda: len(sink.sessions) >= count + 3)
        took = time.monotonic() - begin
        self.assertGreater(took, 0.4)
        self.assertLess(len(sink.sessions) - count, 3 + took / 0.2)
        target = daemon.target()
        self.assertEqual(target["state"], "down")
        self.assertTrue(target["reason"])
        self.assertIsNotNone(target["next_probe"])
        self.assertEqual({r["attempts"] for m in daemon.messages()
                          for r in m["recipients"]} - {0, 1}, set())
        sink.on.clear()
        daemon.wait_empty()
        self.assertEqual(len(sink.delivered), 20)

    def test_pauses_grow(self):
        daemon = self.configured(targets={"office": {
            "probe-min": "100ms", "probe-max": "10s"}})
        sink = daemon.sink.start()
        sink.on["GREETING"] = CLOSE
        daemon.start()
        daemon.send()
        wait_for(lambda: len(sink.sessions) >= 5)
        opened = [s.opened for s in sink.sessions]
        self.assertGreater(opened[4] - opened[3], opened[2] - opened[1])

    def test_retry_by_the_operator(self):
        daemon = self.daemon(targets={"office": {
            "probe-min": "1h", "probe-max": "1h"}})
        daemon.send()
        daemon.wait_target("down")
        daemon.sink.start()
        self.assertEqual(daemon.ctl("target", "retry", "office").code, 0)
        daemon.wait_empty()
        daemon.sink.stop()
        message_id = daemon.send()
        daemon.wait_target("down")
        daemon.sink.start()
        self.assertEqual(daemon.ctl("retry", message_id).code, 0)
        daemon.wait_empty()

    def test_down_is_remembered(self):
        """After a restart a dead target is still only probed."""
        daemon = self.daemon()
        daemon.send()
        daemon.wait_target("down")
        since = daemon.target()["since"]
        daemon.restart()
        self.assertEqual(daemon.target()["state"], "down")
        self.assertEqual(daemon.target()["since"], since)

    def test_second_host(self):
        spare = self.sink().start()
        daemon = self.configured()
        daemon.targets = {"office": {"hosts": [
            "127.0.0.1:%d" % daemon.sink.port,
            "127.0.0.1:%d" % spare.port]}}
        daemon.start()
        daemon.send()
        wait_for(lambda: spare.delivered)
        self.assertEqual(daemon.target()["state"], "up")

    def test_returns_with_one_message(self):
        daemon = self.daemon(targets={"office": {"connections": 10}})
        for _ in range(30):
            daemon.send()
        daemon.wait_target("down")
        seen = []
        daemon.sink.on["DOT"] = lambda session, t: seen.append(
            (len(daemon.sink.open_sessions),
             sum(s.transaction is not None
                 for s in daemon.sink.open_sessions)))
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(seen[0][0], 1, "the first alone")
        self.assertRegex(daemon.log(), r"(?s)target-returning.*target-up")

    def test_ipv6(self):
        daemon = self.configured()
        daemon.sink.close()
        sink = daemon.sink
        sink.host = "::1"
        try:
            sink.bind(sink.port)
        except OSError:
            self.skipTest("no IPv6 on the loopback")
        daemon.targets = {"office": {"hosts": ["[::1]:%d" % sink.port]}}
        sink.start()
        daemon.start()
        daemon.send()
        wait_for(lambda: sink.delivered)


class SessionTest(SpooldTest):
    def test_many_messages_a_connection(self):
        daemon = self.daemon(targets={"office": {"connections": 1}})
        for _ in range(25):
            daemon.send()
        daemon.sink.start()
        daemon.wait_empty()
        used = [s for s in daemon.sink.sessions if s.messages]
        self.assertLessEqual(len(used), 2)
        self.assertEqual(sum(s.messages for s in used), 25)

    def test_messages_per_connection(self):
        daemon = self.daemon(targets={"office": {
            "connections": 1, "messages-per-connection": 5}})
        for _ in range(20):
            daemon.send()
        daemon.sink.start()
        daemon.wait_empty()
        counts = [s.messages for s in daemon.sink.sessions]
        self.assertEqual(max(counts), 5)
        self.assertEqual(sum(counts), 20)

    def test_several_connections(self):
        daemon = self.daemon(targets={"office": {"connections": 4}})
        for _ in range(40):
            daemon.send()
        open_now = []
        daemon.sink.on["MAIL"] = lambda session, sender: open_now.append(
            len(daemon.sink.open_sessions))
        daemon.sink.on["DOT"] = Slow(0.03)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertGreater(max(open_now), 1)
        self.assertLessEqual(max(open_now), 4)
        self.assertEqual(len(daemon.sink.delivered), 40)

    def test_all_recipients_in_one_transaction(self):
        daemon = self.daemon()
        recipients = ["r%d@example.com" % i for i in range(50)]
        daemon.send(recipients=recipients)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual([t.recipients for t in daemon.sink.delivered],
                         [recipients])

    def test_recipients_of_two_targets(self):
        daemon = self.configured()
        other = self.sink().start()
        daemon.targets = {"office": {}, "home": {
            "hosts": ["127.0.0.1:%d" % other.port]}}
        daemon.domains = {"example.com": {"target": "office"},
                          "example.org": {"target": "home"}}
        daemon.start()
        message_id = daemon.send(recipients=[
            "a@example.com", "b@example.org", "c@example.com"])
        wait_for(lambda: other.delivered)
        self.assertEqual(other.delivered[0].recipients, ["b@example.org"])
        wait_for(lambda: daemon.recipients(message_id)["b@example.org"]
                 ["state"] == "delivered")
        self.assertEqual(daemon.held(), [message_id])
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(daemon.sink.delivered[0].recipients,
                         ["a@example.com", "c@example.com"])

    def test_pipelining(self):
        daemon = self.daemon()
        daemon.send(recipients=["a@example.com", "b@example.com"])
        daemon.sink.start()
        daemon.wait_empty()
        commands = daemon.sink.delivered[0].session.commands
        pipelined = [line.split()[0] for line, more in commands if more]
        self.assertIn(b"MAIL", pipelined)
        self.assertIn(b"RCPT", pipelined)

    def test_extensions_not_offered(self):
        """Nothing is used that was not offered (the sink watches)."""
        daemon = self.daemon()
        content = message("\u00fc\r\n" * 10)
        daemon.send(content=content, mail_params="BODY=8BITMIME")
        daemon.sink.extensions = ["HELP"]
        daemon.sink.start()
        daemon.wait_empty()
        transaction = daemon.sink.delivered[0]
        self.assertEqual(transaction.params, {})
        self.assertEqual(below_received(transaction.content), content)

    def test_extensions_used(self):
        daemon = self.daemon()
        daemon.send(mail_params="BODY=8BITMIME")
        daemon.sink.start()
        daemon.wait_empty()
        transaction = daemon.sink.delivered[0]
        self.assertEqual(transaction.params["BODY"], "8BITMIME")
        self.assertEqual(int(transaction.params["SIZE"]),
                         len(transaction.content))

    def test_helo_only(self):
        daemon = self.daemon()
        daemon.send(recipients=["a@example.com", "b@example.com"])
        daemon.sink.helo_only = True
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(daemon.sink.delivered[0].session.helo,
                         "mx2.example.com")

    def test_utf8_to_a_target_without_it(self):
        """An address it cannot take is returned, not mangled."""
        daemon = self.daemon()
        message_id = daemon.send("\u00e4@client.test",
                                 ["b\u00f6b@example.com"],
                                 mail_params="SMTPUTF8")
        daemon.sink.extensions.remove("SMTPUTF8")
        daemon.sink.start()
        wait_for(lambda: daemon.recipients(message_id)
                 ["b\u00f6b@example.com"]["state"] == "returned")
        self.assertEqual([t for t in daemon.sink.transactions
                          if t.sender], [])

    def test_size_known_to_be_too_big(self):
        """The announced limit spares sending the content."""
        daemon = self.daemon()
        message_id = daemon.send(content=message("x" * 50000 + "\r\n"),
                                 sender="")
        daemon.sink.extensions = ["SIZE 20000"]
        daemon.sink.size = 20000
        daemon.sink.start()
        wait_for(lambda: daemon.recipients(message_id)["bob@example.com"]
                 ["state"] == "dropped")
        self.assertEqual(daemon.sink.transactions, [])

    def test_replies_in_pieces(self):
        daemon = self.daemon()
        sink = daemon.sink
        sink.on = {"GREETING": Pieces("220-many\n220-lines\n220 here"),
                   "EHLO": Pieces(None), "MAIL": Pieces("250-a\n250 b"),
                   "RCPT": Pieces(None), "DATA": Pieces("354-go\n354 on"),
                   "DOT": Pieces("250-2.0.0 kept\n250 2.0.0 well")}
        daemon.send(recipients=["a@example.com", "b@example.com"])
        sink.start()
        daemon.wait_empty()

    def test_large_content_to_a_slow_reader(self):
        content = message("all work and no play\r\n" * 400000)
        daemon = self.daemon()
        daemon.send(content=content)
        daemon.sink.on["CONTENT"] = Slow(0.3)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(below_received(daemon.sink.delivered[0].content),
                         content)


class OutcomeTest(SpooldTest):
    def test_second_recipient_refused_for_now(self):
        daemon = self.daemon()
        daemon.sink.on["RCPT"] = nth(2, "450 4.2.1 mailbox busy")
        message_id = daemon.send(recipients=[
            "a@example.com", "b@example.com", "c@example.com"])
        daemon.sink.start()
        daemon.wait_empty()
        first, second = daemon.sink.delivered
        self.assertEqual(first.recipients,
                         ["a@example.com", "c@example.com"])
        self.assertEqual(second.recipients, ["b@example.com"])
        self.assertEqual(first.content, second.content)
        shown = daemon.recipients(message_id)
        self.assertEqual(
            {a: r["attempts"] for a, r in shown.items()},
            {"a@example.com": 1, "b@example.com": 2, "c@example.com": 1})

    def test_too_many_recipients_for_the_target(self):
        """452 at RCPT may mean "no more in this transaction" (RFC 5321
        4.5.3.1.10): the rest follows in the next, at once."""
        daemon = self.daemon(targets={"office": {"retry-min": "1h",
                                                 "retry-max": "1h"}})
        daemon.sink.on["RCPT"] = lambda session, address: \
            "452 4.5.3 too many recipients" \
            if len(session.transaction.recipients) == 10 else None
        recipients = ["r%d@example.com" % i for i in range(35)]
        daemon.send(recipients=recipients)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual([len(t.recipients)
                          for t in daemon.sink.delivered], [10, 10, 10, 5])

    def test_later_with_growing_pauses(self):
        daemon = self.daemon(targets={"office": {
            "retry-min": "200ms", "retry-max": "10s"}})
        times = []

        def refuse(session, address):
            if address == "busy@example.com":
                times.append(time.monotonic())
                return "450 4.2.1 busy"
            return None

        daemon.sink.on["RCPT"] = refuse
        daemon.sink.start()
        message_id = daemon.send(recipients=["busy@example.com"])
        wait_for(lambda: len(times) >= 4)
        pauses = [b - a for a, b in zip(times, times[1:])]
        self.assertGreater(pauses[0], 0.09)
        self.assertGreater(pauses[2], pauses[0])
        shown = daemon.recipients(message_id)["busy@example.com"]
        self.assertEqual((shown["state"], shown["code"]), ("later", 450))
        self.assertEqual(shown["reply"], "4.2.1 busy")
        self.assertGreaterEqual(shown["attempts"], 4)
        self.assertIsNotNone(shown["next"])
        # One busy mailbox is not a dead target, and delays no other.
        self.assertEqual(daemon.target()["state"], "up")
        daemon.send(recipients=["free@example.com"])
        wait_for(lambda: daemon.sink.delivered)
        self.assertEqual(daemon.ctl("retry", message_id).code, 0)
        count = len(times)
        wait_for(lambda: len(times) > count, "the operator's retry")

    def test_later_over_a_restart(self):
        daemon = self.daemon(targets={"office": {
            "retry-min": "1s", "retry-max": "1s"}})
        daemon.sink.on["DOT"] = sequence("451 4.3.0 not now")
        daemon.sink.start()
        message_id = daemon.send()
        wait_for(lambda: daemon.recipients(message_id)["bob@example.com"]
                 ["state"] == "later")
        daemon.restart()
        self.assertEqual(daemon.held(), [message_id])
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 1)

    def test_refused_at_each_step_for_now(self):
        """4xx at MAIL, DATA and the dot: later; nothing is lost and
        nothing comes twice."""
        for step in ("MAIL", "DATA", "DOT"):
            with self.subTest(step=step):
                daemon = self.daemon()
                daemon.sink.on[step] = sequence("451 4.3.0 no",
                                                "452 4.3.1 no")
                daemon.sink.start()
                daemon.send(recipients=["a@example.com", "b@example.com"])
                daemon.wait_empty()
                self.assertEqual(
                    sorted(r for t in daemon.sink.delivered
                           for r in t.recipients),
                    ["a@example.com", "b@example.com"])

    def test_421_is_about_the_target(self):
        daemon = self.daemon()
        for step in ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT"):
            daemon.sink.on[step] = sequence(Last("421 4.3.2 going down"))
        daemon.sink.start()
        message_id = daemon.send()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 1)
        self.assertEqual(daemon.recipients(message_id)["bob@example.com"]
                         ["state"], "delivered")

    def test_greeting_refusals(self):
        """554 at the greeting refuses the session, not the mail."""
        daemon = self.daemon()
        daemon.sink.on["GREETING"] = sequence("554 5.3.2 no service",
                                              "500 what")
        daemon.sink.start()
        daemon.send()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 1)

    def test_dies_anywhere(self):
        """Closing or resetting at any step before the dot: no duplicate,
        no loss."""
        steps = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT")
        daemon = self.daemon()
        for step in steps:
            daemon.sink.on[step] = sequence(CLOSE, RESET)
        # More than the buffers between us hold, or the dot is on its way.
        content = message("x" * 60 + "\r\n" * 10000000)
        daemon.send(content=content)
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 1)
        self.assertEqual(len(daemon.sink.transactions), 1)
        self.assertGreaterEqual(len(daemon.sink.sessions),
                                2 * len(steps) + 1)
        self.assertEqual(daemon.counter("unknown"), 0)

    def test_dies_after_the_dot(self):
        """The one window for a duplicate: it is tried again, once, and
        counted."""
        for action in (CLOSE, RESET):
            daemon = self.daemon()
            daemon.sink.on["DOT"] = sequence(action)
            daemon.sink.start()
            daemon.send()
            daemon.wait_empty()
            self.assertEqual(len(daemon.sink.transactions), 2)
            self.assertEqual(daemon.counter("unknown"), 1)

    def test_silence_after_the_dot(self):
        """No answer at all is the same doubt; what comes again is the same
        message, and its doubt ends with the answer."""
        daemon = self.daemon(targets={"office": {"final-timeout": "300ms"}})
        daemon.sink.on["DOT"] = sequence(HANG)
        daemon.sink.start()
        sent = daemon.send()
        daemon.wait_empty()
        self.assertEqual([e["event"] for e in daemon.json("trace", sent)],
                         ["accepted", "unknown", "due", "delivered"])
        entry = daemon.json("trace", sent)[1]
        self.assertIn("waiting for the reply", entry["text"])
        first, second = daemon.sink.transactions
        self.assertEqual(header_field(first.content, "Message-ID")[0],
                         header_field(second.content, "Message-ID")[0])
        self.assertEqual(first.content, second.content)
        self.assertEqual(daemon.counter("unknown"), 1)
        self.assertEqual(daemon.status()["held"]["unknown"], 0)
        self.assertIn("1 may have been delivered twice",
                      daemon.ctl("status").text)

    def test_unknown_and_expired(self):
        """The time runs out in doubt: the notice says so."""
        daemon = self.daemon(
            domains={"example.com": {"hold-for": "1s"}},
            targets={"office": {"unknown-retry": "600ms"}})
        daemon.sink.on["DOT"] = lambda session, argument: \
            CLOSE if daemon.sink.transactions[-1].sender else None
        daemon.sink.start()
        daemon.send()
        wait_for(lambda: daemon.sink.delivered, "the notice")
        words = " ".join(daemon.sink.delivered[0].content.decode().split())
        self.assertIn("it may have arrived in spite of this", words)
        self.assertEqual(daemon.sink.delivered[0].sender, "")

    def test_unknown_is_listed(self):
        """A lost reply to the dot: another state than a refusal, tried
        again later than anything else, with the same content."""
        daemon = self.daemon(targets={"office": {"unknown-retry": "1h"}})
        daemon.sink.on["DOT"] = sequence(CLOSE)
        daemon.sink.start()
        lost = daemon.send()
        wait_for(lambda: daemon.messages("state:unknown"), "the doubt")
        other = daemon.send()
        wait_for(lambda: daemon.held() == [lost], "the other one's end")
        self.assertEqual(daemon.messages("state:later"), [])
        self.assertEqual(daemon.counter("unknown"), 1)
        self.assertEqual(daemon.status()["held"]["unknown"], 1)
        self.assertIn("1 delivery may have arrived already",
                      " ".join(daemon.ctl("status").text.split()))
        shown = daemon.recipients(lost)["bob@example.com"]
        self.assertEqual((shown["state"], shown["attempts"], shown["code"]),
                         ("unknown", 1, 0))
        self.assertIn("waiting for the reply", shown["reply"])
        self.assertIn("may have been delivered already",
                      " ".join(daemon.ctl("why", lost).text.split()))
        self.assertEqual([e["event"] for e in daemon.json("trace", lost)],
                         ["accepted", "unknown"])
        # It is there after a restart, and the operator need not wait.
        daemon.restart()
        self.assertEqual(
            daemon.recipients(lost)["bob@example.com"]["state"], "unknown")
        self.assertEqual(daemon.ctl("check").code, 0)
        self.assertEqual(daemon.ctl("retry", lost).code, 0)
        daemon.wait_empty()
        self.assertEqual(daemon.status()["held"]["unknown"], 0)
        first, second = [t.content for t in daemon.sink.transactions
                         if t.content][::2]
        self.assertEqual(first, second)
        self.assertNotEqual(other, lost)
        self.assertEqual(daemon.ctl("audit").code, 0)

    def test_garbage(self):
        """Replies that are none: the session is given up."""
        daemon = self.daemon(targets={"office": {
            "reply-timeout": "300ms", "final-timeout": "300ms"}})
        daemon.sink.start()
        for garbage in (b"\x00\xff\r\n", b"hello\r\n", b"25\r\n",
                        b"999 what\r\n", b"250-a\r\n251 b\r\n",
                        b"250 a\n", b"x" * 100000,
                        b"250-and so on\r\n" * 10000 + b"250 end\r\n"):
            for step in ("GREETING", "EHLO", "MAIL", "DOT"):
                with self.subTest(garbage=garbage[:20], step=step):
                    daemon.sink.on[step] = sequence(garbage)
                    daemon.send()
                    daemon.wait_empty()
                    for session in daemon.sink.open_sessions:
                        session.sock.close()

    def test_hanging_target(self):
        """A reply that never comes is a timeout, at every step."""
        daemon = self.daemon(targets={"office": {
            "reply-timeout": "300ms", "final-timeout": "300ms"}})
        for step in ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT"):
            daemon.sink.on[step] = sequence(HANG)
        daemon.sink.start()
        daemon.send()
        daemon.wait_empty()
        self.assertGreaterEqual(len(daemon.sink.transactions), 2)

    def test_hang_in_content(self):
        """A target that stops reading."""
        daemon = self.daemon(targets={"office": {
            "reply-timeout": "300ms", "final-timeout": "30s"}})
        daemon.sink.on["CONTENT"] = sequence(Slow(1.5, CLOSE))
        daemon.send(content=message("z" * 70 + "\r\n" * 4000000))
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 1)

    def test_slow_target(self):
        daemon = self.daemon(targets={"office": {"reply-timeout": "2s"}})
        for step in ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT"):
            daemon.sink.on[step] = Slow(0.1)
        daemon.sink.start()
        for _ in range(5):
            daemon.send()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.transactions), 5)

    def test_unasked_421(self):
        """A 421 while the connection idles between messages."""
        daemon = self.daemon()
        daemon.sink.start()
        daemon.send()
        wait_for(lambda: daemon.sink.delivered)
        for session in daemon.sink.open_sessions:
            try:
                session.sock.sendall(b"421 4.4.2 idle too long\r\n")
                session.sock.shutdown(2)
            except OSError:
                pass
        daemon.send()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 2)

    def test_extra_recipient_refused_others_kept(self):
        daemon = self.daemon()
        daemon.sink.on["RCPT"] = by_address({
            "no@example.com": "550 5.1.1 unknown",
            "wait@example.com": "450 4.2.0 greylisted"})
        daemon.sink.start()
        message_id = daemon.send(sender="", recipients=[
            "no@example.com", "yes@example.com", "wait@example.com"])

        def states():
            return {a.split("@")[0]: r["state"]
                    for a, r in daemon.recipients(message_id).items()}

        wait_for(lambda: states() == {"no": "dropped", "yes": "delivered",
                                      "wait": "later"})
        daemon.sink.on.clear()
        daemon.wait_empty()
        self.assertEqual(states(), {"no": "dropped", "yes": "delivered",
                                    "wait": "delivered"})


if __name__ == "__main__":
    main()
