# SPDX-License-Identifier: MIT
"""A store of format 1 is brought up to date whole or not at all: when it is killed meanwhile, when the disk is full, and when several
processes open it at once."""
import ctypes
import gzip
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest

import amount
import store_file
from caureport_harness import CAUREPORT, NO_SPACE, SAMPLES, StoreTest
from disk import Disk
from harness import needs_root

FIRST = "5b3c1f60-1d2e-4f3a-8b4c-5d6e7f8091a2"
SECOND = "5b3c1f60-1d2e-4f3a-8b4c-5d6e7f8091a3"

# How many chunks of 64 KiB are added: an upload that a dead process left. They make the work long enough to be met in the middle.
CHUNKS = 100

ROWS = {1: ("orchestrators", "versions", "chunks", "parts"), 2: ("orchestrators", "versions", "chunks", "inherited")}


def checksum_of_empty(version):
    """That of the record of an upload: its numbers are zeros, and so is its hash."""
    function = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
    function.argtypes, function.restype = (ctypes.c_char_p, ctypes.c_size_t), ctypes.c_int64
    record = version.to_bytes(8, "little") * 2 + bytes(11 * 8 + 32)
    return function(record, len(record))


class UpgradeTest(StoreTest):
    def setUp(self):
        super().setUp()
        self.old = self.path("old.db")
        with gzip.open(os.path.join(SAMPLES, "store-format-1.cau.gz")) as packed, open(self.old, "wb") as store:
            store.write(packed.read())
        self.add_chunks()
        self.store = self.old
        self.rows = self.count_rows(1)
        self.store = self.path("store.db")
        self.renew()
        self.run_tool("collect")
        self.reports = self.list_reports()

    def add_chunks(self):
        database = sqlite3.connect(self.old)
        version = database.execute("SELECT max(id) + 1 FROM versions").fetchone()[0]
        database.execute("INSERT INTO versions (id, report, size, stored_size, sha256, seed, saved, mode, uid, gid, atime, mtime,"
                         " ctime, checksum) VALUES (?1, ?1, 0, 0, zeroblob (32), 0, 0, 0, 0, 0, 0, 0, 0, ?2)",
                         (version, checksum_of_empty(version)))
        for number in range(CHUNKS):
            chunk = database.execute("INSERT INTO chunks (data) VALUES (randomblob (65536))").lastrowid
            database.execute("INSERT INTO parts VALUES (?, ?, ?, 65536, 0)", (version, number, chunk))
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()

    def renew(self):
        """Puts the old store in place again."""
        for suffix in ("-wal", "-shm", "-pins"):
            if os.path.exists(self.store + suffix):
                os.unlink(self.store + suffix)
        shutil.copy(self.old, self.store)

    def format(self):
        return self.sql("PRAGMA user_version")[0][0]

    def count_rows(self, number):
        return {table: self.sql(f"SELECT count(*) FROM {table}")[0][0] for table in ROWS[number]}

    def list_reports(self):
        return {(guid, report["name"]): self.json("info", guid, report["name"])
                for guid in (FIRST, SECOND) for report in self.json("ls", guid)}

    def assert_whole(self):
        """Either format, with nothing missing; and then the new one. Returns which format it was."""
        found = self.format()
        self.assertEqual(self.sql("PRAGMA integrity_check"), [("ok",)])
        self.assertIn(found, (1, 2))
        if found == 1:
            self.assertEqual(self.count_rows(1), self.rows)
        self.run_tool("collect")
        self.assertEqual(self.format(), 2)
        store_file.check(self.store)
        self.assertEqual(self.list_reports(), self.reports)
        self.run_tool("verify")
        return found


class Killed(UpgradeTest):
    def measure(self):
        """Seconds that the tool takes."""
        self.renew()
        begin = time.monotonic()
        self.run_tool("collect")
        return time.monotonic() - begin

    def test_in_the_middle(self):
        rng = random.Random(amount.seed())
        rounds = amount.rounds(15)
        longest = self.measure()
        counts = {1: 0, 2: 0}
        logs = 0
        for number in range(rounds):
            self.renew()
            delay = rng.uniform(0, longest)
            with self.subTest(round=number, delay=delay):
                process = self.start("collect")
                try:
                    process.wait(delay)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                _out, messages = process.communicate()
                self.assertIn(process.returncode, (0, -signal.SIGKILL), messages)
                logs += os.path.exists(self.store + "-wal") and os.path.getsize(self.store + "-wal") > 0
                counts[self.assert_whole()] += 1
        amount.tell(f"{rounds} kills: {counts[1]} times the store was of format 1 afterwards, {counts[2]} times of format 2; "
                    f"{logs} times there was a log")
        self.assertGreaterEqual(logs, rounds // 15)


class AtOnce(UpgradeTest):
    def test_several_processes(self):
        rounds = amount.rounds(3)
        for number in range(rounds):
            self.renew()
            with self.subTest(round=number):
                processes = [self.start("collect") for _ in range(4)]
                for process in processes:
                    _out, messages = process.communicate()
                    self.assertEqual(process.returncode, 0, messages)
                self.assertEqual(self.format(), 2)
                self.assert_whole()
        amount.tell(f"{rounds} times 4 processes opened the old store at once")


@needs_root
class FullDisk(UpgradeTest):
    def setUp(self):
        super().setUp()
        self.size = os.path.getsize(self.old)

    def test_the_store_stays_as_it_was(self):
        counts = {0: 0, NO_SPACE: 0}
        steps = max(amount.rounds(8), 2)
        for number in range(steps):
            # From next to no room to more than the file and the WAL take together.
            size = self.size + 65536 + number * 3 * self.size // (steps - 1)
            with self.subTest(size=size):
                disk = Disk(self, size)
                self.store = os.path.join(disk.path, "store.db")
                self.renew()
                done = subprocess.run([CAUREPORT, "--store", self.store, "collect"], stderr=subprocess.PIPE, check=False)
                self.assertIn(done.returncode, (0, NO_SPACE), done.stderr)
                counts[done.returncode] += 1
                if done.returncode == NO_SPACE:
                    self.assertIn(b"cannot be brought to format 2, and is as it was: ", done.stderr)
                    self.assertIn(b"no space left", done.stderr)
                    self.assertEqual(self.format(), 1)
                    disk.resize(5 * self.size)
                self.assert_whole()
                disk.unmount()
        amount.tell(f"{steps} sizes of a disk: {counts[NO_SPACE]} times too small, {counts[0]} times enough")
        self.assertGreater(counts[NO_SPACE], 0)
        self.assertGreater(counts[0], 0)


if __name__ == "__main__":
    unittest.main()
