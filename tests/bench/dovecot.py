# SPDX-License-Identifier: ISC
"""A private Dovecot: own configuration, mail, log and port.

Debian's own mail_location is an mbox in /var/mail, which nobody would keep
10,000 messages in; here it is a maildir, filed as Dovecot's own delivery
does it, with sizes in the names.
"""

import pathlib
import shutil

import harness

PROGRAM = "/usr/sbin/dovecot"
USER = "nobody"
PASSWORD = "secret"

CONF = """\
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail
mail_uid = {uid}
mail_gid = {gid}
mail_access_groups =
first_valid_uid = 1
first_valid_gid = 1
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = home={folder}/home uid={uid} gid={gid}
}}
"""


def why_not():
    """Why none can be started here; None: it can."""
    if not harness.IS_ROOT:
        return "Dovecot only runs as root"
    if not (pathlib.Path(PROGRAM).exists()
            and pathlib.Path("/usr/lib/dovecot/imap").exists()):
        return "the dovecot-imapd package is not installed"
    return None


class Dovecot(harness.Server):

    name = "Dovecot"

    def start(self):
        owner = harness.nobody()
        for name in ("home", "mail", "mail/cur", "mail/new", "mail/tmp"):
            (self.folder / name).mkdir(exist_ok=True)
            shutil.chown(self.folder / name, owner.pw_uid, owner.pw_gid)
        (self.folder / "conf").write_text(CONF.format(
            folder=self.folder, port=self.port, uid=owner.pw_uid,
            gid=owner.pw_gid, password=PASSWORD))
        self.launch([PROGRAM, "-F", "-c", self.folder / "conf"])
        self.ready(lambda port: harness.greets(port, b"* OK"))

    def file(self, messages):
        """Puts MESSAGES (with CRLF) into INBOX."""
        owner = harness.nobody()
        for n, content in enumerate(messages):
            size = len(content)
            path = self.folder / "mail" / "cur" / (
                f"{1000000000 + n}.M{n:06d}P1.host,S={size},W={size}:2,")
            path.write_bytes(content)
            shutil.chown(path, owner.pw_uid, owner.pw_gid)
