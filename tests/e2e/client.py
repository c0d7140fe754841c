# SPDX-License-Identifier: ISC
"""An SMTP client that sends exactly the bytes it is given, right or wrong,
and reads replies strictly. Where smtplib would do, it is used instead."""

import re
import socket
import ssl
import struct

REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])([ -])(.*)\Z", re.S)


class Closed(Exception):
    """The server ended the connection where a reply was due."""


class Reply:
    """One reply; compares with a number, prints as text."""

    def __init__(self, lines):
        self.code = int(lines[0][:3])
        self.lines = [line[4:] for line in lines]

    @property
    def text(self):
        return "\n".join(self.lines)

    @property
    def enhanced(self):
        """The enhanced status code, or None."""
        match = re.match(r"([245]\.\d+\.\d+)( |\Z)", self.lines[-1])
        return match.group(1) if match else None

    def __eq__(self, other):
        return self.code == other

    def __repr__(self):
        return "%d %s" % (self.code, self.text)


class Client:
    def __init__(self, port, host="127.0.0.1", source=None, timeout=20,
                 greeting=220):
        self.sock = socket.create_connection(
            (host, port), timeout, (source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.extensions = {}
        self.greeting = None
        if greeting is not None:
            try:
                self.greeting = self.expect(greeting)
            except BaseException:
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # --- bytes

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.sock.sendall(data)

    def line(self):
        while b"\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise Closed("no reply (%r was left)" % self.buffer)
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def reply(self):
        lines = []
        while True:
            line = self.line()
            match = REPLY_LINE.match(line)
            if match is None or b"\n" in line or b"\r" in line:
                raise AssertionError("not a reply: %r" % line)
            if len(line) > 510:
                raise AssertionError("reply of %d bytes" % len(line))
            lines.append(line.decode())
            if lines[0][:3] != lines[-1][:3]:
                raise AssertionError("codes differ in %r" % lines)
            if match.group(2) == b" ":
                return Reply(lines)

    def at_end(self):
        """Waits for the server to close; True when nothing came before."""
        try:
            while True:
                data = self.sock.recv(65536)
                if not data:
                    return self.buffer == b""
                self.buffer += data
        except ConnectionResetError:
            return self.buffer == b""

    def silent(self, seconds):
        """Does the server say nothing for this time?"""
        before = self.sock.gettimeout()
        self.sock.settimeout(seconds)
        try:
            self.buffer += self.sock.recv(65536)
        except TimeoutError:
            pass
        finally:
            self.sock.settimeout(before)
        return self.buffer == b""

    def half_close(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server was faster

    def abort(self):
        """Ends the connection with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    # --- commands

    def cmd(self, line):
        self.send((line if isinstance(line, bytes) else line.encode()) +
                  b"\r\n")
        return self.reply()

    def expect(self, code, line=None):
        """Sends line (None: nothing) and demands the code; an int, a
        hundred's digit ("5") or a tuple of these."""
        reply = self.reply() if line is None else self.cmd(line)
        codes = code if isinstance(code, tuple) else (code,)
        for one in codes:
            if reply.code == one or (isinstance(one, str) and
                                     str(reply.code).startswith(one)):
                return reply
        raise AssertionError("expected %s to %r, got %r" %
                             (code, line, reply))

    def ehlo(self, name="client.test"):
        reply = self.expect(250, "EHLO " + name)
        self.extensions = {}
        for line in reply.lines[1:]:
            word, _, rest = line.partition(" ")
            self.extensions[word.upper()] = rest
        return reply

    def starttls(self, version=None):
        self.expect(220, "STARTTLS")
        self.tls_handshake(version)

    def tls_handshake(self, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if version is not None:
            context.minimum_version = version
            context.maximum_version = version
        self.sock = context.wrap_socket(self.sock)
        self.buffer = b""

    def begin(self, sender, recipients, mail_params=""):
        """MAIL and RCPTs, each awaited."""
        self.expect(250, "MAIL FROM:<%s>%s" % (
            sender, " " + mail_params if mail_params else ""))
        for recipient in recipients:
            self.expect(250, "RCPT TO:<%s>" % recipient)

    def data(self, content):
        """DATA and content (with CRLF line ends); the final reply."""
        self.expect(354, "DATA")
        self.send(stuff(content) + b".\r\n")
        return self.reply()

    def mail(self, sender, recipients, content, mail_params=""):
        """One whole transaction; the id it was given."""
        self.begin(sender, recipients, mail_params)
        return message_id(self.data(content))

    def quit(self):
        self.expect(221, "QUIT")
        assert self.at_end()
        self.close()


def stuff(content):
    content = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    return content if content.endswith(b"\r\n") or not content \
        else content + b"\r\n"


def message_id(reply):
    """The id in the reply to a final dot that took the message."""
    match = re.match(r"2\.0\.0 Ok: queued as ([0-9A-HJKMNP-TV-Z]{13})\Z",
                     reply.text)
    if reply != 250 or match is None:
        raise AssertionError("not an acceptance: %r" % reply)
    return match.group(1)
