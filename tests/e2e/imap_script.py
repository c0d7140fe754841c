# SPDX-License-Identifier: ISC
"""Conversations with an IMAP server as tables of lines (tests/e2e/imap/*.txt).

    == fetch of a number that is not there      a case: its name
    as anna INBOX                               signed in, mailbox open
    C FETCH 99 FLAGS                            a command, its tag is ours
    BAD                                         what it ends with

Lines of a case:

    as USER [MAILBOX]  a new connection; "-" as the user: nobody signed in
    C COMMAND          sent; "{}" in it is a literal, asked for first, "{+}"
                       one that is not
    L TEXT             the next of its literals
    S PATTERN          an untagged response that must have come
    X PATTERN          one that must not
    N KIND COUNT       so many of this kind came
    OK|NO|BAD PATTERN  the end of the command: code and text, which may be
                       left out
    P PATTERN          NOOP, until an untagged response like that has come
    Q NUMBER CHANGE    STORE, again and again, until HIGHESTMODSEQ says that it
                       tells more than the mailbox (RFC 7162)
    RAW TEXT           bytes as they are, and
    R PATTERN          the next response to them, tag and all
    END                the server closes now
    2 LINE             LINE on a second connection (3 ...: on a third)

In a pattern and a command <..> is anything, <#> a number, <#name> a number to
be remembered, <=name> what was remembered, <=name+1> one more, <crlf> and
<lf> a line end, <nul> a NUL byte. Everything else is itself, case and all.
"""

import re

from spoold_test import wait_for

POLL = 60  # seconds; only failures use it up

TOKEN = re.compile(r"<(\.\.|#\w*|=\w+(?:[+-]\d+)?|crlf|lf|nul)>")
DONE = ("OK", "NO", "BAD")


class Case:
    def __init__(self, path, line, name):
        self.where = "%s:%d" % (path, line)
        self.name = name
        self.lines = []


def load(path):
    """The cases of one file."""
    cases = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if line.startswith("=="):
                cases.append(Case(path, number, line[2:].strip()))
            elif line.strip() and not line.startswith("#"):
                cases[-1].lines.append((number, line))
    return cases


class Conversation:
    """One case. connect() gives a new StrictClient."""

    def __init__(self, case, connect, password):
        self.case = case
        self.connect = connect
        self.password = password
        self.clients = {}
        self.values = {}

    def close(self):
        for client in self.clients.values():
            client.close()

    # --- text with values in it

    def value(self, name):
        match = re.fullmatch(r"=(\w+)([+-]\d+)?", name)
        value = self.values[match.group(1)]
        return str(int(value) + int(match.group(2))) if match.group(2) \
            else value

    def text(self, text):
        def put(match):
            token = match.group(1)
            return {"crlf": "\r\n", "lf": "\n", "nul": "\0"}.get(token) or \
                self.value(token)

        return TOKEN.sub(put, text)

    def matches(self, pattern, text):
        """A match of the whole, and its values are remembered."""
        parts, at, names = [], 0, set()
        for token in TOKEN.finditer(pattern):
            parts.append(re.escape(pattern[at:token.start()]))
            at = token.end()
            word = token.group(1)
            if word == "..":
                parts.append(".*?")
            elif word.startswith("#"):
                parts.append(r"(?P<%s>\d+)" % word[1:] if len(word) > 1
                             else r"\d+")
                names.add(word[1:])
            elif word[1:] in names:
                parts.append("(?P=%s)" % word[1:])
            else:
                parts.append(re.escape(self.text("<%s>" % word)))
        parts.append(re.escape(pattern[at:]))
        match = re.fullmatch("".join(parts), text, re.S)
        if match:
            self.values.update(match.groupdict())
        return match is not None

    # --- lines

    def run(self):
        lines = [(number, *self.split(line))
                 for number, line in self.case.lines]
        at = 0
        while at < len(lines):
            number, who, word, rest = lines[at]
            at += 1
            self.number = number
            if word == "C":
                literals = []
                while at < len(lines) and lines[at][1:3] == (who, "L"):
                    literals.append(self.text(lines[at][3]).encode("utf-8"))
                    at += 1
                self.result = self.clients[who].cmd(self.text(rest),
                                                    *literals)
                self.ends = False
                at = self.check_command(lines, at, who)
            else:
                self.other(who, word, rest)

    @staticmethod
    def split(line):
        match = re.match(r"(?:([2-9]) )?(\S+)(?: (.*))?$", line)
        return match.group(1) or "1", match.group(2), match.group(3) or ""

    def check_command(self, lines, at, who):
        """What stands behind a command, up to its end."""
        texts = [r.raw[2:-2].decode("utf-8", "replace")
                 for r in self.result.untagged]
        while at < len(lines) and lines[at][1] == who:
            self.number, _, word, rest = lines[at]
            at += 1
            if word == "S":
                self.demand(any(self.matches(rest, text) for text in texts),
                            "no " + rest)
            elif word == "X":
                self.demand(not any(self.matches(rest, text)
                                    for text in texts), "there is " + rest)
            elif word == "N":
                kind, count = rest.split()
                self.demand(len(self.result.of(kind)) == int(count),
                            "%d %s" % (len(self.result.of(kind)), kind))
            elif word in DONE:
                text = self.result.tagged.raw.decode("utf-8", "replace")
                text = text.rstrip("\r\n").split(" ", 2)[2]
                self.demand(self.result.status == word and
                            (not rest or self.matches(rest, text)),
                            "not %s %s" % (word, rest))
                return at
            else:
                break
        self.demand(False, "a command without an end")

    def other(self, who, word, rest):
        if word == "as":
            user, _, mailbox = rest.partition(" ")
            if who in self.clients:
                self.clients[who].close()
            client = self.clients[who] = self.connect()
            if user != "-":
                client.ok("LOGIN %s %s" % (user, self.password))
            if mailbox:
                client.ok("SELECT " + mailbox)
        elif word == "P":
            self.poll(who, rest)
        elif word == "Q":
            self.hold_back(who, rest)
        elif word == "RAW":
            self.clients[who].send(self.text(rest).encode("utf-8"))
        elif word == "R":
            self.result = self.clients[who].response()
            self.demand(self.matches(
                rest, self.result.raw.decode("utf-8", "replace")
                .rstrip("\r\n")), "not " + rest)
        elif word == "END":
            self.result = None
            self.demand(self.clients[who].is_over(), "not closed")
        else:
            raise ValueError("%s: line %d: %s?" % (self.case.where,
                                                   self.number, word))

    def poll(self, who, pattern):
        """What others do is told a moment later."""
        def told():
            self.result = self.clients[who].ok("NOOP")
            return any(self.matches(
                pattern, r.raw[2:-2].decode("utf-8", "replace"))
                for r in self.result.untagged)

        wait_for(told, "%s: %s" % (self.case.where, pattern), POLL)

    def hold_back(self, who, change):
        def told():
            self.result = self.clients[who].ok("STORE " + change)
            held = self.result.codes().get("HIGHESTMODSEQ")
            seen = [f.items["MODSEQ"] for f in self.result.of("FETCH")]
            return held is not None and held < max(seen)

        wait_for(told, "%s: HIGHESTMODSEQ" % self.case.where, POLL)

    def demand(self, condition, what):
        if not condition:
            raise AssertionError("%s, line %d: %s; it said %r" % (
                self.case.where, self.number, what, self.result))
