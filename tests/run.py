#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The runner of make check.

    tests/run.py [-j N] PART...

A part is a file, and where it lies says how it is run and counted:

    tests/lint/*                     a script; one test, passed if it exits 0
    build/.../unit/test_*            a cmocka program
    build/fuzz/*                     a fuzz target with its corpus and
                                     dictionary for FUZZ_CHECK_SECONDS; one
                                     test
    tests/{e2e,fault,interop}/*.py   unittest

Parts run two at a time. Each gets one line, and the lines it began with
"note: "; what a failing part said is shown whole. A part that ran no test has failed. The last line is
"N passed, M failed", and the exit status is 0 only when M is 0.
"""

import argparse
import collections
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FUZZ_SECONDS = int(os.environ.get("FUZZ_CHECK_SECONDS", "3"))
TIMEOUT = 1200  # seconds for one part

Count = collections.namedtuple("Count", "passed failed skipped")


def count_exit(output, status):
    return Count(int(status == 0), int(status != 0), [])


def count_cmocka(output, status):
    passed = sum(map(int, re.findall(
        r"^\[  PASSED  \] (\d+) test", output, re.M)))
    failed = sum(map(int, re.findall(
        r"^\[  FAILED  \] (\d+) test", output, re.M)))
    return Count(passed, failed, [])


def count_unittest(output, status):
    ran = sum(map(int, re.findall(r"^Ran (\d+) tests? in", output, re.M)))
    # A test with failing subtests is one test.
    failed = len(set(re.findall(
        r"^(?:FAIL|ERROR|UNEXPECTED SUCCESS): (\S+ \([^)]*\))", output,
        re.M)))
    skipped = re.findall(r"\.\.\. skipped (['\"].*['\"])$", output, re.M)
    return Count(max(0, ran - failed - len(skipped)), failed, skipped)


def fuzz_command(path):
    name = os.path.basename(path)
    work = os.path.join(ROOT, "build", "fuzz-work", name)
    os.makedirs(work, exist_ok=True)
    command = [path, "-max_total_time=%d" % FUZZ_SECONDS, "-timeout=10",
               "-rss_limit_mb=1024", "-print_final_stats=1",
               "-artifact_prefix=%s.crash-" % work, work]
    corpus = os.path.join(ROOT, "tests", "fuzz", "corpus", name)
    dictionary = os.path.join(ROOT, "tests", "fuzz", "dict", name + ".dict")
    if os.path.isdir(corpus):
        command.append(corpus)
    if os.path.exists(dictionary):
        command.append("-dict=" + dictionary)
    return command


def program(path):
    return [path]


def python(path):
    return [sys.executable, path]


# where, how it is run, how it is counted
KINDS = [
    (r"tests/lint/.*\.py$", python, count_exit),
    (r"tests/lint/", program, count_exit),
    (r"build/(.*/)?unit/test_", program, count_cmocka),
    (r"build/fuzz/", fuzz_command, count_exit),
    (r"tests/(e2e|fault|interop)/.*\.py$", python, count_unittest),
]


class Part:
    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.name = os.path.relpath(self.path, ROOT)
        for pattern, command, count in KINDS:
            if re.match(pattern, self.name):
                self.command, self.count = command, count
                break
        else:
            sys.exit("run.py: %s is no kind of test" % path)
        self.process = None
        self.output = ""
        self.result = None
        self.seconds = 0.0

    def run(self):
        begin = time.monotonic()
        try:
            self.process = subprocess.Popen(
                self.command(self.path), cwd=ROOT, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT)
            try:
                output, _ = self.process.communicate(timeout=TIMEOUT)
                late = ""
            except subprocess.TimeoutExpired:
                self.kill()
                output, _ = self.process.communicate()
                late = "\nrun.py: not done after %d seconds\n" % TIMEOUT
            self.output = output.decode("utf-8", "replace") + late
            status = self.process.returncode
        except OSError as error:
            self.output, status = "run.py: %s\n" % error, 1
        self.seconds = time.monotonic() - begin
        self.result = self.judge(status)
        return self

    def judge(self, status):
        passed, failed, skipped = self.count(self.output, status)
        if status != 0 and failed == 0:
            self.output += "\nrun.py: exit status %d\n" % status
            failed = 1
        if passed + failed + len(skipped) == 0:
            self.output += "\nrun.py: ran no test\n"
            failed = 1
        return Count(passed, failed, skipped)

    def kill(self):
        """The part and what it started, which share its session."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def line(self):
        result = self.result
        numbers = "%d passed" % result.passed
        if result.failed:
            numbers += ", %d FAILED" % result.failed
        if result.skipped:
            numbers += ", %d skipped" % len(result.skipped)
        notes = re.findall(r"^note: .*", self.output, re.M)
        return "\n      ".join(["%-4s  %-36s %6.1f s  %s" % (
            "FAIL" if result.failed else "ok", self.name, self.seconds,
            numbers)] + notes)


def run_all(parts, jobs):
    lock = threading.Lock()

    def run(part):
        part.run()
        with lock:
            print(part.line(), flush=True)
            if part.result.failed:
                print("%s\n%s\n%s" % ("-" * 72, part.output.rstrip(),
                                      "-" * 72), flush=True)

    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    futures = [pool.submit(run, part) for part in parts]
    try:
        for future in futures:
            future.result()
    except KeyboardInterrupt:
        for future in futures:
            future.cancel()
        for part in parts:
            part.kill()
        raise


def main():
    parser = argparse.ArgumentParser(
        description="Runs tests and counts them.")
    parser.add_argument("-j", type=int, default=2, metavar="N",
                        help="parts at a time (2)")
    parser.add_argument("parts", nargs="*", metavar="PART")
    options = parser.parse_args()
    os.environ.setdefault("SPOOLD_BUILD", "build/san")
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

    parts = [Part(path) for path in options.parts]
    try:
        run_all(parts, options.j)
    except KeyboardInterrupt:
        print("run.py: interrupted")
        return 1
    for part in parts:
        for reason in sorted(set(part.result.skipped)):
            print("skipped in %s: %s" % (part.name, reason))
    failing = [part.name for part in parts if part.result.failed]
    if failing:
        print("failing: " + " ".join(failing))
    passed = sum(part.result.passed for part in parts)
    failed = sum(part.result.failed for part in parts)
    if not parts:
        failed = 1
    print("%d passed, %d failed" % (passed, failed), flush=True)
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
