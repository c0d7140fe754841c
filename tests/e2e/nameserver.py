# SPDX-License-Identifier: ISC
"""A name server of a few names, for the loopback and without DNSSEC:

    server = NameServer({("mail.client.test", "A"): ["192.0.2.1"]}).start()

An unknown name does not exist; a value of None is never answered.
"""

import socket
import socketserver
import struct
import threading

TYPES = {1: "A", 12: "PTR", 15: "MX", 28: "AAAA"}
NUMBERS = {name: number for number, name in TYPES.items()}


def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode()
                    for label in name.split(".") if label) + b"\0"


def encode(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "MX":
        preference, host = value
        return struct.pack("!H", preference) + encode_name(host)
    return encode_name(value)


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        query, sock = self.request
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        number, = struct.unpack("!H", query[at + 1:at + 3])
        question = query[12:at + 5]
        values = self.server.lookup(".".join(labels), TYPES.get(number))
        if values is None:
            return
        name_error = not self.server.exists(".".join(labels))
        answer = query[:2] + struct.pack(
            "!HHHHH", 0x8180 | (3 if name_error else 0), 1, len(values), 0, 0)
        answer += question
        for value in values:
            data = encode(TYPES[number], value)
            answer += b"\xc0\x0c" + struct.pack("!HHIH", number, 1,
                                                self.server.ttl,
                                                len(data)) + data
        sock.sendto(answer, self.client_address)


class NameServer(socketserver.ThreadingUDPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, table, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.table = table
        self.asked = []
        self.ttl = 300
        self.port = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever,
                                       kwargs={"poll_interval": 0.05})

    def lookup(self, name, kind):
        self.asked.append((name, kind))
        return self.table.get((name, kind), [])

    def exists(self, name):
        return any(known == name for known, _ in self.table)

    def start(self):
        self.thread.start()
        return self

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()
