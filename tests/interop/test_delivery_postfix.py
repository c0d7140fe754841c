#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Deliveries to a real Postfix."""

import unittest

import deliveries
import peers


class PostfixTest(deliveries.TlsDeliveries):
    peer_class = peers.Postfix
    OFFERS_UTF8 = True
    RESUMES = True
    TLS_LOG = "TLS connection established from .*TLSv1.3"
    CHUNKS_LOG = r"disconnect from .* bdat=\d"


if __name__ == "__main__":
    unittest.main(verbosity=2)
