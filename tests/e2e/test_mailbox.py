#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""What stands in a user's mailboxes: held mail comes and goes by what becomes
of it, never by what he does; numbers never come back."""

import os
import re
import subprocess

from reader import Watcher, flags, subjects, uids
from spoold_test import BUILD, SpooldTest, main, message, wait_for


class MailboxTest(SpooldTest):
    def reading(self, users=("bob",), **options):
        self.spoold = self.daemon(imap=True, **options)
        for name in users:
            self.spoold.user(name)
        return self.spoold

    def send(self, *names, recipient="bob@example.com"):
        for name in names:
            self.spoold.send(recipients=[recipient],
                             content=message(subject=name))

    def check(self):
        for command in (["check", "--content"], ["audit", "--content"]):
            result = self.spoold.ctl(*command)
            self.assertEqual(result.code, 0, result)


class HideTest(MailboxTest):
    def test_nothing_is_removed(self):
        daemon = self.reading()
        self.send("one", "two", "three", "four")
        held = daemon.held()
        imap = daemon.imap_client("bob")
        imap.select()
        # Deleted and expunged; moved to Trash, by number and by UID.
        imap.store("1", "+FLAGS", r"(\Deleted)")
        self.assertEqual(imap.expunge(), ("OK", [b"1"]))
        self.assertEqual(imap._simple_command("MOVE", "1", "Trash")[0], "OK")
        self.assertEqual(subjects(imap), ["three", "four"])
        self.assertEqual(subjects(imap, "Trash"), ["two"])
        # Nor does CLOSE, which expunges, or what is done in Trash.
        imap.select()
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.close()
        imap.select("Trash")
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.expunge()
        self.assertEqual(subjects(imap), ["four"])
        self.assertEqual(subjects(imap, "Trash"), [])
        self.assertEqual(daemon.held(), held)
        daemon.sink.start()
        wait_for(lambda: len(daemon.sink.delivered) == 4, "all mail")
        daemon.wait_empty()
        # What was hidden stays hidden when it moves to Delivered.
        self.assertEqual(subjects(imap, "Delivered"), ["four"])
        self.check()

    def test_back_from_trash(self):
        daemon = self.reading()
        self.send("one", "two")
        imap = daemon.imap_client("bob")
        before, _ = uids(imap)
        imap.select()
        imap.store("1", "+FLAGS", r"(\Flagged keep)")
        imap._simple_command("MOVE", "1", "Trash")
        imap.select("Trash")
        self.assertIn(r"\Flagged keep", flags(imap, 1))
        imap._simple_command("MOVE", "1", "INBOX")
        after, _ = uids(imap)
        self.assertEqual(sorted(after.values()), ["one", "two"])
        # With another UID, higher than any before.
        self.assertGreater(max(after), max(before))
        self.assertEqual(after[max(after)], "one")
        self.assertIn(r"\Flagged keep", flags(imap, 2))
        # It is the mail itself, and goes with it.
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(sorted(subjects(imap, "Delivered")), ["one", "two"])
        self.assertEqual(subjects(imap), [])
        self.check()

    def test_refused_with_a_sentence(self):
        daemon = self.reading()
        self.send("one")
        imap = daemon.imap_client("bob")
        imap.select()
        for command in (["COPY", "1", "Sent"], ["MOVE", "1", "Drafts"],
                        ["CREATE", "Mine"], ["DELETE", "INBOX"],
                        ["RENAME", "INBOX", "Other"]):
            status, data = imap._simple_command(*command)
            self.assertEqual(status, "NO", command)
            self.assertRegex(data[-1].decode(), r"^\[[A-Z]+\] [A-Z].{15}",
                             command)
        for box in ("INBOX", "Delivered", "Trash"):
            status, data = imap.append(box, None, None, message())
            self.assertEqual(status, "NO", box)
            self.assertRegex(data[-1].decode(), r"^\[NOPERM\] [A-Z].{15}")
        self.assertEqual(subjects(imap), ["one"])


class MoveTest(MailboxTest):
    def test_while_clients_watch(self):
        daemon = self.reading()
        self.send("one", "two")
        marker = daemon.imap_client("bob")
        marker.select()
        marker.store("2", "+FLAGS", r"(\Answered)")
        inbox = Watcher(daemon.imap_client("bob"))
        resync = Watcher(daemon.imap_client("bob"), enable="QRESYNC")
        done = Watcher(daemon.imap_client("bob"), "Delivered")
        before, validity = uids(daemon.imap_client("bob"))
        daemon.sink.start()
        for _ in range(2):
            inbox.wait(rb"^\* \d+ EXPUNGE\r\n")
        gone = set()
        while gone != set(before):
            line = resync.wait(rb"^\* VANISHED [\d:,]+\r\n")
            for part in line.split()[2].decode().split(","):
                first, _, last = part.partition(":")
                gone |= {uid for uid in before
                         if int(first) <= uid <= int(last or first)}
        done.wait(rb"^\* 2 EXISTS\r\n")
        imap = daemon.imap_client("bob")
        self.assertEqual(subjects(imap), [])
        after, same = uids(imap, "Delivered")
        self.assertEqual(same, validity)
        self.assertGreater(min(after), max(before))
        # With what the user said of it.
        for n, subject in enumerate(after.values(), 1):
            self.assertEqual(r"\Answered" in flags(imap, n),
                             subject == "two")
        # A new one comes in.
        daemon.sink.stop()
        self.send("three")
        inbox.wait(rb"^\* 1 EXISTS\r\n")
        self.check()

    def test_resynchronised(self):
        """A client that was away hears what vanished."""
        daemon = self.reading()
        self.send("one", "two", "three")
        imap = daemon.imap_client("bob")
        before, validity = uids(imap)
        modseq = int(imap.response("HIGHESTMODSEQ")[1][0])
        imap.logout()
        daemon.sink.start()
        daemon.wait_empty()
        daemon.sink.stop()
        self.send("four")
        daemon.restart()
        imap = daemon.imap_client("bob")
        imap.enable("QRESYNC")
        imap.send(b"q SELECT INBOX (QRESYNC (%d %d))\r\n" % (validity,
                                                             modseq))
        lines = []
        while not lines or not lines[-1].startswith(b"q "):
            lines.append(imap.readline())
        text = b"".join(lines).decode()
        vanished = re.search(r"\* VANISHED \(EARLIER\) (\S+)", text).group(1)
        told = set()
        for part in vanished.split(","):
            first, _, last = part.partition(":")
            told |= set(range(int(first), int(last or first) + 1))
        self.assertLessEqual(set(before), told)
        self.assertIn("q OK", text)

    def test_keep_delivered(self):
        daemon = self.reading(store={"keep-delivered": "2s"})
        self.send("one", "two")
        daemon.sink.start()
        daemon.wait_empty()
        daemon.sink.stop()
        done = Watcher(daemon.imap_client("bob"), "Delivered")
        imap = daemon.imap_client("bob")
        # Gone after its time, for those who watch, too.
        for _ in range(2):
            done.wait(rb"^\* \d+ EXPUNGE\r\n")
        self.assertEqual(subjects(imap, "Delivered"), [])
        self.assertEqual(daemon.messages("state:any"), [])
        self.check()


class NumbersTest(MailboxTest):
    def test_restart_and_compaction(self):
        daemon = self.reading()
        self.send("one", "two", "three")
        imap = daemon.imap_client("bob")
        imap.select()
        imap.store("1", "+FLAGS", r"(\Seen)")
        imap.store("2", "+FLAGS", r"(\Deleted)")
        imap.expunge()
        before = uids(imap)
        daemon.restart()
        self.assertEqual(uids(daemon.imap_client("bob")), before)
        self.assertEqual(daemon.ctl("compact").code, 0)
        imap = daemon.imap_client("bob")
        self.assertEqual(uids(imap), before)
        self.assertIn(r"\Seen", flags(imap, 1))
        daemon.kill_all()
        daemon.start()
        self.assertEqual(uids(daemon.imap_client("bob")), before)
        self.send("four")
        after, validity = uids(daemon.imap_client("bob"))
        self.assertEqual(validity, before[1])
        self.assertGreater(max(after), max(before[0]))
        self.check()

    def test_restored(self):
        """What was given out after the backup is not given out again."""
        daemon = self.reading()
        self.send("one", "two")
        imap = daemon.imap_client("bob")
        imap.select()
        imap.store("1", "+FLAGS", r"(\Flagged)")
        before = uids(imap)
        backup = daemon.path("backup")
        self.assertEqual(daemon.ctl("backup", backup).code, 0)
        self.send("lost", "lost as well")
        lost, _ = uids(daemon.imap_client("bob"))
        daemon.stop()
        result = subprocess.run(
            [os.path.join(BUILD, "spoolctl"), "-c", daemon.config_path,
             "restore", backup], capture_output=True)
        self.assertEqual(result.returncode, 0, result)
        daemon.start()
        imap = daemon.imap_client("bob")
        self.assertEqual(uids(imap), before)
        self.assertIn(r"\Flagged", flags(imap, 1))
        self.send("new")
        after, validity = uids(daemon.imap_client("bob"))
        self.assertEqual(validity, before[1])
        self.assertEqual(after[max(after)], "new")
        self.assertGreater(max(after), max(lost))
        # Once.
        daemon.restart()
        self.send("newer")
        again, _ = uids(daemon.imap_client("bob"))
        self.assertLess(max(again) - max(after), 1000)
        self.check()

    def test_exported_and_imported(self):
        daemon = self.reading()
        self.send("one", "two")
        path = daemon.path("export")
        self.assertEqual(daemon.ctl("export", "--to", path).code, 0)
        content = {}
        imap = daemon.imap_client("bob")
        imap.select()
        for n in ("1", "2"):
            content[n] = imap.fetch(n, "(BODY.PEEK[])")[1][0][1]
        self.reading()
        self.assertEqual(self.spoold.ctl("import", path).code, 0)
        imap = self.spoold.imap_client("bob")
        self.assertEqual(sorted(subjects(imap)), ["one", "two"])
        for n in ("1", "2"):
            self.assertEqual(imap.fetch(n, "(BODY.PEEK[])")[1][0][1],
                             content[n])
        self.check()

    def test_switched_on_later(self):
        """Mail that was held before anybody could read is there, and a store
        that nobody may read any more keeps its numbers."""
        daemon = self.reading(users=())
        port, daemon.imap_port = daemon.imap_port, None
        daemon.restart()
        self.send("one", "two")
        daemon.imap_port = port
        daemon.restart()
        daemon.user("bob")
        imap = daemon.imap_client("bob")
        wait_for(lambda: subjects(imap) == ["one", "two"], "the mail")
        before = uids(imap)
        daemon.imap_port = None
        daemon.restart()
        self.send("three")
        daemon.imap_port = port
        daemon.restart()
        after, validity = uids(daemon.imap_client("bob"))
        self.assertEqual(validity, before[1])
        self.assertEqual(list(after.values()), ["one", "two", "three"])
        self.assertEqual(list(after)[:2], list(before[0]))
        self.check()


class OwnTest(MailboxTest):
    def append(self, imap, box, content, given=None):
        return imap.append(box, given, None, content)

    def test_drafts_and_sent(self):
        daemon = self.reading()
        self.send("held")
        imap = daemon.imap_client("bob")
        draft = message(subject="my draft", body="not sent\r\n")
        status, data = self.append(imap, "Drafts", draft, r"(\Draft)")
        self.assertEqual(status, "OK", data)
        self.assertRegex(data[0].decode(), r"\[APPENDUID \d+ \d+\]")
        self.assertEqual(self.append(imap, "Sent", message(
            subject="my answer"))[0], "OK")
        self.assertEqual(subjects(imap, "Drafts"), ["my draft"])
        self.assertEqual(imap.fetch("1", "(BODY.PEEK[])")[1][0][1], draft)
        self.assertIn(r"\Draft", flags(imap, 1))
        # It is nobody's mail: not held, not delivered, not exported.
        self.assertEqual(len(daemon.held()), 1)
        self.assertEqual(len(daemon.messages("state:any")), 1)
        self.check()
        daemon.sink.start()
        daemon.wait_empty()
        self.assertEqual(len(daemon.sink.delivered), 1)
        daemon.restart()
        imap = daemon.imap_client("bob")
        self.assertEqual(subjects(imap, "Drafts"), ["my draft"])
        self.assertEqual(daemon.ctl("compact").code, 0)
        imap = daemon.imap_client("bob")
        self.assertEqual(subjects(imap, "Sent"), ["my answer"])
        # One's own goes when it is expunged, also by way of Trash.
        imap.select("Drafts")
        imap._simple_command("MOVE", "1", "Trash")
        self.assertEqual(subjects(imap, "Trash"), ["my draft"])
        imap.select("Trash")
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.expunge()
        imap.select("Sent")
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.expunge()
        user = daemon.json("user", "list")[0]
        self.assertEqual((user["own_messages"], user["own_bytes"]), (0, 0))
        self.check()

    def test_quota(self):
        daemon = self.reading(limit={"user-quota": "64K"},
                              users=("bob", "anna"))
        imap = daemon.imap_client("bob")
        big = message(body=os.urandom(15000).hex().encode() + b"\r\n")
        n = 0
        while True:
            status, data = self.append(imap, "Drafts", big)
            if status != "OK":
                break
            n += 1
            self.assertLess(n, 50)
        self.assertGreater(n, 1)
        self.assertEqual(status, "NO")
        self.assertIn("OVERQUOTA", data[-1].decode())
        # Another's is another's; room comes back.
        self.assertEqual(self.append(daemon.imap_client("anna"), "Sent",
                                     big)[0], "OK")
        imap.select("Drafts")
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.expunge()
        self.assertEqual(self.append(imap, "Drafts", big)[0], "OK")
        # With the user all of it goes.
        self.assertEqual(daemon.ctl("user", "remove", "bob").code, 0)
        self.check()
        self.assertEqual(daemon.ctl("user", "remove", "anna").code, 0)
        self.check()


if __name__ == "__main__":
    main()
