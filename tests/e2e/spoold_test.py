# SPDX-License-Identifier: ISC
"""The harness of the end-to-end, fault and interop tests: runs the real
binaries on private directories and ports.

    class Example(SpooldTest):
        def test_held(self):
            daemon = self.daemon()
            message_id = daemon.send("a@client.test", ["b@example.com"])
            self.assertEqual(daemon.held(), [message_id])

A daemon has one target "office" (a Sink, stopped until the test starts it)
and one domain "example.com" unless told otherwise. Nothing here sleeps for a
fixed time: wait_for polls a condition until a deadline. Every stop demands
exit status 0 and a log without a sanitizer's report.

SPOOLD_BUILD names the directory of the binaries (default: build).
"""

import imaplib
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from client import Client, Closed  # noqa: E402
from ports import free_port  # noqa: E402
from sink import Sink  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("SPOOLD_BUILD", "build"))
TMP = os.path.join(ROOT, "build", "test-tmp")
IS_ROOT = os.geteuid() == 0
NOBODY = 65534

DEADLINE = 60  # seconds; generous, since it is only used up by failures
SANITIZER = re.compile(
    r"ERROR: \w+Sanitizer|runtime error:|LeakSanitizer|Assertion .* failed")


def wait_for(condition, what="the condition", deadline=DEADLINE):
    """Polls until condition() is true and returns what it returned."""
    end = time.monotonic() + deadline
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %s s for %s" % (deadline, what))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def message(body="hello\r\n", subject="a test", **fields):
    """The bytes of a small message."""
    lines = ["From: Anna <anna@client.test>", "To: bob@example.com",
             "Subject: " + subject,
             "Date: Mon, 06 Jan 2025 10:00:00 +0000",
             "Message-ID: <%d@client.test>" % random.getrandbits(60)]
    lines += ["%s: %s" % (key.replace("_", "-"), value)
              for key, value in fields.items()]
    if isinstance(body, str):
        body = body.encode()
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def header_field(content, name):
    """The first field of this name, unfolded; and the content without it."""
    match = re.search(rb"(?im)^%s:(.*(?:\r\n[ \t].*)*)\r\n" % name.encode(),
                      content)
    assert match is not None, "no %s in %r" % (name, content[:400])
    value = re.sub(rb"\r\n[ \t]+", b" ", match.group(1)).strip()
    return value.decode(), content[:match.start()] + content[match.end():]


def below_received(content):
    """What the client sent: the content below the field we put on top."""
    assert content.startswith(b"Received:"), content[:100]
    return header_field(content, "Received")[1]


def config_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "{ %s }" % ", ".join('"%s"' % item for item in value)
    if isinstance(value, int) or re.fullmatch(r"\d+[a-zA-Z]{0,2}", value):
        return str(value)
    return '"%s"' % value


def config_section(head, values):
    body = "".join("    %s = %s\n" % (key.replace("_", "-"),
                                      config_value(value))
                   for key, value in values.items() if value is not None)
    return "%s {\n%s}\n" % (head, body)


class Result:
    """What spoolctl or spoold said."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr.decode("utf-8", "replace")

    @property
    def text(self):
        return self.out.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def jsonl(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self):
        return "exit %d\n%s%s" % (self.code, self.text, self.err)


class ImapClient(imaplib.IMAP4):
    def __init__(self, port, address=None):
        self.source = (address, 0) if address else None
        super().__init__("127.0.0.1", port, 60)

    def _create_socket(self, timeout):
        return socket.create_connection((self.host, self.port), timeout,
                                        source_address=self.source)


class Daemon:
    """One spoold with its directory. The fields may be changed between
    stop() and start(), or before reload()."""

    def __init__(self, directory, sink=None, targets=None, domains=None,
                 limit=None, store=None, tls=False, settings=None,
                 as_uid=None, environ=None, resolver=None, imap=False):
        self.directory = directory
        self.control_directory = tempfile.mkdtemp(prefix="spoold-")
        os.chmod(self.control_directory, 0o755)
        self.control = os.path.join(self.control_directory, "control")
        self.spool = os.path.join(directory, "spool")
        self.config_path = os.path.join(directory, "spoold.conf")
        self.log_path = os.path.join(directory, "log")
        self.port = free_port()
        self.listen = ["127.0.0.1:%d" % self.port]
        self.sink = sink
        self.as_uid = as_uid  # run wholly as this user (root only)
        self.environ = environ or {}
        self.build = BUILD
        self.process = None
        self.before_close = lambda: None

        self.targets = {"office": {}} if targets is None else targets
        self.domains = {"example.com": {}} if domains is None else domains
        self.limit = {"reserve": "1M", "drain": "3s", **(limit or {})}
        self.store = store or {}
        self.tls = tls
        self.settings = settings or {}
        self.resolver = resolver or {}
        # True, or the section imap
        self.imap = {} if imap is True else imap
        self.imap_port = free_port() if imap is not False else None
        self.imap_address = "127.0.0.1"
        self.imap_clients = []

    # --- configuration

    def path(self, name):
        return os.path.join(self.directory, name)

    def config_text(self):
        settings = {"hostname": "mx2.example.com", "spool": self.spool,
                    "control": self.control}
        if IS_ROOT and self.as_uid is None:
            settings["user"] = "nobody"
        settings.update(self.settings)
        text = "".join("%s = %s\n" % (key, config_value(value))
                       for key, value in settings.items())
        text += config_section("listen smtp", {"address": self.listen})
        if self.imap_port:
            text += config_section("listen imap", {
                "address": ["%s:%d" % (self.imap_address, self.imap_port)]})
        if self.imap:
            text += config_section("imap", self.imap)
        if self.tls:
            text += config_section("tls", {"certificate": self.path("cert"),
                                           "key": self.path("key")})
        for name, values in self.targets.items():
            text += config_section("target " + name, {
                "hosts": ["127.0.0.1:%d" % (self.sink.port if self.sink
                                            else 9)],
                "tls": "none", "client": "none",
                "probe-min": "100ms", "probe-max": "200ms",
                "retry-min": "100ms", "retry-max": "400ms",
                "unknown-retry": "300ms", "guard": False, **values})
        first = next(iter(self.targets), None)
        for name, values in self.domains.items():
            text += config_section('domain "%s"' % name,
                                   {"target": first, **values})
        if self.resolver:
            text += config_section("resolver", self.resolver)
        text += config_section("limit", self.limit)
        return text + config_section("store", self.store)

    def write_config(self):
        if self.tls and not os.path.exists(self.path("cert")):
            make_certificate(self.path("cert"), self.path("key"))
        with open(self.config_path, "w") as file:
            file.write(self.config_text())
        if self.as_uid is not None:
            for path in [self.directory, self.control_directory] + \
                    [e.path for e in os.scandir(self.directory)]:
                os.chown(path, self.as_uid, self.as_uid)

    # --- life

    def command_line(self, *arguments):
        command = [os.path.join(self.build, "spoold"), "-c",
                   self.config_path, *arguments]
        if self.as_uid is not None:
            command = ["setpriv", "--reuid=%d" % self.as_uid,
                       "--regid=%d" % self.as_uid, "--clear-groups",
                       "--"] + command
        return command

    def environment(self):
        # A role that dropped its user or changed its root cannot be traced,
        # which the leak check needs; whole as an ordinary user it can.
        leaks = not IS_ROOT or self.as_uid is not None
        return {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1",
                "ASAN_OPTIONS": "detect_leaks=%d" % leaks, **self.environ}

    def launch(self):
        """Starts the process and waits for nothing."""
        self.write_config()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command_line(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=self.directory, env=self.environment())
        return self

    def start(self):
        self.launch()
        self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError("spoold ended with status %d:\n%s" % (
                    self.process.returncode, self.log()))
            return self.takes_mail() and self.ctl("status").code == 0

        wait_for(ready, "spoold to serve")

    def takes_mail(self):
        """Would MAIL be answered 250 now? (451: the store is not there.)"""
        try:
            with Client(self.port, timeout=5) as client:
                client.ehlo()
                return client.cmd("MAIL FROM:<>") == 250
        except (OSError, AssertionError, Closed):
            return False

    def reload(self):
        """SIGHUP; returns when the daemon says it took the file or not."""
        mark = self.log_size()
        self.write_config()
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: re.search(r"\breloaded file=|"
                                   r"configuration read before stays",
                                   self.log(mark)), "the reload")

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, deadline=DEADLINE):
        """Waits for the end, which must be an orderly one."""
        try:
            status = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError("spoold does not stop:\n" + self.log())
        self.process = None
        if status != 0:
            raise AssertionError("spoold ended with status %d:\n%s" %
                                 (status, self.log()))
        self.check_log()

    def stop(self):
        self.terminate()
        self.wait()

    def restart(self):
        self.stop()
        self.start()

    def role_pids(self):
        """Role name to process id, from the kernel."""
        pids = {}
        for pid in children(self.process.pid):
            arguments = read_proc(pid, "cmdline").split("\0")
            if "-x" in arguments[:-1]:
                pids[arguments[arguments.index("-x") + 1]] = pid
        return pids

    def kill_role(self, role):
        pid = wait_for(lambda: self.role_pids().get(role), "role " + role)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not pid_is_alive(pid), "the death of " + role)
        return pid

    def kill_all(self):
        """kill -9 of every process at once: the nearest thing to a power
        cut that leaves the machine standing."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGSTOP)  # it starts no more now
        pids = [self.process.pid] + children(self.process.pid)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process = None
        wait_for(lambda: not any(map(pid_is_alive, pids)), "their deaths")

    def close(self):
        """End of the test, in whatever state."""
        self.kill_all()
        for imap in self.imap_clients:
            imap.file.close()
            imap.sock.close()
        self.before_close()
        shutil.rmtree(self.control_directory, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- what it says

    def log(self, start=0):
        with open(self.log_path, "rb") as file:
            file.seek(start)
            return file.read().decode("utf-8", "replace")

    def log_size(self):
        return os.path.getsize(self.log_path)

    def check_log(self):
        log = self.log()
        match = SANITIZER.search(log)
        if match:
            raise AssertionError("a sanitizer's report:\n" +
                                 log[max(0, match.start() - 500):][:8000])

    def ctl(self, *arguments, **options):
        """spoolctl as given, with this daemon's socket."""
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        command = [os.path.join(self.build, "spoolctl"), "-s", self.control,
                   *arguments]
        return Result(subprocess.run(
            command, capture_output=True, timeout=60,
            env=self.environment(), **options))

    def json(self, *arguments):
        """spoolctl --json, which must succeed."""
        result = self.ctl("--json", *arguments)
        if result.code != 0:
            raise AssertionError("spoolctl --json %s: %r" %
                                 (" ".join(arguments), result))
        return result.json

    def status(self):
        return self.json("status")

    def target(self, name="office"):
        return {t["name"]: t for t in self.json("target", "list")}[name]

    def counter(self, name):
        return self.status()["counters"][name]

    def messages(self, *query):
        return self.json("list", *query)

    def held(self):
        """The ids of what is held, in order."""
        return [m["id"] for m in self.messages()]

    def recipients(self, message_id):
        """address to the recipient's object"""
        return {r["address"]: r
                for r in self.json("show", message_id)["recipients"]}

    # --- readers

    def user(self, name, *addresses, password="secret"):
        """Somebody who reads held mail; None: without a password."""
        more = ["--no-password"] if password is None else []
        result = self.ctl("user", "add", *more, name, *addresses,
                          input=(password or "").encode() + b"\n")
        if result.code != 0:
            raise AssertionError("user add %s: %r" % (name, result))

    def imap_client(self, name=None, password="secret", address=None):
        """imaplib's client, from another address of this host or not, signed
        in where a name is given."""
        imap = ImapClient(self.imap_port, address)
        self.imap_clients.append(imap)
        if name is not None:
            imap.login(name, password)
        return imap

    # --- mail

    def client(self, **options):
        return Client(self.port, **options)

    def send(self, sender="anna@client.test", recipients=None, content=None,
             mail_params=""):
        """One message over its own connection; the id it was given."""
        with Client(self.port) as client:
            client.ehlo()
            message_id = client.mail(
                sender, recipients or ["bob@example.com"],
                message() if content is None else content, mail_params)
            client.quit()
        return message_id

    def wait_empty(self):
        wait_for(lambda: self.status()["held"]["messages"] == 0,
                 "nothing to be held")

    def wait_target(self, state, name="office"):
        wait_for(lambda: self.target(name)["state"] == state,
                 "target %s to be %s" % (name, state))


def read_proc(pid, name):
    try:
        with open("/proc/%d/%s" % (pid, name)) as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid):
    return [int(c) for c in
            read_proc(pid, "task/%d/children" % pid).split()]


def pid_is_alive(pid):
    """False for zombies as well."""
    state = re.search(r"^State:\s+(\S)", read_proc(pid, "status"), re.M)
    return state is not None and state.group(1) not in "ZX"


def make_certificate(certificate, key):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=mx2.example.com", "-out", certificate, "-keyout", key],
        check=True, capture_output=True)


_directories = itertools.count(1)


def test_directory(base=TMP):
    os.makedirs(base, exist_ok=True)
    path = os.path.join(base, "%d.%d" % (os.getpid(), next(_directories)))
    os.mkdir(path)
    return path


class SpooldTest(unittest.TestCase):
    """A test with daemons and sinks that end with it."""

    def setUp(self):
        self.daemons = []
        self.sinks = []

    def sink(self):
        sink = Sink(free_port())
        self.sinks.append(sink)
        return sink

    def configured(self, **options):
        """A daemon that is not started."""
        if "sink" not in options:
            options["sink"] = self.sink()
        directory = options.pop("directory", None) or test_directory()
        daemon = Daemon(directory, **options)
        self.daemons.append(daemon)
        return daemon

    def daemon(self, **options):
        return self.configured(**options).start()

    def tearDown(self):
        """Orderly stops are part of every test that went well so far."""
        try:
            for daemon in self.daemons:
                if daemon.process is not None:
                    daemon.stop()
            for sink in self.sinks:
                self.assertEqual(sink.violations, [])
        finally:
            for daemon in self.daemons:
                if os.path.exists(daemon.log_path):
                    self.logs = getattr(self, "logs", "") + daemon.log()
                daemon.close()
            for sink in self.sinks:
                sink.close()

    def run(self, result=None):
        """Shows the daemons' logs of a test that failed."""
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            lines = getattr(self, "logs", "").splitlines()[-60:]
            print("--- log of %s (%d last lines)\n%s\n---" %
                  (self.id(), len(lines), "\n".join(lines)),
                  file=sys.stderr, flush=True)
        return result


def main():
    unittest.main(module="__main__", verbosity=2)
