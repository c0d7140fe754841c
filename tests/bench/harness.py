# SPDX-License-Identifier: ISC
"""What the benchmark and the interop tests run against.

Starts spoold, a private Postfix and smtp-sink, each in its own directory and
on its own loopback port, and takes them down again by their own process
ids, whatever happens. Counts what a server uses: processor time and memory
of all its processes, bytes on disk.

Nothing here touches the Postfix the machine itself may run.
"""

import contextlib
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "e2e"))

from ports import free_port  # noqa: E402

BUILD = ROOT / "build"
BINARIES = ROOT / os.environ.get("SPOOLD_BUILD", "build")

IS_ROOT = os.geteuid() == 0
POSTFIX_MASTER = pathlib.Path("/usr/lib/postfix/sbin/master")
TICKS = os.sysconf("SC_CLK_TCK")

SENDER = "sender@source.test"
DOMAIN = "held.test"
RECIPIENT = "someone@" + DOMAIN


class Failed(Exception):
    """Something that was started did not do what it should."""


def wait_for(question, seconds, what, every=0.02):
    """Asks until the answer is true and returns it; Failed after SECONDS."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(every)


def median(values):
    """The middle one; the lower of two middles."""
    return sorted(values)[(len(values) - 1) // 2]


def greets(port, greeting=b"220"):
    """Whether a server on PORT begins with GREETING, as SMTP's do."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as client:
            return client.recv(100).startswith(greeting)
    except OSError:
        return False


def takes_mail(port):
    """Whether an SMTP server on PORT answers MAIL with 250."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as client:
            replies = client.makefile("rb")
            replies.readline()
            for command in ("HELO ready.test", f"MAIL FROM:<{SENDER}>"):
                client.sendall(command.encode() + b"\r\n")
                reply = replies.readline()
            return reply.startswith(b"250")
    except OSError:
        return False


def raise_file_limit():
    """As many descriptors as this process may have; children inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# --- directories ------------------------------------------------------------


def _others_may_enter(path):
    return all(p.stat().st_mode & 0o001 for p in [path, *path.parents])


@contextlib.contextmanager
def scratch(name):
    """A fresh directory on disk, removed at the end.

    Below build/ where servers that dropped their rights can get at it,
    else below /var/tmp; never /tmp, which may be memory.
    """
    base = BUILD / name
    base.mkdir(parents=True, exist_ok=True)
    if IS_ROOT and not _others_may_enter(base):
        base = pathlib.Path("/var/tmp")
    path = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=base))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def disk_bytes(path):
    """What a file or a tree takes on disk, in bytes."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(folder, name)).st_blocks
    return total * 512


# --- processes --------------------------------------------------------------


def _stat(pid):
    """The fields of /proc/PID/stat after the command's name; None: gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def tree(pid):
    """PID and all its descendants that live now."""
    children = {}
    for entry in os.listdir("/proc"):
        fields = entry.isdigit() and _stat(entry)
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry))
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, []))
    return found


def cpu_seconds(pid):
    """User and system time of PID, its descendants and those it reaped."""
    total = 0
    for member in tree(pid):
        fields = _stat(member)
        if fields:
            total += sum(int(value) for value in fields[11:15])
    return total / TICKS


def rss_anon(pid):
    """{role or program: bytes of anonymous memory} of PID's whole tree."""
    found = {}
    for member in tree(pid):
        folder = pathlib.Path(f"/proc/{member}")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            status = (folder / "status").read_text()
            words = (folder / "cmdline").read_bytes().split(b"\0")
            name = os.path.basename(words[0].decode())
            if b"-x" in words:
                name = words[words.index(b"-x") + 1].decode()
            for line in status.splitlines():
                if line.startswith("RssAnon:"):
                    size = int(line.split()[1]) * 1024
                    found[name] = found.get(name, 0) + size
    return found


def settled_rss_anon(pid):
    """The same once it has stopped moving for a second."""
    seen = [rss_anon(pid)]

    def still():
        seen.append(rss_anon(pid))
        return len(seen) > 5 and len({str(s) for s in seen[-5:]}) == 1

    with contextlib.suppress(Failed):
        wait_for(still, 20, "memory at rest", every=0.25)
    return seen[-1]


class Server:
    """A process of ours with a port, stopped by its own id."""

    name = "server"

    def __init__(self, folder, port=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.process = None
        self.watcher = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def launch(self, command, **options):
        """Starts COMMAND as the leader of its own process group."""
        with open(self.folder / "output", "ab") as output:
            options.setdefault("stdout", output)
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL,
                stderr=output, start_new_session=True, **options)
        self.watch()

    def watch(self):
        """Should this process die without a word, the server ends too.

        Then the pipe closes that only this process holds open.
        """
        self.watcher = subprocess.Popen(
            ["sh", "-c", "read -r _; kill $0", str(self.process.pid)],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True)

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended with {self.process.returncode}:"
                         f" {self.output()[-2000:]}")
        return True

    def ready(self, question, seconds=20):
        wait_for(lambda: self.check_alive() and question(self.port), seconds,
                 f"{self.name} on port {self.port}")

    def output(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "output").read_text(errors="replace")
        return ""

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def disk(self):
        """What all it stores takes on disk, in bytes."""
        return 0

    def settle(self, seconds=60):
        """Waits until it has nothing left to do."""
        seen = []

        def still():
            self.check_alive()
            seen.append(self.cpu())
            return len(seen) > 5 and seen[-1] - seen[-6] <= 1 / TICKS

        wait_for(still, seconds, f"{self.name} at rest", every=0.1)

    def stop(self, patience=15):
        """SIGTERM, then SIGKILL for it and what it left behind."""
        if self.process is None:
            return
        self.watcher.kill()
        self.watcher.communicate()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                pass
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


# --- spoold -----------------------------------------------------------------

SPOOLD_CONF = """\
hostname = "spoold.test"
spool    = "{folder}/spool"
control  = "{control}/control"
user     = "nobody"
{tls}
listen smtp {{ address = "127.0.0.1:{port}" }}
{imap}
{targets}
limit {{
    message-size           = 50M
    connections            = 4000
    connections-per-client = 4000
    reserve                = 64M
}}

{store}
"""

# for a benchmark with all its clients in one place
SPOOLD_IMAP = """\
imap {
    connections            = 20000
    connections-per-client = 20000
    connections-per-user   = 20000
}
"""

SPOOLD_TARGET = """\
target {name} {{
    hosts       = {{ "127.0.0.1:{port}" }}
    tls         = "none"
    client      = "none"
    {options}
}}

domain "{domain}" {{
    target     = "{name}"
    recipients = "any"
}}
"""


class Spoold(Server):
    """The daemon with one target for each domain: {domain: port}.

    options are a target's, store is what its section says: the default is
    sealed and compressed. With imap=True held mail can be read at imap_port
    and, with tls, at imaps_port.
    """

    name = "spoold"

    def __init__(self, folder, targets, tls=False, options="", store="",
                 imap=False):
        super().__init__(folder)
        self.store = store
        self.imap_port = imap and free_port()
        self.imaps_port = imap and tls and free_port()
        self.targets = targets
        self.tls = tls
        self.options = options
        # not below folder: a socket's path may have 107 bytes at most
        self.control = pathlib.Path(tempfile.mkdtemp(prefix="spoold-"))

    def start(self):
        self.control.chmod(0o755)
        (self.folder / "conf").write_text(self.configuration())
        # a role that dropped its rights can't look for leaks
        checks = {"ASAN_OPTIONS": f"detect_leaks={int(not IS_ROOT)}"}
        self.launch([BINARIES / "spoold", "-c", self.folder / "conf"],
                    env={**os.environ, **checks})
        self.ready(takes_mail)

    def stop(self, patience=30):
        super().stop(patience)
        shutil.rmtree(self.control, ignore_errors=True)

    def configuration(self):
        targets = "\n".join(
            SPOOLD_TARGET.format(name=f"target{n}", port=port, domain=domain,
                                 options=self.options)
            for n, (domain, port) in enumerate(self.targets.items(), 1))
        return SPOOLD_CONF.format(
            folder=self.folder, control=self.control, port=self.port,
            targets=targets, tls=self.certificate() if self.tls else "",
            imap=self.imap_configuration(),
            store=f"store {{ {self.store} }}" if self.store else "")

    def imap_configuration(self):
        text = ""
        for service in "imap", "imaps":
            port = getattr(self, service + "_port")
            if port:
                text += f'listen {service} {{ address = "127.0.0.1:{port}" }}'
                text += "\n"
        return text + SPOOLD_IMAP if text else ""

    def certificate(self):
        """Makes a key and a certificate; returns their section."""
        certificate = self.folder / "certificate.pem"
        key = self.folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=spoold.test", "-addext",
             "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", key, "-out", certificate],
            check=True, capture_output=True)
        return f'tls {{ certificate = "{certificate}" key = "{key}" }}'

    def ctl(self, *words, stdin=""):
        """The JSON document spoolctl prints."""
        done = subprocess.run(
            [BINARIES / "spoolctl", "-c", self.folder / "conf", "--json",
             *words], capture_output=True, text=True, timeout=60, input=stdin)
        if done.returncode:
            raise Failed(f"spoolctl {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout)

    def add_user(self, name, password, *patterns):
        """Who may read the held mail of addresses that fit the patterns."""
        self.ctl("user", "add", name, *patterns, stdin=password + "\n")

    def role_cpu(self, role):
        """User and system time of the process of a role."""
        pids = [row["pid"] for row in self.ctl("status")["roles"]
                if row["role"] == role]
        return sum(int(value) for value in _stat(pids[0])[11:13]) / TICKS

    def counter(self, name):
        return self.ctl("status")["counters"][name]

    def held(self):
        return self.ctl("status")["held"]["messages"]

    def disk(self):
        return disk_bytes(self.folder / "spool")

    def flush(self):
        """The operator's: give everything back now."""
        for n, _ in enumerate(self.targets, 1):
            self.ctl("target", "retry", f"target{n}")


# --- Postfix ----------------------------------------------------------------

POSTFIX_MAIN = {
    "compatibility_level": "3.6",
    "queue_directory": "{folder}/queue",
    "data_directory": "{folder}/data",
    "maillog_file_prefixes": "{folder}",
    "maillog_file": "{folder}/log",
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "myhostname": "postfix.test",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "smtpd_peername_lookup": "no",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_recipient_restrictions": "permit_mynetworks, reject",
    "default_process_limit": "200",
    "in_flow_delay": "0",
    "message_size_limit": "0",
    "mailbox_size_limit": "0",
    "virtual_mailbox_limit": "0",
    "notify_classes": "",
    # mail is left as it is
    "cleanup_replace_stray_cr_lf": "no",
    "local_header_rewrite_clients": "",
    "message_drop_headers": "",
}

def postfix_holding(next_hop_port):
    """Settings of a relay that keeps all, as if the next hop were down."""
    return {"defer_transports": "smtp",
            "relayhost": f"[127.0.0.1]:{next_hop_port}"}


# service, type, private, chroot, wakeup, process limit, program
POSTFIX_MASTER_ROWS = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup     unix n - n 60 1 pickup
cleanup    unix n - n - 0 cleanup
qmgr       unix n - n 300 1 qmgr
rewrite    unix - - n - - trivial-rewrite
bounce     unix - - n - 0 bounce
defer      unix - - n - 0 bounce
trace      unix - - n - 0 bounce
tlsmgr     unix - - n 1000? 1 tlsmgr
flush      unix n - n 1000? 0 flush
proxymap   unix - - n - - proxymap
smtp       unix - - n - - smtp
error      unix - - n - - error
retry      unix - - n - - error
virtual    unix - n n - - virtual
anvil      unix - - n - 1 anvil
scache     unix - - n - 1 scache
showq      unix n - n - - showq
postlog    unix-dgram n - n - 1 postlogd
"""

# name, owner, group, mode
POSTFIX_QUEUE = [(name, "postfix", "root", 0o700) for name in (
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
    "incoming", "private", "saved", "trace")] + [
    ("maildrop", "postfix", "postdrop", 0o730),
    ("public", "postfix", "postdrop", 0o710),
    ("pid", "root", "root", 0o755)]


class Postfix(Server):
    """A private instance: own configuration, queue, data, log and port."""

    name = "Postfix"

    @staticmethod
    def why_not():
        """Why none can be started here; None: it can."""
        if not IS_ROOT:
            return "Postfix's master only runs as root"
        if not POSTFIX_MASTER.exists():
            return "the postfix package is not installed"
        return None

    def __init__(self, folder, settings, port=None):
        super().__init__(folder, port)
        self.settings = settings

    def start(self):
        self.write_configuration()
        self.make_queue()
        self.launch([POSTFIX_MASTER, "-d", "-c", self.folder / "conf"])
        self.ready(greets)

    def write_configuration(self):
        conf = self.folder / "conf"
        conf.mkdir(exist_ok=True)
        main = {**POSTFIX_MAIN, **self.settings}
        (conf / "main.cf").write_text("".join(
            f"{key} = {value.format(folder=self.folder)}\n"
            for key, value in main.items()))
        (conf / "master.cf").write_text(
            POSTFIX_MASTER_ROWS.format(port=self.port))

    def make_queue(self):
        queue = self.folder / "queue"
        queue.mkdir(exist_ok=True)
        for name, owner, group, mode in POSTFIX_QUEUE:
            (queue / name).mkdir(exist_ok=True)
            shutil.chown(queue / name, owner, group)
            (queue / name).chmod(mode)
        (self.folder / "data").mkdir(exist_ok=True)
        shutil.chown(self.folder / "data", "postfix")

    def restart(self, **settings):
        """With new settings, on the same queue."""
        self.stop()
        self.settings.update(settings)
        self.start()

    def queued(self):
        """Files in the queue that are messages."""
        return sum(
            len(names)
            for name in ("incoming", "active", "deferred", "maildrop")
            for _, _, names in os.walk(self.folder / "queue" / name))

    def deferred(self):
        """Files that wait in deferred, for a flush or their time."""
        return sum(len(names) for _, _, names in
                   os.walk(self.folder / "queue" / "deferred"))

    def flush(self):
        subprocess.run(["postqueue", "-c", self.folder / "conf", "-f"],
                       check=True, capture_output=True)

    def disk(self):
        return disk_bytes(self.folder / "queue")


# --- loads ------------------------------------------------------------------


class Sink(Server):
    """smtp-sink: takes everything, keeps nothing.

    With COUNT it ends by itself after so many messages, at a moment it
    shares with whoever waits for it: that is the end of a drain.
    """

    name = "smtp-sink"

    def __init__(self, folder, port=None, count=0):
        super().__init__(folder, port)
        self.count = count
        self.counter = self.folder / "counter"

    def start(self):
        user = ["-u", "nobody"] if IS_ROOT else []
        count = ["-M", self.count] if self.count else []
        with open(self.counter, "wb") as counter:
            self.launch(["smtp-sink", *user, "-c", "-m", 1000, *count,
                         f"127.0.0.1:{self.port}", 1024], stdout=counter)
        if not self.count:
            self.ready(greets)

    def first(self, seconds):
        """The time the counter first moved."""
        wait_for(lambda: self.counter.stat().st_size, seconds,
                 "the first message", every=0.002)
        return time.monotonic()

    def last(self, seconds):
        """The time it ended by itself."""
        self.process.wait(seconds)
        return time.monotonic()


def smtp_source(port, count, sessions=20, size=4096, reuse=True):
    """Sends COUNT messages; the seconds it took."""
    command = ["smtp-source", "-s", sessions, "-m", count, "-l", size,
               "-f", SENDER, "-t", RECIPIENT, "-M", "source.test"]
    if reuse:
        command.append("-d")
    command.append(f"127.0.0.1:{port}")
    start = time.monotonic()
    done = subprocess.run([str(word) for word in command],
                          capture_output=True, text=True, timeout=600)
    seconds = time.monotonic() - start
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr}")
    return seconds


def write_mails(path, messages):
    """A file of messages for feed and lmdb_commit (mails.h)."""
    with open(path, "wb") as file:
        for content in messages:
            head = f"{len(content)} {SENDER} {RECIPIENT}\n"
            file.write(head.encode() + content)


def measured(program, *words):
    """Runs build/bench/PROGRAM; the JSON object it prints."""
    command = [str(word) for word in (BUILD / "bench" / program, *words)]
    done = subprocess.run(command, capture_output=True, text=True,
                          timeout=600)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr}")
    return json.loads(done.stdout)


def nobody():
    return pwd.getpwnam("nobody")
