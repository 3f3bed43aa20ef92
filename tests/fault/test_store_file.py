# SPDX-License-Identifier: MIT
"""The store's files are removed or replaced under a mount: nothing is reported as saved that is not."""
import errno
import os
import shutil
import subprocess
import unittest

import harness
from disk import MIB, Disk
from harness import CAUFS, CHUNK, GUID, needs_root, random_bytes, read_file, write_file

SUFFIXES = ("", "-wal", "-shm", "-pins")


class Gone(harness.ReportTest):
    def setUp(self):
        super().setUp()
        self.bytes = random_bytes(3 * CHUNK, 1)
        write_file(self.path("old"), self.bytes)

    def complaints(self):
        return [line for line in self.mount.log().splitlines() if "was removed or replaced while" in line]

    def assert_save_fails(self, name="new", data=b"lost"):
        """The close says so, and a line of the log; what was there stays what it was."""
        before = self.listed()
        lines = len(self.complaints())
        fd = os.open(self.path(name), os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.write(fd, data)
        finally:
            with self.refused(errno.EIO):
                os.close(fd)
        self.assertEqual(len(self.complaints()), lines + 1, self.mount.log())
        self.assertEqual(self.listed(), before)

    def remove(self, *suffixes):
        for suffix in suffixes:
            os.unlink(self.store + suffix)

    def test_a_save_into_a_store_that_was_removed_fails(self):
        self.remove(*SUFFIXES)
        self.assert_save_fails()
        self.assert_save_fails(data=random_bytes(5_000_000))
        for change in (lambda: os.unlink(self.path("old")), lambda: os.rename(self.path("old"), self.path("x")),
                       lambda: os.mkdir(os.path.join(self.root, harness.OTHER_GUID)),
                       lambda: os.chmod(self.path("old"), 0o600)):
            with self.refused(errno.EIO):
                change()
        self.assertEqual(self.listed(), ["old"])

    def test_a_save_fails_when_any_of_the_files_was_removed(self):
        for suffix in SUFFIXES:
            with self.subTest(suffix=suffix):
                os.rename(self.store + suffix, self.store + "-away")
                self.assert_save_fails()
                os.rename(self.store + "-away", self.store + suffix)
                write_file(self.path(f"saved{suffix}"), b"back")
        self.remount()
        self.assertEqual(self.listed(), sorted(["old", *[f"saved{suffix}" for suffix in SUFFIXES]]))

    def test_a_writer_that_began_before_hears_of_it_at_its_close(self):
        fd = self.open(self.path("new"), os.O_WRONLY | os.O_CREAT)
        os.write(fd, random_bytes(3_000_000))
        self.remove(*SUFFIXES)
        self.descriptors.discard(fd)
        with self.refused(errno.EIO):
            os.close(fd)

    def test_an_fsync_hears_of_it(self):
        fd = self.open(self.path("new"), os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"lost")
        self.remove("")
        with self.refused(errno.EIO):
            os.fsync(fd)
        self.descriptors.discard(fd)
        with self.refused(errno.EIO):
            os.close(fd)

    def test_what_is_open_for_reading_reads_on(self):
        fd = self.open(self.path("old"))
        self.remove(*SUFFIXES)
        self.assert_bytes(os.pread(fd, 4 * CHUNK, 0), self.bytes)

    def test_a_store_that_was_put_in_its_place_is_neither_read_nor_changed(self):
        other = os.path.join(self.dir, "other.cau")
        self.caureport("mkdir", GUID, store=other)
        source = os.path.join(self.dir, "theirs")
        write_file(source, b"of the other store")
        self.caureport("put", GUID, source, store=other)
        before = read_file(other)
        self.remove("-wal", "-shm", "-pins")
        os.rename(other, self.store)
        self.assert_save_fails()
        self.assertNotIn("theirs", self.listed())
        self.assertEqual(self.caureport("get", GUID, "theirs"), b"of the other store")
        self.assertNotIn(b"old", self.caureport("ls", GUID))
        self.mount.finish()
        self.assertEqual(read_file(self.store), before)

    def test_a_new_store_of_the_same_name_is_one_of_its_own(self):
        self.remove(*SUFFIXES)
        self.caureport("mkdir", GUID)
        source = os.path.join(self.dir, "theirs")
        write_file(source, b"of the new store")
        self.caureport("put", GUID, source)
        self.assert_save_fails()
        self.mount.finish()
        self.mount = self.start(path=self.root)
        self.assertEqual(self.listed(), ["theirs"])


@needs_root
class NoInodes(harness.MountTest):
    """A filesystem that has no inode left for a file of the store."""

    def setUp(self):
        super().setUp()
        self.mnt = os.path.join(self.dir, "mnt")
        os.mkdir(self.mnt)

    def test_a_store_that_lacks_an_inode_is_refused_with_the_reason(self):
        for inodes in range(4):
            with self.subTest(inodes=inodes):
                disk = Disk(self, 16 * MIB, inodes=inodes)
                store = os.path.join(disk.path, "store.cau")
                self.run_program(CAUFS, "-f", store, self.mnt, status=1, stdin=subprocess.DEVNULL)
                self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)
                self.assertIn(store, self.stderr)
                self.assertIn("inode", self.stderr)
                disk.unmount()

    def test_a_store_without_a_spare_inode_works(self):
        disk = Disk(self, 16 * MIB, inodes=4)
        store = os.path.join(disk.path, "store.cau")
        mount = self.start(store=store, path=self.mnt)
        os.mkdir(os.path.join(self.mnt, GUID))
        for number in range(50):
            write_file(os.path.join(self.mnt, GUID, f"{number}"), b"one more")
        self.assertEqual(len(os.listdir(os.path.join(self.mnt, GUID))), 50)
        mount.finish()
        self.assertTrue(shutil.disk_usage(disk.path).used > 0)


if __name__ == "__main__":
    unittest.main()
