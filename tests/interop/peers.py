# SPDX-License-Identifier: ISC
"""Real mail servers, each from its own configuration in its own directory.

They run as an ordinary user: whoever runs the tests, or nobody for root.
build/interop/ordinary.so makes those that insist on root content with that.
Exim and OpenSMTPD are those in build/peers (make unpacks them), since they
cannot be installed beside Postfix. A server that is not there is a failure,
never a skipped test.
"""

import grp
import os
import pathlib
import pwd
import re
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bench"), str(HERE.parent / "e2e")]

import harness  # noqa: E402

PEERS = harness.BUILD / "peers"
ORDINARY = harness.BUILD / "interop" / "ordinary.so"
USER = pwd.getpwnam("nobody") if harness.IS_ROOT else pwd.getpwuid(os.getuid())


class Peer(harness.Server):
    """A server with its directory, log and port."""

    users = ""  # that it wants to be there
    user_id = USER.pw_uid
    owner_id = USER.pw_uid

    def __init__(self, folder, certificate=None, port=None, **settings):
        super().__init__(folder, port)
        self.certificate = certificate  # certificates.Certificate
        self.settings = settings

    def environment(self):
        """What makes it content with the user it gets."""
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        return {**os.environ, "LD_PRELOAD": str(self.take(ORDINARY)),
                "ORDINARY_USERS": self.users,
                "ORDINARY_ID": str(self.user_id),
                "ORDINARY_OWNER": str(self.owner_id),
                "ORDINARY_ROOT": str(root)}

    def run_as_user(self, command, **options):
        options.setdefault("env", self.environment())
        self.take_certificate()
        if harness.IS_ROOT:
            for path in [self.folder, *self.folder.rglob("*")]:
                if not path.is_symlink():
                    os.chown(path, USER.pw_uid, USER.pw_gid)
            options.update(user=USER.pw_uid, group=USER.pw_gid,
                           extra_groups=[])
        self.launch(command, cwd=self.folder, **options)

    def take(self, path):
        """A copy where the user may get at it."""
        if not path.exists():
            raise harness.Failed(f"{path} is not there; make check makes it")
        return shutil.copy(path, self.folder / path.name)

    def take_certificate(self):
        """certificate.pem: chain and key, the server's own."""
        path = self.folder / "certificate.pem"
        if self.certificate and not path.exists():
            shutil.copy(self.certificate.path, path)
            path.chmod(0o600)

    def start(self):
        self.configure()
        self.run_as_user(self.command())
        self.ready(harness.greets, 60)

    def write(self, name, text, mode=0o644):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def log(self):
        """What it wrote to log, logmain, ..., and to its output."""
        return "".join(path.read_text(errors="replace") for path in
                       sorted(self.folder.glob("log*"))) + self.output()

    def wait_log(self, pattern):
        """Waits until the log has it; the match."""
        return harness.wait_for(lambda: re.search(pattern, self.log()), 60,
                                f"{pattern} in the log of {self.name}:\n"
                                + self.log()[-3000:])


class Postfix(Peer):
    """Takes all mail and gives it to the port next_hop."""

    name = "Postfix"
    users = "postfix postdrop anybody"
    hostname = "postfix.test"

    def configure(self):
        next_hop = self.settings.pop("next_hop")
        tls = {}
        if self.certificate:
            tls = {"smtpd_tls_security_level": "may",
                   "smtpd_tls_cert_file": "{folder}/certificate.pem",
                   "smtpd_tls_key_file": "{folder}/certificate.pem",
                   "smtpd_tls_loglevel": "1"}
        main = {**harness.POSTFIX_MAIN,
                "relayhost": f"[127.0.0.1]:{next_hop}",
                "import_environment":
                    "MAIL_CONFIG LANG=C LD_PRELOAD ORDINARY_USERS "
                    "ORDINARY_ID ORDINARY_OWNER ORDINARY_ROOT",
                "default_privs": "anybody",
                "line_length_limit": "2048", "smtp_line_length_limit": "0",
                **tls, **self.settings}
        self.write("conf/main.cf", "".join(
            f"{key} = {value.format(folder=self.folder)}\n"
            for key, value in main.items()))
        self.write("conf/master.cf",
                   harness.POSTFIX_MASTER_ROWS.format(port=self.port))
        for name, _, _, _ in harness.POSTFIX_QUEUE:
            (self.folder / "queue" / name).mkdir(parents=True)
        (self.folder / "data").mkdir()

    def command(self):
        return [harness.POSTFIX_MASTER, "-d", "-c", self.folder / "conf"]


EXIM_CONFIGURATION = """\
exim_path = {program}
keep_environment = LD_PRELOAD : ^ORDINARY_
primary_hostname = exim.test
spool_directory = {folder}/spool
log_file_path = {folder}/log%s
log_selector = +all -pid -arguments
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
message_size_limit = 100M
accept_8bitmime = true
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
chunking_advertise_hosts = *
{tls}
acl_smtp_mail = accept
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin routers
all:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = next
begin transports
next:
  driver = smtp
  port = {next_hop}
  message_linelength_limit = 1000000
  hosts_avoid_tls = *
  allow_localhost
begin retry
* * F,1h,1s
"""

EXIM_TLS = """\
tls_advertise_hosts = *
tls_certificate = {folder}/certificate.pem
tls_privatekey = {folder}/certificate.pem
"""


class Exim(Peer):
    """Takes all mail and gives it to the port next_hop."""

    name = "Exim"
    users = "Debian-exim mail"
    owner_id = 0  # its configuration must be root's
    hostname = "exim.test"

    def configure(self):
        tls = EXIM_TLS if self.certificate else "tls_advertise_hosts ="
        self.program = self.take(PEERS / "usr/sbin/exim4")
        self.write("conf", EXIM_CONFIGURATION.format(
            program=self.program, folder=self.folder, port=self.port,
            tls=tls.format(folder=self.folder),
            next_hop=self.settings["next_hop"]))
        (self.folder / "spool").mkdir()

    def command(self):
        return [self.program, "-C", self.folder / "conf", "-bdf"]


class OpenSmtpd(Peer):
    """Takes all mail and gives it to the port next_hop."""

    name = "OpenSMTPD"
    users = "opensmtpd opensmtpq root"
    user_id = owner_id = 0
    hostname = "opensmtpd.test"

    def configure(self):
        tls = ""
        if self.certificate:
            path = self.folder / "certificate.pem"
            tls = f'pki here cert "{path}"\npki here key "{path}"\n'
        self.write("conf", tls + (
            f"listen on 127.0.0.1 port {self.port} hostname {self.hostname} "
            f"{'tls pki here' if tls else ''}\n"
            'action "next" relay host '
            f'"smtp+notls://127.0.0.1:{self.settings["next_hop"]}"\n'
            'match from any for any action "next"\n'))
        for name in ("var/spool", "var/lib/opensmtpd/empty", "var/run"):
            (self.folder / "root" / name).mkdir(parents=True)

    def command(self):
        return [self.take(PEERS / "usr/sbin/smtpd"), "-d", "-v", "-f",
                self.folder / "conf"]


DOVECOT_CONFIGURATION = """\
protocols = lmtp
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
hostname = dovecot.test
listen = 127.0.0.1
{tls}
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
login_trusted_networks = 127.0.0.0/8
mail_location = maildir:{folder}/mail/%u
mail_save_crlf = yes
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
service lmtp {{
  chroot =
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {folder}/lmtp {{
    mode = 0600
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

DOVECOT_TLS = """\
ssl = yes
ssl_cert = <{folder}/certificate.pem
ssl_key = <{folder}/certificate.pem
"""


class Dovecot(Peer):
    """LMTP for the addresses in users: on the port and on folder/lmtp."""

    name = "Dovecot"
    hostname = "dovecot.test"

    def environment(self):
        return None  # it needs no help

    def configure(self):
        tls = DOVECOT_TLS if self.certificate else "ssl = no"
        group = grp.getgrgid(USER.pw_gid).gr_name
        self.write("conf", DOVECOT_CONFIGURATION.format(
            folder=self.folder, port=self.port, user=USER.pw_name,
            group=group, tls=tls.format(folder=self.folder)))
        (self.folder / "mail").mkdir()
        self.write("users", "".join(
            f"{name}::{USER.pw_uid}:{USER.pw_gid}::"
            f"{self.folder}/mail/{name}::\n"
            for name in self.settings["users"]))

    def command(self):
        return ["/usr/sbin/dovecot", "-F", "-c", self.folder / "conf"]

    def mails(self, name):
        """What was delivered to an address, each as bytes."""
        return [path.read_bytes() for path in sorted(
            (self.folder / "mail" / name / "new").glob("*"))]
