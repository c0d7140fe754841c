# SPDX-License-Identifier: ISC
"""Anonymous memory (RssAnon) of all processes together.

At rest, with a great many messages held, and what one more idle connection
costs, plain after EHLO and after STARTTLS. The mapped store is the kernel's
page cache and counts as nobody's.
"""

import contextlib
import socket
import ssl

import harness
from report import Result

KB = 1024
MB = 1024 * 1024
POSTFIX_IDLE = 100  # each is a process


def run(options):
    held = 10000 if options.quick else 100000
    idle = 200 if options.quick else 1000
    hop = harness.free_port()
    figures = {}
    with harness.scratch("bench") as folder:
        def started():
            return harness.Spoold(folder / "spoold", {harness.DOMAIN: hop},
                                  tls=True)

        # a process each: what one load freed would serve the next
        with started() as spoold:
            figures["rest"] = settled(spoold)
            figures["plain"] = each_idle(spoold, idle, say_ehlo)
        with started() as spoold:
            figures["tls"] = each_idle(spoold, idle, start_tls)
        with started() as spoold:
            harness.smtp_source(spoold.port, held)
            figures["held"] = settled(spoold)
        with started() as spoold:
            figures["restarted"] = settled(spoold)
        with harness.Postfix(folder / "postfix",
                             harness.postfix_holding(hop)) as postfix:
            figures["postfix"] = each_idle(postfix, POSTFIX_IDLE, say_ehlo)
    return tell(figures, held, idle)


def settled(server):
    return harness.settled_rss_anon(server.process.pid)


def total(server):
    return sum(settled(server).values())


def each_idle(server, count, open_one):
    """Bytes a connection, by COUNT of them open at a time."""
    with open_one(server.port):
        pass
    before = total(server)
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(open_one(server.port))
        return (total(server) - before) / count


def say_ehlo(port):
    client = socket.create_connection(("127.0.0.1", port), 20)
    read_reply(client)
    client.sendall(b"EHLO idle.test\r\n")
    read_reply(client)
    return client


def start_tls(port):
    client = say_ehlo(port)
    client.sendall(b"STARTTLS\r\n")
    read_reply(client)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = context.wrap_socket(client)
    client.sendall(b"EHLO idle.test\r\n")
    read_reply(client)
    return client


def read_reply(client):
    """Reads until a reply's last line is there."""
    text = b""
    while not (text.endswith(b"\n") and
               text.splitlines()[-1][3:4] == b" "):
        part = client.recv(4096)
        if not part or not text + part < b"4":
            raise harness.Failed(f"no good reply: {text + part!r}")
        text += part


def tell(figures, held, idle):
    result = Result(figures=figures)
    roles = list(figures["held"])
    table = result.table("Anonymous memory, all processes (MB)", "",
                         *roles, "together")
    for key, title in (
            ("rest", "at rest, nothing held"),
            ("held", f"after taking {held:,}"),
            ("restarted", f"started with {held:,} held")):
        sizes = figures[key]
        table.add(title, *(f"{sizes.get(role, 0) / MB:.1f}"
                           for role in roles),
                  f"{sum(sizes.values()) / MB:.1f}")
    table = result.table("One idle connection (KB)", "", "plain",
                         "after STARTTLS")
    table.add(f"spoold, {idle:,} of them", f"{figures['plain'] / KB:.1f}",
              f"{figures['tls'] / KB:.1f}")
    table.add(f"Postfix, {POSTFIX_IDLE} of them",
              f"{figures['postfix'] / KB:,.0f}", "")
    result.goal("memory of an idle connection", figures["plain"] / KB,
                most=8, unit=" KB")
    result.goal("memory of an idle connection with TLS",
                figures["tls"] / KB, most=32, unit=" KB")
    result.goal(f"memory with {held:,} held",
                max(sum(figures[key].values())
                    for key in ("held", "restarted")) / MB,
                most=64, unit=" MB")
    result.goal(f"replay's memory with {held:,} held",
                max(figures[key]["replay"] for key in ("held", "restarted"))
                / MB, most=64, unit=" MB")
    return result
