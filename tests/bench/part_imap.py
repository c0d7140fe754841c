# SPDX-License-Identifier: ISC
"""Reading held mail by IMAP, beside Dovecot.

10,000 messages of the corpus in one mailbox, fresh for each round; what each
program or command took, the first time and again. Python's imaplib and mbsync
are what people use; they take most of the time of the quicker commands
themselves, so those are asked for once more by a client that only counts.
"""

import imaplib
import itertools
import pathlib
import socket
import subprocess
import sys
import time

import dovecot
import harness
from report import Result, times

sys.path.append(str(pathlib.Path(__file__).parent.parent / "interop"))
import corpus  # noqa: E402

MESSAGES = 10000
LONGEST = 300
SESSIONS = 20

ENVELOPES = "FETCH 1:* (FLAGS RFC822.SIZE ENVELOPE)"
# key, title, how to ask, command, whether it is the mailbox's first reader
STEPS = [
    ("first", "ENVELOPE of all, imaplib, first", "imaplib", ENVELOPES),
    ("again", "... again", "imaplib", ENVELOPES),
    ("counted", "... again, a client that only counts", "counter", ENVELOPES),
    ("bodies", "BODY.PEEK[] of all, imaplib", "imaplib",
     "FETCH 1:* (BODY.PEEK[])"),
    ("subject", "SEARCH SUBJECT", "imaplib", "SEARCH SUBJECT meeting"),
    ("text", "SEARCH TEXT", "imaplib", "SEARCH TEXT meeting"),
    ("nothing", "SEARCH TEXT, not there", "imaplib", "SEARCH TEXT xyzzyqwert"),
    ("mbsync", "mbsync, all of it", "mbsync", ""),
]
# What of them is asked for how often, in turns; the least is taken.
TURNS = {"again": 5, "counted": 5, "bodies": 3, "subject": 5, "text": 3,
         "nothing": 3, "mbsync": 2}


def run(options):
    result = Result()
    why = dovecot.why_not()
    try:
        messages = corpus.load()
    except corpus.Unavailable as error:
        why = str(error)
    if why:
        result.table(f"Reading held mail: left out, {why}", "")
        return result
    if options.quick:
        messages = messages[::5]
    count = MESSAGES // 5 if options.quick else MESSAGES
    messages = list(itertools.islice(itertools.cycle(messages), count))
    rounds = [one_round(messages) for _ in range(options.rounds)]
    figures = {name: {key: harness.median([r[name][key] for r in rounds])
                      for key in rounds[0][name]}
               for name in rounds[0]}
    return tell(result, figures, count)


# --- measuring ---------------------------------------------------------------


def one_round(messages):
    with harness.scratch("bench") as folder, \
            harness.Spoold(folder / "spoold", {harness.DOMAIN: 9},
                           imap=True) as spoold, \
            dovecot.Dovecot(folder / "dovecot") as peer:
        mails = folder / "mails"
        harness.write_mails(mails, map(corpus.dot_stuffed, messages))
        harness.measured("feed", SESSIONS, len(messages), spoold.port, mails)
        spoold.add_user(harness.RECIPIENT, dovecot.PASSWORD,
                        harness.RECIPIENT)
        peer.file(messages)
        spoold.settle(120)
        servers = {"spoold": (spoold, spoold.imap_port),
                   "dovecot": (peer, peer.port)}
        figures = {name: {} for name in servers}
        for key, _, way, command in STEPS:
            turns = TURNS.get(key, 1)
            for _ in range(turns):
                for name, (server, port) in servers.items():
                    add_turn(figures[name], key, server, turns,
                             lambda: WAYS[way](port, command, len(messages)))
    return figures


def add_turn(figures, key, server, turns, ask_server):
    """The least time of all turns, the mean of the server's own."""
    cpu = server.cpu()
    took = ask_server()
    server.settle()
    cpu = (server.cpu() - cpu) / turns
    figures[key] = min(figures.get(key, took), took)
    figures[key + "_cpu"] = figures.get(key + "_cpu", 0) + cpu


def by_imaplib(port, command, count):
    verb, _, rest = command.partition(" ")
    client = imaplib.IMAP4("127.0.0.1", port, timeout=LONGEST)
    client.login(harness.RECIPIENT, dovecot.PASSWORD)
    found = client.select("INBOX", readonly=True)[1]
    if found != [b"%d" % count]:
        raise harness.Failed(f"{found} messages, not {count}")
    start = time.monotonic()
    if verb == "FETCH":
        status, rows = client.fetch(*rest.split(" ", 1))
    else:
        status, rows = client.search(None, *rest.split())
    took = time.monotonic() - start
    if status != "OK" or verb == "FETCH" and len(rows) < count:
        raise harness.Failed(f"{command}: {status}, {len(rows)} rows")
    client.logout()
    return took


def by_counter(port, command, _):
    """Reads what comes and looks only for the end."""
    with socket.create_connection(("127.0.0.1", port), LONGEST) as client:
        client.recv(4096)
        ask(client, b"a", f"LOGIN {harness.RECIPIENT} {dovecot.PASSWORD}")
        ask(client, b"b", "EXAMINE INBOX")
        start = time.monotonic()
        ask(client, b"c", command)
        return time.monotonic() - start


def ask(client, tag, command):
    client.sendall(tag + b" " + command.encode() + b"\r\n")
    tail = b"\n"
    while True:
        part = client.recv(1 << 20)
        tail = (tail + part)[-2000:]
        last = tail[tail.rfind(b"\n", 0, -1) + 1:]
        if not part or tail.endswith(b"\n") and last.startswith(tag + b" "):
            break
    if not last.startswith(tag + b" OK"):
        raise harness.Failed(f"{command}: {last!r}")


def by_mbsync(port, _, count):
    """Everything into a maildir of its own, nothing there before."""
    with harness.scratch("bench") as folder:
        rc = folder / "rc"
        rc.write_text(f"""\
FSync no
IMAPAccount far
Host 127.0.0.1
Port {port}
User {harness.RECIPIENT}
Pass {dovecot.PASSWORD}
SSLType None
AuthMechs LOGIN

IMAPStore far
Account far

MaildirStore near
Path {folder}/
Inbox {folder}/INBOX

Channel all
Far :far:
Near :near:
Create Near
SyncState *
""")
        start = time.monotonic()
        done = subprocess.run(["mbsync", "-q", "-c", rc, "all"],
                              capture_output=True, text=True, timeout=LONGEST)
        took = time.monotonic() - start
        came = sum(1 for part in ("cur", "new")
                   for _ in (folder / "INBOX" / part).iterdir())
        if done.returncode or came != count:
            raise harness.Failed(f"mbsync: {came} came; {done.stderr}")
    return took


WAYS = {"imaplib": by_imaplib, "counter": by_counter, "mbsync": by_mbsync}


# --- telling -----------------------------------------------------------------


def tell(result, figures, count):
    result.figures = figures
    table = result.table(
        f"Reading held mail ({count:,} real messages in one mailbox; Dovecot"
        " with a maildir)", "", "spoold", "Dovecot", "times as fast", "CPU",
        "Dovecot's")
    for key, title, _, _ in STEPS:
        own, peer = figures["spoold"][key], figures["dovecot"][key]
        table.add(title, f"{own * 1000:,.0f} ms", f"{peer * 1000:,.0f} ms",
                  times(peer / own),
                  *(f"{figures[name][key + '_cpu'] * 1000:,.0f} ms"
                    for name in ("spoold", "dovecot")))
        result.goal(f"{title}, against Dovecot", peer / own,
                    least=2 if key == "counted" else 1, unit="x")
    return result
