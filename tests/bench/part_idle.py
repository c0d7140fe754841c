# SPDX-License-Identifier: ISC
"""IMAP clients that wait, and one that asks for the end of a large message.

Thousands of TLS connections in IDLE: what the imap role's memory grows by
each, and when the last of a thousand hears of a new message. Then a message
of 50 MB: what of the store's file comes into memory when its last 64 KB are
asked for, and what the role needs while a client that stops reading gets all
of it.
"""

import base64
import contextlib
import os
import pathlib
import resource
import select
import socket
import ssl
import time

import harness
from report import Result, seconds

CLIENTS = 5000
LISTENERS = 1000
PASSWORD = "secret"
PATIENCE = 120
LARGE = 49 << 20  # of content: with its fields still within 50 MB
END = 64 << 10
KB = 1024


def run(options):
    clients = 1000 if options.quick else CLIENTS
    # both ends of each connection are on this machine, not in one process
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    clients = min(clients, limit - 200)
    rounds = [one_round(clients) for _ in range(options.rounds)]
    figures = {key: harness.median([r[key] for r in rounds])
               for key in rounds[0]}
    return tell(figures, clients)


def one_round(clients):
    with harness.scratch("bench") as folder, \
            harness.Spoold(folder / "spoold", {harness.DOMAIN: 9}, tls=True,
                           imap=True) as spoold:
        spoold.add_user(harness.RECIPIENT, PASSWORD, harness.RECIPIENT)
        harness.smtp_source(spoold.port, 100)
        return {**waiting(spoold, clients), **large(spoold)}


# --- who waits ---------------------------------------------------------------


def waiting(spoold, clients):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.ExitStack() as stack:
        # the first has set up what all use
        stack.enter_context(idler(spoold, context))
        before = memory(spoold, "RssAnon")
        idlers = [stack.enter_context(idler(spoold, context))
                  for _ in range(clients)]
        spoold.settle()
        grown = memory(spoold, "RssAnon") - before
        return {"each": grown / clients,
                "heard": announce(spoold, idlers[:LISTENERS])}


def idler(spoold, context):
    """A client in IDLE."""
    client = context.wrap_socket(socket.create_connection(
        ("127.0.0.1", spoold.imaps_port), PATIENCE))
    wait_line(client, b"* OK")
    ask(client, f"LOGIN {harness.RECIPIENT} {PASSWORD}")
    ask(client, "SELECT INBOX")
    client.sendall(b"b IDLE\r\n")
    wait_line(client, b"+ ")
    return client


def wait_line(client, beginning):
    """Reads until a line begins so; all that came."""
    text = b"\n"
    while b"\n" + beginning not in text or not text.endswith(b"\n"):
        part = client.recv(65536)
        if not part:
            raise harness.Failed(f"closed: {text[-300:]!r}")
        text += part
    return text


def ask(client, command):
    client.sendall(b"a " + command.encode() + b"\r\n")
    text = wait_line(client, b"a ")
    if b"\na OK" not in text:
        raise harness.Failed(f"{command}: {text[-300:]!r}")
    return text


def announce(spoold, clients):
    """From a message's 250 until the last one has read of it."""
    poll = select.poll()
    silent = {client.fileno(): client for client in clients}
    for fd in silent:
        poll.register(fd, select.POLLIN)
    harness.smtp_source(spoold.port, 1)
    start = time.monotonic()
    while silent:
        ready = poll.poll(PATIENCE * 1000)
        if not ready:
            raise harness.Failed(f"{len(silent)} heard nothing")
        for fd, _ in ready:
            if b"EXISTS" in silent[fd].recv(65536):
                poll.unregister(fd)
                del silent[fd]
    return time.monotonic() - start


def memory(spoold, what):
    """RssAnon or RssFile of the imap role, in bytes."""
    pid, = (row["pid"] for row in spoold.ctl("status")["roles"]
            if row["role"] == "imap")
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * KB for line in status.splitlines()
                if line.startswith(what + ":"))


# --- a large message ---------------------------------------------------------


def large(spoold):
    text = base64.encodebytes(os.urandom(LARGE * 3 // 4 * 76 // 78))
    content = b"Subject: large\r\n\r\n" + text.replace(b"\n", b"\r\n")
    send(spoold.port, content)
    with socket.create_connection(("127.0.0.1", spoold.imap_port),
                                  PATIENCE) as client:
        wait_line(client, b"* OK")
        ask(client, f"LOGIN {harness.RECIPIENT} {PASSWORD}")
        ask(client, "EXAMINE INBOX")
        anon = memory(spoold, "RssAnon")
        size = int(ask(client, "FETCH * RFC822.SIZE").split(b"SIZE ")[1]
                   .split(b")")[0])
        # so that what this needs of the program itself does not count
        ask(client, f"FETCH * BODY.PEEK[]<{size // 2}.{END}>")
        file = memory(spoold, "RssFile")
        start = time.monotonic()
        text = ask(client, f"FETCH * BODY.PEEK[]<{size - END}.{END}>")
        took = time.monotonic() - start
        if content[-END:] not in text:
            raise harness.Failed("these are not its last bytes")
        end = {"end_file": memory(spoold, "RssFile") - file,
               "end_anon": memory(spoold, "RssAnon") - anon,
               "end_took": took}
        return {**end, "all_anon": read_slowly(spoold, client, size) - anon}


def read_slowly(spoold, client, size):
    """All of it, with a pause; the most memory the role ever had."""
    client.sendall(b"a FETCH * BODY.PEEK[]\r\n")
    peak, left = 0, size
    while left > 0:
        part = client.recv(min(left, 1 << 20))
        if not part:
            raise harness.Failed("closed")
        if left // (8 << 20) != (left - len(part)) // (8 << 20):
            spoold.settle()  # it has made all it makes unread
            peak = max(peak, memory(spoold, "RssAnon"))
        left -= len(part)
    wait_line(client, b"a OK")
    return peak


def send(port, content):
    """One message."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        replies = client.makefile("rb")
        replies.readline()
        for command in ("HELO source.test", f"MAIL FROM:<{harness.SENDER}>",
                        f"RCPT TO:<{harness.RECIPIENT}>", "DATA"):
            client.sendall(command.encode() + b"\r\n")
            replies.readline()
        client.sendall(content + b".\r\n")
        if not replies.readline().startswith(b"250"):
            raise harness.Failed("the large message was not taken")


# --- telling -----------------------------------------------------------------


def tell(figures, clients):
    result = Result(figures=figures)
    table = result.table(f"{clients:,} clients in IDLE, over TLS", "", "")
    table.add("memory each", f"{figures['each'] / KB:.1f} KB")
    table.add(f"{LISTENERS:,} hear of a message", seconds(figures["heard"]))
    result.goal("idle IMAP connection over TLS", figures["each"] / KB,
                most=64, unit=" KB")
    result.goal(f"a new message is known to {LISTENERS:,} clients",
                figures["heard"], most=1, unit=" s")
    table = result.table("A message of 50 MB", "", "")
    table.add("its last 64 KB: of the store's file in memory",
              f"{figures['end_file'] / KB:,.0f} KB")
    table.add("... memory", f"{figures['end_anon'] / KB:,.0f} KB")
    table.add("... took", f"{figures['end_took'] * 1000:.1f} ms")
    table.add("all of it, to a client that stops reading: memory",
              f"{figures['all_anon'] / KB:,.0f} KB")
    result.goal("the end of 50 MB: read of the file",
                figures["end_file"] / (KB * KB), most=1, unit=" MB")
    result.goal("50 MB: memory of the connection",
                max(figures["end_anon"], figures["all_anon"]) / (KB * KB),
                most=4, unit=" MB")
    return result
