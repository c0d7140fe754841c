# SPDX-License-Identifier: ISC
"""What Dovecot says of messages, without a running Dovecot.

doveadm reads a maildir of its own in a scratch directory and prints what
FETCH would answer. Nothing is started or configured outside of it.
"""

import os
import pathlib
import pwd
import re
import shutil
import subprocess

USER = "nobody"  # Dovecot reads no mail as root

CONFIG = """
protocols =
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
ssl = no
mail_location = maildir:{home}/maildir
mail_uid = {user}
mail_gid = {group}
mail_access_groups =
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
passdb {{
  driver = static
}}
userdb {{
  driver = static
  args = home={home} uid={user} gid={group}
}}
"""


def is_here():
    return bool(shutil.which("doveadm") and shutil.which("doveconf"))


def fetch(messages, home, fields=("imap.envelope", "imap.body",
                                  "imap.bodystructure")):
    """For each message (CRLF bytes) the list of those fields, as bytes."""
    home = pathlib.Path(home)
    for part in ("cur", "new", "tmp"):
        (home / "maildir" / part).mkdir(parents=True)
    for i, message in enumerate(messages):
        size = len(message)
        name = f"{1000000000 + i}.M{i:06d}.host,S={size},W={size}:2,"
        (home / "maildir" / "cur" / name).write_bytes(message)
    owner = pwd.getpwnam(USER)
    root = os.getuid() == 0
    config = home / "dovecot.conf"
    config.write_text(CONFIG.format(
        home=home, user=owner.pw_uid if root else os.getuid(),
        group=owner.pw_gid if root else os.getgid()))
    if root:
        subprocess.run(["chown", "-R", f"{owner.pw_uid}:{owner.pw_gid}",
                        str(home)], check=True)
    answer = subprocess.run(
        ["doveconf", "-c", str(config), "-f", "service=doveadm", "-m",
         "doveadm", "-e", "doveadm", "-f", "tab", "fetch",
         "uid " + " ".join(fields), "mailbox", "INBOX"],
        capture_output=True, env=dict(os.environ, USER=USER), timeout=600)
    if answer.returncode:
        raise RuntimeError(answer.stderr.decode(errors="replace"))
    values = Values(answer.stdout)
    values.at = answer.stdout.index(b"\n") + 1  # the names of the fields
    rows = []
    while values.at < len(values.text):
        values.number(b"\t")
        row = [values.list_until(b"\t") for _ in fields[1:]]
        rows.append(row + [values.list_until(b"\n")])
    return rows


class Values:
    """Reads IMAP's lists and strings, strictly: bytes, int, None, list."""

    def __init__(self, text):
        self.text = text
        self.at = 0

    def list_until(self, end):
        """Values with one blank between (or none, between lists)."""
        values = []
        while not self.skip(end):
            if values and not self.skip(b" "):
                assert isinstance(values[-1], list) and self.next() == b"(", \
                    self.text[self.at - 40:self.at + 40]
            values.append(self.value())
        return values

    def value(self):
        if self.skip(b"("):
            return self.list_until(b")")
        if self.skip(b'"'):
            return self.quoted()
        if self.skip(b"{"):
            length = self.number(b"}\r\n")
            self.at += length
            value = self.text[self.at - length:self.at]
            assert len(value) == length and b"\0" not in value
            return value
        if self.skip(b"NIL"):
            return None
        return self.number(b"")

    def quoted(self):
        value = bytearray()
        while not self.skip(b'"'):
            if self.skip(b"\\"):
                assert self.next() in b'"\\'
            byte = self.next()
            assert byte and byte not in b"\r\n\0" and byte < b"\x80", byte
            value += byte
            self.at += 1
        return bytes(value)

    def number(self, behind):
        digits = re.compile(rb"\d+").match(self.text, self.at)
        assert digits, self.text[self.at - 40:self.at + 40]
        self.at = digits.end()
        assert self.skip(behind), self.text[self.at - 40:self.at + 40]
        return int(digits.group())

    def next(self):
        return self.text[self.at:self.at + 1]

    def skip(self, text):
        found = self.text.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found
