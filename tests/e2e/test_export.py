#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""export and import: what is held moves to another daemon, byte for byte and
in the state it was in, exactly once however often it was interrupted."""

import json
import os
import subprocess

from spoold_test import SpooldTest, main, message, wait_for


class ExportTest(SpooldTest):
    def filled(self, n=6):
        daemon = self.daemon()
        for i in range(n):
            body = "letter %d\r\n" % i + "x" * (i * 40000) + "\r\n.\r\n"
            daemon.send(sender="bob%d@client.test" % i,
                        recipients=["a%d@example.com" % i, "b@example.com"],
                        content=message(body))
        return daemon

    def export(self, daemon, *query):
        path = daemon.path("export")
        result = daemon.ctl("export", "--to", path, *query)
        self.assertEqual(result.code, 0, result)
        return path

    def moved(self, daemon):
        """(sender, recipients, content) of what is held, as cat shows it."""
        return sorted(
            (row["id"], row["sender"],
             [r["address"] for r in row["recipients"]],
             daemon.ctl("cat", row["id"]).out) for row in daemon.messages())

    def test_there_and_back(self):
        daemon = self.filled()
        on_hold = daemon.held()[2]
        self.assertEqual(daemon.ctl("hold", on_hold).code, 0)
        path = self.export(daemon)
        with open(os.path.join(path, "manifest.jsonl")) as file:
            rows = [json.loads(line) for line in file]
        self.assertEqual([row["id"] for row in rows], daemon.held())
        before = self.moved(daemon)
        daemon.stop()
        other = self.daemon()
        result = other.ctl("import", path)
        self.assertEqual((result.code, result.text),
                         (0, "6 imported, 0 here already, 0 refused\n"),
                         result)
        self.assertEqual(self.moved(other), before)
        self.assertEqual({r["state"] for r in
                          other.json("show", on_hold)["recipients"]},
                         {"on-hold"})
        self.assertEqual(other.json("show", on_hold)["origin"], "import")
        # Once more changes nothing.
        result = other.ctl("import", path)
        self.assertEqual((result.code, result.text),
                         (0, "0 imported, 6 here already, 0 refused\n"))
        self.assertEqual(other.ctl("release", on_hold).code, 0)
        other.sink.start()
        other.wait_empty()
        self.assertEqual(len(other.sink.delivered), 6)
        self.assertEqual(
            sorted(t.content for t in other.sink.delivered),
            sorted(content for _, _, _, content in before))
        self.assertEqual(other.ctl("audit").code, 0)
        self.assertEqual(other.ctl("check").code, 0)

    def test_a_part_of_it(self):
        daemon = self.filled()
        path = self.export(daemon, "from:bob3@*")
        self.assertEqual(len(os.listdir(path)), 2)
        again = daemon.ctl("export", "--to", path)
        self.assertEqual(again.code, 1)
        self.assertIn("there is an export already", again.err)
        self.assertEqual(daemon.ctl("export").code, 1)

    def test_what_is_refused(self):
        path = self.export(self.filled())
        other = self.daemon(domains={"example.org": {}})
        dry = other.ctl("import", "--dry-run", "--target", "office", path)
        self.assertEqual(dry.text.count("would import"), 6)
        self.assertEqual(other.held(), [])
        result = other.ctl("import", path)
        self.assertEqual(result.code, 1)
        self.assertEqual(result.text.count("its domain is not configured"), 6)
        self.assertEqual(other.held(), [])
        self.assertEqual(other.ctl("import", "--target", "nowhere",
                                   path).code, 2)
        self.assertEqual(other.ctl("import", "--target", "office",
                                   path).code, 0)
        self.assertEqual(len(other.held()), 6)

    def test_a_file_that_was_changed(self):
        path = self.export(self.filled())
        name = sorted(os.listdir(path))[1]
        with open(os.path.join(path, name), "ab") as file:
            file.write(b"x")
        other = self.daemon()
        result = other.ctl("import", path)
        self.assertEqual(result.code, 1)
        self.assertIn(name + ": its content is not what the manifest says",
                      result.err)
        self.assertEqual(len(other.held()), 5)

    def test_killed_in_the_middle(self):
        daemon = self.daemon()
        with daemon.client() as client:
            client.ehlo()
            for n in range(400):
                client.mail("a@client.test", ["b%d@example.com" % n],
                            message("letter %d\r\n" % n))
        path = self.export(daemon)
        ids = daemon.held()
        daemon.stop()
        other = self.daemon()
        for kill in ("tool", "daemon", "store", "tool"):
            tool = subprocess.Popen(
                [os.path.join(other.build, "spoolctl"), "-s", other.control,
                 "import", path], stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
            had = len(other.held())
            wait_for(lambda: tool.poll() is not None or
                     len(other.held()) > had + 20, "some to come")
            if kill == "tool":
                tool.kill()
            elif kill == "daemon":
                other.kill_all()
                other.start()
            else:
                other.kill_role("store")
            tool.wait(20)
            wait_for(other.takes_mail, "the store")
        result = other.ctl("import", path)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(other.held(), ids)
        other.sink.start()
        other.wait_empty()
        self.assertEqual(
            sorted(r for t in other.sink.delivered for r in t.recipients),
            sorted("b%d@example.com" % n for n in range(400)))
        self.assertEqual(other.ctl("audit").code, 0)


if __name__ == "__main__":
    main()
