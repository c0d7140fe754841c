#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Deliveries to a real Exim."""

import unittest

import deliveries
import peers


class EximTest(deliveries.Deliveries):
    peer_class = peers.Exim
    TLS_LOG = "X=TLS1.3"


if __name__ == "__main__":
    unittest.main(verbosity=2)
