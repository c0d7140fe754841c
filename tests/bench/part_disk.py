# SPDX-License-Identifier: ISC
"""Bytes on disk for each message of real mail, everything counted.

Tables, ledger, slack of pages, queue files, index files: what the directory
takes. spoold with the dictionary it comes with and with one trained on a
random half and measured on the other, beside Postfix's queue and Dovecot's
mdbox with zstd.
"""

import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

import harness
from report import Result, percent

sys.path.append(str(pathlib.Path(__file__).parent.parent / "interop"))
import corpus  # noqa: E402

SESSIONS = 20
PASSES = 3  # every message so often: files grow by a megabyte at a time
ADDRESS = re.compile(rb"(?mi)^From:.*?([A-Za-z0-9._+-]+@[A-Za-z0-9.-]+)")


def run(options):
    result = Result()
    try:
        messages = corpus.load()
    except corpus.Unavailable as why:
        result.table(f"Bytes on disk: left out, {why}", "")
        return result
    random.Random(1).shuffle(messages)
    half = len(messages) // 2
    train, measure = messages[:half], messages[half:]
    rows = []
    with harness.scratch("bench") as folder:
        hop = harness.free_port()
        rows.append(("spoold, shipped dictionary",
                     shipped(folder / "shipped", hop, measure), 0.55))
        rows.append(("spoold, trained on the other half",
                     trained(folder / "trained", hop, train, measure), 0.45))
        rows.append(("spoold, neither sealed nor compressed",
                     shipped(folder / "off", hop, measure,
                             "seal = false compression = 0"), None))
        if harness.Postfix.why_not() is None:
            rows.append(("Postfix, queue",
                         postfix(folder / "postfix", hop, measure), None))
        if shutil.which("doveadm"):
            rows.append(("Dovecot, mdbox with zstd",
                         dovecot(folder / "dovecot", measure), None))
    return tell(result, rows, measure)


def tell(result, rows, messages):
    mean = sum(map(len, messages)) / len(messages)
    table = result.table(
        f"Bytes on disk ({len(messages):,} messages, {mean:,.0f} bytes on"
        " average)", "", "each", "of the raw bytes")
    for name, each, most in rows:
        table.add(name, f"{each:,.0f}", percent(each / mean))
        result.figures[name] = each
        if most:
            result.goal(f"bytes on disk: {name}", each / mean, most=most)
    return result


def write_mails(path, messages):
    """As their senders sent them: training asks for many senders."""
    with open(path, "wb") as file:
        for n, message in enumerate(messages):
            content = corpus.dot_stuffed(message)
            found = ADDRESS.search(message)
            sender = found.group(1).decode() if found else harness.SENDER
            recipient = f"user{n % 97}@{harness.DOMAIN}"
            file.write(f"{len(content)} {sender} {recipient}\n".encode())
            file.write(content)


def fill(server, folder, name, messages, passes=PASSES):
    """What one message took on disk."""
    mails = folder / name
    write_mails(mails, messages)
    before, count = server.disk(), len(messages) * passes
    harness.measured("feed", SESSIONS, count, server.port, mails)
    server.settle(120)
    return (server.disk() - before) / count


def shipped(folder, hop, messages, store=""):
    with harness.Spoold(folder, {harness.DOMAIN: hop}, store=store) as server:
        return fill(server, folder, "mails", messages)


def trained(folder, hop, train, messages):
    with harness.Spoold(folder, {harness.DOMAIN: hop}) as server:
        fill(server, folder, "train", train, passes=1)
        server.ctl("dictionary", "train")
        return fill(server, folder, "mails", messages)


def postfix(folder, hop, messages):
    with harness.Postfix(folder, harness.postfix_holding(hop)) as server:
        return fill(server, folder, "mails", messages)


DOVECOT_CONF = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
mail_location = mdbox:{folder}/mdbox
mail_plugins = zlib
plugin {{
  zlib_save = zstd
}}
default_internal_user = root
default_login_user = nobody
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 0
first_valid_gid = 0
ssl = no
"""


def dovecot(folder, messages):
    """Saved one by one by doveadm, without a running Dovecot."""
    maildir = folder / "maildir"
    for name in ("new", "cur", "tmp"):
        (maildir / name).mkdir(parents=True)
    for n, message in enumerate(messages * PASSES):
        (maildir / "cur" / f"{n}.test:2,").write_bytes(message)
    uid, gid = os.geteuid(), os.getegid()
    if harness.IS_ROOT:  # as whom Dovecot stores no mail
        uid, gid = harness.nobody().pw_uid, harness.nobody().pw_gid
        subprocess.run(["chown", "-R", f"{uid}:{gid}", folder], check=True)
    conf = folder / "dovecot.conf"
    conf.write_text(DOVECOT_CONF.format(folder=folder, uid=uid, gid=gid))
    done = subprocess.run(
        ["doveadm", "-c", conf, "-o", "stats_writer_socket_path=", "import",
         f"maildir:{maildir}", "", "all"], capture_output=True, text=True,
        timeout=300, env={**os.environ, "USER": "root", "HOME": str(folder)})
    if done.returncode:
        raise harness.Failed(f"doveadm import: {done.stderr}")
    return harness.disk_bytes(folder / "mdbox") / (PASSES * len(messages))
