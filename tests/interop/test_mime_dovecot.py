# SPDX-License-Identifier: ISC
"""ENVELOPE, BODY and BODYSTRUCTURE are those Dovecot gives.

For the whole corpus, and for odd messages made here: sizes, line counts,
types, parameters, addresses. Where the two differ the reason stands here,
and a difference that is not there any more is a fault too.
"""

import functools
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

import corpus  # noqa: E402
import dovecot_structure as dovecot  # noqa: E402

SHOW = HERE.parents[1] / "build" / "interop" / "mime_show"
ITEMS = ("ENVELOPE", "BODY", "BODYSTRUCTURE")

# --- what counts as the same ------------------------------------------------

# Dovecot keeps "it is plain 7-bit text" instead of the words that said so.
PLAIN = {b"text", b"plain", b"charset", b"us-ascii", b"7bit"}


def alike(value):
    """Without the case of PLAIN, and with one blank for a run of them.

    Dovecot squeezes Subject and names where it quotes them, not where it
    sends literals; ours are as they were written.
    """
    if isinstance(value, list):
        return [alike(item) for item in value]
    if not isinstance(value, bytes):
        return value
    return value.lower() if value.lower() in PLAIN else b" ".join(
        value.split())


# --- address lists that are none --------------------------------------------

ATOM = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-]+"
DOTTED = rb"%b(?:\.%b)*" % (ATOM, ATOM)
QUOTED = rb'"(?:[^"\\]|\\.)*"'
WORD = rb"(?:%b|%b)" % (ATOM, QUOTED)
COMMENT = rb"\((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*\))*\)"
BLANKS = rb"(?:[ \t\r\n]|%b)*" % COMMENT
SPEC = rb"(?:%b|%b)@(?:%b|\[[^]\\]*\])" % (DOTTED, QUOTED, DOTTED)
# "J. R. Doe" is an obsolete phrase that many write.
PHRASE = rb"%b(?:%b(?:%b|\.))*" % (WORD, BLANKS, WORD)
MAILBOX = rb"%b(?:%b|(?:%b)?%b<%b>)%b" % (BLANKS, SPEC, PHRASE, BLANKS, SPEC,
                                        BLANKS)
LIST = rb"%b(?:,%b)*" % (MAILBOX, MAILBOX)
GROUP = rb"%b%b:(?:%b|%b);%b" % (BLANKS, PHRASE, LIST, BLANKS, BLANKS)
ADDRESSES = re.compile(rb"(?:%b|%b)(?:,(?:%b|%b))*" % (
    MAILBOX, GROUP, MAILBOX, GROUP), re.S)
TYPE = re.compile(rb"%b/%b[ \t]*(?:;.*)?" % (ATOM.replace(b"/", b""),
                                           ATOM.replace(b"/", b"")), re.S)

FIELDS = [b"Date", b"Subject", b"From", b"Sender", b"Reply-To", b"To", b"Cc",
          b"Bcc", b"In-Reply-To", b"Message-ID"]


def field(message, name):
    """The value of the first field of that name; None: it has none."""
    header = re.split(rb"\r\n\r\n", message, maxsplit=1)[0] + b"\r\n"
    found = re.search(rb"(?im)^%b[ \t]*:((?:.*\r\n)(?:[ \t].*\r\n)*)" % name,
                      header)
    return found.group(1).strip() if found else None


def unreadable(message, ours, theirs):
    """The names of the envelope's fields that differ, and are no addresses.

    None: one of them is well-formed.
    """
    names = []
    for name, a, b in zip(FIELDS, ours, theirs):
        if a == b:
            continue
        value = field(message, name)
        if value is None:  # From stands for it
            value = field(message, b"From")
        if name not in FIELDS[2:8] or ADDRESSES.fullmatch(value):
            return None
        names.append(name)
    return names


# --- both sides -------------------------------------------------------------


def ours(messages, *arguments):
    """Per message: the three items, the date, the packed form, as bytes."""
    text = b"".join(b"%d\n%b" % (len(message), message)
                    for message in messages)
    shown = subprocess.run([str(SHOW), *arguments], input=text,
                           capture_output=True, check=True).stdout
    rows, at = [], 0
    for _ in messages:
        row = []
        for _ in range(5):
            end = shown.index(b"\n", at)
            length = int(shown[at:end])
            row.append(shown[end + 1:end + 1 + length])
            at = end + 1 + length
        rows.append(row)
    assert at == len(shown)
    return rows


def read(text):
    values = dovecot.Values(text)
    assert values.skip(b"(")
    items = values.list_until(b")")
    assert values.at == len(text), text
    return items


def compare(messages):
    """(message, item, ours, theirs) for each item that is not alike."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        theirs = dovecot.fetch(messages, folder)
    differences = []
    for number, (a, b) in enumerate(zip(ours(messages), theirs, strict=True)):
        for item, mine, other in zip(ITEMS, a, b):
            mine, other = alike(read(mine)), alike(other)
            if mine != other:
                differences.append((number, item, mine, other))
    return differences


@functools.cache
def real():
    try:
        return corpus.load()
    except corpus.Unavailable as why:
        return str(why)


@unittest.skipUnless(dovecot.is_here(), "Dovecot is not installed")
class CorpusTest(unittest.TestCase):

    def setUp(self):
        if isinstance(real(), str):
            self.skipTest(real())

    def test_same_as_dovecot(self):
        """All of 6,046 messages but for what is malformed in 61."""
        envelopes, others = [], []
        for number, item, mine, other in compare(real()):
            if item == "ENVELOPE" and unreadable(real()[number], mine, other):
                envelopes.append(number)
            else:
                others.append((number, item, mine, other))
        # One Content-Type is "TEXT/PLAIN charset=US-ASCII": Dovecot takes
        # nothing of it, we take the type.
        bad_types = [number for number, item, *_ in others
                     if item != "ENVELOPE" and not TYPE.fullmatch(
                         field(real()[number], b"Content-Type"))]
        self.assertEqual(len(bad_types), 2)
        self.assertEqual([row for row in others if row[0] not in bad_types],
                         [])
        self.assertEqual(len(envelopes), 61)

    def test_pieces_do_not_matter(self):
        whole = ours(real())
        for piece in ("1", "7", "65408"):
            self.assertEqual(ours(real(), piece), whole)

    def test_structures_are_small(self):
        rows = ours(real())
        average = sum(len(row[4]) for row in rows) / len(rows)
        speed = subprocess.run(
            [str(SHOW), "-t"], capture_output=True, check=True,
            input=b"".join(b"%d\n%b" % (len(m), m) for m in real())).stdout
        print("note:", speed.decode().strip(), flush=True)
        self.assertLess(average, 300)


# --- odd messages -----------------------------------------------------------


def multi(boundary):
    return b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n"


RFC822 = b"Content-Type: message/rfc822\r\n\r\n"
PART = b"--b\r\n\r\nx\r\n"


def nested(levels):
    return b"".join(b'Content-Type: multipart/mixed; boundary="b%d."\r\n\r\n'
                    b"--b%d.\r\n" % (n, n) for n in range(levels)) + b"\r\nx"


def typed(value):
    return b"Content-Type: " + value + b"\r\n\r\nx\r\n"


def disposed(value):
    return b"Content-Disposition: " + value + b"\r\n" + typed(b"image/png")


# The same in both.
SAME = [
    b"\r\n", b"Subject: x\r\n", b"bad line\r\n more\r\nSubject: y\r\n\r\nz",
    b" x: y\r\nSubject: z\r\n\r\n",
    b"Content-Transfer-Encoding: base64\r\nContent-ID: <x>\r\n\r\nz\r\n",
    multi(b"b") + b"p\r\n" + PART + PART + b"--b--\r\nepilogue\r\n",
    multi(b"b") + b"--b\r\n\r\nx\r\n\r\n--b\r\n\r\n\r\n--b\r\n\r\n--b--",
    multi(b"b") + PART,
    multi(b"b") + b"--b \t\r\n\r\nx\r\n--b-- \r\n",
    multi(b"b") + b"--bcd\r\n\r\nx\r\n--b-\r\n",
    multi(b"b") + PART + b"--b", multi(b"b") + PART + b"--b\r\n",
    multi(b"b") + PART + b"--b--\r\n" + PART,
    multi(b"a") + b"--a\r\n" + multi(b"b") + PART + b"--a\r\n\r\ny\r\n--b\r\n",
    multi(b"a") + b"--a\r\n" + RFC822 + multi(b"b") + PART +
    b"--b--\r\n\r\n--a--\r\n",
    multi(b"a") + b"--a\r\n" + multi(b"ab") + b"--ab\r\n\r\nx\r\n--ab\r\n\r\ny",
    multi(b"ab") + b"--ab\r\n" + multi(b"a") + b"--a\r\n\r\nx\r\n--abc\r\n\r\ny",
    multi(b"b") + b"--b\r\n" + multi(b"b") + PART + b"--b--\r\n--b--\r\n",
    multi(b"b--") + b"--b--\r\n\r\nx\r\n--b----\r\n",
    multi(b"b--") + b"--b--\r\n" + multi(b"b") + PART + b"--b--\r\ny",
    multi(b"b") + b"--b\r\nA: b\r\n" + PART,
    multi(b"b") + b"--b\r\nContent-Type: message/rfc822\r\n" + PART,
    multi(b"b") + b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n" +
    PART,
    multi(b"b") + b"--b\r\n-A: b\r\n--x: y\r\n\r\nz\r\n--b--\r\n",
    b"Content-Type: text/plain\r\n" + multi(b"b") + PART,
    multi(b"b") + b"no part\r\n",
    b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n"
    b"Subject: b\r\n\r\nx\r\n--b\r\nContent-Type: text/plain\r\n\r\ny\r\n",
    RFC822 + RFC822 + b"Subject: b\r\n\r\nx\r\n",
    b"Content-Transfer-Encoding: base64\r\n" + multi(b"b") + PART,
    b"Content-Type: multipart/mixed; boundary*0=b; boundary*1=c\r\n\r\n"
    b"--bc\r\n\r\nx\r\n",
    b"Content-Type: (a) multipart (b(c)) / mixed (d) ; boundary = b\r\n\r\n" +
    PART,
    b"A: b\r\r\nC: d\r\r\n\r\nx\r\r\ny\r\r\n",
    multi(b"b") + b"--b\r\n\r\nx\r\r\n--b\r--b\r\n\r\ny\r\n",
    nested(99), multi(b"b") + 9990 * PART + b"--b--\r\n",
    typed(b'text/html; charset="utf-8"; name="a b"'),
    typed(b"text/html; charset=utf-8 (comment); x=y"),
    typed(b"text/plain; name*=utf-8''%C3%A9"),
    typed(b"text/plain; n*1=b; n*0=a"), typed(b"text/plain; n*1=b"),
    typed(b"text/plain; name=a b c.txt; x=y"),
    typed(b"text/plain; name==?utf-8?q?a?="), typed(b"text/plain; n=\xe9t"),
    typed(b'text/plain; a=""'), typed(b'text/plain; name="a\\"b\\\\c"'),
    typed(b"text"), typed(b"text /plain"), typed(b"message/partial; id=x"),
    typed(b"text/plain; charset=a; charset=b"), typed(b"text/plain; a=b; c"),
    disposed(b"inline"), disposed(b'Attachment; FileName="a b"; size=1'),
    disposed(b"attachment;filename=a b.c"), disposed(b"attachment x=y"),
    b"Content-Language: de,en-GB (c), fr\r\n" + typed(b"image/png"),
    b"Content-Language: ,de\r\n" + typed(b"image/png"),
    b"Content-Transfer-Encoding: base64 (c)\r\n" + typed(b"image/png"),
    b"Content-Transfer-Encoding: base64;\r\n" + typed(b"image/png"),
    b"Content-MD5:\r\nContent-ID: <\"x\">\r\nContent-Description: a\r\n  b\r\n"
    + typed(b"image/png"),
    b"To: x: a@b, J <c@d>;\r\nCc: <@x,@y:a@b>\r\nBcc: :;\r\n\r\n",
    b"To: a@b (J (Q) D)\r\nCc: \"a \\\"b\\\"\" <a@[192.0.2.1]>\r\n\r\n",
    b"To: a@b\r\nTo: c@d\r\nFrom: Jane  Doe <x@y>\r\nFrom: z@w\r\n\r\n",
    b"To: Jane Doe, <a>, @b, a@\r\nCc: <>\r\n\r\n",
]

# Why ours is another, and the message.
OTHER = [
    ("The line end before an outer delimiter is not the inner message's, "
     "whatever line is in front of it (RFC 2046 5.1.1).",
     multi(b"a") + b"--a\r\n" + RFC822 + multi(b"b") + PART +
     b"--b--\r\n--a--\r\n"),
    ("Without a boundary the text is shown, not hidden.",
     b"Content-Type: multipart/mixed\r\n\r\n" + PART),
    ("An empty boundary is none (RFC 2046 5.1.1).",
     b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\nx\r\n'),
    ("What is in base64 is no message yet (RFC 2046 5.2.1).",
     b"Content-Transfer-Encoding: base64\r\n" + RFC822 + b"QTogYg==\r\n"),
    ("Boundaries are longer than 80 bytes in some mail.",
     multi(100 * b"x") + b"--" + 100 * b"x" + b"\r\n\r\nx\r\n--" +
     100 * b"x" + b"--\r\n"),
    ("What is too deep is shown as text.", nested(101)),
    ("NUL in a header is '?', not U+FFFD.", typed(b"text/plain; n=\"a\0b\"")),
    ("All of an encoded value is encoded (RFC 2231 4.1).",
     typed(b"text/plain; name*0*=utf-8''%41; name*1=\"b c\"")),
    ("Sections stay where the first stands.",
     typed(b"text/plain; n*0=a; x=y; n*1=b")),
    ("A slash belongs to the name of a file.",
     typed(b"text/plain; name=a/b.txt")),
    ("And so do commas.", typed(b"text/plain; a=b,c=d")),
    ("A parameter has a name and a value.", typed(b"text/plain; a=; b=c")),
    ("A parameter has a name.", typed(b"text/plain; =a; b=c")),
    ("An empty parameter ends nothing.", typed(b"text/plain;; a=b;")),
    ("A value that lacks its quote is one.", typed(b'text/plain; n="open')),
    ("The first of two sections of a number counts.",
     typed(b"text/plain; n*0=a; n*0=b")),
    ("A type counts without what must follow it.", typed(b"text/")),
    ("No type is text/plain (RFC 2045 5.2).", typed(b"/plain")),
    ("An empty type is text/plain.", typed(b"")),
    ("A disposition has a name.", disposed(b"; filename=x")),
    ("Parameters keep their order.",
     disposed(b"attachment; filename*=utf-8''%C3%A9; filename=x")),
    ("The first of a field that must not be twice counts.",
     b"Subject: a\r\nSubject: b\r\n\r\n"),
    ("An empty entry is no address (RFC 5322 4.4).", b"To: a@b,,\r\n\r\n"),
    ("Blanks beside a dot do not matter (RFC 5322 4.4).",
     b"To: a . b @ c . d\r\n\r\n"),
    ("A list goes on behind a group.", b"To: x: a@b; c@d\r\n\r\n"),
    ("And behind what is no address.", b"To: a@b c, d@e\r\n\r\n"),
    ("An address in front of one is its name.", b"To: a@b <a@b>\r\n\r\n"),
    ("What lacks its end counts.", b"To: J <a@b\r\n\r\n"),
]


@unittest.skipUnless(dovecot.is_here(), "Dovecot is not installed")
class OddTest(unittest.TestCase):

    def test_same_as_dovecot(self):
        for number, item, mine, other in compare(SAME):
            with self.subTest(message=SAME[number][:300]):
                self.fail(f"{item}\nours   {mine}\ntheirs {other}")

    def test_other_for_a_reason(self):
        differing = {number for number, *_ in
                     compare([message for _, message in OTHER])}
        for number, (reason, message) in enumerate(OTHER):
            with self.subTest(reason):
                self.assertIn(number, differing, message[:300])


if __name__ == "__main__":
    unittest.main(verbosity=2)
