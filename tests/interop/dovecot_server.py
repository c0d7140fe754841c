# SPDX-License-Identifier: ISC
"""A Dovecot of the tests' own: an IMAP server in a scratch directory, on
ports of its own, with users in a file.

    server = DovecotServer({"anna": "secret"}, certificate)
    server.start()
    ... server.port (IMAP, STARTTLS), server.tls_port (IMAPS)
    server.close()

Nothing outside of its directory is read or changed, and no service of the
system is started.
"""

import imaplib
import os
import pwd
import shutil
import ssl
import subprocess
import tempfile

from spoold_test import free_port, wait_for

USER = "nobody"

CONFIG = """
protocols = imap
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
auth_verbose = yes
listen = 127.0.0.1
ssl = required
ssl_cert = <{home}/chain.pem
ssl_key = <{home}/chain.pem
disable_plaintext_auth = yes
auth_mechanisms = plain login
auth_failure_delay = 0
login_trusted_networks =
mail_location = maildir:{home}/mail/%u
mail_uid = {user}
mail_gid = {group}
mail_access_groups =
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {home}/users
}}
passdb {{
  driver = checkpassword
  args = {home}/others
}}
userdb {{
  driver = static
  args = home={home}/mail/%u uid={user} gid={group}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service stats {{
  chroot =
}}
"""


def is_here():
    return shutil.which("dovecot") is not None


class DovecotServer:
    def __init__(self, users, certificate):
        """certificate: a file with chain and key."""
        self.port, self.tls_port = free_port(), free_port()
        self.home = tempfile.mkdtemp(prefix="dovecot-")
        self.process = None
        self.users = {}
        root = os.getuid() == 0
        owner = pwd.getpwnam(USER)
        self.uid = owner.pw_uid if root else os.getuid()
        self.gid = owner.pw_gid if root else os.getgid()
        os.mkdir(self.path("mail"))
        shutil.copy(certificate, self.path("chain.pem"))
        with open(self.path("dovecot.conf"), "w") as file:
            file.write(CONFIG.format(
                home=self.home, port=self.port, tls_port=self.tls_port,
                user=pwd.getpwuid(self.uid).pw_name, group=self.group()))
        if root:
            os.chown(self.path("mail"), self.uid, self.gid)
            os.chmod(self.home, 0o755)
        self.set_trouble(False)
        self.set_users(users)

    def group(self):
        import grp
        return grp.getgrgid(self.gid).gr_name

    def path(self, name):
        return os.path.join(self.home, name)

    def set_trouble(self, trouble):
        """With users it does not know it has a temporary failure, or not."""
        fresh = self.path("others.new")
        with open(fresh, "w") as file:
            file.write("#!/bin/sh\nexit %d\n" % (111 if trouble else 1))
        os.chmod(fresh, 0o755)
        os.rename(fresh, self.path("others"))

    def set_users(self, users):
        """name to password; holds from now on."""
        before, self.users = self.users, users
        fresh = self.path("users.new")
        with open(fresh, "w") as file:
            for name, password in users.items():
                file.write("%s:{PLAIN}%s::::::\n" % (name, password))
        os.chmod(fresh, 0o644)
        os.rename(fresh, self.path("users"))
        if self.process is not None:  # it looks at the file once a second
            wait_for(lambda: self.knows_all(before), "its users", 60)

    def knows_all(self, before):
        return all(self.takes(*user) for user in self.users.items()) and \
            not any(self.takes(*user) for user in before.items()
                    if user not in self.users.items())

    def takes(self, name, password):
        with self.client() as imap:
            try:
                return imap.login(name, password)[0] == "OK"
            except imaplib.IMAP4.error:
                return False

    def client(self):
        return imaplib.IMAP4_SSL(
            "127.0.0.1", self.tls_port, timeout=60,
            ssl_context=ssl._create_unverified_context())

    def start(self):
        with open(self.path("out"), "ab") as out:
            self.process = subprocess.Popen(
                ["dovecot", "-F", "-c", self.path("dovecot.conf")],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_for(self.answers, "Dovecot to answer", 60)
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("Dovecot ended:\n" + self.log())
        try:
            with self.client() as imap:
                return imap.noop()[0] == "OK"
        except OSError:
            return False

    def log(self):
        text = ""
        for name in ("out", "log"):
            if os.path.exists(self.path(name)):
                with open(self.path(name), errors="replace") as file:
                    text += file.read()
        return text

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.process = None

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)
