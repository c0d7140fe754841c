#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""An independent reader of the store, written from spool(5).

    spool_reader.py SPOOL [KEY-FILE] list
    spool_reader.py SPOOL [KEY-FILE] cat ID
    spool_reader.py SPOOL [KEY-FILE] ledger

It shares no code with spoold: LMDB's pages are read here, records, check
bytes and the ledger's chain as the manual page describes them, and libsodium
and libzstd are only asked for their standard algorithms. So whoever has the
store and the key file can get at the mail without spoold.
"""

import base64
import ctypes
import ctypes.util
import hashlib
import pathlib
import struct
import sys

ID_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

STATES = {1: "ready", 2: "later", 3: "delivered", 4: "returned",
          5: "expired", 6: "dropped", 7: "on-hold", 8: "discarded",
          9: "unknown"}

CHECKED = {"message", "delivery", "target", "key", "dictionary", "domain",
           "checkpoint", "aside"}

MESSAGE = {1: "arrived_ms", 2: "origin", 3: "flags", 4: "sender", 5: "flow",
           6: "size", 7: "stored", 8: "pieces", 9: "digest", 10: "client",
           11: "helo", 12: "protocol", 13: "tls", 14: "subject",
           15: "message_id", 16: "finished_ms", 17: "key", 18: "step",
           19: "salt", 20: "dictionary", 21: "block", 22: "purge_ms",
           23: "port", 24: "server", 25: "server_port", 26: "ret",
           27: "envid", 28: "about",
           29: "bucket", 30: "prefer"}
DELIVERY = {1: "recipient", 2: "target", 3: "state", 4: "attempts",
            5: "next_ms", 6: "changed_ms", 7: "reach_ms", 8: "code",
            9: "reply", 10: "spent_ms", 11: "notify", 12: "orcpt",
            13: "home", 14: "warned_ms", 15: "untold",
            16: "alarmed_ms"}
KEY = {1: "id", 2: "made_ms", 3: "pair", 4: "sealed", 5: "messages"}
DICTIONARY = {1: "id", 2: "made_ms", 3: "bytes", 4: "messages", 5: "retired"}
LEDGER = {1: "when_ms", 2: "event", 3: "id", 4: "n", 5: "code", 6: "text",
          7: "digest", 8: "by"}
TOTALS = {1: "held", 2: "held_stored", 3: "floor_ms", 4: "seq", 5: "head",
          6: "on_hold", 7: "unknown", 8: "notice_ms", 9: "rules"}
CHECKPOINT = {1: "seq", 2: "when_ms", 3: "head", 4: "accepted", 5: "ended",
              6: "public", 7: "signature"}


class Damaged(Exception):
    pass


# --- LMDB ---------------------------------------------------------------------

class Lmdb:
    """The tables as of the last commit, by walking the pages of the file."""

    PAGE_HEADER = struct.Struct("<QHHHH")
    META = struct.Struct("<IIQQ")
    TREE = struct.Struct("<IHHQQQQQ")
    BRANCH, LEAF, OVERFLOW = 1, 2, 4
    BIG, SUBTREE = 1, 2

    def __init__(self, path):
        self.bytes = pathlib.Path(path).read_bytes()
        metas = [self.meta(0)]
        metas.append(self.meta(self.page_size))
        transaction, main = max(metas)
        self.transaction = transaction
        self.tables = {
            name.decode(): self.TREE.unpack(value)[-1]
            for name, value, flags in self.walk(main)
            if flags & self.SUBTREE}

    def meta(self, at):
        magic, version, _, _ = self.META.unpack_from(self.bytes, at + 16)
        if magic != 0xBEEFC0DE or version != 1:
            raise Damaged("not a data file of LMDB")
        free = self.TREE.unpack_from(self.bytes, at + 16 + 24)
        main = self.TREE.unpack_from(self.bytes, at + 16 + 24 + 48)
        _, transaction = struct.unpack_from("<QQ", self.bytes,
                                            at + 16 + 24 + 96)
        self.page_size = free[0]
        return transaction, main[-1]

    def walk(self, root):
        """(key, value, flags) in order."""
        if root == 2 ** 64 - 1:  # an empty table
            return
        at = root * self.page_size
        number, _, flags, lower, _ = self.PAGE_HEADER.unpack_from(
            self.bytes, at)
        if number != root:
            raise Damaged("page %d says it is page %d" % (root, number))
        for i in range((lower - 16) // 2):
            offset, = struct.unpack_from("<H", self.bytes, at + 16 + 2 * i)
            node = at + offset
            low, high, kind, key_size = struct.unpack_from(
                "<HHHH", self.bytes, node)
            key = self.bytes[node + 8:node + 8 + key_size]
            if flags & self.BRANCH:
                yield from self.walk(low | high << 16 | kind << 32)
                continue
            size = low | high << 16
            data = node + 8 + key_size
            if kind & self.BIG:
                page, = struct.unpack_from("<Q", self.bytes, data)
                data = page * self.page_size + 16
            yield key, self.bytes[data:data + size], kind

    def rows(self, table):
        for key, value, _ in self.walk(self.tables[table]):
            yield key, value


# --- records ------------------------------------------------------------------

def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def record(data, fields):
    found, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at)
        if tag & 1:
            value, at = data[at:at + value], at + value
        if tag >> 1 in fields:
            found[fields[tag >> 1]] = value
    return found


def checked(table, key, value, fields):
    want = hashlib.blake2b(table.encode() + b"\0" + key + value[4:],
                           digest_size=16).digest()[:4]
    if value[:4] != want:
        raise Damaged("row %s of %s was changed" % (key.hex(), table))
    return record(value[4:], fields)


def print_id(number):
    return "".join(ID_DIGITS[number >> 5 * i & 31] for i in range(12, -1, -1))


# --- the libraries --------------------------------------------------------------

def library(name):
    path = ctypes.util.find_library(name)
    if path is None:
        raise SystemExit("spool_reader: lib%s is not here" % name)
    return ctypes.CDLL(path)


class Sodium:
    def __init__(self):
        self.lib = library("sodium")
        if self.lib.sodium_init() < 0:
            raise SystemExit("spool_reader: libsodium does not work here")

    def public_of(self, secret):
        out = ctypes.create_string_buffer(32)
        self.lib.crypto_scalarmult_base(out, secret)
        return out.raw

    def open_box(self, sealed, public, secret):
        out = ctypes.create_string_buffer(len(sealed) - 48)
        if self.lib.crypto_box_seal_open(
                out, sealed, ctypes.c_ulonglong(len(sealed)), public, secret):
            raise Damaged("a data key does not open")
        return out.raw

    def open_piece(self, key, nonce, sealed, more):
        out = ctypes.create_string_buffer(max(1, len(sealed) - 16))
        size = ctypes.c_ulonglong()
        if self.lib.crypto_aead_xchacha20poly1305_ietf_decrypt(
                out, ctypes.byref(size), None, sealed,
                ctypes.c_ulonglong(len(sealed)), more,
                ctypes.c_ulonglong(len(more)), nonce, key):
            raise Damaged("a piece does not open")
        return out.raw[:size.value]

    def verifies(self, signature, text, public):
        return self.lib.crypto_sign_verify_detached(
            signature, text, ctypes.c_ulonglong(len(text)), public) == 0


class Zstd:
    def __init__(self):
        self.lib = library("zstd")
        self.lib.ZSTD_createDCtx.restype = ctypes.c_void_p
        self.lib.ZSTD_decompress_usingDict.restype = ctypes.c_size_t
        self.lib.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
        self.context = ctypes.c_void_p(self.lib.ZSTD_createDCtx())

    def dictionary_of(self, frame):
        return self.lib.ZSTD_getDictID_fromFrame(
            frame, ctypes.c_size_t(len(frame)))

    def decompress(self, frame, dictionary):
        size = self.lib.ZSTD_getFrameContentSize(
            frame, ctypes.c_size_t(len(frame)))
        if size > 65408:
            raise Damaged("a piece of %d bytes" % size)
        out = ctypes.create_string_buffer(max(1, size))
        got = self.lib.ZSTD_decompress_usingDict(
            self.context, out, ctypes.c_size_t(size), frame,
            ctypes.c_size_t(len(frame)), dictionary,
            ctypes.c_size_t(len(dictionary)))
        if got != size:
            raise Damaged("a piece does not decompress")
        return out.raw[:size]


# --- the store -------------------------------------------------------------------

class Spool:
    def __init__(self, spool, key_file=None, shipped=None):
        self.db = Lmdb(pathlib.Path(spool) / "data.mdb")
        self.sodium, self.zstd = Sodium(), Zstd()
        self.secrets = self.read_keys(key_file) if key_file else {}
        self.dictionaries = {0: b""}
        if shipped:
            self.dictionaries[1] = pathlib.Path(shipped).read_bytes()
        for key, value in self.db.rows("dictionary"):
            row = checked("dictionary", key, value, DICTIONARY)
            self.dictionaries[row["id"]] = row["bytes"]
        self.keys = {}
        for key, value in self.db.rows("key"):
            row = checked("key", key, value, KEY)
            self.keys[row["id"]] = row
        version = dict(self.db.rows("setting"))[b"format"]
        if struct.unpack(">Q", version)[0] not in (2, 3):
            raise Damaged("format %s" % version.hex())

    def read_keys(self, path):
        """{id of the pair: (public, secret)}"""
        found = {}
        for line in pathlib.Path(path).read_text().splitlines():
            words = line.split()
            if words and words[0] == "spoold-keys-locked":
                raise SystemExit("spool_reader: the key file is locked")
            if words and words[0] == "pair":
                secret = base64.b64decode(words[1])
                public = self.sodium.public_of(secret)
                found[hashlib.blake2b(public, digest_size=32)
                      .digest()[:8]] = public, secret
        return found

    def messages(self):
        deliveries = {}
        for key, value in self.db.rows("delivery"):
            row = checked("delivery", key, value, DELIVERY)
            deliveries.setdefault(key[:8], []).append(
                (row.get("recipient", b"").decode(errors="replace"),
                 STATES[row["state"]]))
        for key, value in self.db.rows("message"):
            row = checked("message", key, value, MESSAGE)
            row["id"], = struct.unpack(">Q", key)
            row["deliveries"] = deliveries.pop(key, [])
            yield row
        if deliveries:
            raise Damaged("deliveries without a message")

    def pieces(self):
        """{id: [piece, ...]}"""
        found = {}
        for key, value in self.db.rows("body"):
            number, part = struct.unpack(">QI", key)
            pieces = found.setdefault(number, [])
            if part & 255 == 0:
                pieces.append(b"")
            if part >> 8 != len(pieces) - 1:
                raise Damaged("a piece of %s is missing" % print_id(number))
            pieces[-1] += value
        return found

    def message_key(self, row):
        data_key = self.keys[row["key"]]
        public, secret = self.secrets[data_key["pair"]]
        chain = self.sodium.open_box(data_key["sealed"], public, secret)
        for _ in range(row.get("step", 0)):
            chain = hashlib.blake2b(b"chain", key=chain,
                                    digest_size=32).digest()
        middle = hashlib.blake2b(b"message", key=chain,
                                 digest_size=32).digest()
        return hashlib.blake2b(row["salt"], key=middle,
                               digest_size=32).digest()

    def content(self, row, pieces):
        if len(pieces) != row.get("pieces", 0):
            raise Damaged("%d pieces" % len(pieces))
        digest = hashlib.blake2b(b"".join(pieces), digest_size=32).digest()
        if digest[:16] != row["digest"]:
            raise Damaged("content of %s was changed" % print_id(row["id"]))
        key = self.message_key(row) if row.get("key") else None
        plain = [self.plain(row, key, n, piece, n + 1 == len(pieces))
                 for n, piece in enumerate(pieces)]
        content = b"".join(plain)
        if len(content) != row.get("size", 0):
            raise Damaged("content of %d bytes" % len(content))
        return content

    def plain(self, row, key, number, piece, last):
        if piece[:1] == b"s":
            nonce = struct.pack(">Q", number) + bytes(16)
            more = struct.pack(">QQB", row["id"], number, last)
            piece = self.sodium.open_piece(key, nonce, piece[1:], more)
        elif key is not None:
            raise Damaged("a piece that should be sealed")
        if piece[:1] == b"0":
            return piece[1:]
        if piece[:1] == b"Z":
            piece = b"z\x28\xb5\x2f\xfd" + piece[1:]
        if piece[:1] != b"z":
            raise Damaged("a piece of form %r" % piece[:1])
        frame = piece[1:]
        return self.zstd.decompress(
            frame, self.dictionaries[self.zstd.dictionary_of(frame)])

    # --- the ledger

    def ledger(self):
        """The entries, after their chain was verified."""
        points = [checked("checkpoint", key, value, CHECKPOINT)
                  for key, value in self.db.rows("checkpoint")]
        head, last = bytes(32), 0
        entries = []
        for key, value in self.db.rows("ledger"):
            number, = struct.unpack(">Q", key)
            if not entries and number > 1:
                point = next(p for p in points if p["seq"] == number - 1)
                head, last = point["head"], point["seq"]
            if number != last + 1:
                raise Damaged("entry %d is missing" % (last + 1))
            head = hashlib.blake2b(head + key + value[8:],
                                   digest_size=32).digest()
            if value[:8] != head[:8]:
                raise Damaged("entry %d was changed" % number)
            for point in points:
                if point["seq"] == number and point["head"] != head:
                    raise Damaged("the chain at checkpoint %d" % number)
            last = number
            entries.append({"seq": number, **record(value[8:], LEDGER)})
        totals = checked("setting", b"totals",
                         dict(self.db.rows("setting"))[b"totals"], TOTALS)
        if entries and (totals["seq"], totals["head"]) != (last, head):
            raise Damaged("the end of the chain is not what totals say")
        return entries


def main():
    words = sys.argv[1:]
    if len(words) < 2:
        raise SystemExit(__doc__)
    command = 2 if words[1] not in ("list", "cat", "ledger") else 1
    spool = Spool(words[0], words[1] if command == 2 else None)
    if words[command] == "ledger":
        for entry in spool.ledger():
            print(entry)
        return
    pieces = spool.pieces()
    for row in spool.messages():
        if words[command] == "list":
            print(print_id(row["id"]), row["deliveries"])
        elif print_id(row["id"]) == words[command + 1]:
            sys.stdout.buffer.write(
                spool.content(row, pieces.get(row["id"], [])))


if __name__ == "__main__":
    main()
