# SPDX-License-Identifier: ISC
"""What tests of reading ask an imaplib client (Daemon.imap_client)."""

import imaplib
import re


def refusal(imap, name, password):
    """What the server says to a sign-in it refuses."""
    try:
        imap.login(name, password)
    except imaplib.IMAP4.error as error:
        return str(error)
    raise AssertionError("%s was let in" % name)


def uids(imap, box="INBOX"):
    """uid to subject, and the mailbox's UIDVALIDITY."""
    status, data = imap.select('"%s"' % box, readonly=True)
    assert status == "OK", data
    validity = int(imap.response("UIDVALIDITY")[1][0])
    if data == [b"0"]:
        return {}, validity
    rows = imap.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    return {int(re.search(rb"UID (\d+)", row[0]).group(1)):
            row[1].decode().split(":", 1)[1].strip()
            for row in rows if isinstance(row, tuple)}, validity


def subjects(imap, box="INBOX"):
    return list(uids(imap, box)[0].values())


def flags(imap, number):
    return imap.fetch(str(number), "(FLAGS)")[1][0].decode()


class Watcher:
    """A client that idles in a mailbox and keeps what it is told."""

    def __init__(self, imap, box="INBOX", enable=None):
        self.imap = imap
        if enable:
            imap.enable(enable)
        imap.select('"%s"' % box)
        imap.send(b"w IDLE\r\n")
        assert imap.readline().startswith(b"+")

    def wait(self, pattern):
        """The next line that fits; others before it are passed over."""
        while True:
            line = self.imap.readline()
            assert line, "the connection ended before %r" % pattern
            if re.search(pattern, line):
                return line
