# SPDX-License-Identifier: MIT
"""A small disk that is full to the last byte, by what the mount saved or by what others have on it."""
import errno
import os
import sqlite3
import subprocess
import unittest

import amount
import harness
import store_file
from disk import MIB, Disk
from harness import GUID, exists, random_bytes, read_file, write_file

# Sizes of the reports that fill a disk: what is left is too little for the last.
SIZES = (300_000, 20_000, 500, 1)


@harness.needs_root
class FullTest(harness.MountTest):
    kind = None
    size = 16 * MIB

    def setUp(self):
        super().setUp()
        self.disk = Disk(self, self.size, self.kind)
        self.store = os.path.join(self.disk.path, "store.cau")
        self.mount = self.start()
        self.folder = os.path.join(self.mount.path, GUID)
        os.mkdir(self.folder)
        self.saved = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def remount(self):
        self.mount.finish()
        self.mount = self.start(path=self.mount.path)

    def save(self, name, size, seed=0):
        """Whether there was room."""
        data = random_bytes(size, seed)
        try:
            write_file(self.path(name), data)
        except OSError as error:
            self.assertEqual(error.errno, errno.ENOSPC)
            return False
        self.saved[name] = data
        return True

    def fill_by_saving(self):
        for size in SIZES:
            while self.save(f"report-{len(self.saved):05}", size, len(self.saved)):
                pass

    def assert_all_there(self):
        self.assertEqual(sorted(os.listdir(self.folder)), sorted(self.saved))
        for name, data in self.saved.items():
            self.assert_bytes(read_file(self.path(name)), data, name)

    def remove_all(self):
        for name in list(self.saved):
            os.unlink(self.path(name))
            del self.saved[name]

    def assert_in_order(self):
        """The mount is over; the file needs no repair."""
        self.mount.finish()
        store_file.check(self.store)


class Tests:
    def test_a_disk_filled_by_saving_keeps_what_it_has_and_gives_it_back(self):
        counts = []
        for _ in range(amount.rounds(2)):
            self.fill_by_saving()
            counts.append((len(self.saved), sum(map(len, self.saved.values()))))
            self.assertFalse(exists(self.path(f"report-{len(self.saved):05}")))
            self.assert_all_there()
            self.remove_all()
            self.assertEqual(os.listdir(self.folder), [])
        amount.tell(f"{self.kind}: reports and bytes that fitted: {counts}")
        for _, size in counts:
            self.assertGreater(size, self.size // 3)
            self.assertGreater(size, counts[0][1] * 9 // 10)
        self.assertTrue(self.save("after", MIB))
        self.remount()
        self.assert_all_there()
        self.assert_in_order()

    def test_a_save_that_finds_no_room_leaves_the_old_report(self):
        self.assertTrue(self.save("old", 100_000, 1))
        self.disk.fill()
        self.assertFalse(self.save("old", 2 * MIB, 2))
        self.assert_all_there()
        self.disk.empty()
        self.assertFalse(self.save("old", 2 * self.size, 2))
        self.assert_all_there()
        self.assertTrue(self.save("old", 2 * MIB, 3))
        self.assert_all_there()
        self.assert_in_order()

    def test_reports_can_be_removed_when_others_filled_the_disk(self):
        for number in range(20):
            self.assertTrue(self.save(f"report-{number:05}", 30_000, number))
        self.assertTrue(self.save("large", 4 * MIB, 99))
        # The WAL begins anew, as small as it can be.
        self.remount()
        self.assert_all_there()
        self.disk.fill()
        self.assertEqual(self.disk.available(), 0)
        os.rename(self.path("report-00000"), self.path("renamed"))
        self.saved["renamed"] = self.saved.pop("report-00000")
        os.chmod(self.path("renamed"), 0o600)
        os.unlink(self.path("large"))
        del self.saved["large"]
        self.assert_all_there()
        # The room is the store's, so that saving is possible before the disk has any.
        self.assertTrue(self.save("again", 500_000, 100))
        self.assert_all_there()
        self.remove_all()
        self.disk.empty()
        self.assertTrue(self.save("after", MIB))
        self.remount()
        self.assert_all_there()
        self.assert_in_order()

    def test_a_killed_daemon_starts_on_a_full_disk_again(self):
        self.assertTrue(self.save("a", 100_000, 1))
        self.disk.fill()
        self.mount.crash()
        subprocess.run(["fusermount3", "-u", "-z", self.mount.path], check=True)
        self.mount = self.start(path=self.mount.path)
        self.assert_all_there()
        self.remove_all()
        self.disk.empty()
        self.assertTrue(self.save("b", 100_000, 2))
        self.assert_in_order()

    def test_a_full_disk_on_which_no_store_can_be_opened_is_said_to_be_full(self):
        self.assertTrue(self.save("a", 100_000, 1))
        self.mount.finish()
        self.disk.fill()
        self.caureport("ls", status=None)
        found = self.stderr
        self.disk.empty()
        self.assertIn("no space left", found.lower())
        self.assertEqual(len(found.splitlines()), 1)
        self.mount = self.start(path=self.mount.path)
        self.assert_all_there()
        self.assert_in_order()


class OnTmpfs(Tests, FullTest):
    kind = "tmpfs"


class OnExt4(Tests, FullTest):
    kind = "ext4"
    size = 24 * MIB


class SharedMemory(FullTest):
    kind = "tmpfs"
    size = 96 * MIB

    def test_the_shared_memory_of_the_log_has_its_room_on_the_disk(self):
        """A page of it without room would end the daemon with SIGBUS when the disk is full."""
        with sqlite3.connect(self.store, isolation_level=None) as reader:
            # The log cannot start over while somebody reads from it.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM versions").fetchone()
            self.assertTrue(self.save("large", 24 * MIB, 1))
            reader.execute("COMMIT")
        reader.close()
        found = os.stat(self.store + "-shm")
        self.assertGreater(found.st_size, 32768)
        self.assertGreaterEqual(found.st_blocks * 512, found.st_size)
        amount.tell(f"shared memory: {found.st_size} bytes")


if __name__ == "__main__":
    unittest.main()
