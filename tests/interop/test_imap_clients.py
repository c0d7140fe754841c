# SPDX-License-Identifier: ISC
"""Programs people read mail with, against held mail: mbsync, OfflineIMAP,
NeoMutt in a terminal, curl and Python's imaplib.

Each has its own user with the same messages, of every odd kind. What a
program gets must be what was sent, byte for byte, below the Received field;
what it marks must be seen by others, and nothing it does may take a message
out of the spool.
"""

import contextlib
import functools
import hashlib
import imaplib
import mailbox
import os
import pathlib
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bench")]

import corpus  # noqa: E402
import harness  # noqa: E402
import mail  # noqa: E402

SECONDS = 120  # for one run of a program, on a slow machine
PASSWORD = "tree-lamp 42"
REAL = 60  # messages of the corpus

HEAD = (b"From: Anna <anna@source.test>\r\nTo: bob@held.test\r\n"
        b"Date: Mon, 06 Jan 2025 10:00:00 +0000\r\n")
ODD = [
    HEAD + b"Subject: plain\r\n\r\nhello\r\n",
    HEAD + b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\r\n",
    HEAD + b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n"
           b"Content-Type: text/plain; charset=utf-8\r\n\r\n" +
    "Grüße aus Köln\r\n".encode(),
    HEAD + b"Subject: no body\r\n\r\n",
    HEAD + b"Subject: long\r\n\r\n" + 700 * b"x" + b"\r\n" +
    20000 * b"line\r\n",
    HEAD + b'Subject: parts\r\nMIME-Version: 1.0\r\n'
           b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
           b'--b\r\n\r\nread this\r\n--b\r\n'
           b'Content-Type: application/pdf; name="contract.pdf"\r\n'
           b'Content-Transfer-Encoding: base64\r\n\r\n'
           b'JVBERi0xLjQK\r\n--b--\r\n',
]


@functools.cache
def messages():
    """The odd ones, each another Message-ID, and real ones if they can be
    had. Those that no maildir can hold as they are are left out: NUL and bare
    CR are for test_corpus.py."""
    try:
        real = [m for m in corpus.load()
                if b"\r" not in m.replace(b"\r\n", b"") and b"\0" not in m]
    except corpus.Unavailable:
        real = []
    step = max(1, len(real) // REAL)
    return [b"Message-ID: <m%d@source.test>\r\n" % n + content
            for n, content in enumerate(ODD + real[::step][:REAL])]


def below_received(content):
    """What was sent; CRLF or LF."""
    match = re.match(rb"Received:[^\n]*\n(?:[ \t][^\n]*\n)*", content)
    assert match, content[:100]
    return content[match.end():]


def without_tuid(content):
    """With LF and without the field mbsync marks its work with."""
    return re.sub(rb"(?m)^X-TUID: .{12}\n", b"",
                  content.replace(b"\r\n", b"\n"))


def squeezed(content):
    """With all blanks alike: OfflineIMAP writes header fields anew."""
    return re.sub(rb"[ \t\r]*\n[ \t]*|[ \t]+", lambda match:
                  b"\n" if b"\n" in match[0] else b" ", content)


def number_of(content):
    return int(re.search(rb"Message-ID: <m(\d+)@source", content)[1])


def run(*command, **options):
    """A program that must end well; what it said."""
    done = subprocess.run([str(word) for word in command],
                          stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=SECONDS, **options)
    assert done.returncode == 0, (command, done.stdout[-3000:],
                                  done.stderr[-3000:])
    return done.stdout


@unittest.skipUnless(all(map(shutil.which, (
    "mbsync", "neomutt", "tmux", "offlineimap", "curl"))),
    "not all of the programs are installed")
class ClientTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.folder = cls.stack.enter_context(harness.scratch("interop"))
        cls.spoold = cls.stack.enter_context(harness.Spoold(
            cls.folder / "spoold", {harness.DOMAIN: 9}, tls=True, imap=True))
        cls.certificate = cls.folder / "spoold" / "certificate.pem"

    def setUp(self):
        """A user with an address of the same name and all messages."""
        self.user = self.id().rsplit("_", 1)[1]
        self.address = f"{self.user}@{harness.DOMAIN}"
        self.home = self.folder / self.user
        self.home.mkdir()
        self.spoold.add_user(self.user, PASSWORD, self.address)
        self.send(messages())

    def send(self, contents):
        mail.send_in_parallel(self.spoold.port, [
            (corpus.dot_stuffed(content), [self.address],
             "8BITMIME" if corpus.has_8bit(content) else "7BIT")
            for content in contents], 1)

    def held(self):
        return len(self.spoold.ctl("list", f"to:{self.address}"))

    def imap(self):
        """Signed in, over TLS."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        client = imaplib.IMAP4_SSL("127.0.0.1", self.spoold.imaps_port,
                                   ssl_context=context, timeout=SECONDS)
        self.addCleanup(client.shutdown)
        client.login(self.user, PASSWORD)
        return client

    def flags(self):
        """{message's number: its flags}, as another program sees them."""
        client = self.imap()
        client.select("INBOX", readonly=True)
        _, rows = client.fetch(
            "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (Message-ID)])")
        return {number_of(row[1]):
                set(re.search(rb"FLAGS \(([^)]*)\)", row[0])[1].split())
                for row in rows if isinstance(row, tuple)}

    def wait_flags(self, number, flags):
        harness.wait_for(lambda: self.flags().get(number) == flags, SECONDS,
                         f"flags {flags} of message {number}", every=0.1)

    def assert_all(self, contents, alike=lambda content: content):
        """CONTENTS are all messages, each once and as sent but for what
        ALIKE takes away."""
        found = sorted(map(below_received, contents), key=number_of)
        self.assertEqual([number_of(content) for content in found],
                         list(range(len(messages()))))
        for content, sent in zip(found, messages()):
            self.assertEqual(alike(content), alike(sent))

    # --- Python ------------------------------------------------------------

    def test_imaplib(self):
        client = self.imap()
        self.assertEqual(client.select("INBOX")[1],
                         [b"%d" % len(messages())])
        _, rows = client.uid("FETCH", "1:*", "(RFC822.SIZE BODY.PEEK[])")
        rows = [row for row in rows if isinstance(row, tuple)]
        self.assert_all([content for _, content in rows])
        for head, content in rows:
            self.assertIn(b"RFC822.SIZE %d " % len(content), head)
        self.assertEqual({len(flags) for flags in self.flags().values()}, {0})
        client.store("1:2", "+FLAGS.SILENT", r"(\Seen Later)")
        self.wait_flags(0, {rb"\Seen", b"Later"})
        self.assertEqual(client.search(None, "KEYWORD", "later")[1], [b"1 2"])
        self.assertEqual(client.search(None, "SUBJECT", "dots")[1], [b"2"])
        self.assertEqual(client.search(
            "UTF-8", "TEXT", '"k\xf6ln"'.encode())[1], [b"3"])
        self.check_parts(client)
        self.check_own(client)
        self.check_delete(client)

    def check_parts(self, client):
        number = ODD.index(next(m for m in ODD if b"multipart" in m)) + 1
        _, rows = client.fetch(str(number), "(BODYSTRUCTURE BODY.PEEK[2])")
        self.assertIn(b'("application" "pdf" ("name" "contract.pdf")',
                      rows[0][0])
        self.assertEqual(rows[0][1], b"JVBERi0xLjQK")

    def check_own(self, client):
        """Drafts and Sent take what a program writes, INBOX does not."""
        text = HEAD + b"Subject: mine\r\n\r\nto be sent\r\n"
        for box, status in (("Drafts", "OK"), ("Sent", "OK"), ("INBOX", "NO")):
            answer = client.append(box, r"(\Seen)", None, text)
            self.assertEqual(answer[0], status, answer)
        client.select("Drafts")
        self.assertEqual(client.fetch("1", "BODY[]")[1][0][1], text)
        client.select("INBOX")

    def check_delete(self, client):
        """Deleted is for this user only: the spool keeps it."""
        client.store("1", "+FLAGS", r"\Deleted")
        self.assertEqual(client.expunge()[1], [b"1"])
        self.assertNotIn(0, self.flags())
        self.assertEqual(self.held(), len(messages()))

    # --- curl --------------------------------------------------------------

    def curl(self, url, *options):
        return run("curl", "-s", "-S", "-q", "--cacert", self.certificate,
                   "--max-time", SECONDS, "-u",
                   f"{self.user}:{PASSWORD}", *options, url)

    def test_curl(self):
        base = f"imaps://127.0.0.1:{self.spoold.imaps_port}"
        found = self.curl(base + "/INBOX", "-X", "UID SEARCH ALL")
        uids = re.findall(rb"\d+", found)
        self.assertEqual(len(uids), len(messages()))
        urls = [f"{base}/INBOX;UID={uid.decode()}" for uid in uids[:10]]
        contents = [self.curl(url) for url in urls]
        for content, sent in zip(contents, messages()):
            self.assertEqual(below_received(content), sent)
        starttls = f"imap://127.0.0.1:{self.spoold.imap_port}"
        header = self.curl(starttls + "/INBOX;MAILINDEX=1;SECTION=TEXT",
                           "--ssl-reqd")
        self.assertEqual(header, messages()[0].partition(b"\r\n\r\n")[2])
        self.assertIn(b"Delivered", self.curl(starttls + "/", "--ssl-reqd"))
        draft = self.home / "draft"
        draft.write_bytes(messages()[1])
        self.curl(base + "/Drafts", "-T", draft)
        self.assertEqual(self.curl(base + "/Drafts;MAILINDEX=1"),
                         messages()[1])

    # --- mbsync ------------------------------------------------------------

    def mbsync(self, *channels):
        rc = self.home / "mbsyncrc"
        rc.write_text(f"""\
FSync no
IMAPAccount held
Host localhost
Port {self.spoold.imaps_port}
User {self.user}
Pass "{PASSWORD}"
SSLType IMAPS
CertificateFile {self.certificate}

IMAPStore held
Account held

MaildirStore here
Path {self.home}/mail/
Inbox {self.home}/mail/INBOX
SubFolders Verbatim

Channel inbox
Far :held:
Near :here:
Create Near
Expunge Both
SyncState *

Channel own
Far :held:
Near :here:
Patterns Drafts Sent
Create Near
SyncState *
""")
        (self.home / "mail").mkdir(exist_ok=True)
        run("mbsync", "-c", rc, *channels)

    def maildir(self, name="INBOX"):
        """{message's number: file}"""
        files = [file for part in ("cur", "new")
                 for file in (self.home / "mail" / name / part).iterdir()]
        return {number_of(file.read_bytes()): file for file in files}

    @staticmethod
    def mark(file, letters):
        """Gives a file of a maildir these flags, as mail programs do."""
        base = file.name.partition(":2,")[0]
        file.rename(file.parent.parent / "cur" / f"{base}:2,{letters}")

    @staticmethod
    def letters(file):
        return set(file.name.partition(":2,")[2])

    def test_mbsync(self):
        self.mbsync("inbox")
        self.assert_all(
            [file.read_bytes() for file in self.maildir().values()],
            without_tuid)
        self.mark(self.maildir()[0], "S")
        self.mark(self.maildir()[1], "FRS")
        self.mark(self.maildir()[2], "ST")
        client = self.imap()
        client.select("INBOX")
        client.store("4", "+FLAGS", r"(\Flagged)")
        client.store("5", "+FLAGS", r"(\Deleted)")
        self.mbsync("inbox")
        flags = self.flags()
        self.assertEqual(flags[0], {rb"\Seen"})
        self.assertEqual(flags[1], {rb"\Seen", rb"\Answered", rb"\Flagged"})
        self.assertEqual(self.letters(self.maildir()[3]), {"F"})
        for number in (2, 4):
            self.assertNotIn(number, flags)
            self.assertNotIn(number, self.maildir())
        self.assertEqual(self.held(), len(messages()))
        self.check_mbsync_news()

    def check_mbsync_news(self):
        """What comes is pulled, what is written goes to Drafts."""
        self.send([b"Message-ID: <m9000@source.test>\r\n" + ODD[0]])
        draft = b"Message-ID: <m9001@source.test>\n" + \
            ODD[2].replace(b"\r\n", b"\n")
        self.mbsync("inbox", "own")
        self.assertIn(9000, self.maildir())
        box = mailbox.Maildir(self.home / "mail" / "Drafts", create=False)
        box.add(draft)
        self.mbsync("own")
        client = self.imap()
        client.select("Drafts")
        content = client.fetch("1", "BODY[]")[1][0][1]
        self.assertEqual(without_tuid(content), draft)

    # --- OfflineIMAP -------------------------------------------------------

    def offlineimap(self):
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(
            self.certificate.read_text())).hexdigest()
        rc = self.home / "offlineimaprc"
        rc.write_text(f"""\
[general]
accounts = held
metadata = {self.home}/metadata
fsync = False
[Account held]
localrepository = here
remoterepository = there
[Repository here]
type = Maildir
localfolders = {self.home}/mail
[Repository there]
type = IMAP
remotehost = 127.0.0.1
remoteport = {self.spoold.imaps_port}
remoteuser = {self.user}
remotepass = {PASSWORD}
ssl = yes
cert_fingerprint = {fingerprint}
folderfilter = lambda name: name in ("INBOX", "Drafts")
""")
        run("offlineimap", "-o", "-c", rc, "-u", "basic",
            env={**os.environ, "HOME": str(self.home)})

    def test_offlineimap(self):
        self.offlineimap()
        self.assert_all(
            [file.read_bytes() for file in self.maildir().values()], squeezed)
        self.mark(self.maildir()[0], "S")
        self.maildir()[1].unlink()
        client = self.imap()
        client.select("INBOX")
        client.store("4", "+FLAGS", r"(\Flagged)")
        self.send([b"Message-ID: <m9000@source.test>\r\n" + ODD[0]])
        self.offlineimap()
        flags = self.flags()
        self.assertEqual(flags[0], {rb"\Seen"})
        self.assertNotIn(1, flags)
        self.assertEqual(self.letters(self.maildir()[3]), {"F"})
        self.assertIn(9000, self.maildir())
        self.assertEqual(self.held(), len(messages()) + 1)

    # --- NeoMutt -----------------------------------------------------------

    def neomutt_rc(self):
        rc = self.home / "muttrc"
        rc.write_text(f"""\
set folder = imaps://127.0.0.1:{self.spoold.imaps_port}/
set spoolfile = +INBOX
set imap_user = {self.user}
set imap_pass = "{PASSWORD}"
set imap_authenticators = "login"
set certificate_file = {self.certificate}
set ssl_verify_host = no
set tmpdir = {self.home}
set sort = mailbox-order
set mail_check = 1
set timeout = 1
set imap_idle = yes
set confirmappend = no
set confirmcreate = no
set copy = no
set delete = yes
set move = no
set wait_key = no
set sleep_time = 0
set mark_old = no
set charset = utf-8
set index_format = "row %C %Z %s"
set status_format = "%f %m messages"
""")
        return rc

    @contextlib.contextmanager
    def terminal(self, *command):
        """A program on a screen; gives a function that tmux runs with."""
        base = ["tmux", "-f", "/dev/null", "-S", str(self.home / "tmux")]

        def tmux(*words):
            return run(*base, *words).decode("utf-8", "replace")

        environ = {**os.environ, "HOME": str(self.home), "LC_ALL": "C.UTF-8"}
        environ.pop("TMUX", None)
        run(*base, "new-session", "-d", "-x", "100", "-y", "50",
            "exec " + shlex.join(map(str, command)), env=environ)
        try:
            yield tmux
        finally:
            subprocess.run([*base, "kill-server"], capture_output=True,
                           timeout=SECONDS)

    @staticmethod
    def wait_screen(tmux, pattern):
        seen = [""]

        def shows():
            seen[0] = tmux("capture-pane", "-p")
            return re.search(pattern, seen[0])

        try:
            harness.wait_for(shows, SECONDS, pattern, every=0.05)
        except harness.Failed as why:
            raise AssertionError(f"{why}\n{seen[0]}") from None

    def test_neomutt(self):
        copy = self.home / "copy"
        total = len(messages())
        with self.terminal("neomutt", "-n", "-F", self.neomutt_rc()) as tmux:
            def type_keys(*keys):
                tmux("send-keys", *keys)

            self.wait_screen(tmux, r"row 1 .*plain")
            self.wait_screen(tmux, rf"INBOX {total} messages")
            self.wait_screen(tmux, r"row 3 .*grüße")
            type_keys("3", "Enter")
            self.wait_screen(tmux, r"row 3 .*grüße")
            type_keys("Enter")
            self.wait_screen(tmux, r"Grüße aus Köln")
            type_keys("q")
            self.wait_screen(tmux, r"row 1 .*plain")
            type_keys("1", "Enter", "F", "2", "Enter", "d")
            self.wait_screen(tmux, r"row 1 .*! .*plain")
            type_keys("$")
            self.wait_screen(tmux, rf"INBOX {total - 1} messages")
            self.wait_flags(0, {rb"\Flagged"})
            self.send([b"Message-ID: <m9000@source.test>\r\n" + HEAD +
                       b"Subject: while you look\r\n\r\nnews\r\n"])
            self.wait_screen(tmux, rf"INBOX {total} messages")
            # all into a file: tag, then copy what is tagged
            type_keys("T", "~A", "Enter", ";C", "C-u", str(copy), "Enter")
            harness.wait_for(lambda: self.copied(copy) == total, SECONDS,
                             "the copy", every=0.1)
            type_keys("q")
            harness.wait_for(lambda: not self.is_running(tmux), SECONDS,
                             "the end of neomutt", every=0.05)
        self.check_neomutt(copy)

    @staticmethod
    def is_running(tmux):
        try:
            return bool(tmux("list-sessions"))
        except AssertionError:  # no server without a session
            return False

    @staticmethod
    def copied(file):
        if not file.exists():
            return 0
        return len(re.findall(rb"(?m)^Message-ID: <m\d+@source",
                              file.read_bytes()))

    def check_neomutt(self, copy):
        flags = self.flags()
        self.assertNotIn(1, flags)
        self.assertIn(rb"\Seen", flags[2])
        self.assertEqual(self.held(), len(messages()) + 1)
        filed = copy.read_bytes()
        for sent in messages()[:1] + messages()[2:]:
            body = sent.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
            self.assertIn(re.sub(rb"(?m)^(>*From )", rb">\1", body), filed)


if __name__ == "__main__":
    unittest.main(verbosity=2)
