#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""A scriptable SMTP server: the target of the tests and of the tour.

By hand it prints what it receives:

    python3 tests/e2e/sink.py 2526 [--maildir DIR]

In a test every step can be told to misbehave. Steps are GREETING, EHLO,
HELO, STARTTLS, MAIL, RCPT, DATA (the reply to the command), CONTENT (the
first bytes of it have come), DOT (the reply to the final dot), BDAT (to a
chunk that is not the last; DOT is that to the last), XCLIENT, XFORWARD, RSET,
NOOP and QUIT; with sink.lmtp LHLO in place of EHLO, and VERDICT, of each
recipient, in place of DOT:

    sink.on["RCPT"] = nth(2, "452 4.2.2 full")     only the second RCPT
    sink.on["RCPT"] = by_address({"a@example.com": "550 5.1.1 unknown"})
    sink.on["DOT"] = CLOSE                          dies after the dot
    sink.on["MAIL"] = sequence("451 4.3.0 no", CLOSE)   then as usual
    sink.on["EHLO"] = Slow(0.3, Pieces(None))       the usual, slowly

An action is a reply (text, lines separated by \\n, or raw bytes), one of
HANG, CLOSE, RESET, a wrapper (Slow, Pieces, Last), None (the usual), or a
function of (session, argument) that returns one of these.

After sink.use_tls STARTTLS is offered and works; session.tls is a session's
TLS socket then, tls_version, tls_resumed and tls_name (what the client asked
for) tell of it, and tls_error of a handshake that failed.

Everything a client does against the protocol is kept in sink.violations;
every transaction that got as far as its final dot in sink.transactions.
"""

import argparse
import itertools
import os
import re
import select
import socket
import ssl
import struct
import sys
import threading
import time

HANG = object()   # read nothing more, answer nothing, keep the connection
CLOSE = object()  # close in order, without a reply
RESET = object()  # close with RST

COMMAND_MAX = 512 + 1024  # RFC 5321 and room for SIZE, BODY, SMTPUTF8
XTEXT = re.compile(r"\+([0-9A-F]{2})")
PATH = re.compile(r"(?i:FROM|TO):<([^<>]*)>(?: (.*))?\Z")


class Slow:
    def __init__(self, seconds, then=None):
        self.seconds, self.then = seconds, then


class Pieces:
    """The reply byte by byte."""

    def __init__(self, then=None):
        self.then = then


class Last:
    """The reply, then the end of the connection."""

    def __init__(self, then):
        self.then = then


def nth(number, action):
    """Only the number-th time (counted over all sessions)."""
    count = itertools.count(1)
    return lambda session, argument: \
        action if next(count) == number else None


def sequence(*actions):
    """One action each time, and the usual after the last."""
    waiting = list(actions)
    return lambda session, argument: waiting.pop(0) if waiting else None


def by_address(table):
    """For MAIL, RCPT and VERDICT: an action by address."""
    return lambda session, argument: table.get(argument)


class Transaction:
    """A message that got as far as its final dot."""

    def __init__(self, session, sender, params):
        self.session = session
        self.sender = sender
        self.params = params
        self.recipients = []  # accepted addresses
        self.rcpt_params = {}
        self.refused = []     # (address, reply)
        self.content = b""    # dots unstuffed
        self.chunks = []      # sizes, where it came by BDAT
        self.failed = False   # a chunk was refused
        self.client = dict(session.client)    # attributes of XCLIENT
        self.forward = dict(session.forward)  # of XFORWARD
        self.helo = session.helo
        self.verdicts = {}    # LMTP: address to code
        self.answer = None    # the reply's code; None: it never went out
        self.when = None      # of the final dot, time.monotonic()

    @property
    def delivered(self):
        return self.answer is not None and 200 <= self.answer < 300


class Session(threading.Thread):
    """One connection."""

    def __init__(self, sink, sock, number):
        super().__init__(daemon=True)
        self.sink, self.sock, self.number = sink, sock, number
        self.buffer = b""
        self.commands = []  # (command line, was more waiting behind it?)
        self.helo = None
        self.esmtp = False
        self.client = {}
        self.forward = {}
        self.mails = 0
        self.transaction = None
        self.messages = 0
        self.open = True
        self.opened = time.monotonic()
        self.closed = None
        self.tls = None
        self.tls_version = self.tls_resumed = self.tls_name = None
        self.tls_error = None

    # --- bytes

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def read_line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        if b"\n" in line or b"\r" in line:
            self.violation("bare CR or LF in %r" % line)
        if len(line) + 2 > COMMAND_MAX:
            self.violation("command of %d bytes" % len(line))
        return line

    def more_waiting(self):
        """Bytes behind this command? The peer's end is none."""
        if self.tls is not None:  # as far as they are deciphered
            return bool(self.buffer or self.tls.pending())
        try:
            return bool(self.buffer or self.sock.recv(
                1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def read_content(self):
        """Up to the final dot; the dots unstuffed."""
        # Looked at as if the CRLF after DATA belonged to it, so that an
        # empty message ends like any other.
        data = b"\r\n" + self.buffer
        self.buffer = b""
        told = False
        start = 0
        while True:
            end = data.find(b"\r\n.\r\n", start)
            if not told and len(data) > 2:
                told = True
                self.do("CONTENT", None, None)
            if end >= 0:
                break
            start = max(0, len(data) - 4)
            self.fill()
            data += self.buffer
            self.buffer = b""
        self.buffer = data[end + 5:]
        return data[:end + 2].replace(b"\r\n.", b"\r\n")[2:]

    def end(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack("ii", 1, 0))
        raise EOFError

    def send(self, data, pieces=False):
        if not pieces:
            self.sock.sendall(data)
            return
        for i in range(len(data)):
            self.sock.sendall(data[i:i + 1])
            time.sleep(0.001)

    # --- script

    def do(self, step, argument, usual):
        """Runs the script's action of this step; the code it answered."""
        action = self.sink.on.get(step)
        if callable(action):
            action = action(self, argument)
        return self.perform(action, usual)

    def perform(self, action, usual, pieces=False):
        if action is None:
            action = usual
        if action is None:
            return None
        if action is HANG:
            while True:
                self.fill()
                self.buffer = b""
        if action is CLOSE or action is RESET:
            self.end(reset=action is RESET)
        if isinstance(action, Slow):
            self.sink.stopping.wait(action.seconds)
            return self.perform(action.then, usual, pieces)
        if isinstance(action, Pieces):
            return self.perform(action.then, usual, True)
        if isinstance(action, Last):
            self.perform(action.then, usual, pieces)
            self.end()
        if isinstance(action, bytes):
            self.send(action, pieces)
            return int(action[:3]) if action[:3].isdigit() else None
        self.send(action.replace("\n", "\r\n").encode() + b"\r\n", pieces)
        return int(action[:3])

    def violation(self, text):
        self.sink.violations.append(text)

    # --- protocol

    def run(self):
        try:
            if self.do("GREETING", None, self.sink.banner) == 220:
                while self.command(self.read_line()):
                    pass
        except (EOFError, OSError, ValueError):
            pass
        finally:
            self.open = False
            self.closed = time.monotonic()
            self.sock.close()

    def command(self, line):
        # The bytes behind BDAT are its own; see on_bdat.
        more = not line.startswith(b"BDAT") and self.more_waiting()
        self.commands.append((line, more))
        if more and not (self.esmtp and "PIPELINING" in self.offered()):
            self.violation("pipelined without PIPELINING: %r" % line)
        text = line.decode("utf-8", "replace")
        verb, _, argument = text.partition(" ")
        handler = getattr(self, "on_" + verb.lower(), None)
        if handler is None:
            self.violation("unknown command %r" % line)
            self.do("OTHER", text, "500 5.5.1 what?")
            return True
        return handler(argument) is not False

    def offered(self):
        return {e.split()[0] for e in self.extensions()}

    def extensions(self):
        if self.sink.tls is not None and self.tls is None:
            return self.sink.extensions + ["STARTTLS"]
        return self.sink.extensions

    def limit(self, name):
        """A number of LIMITS (RFC 9422), or None."""
        for extension in self.sink.extensions:
            for word in extension.split()[1:]:
                if word.startswith(name + "="):
                    return int(word[len(name) + 1:])
        return None

    def on_ehlo(self, argument):
        if self.sink.lmtp:
            self.violation("EHLO where LMTP is spoken")
            return
        self.hello("EHLO", argument)

    def on_lhlo(self, argument):
        if not self.sink.lmtp:
            self.violation("LHLO where SMTP is spoken")
            return
        self.hello("LHLO", argument)

    def hello(self, step, argument):
        self.transaction = None
        usual = "502 5.5.1 only HELO here"
        if not self.sink.helo_only:
            lines = [self.sink.name + " hello " + argument]
            lines += self.extensions()
            usual = "\n".join("250-" + li for li in lines[:-1]) + \
                "\n250 " + lines[-1]
            usual = usual.lstrip("\n")
        if self.do(step, argument, usual) == 250:
            self.helo, self.esmtp = argument, True

    def on_helo(self, argument):
        self.transaction = None
        if self.do("HELO", argument, "250 " + self.sink.name) == 250:
            self.helo, self.esmtp = argument, False

    def on_starttls(self, argument):
        usual = "220 2.0.0 go ahead"
        if "STARTTLS" not in self.offered():
            self.violation("STARTTLS was not offered")
            usual = "503 5.5.1 not now"
        if self.do("STARTTLS", None, usual) != 220:
            return
        if self.buffer:
            self.violation("bytes behind STARTTLS: %r" % self.buffer)
        try:
            self.tls = self.sink.tls.wrap_socket(self.sock, server_side=True)
        except OSError as error:
            self.tls_error = str(error)
            raise
        self.sock = self.tls
        self.tls_version = self.tls.version()
        self.tls_resumed = self.tls.session_reused
        self.tls_name = self.sink.tls_names.pop(self.tls, None)
        self.helo = self.transaction = None

    def parse_path(self, argument):
        match = PATH.match(argument)
        if match is None:
            self.violation("bad path %r" % argument)
            return None, {}
        params = {}
        for word in (match.group(2) or "").split():
            key, _, value = word.partition("=")
            params[key.upper()] = value
        return match.group(1), params

    def attributes(self, verb, argument):
        """Of XCLIENT or XFORWARD, which must have been offered."""
        offered = [e.split()[1:] for e in self.sink.extensions
                   if e.split()[0] == verb]
        words = [word.partition("=") for word in argument.split()]
        for name, _, _ in words:
            if not offered or name not in offered[0]:
                self.violation("%s %s was not offered" % (verb, name))
        if self.transaction is not None:
            self.violation(verb + " within a transaction")
        return {name: XTEXT.sub(lambda m: chr(int(m.group(1), 16)), value)
                for name, _, value in words}

    def on_xclient(self, argument):
        attributes = self.attributes("XCLIENT", argument)
        if self.do("XCLIENT", attributes, self.sink.banner) == 220:
            self.client.update(attributes)
            self.helo, self.esmtp, self.forward = None, False, {}

    def on_xforward(self, argument):
        attributes = self.attributes("XFORWARD", argument)
        if self.do("XFORWARD", attributes, "250 2.0.0 noted") == 250:
            self.forward.update(attributes)

    def check_params(self, params):
        """Parameters must have been offered."""
        need = {"SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8",
                "RET": "DSN", "ENVID": "DSN", "NOTIFY": "DSN", "ORCPT": "DSN"}
        for key in params:
            if need.get(key) not in self.offered():
                self.violation("parameter %s was not offered" % key)
                return False
        return True

    def on_mail(self, argument):
        sender, params = self.parse_path(argument)
        usual = "250 2.1.0 sender ok"
        if self.transaction is not None or self.helo is None:
            self.violation("MAIL out of order")
            usual = "503 5.5.1 not now"
        if sender is None or not self.check_params(params):
            usual = "555 5.5.4 no"
        elif not sender.isascii() and "SMTPUTF8" not in params:
            self.violation("sender %r without SMTPUTF8" % sender)
        size = params.get("SIZE")
        if size is not None and self.sink.size and int(size) > self.sink.size:
            usual = "552 5.3.4 too big"
        self.mails += 1
        if self.mails > (self.limit("MAILMAX") or self.mails):
            self.violation("MAIL beyond MAILMAX")
        if self.do("MAIL", sender, usual) == 250:
            self.transaction = Transaction(self, sender, params)
            self.forward = {}

    def on_rcpt(self, argument):
        address, params = self.parse_path(argument)
        if self.transaction is None:
            if not self.esmtp:
                self.violation("RCPT out of order")
            self.do("RCPT-LOST", address, "503 5.5.1 need MAIL")
            return
        usual = "250 2.1.5 recipient ok" if address else "501 5.1.3 no"
        if not self.check_params(params):
            usual = "555 5.5.4 no"
        self.check_limits(address)
        code = self.do("RCPT", address, usual)
        if code is not None and 200 <= code < 300:
            self.transaction.recipients.append(address)
            self.transaction.rcpt_params[address] = params
        else:
            self.transaction.refused.append((address, code))

    def check_limits(self, address):
        asked = self.transaction.recipients + \
            [a for a, _ in self.transaction.refused] + [address]
        domains = {a.partition("@")[2].lower() for a in asked}
        for count, name in ((len(asked), "RCPTMAX"),
                            (len(domains), "RCPTDOMAINMAX")):
            if count > (self.limit(name) or count):
                self.violation("RCPT beyond " + name)

    def on_bdat(self, argument):
        words = argument.split()
        size, last = int(words[0]), words[1:] == ["LAST"]
        while len(self.buffer) < size:
            self.fill()
        chunk, self.buffer = self.buffer[:size], self.buffer[size:]
        if self.more_waiting() and "PIPELINING" not in self.offered():
            self.violation("pipelined without PIPELINING: BDAT")
        transaction = self.transaction
        if "CHUNKING" not in self.offered() or transaction is None or \
                not transaction.recipients:
            # Chunks that were under way when one was refused are no fault.
            if transaction is None or not transaction.failed or \
                    "PIPELINING" not in self.offered():
                self.violation("BDAT out of order")
            self.do("BDAT-LOST", None, "503 5.5.1 not now")
            return
        transaction.content += chunk
        transaction.chunks.append(size)
        if last:
            self.end_of_content(transaction)
        elif self.do("BDAT", transaction, "250 2.0.0 %d" % size) != 250:
            transaction.failed = True  # only RSET has a place now
            transaction.recipients.clear()

    def on_data(self, argument):
        transaction = self.transaction
        if transaction is None or not transaction.recipients:
            # Allowed only as the tail of a pipelined group (RFC 2920).
            self.do("DATA-LOST", None, "554 5.5.1 no valid recipients")
            return
        if self.do("DATA", None, "354 go ahead") != 354:
            return
        transaction.content = self.read_content()
        self.end_of_content(transaction)

    def end_of_content(self, transaction):
        transaction.when = time.monotonic()
        self.transaction = None
        usual = "250 2.0.0 taken"
        if self.sink.size and len(transaction.content) > self.sink.size:
            usual = "552 5.3.4 too big"
        with self.sink.lock:
            self.sink.transactions.append(transaction)
        if self.sink.lmtp:
            for address in transaction.recipients:
                transaction.verdicts[address] = self.do("VERDICT", address,
                                                        usual)
            code = max(transaction.verdicts.values())
        else:
            code = self.do("DOT", transaction, usual)
        transaction.answer = code
        self.messages += 1
        self.sink.on_message(transaction)

    def on_rset(self, argument):
        self.transaction = None
        self.do("RSET", None, "250 2.0.0 reset")

    def on_noop(self, argument):
        self.do("NOOP", None, "250 2.0.0 ok")

    def on_quit(self, argument):
        self.do("QUIT", None, "221 2.0.0 bye")
        return False


class Sink:
    """A target on one port of the loopback, or on the unix socket that host
    is the path of. Made stopped: the port is taken but connections are refused
    until start()."""

    EXTENSIONS = ["PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8",
                  "ENHANCEDSTATUSCODES"]

    def __init__(self, port=0, host="127.0.0.1"):
        self.host = host
        self.name = "sink.test"
        self.banner = "220 sink.test ESMTP"
        self.extensions = list(self.EXTENSIONS)
        self.helo_only = False
        self.lmtp = False
        self.size = 0  # largest message; 0: any
        self.tls = None
        self.tls_names = {}
        self.on = {}
        self.on_message = lambda transaction: None

        self.lock = threading.Lock()
        self.transactions = []
        self.sessions = []
        self.violations = []
        self.stopping = threading.Event()
        self.listener = None
        self.thread = None
        self.bind(port)

    def use_tls(self, certificate, key=None):
        """Offers STARTTLS from now on; None: no more."""
        if certificate is None:
            self.tls = None
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.sni_callback = lambda sock, name, _: \
            self.tls_names.__setitem__(sock, name)
        self.tls = context

    def bind(self, port):
        if self.host.startswith("/"):
            if os.path.exists(self.host):
                os.unlink(self.host)
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.host)
            self.port = 0
            return
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, port))
        self.port = self.listener.getsockname()[1]

    def start(self):
        self.stopping.clear()
        self.listener.listen(1024)
        self.thread = threading.Thread(target=self.accept_loop, daemon=True)
        self.thread.start()
        return self

    def accept_loop(self):
        listener = self.listener
        while not self.stopping.is_set():
            # A short poll, since closing does not wake a blocked accept.
            if not select.select([listener], [], [], 0.05)[0]:
                continue
            sock, _ = listener.accept()
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, sock, len(self.sessions))
            self.sessions.append(session)
            session.start()

    def stop(self):
        """Down: the port refuses, connections are cut."""
        self.stopping.set()
        if self.thread is not None:
            self.thread.join()
            self.thread = None
        self.listener.close()
        for session in self.sessions:
            if session.open:
                try:
                    session.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            session.join()
        self.bind(self.port)

    def close(self):
        self.stop()
        self.listener.close()

    @property
    def delivered(self):
        """Transactions whose final dot was answered 2xx."""
        with self.lock:
            return [t for t in self.transactions if t.delivered]

    @property
    def open_sessions(self):
        return [s for s in self.sessions if s.open]

    def clear(self):
        with self.lock:
            self.transactions.clear()
        self.sessions = self.open_sessions


def write_maildir(directory, transaction, number):
    for name in ("tmp", "new", "cur"):
        os.makedirs(os.path.join(directory, name), exist_ok=True)
    name = "%d.%d.sink" % (time.time_ns(), number)
    path = os.path.join(directory, "tmp", name)
    with open(path, "xb") as file:
        file.write(transaction.content.replace(b"\r\n", b"\n"))
    os.rename(path, os.path.join(directory, "new", name))


def print_message(transaction, number):
    text = transaction.content.decode("utf-8", "replace")
    rule = "-" * 60
    print("message %d: from <%s> to %s, %d bytes\n%s\n%s%s" % (
        number, transaction.sender,
        ", ".join("<%s>" % r for r in transaction.recipients),
        len(transaction.content), rule,
        text.replace("\r\n", "\n"), rule), flush=True)


def main():
    parser = argparse.ArgumentParser(
        description="An SMTP server that prints what it receives.")
    parser.add_argument("port", type=int)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--maildir", metavar="DIR",
                        help="keep the messages in a maildir as well")
    options = parser.parse_args()
    count = itertools.count(1)
    lock = threading.Lock()

    def received(transaction):
        if not transaction.delivered:
            return
        with lock:
            number = next(count)
            print_message(transaction, number)
            if options.maildir:
                write_maildir(options.maildir, transaction, number)

    sink = Sink(options.port, options.host)
    sink.on_message = received
    sink.start()
    print("sink: listening on %s port %d, Ctrl-C ends it" %
          (sink.host, sink.port), flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        sink.close()
        return 0


if __name__ == "__main__":
    sys.exit(main())
