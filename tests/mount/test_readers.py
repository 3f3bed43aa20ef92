# SPDX-License-Identifier: MIT
"""A reader keeps its version, whoever changes the name, and damage is reported."""
import errno
import os
import unittest

import harness
from harness import CHUNK, GUID, exists, random_bytes, read_file, wait_until, write_file

OLD = random_bytes(7 * CHUNK + 321, seed=1)
NEW = random_bytes(5 * CHUNK + 123, seed=2)


class ReaderTest(harness.ReportTest):
    def setUp(self):
        super().setUp()
        write_file(self.path(), OLD)
        self.reader = self.open(self.path())
        self.assert_bytes(os.read(self.reader, 1000), OLD[:1000])

    def assert_reads_old(self):
        """From the kernel's pages, and again from the daemon."""
        for _ in range(2):
            found = b"".join(os.pread(self.reader, CHUNK, n * CHUNK) for n in range(9))
            self.assert_bytes(found, OLD, "the old version")
            self.assertEqual(os.fstat(self.reader).st_size, len(OLD))
            self.drop_pages(self.reader)


class ChangesOfThisMount(ReaderTest):
    def test_a_reader_keeps_its_version_when_it_is_replaced(self):
        for data in (NEW, b"short", b""):
            write_file(self.path(), data)
            self.assert_reads_old()
            self.assert_report(self.path(), data)
            self.assertEqual(os.stat(self.path()).st_size, len(data))

    def test_a_reader_keeps_its_version_while_it_is_being_replaced(self):
        fd = self.open(self.path(), os.O_WRONLY | os.O_TRUNC)
        for start in range(0, len(NEW), CHUNK):
            os.write(fd, NEW[start:start + CHUNK])
            self.assert_reads_old()
        self.close(fd)
        self.assert_reads_old()
        self.assert_report(self.path(), NEW)

    def test_a_reader_keeps_its_version_when_a_part_is_overwritten(self):
        fd = self.open(self.path(), os.O_RDWR)
        os.pwrite(fd, b"changed", 3)
        self.close(fd)
        self.assert_reads_old()
        self.assert_report(self.path(), OLD[:3] + b"changed" + OLD[10:])

    def test_a_reader_keeps_its_version_when_it_is_truncated(self):
        os.truncate(self.path(), 10)
        self.assert_reads_old()
        self.assert_report(self.path(), OLD[:10])
        os.truncate(self.path(), 0)
        self.assert_reads_old()
        self.assert_report(self.path(), b"")

    def test_a_reader_keeps_its_version_when_it_is_appended_to(self):
        write_file(self.path(), b"more", "ab")
        self.assert_reads_old()
        self.assertEqual(os.pread(self.reader, 10, len(OLD)), b"")
        self.assert_report(self.path(), OLD + b"more")

    def test_a_reader_goes_on_when_the_report_is_removed(self):
        os.unlink(self.path())
        self.assert_reads_old()
        self.assertFalse(exists(self.path()))
        self.assertEqual(os.fstat(self.reader).st_nlink, 0)
        write_file(self.path(), NEW)
        self.assert_reads_old()
        self.assert_report(self.path(), NEW)

    def test_a_reader_goes_on_when_the_orchestrator_is_removed(self):
        os.unlink(self.path())
        os.rmdir(self.folder)
        self.assert_reads_old()
        os.mkdir(self.folder)
        self.assert_reads_old()
        self.assertEqual(self.listed(), [])

    def test_a_reader_goes_on_when_the_report_is_renamed(self):
        number = os.fstat(self.reader).st_ino
        os.rename(self.path(), self.path("b"))
        self.assert_reads_old()
        self.assertEqual(os.stat(self.path("b")).st_ino, number)
        write_file(self.path(), NEW)
        self.assert_reads_old()
        self.assert_report(self.path("b"), OLD)

    def test_a_reader_goes_on_when_another_report_is_renamed_over_it(self):
        write_file(self.path("b"), NEW)
        os.rename(self.path("b"), self.path())
        self.assert_reads_old()
        self.assert_report(self.path(), NEW)

    def test_readers_of_exchanged_reports_keep_theirs(self):
        write_file(self.path("b"), NEW)
        other = self.open(self.path("b"))
        harness.renameat2(self.path(), self.path("b"), harness.RENAME_EXCHANGE)
        self.assert_reads_old()
        self.assert_bytes(os.pread(other, len(NEW), 0), NEW)
        self.assert_report(self.path(), NEW)
        self.assert_report(self.path("b"), OLD)

    def test_a_map_keeps_its_version(self):
        for change in (lambda: write_file(self.path(), NEW), lambda: os.truncate(self.path(), 5),
                       lambda: os.unlink(self.path())):
            write_file(self.path(), OLD)
            child = self.map_in_child(self.path())
            change()
            self.assert_maps(child, OLD)

    def test_a_reader_can_be_opened_again_through_proc(self):
        write_file(self.path(), NEW)
        again = self.open(f"/proc/self/fd/{self.reader}")
        self.assert_bytes(os.pread(again, len(OLD), 0), OLD)
        os.unlink(self.path())
        again = self.open(f"/proc/self/fd/{self.reader}")
        self.assert_bytes(os.pread(again, len(OLD), 0), OLD)

    def test_a_reader_cannot_be_opened_for_writing_through_proc(self):
        for flags in (os.O_WRONLY, os.O_RDWR | os.O_TRUNC):
            with self.refused(errno.ESTALE):
                os.open(f"/proc/self/fd/{self.reader}", flags)
        self.assert_reads_old()
        self.assert_report(self.path(), OLD)

    def test_never_a_mix_of_two_versions(self):
        script = ("for n in range(40):\n"
                  "    with open(sys.argv[1] + '.new', 'wb') as file: file.write(bytes([n]) * 400000)\n"
                  "    os.rename(sys.argv[1] + '.new', sys.argv[1])\n"
                  "    with open(sys.argv[1], 'wb') as file: file.write(bytes([n + 100]) * 300000)\n")
        write_file(self.path(), bytes(400_000))
        child = self.child(script, self.path())
        while child.process.poll() is None:
            fd = os.open(self.path(), os.O_RDONLY)
            try:
                size = os.fstat(fd).st_size
                data = b"".join(iter(lambda: os.read(fd, 100_000), b""))
            finally:
                os.close(fd)
            self.assertEqual(len(set(data)), 1)
            self.assertEqual(len(data), 300_000 if data[0] >= 100 else 400_000)
            self.assertEqual(size, len(data))
        self.assertEqual(child.wait(), 0)

    def test_many_versions_are_held_at_once(self):
        readers = []
        for number in range(60):
            write_file(self.path(), b"%d" % number * 5000)
            readers.append(self.open(self.path()))
        os.unlink(self.path())
        for number, fd in enumerate(readers):
            self.drop_pages(fd)
            self.assertEqual(os.pread(fd, 10 ** 6, 0), b"%d" % number * 5000)
        self.assert_reads_old()


class ChangesFromOutside(ReaderTest):
    """Made by the tool, or through a second mount, while this mount is in use."""

    def put(self, data, name="report.xml"):
        self.caureport("put", "--name", name, GUID, "-", input=data)

    def becomes(self, data, path=None):
        path = path or self.path()
        wait_until(lambda: exists(path) and os.stat(path).st_size == len(data) and read_file(path) == data,
                   "the mount shows the change")

    def test_a_reader_keeps_its_version_when_the_tool_replaces_it(self):
        self.put(NEW)
        self.assert_reads_old()
        self.becomes(NEW)
        self.caureport("collect")
        self.assert_reads_old()
        self.put(b"again")
        self.caureport("collect")
        self.assert_reads_old()
        self.becomes(b"again")

    def test_a_reader_goes_on_when_the_tool_removes_the_report(self):
        self.caureport("rm", GUID, "report.xml")
        self.caureport("collect")
        self.assert_reads_old()
        wait_until(lambda: not exists(self.path()), "the mount shows that it is gone")
        self.assertEqual(self.listed(), [])

    def test_a_map_keeps_its_version_when_the_tool_replaces_it(self):
        child = self.map_in_child(self.path())
        self.put(NEW)
        self.caureport("collect")
        self.assert_maps(child, OLD)

    def test_what_the_tool_adds_is_seen(self):
        self.assertFalse(exists(self.path("new")))
        self.put(NEW, "new")
        self.becomes(NEW, self.path("new"))
        self.assertEqual(self.listed(), ["new", "report.xml"])
        self.caureport("mkdir", harness.OTHER_GUID)
        wait_until(lambda: exists(os.path.join(self.root, harness.OTHER_GUID)), "the mount shows the orchestrator")

    def test_what_the_mount_saves_is_seen_by_the_tool(self):
        write_file(self.path(), NEW)
        self.assert_bytes(self.caureport("get", GUID, "report.xml"), NEW)
        other = self.onlooker()
        fd = self.open(self.path("b"), os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"one")
        command = [harness.CAUREPORT, "--store", self.store, "ls", GUID]
        self.assertNotIn(" b\\n", other.ask(f"subprocess.run({command!r}, check=True, capture_output=True).stdout"))
        self.close(fd)
        self.assertEqual(self.caureport("get", GUID, "b"), b"one")

    def test_a_writer_keeps_its_bytes_when_the_tool_replaces_the_report(self):
        other = self.onlooker()
        fd = self.open(self.path(), os.O_RDWR)
        os.pwrite(fd, b"mine", 0)
        command = [harness.CAUREPORT, "--store", self.store, "put", "--name", "report.xml", GUID, "-"]
        self.assertEqual(other.ask(f"subprocess.run({command!r}, input=b'from outside').returncode"), "0")
        self.assert_bytes(os.pread(fd, CHUNK, 0), b"mine" + OLD[4:CHUNK])
        self.close(fd)
        self.becomes(b"mine" + OLD[4:])

    def test_two_mounts_see_each_others_changes(self):
        second = self.start()
        theirs = os.path.join(second.path, GUID, "report.xml")
        self.assert_report(theirs, OLD)
        write_file(self.path(), NEW)
        self.assert_reads_old()
        self.becomes(NEW, theirs)
        os.unlink(theirs)
        wait_until(lambda: not exists(self.path()), "the first mount shows that it is gone")
        self.assert_reads_old()
        self.close(self.reader)

    def test_two_mounts_append_to_one_report(self):
        second = self.start()
        theirs = os.path.join(second.path, GUID, "log")
        write_file(self.path("log"), b"first\n")
        wait_until(lambda: exists(theirs), "the second mount shows the report")
        ours, other = (self.open(path, os.O_WRONLY | os.O_APPEND) for path in (self.path("log"), theirs))
        os.write(ours, b"ours\n")
        os.write(other, b"theirs\n")
        self.close(other)
        self.close(ours)
        self.assertEqual(read_file(self.path("log")), b"first\ntheirs\nours\n")
        self.close(self.reader)


class LongTimeouts(harness.ReportTest):
    options = ("attr_timeout=1000", "entry_timeout=1000")

    def test_open_never_opens_a_report_that_was_replaced_before(self):
        write_file(self.path(), OLD)
        self.assert_report(self.path(), OLD)
        for data in (NEW, b"again"):
            self.caureport("put", "--name", "report.xml", GUID, "-", input=data)
            self.assert_report(self.path(), data)

    def test_open_never_opens_a_report_that_was_removed_before(self):
        write_file(self.path(), OLD)
        self.assert_report(self.path(), OLD)
        self.caureport("rm", GUID, "report.xml")
        with self.refused(errno.ENOENT):
            os.open(self.path(), os.O_RDONLY)
        with self.refused(errno.ENOENT):
            os.open(self.path(), os.O_WRONLY)

    def test_a_write_changes_the_report_as_it_is_now(self):
        write_file(self.path(), b"0123456789")
        self.assertEqual(os.stat(self.path()).st_size, 10)
        self.caureport("put", "--name", "report.xml", GUID, "-", input=b"abcdefghijklm")
        fd = self.open(self.path(), os.O_RDWR)
        os.pwrite(fd, b"X", 0)
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"Xbcdefghijklm")


class Damage(harness.MountTest):
    def setUp(self):
        super().setUp()
        mount = self.start()
        os.mkdir(os.path.join(mount.path, GUID))
        write_file(os.path.join(mount.path, GUID, "good"), NEW)
        write_file(os.path.join(mount.path, GUID, "bad.xml"), OLD)
        mount.finish()
        self.damage(OLD[3 * CHUNK + 5000:3 * CHUNK + 5032])
        self.mount = self.start()
        self.folder = os.path.join(self.mount.path, GUID)

    def damage(self, needle):
        """Flips a bit where @needle, bytes that do not compress, stands in the store's file."""
        found = False
        for folder, _, names in os.walk(self.dir):
            for name in names:
                path = os.path.join(folder, name)
                data = bytearray(read_file(path))
                place = data.find(needle)
                if place >= 0:
                    data[place] ^= 1
                    write_file(path, data)
                    found = True
        self.assertTrue(found, "the report's bytes are nowhere in the store's files")

    def test_damage_is_reported_and_never_served(self):
        fd = self.open(os.path.join(self.folder, "bad.xml"))
        with self.refused(errno.EIO):
            os.pread(fd, 4096, 3 * CHUNK + 5000)
        self.assert_bytes(os.pread(fd, CHUNK, 0), OLD[:CHUNK])
        self.assert_bytes(os.pread(fd, 1000, 6 * CHUNK), OLD[6 * CHUNK:6 * CHUNK + 1000])
        wait_until(lambda: [line for line in self.mount.log().splitlines() if "bad.xml" in line and "chunk 3" in line],
                   "the log names the report and the chunk")

    def test_a_flood_of_refusals_hides_no_damage(self):
        self.mount.finish()
        mount = self.start("max_staged=100K", path=self.mount.path)
        data = random_bytes(1_200_000)
        for number in range(210):
            with self.refused(errno.ENOSPC):
                write_file(os.path.join(self.folder, f"{number}"), data)
        with self.refused(errno.EIO):
            read_file(os.path.join(self.folder, "bad.xml"))
        wait_until(lambda: [line for line in mount.log().splitlines() if "bad.xml" in line and "chunk 3" in line],
                   "the log names the report and the chunk")
        mount.finish()
        self.assertLessEqual(len([line for line in mount.log().splitlines() if "no space left" in line]), 200)
        self.assertIn("messages were left out", mount.log())

    def test_what_is_good_stays_readable(self):
        self.run_program("cat", os.path.join(self.folder, "bad.xml"), status=1)
        self.assertIn("Input/output error", self.stderr)
        self.assert_report(os.path.join(self.folder, "good"), NEW)
        self.assertEqual(sorted(os.listdir(self.folder)), ["bad.xml", "good"])
        os.unlink(os.path.join(self.folder, "bad.xml"))
        write_file(os.path.join(self.folder, "bad.xml"), OLD)
        self.assert_report(os.path.join(self.folder, "bad.xml"), OLD)


if __name__ == "__main__":
    unittest.main()
