#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Backups: made under load, restored elsewhere; cut and damaged ones, a
daemon that runs, a store that is there already, keys that are missing."""

import os
import shutil
import subprocess

from spoold_test import (SpooldTest, Result, main, message, wait_for)
from test_compact import Feed, body_of


class BackupTest(SpooldTest):
    def restore(self, daemon, path, *options):
        """spoolctl restore into the spool of a daemon that is stopped."""
        daemon.write_config()
        return Result(subprocess.run(
            [os.path.join(daemon.build, "spoolctl"), "-c",
             daemon.config_path, *options, "restore", path],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
            env=daemon.environment()))

    def filled(self, count=20, **options):
        daemon = self.daemon(**options)
        ids = [daemon.send(content=message(body_of(3000 * n, n)))
               for n in range(count)]
        return daemon, ids

    def elsewhere(self, daemon, **options):
        """Another spool with a copy of the key file."""
        other = self.configured(**options)
        shutil.copy(daemon.path("spool.key"), other.path("spool.key"))
        return other

    def backup(self, daemon):
        path = daemon.path("backup")
        result = daemon.ctl("backup", path)
        self.assertEqual(result.code, 0, result)
        return path

    def contents(self, daemon, ids):
        return {i: daemon.ctl("cat", i).out for i in ids}

    def test_made_under_load_and_restored_elsewhere(self):
        daemon, ids = self.filled(100)
        feeds = [Feed(daemon, n) for n in range(3)]
        wait_for(lambda: all(feed.acknowledged for feed in feeds))
        before = {i for feed in feeds for i in feed.acknowledged.values()}
        path = self.backup(daemon)
        for feed in feeds:
            feed.end()
        self.assertIn(" backup bytes=", daemon.log())
        self.assertFalse(os.path.exists(path + ".part"))

        other = self.elsewhere(daemon)
        result = self.restore(other, path)
        self.assertEqual(result.code, 0, result)
        self.assertIn("will be delivered again", result.text)
        other.start()
        held = other.held()
        self.assertEqual(before.union(ids) - set(held), set())
        self.assertEqual(set(held) - set(daemon.held()), set())
        contents = self.contents(daemon, held)
        self.assertEqual(self.contents(other, held), contents)
        other.sink.start()
        other.ctl("target", "retry", "office")
        other.wait_empty()
        self.assertEqual(sorted(t.content for t in other.sink.delivered),
                         sorted(contents.values()))

    def test_not_whole(self):
        daemon, _ = self.filled(3)
        path = self.backup(daemon)
        with open(path, "rb") as file:
            whole = file.read()
        other = self.elsewhere(daemon)
        cases = {"cut": (whole[:-1], "not a whole backup"),
                 "half": (whole[:len(whole) // 2], "not a whole backup"),
                 "short": (whole[4096:], "not a whole backup"),
                 "empty": (b"", "not a whole backup"),
                 "flip": (whole[:9000] + bytes([whole[9000] ^ 1]) +
                          whole[9001:], "is damaged")}
        for name, (content, why) in cases.items():
            with self.subTest(name):
                with open(daemon.path(name), "wb") as file:
                    file.write(content)
                result = self.restore(other, daemon.path(name))
                self.assertEqual(result.code, 1)
                self.assertIn(why, result.err)
        self.assertFalse(os.path.exists(
            os.path.join(other.spool, "data.mdb")))
        self.assertEqual(self.restore(other, path).code, 0)
        other.start()

    def test_a_daemon_that_runs(self):
        daemon, ids = self.filled(3)
        path = self.backup(daemon)
        result = self.restore(daemon, path)
        self.assertEqual(result.code, 1)
        self.assertIn("stop it first", result.err)
        self.assertEqual(daemon.held(), ids)

    def test_what_was_there_is_moved_aside(self):
        daemon, ids = self.filled(3)
        path = self.backup(daemon)
        later = daemon.send()
        daemon.stop()
        result = self.restore(daemon, path, "--json")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(result.json["held"], 3)
        aside = os.path.join(daemon.spool, result.json["aside"])
        daemon.start()
        self.assertEqual(daemon.held(), ids)
        daemon.stop()
        os.rename(os.path.join(aside, "data.mdb"),
                  os.path.join(daemon.spool, "data.mdb"))
        os.unlink(os.path.join(daemon.spool, "lock.mdb"))
        daemon.start()
        self.assertEqual(daemon.held(), ids + [later])

    def start_backup(self, daemon):
        """To a pipe nobody reads yet."""
        return subprocess.Popen(
            [os.path.join(daemon.build, "spoolctl"), "-s", daemon.control,
             "backup", "-"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, bufsize=0, env=daemon.environment())

    def test_a_client_that_goes_away(self):
        daemon, ids = self.filled(60)
        ctl = self.start_backup(daemon)
        ctl.stdout.read(1000)
        second = daemon.ctl("backup", daemon.path("second"))
        self.assertEqual(second.code, 1)
        self.assertIn("another copy", second.err)
        self.assertFalse(os.path.exists(daemon.path("second")))
        self.assertFalse(os.path.exists(daemon.path("second.part")))
        ctl.kill()
        ctl.communicate()
        wait_for(lambda: daemon.ctl("backup", daemon.path("second")).code == 0)
        self.assertEqual(daemon.held(), ids)

    def test_while_the_store_is_compacted(self):
        """The backup goes on with the file it began with."""
        daemon, ids = self.filled(60)
        contents = self.contents(daemon, ids)
        ctl = self.start_backup(daemon)
        begin = ctl.stdout.read(1000)
        self.assertEqual(daemon.ctl("compact").code, 0)
        after = daemon.send()
        wait_for(lambda: daemon.held() == ids + [after])
        rest, _ = ctl.communicate(timeout=30)
        self.assertEqual(ctl.returncode, 0)
        with open(daemon.path("backup"), "wb") as file:
            file.write(begin + rest)
        other = self.elsewhere(daemon)
        result = self.restore(other, daemon.path("backup"))
        self.assertEqual(result.code, 0, result)
        other.start()
        self.assertEqual(self.contents(other, other.held()), contents)

    def test_where_it_cannot_be_written(self):
        daemon, _ = self.filled(1)
        result = daemon.ctl("backup", "/nonexistent/backup")
        self.assertEqual(result.code, 1)
        self.assertIn("/nonexistent/backup", result.err)
        full = daemon.ctl("backup", "/dev/full/x")
        self.assertEqual(full.code, 1)

    def test_the_keys_are_missing(self):
        daemon, ids = self.filled(3)
        contents = self.contents(daemon, ids)
        path = self.backup(daemon)
        other = self.configured()
        result = self.restore(other, path)
        self.assertEqual(result.code, 1)
        self.assertIn("needs the key pair", result.err)
        self.assertFalse(os.path.exists(
            os.path.join(other.spool, "data.mdb")))
        self.assertEqual(self.restore(other, path, "--force").code, 0)
        shutil.copy(daemon.path("spool.key"), other.path("spool.key"))
        other.start()
        self.assertEqual(self.contents(other, other.held()), contents)


if __name__ == "__main__":
    main()
