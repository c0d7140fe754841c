# SPDX-License-Identifier: ISC
"""A sending and a receiving mail server that keep every byte.

Both are strict: the sender wants exactly the replies of a good day, the
receiver wants every line to end in CRLF and remembers who broke a rule.
"""

import re
import socket
import socketserver
import threading

SENDER = "sender@source.test"


class Refused(Exception):
    """A reply that was not the expected one."""


class Sender:
    """One connection that sends pipelined; a context manager."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("rb")

    def __enter__(self):
        self.expect(b"220")
        self.socket.sendall(b"EHLO source.test\r\n")
        self.expect(b"250")
        return self

    def __exit__(self, *_):
        self.replies.close()
        self.socket.close()

    def expect(self, code):
        """Reads one reply of any number of lines; its last line."""
        line = self.replies.readline()
        while line[3:4] == b"-":
            line = self.replies.readline()
        if line[:3] != code:
            raise Refused(f"{line!r} where {code.decode()} should be")
        return line

    def send_all(self, mails):
        """Sends (message in wire form, recipients, body type) in turn.

        The envelope of the next goes out together with the content of the
        one before, up to the DATA where RFC 2920 says to wait.
        """
        answers = []
        waiting = b""
        sent_one = False
        for content, recipients, body in mails:
            envelope = [f"MAIL FROM:<{SENDER}> BODY={body}"]
            envelope += [f"RCPT TO:<{address}>" for address in recipients]
            envelope.append("DATA\r\n")
            self.socket.sendall(waiting + "\r\n".join(envelope).encode())
            if sent_one:
                answers.append(self.expect(b"250"))
            for _ in range(1 + len(recipients)):
                self.expect(b"250")
            self.expect(b"354")
            waiting, sent_one = content, True
        self.socket.sendall(waiting + b"QUIT\r\n")
        if sent_one:
            answers.append(self.expect(b"250"))
        self.expect(b"221")
        return answers


def send_in_parallel(port, mails, connections):
    """Deals MAILS out to so many connections; all the 250 lines."""
    answers, errors = [], []

    def run(share):
        try:
            with Sender(port) as sender:
                answers.extend(sender.send_all(share))
        except Exception as error:  # carried over to the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(mails[n::connections],))
               for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return answers


class _Session(socketserver.StreamRequestHandler):
    """The receiving side of one connection."""

    disable_nagle_algorithm = True

    def handle(self):
        self.transaction = None
        self.reply(b"220 sink.test ESMTP")
        for line in self.rfile:
            if not line.endswith(b"\r\n"):
                self.server.broken.append(("command", line))
                return
            verb = re.split(rb"[ :\r]", line, maxsplit=1)[0].upper()
            action = getattr(self, "on_" + verb.decode("ascii").lower(), None)
            if not action:
                self.reply(b"500 5.5.1 Unknown")
            elif not action(line):
                return

    def reply(self, text):
        self.wfile.write(text + b"\r\n")
        return True

    def on_ehlo(self, _):
        return self.reply(b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME"
                          b"\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES"
                          b"\r\n250 SIZE 0")

    def on_mail(self, line):
        self.transaction = (line, [])
        return self.reply(b"250 2.1.0 Ok")

    def on_rcpt(self, line):
        address = re.match(rb"RCPT TO:<([^>]*)>", line, re.I)[1].decode()
        self.transaction[1].append(address)
        return self.reply(b"250 2.1.5 Ok")

    def on_data(self, _):
        self.reply(b"354 Go on")
        content = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            if not line.endswith(b"\r\n"):
                self.server.broken.append(("content", line))
            content.append(line[1:] if line.startswith(b".") else line)
        else:
            return False
        self.server.keep(*self.transaction, b"".join(content))
        self.transaction = None
        return self.reply(b"250 2.0.0 Ok")

    def on_rset(self, _):
        self.transaction = None
        return self.reply(b"250 2.0.0 Ok")

    def on_noop(self, _):
        return self.reply(b"250 2.0.0 Ok")

    def on_quit(self, _):
        self.reply(b"221 2.0.0 Bye")
        return False


class Receiver(socketserver.ThreadingTCPServer):
    """Keeps (MAIL line, recipients, content) of all it takes."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100

    def __init__(self, port):
        super().__init__(("127.0.0.1", port), _Session)
        self.mails = []
        self.broken = []  # lines that did not end in CRLF
        self.thread = threading.Thread(target=self.serve_forever,
                                       kwargs={"poll_interval": 0.05})

    def keep(self, mail_line, recipients, content):
        self.mails.append((mail_line, recipients, content))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()
