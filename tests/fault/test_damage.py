# SPDX-License-Identifier: MIT
"""Damage to a store's file, seen through a mount: EIO and a line in the log, or the right bytes, and nothing else."""
import contextlib
import errno
import os
import random
import re
import shutil
import sqlite3
import unittest

import amount
from caureport_harness import DAMAGED, NO_SPACE
from disk import Disk
from harness import (CHUNK, GUID, Mount, MountTest, ReportTest, caufs_mounts_at, needs_root, random_bytes, read_file,
                     text_bytes, wait_until, write_file)


def find(store, piece):
    """Where @piece, a part of a report that does not compress, lies in the file @store."""
    content = read_file(store)
    for start in range(0, len(piece) - 32, 32):
        at = content.find(piece[start:start + 32])
        if at >= 0:
            return at
    raise AssertionError("the data is not in the store's file as it is")


def change(path, offset, bits):
    with open(path, "r+b") as file:
        file.seek(offset)
        old = file.read(1)
        file.seek(offset)
        file.write(bytes([old[0] ^ bits]))


class DamagedChunk(ReportTest):
    def setUp(self):
        super().setUp()
        self.data = random_bytes(5 * CHUNK)
        write_file(self.path("damaged"), self.data)
        write_file(self.path("good"), self.data[::-1])
        self.mount.finish()
        change(self.store, find(self.store, self.data[2 * CHUNK + 9000:3 * CHUNK]), 1)
        self.mount = self.start(path=self.root)

    def read_at(self, offset):
        fd = os.open(self.path("damaged"), os.O_RDONLY)
        try:
            return os.pread(fd, 1000, offset)
        finally:
            os.close(fd)

    def test_it_is_an_error_and_a_line_in_the_log(self):
        with self.refused(errno.EIO):
            self.read_at(2 * CHUNK)
        wait_until(lambda: re.search(r"report damaged, version \d+: chunk 2 is damaged: its checksum", self.mount.log()),
                   "the log names report and chunk")

    def test_the_other_chunks_read(self):
        for number in (0, 1, 3, 4):
            self.assert_bytes(self.read_at(number * CHUNK), self.data[number * CHUNK:number * CHUNK + 1000])

    def test_the_other_reports_read(self):
        self.assertEqual(self.listed(), ["damaged", "good"])
        self.assertEqual(os.stat(self.path("damaged")).st_size, 5 * CHUNK)
        self.assert_report(self.path("good"), self.data[::-1])

    def test_verify_of_the_mounted_store(self):
        out = self.caureport("verify", "--all", status=DAMAGED).decode()
        self.assertIn(f"damaged {GUID}/damaged: chunk 2 is damaged: its checksum does not match; "
                      f"bytes {2 * CHUNK}-{3 * CHUNK - 1} of {5 * CHUNK}\n", out)
        self.assertIn(f"good    {GUID}/good\n", out)
        self.run_program(os.environ["CAUREPORT"], "verify", self.path("damaged"), status=DAMAGED)
        self.run_program(os.environ["CAUREPORT"], "verify", self.path("good"))

    def test_it_can_be_replaced_and_removed(self):
        write_file(self.path("new"), b"new")
        write_file(self.path("damaged"), b"whole again")
        self.assert_report(self.path("damaged"), b"whole again")
        os.unlink(self.path("damaged"))
        self.assertEqual(self.listed(), ["good", "new"])
        self.caureport("verify")

    def test_recover_needs_the_mount_to_go(self):
        new = os.path.join(self.dir, "new.cau")
        self.caureport_recover(new, 7)
        self.assertIn("in use by process", self.stderr)
        self.mount.finish()
        self.caureport_recover(new, DAMAGED)
        self.mount = self.start(store=new)
        self.root, self.folder = self.mount.path, os.path.join(self.mount.path, GUID)
        self.assertEqual(self.listed(), ["good"])
        self.assert_report(self.path("good"), self.data[::-1])

    @needs_root
    def test_recover_without_room_leaves_nothing(self):
        self.mount.finish()
        disk = Disk(self, 600 * 1024)
        self.caureport_recover(os.path.join(disk.path, "new.cau"), NO_SPACE)
        self.assertIn("no space left", self.stderr)
        self.assertEqual(os.listdir(disk.path), [])

    def caureport_recover(self, new, status):
        self.run_program(os.environ["CAUREPORT"], "recover", self.store, new, status=status)


class DamagedRecord(ReportTest):
    def test_it_is_listed_and_nothing_is_made_up_of_it(self):
        """Not an empty file of 1970, which programs that copy would take for the report."""
        for name in ("damaged", "good"):
            write_file(self.path(name), b"whole")
        self.mount.finish()
        with contextlib.closing(sqlite3.connect(self.store)) as db, db:
            db.execute("UPDATE versions SET size = size + 1 WHERE name = 'damaged'")
        self.mount = self.start(path=self.root)
        # Not sorted, so that the first look at each name is the listing.
        self.assertEqual({entry.name for entry in os.scandir(self.folder)}, {"damaged", "good"})
        for use in (os.stat, read_file, lambda path: os.open(path, os.O_WRONLY)):
            with self.refused(errno.EIO):
                use(self.path("damaged"))
        self.assert_report(self.path("good"), b"whole")
        with self.refused(errno.EIO):
            for entry in list(os.scandir(self.folder)):
                entry.stat()


class Flips(MountTest):
    """Bytes that are changed anywhere in the file, and all of it read through a mount."""

    def setUp(self):
        super().setUp()
        self.random = random.Random(amount.seed())
        mount = self.start()
        folder = os.path.join(mount.path, GUID)
        os.mkdir(folder)
        self.reports = {f"CauReport-202401{i:02}030000.xml": text_bytes(i * 700, i) for i in range(1, 29)}
        self.reports["dense"] = random_bytes(CHUNK + 77)
        self.reports["large"] = text_bytes(3 * CHUNK + 99, 5)
        for name, data in self.reports.items():
            write_file(os.path.join(folder, name), data)
        mount.finish()
        self.mounts.clear()
        self.whole = f"{self.store}.whole"
        shutil.copy(self.store, self.whole)

    def damage(self):
        """Copies the store and changes a byte: every second time in the first bytes of a page, where it does the most."""
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(self.store + suffix):
                os.unlink(self.store + suffix)
        shutil.copy(self.whole, self.store)
        offset = self.random.randrange(os.path.getsize(self.store))
        if self.random.randrange(2):
            offset = offset // 4096 * 4096 + self.random.randrange(100)
        change(self.store, offset, self.random.randrange(1, 256))
        return offset

    def mount_damaged(self, path):
        """The mount, or None when caufs refuses the store, and says so."""
        mount = Mount(self.store, path)
        self.addCleanup(mount.dispose)
        wait_until(lambda: mount.process.poll() is not None or caufs_mounts_at(path), "caufs neither mounts nor ends")
        if mount.process.poll() is None:
            return mount.wait_ready()
        self.assertGreater(mount.process.returncode, 0, mount.log())
        self.assertIn(self.store, mount.log())
        return None

    def read_all(self, folder):
        """How many reports read right; what does not must fail."""
        right = 0
        for name, data in self.reports.items():
            try:
                found = read_file(os.path.join(folder, name))
            except OSError as error:
                self.assertIn(error.errno, (errno.EIO, errno.ENOENT, errno.ESTALE))
                continue
            self.assert_bytes(found, data, name)
            right += 1
        return right

    def check_list(self, folder):
        try:
            for entry in os.scandir(folder):
                self.check_entry(entry)
        except OSError as error:
            self.assertIn(error.errno, (errno.EIO, errno.ENOENT, errno.ESTALE))

    def check_entry(self, entry):
        try:
            size = entry.stat().st_size
        except OSError as error:
            self.assertIn(error.errno, (errno.EIO, errno.ENOENT, errno.ESTALE))
            return
        self.assertEqual(size, len(self.reports[entry.name]), entry.name)

    def test_reads_are_right_or_fail(self):
        path = os.path.join(self.dir, "damaged")
        os.mkdir(path)
        refused = right = wrong = 0
        rounds = amount.rounds(60)
        for number in range(rounds):
            with self.subTest(round=number, offset=self.damage()):
                mount = self.mount_damaged(path)
                if mount is None:
                    refused += 1
                    continue
                folder = os.path.join(path, GUID)
                try:
                    self.check_list(folder)
                    n = self.read_all(folder)
                finally:
                    mount.finish()
                right += n
                wrong += len(self.reports) - n
        amount.tell(f"{rounds} flips: {refused} stores refused, {right} reports read right, {wrong} reported as damaged")
        self.assertGreater(right, 0)
        self.assertGreater(refused + wrong, 0)


if __name__ == "__main__":
    unittest.main()
