#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""make demo: a tour with real output. The target is down, mail is held; the
target comes back, the mail is given to it."""

import os
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(
    os.path.abspath(__file__)), "e2e"))

from sink import Sink  # noqa: E402
from spoold_test import Daemon, free_port, test_directory, wait_for  # noqa

MESSAGES = [
    ("anna@sender.test", ["bob@example.com"], "Lunch?",
     "The usual place, at noon?\n"),
    ("shop@sender.test", ["bob@example.com", "carol@example.com"],
     "Your order 4711", "It is on its way.\n"),
    ("carol@example.com", ["dave@example.com"], "Minutes of Monday",
     "See below.\n\n" + "We talked about backups.\n" * 40),
]


def say(text):
    print("\n# " + text, flush=True)


def show(text):
    print("    " + text.rstrip("\n").replace("\n", "\n    "), flush=True)


def ctl(daemon, *arguments):
    print("$ spoolctl " + " ".join(arguments))
    result = daemon.ctl(*arguments)
    show(result.text + result.err)
    if result.code != 0:
        sys.exit("demo: spoolctl failed")
    return result


def send(daemon):
    for sender, recipients, subject, body in MESSAGES:
        text = "From: <%s>\nTo: %s\nSubject: %s\n\n%s" % (
            sender, ", ".join(recipients), subject, body)
        with smtplib.SMTP("127.0.0.1", daemon.port,
                          local_hostname="mail.sender.test") as smtp:
            smtp.ehlo()
            smtp.mail(sender)
            for recipient in recipients:
                smtp.rcpt(recipient)
            code, reply = smtp.data(text)
        show("%s -> %s: %d %s" % (sender, ", ".join(recipients), code,
                                  reply.decode()))


def tour(daemon, target):
    say("spoold takes mail for example.com on port %d. Its target, the real"
        " mail\n# server on port %d, is down." %
        (daemon.port, target.port))
    daemon.start()
    show(open(daemon.config_path).read())

    say("Three messages come in. Each 250 means: safe on the disk.")
    send(daemon)
    daemon.wait_target("down")

    say("They are held. The target is probed, the messages wait.")
    ctl(daemon, "status")
    ctl(daemon, "list")

    say("Power cut: every process is killed with SIGKILL and spoold is "
        "started again.")
    daemon.kill_all()
    daemon.start()
    held = daemon.held()
    ctl(daemon, "list")
    ctl(daemon, "show", held[1])

    say("The mail server is back. The next probe notices.")
    target.start()
    wait_for(lambda: daemon.status()["held"]["messages"] == 0)
    for transaction in target.delivered:
        subject = [line for line in transaction.content.decode()
                   .split("\r\n") if line.startswith("Subject:")][0]
        show("the target received: from <%s> to %s, %s" % (
            transaction.sender, ", ".join(transaction.recipients), subject))

    say("Nothing is held any more; what was delivered can be looked at for "
        "three days.")
    ctl(daemon, "status")
    ctl(daemon, "list", "state:delivered")

    say("The log, one line an event:")
    show("\n".join(line for line in daemon.log().splitlines()
                   if " connect " not in line and
                   " disconnect " not in line))
    daemon.stop()
    say("That was all. To send mail to it yourself: make run")


def main():
    target = Sink(free_port())
    daemon = Daemon(test_directory(), target, targets={"office": {
        "probe-min": "500ms", "probe-max": "1s"}})
    try:
        tour(daemon, target)
    finally:
        daemon.close()
        target.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
