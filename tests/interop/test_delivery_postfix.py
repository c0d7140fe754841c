#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Deliveries to a real Postfix."""

import unittest

import deliveries
import peers


class PostfixTest(deliveries.Deliveries):
    peer_class = peers.Postfix
    TLS_LOG = "TLS connection established from .*TLSv1.3"


if __name__ == "__main__":
    unittest.main(verbosity=2)
