# SPDX-License-Identifier: ISC
"""A strict parser of what an IMAP server says: the grammar of RFC 3501 and
RFC 9051, with the responses of the extensions spoold offers. Whatever the
grammar does not allow is a GrammarError; nothing is guessed.

    parse(b'* 3 EXISTS\\r\\n') -> Response("EXISTS", number=3)

A response is whole: lines with their literals between (is_whole says whether
more must be read).
"""

import base64
import re


class GrammarError(Exception):
    def __init__(self, what, data, at):
        super().__init__("%s at byte %d of %r" %
                         (what, at, data[max(0, at - 200):at + 100]))


class Response:
    """What was said. kind: "OK" ... "FETCH"; tag: None for untagged, "+" for
    a request to go on."""

    def __init__(self, kind, tag=None, **fields):
        self.kind = kind
        self.tag = tag
        self.raw = b""
        self.__dict__.update(fields)

    def __repr__(self):
        return repr(self.raw)


LITERAL = re.compile(rb"~?\{(0|[1-9]\d*)\}\r\n\Z")
STATUS_LINE = re.compile(rb"(?:\+|\S+ (?:OK|NO|BAD|BYE|PREAUTH))(?: |\r)")


def literal_length(line, is_first):
    """Bytes of the literal this line ends with; None: it is the last."""
    if is_first and STATUS_LINE.match(line):
        return None
    match = LITERAL.search(line)
    return int(match.group(1)) if match else None


ATOM = rb"[^(){ %*\"\\\]\x00-\x1f\x7f-\xff]+"
ASTRING = rb"[^(){ %*\"\\\x00-\x1f\x7f-\xff]+"
TAG = rb"[^(){ %*\"\\+\x00-\x1f\x7f-\xff]+"
TEXT = rb"[^\r\n\x00-\x08\x0b-\x1f\x7f-\xff]+"
NUMBER = rb"(?:0|[1-9]\d*)"
SYSTEM_FLAGS = {b"\\Answered", b"\\Flagged", b"\\Deleted", b"\\Seen",
                b"\\Draft"}
MAILBOX_FLAGS = {
    b"\\Noinferiors", b"\\Noselect", b"\\NonExistent", b"\\Marked",
    b"\\Unmarked", b"\\HasChildren", b"\\HasNoChildren", b"\\Subscribed",
    b"\\Remote", b"\\Drafts", b"\\Sent", b"\\Trash", b"\\Junk", b"\\All",
    b"\\Archive", b"\\Flagged"}
SET = rb"(?:[1-9]\d*(?::[1-9]\d*)?)(?:,[1-9]\d*(?::[1-9]\d*)?)*"
DATE_TIME = (rb'"(?: \d|[12]\d|3[01])-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|'
             rb'Oct|Nov|Dec)-\d{4} (?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60) '
             rb'[+-](?:[01]\d|2[0-3])[0-5]\d"')
SECTION = (rb"(?:[1-9]\d*(?:\.[1-9]\d*)*(?:\.(?:HEADER(?:\.FIELDS(?:\.NOT)?)?"
           rb"|TEXT|MIME))?|HEADER(?:\.FIELDS(?:\.NOT)?)?|TEXT)?")


def expand(text):
    """The numbers of a set, in its order."""
    numbers = []
    for part in text.split(b","):
        first, _, last = part.partition(b":")
        a, b = int(first), int(last or first)
        if a > 0xffffffff or b > 0xffffffff:
            raise GrammarError("a number of more than 32 bits", text, 0)
        numbers.extend(range(min(a, b), max(a, b) + 1))
    return numbers


class Parser:
    def __init__(self, data, utf8=False):
        self.data = data
        self.at = 0
        self.utf8 = utf8

    # --- the smallest parts

    def fail(self, what):
        raise GrammarError(what, self.data, self.at)

    def sees(self, text):
        return self.data.startswith(text, self.at)

    def take(self, text):
        if not self.sees(text):
            self.fail("%r is missing" % text)
        self.at += len(text)

    def try_take(self, text):
        if self.sees(text):
            self.at += len(text)
            return True
        return False

    def match(self, pattern, what):
        match = re.compile(pattern).match(self.data, self.at)
        if match is None:
            self.fail(what + " is missing")
        self.at = match.end()
        return match.group()

    def blank(self):
        self.take(b" ")

    def number(self, bits=32):
        value = int(self.match(NUMBER, "a number"))
        if value >= 1 << bits:
            self.fail("a number of more than %d bits" % bits)
        return value

    def nz_number(self, bits=32):
        value = self.number(bits)
        if value == 0:
            self.fail("a number is 0")
        return value

    def atom(self):
        return self.match(ATOM, "an atom")

    def list_of(self, one, may_be_empty=True):
        """"(" one *(SP one) ")\""""
        items = []
        self.take(b"(")
        if may_be_empty and self.try_take(b")"):
            return items
        while True:
            items.append(one())
            if self.try_take(b")"):
                return items
            self.blank()

    # --- strings

    def quoted(self):
        self.take(b'"')
        value = bytearray()
        while not self.try_take(b'"'):
            if self.at >= len(self.data):
                self.fail("a quoted string without an end")
            c = self.data[self.at]
            if c == 0x5c:
                self.at += 1
                c = self.data[self.at]
                if c not in b'"\\':
                    self.fail("what needs no backslash has one")
            elif c in (0, 0x0a, 0x0d):
                self.fail("a quoted string with CR, LF or NUL")
            elif c > 0x7f and not self.utf8:
                self.fail("a quoted string with 8 bits")
            value.append(c)
            self.at += 1
        value = bytes(value)
        if self.utf8:
            try:
                value.decode("utf-8")
            except UnicodeDecodeError:
                self.fail("a quoted string that is not UTF-8")
        return value

    def literal(self, nul=False):
        eight = nul and self.try_take(b"~")
        length = int(self.match(rb"\{" + NUMBER + rb"\}\r\n", "a literal")
                     [1:-3])
        value = self.data[self.at:self.at + length]
        if len(value) != length:
            self.fail("a literal is cut off")
        if b"\0" in value and not eight:
            self.fail("a literal with NUL")
        self.at += length
        return value

    def string(self):
        return self.quoted() if self.sees(b'"') else self.literal()

    def nstring(self):
        if self.try_take(b"NIL"):
            return None
        return self.string()

    def astring(self):
        if self.sees(b'"') or self.sees(b"{"):
            return self.string()
        return self.match(ASTRING, "an astring")

    def mailbox(self):
        name = self.astring()
        if name.upper() == b"INBOX":
            if name != b"INBOX":
                self.fail("INBOX in other letters")
            return "INBOX"
        return name.decode("utf-8") if self.utf8 else self.utf7(name)

    def utf7(self, name):
        if any(c < 0x20 or c > 0x7e for c in name):
            self.fail("a mailbox's name with 8 bits or controls")
        out = ""
        while name:
            if name[:1] != b"&":
                out += chr(name[0])
                name = name[1:]
                continue
            end = name.find(b"-")
            if end < 0:
                self.fail("UTF-7 without an end")
            run, name = name[1:end], name[end + 1:]
            if not run:
                out += "&"
                continue
            text = base64.b64decode(run.replace(b",", b"/") +
                                    b"=" * (-len(run) % 4), validate=True)
            out += text.decode("utf-16-be")
        return out

    # --- lines

    def response(self):
        if self.try_take(b"+"):
            return self.go_on()
        if not self.try_take(b"* "):
            tag = self.match(TAG, "a tag").decode()
            self.blank()
            return self.status(tag, {b"OK", b"NO", b"BAD"})
        match = re.compile(rb"(?:OK|NO|BAD|BYE|PREAUTH) ").match(
            self.data, self.at)
        if match:
            return self.status(None, {b"OK", b"NO", b"BAD", b"BYE",
                                      b"PREAUTH"})
        if self.data[self.at:self.at + 1].isdigit():
            return self.message_data()
        word = self.atom()
        reader = getattr(self, "data_" + word.decode().lower(), None)
        if reader is None:
            self.fail("unknown data %r" % word)
        response = reader()
        response.kind = word.decode()
        return response

    def go_on(self):
        # RFC 3501 7.5: "+" SP (resp-text / base64)
        self.blank()
        text = b"" if self.sees(b"\r\n") else self.match(TEXT, "text")
        return Response("+", "+", text=text)

    def status(self, tag, words):
        word = self.atom()
        if word not in words:
            self.fail("no status")
        self.blank()
        code = arguments = None
        if self.try_take(b"["):
            code, arguments = self.code()
            self.take(b"] ")
        text = self.match(TEXT, "text")
        return Response(word.decode(), tag, code=code, arguments=arguments,
                        text=text.decode())

    # --- response codes

    ALONE = {"ALERT", "PARSE", "READ-ONLY", "READ-WRITE", "TRYCREATE",
             "UIDNOTSTICKY", "CLOSED", "NOMODSEQ", "UNAVAILABLE",
             "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED",
             "PRIVACYREQUIRED", "CONTACTADMIN", "NOPERM", "INUSE",
             "EXPUNGEISSUED", "CORRUPTION", "SERVERBUG", "CLIENTBUG",
             "CANNOT", "LIMIT", "OVERQUOTA", "ALREADYEXISTS", "NONEXISTENT",
             "NOTSAVED", "HASCHILDREN", "UNKNOWN-CTE", "TOOBIG"}

    def code(self):
        name = self.match(rb"[A-Z0-9-]+", "a response code").decode()
        if name in self.ALONE:
            return name, None
        reader = getattr(self, "code_" + name.lower(), None)
        if reader is None:
            self.fail("unknown response code " + name)
        if name != "BADCHARSET" or self.sees(b" "):
            self.blank()
        return name, reader()

    def code_capability(self):
        return self.capabilities()

    def code_badcharset(self):
        return self.list_of(self.astring, False) if self.sees(b"(") else []

    def code_permanentflags(self):
        return self.list_of(lambda: b"\\*" if self.try_take(b"\\*")
                            else self.flag())

    def code_uidnext(self):
        return self.nz_number()

    code_uidvalidity = code_unseen = code_uidnext

    def code_highestmodseq(self):
        return self.nz_number(63)

    def code_modified(self):
        return expand(self.match(SET, "a set"))

    def code_appenduid(self):
        validity = self.nz_number()
        self.blank()
        return validity, self.nz_number()

    def code_copyuid(self):
        validity = self.nz_number()
        self.blank()
        source = expand(self.match(SET, "a set"))
        self.blank()
        target = expand(self.match(SET, "a set"))
        if len(source) != len(target):
            self.fail("COPYUID with sets of different sizes")
        return validity, source, target

    # --- data

    def capabilities(self):
        words = [self.atom()]
        while self.sees(b" "):
            self.blank()
            words.append(self.atom())
        words = [word.decode() for word in words]
        if len(set(words)) != len(words):
            self.fail("a capability is named twice")
        if "IMAP4rev1" not in words and "IMAP4rev2" not in words:
            self.fail("IMAP4rev1 is missing")
        return words

    def data_capability(self):
        self.blank()
        return Response("", words=self.capabilities())

    def data_enabled(self):
        words = []
        while self.try_take(b" "):
            words.append(self.atom().decode())
        return Response("", words=words)

    def flag(self):
        if not self.sees(b"\\"):
            return self.atom()
        flag = b"\\" + (self.take(b"\\") or self.atom())
        if flag not in SYSTEM_FLAGS:
            self.fail("unknown flag %r" % flag)
        return flag

    def flags(self):
        flags = self.list_of(self.flag)
        if len({flag.lower() for flag in flags}) != len(flags):
            self.fail("a flag is there twice")
        return flags

    def data_flags(self):
        self.blank()
        return Response("", flags=self.flags())

    def data_list(self):
        def attribute():
            value = b"\\" + (self.take(b"\\") or self.atom())
            if value not in MAILBOX_FLAGS:
                self.fail("unknown attribute %r" % value)
            return value

        self.blank()
        attributes = self.list_of(attribute)
        if {b"\\HasChildren", b"\\HasNoChildren"} <= set(attributes) or \
                len(set(attributes)) != len(attributes):
            self.fail("attributes that exclude each other")
        self.blank()
        delimiter = None if self.try_take(b"NIL") else self.quoted()
        if delimiter is not None and len(delimiter) != 1:
            self.fail("a delimiter of more than one character")
        self.blank()
        name = self.mailbox()
        extended = {}
        if self.try_take(b" "):
            for tag, value in self.list_of(self.list_item, False):
                extended[tag.decode()] = value
        return Response("", attributes=attributes, delimiter=delimiter,
                        name=name, extended=extended)

    data_lsub = data_list

    def list_item(self):
        tag = self.astring()
        self.blank()
        if tag.upper() != b"CHILDINFO":
            self.fail("unknown extended item %r" % tag)
        return tag, self.list_of(self.quoted, False)

    def data_namespace(self):
        def one():
            self.take(b"(")
            prefix = self.string()
            self.blank()
            delimiter = None if self.try_take(b"NIL") else self.quoted()
            self.take(b")")
            return prefix, delimiter

        spaces = []
        for _ in range(3):
            self.blank()
            if self.try_take(b"NIL"):
                spaces.append(None)
                continue
            self.take(b"(")
            space = [one()]
            while not self.try_take(b")"):
                space.append(one())
            spaces.append(space)
        return Response("", spaces=spaces)

    STATUS_BITS = {b"MESSAGES": 32, b"RECENT": 32, b"UIDNEXT": 32,
                   b"UIDVALIDITY": 32, b"UNSEEN": 32, b"DELETED": 32,
                   b"SIZE": 63, b"HIGHESTMODSEQ": 63, b"APPENDLIMIT": 32}

    def data_status(self):
        def item():
            word = self.atom()
            if word not in self.STATUS_BITS:
                self.fail("unknown item of STATUS %r" % word)
            self.blank()
            if word in (b"UIDNEXT", b"UIDVALIDITY"):
                return word.decode(), self.nz_number()
            return word.decode(), self.number(self.STATUS_BITS[word])

        self.blank()
        name = self.mailbox()
        self.blank()
        items = self.list_of(item)
        if len(dict(items)) != len(items):
            self.fail("an item of STATUS is there twice")
        return Response("", name=name, items=dict(items))

    def data_search(self):
        numbers, modseq = [], None
        while self.try_take(b" "):
            if self.try_take(b"(MODSEQ "):
                modseq = self.nz_number(63)
                self.take(b")")
                break
            numbers.append(self.nz_number())
        return Response("", numbers=numbers, modseq=modseq)

    data_sort = data_search

    def data_esearch(self):
        tag, uid, items = None, False, {}
        if self.try_take(b" (TAG "):
            tag = self.string().decode()
            self.take(b")")
        if self.try_take(b" UID"):
            uid = True
        while self.try_take(b" "):
            word = self.match(rb"MIN|MAX|ALL|COUNT|MODSEQ", "an item").decode()
            if word in items:
                self.fail("an item of ESEARCH is there twice")
            self.blank()
            if word == "ALL":
                items[word] = expand(self.match(SET, "a set"))
            elif word == "COUNT":
                items[word] = self.number()
            else:
                items[word] = self.nz_number(63 if word == "MODSEQ" else 32)
        return Response("", of=tag, uid=uid, items=items)

    def data_vanished(self):
        self.blank()
        earlier = self.try_take(b"(EARLIER) ")
        return Response("", earlier=earlier,
                        uids=expand(self.match(SET, "a set")))

    def data_id(self):
        def pair():
            name = self.string()
            self.blank()
            return name, self.nstring()

        self.blank()
        if self.try_take(b"NIL"):
            return Response("", fields=None)
        self.take(b"(")
        fields = {}
        while not self.try_take(b")"):
            if fields:
                self.blank()
            name, value = pair()
            fields[name.decode()] = value
        return Response("", fields=fields)

    # --- messages

    def message_data(self):
        number = self.number()
        self.blank()
        word = self.atom().decode()
        if word in ("EXISTS", "RECENT"):
            return Response(word, number=number)
        if number == 0:
            self.fail("message number 0")
        if word == "EXPUNGE":
            return Response(word, number=number)
        if word != "FETCH":
            self.fail("unknown message data " + word)
        self.blank()
        items = self.list_of(self.fetch_item, False)
        if len({name for name, _ in items}) != len(items):
            self.fail("an item of FETCH is there twice")
        return Response(word, number=number, items=dict(items))

    def fetch_item(self):
        name = self.match(rb"[A-Z0-9]+(?:\.(?:SIZE|HEADER|TEXT))?",
                          "an item's name").decode()
        if name in ("BODY", "BINARY", "BINARY.SIZE") and self.sees(b"["):
            return self.section_item(name)
        self.blank()
        readers = {
            "FLAGS": self.flags, "UID": self.nz_number,
            "INTERNALDATE": lambda: self.match(DATE_TIME, "a date-time"),
            "RFC822.SIZE": lambda: self.number(63),
            "ENVELOPE": self.envelope,
            "BODY": lambda: self.body(0, False),
            "BODYSTRUCTURE": lambda: self.body(0, True),
            "RFC822": self.nstring, "RFC822.HEADER": self.nstring,
            "RFC822.TEXT": self.nstring,
        }
        if name == "MODSEQ":
            self.take(b"(")
            value = self.nz_number(63)
            self.take(b")")
            return name, value
        if name not in readers:
            self.fail("unknown item " + name)
        return name, readers[name]()

    def section_item(self, name):
        start = self.at
        self.take(b"[")
        if name == "BODY":
            section = self.match(SECTION, "a section")
            if section.endswith((b"FIELDS", b"FIELDS.NOT")):
                self.blank()
                self.list_of(self.astring, False)
        else:
            self.match(rb"(?:[1-9]\d*(?:\.[1-9]\d*)*)?", "a section")
        self.take(b"]")
        if self.try_take(b"<"):
            self.number()
            self.take(b">")
        key = name + self.data[start:self.at].decode("utf-8", "replace")
        self.blank()
        if name == "BINARY.SIZE":
            return key, self.number(63)
        if self.try_take(b"NIL"):
            return key, None
        if self.sees(b'"'):
            return key, self.quoted()
        return key, self.literal(nul=name == "BINARY")

    def address(self):
        self.take(b"(")
        fields = [self.nstring()]
        for _ in range(3):
            self.blank()
            fields.append(self.nstring())
        self.take(b")")
        return tuple(fields)

    def addresses(self):
        """1*address: nothing between them."""
        if self.try_take(b"NIL"):
            return None
        self.take(b"(")
        items = [self.address()]
        while not self.try_take(b")"):
            items.append(self.address())
        return items

    def envelope(self):
        self.take(b"(")
        fields = [self.nstring()]
        self.blank()
        fields.append(self.nstring())
        for _ in range(6):
            self.blank()
            fields.append(self.addresses())
        for _ in range(2):
            self.blank()
            fields.append(self.nstring())
        self.take(b")")
        for needed in fields[2:5]:
            if (fields[2] is None) != (needed is None):
                self.fail("From without Sender or Reply-To")
        return fields

    def parameters(self):
        if self.try_take(b"NIL"):
            return None
        items = self.list_of(self.string, False)
        if len(items) % 2 != 0:
            self.fail("a parameter without a value")
        return dict(zip(items[::2], items[1::2]))

    DEPTH_MAX = 500

    def body(self, depth, extended):
        if depth > self.DEPTH_MAX:
            self.fail("deeper than %d" % self.DEPTH_MAX)
        self.take(b"(")
        if self.sees(b"("):
            parts = []
            while self.sees(b"("):
                parts.append(self.body(depth + 1, extended))
            self.blank()
            body = {"type": "multipart", "parts": parts,
                    "subtype": self.string()}
            leaf = False
        else:
            body = self.single(depth, extended)
            leaf = True
        if not self.sees(b")"):
            if not extended:
                self.fail("extension data in BODY")
            self.extension(body, leaf)
        self.take(b")")
        return body

    def single(self, depth, extended):
        body = {"type": self.string(), "parts": []}
        self.blank()
        body["subtype"] = self.string()
        self.blank()
        body["parameters"] = self.parameters()
        for key in ("id", "description"):
            self.blank()
            body[key] = self.nstring()
        self.blank()
        body["encoding"] = self.string()
        self.blank()
        body["octets"] = self.number(63)
        kind = (body["type"].lower(), body["subtype"].lower())
        if kind[0] == b"message" and kind[1] in (b"rfc822", b"global"):
            self.blank()
            body["envelope"] = self.envelope()
            self.blank()
            body["parts"] = [self.body(depth + 1, extended)]
        elif kind[0] != b"text":
            return body
        self.blank()
        body["lines"] = self.number(63)
        return body

    def extension(self, body, leaf):
        """md5 or parameters, disposition, languages, location: each may be
        the last."""
        self.blank()
        if leaf:
            body["md5"] = self.nstring()
        else:
            body["parameters"] = self.parameters()
        if not self.try_take(b" "):
            return
        if self.try_take(b"NIL"):
            body["disposition"] = None
        else:
            self.take(b"(")
            kind = self.string()
            self.blank()
            body["disposition"] = (kind, self.parameters())
            self.take(b")")
        if not self.try_take(b" "):
            return
        if self.sees(b"("):
            body["languages"] = self.list_of(self.string, False)
        else:
            body["languages"] = self.nstring()
        if self.try_take(b" "):
            body["location"] = self.nstring()


def parse(data, utf8=False):
    parser = Parser(data, utf8)
    response = parser.response()
    parser.take(b"\r\n")
    if parser.at != len(data):
        parser.fail("something behind the response")
    response.raw = data
    return response
