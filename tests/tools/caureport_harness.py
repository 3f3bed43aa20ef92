# SPDX-License-Identifier: MIT
"""What the tests of caureport share: each test has a folder and a store of its own.

Environment: CAUREPORT (the tool) and CAU_SAMPLES (the folder of sample reports).
"""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

import harness
from harness import CAUREPORT, GUID, OTHER_GUID, PATIENCE, SAMPLES, random_bytes, read_file, wait_until  # noqa: F401

NAME = "CauReport-20240109030000.xml"
CIM = "20240109030000.000000+000"

FAILED, USAGE, NOT_FOUND, EXISTS, DAMAGED, NO_SPACE, UNAVAILABLE = 1, 2, 3, 4, 5, 6, 7

SAVED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def samples():
    return [os.path.join(SAMPLES, name) for name in harness.samples()]


class StoreTest(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="caureport-test-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.store = os.path.join(self.dir, "store.db")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write_file(self, name, data):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def environment(self, **more):
        variables = {key: value for key, value in os.environ.items() if key != "CAU_STORE"}
        return {**variables, "LC_ALL": "C.UTF-8", "G_DEBUG": "fatal-criticals", **more}

    def start(self, *words, **how):
        how.setdefault("env", self.environment())
        how.setdefault("cwd", self.dir)
        return subprocess.Popen([CAUREPORT, "--store", self.store, *map(os.fspath, words)],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)

    def bare(self, *words, status=0, wrapper=(), environment=None, **how):
        """Runs caureport with nothing added; returns what it printed. Its messages are in self.messages."""
        if "stdin" not in how and "input" not in how:
            how["stdin"] = subprocess.DEVNULL
        how.setdefault("stdout", subprocess.PIPE)
        how.setdefault("cwd", self.dir)
        command = [*wrapper, CAUREPORT, *map(os.fspath, words)]
        done = subprocess.run(command, stderr=subprocess.PIPE, env=self.environment(**(environment or {})),
                              check=False, **how)
        self.messages = done.stderr.decode()
        if done.returncode != status:
            self.fail(f"{words} ended with status {done.returncode}, not {status}: {self.messages}")
        lines = self.messages.splitlines()
        self.assertEqual(bool(lines), status != 0, self.messages)
        for line in lines:
            self.assertRegex(line, r"^caureport: [^\x00-\x1f]+$")
        return done.stdout

    def run_tool(self, *words, **how):
        return self.bare("--store", self.store, *words, **how)

    def refuse(self, status, pattern, *words, **how):
        """Runs caureport, which must fail with @status and one line that @pattern is found in."""
        out = self.run_tool(*words, status=status, **how)
        self.assertEqual(len(self.messages.splitlines()), 1, self.messages)
        self.assertRegex(self.messages, pattern)
        return out

    def refuse_usage(self, pattern, *words):
        self.assertEqual(self.refuse(USAGE, pattern, *words), b"")

    def json(self, *words):
        return json.loads(self.run_tool(*words, "--json"))

    def names(self, guid=GUID):
        return [report["name"] for report in self.json("ls", guid)]

    def put(self, name, data, guid=GUID):
        self.run_tool("put", "--mkdir", "--name", name, guid, "-", input=data)

    def get(self, name, guid=GUID, **how):
        return self.run_tool("get", guid, name, **how)

    def assert_bytes(self, found, expected, what="the report"):
        """Compares without printing megabytes."""
        if found != expected:
            same = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b),
                        min(len(found), len(expected)))
            self.fail(f"{what} differs: {len(found)} bytes, expected {len(expected)}, alike up to byte {same}")

    def damage(self, data, offset):
        """Changes a byte of the store's file where @data, which must not be compressible, is kept, at
        @offset or soon after it: the store's pages cut the data."""
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        content = bytearray(read_file(self.store))
        pieces = (content.find(data[start:start + 32]) for start in range(offset, offset + 3200, 32))
        at = next((found for found in pieces if found >= 0), -1)
        self.assertGreaterEqual(at, 0, "the data is not in the store's file as it is")
        content[at] ^= 0xff
        with open(self.store, "r+b") as file:
            file.write(content)

    def as_nobody(self):
        """What makes subprocess run the tool without privilege, which keeps a fault from harm outside of
        self.dir. There it may read."""
        os.chmod(self.dir, 0o755)
        for name in os.listdir(self.dir):
            if name.startswith(os.path.basename(self.store)):
                os.chmod(self.path(name), 0o644)
        if os.geteuid() != 0:
            return {}
        return {"user": 65534, "group": 65534, "extra_groups": [], "executable": self.copy_tool()}

    def copy_tool(self):
        """Where the tool was built others may not get to, below /root for example."""
        library = os.path.join(os.path.dirname(CAUREPORT), "..", "store", "libcaustore.so.0")
        os.makedirs(self.path("copy/tools"), exist_ok=True)
        os.makedirs(self.path("copy/store"), exist_ok=True)
        if os.path.exists(library):
            shutil.copy(library, self.path("copy/store"))
        return shutil.copy(shutil.which(CAUREPORT), self.path("copy/tools"))

    def sql(self, statement):
        database = sqlite3.connect(self.store)
        rows = database.execute(statement).fetchall()
        database.commit()
        database.close()
        return rows


if __name__ == "__main__":
    sys.exit("this file has no tests: run test_*.py")
