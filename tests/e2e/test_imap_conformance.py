#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""IMAP as RFC 3501, RFC 9051, RFC 7162 and the extensions say it, and nothing
else: the conversations of tests/e2e/imap/*.txt (imap_script.py says how they
are written) with one daemon, through a strict parser. Every user has the
mail of imap_mail.py in INBOX, and changes only his own flags.
"""

import glob
import itertools
import os
import re
import unittest

import imap_mail
import imap_script
from imap_strict import StrictClient
from spoold_test import Daemon, main, test_directory

HERE = os.path.dirname(os.path.abspath(__file__))
PASSWORD = "secret"
# Each of them reads one address; team reads all. The first five have mail.
USERS = ("anna", "mark", "quinn", "dora", "trash", "nora", "olga", "empty")


class Server:
    """A daemon with users and mail, for all cases of a class."""

    def __init__(self, **imap):
        self.daemon = Daemon(test_directory(), imap=imap or True,
                             targets={"office": {}},
                             domains={"example.com": {}})
        self.daemon.start()
        for user in USERS:
            self.daemon.user(user, user + "@example.com", password=PASSWORD)
        self.daemon.user("team", "*@example.com", password=PASSWORD)
        held = [user + "@example.com" for user in USERS[:5]]
        self.sources = itertools.count(1)
        for content in imap_mail.MAIL:
            self.daemon.send("bob@client.test", held, content)

    def connect(self):
        """From an address of its own: wrong passwords slow others down."""
        n = next(self.sources)
        return StrictClient(self.daemon.imap_port,
                            source="127.1.%d.%d" % (n // 250, n % 250 + 1))

    def close(self):
        try:
            self.daemon.stop()
        finally:
            self.daemon.close()


def method(case):
    def test(self):
        talk = imap_script.Conversation(case, self.server.connect, PASSWORD)
        self.addCleanup(talk.close)
        talk.run()

    test.__doc__ = None
    return test


def with_cases(*patterns):
    """Gives a class one method for each case of these files."""
    def decorate(cls):
        for pattern in patterns:
            for path in sorted(glob.glob(os.path.join(HERE, "imap",
                                                      pattern))):
                stem = os.path.basename(path)[:-4]
                for number, case in enumerate(imap_script.load(path), 1):
                    name = "test_%s_%02d_%s" % (
                        stem, number, re.sub(r"\W+", "_", case.name))
                    assert not hasattr(cls, name), name
                    setattr(cls, name, method(case))
        return cls

    return decorate


class ServerTest(unittest.TestCase):
    imap = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(**cls.imap)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()


@with_cases("[!r]*.txt", "r[!e]*.txt")
class Rev1Test(ServerTest):
    """What a server is without the switch."""


@with_cases("rev2.txt")
class Rev2Test(ServerTest):
    """With rev2 = true."""

    imap = {"rev2": True}


if __name__ == "__main__":
    main()
