#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The accounts: audit balances through every kind of end and names what was
tampered with; old entries go without losing the balance; trace and why."""

import ctypes
import hashlib
import os
import re
import threading
import time

from client import Client, Closed
from sink import by_address
from spoold_test import SpooldTest, main, message, wait_for


class Store:
    """The store's tables by LMDB itself, while the daemon is stopped."""

    class Value(ctypes.Structure):
        _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]

    def __init__(self, directory):
        self.lib = ctypes.CDLL("liblmdb.so.0")
        self.env = ctypes.c_void_p()
        self.call("mdb_env_create", ctypes.byref(self.env))
        self.call("mdb_env_set_maxdbs", self.env, 64)
        self.call("mdb_env_open", self.env, directory.encode(), 0, 0o600)
        self.txn = ctypes.c_void_p()
        self.call("mdb_txn_begin", self.env, None, 0, ctypes.byref(self.txn))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.call("mdb_txn_commit", self.txn)
        self.lib.mdb_env_close(self.env)

    def call(self, name, *arguments):
        rc = getattr(self.lib, name)(*arguments)
        assert rc == 0, (name, rc)

    def table(self, name):
        dbi = ctypes.c_uint()
        self.call("mdb_dbi_open", self.txn, name.encode(), 0,
                  ctypes.byref(dbi))
        return dbi

    def rows(self, name):
        cursor = ctypes.c_void_p()
        key, value = self.Value(), self.Value()
        self.call("mdb_cursor_open", self.txn, self.table(name),
                  ctypes.byref(cursor))
        while self.lib.mdb_cursor_get(cursor, ctypes.byref(key),
                                      ctypes.byref(value), 8) == 0:  # NEXT
            yield (ctypes.string_at(key.data, key.size),
                   ctypes.string_at(value.data, value.size))
        self.lib.mdb_cursor_close(cursor)

    def value(self, data):
        return self.Value(len(data), ctypes.cast(data, ctypes.c_void_p))

    def delete(self, name, key):
        self.call("mdb_del", self.txn, self.table(name),
                  ctypes.byref(self.value(key)), None)

    def put(self, name, key, data):
        self.call("mdb_put", self.txn, self.table(name),
                  ctypes.byref(self.value(key)),
                  ctypes.byref(self.value(data)), 0)


DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def key_of(message_id):
    number = 0
    for digit in message_id:
        number = number << 5 | DIGITS.index(digit)
    return number.to_bytes(8, "big")


def earlier(value, by_ms):
    """A row of the ledger with another time: the first field."""
    assert value[8] == 1 << 1
    end = 9
    while value[end] > 127:
        end += 1
    number = sum((byte & 127) << 7 * i for i, byte in
                 enumerate(value[9:end + 1])) - by_ms
    varint = bytearray()
    while number > 127:
        varint.append(number & 127 | 128)
        number >>= 7
    return value[:9] + bytes(varint) + bytes([number]) + value[end + 1:]


class AuditTest(SpooldTest):
    def audit(self, daemon, *options):
        """The audit must be clean; its result."""
        result = daemon.ctl("--json", "audit", *options)
        self.assertEqual(result.code, 0, result)
        audit = result.json
        self.assertEqual(audit["findings"], [])
        self.assertEqual(audit["chain"], "whole")
        self.check_sums(audit)
        return audit

    def check_sums(self, audit):
        self.assertEqual(
            audit["accepted"] + audit["again"],
            sum(audit[end] for end in (
                "held", "delivered", "returned", "expired", "dropped",
                "discarded", "erased", "aside")), audit)

    def findings(self, daemon, *options):
        """What an audit that is not clean finds."""
        result = daemon.ctl("--json", "audit", *options)
        self.assertEqual(result.code, 1, result)
        self.assertIn("not balance", result.err)
        self.assertTrue(result.json["findings"], result)
        return result.json["findings"]

    def finding(self, findings, what):
        for one in findings:
            if one["what"] == what:
                return one
        raise AssertionError("no %s in %s" % (what, findings))

    def flip(self, daemon, pattern, at=-1):
        """A bit of what is found in the file, wherever it is."""
        path = os.path.join(daemon.spool, "data.mdb")
        with open(path, "r+b") as file:
            data = file.read()
            places = [m.end() + at for m in re.finditer(re.escape(pattern),
                                                        data)]
            self.assertTrue(places, "%r is not in the file" % pattern)
            for place in places:
                file.seek(place)
                file.write(bytes([data[place] ^ 1]))


class BalanceTest(AuditTest):
    def test_empty(self):
        daemon = self.daemon()
        audit = self.audit(daemon, "--content")
        self.assertEqual(audit["accepted"], 0)

    def test_every_end(self):
        domains = {"example.com": {},
                   "short.example": {"hold-for": "1s"}}
        daemon = self.daemon(domains=domains, store={"keep-delivered": "1h"})
        sink = daemon.sink
        held = daemon.send(recipients=["held@example.com"])
        gone = daemon.send(recipients=["gone@example.com",
                                       "also@example.com"])
        erased = daemon.send(recipients=["e1@example.com", "e2@example.com"])
        for command, message_id in (("hold", held), ("discard", gone),
                                    ("erase", erased)):
            result = daemon.ctl(command, "--reason", "a test", message_id)
            self.assertEqual(result.code, 0, result)
        sink.on["RCPT"] = by_address({
            "no@example.com": "550 5.1.1 nobody here",
            "later@example.com": "451 4.3.0 not now",
            "late@short.example": "451 4.3.0 not now"})
        sink.start()
        done = daemon.send(recipients=["bob@example.com"])
        daemon.send(recipients=["no@example.com", "yes@example.com"])
        daemon.send(sender="", recipients=["no@example.com"])
        daemon.send(recipients=["later@example.com"])
        daemon.send(recipients=["late@short.example"])

        def ended():
            audit = self.audit(daemon)
            return audit["expired"] and audit["returned"] and \
                audit["dropped"] and audit["delivered"] >= 2 and audit
        audit = wait_for(ended, "every end")
        self.assertEqual(audit["discarded"], 2)
        self.assertEqual(audit["erased"], 2)
        self.assertEqual(audit["expired"], 1)
        self.assertEqual(audit["returned"], 1)
        result = daemon.ctl("replay", "again", done)
        self.assertEqual(result.code, 0, result)
        wait_for(lambda: self.audit(daemon)["again"] == 1)
        self.assertEqual(daemon.ctl("release", held).code, 0)
        sink.on["RCPT"] = None
        daemon.ctl("retry", "state:held")
        daemon.wait_empty()
        audit = self.audit(daemon, "--content")
        self.assertEqual(audit["held"], 0)
        daemon.restart()
        self.audit(daemon, "--content")
        daemon.kill_all()
        daemon.start()
        self.audit(daemon, "--content")

    def test_under_load(self):
        """Nothing is found while everything changes."""
        daemon = self.daemon(store={"keep-delivered": "0"})
        daemon.sink.on["RCPT"] = by_address(
            {"later@example.com": "451 4.3.0 not now"})
        daemon.sink.start()
        stop = threading.Event()

        def load(number):
            with Client(daemon.port) as client:
                client.ehlo()
                while not stop.is_set():
                    try:
                        client.mail("anna@client.test",
                                    ["bob@example.com", "later@example.com"]
                                    if number else ["bob@example.com"],
                                    message())
                    except (AssertionError, Closed, OSError):
                        return
        loads = [threading.Thread(target=load, args=(i,)) for i in range(2)]
        for thread in loads:
            thread.start()
        try:
            for _ in range(15):
                self.audit(daemon, "--content")
        finally:
            stop.set()
            for thread in loads:
                thread.join()
        self.assertGreater(self.audit(daemon)["accepted"], 20)

    def test_since(self):
        daemon = self.daemon()
        daemon.send()
        daemon.json("checkpoint")
        mark = time.strftime("%Y-%m-%dT%H:%M:%S",
                             time.localtime(time.time() + 1))
        for _ in range(2):
            daemon.send()
        whole = self.audit(daemon)
        self.assertEqual((whole["from"], whole["accepted"]), (1, 3))
        late = self.audit(daemon, "--since", mark)
        self.assertGreater(late["from"], 1)
        self.assertEqual(late["accepted"], 2)
        self.assertEqual(self.audit(daemon, "--since", "2h")["accepted"], 3)
        result = daemon.ctl("audit", "--since", "yesterday")
        self.assertEqual(result.code, 2, result)

    def test_text(self):
        daemon = self.daemon()
        daemon.send()
        daemon.json("checkpoint")
        result = daemon.ctl("audit")
        self.assertEqual(result.code, 0, result)
        for words in ("Chain        whole", "1 checkpoint, signed by",
                      "Accepted     1 delivery", "It balances"):
            self.assertIn(words, result.text)


class TamperTest(AuditTest):
    """Somebody changes the file while the daemon is stopped."""

    def setUp(self):
        super().setUp()
        self.spoold = self.daemon(store={"compression": 0})
        self.ids = [self.spoold.send(
            sender="sender-%d@client.test" % i,
            content=message("body number %d\r\n" % i)) for i in range(4)]
        self.spoold.json("checkpoint")
        self.spoold.send()
        self.spoold.stop()

    def text_field(self, tag, text):
        return bytes([tag << 1 | 1, len(text)]) + text.encode()

    def test_ledger_entry(self):
        self.flip(self.spoold, self.text_field(6, "sender-2@client.test"), -15)
        self.spoold.start()
        findings = self.findings(self.spoold)
        one = self.finding(findings, "chain")
        self.assertEqual(one["message"], self.ids[2])
        self.assertEqual(len(findings), 1, findings)
        trace = self.spoold.json("trace", self.ids[2])
        self.assertEqual(one["entry"], trace[0]["entry"])
        self.assertIsNotNone(one["time"])
        self.assertIn("accepted", one["text"])
        result = self.spoold.ctl("audit")
        self.assertIn("broken at %d" % one["entry"], result.text)
        self.assertIn("This does not balance", result.text)

    def test_message_row(self):
        self.flip(self.spoold, self.text_field(4, "sender-1@client.test"), -15)
        self.spoold.start()
        findings = self.findings(self.spoold)
        one = self.finding(findings, "damaged")
        self.assertEqual(one["message"], self.ids[1])
        self.assertEqual(len(findings), 1, findings)
        result = self.spoold.ctl("why", self.ids[1])
        self.assertEqual(result.code, 0, result)
        self.assertIn("damaged", result.text)
        self.assertIn("spoolctl check", result.text)

    def test_content(self):
        with Store(self.spoold.spool) as store:
            piece, = [value for key, value in store.rows("body")
                      if key.startswith(key_of(self.ids[3]))]
        self.flip(self.spoold, piece[20:60])
        self.spoold.start()
        self.audit(self.spoold)
        findings = self.findings(self.spoold, "--content")
        self.assertEqual([one["message"] for one in findings], [self.ids[3]])
        self.assertEqual(findings[0]["what"], "content")

    def test_message_missing(self):
        with Store(self.spoold.spool) as store:
            store.delete("message", key_of(self.ids[0]))
        self.spoold.start()
        findings = self.findings(self.spoold)
        self.assertEqual([(one["what"], one["message"]) for one in findings],
                         [("lost", self.ids[0])])
        self.assertIn("is not there", findings[0]["text"])

    def test_delivery_missing(self):
        with Store(self.spoold.spool) as store:
            store.delete("delivery", key_of(self.ids[0]) + bytes(4))
        self.spoold.start()
        findings = self.findings(self.spoold)
        self.assertEqual(
            [(one["what"], one["message"], one["n"]) for one in findings],
            [("lost", self.ids[0], 0)])

    def entries(self):
        with Store(self.spoold.spool) as store:
            return [int.from_bytes(key, "big")
                    for key, _ in store.rows("ledger")]

    def remove_entry(self, seq):
        with Store(self.spoold.spool) as store:
            store.delete("ledger", seq.to_bytes(8, "big"))

    def test_entry_missing(self):
        self.remove_entry(3)
        self.spoold.start()
        one = self.finding(self.findings(self.spoold), "missing")
        self.assertEqual(one["entry"], 3)

    def test_first_entries_missing(self):
        """That is no cut: no checkpoint stands there."""
        self.remove_entry(1)
        self.spoold.start()
        findings = self.findings(self.spoold)
        self.finding(findings, "missing")

    def test_last_entry_missing(self):
        last = self.entries()[-1]
        self.remove_entry(last)
        self.spoold.start()
        one = self.finding(self.findings(self.spoold), "missing")
        self.assertEqual(one["entry"], last)

    def test_checkpoint_missing(self):
        with Store(self.spoold.spool) as store:
            (key, _), = store.rows("checkpoint")
            store.delete("checkpoint", key)
        self.spoold.start()
        one = self.finding(self.findings(self.spoold), "checkpoint")
        self.assertIn("missing", one["text"])

    def test_chain_and_signed_bytes(self):
        """Verified here, by what spool(5) says alone."""
        with Store(self.spoold.spool) as store:
            ledger = dict(store.rows("ledger"))
            (key, row), = store.rows("checkpoint")
        head = bytes(32)
        fields = self.decode(row[4:])
        for seq in sorted(ledger):
            head = hashlib.blake2b(head + seq + ledger[seq][8:],
                                   digest_size=32).digest()
            self.assertEqual(head[:8], ledger[seq][:8])
            if seq == key:
                self.assertEqual(fields[3], head)
        self.assertEqual(fields[1], int.from_bytes(key, "big"))
        self.assertEqual(fields[4], 4)
        check = hashlib.blake2b(b"checkpoint\0" + key + row[4:],
                                digest_size=16).digest()
        self.assertEqual(check[:4], row[:4])

    def decode(self, record):
        fields, at = {}, 0

        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = record[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(record):
            tag = varint()
            value = varint()
            if tag & 1:
                at += value
                value = record[at - value:at]
            fields[tag >> 1] = value
        return fields


class RetentionTest(AuditTest):
    def drop_old(self, daemon):
        """Checkpoints until old entries went."""
        return wait_for(lambda: daemon.json("checkpoint")["dropped"],
                        "old entries to go")

    def test_retention(self):
        daemon = self.daemon(store={"keep-ledger": "1s",
                                    "keep-delivered": "1h"})
        daemon.sink.on["RCPT"] = by_address(
            {"later@example.com": "451 4.3.0 not now"})
        open_id = daemon.send(recipients=["later@example.com",
                                          "bob@example.com"])
        daemon.sink.start()
        done = daemon.send(recipients=["carl@example.com"])
        wait_for(lambda: daemon.recipients(open_id)["bob@example.com"]
                 ["state"] == "delivered" and done not in daemon.held())
        for _ in range(3):
            before = self.audit(daemon)["from"]
            self.drop_old(daemon)
            daemon.send()
            audit = self.audit(daemon, "--content")
            self.assertGreater(audit["from"], before)
            self.assertGreaterEqual(audit["held"], 1)
        for one in (open_id, done):
            events = [e["event"] for e in daemon.json("trace", one)]
            self.assertIn("carried", events)
            self.assertNotIn("accepted", events)
        # A delivery that ended is made once more after its acceptance went.
        self.assertEqual(daemon.ctl("replay", "again", done).code, 0)
        wait_for(lambda: self.audit(daemon)["again"] == 1)
        daemon.sink.on["RCPT"] = None
        daemon.ctl("retry", "state:held")
        daemon.wait_empty()
        self.drop_old(daemon)
        self.audit(daemon)
        daemon.restart()
        self.audit(daemon)

    def test_entries_gone_before_the_cut(self):
        """What was dropped must have been dropped up to a checkpoint."""
        daemon = self.daemon(store={"keep-ledger": "1s"})
        daemon.send()
        self.drop_old(daemon)
        first = self.audit(daemon)["from"]
        daemon.stop()
        with Store(daemon.spool) as store:
            store.delete("ledger", first.to_bytes(8, "big"))
        daemon.start()
        self.finding(self.findings(daemon), "missing")

    def test_killed_on_the_way(self):
        daemon = self.daemon(store={"keep-ledger": "1s"})
        for _ in range(5):
            for _ in range(20):
                daemon.send(recipients=["a@example.com", "b@example.com"])
            asker = threading.Thread(target=daemon.ctl, args=("checkpoint",))
            asker.start()
            time.sleep(0.002)  # the moment is what is random
            daemon.kill_role("store")
            asker.join()
            wait_for(lambda: daemon.takes_mail())
            self.audit(daemon, "--content")
        wait_for(lambda: daemon.ctl("checkpoint").code == 0)
        self.drop_old(daemon)
        self.assertEqual(self.audit(daemon)["held"], 200)


class TraceTest(AuditTest):
    def test_trace_and_why_while_held(self):
        daemon = self.daemon()
        held = daemon.send(recipients=["bob@example.com"])
        daemon.wait_target("down")
        result = daemon.ctl("why", held)
        self.assertEqual(result.code, 0, result)
        self.assertRegex(result.text, r"from <anna@client.test> came .*for "
                         r"1 recipient")
        self.assertRegex(result.text, r"<bob@example.com> waits for target "
                         r"office, which has been down since .*refused")
        self.assertIn("none of that has gone yet", result.text)
        daemon.ctl("hold", "--reason", "legal wants it", held)
        result = daemon.ctl("why", held)
        self.assertRegex(result.text, 'is held back by .* since .*: '
                         '"legal wants it"')
        trace = daemon.json("trace", held)
        self.assertEqual([e["event"] for e in trace], ["accepted", "held"])
        self.assertEqual(trace[1]["recipient"], "bob@example.com")
        self.assertEqual(trace[1]["text"], "legal wants it")
        self.assertTrue(trace[1]["by"])
        self.assertRegex(daemon.ctl("trace", held).text,
                         r"held +bob@example.com +legal wants it, by \w")

    def test_later(self):
        daemon = self.daemon(targets={"office": {"retry-min": "1h",
                                                 "retry-max": "2h"}})
        daemon.sink.on["RCPT"] = "451 4.3.0 try in a while"
        daemon.sink.start()
        later = daemon.send()
        wait_for(lambda: "deferred" in daemon.ctl("trace", later).text)
        text = daemon.ctl("why", later).text
        self.assertRegex(text, r"was put off .*the target said "
                         r'"451 4\.3\.0 try in a while"\. It is tried again '
                         r"in \d+[mh], after 1 attempt so far")

    def test_gone(self):
        daemon = self.daemon(store={"keep-delivered": "0"})
        daemon.sink.start()
        done = daemon.send(recipients=["bob@example.com"])
        wait_for(lambda: daemon.ctl("show", done).code == 1)
        trace = daemon.json("trace", done)
        self.assertEqual([e["event"] for e in trace],
                         ["accepted", "delivered"])
        self.assertEqual(trace[1]["code"], 250)
        self.assertIsNone(trace[1]["recipient"])
        self.assertRegex(daemon.ctl("trace", done).text,
                         r"delivered +no\. 1 +250 2\.0\.0")
        text = daemon.ctl("why", done).text
        self.assertIn("It is gone", text)
        self.assertRegex(text, r"Recipient 1 was delivered, .*the target said "
                         r'"250 ')

    def test_erased(self):
        daemon = self.daemon()
        erased = daemon.send(recipients=["bob@example.com"])
        self.assertEqual(daemon.ctl("erase", "--reason", "asked for",
                                    erased).code, 0)
        self.assertEqual(daemon.json("trace", erased)[-1]["event"], "erased")
        self.assertIn("erased it", daemon.ctl("why", erased).text)

    def test_kept(self):
        daemon = self.daemon()
        daemon.sink.start()
        kept = daemon.send()
        daemon.wait_empty()
        self.assertRegex(daemon.ctl("why", kept).text,
                         r"(?s)All its deliveries have ended; it is kept "
                         r"until .*was delivered")

    def test_unknown(self):
        daemon = self.daemon()
        for command in ("trace", "why"):
            result = daemon.ctl(command, "0000000000001")
            self.assertEqual(result.code, 1, result)
            self.assertIn("the ledger has no entry of it"
                          if command == "why" else
                          "the ledger has no entry of 0000000000001",
                          result.err)
            self.assertEqual(daemon.ctl(command, "x").code, 2)

    def test_clock_jumped_back(self):
        """Two days, while messages were held: the search by time is misled,
        to a later entry of the message or behind them all, and still nothing
        is left out."""
        daemon = self.daemon()
        ids = [daemon.send() for _ in range(4)]
        middle = [daemon.send() for _ in range(8)]
        daemon.ctl("hold", ids[0])
        last = int(daemon.json("trace", ids[0])[-1]["entry"])
        daemon.stop()
        with Store(daemon.spool) as store:
            for key, value in list(store.rows("ledger")):
                if 6 < int.from_bytes(key, "big") < last:
                    store.put("ledger", key, earlier(value, 2 * 86400000))
        daemon.start()
        self.assertEqual([e["event"] for e in daemon.json("trace", ids[0])],
                         ["accepted", "held"])
        for one in ids[1:] + middle:
            self.assertEqual([e["event"] for e in daemon.json("trace", one)],
                             ["accepted"])

    def test_among_many(self):
        """The search by time finds the beginning."""
        daemon = self.daemon()
        ids = []
        with Client(daemon.port) as client:
            client.ehlo()
            for _ in range(60):
                ids.append(client.mail("a@client.test", ["bob@example.com"],
                                       message()))
        for one in (ids[0], ids[31], ids[-1]):
            self.assertEqual([e["event"] for e in daemon.json("trace", one)],
                             ["accepted"])


if __name__ == "__main__":
    main()
