# SPDX-License-Identifier: ISC
"""An IMAP client for tests that believes nothing: every response goes through
the grammar of imap_parser.py, and what the protocol promises about message
numbers is checked on the way (RFC 9051 7.4.1, 7.5.1; RFC 7162 3.2.10).

    with StrictClient(port) as client:
        client.ok("LOGIN anna secret")
        client.ok("SELECT INBOX")
        for fetch in client.ok("FETCH 1:* FLAGS").of("FETCH"): ...
"""

import socket
import ssl

import imap_parser

DEADLINE = 120  # seconds; only failures use it up


class Violation(AssertionError):
    """The server broke the protocol."""


class Result:
    """What a command got: untagged responses, and the one with its tag."""

    def __init__(self, untagged, tagged):
        self.untagged = untagged
        self.tagged = tagged
        self.status = tagged.kind
        self.code = tagged.code

    def of(self, kind):
        return [r for r in self.untagged if r.kind == kind]

    def one(self, kind):
        found = self.of(kind)
        assert len(found) == 1, (kind, self)
        return found[0]

    def codes(self):
        """Codes of untagged status responses: name to arguments."""
        return {r.code: r.arguments for r in self.untagged
                if r.kind in ("OK", "NO") and r.code}

    def __repr__(self):
        return "".join("\n  %r" % r for r in self.untagged + [self.tagged])


# No EXPUNGE while one of these runs: numbers in it would be others.
NUMBERED = ("FETCH", "STORE", "SEARCH", "SORT")


class StrictClient:
    def __init__(self, port, tls=False, host="127.0.0.1", greet=True,
                 source=None):
        self.socket = socket.create_connection(
            (host, port), DEADLINE, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.utf8 = False
        self.exists = None  # messages of the open mailbox
        self.qresync = False
        self.tags = 0
        self.over = False
        if tls:
            self.start_tls()
        if greet:
            self.greeting = self.response()
            if self.greeting.kind not in ("OK", "BYE"):
                raise Violation("a greeting %r" % self.greeting)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def start_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    # --- bytes

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes)
                            else data.encode("latin-1"))

    def fill(self):
        got = self.socket.recv(1 << 18)
        if not got:
            raise EOFError("closed; left: %r" % bytes(self.buffer[:200]))
        self.buffer += got

    def line(self, start):
        """The end of the line that begins at start."""
        at = start
        while True:
            end = self.buffer.find(b"\r\n", at)
            if end >= 0:
                return end + 2
            at = max(start, len(self.buffer) - 1)
            self.fill()

    def response(self):
        """The next one, whole and parsed."""
        end = self.line(0)
        literal = imap_parser.literal_length(bytes(self.buffer[:end]), True)
        while literal is not None:
            while len(self.buffer) < end + literal:
                self.fill()
            start = end + literal
            end = self.line(start)
            literal = imap_parser.literal_length(
                bytes(self.buffer[start:end]), False)
        data = bytes(self.buffer[:end])
        del self.buffer[:end]
        response = imap_parser.parse(data, self.utf8)
        self.follow(response)
        return response

    def is_over(self):
        """Did the server close, with nothing more to say?"""
        try:
            self.fill()
        except EOFError:
            return True
        except ConnectionResetError:
            return True
        return False

    # --- what the numbers mean

    def follow(self, response):
        if response.kind == "BYE":
            self.over = True
        elif response.kind == "EXISTS":
            if self.exists is not None and response.number < self.exists:
                raise Violation("EXISTS goes down: %r" % response)
            self.exists = response.number
        elif response.kind == "EXPUNGE":
            if self.qresync:
                raise Violation("EXPUNGE after ENABLE QRESYNC")
            if self.exists is None or response.number > self.exists:
                raise Violation("no such number: %r" % response)
            self.exists -= 1
        elif response.kind == "VANISHED":
            if not self.qresync:
                raise Violation("VANISHED without ENABLE QRESYNC")
            if not response.earlier:
                self.exists -= len(response.uids)
        elif response.kind == "FETCH":
            if self.exists is None or response.number > self.exists:
                raise Violation("no such number: %r" % response)
        elif response.kind == "ENABLED":
            self.utf8 |= "UTF8=ACCEPT" in response.words or \
                "IMAP4rev2" in response.words
            self.qresync |= "QRESYNC" in response.words
        elif response.code == "CLOSED" if hasattr(response, "code") else False:
            self.exists = None

    # --- commands

    def tag(self):
        self.tags += 1
        return "t%d" % self.tags

    def begin(self, command, literals=()):
        """Sends a command; "{}" and "{+}" in it become literals, the first
        kind after being asked. Returns its tag."""
        tag = self.tag()
        self.untagged = []
        rest = tag.encode() + b" " + (
            command if isinstance(command, bytes)
            else command.encode("utf-8")) + b"\r\n"
        for literal in literals:
            at = min(p for p in (rest.find(b"{}"), rest.find(b"{+}"))
                     if p >= 0)
            plus = rest[at + 1:at + 2] == b"+"
            self.send(rest[:at] + b"{%d%s}\r\n" %
                      (len(literal), b"+" if plus else b""))
            rest = rest[at + (3 if plus else 2):]
            if not plus:
                response = self.response()
                while response.tag is None:
                    self.untagged.append(response)
                    response = self.response()
                if response.kind != "+":
                    self.early = response
                    return tag
            self.send(literal)
        self.send(rest)
        return tag

    def finish(self, tag):
        """Reads up to the tagged response."""
        untagged = self.untagged
        self.untagged = []
        early, self.early = self.early, None
        while True:
            response = early or self.response()
            if response.tag is not None:
                if response.tag != tag:
                    raise Violation("tag %r instead of %r: %r" %
                                    (response.tag, tag, response))
                return Result(untagged, response)
            untagged.append(response)
            if response.kind == "BYE" and self.ends_without_tag:
                return Result(untagged, response)

    untagged = []
    early = None
    ends_without_tag = False

    def cmd(self, command, *literals):
        name = command.split(b" " if isinstance(command, bytes) else " ")[0]
        name = name.decode() if isinstance(name, bytes) else name
        before = self.exists
        if name.upper() in ("SELECT", "EXAMINE"):
            self.exists = None
        result = self.finish(self.begin(command, literals))
        if name.upper() in NUMBERED and \
                (result.of("EXPUNGE") or
                 [v for v in result.of("VANISHED") if not v.earlier]):
            raise Violation("EXPUNGE in %s: %r" % (command, result))
        if result.status != "OK" and name.upper() in ("SELECT", "EXAMINE"):
            if result.status == "BAD":
                self.exists = before
        elif name.upper() in ("CLOSE", "UNSELECT") and result.status == "OK":
            self.exists = None
        return result

    def ok(self, command, *literals):
        result = self.cmd(command, *literals)
        assert result.status == "OK", (command, result)
        return result

    def no(self, command, *literals, code=None):
        result = self.cmd(command, *literals)
        assert result.status == "NO", (command, result)
        if code is not None:
            assert result.code == code, (command, result)
        return result

    def bad(self, command, *literals):
        result = self.cmd(command, *literals)
        assert result.status == "BAD", (command, result)
        return result
