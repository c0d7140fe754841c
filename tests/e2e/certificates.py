# SPDX-License-Identifier: ISC
"""Certificates for the tests: an authority and what it vouches for."""

import hashlib
import os
import ssl
import subprocess


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], check=True,
                          capture_output=True, **options).stdout


class Certificate:
    def __init__(self, path):
        self.path = path  # chain and key in one file

    @property
    def der(self):
        with open(self.path) as file:
            text = file.read()
        end = "-----END CERTIFICATE-----"
        return ssl.PEM_cert_to_DER_cert(text[:text.index(end) + len(end)])

    @property
    def fingerprint(self):
        return hashlib.sha256(self.der).hexdigest()

    @property
    def key_fingerprint(self):
        pem = openssl("x509", "-in", self.path, "-noout", "-pubkey")
        return hashlib.sha256(openssl("pkey", "-pubin", "-outform", "DER",
                                      input=pem)).hexdigest()


class Authority(Certificate):
    """A directory with a CA and certificates it issued."""

    def __init__(self, directory, name="Test CA"):
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self.key = os.path.join(directory, "ca.key")
        super().__init__(os.path.join(directory, "ca.pem"))
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=" + name, "-out", self.path, "-keyout",
                self.key)
        os.chmod(self.path, 0o644)

    def issue(self, *names):
        """A certificate for names such as "DNS:a.test" or "IP:127.0.0.1"."""
        base = os.path.join(
            self.directory, "%d" % len(os.listdir(self.directory)))
        openssl("req", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=leaf",
                "-out", base + ".csr", "-keyout", base + ".key")
        with open(base + ".ext", "w") as file:
            file.write("subjectAltName=%s\n" % ",".join(names))
        leaf = openssl("x509", "-req", "-in", base + ".csr", "-CA", self.path,
                       "-CAkey", self.key, "-CAcreateserial", "-days", "2",
                       "-extfile", base + ".ext")
        with open(base + ".pem", "wb") as out:
            out.write(leaf)
            for path in (self.path, base + ".key"):
                with open(path, "rb") as file:
                    out.write(file.read())
        return Certificate(base + ".pem")
