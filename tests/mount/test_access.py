# SPDX-License-Identifier: MIT
"""Ways to read and write besides read() and write(): maps, sendfile, splice, direct, holes."""
import errno
import mmap
import os
import socket
import unittest

import harness
from harness import CHUNK, random_bytes, read_file, write_file

NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Maps(harness.ReportTest):
    def setUp(self):
        super().setUp()
        self.data = random_bytes(9 * CHUNK + 1234)
        write_file(self.path(), self.data)

    def test_a_read_only_map_shows_the_report(self):
        fd = self.open(self.path())
        for flags in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
            with mmap.mmap(fd, 0, flags=flags, prot=mmap.PROT_READ) as pages:
                self.assert_bytes(pages[:], self.data)
                self.assertEqual(pages[-1:], self.data[-1:])
                self.assertEqual(pages.find(self.data[700_000:700_020]), 700_000)

    def test_a_map_outlives_its_descriptor(self):
        child = self.map_in_child(self.path())
        write_file(self.path(), b"replaced")
        self.assert_maps(child, self.data)

    def test_a_private_map_may_be_written_and_changes_nothing(self):
        fd = self.open(self.path())
        with mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as pages:
            pages[100:105] = b"mine!"
            self.assertEqual(pages[98:107], self.data[98:100] + b"mine!" + self.data[105:107])
        self.assert_report(self.path(), self.data)

    def test_a_shared_writable_map_is_saved_or_refused(self):
        fd = self.open(self.path(), os.O_RDWR)
        try:
            pages = mmap.mmap(fd, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as error:
            # libfuse before 3.17 cannot offer it beside direct I/O.
            self.assertEqual(error.errno, errno.ENODEV)
            self.close(fd)
            self.assert_report(self.path(), self.data)
            return
        pages[100:105] = b"mine!"
        pages.flush()
        pages.close()
        self.close(fd)
        self.assert_report(self.path(), self.data[:100] + b"mine!" + self.data[105:])

    def test_programs_that_map_their_input_work(self):
        write_file(self.path("other"), self.data[:-1] + b"\0")
        self.run_program("cmp", self.path(), self.path("other"), status=1)
        script = self.path("module.py")
        write_file(script, b"print('run from the mount')\n")
        self.assertEqual(self.run_program(harness.PYTHON, script), b"run from the mount\n")

    def test_a_program_in_the_store_can_be_run(self):
        self.run_program("cp", "/bin/true", self.path("true"))
        os.chmod(self.path("true"), 0o755)
        self.run_program(self.path("true"))


class Sendfile(harness.ReportTest):
    def setUp(self):
        super().setUp()
        self.data = random_bytes(9 * CHUNK + 1234)
        self.local = os.path.join(self.dir, "local")

    def send_all(self, out, source, count):
        offset = 0
        while offset < count:
            sent = os.sendfile(out, source, offset, count - offset)
            self.assertGreater(sent, 0)
            offset += sent

    def test_sendfile_from_a_report(self):
        write_file(self.path(), self.data)
        source, out = self.open(self.path()), self.open(self.local, NEW)
        self.send_all(out, source, len(self.data))
        self.close(out)
        self.assert_report(self.local, self.data)

    def test_sendfile_into_a_report(self):
        write_file(self.local, self.data)
        source, out = self.open(self.local), self.open(self.path(), NEW)
        self.send_all(out, source, len(self.data))
        self.close(out)
        self.assert_report(self.path(), self.data)

    def test_sendfile_between_reports(self):
        write_file(self.path("a"), self.data)
        source, out = self.open(self.path("a")), self.open(self.path("b"), NEW)
        self.send_all(out, source, len(self.data))
        self.close(out)
        self.assert_report(self.path("b"), self.data)

    def test_sendfile_to_a_socket(self):
        write_file(self.path(), self.data[:50_000])
        near, far = socket.socketpair()
        with near, far:
            self.send_all(near.fileno(), self.open(self.path()), 50_000)
            near.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: far.recv(65536), b""))
        self.assert_bytes(received, self.data[:50_000])

    def test_splice_through_a_pipe(self):
        write_file(self.path("a"), self.data)
        source, out = self.open(self.path("a")), self.open(self.path("b"), NEW)
        entry, exit_ = os.pipe()[::-1]
        try:
            while count := os.splice(source, entry, 65536):
                while count:
                    count -= os.splice(exit_, out, count)
        finally:
            os.close(entry)
            os.close(exit_)
        self.close(out)
        self.assert_report(self.path("b"), self.data)

    def test_copy_file_range_copies(self):
        write_file(self.path("a"), self.data)
        source, out = self.open(self.path("a")), self.open(self.path("b"), NEW)
        done = 0
        while done < len(self.data):
            try:
                done += os.copy_file_range(source, out, len(self.data) - done, done, done)
            except OSError as error:
                # A kernel may leave copying to the program on filesystems that do not do it themselves.
                self.assertIn(error.errno, (errno.EOPNOTSUPP, errno.EXDEV, errno.ENOSYS))
                done += os.pwrite(out, os.pread(source, CHUNK, done), done)
        self.close(out)
        self.assert_report(self.path("b"), self.data)


class Direct(harness.ReportTest):
    def test_direct_reads_work_at_any_offset(self):
        data = random_bytes(3 * CHUNK + 1234)
        write_file(self.path(), data)
        fd = self.open(self.path(), os.O_RDONLY | os.O_DIRECT)
        with mmap.mmap(-1, 2 * CHUNK) as buffer:
            for offset in (0, 4096, CHUNK, 3 * CHUNK, 4 * CHUNK):
                count = os.preadv(fd, [buffer], offset)
                self.assert_bytes(buffer[:count], data[offset:offset + 2 * CHUNK])
        self.assert_bytes(os.pread(fd, 512, len(data) - 100), data[-100:])

    def test_direct_writes_work(self):
        data = random_bytes(2 * CHUNK)
        fd = self.open(self.path(), NEW | os.O_DIRECT)
        with mmap.mmap(-1, len(data)) as buffer:
            buffer[:] = data
            self.assertEqual(os.writev(fd, [buffer]), len(data))
            self.assertEqual(os.pwritev(fd, [memoryview(buffer)[:4096]], 4096), 4096)
        self.close(fd)
        self.assert_report(self.path(), data[:4096] + data[:4096] + data[8192:])

    def test_synchronous_writes_work(self):
        fd = self.open(self.path(), NEW | os.O_SYNC)
        os.write(fd, b"one")
        os.write(fd, b"two")
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"onetwo")


class Holes(harness.ReportTest):
    def check(self, fd, size):
        self.assertEqual(os.lseek(fd, 0, os.SEEK_DATA), 0)
        self.assertEqual(os.lseek(fd, 100, os.SEEK_DATA), 100)
        self.assertEqual(os.lseek(fd, 0, os.SEEK_HOLE), size)
        self.assertEqual(os.lseek(fd, size - 1, os.SEEK_HOLE), size)
        self.assertEqual(os.lseek(fd, 0, os.SEEK_END), size)
        self.assertEqual(os.lseek(fd, -10, os.SEEK_CUR), size - 10)
        for whence in (os.SEEK_DATA, os.SEEK_HOLE):
            with self.refused(errno.ENXIO):
                os.lseek(fd, size, whence)
        with self.refused(errno.EINVAL):
            os.lseek(fd, -1, os.SEEK_SET)

    def test_seek_data_and_hole_on_a_reader(self):
        write_file(self.path(), random_bytes(300_000))
        self.check(self.open(self.path()), 300_000)

    def test_seek_data_and_hole_on_a_writer(self):
        fd = self.open(self.path(), os.O_RDWR | os.O_CREAT)
        os.write(fd, random_bytes(300_000))
        self.check(fd, 300_000)
        self.close(fd)
        self.assert_report(self.path(), random_bytes(300_000))


class Reading(harness.ReportTest):
    def test_reads_at_any_offset_and_length(self):
        data = random_bytes(4 * CHUNK + 99)
        write_file(self.path(), data)
        fd = self.open(self.path())
        for offset in (0, 1, 4095, CHUNK - 1, CHUNK, 2 * CHUNK + 7, 4 * CHUNK, 4 * CHUNK + 98, len(data), 10 ** 12):
            for length in (1, 2, 4096, CHUNK, CHUNK + 1, 10 * CHUNK):
                self.assert_bytes(os.pread(fd, length, offset), data[offset:offset + length])
                self.drop_pages(fd)

    def test_several_readers_read_at_once(self):
        data = random_bytes(2_000_000)
        write_file(self.path(), data)
        script = ("import hashlib\n"
                  "for n in range(5):\n"
                  "    with open(sys.argv[1], 'rb') as file: data = file.read()\n"
                  "    with open(sys.argv[1], 'rb') as file: os.posix_fadvise(file.fileno(), 0, 0, 4)\n"
                  "    say(hashlib.sha256(data).hexdigest())\n")
        children = [self.child(script, self.path()) for _ in range(4)]
        for child in children:
            for _ in range(5):
                child.expect(harness.sha256(data))
            self.assertEqual(child.wait(), 0)

    def test_an_empty_report_reads_as_nothing(self):
        write_file(self.path(), b"")
        fd = self.open(self.path())
        self.assertEqual(os.read(fd, 100), b"")
        self.assertEqual(os.fstat(fd).st_size, 0)
        self.assertEqual(os.pread(fd, 100, 5), b"")

    def test_reports_are_read_without_a_folder_in_between(self):
        write_file(self.path(), b"one")
        folder = self.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        fd = os.open("report.xml", os.O_RDONLY, dir_fd=folder)
        try:
            self.assertEqual(os.read(fd, 10), b"one")
        finally:
            os.close(fd)
        self.assertEqual(os.listdir(folder), ["report.xml"])
        os.fsync(folder)

    def test_a_path_handle_leads_to_its_report(self):
        write_file(self.path(), b"one")
        handle = self.open(self.path(), os.O_PATH)
        self.assertEqual(read_file(f"/proc/self/fd/{handle}"), b"one")
        self.assertEqual(os.stat(f"/proc/self/fd/{handle}").st_size, 3)


if __name__ == "__main__":
    unittest.main()
