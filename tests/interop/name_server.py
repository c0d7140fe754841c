# SPDX-License-Identifier: ISC
"""A name server of the whole DNS, with DNSSEC: nsd and the tools of ldns.

    with NameServer(folder, {"mail.a.example": ["A 127.0.0.1"]}) as server:
        daemon = ...(resolver=server.resolver())

The root zone has all names; the zones of UNSIGNED (name to the same) are
delegated without a key.
"""

import pathlib
import socket
import struct
import subprocess

import peers
import harness

TTL = 1
SOA = ("{zone} {ttl} IN SOA ns.example. nobody.example. {serial} 300 300 300 "
       "{ttl}\n{zone} {ttl} IN NS ns.example.\n")

NSD = """\
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  pidfile: "{folder}/pid"
  xfrdfile: "{folder}/xfrd"
  xfrdir: "{folder}"
  zonelistfile: "{folder}/zones"
  database: ""
  logfile: "{folder}/log"
  server-count: 1
  do-ip6: no
  rrl-ratelimit: 0
remote-control:
  control-enable: no
"""
NSD_ZONE = 'zone:\n  name: "{zone}"\n  zonefile: "{file}"\n'


def records_of(names):
    return "".join(f"{name}. {TTL} IN {record}\n"
                   for name, records in names.items() for record in records)


class NameServer(peers.Peer):
    name = "nsd"

    def __init__(self, folder, names, unsigned=None):
        super().__init__(pathlib.Path(folder))
        self.names = names
        self.unsigned = unsigned or {}
        self.serial = 1
        self.key = self.make_key()

    def tool(self, *words):
        return subprocess.run([str(word) for word in words], cwd=self.folder,
                              check=True, capture_output=True,
                              text=True).stdout.strip()

    def make_key(self):
        return self.tool("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", ".")

    def configure(self):
        self.write_zones()
        self.write("hosts", "")
        self.write("conf", NSD.format(port=self.port, folder=self.folder) +
                   NSD_ZONE.format(zone=".", file="root.signed") +
                   "".join(NSD_ZONE.format(zone=zone, file=zone)
                           for zone in self.unsigned))

    def write_zones(self):
        soa = {"ttl": TTL, "serial": self.serial}
        root = SOA.format(zone=".", **soa) + records_of(
            {"ns.example": ["A 127.0.0.1"], **self.names})
        for zone, names in self.unsigned.items():
            self.write(zone, SOA.format(zone=zone + ".", **soa) +
                       records_of(names))
            root += f"{zone}. {TTL} IN NS ns.example.\n"
        self.write("root", root)
        self.tool("ldns-signzone", "-o", ".", "-f", "root.signed", "root",
                  self.key)
        self.serial += 1

    def command(self):
        return ["/usr/sbin/nsd", "-d", "-c", self.folder / "conf"]

    def environment(self):
        return None

    def start(self):
        self.configure()
        self.run_as_user(self.command())
        self.ready(self.answers, 60)

    def answers(self, port):
        """Does it say what the zone's SOA is?"""
        question = struct.pack("!6HBHH", 7, 0, 1, 0, 0, 0, 0, 6, 1)
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.2)
            try:
                probe.sendto(question, ("127.0.0.1", port))
                return probe.recv(512)[:2] == b"\0\7"
            except OSError:
                return False

    def resolver(self):
        """The section of the configuration that asks it."""
        return {"mode": "forward", "forwarders": ["127.0.0.1:%d" % self.port],
                "trust-anchor": str(self.folder / (self.key + ".ds")),
                "hosts-file": str(self.folder / "hosts"), "timeout": "5s"}
