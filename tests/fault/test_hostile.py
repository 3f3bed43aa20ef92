# SPDX-License-Identifier: MIT
"""Callers that ask for too much: sizes, names, handles, uploads that nobody finishes, folders that go."""
import contextlib
import errno
import itertools
import mmap
import os
import resource
import select
import signal
import threading
import time
import unittest

import amount
import harness
import store_file
import workload
from harness import (CHUNK, FALLOC_FL_KEEP_SIZE, exists, fallocate, needs_root, random_bytes, read_file, text_bytes,
                     wait_until, write_file)

MIB = 1 << 20
LARGEST_REPORT = 4 << 30  # by default


class HostileTest(harness.ReportTest):
    def environment(self):
        """meson has malloc fill what it hands out, so that memory is taken that nobody uses."""
        return {"MALLOC_PERTURB_": "0"}

    def memory(self):
        """Bytes of memory that are the daemon's own; 0 where sanitizers keep what it freed."""
        if os.environ.get("CAU_SANITIZE", "none") != "none":
            return 0
        with open(f"/proc/{self.mount.process.pid}/status", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["RssAnon"].split()[0]) * 1024

    def store_bytes(self):
        return sum(os.stat(self.store + suffix).st_blocks * 512 for suffix in ("", "-wal"))

    def assert_works(self):
        """A save, a read and a listing."""
        write_file(self.path("works"), b"as ever")
        self.assert_report(self.path("works"), b"as ever")
        self.assertIn("works", self.listed())
        os.unlink(self.path("works"))


class Sizes(HostileTest):
    """What is too large is refused at once, and takes neither memory nor space."""

    TOO_LARGE = (LARGEST_REPORT + 1, 1 << 41, 1 << 62, (1 << 63) - 1)

    def setUp(self):
        super().setUp()
        write_file(self.path("old"), b"stays")
        self.before = self.memory(), self.store_bytes()

    def tearDown(self):
        try:
            self.assert_report(self.path("old"), b"stays")
            self.assert_works()
            self.assertLess(self.memory() - self.before[0], 32 * MIB)
            self.assertLess(self.store_bytes() - self.before[1], 8 * MIB)
        finally:
            super().tearDown()

    def check(self, change, code_of_close):
        """@change of a handle for a report that is saved, and of one for a new one, to each size that is too large."""
        for size, name in itertools.product(self.TOO_LARGE, ("old", "new")):
            with self.subTest(size=size, name=name):
                fd = os.open(self.path(name), os.O_RDWR | os.O_CREAT)
                with self.refused(errno.EFBIG):
                    change(fd, size)
                with self.refused(code_of_close) if code_of_close else contextlib.nullcontext():
                    os.close(fd)

    def test_writes_beyond_the_largest_report_are_too_big(self):
        self.check(lambda fd, size: os.pwrite(fd, b"x", size - 1), errno.EFBIG)
        wait_until(lambda: self.listed() == ["old"], "nothing was made")

    def test_truncation_beyond_the_largest_report_is_too_big(self):
        self.check(os.ftruncate, 0)
        self.assert_report(self.path("new"), b"")
        for size in self.TOO_LARGE:
            with self.refused(errno.EFBIG):
                os.truncate(self.path("old"), size)

    def test_fallocate_beyond_the_largest_report_is_too_big(self):
        self.check(lambda fd, size: fallocate(fd, 0, size - 1, 1), 0)
        self.check(lambda fd, size: fallocate(fd, 0, 0, size), 0)

    def test_what_is_only_reserved_takes_nothing(self):
        fd = self.open(self.path("new"), os.O_WRONLY | os.O_CREAT)
        fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LARGEST_REPORT)
        self.assertEqual(os.fstat(fd).st_size, 0)

    def test_reads_far_beyond_the_end_find_nothing(self):
        fd = self.open(self.path("old"))
        for offset in (5, 1 << 40, 1 << 62, (1 << 63) - 1 - CHUNK):
            self.assertEqual(os.pread(fd, CHUNK, offset), b"")
        for whence in (os.SEEK_DATA, os.SEEK_HOLE):
            with self.refused(errno.ENXIO):
                os.lseek(fd, 1 << 62, whence)


class LongCloses(HostileTest):
    """Closes that take long, because a gap is large: nobody else waits for them."""

    N = 4
    SIZE = 2 << 30

    def test_closes_of_reports_with_large_gaps_hold_up_nobody_else(self):
        write_file(self.path("old"), b"stays")
        makers = [self.child("fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
                             "os.ftruncate(fd, int(sys.argv[2])); say(); hear()\n"
                             "os.close(fd); say('closed'); hear()\n",
                             self.path(f"gap{number}"), str(self.SIZE)) for number in range(self.N)]
        for maker in makers:
            maker.expect()
        for maker in makers:
            maker.tell()
        done = 0
        while not select.select([maker.process.stdout for maker in makers], [], [], 0)[0]:
            self.assert_report(self.path("old"), b"stays")
            self.assert_works()
            done += 1
        for maker in makers:
            maker.expect("closed")
        amount.tell(f"{done} saves, reads and listings before the first of {self.N} closes of "
                    f"{self.SIZE >> 30} GiB of zeros was done")
        self.assertGreater(done, 10)
        self.assertEqual(os.stat(self.path("gap0")).st_size, self.SIZE)
        self.assertLess(self.store_bytes(), 64 * MIB)
        self.assertLess(self.memory(), 256 * MIB)


class Names(HostileTest):
    def valid(self, name):
        try:
            text = name.decode()
        except UnicodeDecodeError:
            return False
        return len(name) <= 255 and not any(ord(c) < 0x20 or 0x7f <= ord(c) <= 0x9f for c in text)

    def check(self, name):
        path = os.path.join(os.fsencode(self.folder), name)
        if self.valid(name):
            write_file(path, name)
            self.assertEqual(os.listdir(os.fsencode(self.folder)), [name])
            self.assertEqual(read_file(path), name)
            os.rename(path, os.path.join(os.fsencode(self.folder), b"other"))
            os.rename(os.path.join(os.fsencode(self.folder), b"other"), path)
            os.unlink(path)
            return
        code = errno.ENAMETOOLONG if len(name) > 255 else errno.EINVAL
        good = os.fsencode(self.path("good"))
        write_file(good, b"good")
        for change in (lambda: write_file(path, b"x"), lambda: os.rename(good, path), lambda: os.mknod(path)):
            with self.refused(code):
                change()
        for look in (lambda: os.stat(path), lambda: os.unlink(path), lambda: os.open(path, os.O_RDONLY),
                     lambda: os.rename(path, good)):
            with self.refused(code if len(name) > 255 else errno.ENOENT):
                look()
        with self.refused(code):
            os.mkdir(os.path.join(os.fsencode(self.root), name))
        self.assertEqual(self.listed(), ["good"])
        os.unlink(good)

    def test_every_byte_value_alone_and_within_a_name(self):
        for value in set(range(1, 256)) - {ord("/")}:
            for name in (bytes([value]), b"a" + bytes([value]) + b"b"):
                if name != b".":
                    with self.subTest(name=name):
                        self.check(name)

    def test_names_that_programs_stumble_over(self):
        for name in (b"-rf", b"--help", b" ", b"a ", b" a", b"a.", b"..a", b"...", b"~", b"*", b"$(reboot)", b"a\\b",
                     b"'\"`", b"con", b"NUL", b"a:b", b"%s%n", "\u202egnp.exe".encode(), "\ufeff".encode(),
                     "\U0010ffff".encode(), "\u00e9".encode(), "e\u0301".encode(), b"x" * 254, b"x" * 255,
                     "\u20ac".encode() * 85):
            with self.subTest(name=name):
                self.check(name)

    def test_names_that_are_no_utf8(self):
        for name in (b"\xc0\xaf", b"\xe2\x82", b"a\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80",
                     b"\xff\xfe", "\u0085".encode(), b"x" * 256, "\u20ac".encode() * 86):
            with self.subTest(name=name):
                self.check(name)

    def test_dots_are_the_folders(self):
        for name in (".", ".."):
            for flags in (os.O_WRONLY, os.O_RDWR | os.O_CREAT):
                with self.refused(errno.EISDIR):
                    os.open(os.path.join(self.folder, name), flags)
            with self.refused(errno.EBUSY, errno.EINVAL, errno.ENOTEMPTY):
                os.rmdir(os.path.join(self.folder, name))
        self.assertTrue(os.path.samefile(os.path.join(self.folder, ".."), self.root))


class Handles(HostileTest):
    READERS, WRITERS, REPORTS, BLOCK = 10_000, 3_000, 200, 4096

    def test_many_handles_at_once(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.READERS + self.WRITERS + 500
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
        except ValueError:
            self.skipTest(f"a process of this user may have {hard} open files, not {wanted}")
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, max(hard, wanted)))
        before = self.memory()
        reports = [text_bytes(2 * CHUNK, number) for number in range(self.REPORTS)]
        for number, data in enumerate(reports):
            write_file(self.path(f"r{number}"), data)
        readers = [self.open(self.path(f"r{number % self.REPORTS}"), os.O_RDONLY | os.O_DIRECT)
                   for number in range(self.READERS)]
        block = mmap.mmap(-1, self.BLOCK)
        for number, fd in enumerate(readers):
            self.assertEqual(os.preadv(fd, [block], 0), self.BLOCK)
            self.assertEqual(block[:], reports[number % self.REPORTS][:self.BLOCK])
        writers = [self.open(self.path(f"w{number}"), os.O_WRONLY | os.O_CREAT) for number in range(self.WRITERS)]
        for number, fd in enumerate(writers):
            os.write(fd, b"writer %d" % number)
        self.assert_works()
        used = self.memory() - before
        self.assertLess(used, 128 * MIB)
        for number, fd in enumerate(readers):
            self.assertEqual(os.preadv(fd, [block], CHUNK + self.BLOCK), self.BLOCK)
            self.assertEqual(block[:], reports[number % self.REPORTS][CHUNK + self.BLOCK:CHUNK + 2 * self.BLOCK])
        for fd in writers + readers:
            self.close(fd)
        wait_until(lambda: self.memory() < before + 40 * MIB, "the memory of closed handles goes back")
        for number in range(self.WRITERS):
            self.assertEqual(read_file(self.path(f"w{number}")), b"writer %d" % number)
        amount.tell(f"{self.READERS} readers and {self.WRITERS} writers at once: {used / MIB:.0f} MiB of the daemon")


class Folders(HostileTest):
    REPORTS, FOLDERS = 600, 500

    def test_many_listings_that_stop_in_the_middle_give_their_memory_back(self):
        for number in range(self.REPORTS):
            write_file(self.path(f"{number:0255}"), b"")
        before = self.memory()
        folders = [self.open(self.folder, os.O_RDONLY | os.O_DIRECTORY) for _ in range(self.FOLDERS)]
        for folder in folders:
            with os.scandir(folder) as listing:
                next(listing)
        used = self.memory() - before
        self.assertLess(used, 192 * MIB)
        for folder in folders:
            self.close(folder)
        wait_until(lambda: self.memory() < before + 16 * MIB, "the memory of the listings goes back")
        amount.tell(f"{self.FOLDERS} listings of {self.REPORTS} names of 255 bytes: {used / MIB:.0f} MiB of the daemon")


class Abandoned(HostileTest):
    """Uploads whose writer is killed: their memory and their space come back."""

    N, ROUNDS, SIZE = 2_000, 4, 60_000

    # What stays of 230 MiB: an eighth of them, and what the daemon needs anyway.
    KEPT = 64 * MIB
    WRITE = ("import resource\n"
             "limit = int(sys.argv[2]) + 100\n"
             "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
             "resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(hard, limit)))\n"
             "for n in range(int(sys.argv[2])):\n"
             "    fd = os.open(f'{sys.argv[1]}/a{n}', os.O_WRONLY | os.O_CREAT)\n"
             "    os.write(fd, os.urandom(int(sys.argv[3])))\n"
             "say(); hear()\n")

    def abandon(self, count, size):
        child = self.child(self.WRITE, self.folder, str(count), str(size))
        child.expect()
        self.assertEqual(self.listed(), [])
        child.kill(signal.SIGKILL)
        wait_until(lambda: not exists(self.path(f"a{count - 1}")) and store_file.count_unsaved(self.store) == 0,
                   "all of them are gone")

    def test_thousands_of_abandoned_uploads_leave_nothing(self):
        for _ in range(self.ROUNDS):
            self.abandon(self.N, self.SIZE)
            wait_until(lambda: self.memory() < self.KEPT, "the memory of abandoned uploads goes back")
        self.assert_works()
        # What did not fit into the daemon's memory was staged; the file shrinks when there is nothing else to do.
        wait_until(lambda: self.store_bytes() < 48 * MIB, "the space of abandoned uploads goes back")
        amount.tell(f"{self.ROUNDS} times {self.N} abandoned uploads of {self.SIZE} bytes: the daemon has "
                    f"{self.memory() / MIB:.0f} MiB")

    def test_space_that_abandoned_uploads_had_staged_comes_back(self):
        for _ in range(3):
            self.abandon(10, 6 * MIB)
        self.caureport("collect")
        self.assert_works()
        wait_until(lambda: os.stat(self.store).st_size <= workload.KEPT_BYTES, "the store's file shrinks")


class Removed(HostileTest):
    """Folders that go while they are read and listed."""

    def test_readers_and_listers_of_a_removed_folder_go_on(self):
        names = [f"r{number:04}" for number in range(2_000)]
        for name in names:
            write_file(self.path(name), name.encode())
        reader, folder = self.open(self.path(names[0])), self.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        with os.scandir(self.folder) as listing:
            met = [next(listing).name]
            for name in names:
                os.unlink(self.path(name))
            os.rmdir(self.folder)
            met += [entry.name for entry in listing]
        self.assertLessEqual(set(met), set(names))
        self.assertEqual(len(met), len(set(met)))
        self.assertEqual(os.pread(reader, 100, 0), names[0].encode())
        with self.refused(errno.ENOENT):
            os.open("new", os.O_WRONLY | os.O_CREAT, dir_fd=folder)
        self.assertEqual(os.fstat(folder).st_nlink, 0)
        self.assertEqual(os.listdir(folder), [])
        os.mkdir(self.folder)
        self.assertEqual(self.listed(), [])
        self.assert_works()

    def test_folders_come_and_go_under_listers(self):
        stop = threading.Event()
        failures = []

        def look():
            while not stop.is_set():
                try:
                    for name in os.listdir(self.root):
                        for report in os.listdir(os.path.join(self.root, name)):
                            data = read_file(os.path.join(self.root, name, report))
                            if data != b"whole":
                                failures.append(data)
                except (FileNotFoundError, NotADirectoryError):
                    pass
                except OSError as error:
                    failures.append(error)

        lookers = [threading.Thread(target=look) for _ in range(3)]
        for looker in lookers:
            looker.start()
        other = os.path.join(self.root, harness.OTHER_GUID)
        try:
            for number in range(150):
                os.mkdir(other)
                write_file(os.path.join(other, f"r{number}"), b"whole")
                os.unlink(os.path.join(other, f"r{number}"))
                os.rmdir(other)
        finally:
            stop.set()
            for looker in lookers:
                looker.join()
        # A report that is made for the first time can be listed by nobody, so it is never met unsaved.
        self.assertEqual(failures, [])


class LazyUnmount(HostileTest):
    def test_what_is_open_goes_on_after_a_lazy_unmount(self):
        data = random_bytes(3 * CHUNK, 1)
        write_file(self.path("old"), data)
        reader = self.open(self.path("old"))
        closed, synced, changed = (self.open(self.path(name), os.O_RDWR | os.O_CREAT)
                                   for name in ("new", "synced", "old"))
        os.write(closed, b"written before")
        self.run_program("fusermount3", "-u", "-z", self.root)
        self.assertEqual(os.listdir(self.root), [])
        self.assert_bytes(os.pread(reader, 4 * CHUNK, 0), data)
        os.write(closed, b", and after")
        self.close(closed)
        os.write(synced, b"synced")
        os.fsync(synced)
        os.pwrite(changed, b"changed", 0)
        self.close(changed)
        self.assertIsNone(self.mount.process.poll())
        self.close(synced)
        self.close(reader)
        self.mount.wait_ended()
        self.mount = self.start(path=self.root)
        self.assert_report(self.path("new"), b"written before, and after")
        self.assert_report(self.path("synced"), b"synced")
        self.assert_report(self.path("old"), b"changed" + data[7:])

    def test_the_last_close_after_a_lazy_unmount_saves(self):
        fd = os.open(self.path("last"), os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"the last")
        self.run_program("fusermount3", "-u", "-z", self.root)
        os.close(fd)
        self.mount.wait_ended()
        self.mount = self.start(path=self.root)
        self.assert_report(self.path("last"), b"the last")


@needs_root
class Forgets(workload.WorkTest):
    """The kernel drops what it remembers again and again while clients work."""

    def test_clients_do_not_notice_that_the_kernel_forgets(self):
        seconds = amount.seconds(5)
        clients = [self.start_client(number, self.mnt) for number in range(3)]
        found = self.fill_ring()
        self.order_work(clients, 0, found)
        end, storms = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
                file.write("2")
            storms += 1
            time.sleep(0.01)  # the caches are those of the whole machine
        for each in clients:
            each.order("stop")
        for each in clients:
            each.wait_stopped()
        self.check_work(clients, found)
        amount.tell(f"{storms} times the kernel dropped its caches in {seconds:g} s, "
                    f"{self.counts['saves']} saves checked")
        self.assertGreater(self.counts["saves"], 20)


if __name__ == "__main__":
    unittest.main()
