# SPDX-License-Identifier: ISC
"""Reads a delivery status notification back, strictly.

    report = Report(transaction.content)
    report.message["reporting-mta"]
    report.recipients[0]["status"]

Raises BadReport where a rule of RFC 2046, 3461 6, 3464, 6522 or 6533 is
broken: parts and their types, fields that must be there, fields that may be
there once, the form of each. Python's email package takes the parts apart.
"""

import email
import email.policy
import email.utils
import re

ATOM = r"[!#$%&'*+/0-9=?A-Z^_`a-z{|}~.-]+"
TYPED = re.compile(r"(%s);\s*(\S.*)\Z" % ATOM)
STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\Z")
ACTIONS = {"failed": "5", "delayed": "4", "relayed": "2"}

MESSAGE_FIELDS = {"original-envelope-id", "reporting-mta", "arrival-date"}
RECIPIENT_FIELDS = {"original-recipient", "final-recipient", "action",
                    "status", "remote-mta", "diagnostic-code",
                    "last-attempt-date", "final-log-id"}
UTF8_ADDRESS = re.compile(r"(?:\\x\{[0-9A-F]{2,6}\}|[!-*,-<>-\[\]-~])+\Z")


class BadReport(AssertionError):
    pass


def need(condition, what, *about):
    if not condition:
        raise BadReport(what + (": %r" % (about,) if about else ""))


def groups(text):
    """The blocks of fields of a delivery-status part, unfolded."""
    blocks = []
    for block in text.rstrip("\r\n").split("\r\n\r\n"):
        fields = {}
        for line in re.sub(r"\r\n[ \t]+", " ", block).split("\r\n"):
            match = re.match(r"([!-9;-~]+):[ \t]*(.*)\Z", line)
            need(match, "a line that is no field", line)
            name = match.group(1).lower()
            need(name not in fields, "a field twice", name)
            need(match.group(2), "an empty field", name)
            fields[name] = match.group(2)
        blocks.append(fields)
    return blocks


class Report:
    def __init__(self, content):
        self.content = content
        self.root = email.message_from_bytes(content,
                                             policy=email.policy.SMTP)
        self.check_bytes()
        self.check_root()
        self.parts = list(self.root.iter_parts())
        need(len(self.parts) == 3, "three parts", len(self.parts))
        for part in self.root.walk():
            need(part.defects == [], "defects", part.defects)
        self.check_people()
        self.check_status()
        self.check_original()

    # --- the message

    def check_bytes(self):
        need(self.content.endswith(b"\r\n"), "no line end at the end")
        for line in self.content[:-2].split(b"\r\n"):
            need(len(line) <= 998, "a line of %d bytes" % len(line))
            need(not set(line) & set(b"\r\n\0"), "CR, LF or NUL", line)
        self.is_8bit = any(c > 127 for c in self.content)
        need(not self.is_8bit or
             self.root["Content-Transfer-Encoding"] == "8bit",
             "8-bit bytes in a 7-bit message")

    def check_root(self):
        root = self.root
        need(root.get_content_type() == "multipart/report",
             "its type", root["Content-Type"])
        need(root.get_param("report-type") == "delivery-status",
             "report-type")
        need(root["MIME-Version"] == "1.0", "MIME-Version")
        for name in ("From", "To", "Date", "Subject", "Message-ID",
                     "Auto-Submitted"):
            need(len(root.get_all(name, [])) == 1, "one field", name)
        need(root["Auto-Submitted"] == "auto-replied", "Auto-Submitted")
        self.subject = str(root["Subject"])

    # --- the parts

    def check_people(self):
        part = self.parts[0]
        need(part.get_content_type() == "text/plain", "the first part")
        self.text = part.get_content()
        self.words = " ".join(self.text.split())
        for line in self.text.splitlines():
            need(len(line) <= 998 and line == line.rstrip("\r"), "a line")

    def status_text(self):
        """The bytes of the second part as they stand there: the email
        package would take them for messages."""
        boundary = self.root.get_boundary().encode()
        raw = self.content.split(b"\r\n--" + boundary + b"\r\n")[2]
        head, _, body = raw.partition(b"\r\n\r\n")
        head = email.message_from_bytes(head + b"\r\n\r\n")
        encoding = head.get("Content-Transfer-Encoding", "7bit").lower()
        need(encoding in ("7bit", "8bit", "quoted-printable"), encoding)
        # RFC 3464 2.1: delivery-status needs and has no encoding.
        if not self.is_global:
            need(encoding == "7bit", "an encoded delivery-status", encoding)
        if encoding == "quoted-printable":
            import quopri
            body = quopri.decodestring(body)
        return body.decode("utf-8" if self.is_global else "ascii")

    def check_status(self):
        kind = self.parts[1].get_content_type()
        need(kind in ("message/delivery-status",
                      "message/global-delivery-status"), "the second part",
             kind)
        self.is_global = kind == "message/global-delivery-status"
        blocks = groups(self.status_text())
        need(len(blocks) >= 2, "no recipient")
        self.message, self.recipients = blocks[0], blocks[1:]
        need(set(self.message) <= MESSAGE_FIELDS, "fields of the message",
             self.message)
        self.check_typed(self.message, "reporting-mta", {"dns"})
        self.check_date(self.message, "arrival-date")
        for fields in self.recipients:
            self.check_recipient(fields)

    def check_recipient(self, fields):
        need(set(fields) <= RECIPIENT_FIELDS, "fields", fields)
        for name in ("final-recipient", "action", "status"):
            need(name in fields, "no field " + name, fields)
        action = fields["action"]
        need(action in ACTIONS, "the action", action)
        need(STATUS.match(fields["status"]), "the status", fields)
        # An address that expired keeps the class of its last failure.
        classes = ACTIONS[action] + ("4" if action == "failed" else "")
        need(fields["status"][0] in classes, "status and action", fields)
        self.check_address(fields, "final-recipient", {"rfc822", "utf-8"})
        if "original-recipient" in fields:
            self.check_address(fields, "original-recipient", None)
        if "remote-mta" in fields:
            self.check_typed(fields, "remote-mta", {"dns"})
        if "diagnostic-code" in fields:
            code = self.check_typed(fields, "diagnostic-code", {"smtp"})
            need(re.match(r"[245]\d\d( |\Z)", code), "the reply", code)
        if "last-attempt-date" in fields:
            self.check_date(fields, "last-attempt-date")

    def check_typed(self, fields, name, types):
        match = TYPED.match(fields[name])
        need(match, "a typed field", fields[name])
        need(types is None or match.group(1) in types, "its type",
             fields[name])
        return match.group(2)

    def check_address(self, fields, name, types):
        address = self.check_typed(fields, name, types)
        need(types is None or len(address) > 0, "an address", fields)
        if not fields[name].startswith("utf-8;"):
            need(address.isascii(), "not ASCII under rfc822", fields[name])
        elif not self.is_global:
            need(UTF8_ADDRESS.match(address), "utf-8-addr-xtext", address)

    def check_date(self, fields, name):
        need(name in fields, "no field " + name)
        need(email.utils.parsedate_to_datetime(fields[name]).tzinfo,
             "a date", fields[name])

    def check_original(self):
        part = self.parts[2]
        kind = part.get_content_type()
        need(kind in ("text/rfc822-headers", "message/global-headers",
                      "message/rfc822", "message/global"), "the third part",
             kind)
        need(self.is_global or not kind.startswith("message/global"),
             "a global part in a report that is not", kind)
        self.has_content = kind in ("message/rfc822", "message/global")
        if kind.startswith("message/"):
            need(part.get("Content-Transfer-Encoding", "7bit") in
                 ("7bit", "8bit"), "an encoded message", kind)
        boundary = self.root.get_boundary().encode()
        raw = self.content.split(b"\r\n--" + boundary + b"\r\n")[3]
        self.original = raw.partition(b"\r\n\r\n")[2].partition(
            b"\r\n--" + boundary + b"--\r\n")[0]
        need(not any(c > 127 for c in self.original) or
             part["Content-Transfer-Encoding"] == "8bit",
             "8-bit bytes in a 7-bit part")
