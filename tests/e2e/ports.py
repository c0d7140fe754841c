# SPDX-License-Identifier: ISC
"""Ports that no other test process of this machine uses meanwhile."""

import itertools
import random
import socket

# Below the range the kernel hands out to clients, so that no connection of
# another test can take one.
FIRST, LAST, BLOCK = 20000, 30000, 250


def block_of_our_own():
    """Two sockets that do not listen may share a port, and a target that is
    down has none, so trying would not tell. The name is ours as long as this
    process lives."""
    blocks = list(range(FIRST, LAST, BLOCK))
    random.shuffle(blocks)
    for first in blocks:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind("\0spoold-test-ports-%d" % first)
        except OSError:
            claim.close()
            continue
        return claim, itertools.cycle(range(first, first + BLOCK))
    raise RuntimeError("all blocks of ports are in use")


_claim, _ports = block_of_our_own()


def free_port():
    """A port nobody listens on."""
    while True:
        port = next(_ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
