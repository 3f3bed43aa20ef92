# SPDX-License-Identifier: MIT
"""What an operation costs: requests from the kernel, syncs of the disk, memory."""
import collections
import os
import re
import sqlite3
import threading
import unittest

import harness
from harness import CHUNK, GUID, random_bytes, read_file, text_bytes, wait_until, write_file

REQUEST = re.compile(r"^unique: (\d+), opcode: ([A-Z_0-9]+) ", re.MULTILINE)
REPLY = re.compile(r"^ +unique: (\d+), (?:success|error)", re.MULTILINE)

# The kernel gives up nodes when it likes to, and gets no reply.
FORGETS = ("FORGET", "BATCH_FORGET")


class Requests(harness.MountTest):
    """Counted in the lines that libfuse writes with -d."""

    def setUp(self):
        super().setUp()
        self.mount = self.start("attr_timeout=1000,entry_timeout=1000", flags=("-d",))
        self.root = self.mount.path
        self.folder = os.path.join(self.root, GUID)
        os.mkdir(self.folder)
        os.stat(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def opcodes(self):
        return [opcode for _, opcode in REQUEST.findall(self.mount.log()) if opcode not in FORGETS]

    def mark(self):
        """Where the requests are now, all answered. No test does a STATFS itself, so it tells what came before."""
        def answered():
            log = self.mount.log()
            asked = [number for number, opcode in REQUEST.findall(log) if opcode not in FORGETS]
            return self.opcodes().count("STATFS") == count + 1 and set(asked) <= set(REPLY.findall(log))

        count = self.opcodes().count("STATFS")
        os.statvfs(self.root)
        wait_until(answered, "all requests are answered")
        return len(self.opcodes())

    def requests(self, act, releases=0):
        """The requests that @act causes, how many of each; @releases of them may come later."""
        start = self.mark()

        def since():
            return collections.Counter(opcode for opcode in self.opcodes()[start:] if opcode != "STATFS")

        act()
        wait_until(lambda: since()["RELEASE"] + since()["RELEASEDIR"] >= releases, "the release is logged")
        self.mark()
        return dict(since())

    def test_a_large_report_is_read_in_large_requests(self):
        device = os.stat(self.root).st_dev
        setting = f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb"
        # A chroot may have no /sys, where it is raised.
        ahead = (1 << 20) if os.access(setting, os.W_OK) else (1 << 17)
        if os.path.exists(setting):
            with open(setting, encoding="ascii") as file:
                self.assertEqual(int(file.read()) << 10, ahead)
        data = text_bytes(8 << 20)
        write_file(self.path("large"), data)

        def read():
            with open(self.path("large"), "rb") as file:
                self.assert_bytes(file.read(), data)

        self.assertLessEqual(self.requests(read, releases=1)["READ"], 2 * len(data) // ahead)

    def know_folder(self):
        """The kernel drops a folder's attributes when a name in it is made, and asks for them in the next walk."""
        os.stat(os.path.dirname(self.path("a")))

    def save(self, name, data, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
        fd = os.open(self.path(name), flags, 0o644)
        os.write(fd, data)
        os.close(fd)

    def read(self, name):
        fd = os.open(self.path(name), os.O_RDONLY)
        while os.read(fd, 1 << 20):
            pass
        os.close(fd)

    def test_a_new_report_in_one_write_is_lookup_create_write_flush_release(self):
        for number, size in enumerate((1, 4096, 37_000, CHUNK, 37_000)):
            with self.subTest(size=size):
                self.know_folder()
                self.assertEqual(self.requests(lambda: self.save(f"{number}", random_bytes(size)), 1),
                                 {"LOOKUP": 1, "CREATE": 1, "WRITE": 1, "FLUSH": 1, "RELEASE": 1})

    def test_a_second_open_read_close_is_open_release(self):
        self.requests(lambda: self.save("a", random_bytes(37_000)), 1)
        self.requests(lambda: self.read("a"), 1)
        for _ in range(2):
            self.assertEqual(self.requests(lambda: self.read("a"), 1), {"OPEN": 1, "RELEASE": 1})

    def test_a_first_open_read_close_asks_for_the_bytes_once(self):
        self.requests(lambda: self.save("a", random_bytes(37_000)), 1)
        counted = self.requests(lambda: self.read("a"), 1)
        # The kernel asks what the writer's name leads to now, and again because it is another node.
        self.assertLessEqual(counted.pop("LOOKUP", 0), 2)
        self.assertLessEqual(counted.pop("GETATTR", 0), 1)
        self.assertEqual(counted, {"OPEN": 1, "READ": 1, "RELEASE": 1})

    def test_reading_again_after_other_reports_changed_stays_cheap(self):
        self.requests(lambda: self.save("a", random_bytes(37_000)), 1)
        self.requests(lambda: self.read("a"), 1)
        self.requests(lambda: self.save("b", b"x"), 1)
        counted = self.requests(lambda: self.read("a"), 1)
        self.assertLessEqual(set(counted), {"OPEN", "RELEASE", "GETATTR"})

    def test_ls_l_of_1000_reports_asks_for_no_entry_alone(self):
        for number in range(1000):
            self.save(f"CauReport-{20240101000000 + number}.xml", b"x")
        self.mount.finish()
        self.mount = self.start(flags=("-d",), path=self.root)
        os.stat(self.folder)
        listing = []
        counted = self.requests(lambda: listing.append(self.shell("ls -l $1", self.folder)), 1)
        self.assertEqual(len(listing[0].splitlines()), 1001)
        self.assertGreaterEqual(counted.pop("READDIRPLUS"), 1)
        self.assertEqual(counted.pop("READDIR", 0), 0)
        self.assertLessEqual(counted.pop("LOOKUP", 0), 2)
        self.assertLessEqual(counted.pop("GETATTR", 0), 2)
        self.assertLessEqual(counted.pop("GETXATTR", 0), 2)
        # ls(1) of coreutils 9.7 (Debian 13) lists the extended attributes of each file, which the kernel does not keep.
        self.assertIn(counted.pop("LISTXATTR", 0), (0, 1001))
        self.assertEqual(counted, {"OPENDIR": 1, "RELEASEDIR": 1})

    def test_writing_asks_for_no_attributes(self):
        for name, act in (("a", lambda: self.save("a", b"")), ("b", lambda: self.save_in_pieces("b"))):
            self.know_folder()
            counted = self.requests(act, 1)
            self.assertEqual(counted.get("WRITE", 0), 20 if name == "b" else 0)
            self.assertNotIn("GETXATTR", counted)
            self.assertNotIn("GETATTR", counted)

    def save_in_pieces(self, name):
        fd = os.open(self.path(name), os.O_WRONLY | os.O_CREAT, 0o644)
        for _ in range(20):
            os.write(fd, bytes(1000))
        os.close(fd)

    def test_a_close_of_a_reader_sends_no_flush(self):
        self.save("a", b"x")
        self.assertNotIn("FLUSH", self.requests(lambda: self.read("a"), 1))


class Waits(harness.MountTest):
    N = 12

    def test_removals_that_wait_for_another_process_hold_up_nobody_who_reads(self):
        """There are more of them than processors, each in a folder of its own, which the kernel locks meanwhile."""
        mount = self.start(flags=("-d",))
        folders = [os.path.join(mount.path, f"00000000-0000-0000-0000-{number:012}") for number in range(self.N + 1)]
        for folder in folders:
            os.mkdir(folder)
            write_file(os.path.join(folder, "a"), b"what was saved")
        removers = [threading.Thread(target=os.unlink, args=(os.path.join(folder, "a"),)) for folder in folders[1:]]
        other = sqlite3.connect(self.store)
        other.execute("BEGIN IMMEDIATE")
        try:
            for remover in removers:
                remover.start()
            wait_until(lambda: mount.log().count("opcode: UNLINK ") == self.N, "all removals have begun")
            self.assertEqual(read_file(os.path.join(folders[0], "a")), b"what was saved")
            self.assertEqual(os.listdir(folders[0]), ["a"])
            self.assertTrue(all(remover.is_alive() for remover in removers))
        finally:
            other.rollback()
            other.close()
            for remover in removers:
                remover.join()
        self.assertEqual([os.listdir(folder) for folder in folders[1:]], [[]] * self.N)


# fusermount3 has no privilege under strace, so only root can mount.
@harness.needs_root
class Syncs(harness.MountTest):
    # It stops the daemon at these calls only: at each call it would change what happens meanwhile.
    STRACE = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync,msync")

    def test_saves_of_8_writers_share_syncs(self):
        trace = os.path.join(self.dir, "trace")
        mount = self.start(wrapper=(*self.STRACE, "-o", trace),
                           environment={"ASAN_OPTIONS": "detect_leaks=0"})
        folder = os.path.join(mount.path, GUID)
        os.mkdir(folder)
        script = ("say(); hear()\n"
                  "for n in range(40):\n"
                  "    fd = os.open(f'{sys.argv[1]}/{sys.argv[2]}-{n}', os.O_WRONLY | os.O_CREAT, 0o644)\n"
                  "    os.write(fd, os.urandom(3000) + bytes(30000))\n"
                  "    os.close(fd)\n")
        writers = [self.child(script, folder, number) for number in "12345678"]
        for writer in writers:
            writer.expect()
        before = self.syncs(trace)
        for writer in writers:
            writer.tell()
        self.assertEqual([writer.wait() for writer in writers], [0] * 8)
        syncs = self.syncs(trace) - before
        self.assertEqual(len(os.listdir(folder)), 320)
        self.assertGreater(syncs, 0)
        self.assertLess(syncs, 240)  # with none shared: 320, and those of the checkpoints

    def syncs(self, trace):
        with open(trace, encoding="utf-8") as file:
            return sum(1 for line in file if re.search(r"\b(fsync|fdatasync|msync)\(", line))

    def test_a_close_returns_after_the_sync(self):
        trace = os.path.join(self.dir, "trace")
        mount = self.start(wrapper=(*self.STRACE, "-o", trace),
                           environment={"ASAN_OPTIONS": "detect_leaks=0"})
        folder = os.path.join(mount.path, GUID)
        os.mkdir(folder)
        for number in range(10):
            before = self.syncs(trace)
            write_file(os.path.join(folder, f"{number}"), b"x")
            self.assertGreater(self.syncs(trace), before)


class Memory(harness.MountTest):
    LIMIT = 64 << 20

    def resident(self, pid):
        """Bytes of @pid that are resident, without those of the store's mapped files."""
        total, mapped = 0, ""
        with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
            for line in file:
                if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
                    mapped = line.split(maxsplit=5)[5] if len(line.split()) > 5 else ""
                elif line.startswith("Rss:") and not mapped.startswith(self.store):
                    total += int(line.split()[1]) * 1024
        return total

    def watch(self, pid, stop):
        while not stop.wait(0.05):
            self.peak = max(self.peak, self.resident(pid))

    def test_a_large_report_goes_in_and_out_in_little_memory(self):
        blocks = (4096 if os.environ.get("CAU_TEST_FULL") == "1" else 1024)
        mount = self.start()
        with open(f"/proc/{mount.process.pid}/maps", encoding="utf-8", errors="replace") as maps:
            if re.search(r"lib[at]san", maps.read()):
                self.skipTest("a sanitizer's own memory is in the figure")
        os.mkdir(os.path.join(mount.path, GUID))
        path = os.path.join(mount.path, GUID, "large")
        self.peak = self.resident(mount.process.pid)
        stop = threading.Event()
        watcher = threading.Thread(target=self.watch, args=(mount.process.pid, stop))
        watcher.start()
        try:
            base = text_bytes(1 << 20)
            with open(path, "wb", buffering=0) as file:
                for number in range(blocks):
                    self.assertEqual(file.write(b"%016d" % number + base[16:]), 1 << 20)
            self.assertEqual(os.stat(path).st_size, blocks << 20)
            with open(path, "rb", buffering=0) as file:
                for number in range(blocks):
                    block = file.read(1 << 20)
                    self.assertEqual(block[:16], b"%016d" % number)
                    self.assert_bytes(block[16:], base[16:])
                self.assertEqual(file.read(1), b"")
        finally:
            stop.set()
            watcher.join()
        self.assertLess(self.peak, self.LIMIT)


if __name__ == "__main__":
    unittest.main()
