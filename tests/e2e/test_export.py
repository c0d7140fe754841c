#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Export and import: in every form all comes back as it was, byte for byte,
in the state it had; what is cut can be done again; files of strangers."""

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import time

from client import Client
from spoold_test import (SpooldTest, main, message, wait_for)
from test_compact import body_of

FORMATS = ("eml", "maildir", "mbox")

# What a form might change: quotes of a mailbox, line ends, dots, no body.
ODD = (
    b"Subject: x\r\n\r\nFrom here on\r\n>From there\r\n>>From\r\n\r\n\r\n",
    b"Subject: x\r\n\r\nFrom nobody\r\n\r\nFrom a@b Mon Jan  1 00:00:00 2024"
    b"\r\n\r\nX: y\r\n",
    b"Subject: x\r\n\r\n.\r\n..\r\n. \r\n\r\n.x\r\n",
    b"Subject: x\r\n\r\nbare \r CR, end of line CR\r\r\n\r\r\n\r\r\r\n",
    b"Subject: x\r\n\r\n\xff\xfe\x00 8 bit \xc3\xa9\r\n",
    b"Subject: only a header\r\n",
    b"\r\n",
    b"\r\n\r\n\r\n",
    b"Subject: long\r\n\r\n" + b"y" * 300000 + b"\r\nF\r\nFr\r\nFro\r\nFrom",
    b"Subject: x\r\n\r\n>",
)


def import_rows(result):
    return [(row["result"], row["id"]) for row in json.loads(result.out)]


class ExportTest(SpooldTest):
    def mixed(self):
        """A daemon with messages in every state; their ids in order."""
        daemon = self.daemon(domains={"example.com": {}, "other.test": {}})
        ids = [daemon.send(content=content, mail_params=" BODY=8BITMIME")
               for content in ODD]
        ids += [daemon.send(content=message(body_of(30000 * n, n)))
                for n in range(5)]
        ids.append(daemon.send("", ["a@example.com", "b@other.test"]))
        ids.append(daemon.send("anna@client.test",
                               ["c@example.com", "d@example.com"]))
        daemon.ctl("hold", ids[0], ids[-1])
        return daemon, ids

    def contents(self, daemon, ids):
        return {i: daemon.ctl("cat", i).out for i in ids}

    def facts(self, daemon):
        """What must be the same on both sides."""
        kept = ("id", "arrived", "sender", "client", "helo", "protocol",
                "tls", "subject", "message_id", "size")
        return [{**{name: m[name] for name in kept},
                 "recipients": [(r["address"], r["state"], r["attempts"],
                                 r["code"], r["reply"])
                                for r in m["recipients"]]}
                for m in daemon.messages()]

    def export(self, daemon, form, *query):
        path = daemon.path("export-" + form)
        result = daemon.ctl("--json", "export", "--format", form, "--to",
                            path, *query)
        self.assertEqual(result.code, 0, result)
        return path, result.json

    def another(self, **options):
        return self.daemon(domains={"example.com": {}, "other.test": {}},
                           **options)

    def lines_of(self, path):
        name = path + ("/manifest.jsonl" if os.path.isdir(path)
                       else ".manifest.jsonl")
        with open(name) as file:
            return [json.loads(line) for line in file]

    # --- there and back

    def test_every_form(self):
        daemon, ids = self.mixed()
        contents = self.contents(daemon, ids)
        facts = self.facts(daemon)
        for form in FORMATS:
            with self.subTest(form):
                path, summary = self.export(daemon, form)
                self.assertEqual(
                    summary, {"messages": len(ids), "failed": 0, "path": path,
                              "bytes": sum(map(len, contents.values()))})
                self.check_manifest(path, contents)
                self.check_import(path, ids, contents, facts)

    def check_manifest(self, path, contents):
        lines = self.lines_of(path)
        self.assertEqual([line["id"] for line in lines], list(contents))
        for line in lines:
            content = contents[line["id"]]
            self.assertEqual(line["size"], len(content))
            self.assertEqual(
                line["blake2b"],
                hashlib.blake2b(content, digest_size=32).hexdigest())
            if "file" in line:
                with open(os.path.join(path, line["file"]), "rb") as file:
                    self.assertEqual(file.read(), content)

    def check_import(self, path, ids, contents, facts):
        other = self.another()
        dry = other.ctl("--json", "import", "--dry-run", path)
        self.assertEqual(import_rows(dry), [("would import", i) for i in ids])
        self.assertEqual(other.held(), [])
        result = other.ctl("--json", "import", path)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(sorted(import_rows(result)),
                         sorted(("imported", i) for i in ids))
        self.assertEqual(self.facts(other), facts)
        self.assertEqual(self.contents(other, ids), contents)
        again = other.ctl("import", path)
        self.assertEqual(again.code, 0, again)
        self.assertIn("0 messages imported, %d already here" % len(ids),
                      again.text)
        self.assertEqual(other.json("show", ids[1])["origin"], "import")
        self.assertEqual(other.ctl("audit").code, 0)
        self.check_delivery(other, ids, contents)
        self.check_new_ids(other, ids)
        other.stop()

    def check_delivery(self, other, ids, contents):
        """What was on hold still is; the rest goes out as it came in."""
        other.sink.start()
        wait_for(lambda: other.held() == [ids[0], ids[-1]], "two to be held")
        self.assertEqual(
            {r["state"] for i in (ids[0], ids[-1])
             for r in other.json("show", i)["recipients"]}, {"on-hold"})
        other.ctl("release", "state:on-hold")
        other.wait_empty()
        delivered = [t.content for t in other.sink.delivered]
        self.assertEqual(set(delivered), set(contents.values()))
        self.assertEqual(sum(len(t.recipients) for t in other.sink.delivered),
                         len(ids) + 2)
        self.assertEqual(other.ctl("audit", "--content").code, 0)

    def check_new_ids(self, other, ids):
        """Ids go on behind those that came."""
        self.assertGreater(other.send(), max(ids))

    def test_only_what_a_query_means(self):
        daemon, ids = self.mixed()
        path, _ = self.export(daemon, "eml", "to:b@other.test")
        self.assertEqual([line["id"] for line in self.lines_of(path)],
                         [ids[-2]])

    def test_nothing_is_written_over(self):
        daemon = self.daemon()
        daemon.send()
        for form in FORMATS:
            path, _ = self.export(daemon, form)
            again = daemon.ctl("export", "--format", form, "--to", path)
            self.assertEqual(again.code, 1)
            self.assertIn("File exists", again.err)
        self.assertEqual(daemon.ctl("export").code, 2)
        self.assertEqual(daemon.ctl("export", "--to", daemon.path("x"),
                                    "--format", "zip").code, 1)

    def test_what_cannot_be_read_is_told(self):
        daemon = self.daemon()
        daemon.send()
        daemon.ctl("export", "--to", daemon.path("all"))
        victim = daemon.send(content=message(body_of(200000, 1)))
        daemon.stop()
        self.damage(daemon)
        daemon.start()
        for form in FORMATS:
            path = daemon.path("damaged-" + form)
            result = daemon.ctl("export", "--format", form, "--to", path)
            self.assertEqual(result.code, 1, result)
            self.assertIn(victim, result.err)
            lines = self.lines_of(path)
            self.assertEqual(len(lines), 1)
            other = self.daemon()
            self.assertEqual(other.ctl("import", path).code, 0)
            other.stop()
        daemon.ctl("discard", "state:held")

    def damage(self, daemon):
        """Flips a byte in the last page that is content: large pieces."""
        path = os.path.join(daemon.spool, "data.mdb")
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            best = max(range(0, len(data) - 65536, 4096), key=lambda at:
                       len(set(data[at + 16:at + 4096])) +
                       len(set(data[at + 30000:at + 34096])))
            data[best + 20000] ^= 1
            file.seek(0)
            file.write(data)

    # --- what is kept

    def test_attempts_and_time(self):
        """A message that was tried goes on where it was; the time it may be
        held is not given anew."""
        sink = self.sink()
        domains = {"example.com": {"hold-for": "2s"}}
        sink.on["RCPT"] = lambda session, argument: "451 4.2.1 not now"
        sink.start()
        daemon = self.daemon(sink=sink, domains=domains)
        message_id = daemon.send()
        wait_for(lambda: daemon.recipients(message_id)["bob@example.com"]
                 ["attempts"] >= 3, "three attempts")
        path, _ = self.export(daemon, "eml")
        [line] = self.lines_of(path)
        [told] = line["recipients"]
        self.assertGreaterEqual(told["attempts"], 3)
        self.assertGreater(told["spent_ms"], 100)
        self.assertEqual(told["code"], 451)
        daemon.ctl("discard", "state:held")

        told["spent_ms"], told["state"] = 3600000, "ready"
        with open(path + "/manifest.jsonl", "w") as file:
            file.write(json.dumps(line) + "\n")
        other = self.daemon(sink=sink, domains=domains)
        self.assertEqual(other.ctl("import", path).code, 0)
        wait_for(lambda: other.recipients(message_id)["bob@example.com"]
                 ["state"] == "expired", "the end of its time")
        # The first may come before the target's clock has gone on.
        self.assertIn(other.recipients(message_id)["bob@example.com"]
                      ["attempts"] - told["attempts"], (1, 2))
        self.assertIn("0 messages imported, 1 already here",
                      other.ctl("import", path).text)
        sink.on.clear()
        other.wait_empty()

    def test_later(self):
        """What waits for its next try waits on."""
        sink = self.sink()
        sink.on["RCPT"] = lambda session, argument: "451 4.2.1 not now"
        sink.start()
        slow = {"office": {"retry-min": "1h", "retry-max": "1h"}}
        daemon = self.daemon(sink=sink, targets=slow)
        message_id = daemon.send()
        wait_for(lambda: daemon.recipients(message_id)["bob@example.com"]
                 ["state"] == "later", "it to wait")
        path, _ = self.export(daemon, "mbox")
        told = daemon.recipients(message_id)["bob@example.com"]
        other = self.daemon(sink=sink, targets=slow)
        self.assertEqual(other.ctl("import", path).code, 0)
        new = other.recipients(message_id)["bob@example.com"]
        for name in ("state", "next", "attempts", "code", "reply"):
            self.assertEqual(new[name], told[name])

    def test_finished_deliveries_stay_finished(self):
        daemon = self.daemon()
        message_id = daemon.send(recipients=["a@example.com",
                                             "b@example.com"])
        daemon.ctl("hold", "to:a@example.com")
        daemon.sink.start()
        daemon.ctl("target", "retry", "office")
        wait_for(lambda: daemon.recipients(message_id)["b@example.com"]
                 ["state"] == "delivered", "one delivery")
        path, _ = self.export(daemon, "maildir")
        other = self.daemon()
        self.assertEqual(other.ctl("import", path).code, 0)
        self.assertEqual(list(other.recipients(message_id)),
                         ["a@example.com"])
        daemon.ctl("release", "state:on-hold")
        daemon.wait_empty()
        path = daemon.path("finished")
        self.assertEqual(daemon.ctl("export", "--to", path,
                                    "state:any").code, 0)
        third = self.daemon()
        result = third.ctl("import", path)
        self.assertEqual(result.code, 1)
        self.assertIn("all of its deliveries have ended", result.err)
        self.assertEqual(third.held(), [])

    # --- what is refused

    def test_domains(self):
        daemon = self.daemon(domains={"example.com": {}, "other.test": {}})
        first = daemon.send()
        second = daemon.send(recipients=["bob@other.test"])
        path, _ = self.export(daemon, "eml")
        other = self.daemon()
        result = other.ctl("import", path)
        self.assertEqual(result.code, 1)
        self.assertIn("bob@other.test: its domain is not configured here",
                      result.err)
        self.assertIn("1 message imported, 1 not imported", result.text)
        self.assertEqual(other.held(), [first])
        result = other.ctl("import", "--target", "office", path)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(other.held(), [first, second])
        self.assertEqual(other.ctl("import", "--target", "x", path).code, 2)

    def edited(self, daemon, **changes):
        """An export of one message whose manifest says something else."""
        path = daemon.path("edited-%d" % random.getrandbits(40))
        self.assertEqual(daemon.ctl("export", "--to", path).code, 0)
        [line] = self.lines_of(path)
        line.update(changes)
        with open(path + "/manifest.jsonl", "w") as file:
            file.write(json.dumps(line) + "\n")
        return path

    def test_manifests_of_strangers(self):
        daemon = self.daemon()
        message_id = daemon.send()
        other = self.daemon()
        to = [{"address": "bob@example.com", "state": "ready"}]
        for changes, reason in (
                ({"file": "../log"}, "is not a name of a file"),
                ({"file": "/etc/passwd"}, "is not a name of a file"),
                ({"file": "new/../../log"}, "is not a name of a file"),
                ({"file": "nothing.eml"}, "No such file"),
                ({"blake2b": "00" * 32}, "not what its BLAKE2b says"),
                ({"id": "xyz"}, "not a message id"),
                ({"id": "0" * 13}, "not a message id"),
                ({"sender": "a\r\nRCPT TO:<x@y>"}, "is not an address"),
                ({"recipients": []}, "0 recipients"),
                ({"recipients": [{"address": "b@example.com\r\n"}]},
                 "is not an address"),
                ({"recipients": [{"address": 7}]}, "is not an address"),
                ({"recipients": "b@example.com"}, "0 recipients")):
            with self.subTest(changes=changes):
                result = other.ctl("import", self.edited(daemon, **changes))
                self.assertEqual(result.code, 1, result)
                self.assertIn(reason, result.err)
                self.assertEqual(other.held(), [])
        path = self.edited(daemon, helo="a\r\nb", recipients=to + [
            {"address": "no@example.com", "state": "delivered"}])
        self.assertEqual(other.ctl("import", path).code, 0)
        self.assertEqual(other.held(), [message_id])
        self.assertEqual(other.json("show", message_id)["helo"], "")
        path = self.edited(daemon, sender="somebody@else.test")
        self.assertIn("another message here has the id",
                      other.ctl("import", path).err)

    def test_ids_from_the_future(self):
        """Are not kept: all that is made here would come after them."""
        daemon = self.daemon()
        daemon.send()
        path = self.edited(daemon, id="3" + "0" * 12)
        for count in ("1 message imported", "0 messages imported, 1 already"):
            self.assertIn(count, daemon.ctl("import", path).text)
        self.assertLess(daemon.send(), "3")

    def test_nothing_there(self):
        daemon = self.daemon()
        os.mkdir(daemon.path("empty"))
        result = daemon.ctl("import", daemon.path("empty"),
                            daemon.path("missing"))
        self.assertEqual(result.code, 1)
        self.assertIn("there is no manifest.jsonl", result.err)
        self.assertIn("missing: No such file", result.err)
        self.assertIn("2 not imported", result.text)

    # --- mailboxes of other programs

    def test_mbox_of_another_program(self):
        daemon = self.daemon()
        path = daemon.path("mbox")
        head = (b"Return-Path: <s@client.test>\n"
                b"Delivered-To: bob@example.com\n\n")
        with open(path, "wb") as file:
            file.write(b"From s@client.test Mon Jan  6 10:00:00 2025\n" +
                       head + b"one\n>From me\n.\nend\n\n"
                       b"From MAILER-DAEMON Mon Jan  6 10:00:00 2025\n" +
                       head + b"two\r\nmixed\n\n"
                       b"From s@client.test Mon Jan  6 10:00:00 2025\n"
                       b"Subject: nobody\n\nx\n\n"
                       b"From s@client.test Mon Jan  6 10:00:00 2025\n"
                       b"X-Original-To: eve@example.com\n\nlast without end")
        result = daemon.ctl("import", path)
        self.assertEqual(result.code, 1)
        self.assertIn("does not say for whom it is", result.err)
        self.assertIn("3 messages imported, 1 not imported", result.text)
        again = daemon.ctl("import", path)
        self.assertIn("3 already here", again.text)
        messages = daemon.messages()
        self.assertEqual({m["sender"] for m in messages}, {"s@client.test"})
        self.assertEqual({m["arrived"] for m in messages},
                         {"2025-01-06T10:00:00.000Z"})
        daemon.sink.start()
        daemon.wait_empty()
        crlf = head.replace(b"\n", b"\r\n")
        self.assertEqual(
            sorted(t.content for t in daemon.sink.delivered),
            [crlf + b"one\r\nFrom me\r\n.\r\nend\r\n",
             crlf + b"two\r\nmixed\r\n",
             b"X-Original-To: eve@example.com\r\n\r\nlast without end\r\n"])

    def test_maildir_of_another_program(self):
        daemon = self.daemon()
        path = daemon.path("Maildir")
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(path, part))
        head = b"Return-Path: <>\nEnvelope-To: bob@example.com\n\n"
        for name, content in (("cur/1736157600.1.host:2,S", b"seen\n"),
                              ("new/1736157600.2.host", b"new\n"),
                              ("tmp/1736157600.3.host", b"not whole\n")):
            with open(os.path.join(path, name), "wb") as file:
                file.write(head + content)
        for count in ("2 messages imported", "0 messages imported, 2 already"):
            self.assertIn(count, daemon.ctl("import", path + "/").text)
        os.rename(path + "/new/1736157600.2.host",
                  path + "/cur/1736157600.2.host:2,")
        self.assertIn("2 already here", daemon.ctl("import", path).text)

    # --- death in the middle

    def many(self, count):
        daemon = self.daemon()
        for number in range(0, count, 500):
            with Client(daemon.port) as client:
                client.ehlo()
                for n in range(number, min(count, number + 500)):
                    client.mail("a@client.test", ["bob@example.com"],
                                message(body_of((n % 40) * 300, n)))
        path, _ = self.export(daemon, "eml")
        ids = daemon.held()
        contents = {line["id"]: line["blake2b"]
                    for line in self.lines_of(path)}
        daemon.stop()
        return path, ids, contents

    def assert_all_there(self, other, path, ids, contents):
        result = other.ctl("import", path)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(other.held(), ids)
        audit = other.ctl("audit", "--content")
        self.assertEqual(audit.code, 0, audit)
        other.sink.start()
        other.ctl("target", "retry", "office")
        other.wait_empty()
        self.assertEqual(
            sorted(hashlib.blake2b(t.content, digest_size=32).hexdigest()
                   for t in other.sink.delivered), sorted(contents.values()))

    def begin_import(self, other, path):
        return subprocess.Popen(
            [os.path.join(other.build, "spoolctl"), "-s", other.control,
             "import", path], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def some_held(self, other, count):
        return lambda: other.status()["held"]["messages"] >= count

    def test_killed_client(self):
        path, ids, contents = self.many(1500)
        other = self.daemon()
        for share in (0.1, 0.3, 0.6):
            client = self.begin_import(other, path)
            wait_for(lambda: client.poll() is not None or self.some_held(
                other, share * len(ids))(), "some to be there")
            client.kill()
            client.wait()
        self.assertEqual(set(other.held()) - set(ids), set())
        self.assert_all_there(other, path, ids, contents)

    def test_killed_daemon(self):
        path, ids, contents = self.many(1500)
        other = self.daemon()
        for share in (0.1, 0.3, 0.6):
            client = self.begin_import(other, path)
            wait_for(lambda: client.poll() is not None or self.some_held(
                other, share * len(ids))(), "some to be there")
            other.kill_all()
            self.assertIn(client.wait(20), (0, 3))
            other.start()
        self.assert_all_there(other, path, ids, contents)

    def test_killed_store(self):
        path, ids, contents = self.many(1500)
        other = self.daemon()
        client = self.begin_import(other, path)
        wait_for(self.some_held(other, 100), "some to be there")
        other.kill_role("store")
        self.assertIn(client.wait(30), (0, 1))
        wait_for(other.takes_mail, "the store")
        self.assert_all_there(other, path, ids, contents)

    def test_cut_in_the_middle_of_a_message(self):
        """A client that goes away leaves whole messages only."""
        daemon = self.daemon()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(daemon.control)
            head = {"message": {"sender": "a@client.test", "recipients": [
                {"address": "bob@example.com"}]}, "raw": 6}
            line = json.dumps(head).encode() + b"\n"
            client.sendall(b'{"command":["import","x"],"args":{}}\n' +
                           line + b"one\r\n\n" + line + b"two")
            self.assertIn(b'"imported"', client.recv(4096))
        wait_for(lambda: len(daemon.held()) == 1, "one message")
        [message_id] = daemon.held()
        self.assertEqual(daemon.ctl("cat", message_id).out, b"one\r\n\r\n")

    def test_nonsense_behind_the_request(self):
        daemon = self.daemon()
        for nonsense in (b"[]\n", b"{}\n", b"x\n", b'{"message":{}}\n',
                         b'{"message":{},"raw":-1}\n',
                         b'{"message":[],"raw":1}\n',
                         b'{"message":{},"raw":99999999999999}\n'):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(daemon.control)
                client.sendall(b'{"command":["import","x"],"args":{}}\n' +
                               nonsense + b'{"end":true}\n')
                answer = b""
                while not answer.endswith(b"\n") or b"done" not in answer:
                    more = client.recv(4096)
                    self.assertNotEqual(more, b"")
                    answer += more
                self.assertNotIn(b'"exit":0', answer.replace(b" ", b""))
        self.assertEqual(daemon.held(), [])

    def test_a_client_that_does_not_read(self):
        """Its answers wait, the daemon does not collect them for ever."""
        daemon = self.daemon()
        line = json.dumps({"message": {"sender": "", "recipients": []},
                           "raw": 0}).encode() + b"\n"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(daemon.control)
            client.settimeout(2)
            client.sendall(b'{"command":["import","x"],"args":{}}\n')
            sent = 0
            with self.assertRaises(socket.timeout):
                while sent < 300000:
                    client.sendall(line * 1000)
                    sent += 1000
            self.assertGreater(sent, 1000)
            client.settimeout(20)
            answers = client.makefile("rb")
            for _ in range(sent):
                self.assertIn(b"0 recipients", answers.readline())


if __name__ == "__main__":
    main()
