#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A store of format 1, written here as that version did, under this daemon:
everything that was held is delivered byte for byte, and the accounts balance;
however often it is killed while it rewrites the store."""

import ctypes
import hashlib
import os
import random
import time

from spoold_test import main
from test_audit import AuditTest, Store, DIGITS

READY, LATER, DELIVERED = 1, 2, 3
PIECE = 65408  # of content
CREATE = 0x40000
PURGE = 0xffffffff
EPOCH_MS = 1577836800000


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def record(**fields):
    """t4=b"..." or t1=5: what is empty or zero is left out."""
    out = b""
    for tag, value in sorted((int(k[1:]), v) for k, v in fields.items()):
        if isinstance(value, int) and value:
            out += varint(tag << 1) + varint(value)
        elif isinstance(value, bytes) and value:
            out += varint(tag << 1 | 1) + varint(len(value)) + value
    return out


def id_text(number):
    text = ""
    for _ in range(13):
        text = DIGITS[number & 31] + text
        number >>= 5
    return text


class OldStore(Store):
    """Format 1: no check bytes, whole pieces, no chain, eight tables."""

    TABLES = ("message", "body", "delivery", "ready", "later", "target",
              "ledger", "setting")

    def __init__(self, directory):
        os.makedirs(directory, exist_ok=True)
        self.lib = ctypes.CDLL("liblmdb.so.0")
        self.env = ctypes.c_void_p()
        self.call("mdb_env_create", ctypes.byref(self.env))
        self.call("mdb_env_set_maxdbs", self.env, 64)
        self.call("mdb_env_set_mapsize", self.env, ctypes.c_size_t(1 << 32))
        self.call("mdb_env_open", self.env, directory.encode(), 0, 0o600)
        self.txn = ctypes.c_void_p()
        self.call("mdb_txn_begin", self.env, None, 0, ctypes.byref(self.txn))
        self.tables = {}
        for name in self.TABLES:
            dbi = ctypes.c_uint()
            self.call("mdb_dbi_open", self.txn, name.encode(), CREATE,
                      ctypes.byref(dbi))
            self.tables[name] = dbi
        self.now = int(time.time() * 1000)
        self.seq = self.held = self.held_stored = 0
        self.put("setting", b"format", (1).to_bytes(8, "big"))

    def table(self, name):
        return self.tables[name]

    def enter(self, event, message_id, n, code, **more):
        self.seq += 1
        self.put("ledger", self.seq.to_bytes(8, "big"),
                 record(t1=self.now, t2=event, t3=message_id, t4=n, t5=code,
                        **more))

    def add(self, number, content, recipients, states):
        """One message; returns its id."""
        message_id = (self.now - 100000 + number - EPOCH_MS) << 21 | 256
        key = message_id.to_bytes(8, "big")
        flow = b"client.test"
        digest, stored, pieces = hashlib.blake2b(digest_size=32), 0, 0
        for at in range(0, len(content), PIECE):
            piece = b"0" + content[at:at + PIECE]
            digest.update(piece)
            stored += len(piece)
            self.put("body", key + pieces.to_bytes(4, "big"), piece)
            pieces += 1
        self.enter(3, message_id, 0, len(recipients), t6=b"anna@client.test",
                   t7=digest.digest())
        for n, (recipient, state) in enumerate(zip(recipients, states)):
            self.delivery(message_id, key + n.to_bytes(4, "big"), n,
                          recipient, state, flow)
        finished = self.now if set(states) == {DELIVERED} else 0
        if finished:
            self.put("later", (self.now + 3600000).to_bytes(8, "big") + key +
                     PURGE.to_bytes(4, "big"), b"")
        else:
            self.held += 1
            self.held_stored += stored
        self.put("message", key, record(
            t1=self.now - 100000 + number, t2=1, t4=b"anna@client.test",
            t5=flow, t6=len(content), t7=stored, t8=pieces,
            t9=digest.digest(), t10=b"192.0.2.1", t11=b"client.test",
            t12=b"ESMTP", t14=b"number %d" % number, t16=finished))
        return id_text(message_id)

    def delivery(self, message_id, key, n, recipient, state, flow):
        next_ms = self.now + 2000 if state == LATER else 0
        self.put("delivery", key, record(
            t1=recipient, t2=b"office", t3=state, t4=int(state != READY),
            t5=next_ms, t6=self.now if state != READY else 0))
        if state == READY:
            self.put("ready", b"office\0" + flow + b"\0" + key, b"")
        elif state == LATER:
            self.put("later", next_ms.to_bytes(8, "big") + key, b"")
            self.enter(7, message_id, n + 1, 450, t6=b"not now")
        else:
            self.enter(6, message_id, n + 1, 250, t6=b"ok")

    def __exit__(self, *rest):
        self.put("setting", b"totals", record(
            t1=self.held, t2=self.held_stored, t3=self.now))
        super().__exit__(*rest)


class MigrateTest(AuditTest):
    def fill(self, daemon, count):
        """id to content of what is held, with how often it is to come."""
        held = {}
        rng = random.Random(3)
        with OldStore(daemon.spool) as store:
            for number in range(count):
                size = 300000 if number % 10 == 7 else rng.randrange(5000)
                content = b"Subject: number %d\r\n\r\n" % number + \
                    rng.randbytes(size).hex().encode() + b"\r\n"
                content = b"\r\n".join(content[i:i + 900] for i in
                                       range(0, len(content), 900))
                content += b"" if content.endswith(b"\r\n") else b"\r\n"
                states = [READY, LATER, DELIVERED]
                states = [[states[number % 3]], states[:2],
                          [DELIVERED, READY]][number % 4 % 3]
                recipients = [b"r%d-%d@example.com" % (number, n)
                              for n in range(len(states))]
                message_id = store.add(number, content, recipients, states)
                if set(states) != {DELIVERED}:
                    held[message_id] = (content, sorted(
                        r.decode() for r, s in zip(recipients, states)
                        if s != DELIVERED))
        # As the daemon would have left it.
        if os.geteuid() == 0:
            for path in (daemon.spool, daemon.spool + "/data.mdb",
                         daemon.spool + "/lock.mdb"):
                os.chown(path, 65534, 65534)
        return held

    def check_held(self, daemon, held):
        self.assertEqual(daemon.held(), sorted(held))
        for message_id, (content, _) in held.items():
            self.assertEqual(daemon.ctl("cat", message_id).out, content)
        result = daemon.ctl("check", "--content")
        self.assertEqual(result.code, 0, result)
        self.audit(daemon)

    def check_delivered(self, daemon, held):
        daemon.sink.start()
        daemon.ctl("target", "retry", "office")
        daemon.wait_empty()
        came = [(t.content, r) for t in daemon.sink.delivered
                for r in t.recipients]
        wanted = [(content, r) for content, recipients in held.values()
                  for r in recipients]
        self.assertEqual(sorted(came), sorted(wanted))
        self.audit(daemon)

    def test_all_is_there_and_flows(self):
        daemon = self.configured(store={"keep-delivered": "1h"})
        held = self.fill(daemon, 40)
        daemon.start()
        self.assertRegex(daemon.log(), r"\bmigrated format=3 messages=40\b")
        self.check_held(daemon, held)
        finished = daemon.messages("state:finished")
        self.assertEqual(len(finished) + len(held), 40)
        self.check_delivered(daemon, held)
        daemon.restart()
        self.assertEqual(daemon.log().count("migrated format="), 1)

    def test_killed_on_the_way(self):
        daemon = self.configured(store={"keep-delivered": "1h"})
        held = self.fill(daemon, 400)
        rng = random.Random(5)
        for turn in range(12):
            daemon.launch()
            time.sleep(rng.uniform(0, 0.02 * (turn + 1)))
            daemon.kill_all()
        daemon.start()
        self.check_held(daemon, held)
        self.assertFalse(os.path.exists(
            os.path.join(daemon.spool, "rebuild")))
        self.check_delivered(daemon, held)

    def test_newer_is_refused(self):
        daemon = self.daemon()
        daemon.stop()
        with Store(daemon.spool) as store:
            store.put("setting", b"format", (4).to_bytes(8, "big"))
        with open(daemon.spool + "/data.mdb", "rb") as file:
            before = file.read()
        daemon.launch()
        self.assertNotEqual(daemon.process.wait(20), 0)
        daemon.process = None
        self.assertIn("the store has format 4, this spoold knows up to 3",
                      daemon.log())
        with open(daemon.spool + "/data.mdb", "rb") as file:
            self.assertEqual(file.read(), before)


if __name__ == "__main__":
    main()
