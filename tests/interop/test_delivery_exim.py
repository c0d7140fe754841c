#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Deliveries to a real Exim."""

import unittest

import deliveries
import peers


class EximTest(deliveries.TlsDeliveries):
    peer_class = peers.Exim
    OFFERS_UTF8 = True
    TLS_LOG = "X=TLS1.3"
    BODY_LOG = "M8S=8"
    CHUNKS_LOG = r"<= anna@client.test .* K "


if __name__ == "__main__":
    unittest.main(verbosity=2)
