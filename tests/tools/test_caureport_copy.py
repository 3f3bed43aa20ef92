# SPDX-License-Identifier: MIT
"""caureport get and put: whole reports in and out."""
import array
import fcntl
import os
import pty
import select
import subprocess
import termios
import time
import unittest

from caureport_harness import (CAUREPORT, DAMAGED, EXISTS, FAILED, GUID, NAME, NOT_FOUND, NO_SPACE, PATIENCE, USAGE,
                               StoreTest, random_bytes, read_file, samples, wait_until)


class Put(StoreTest):
    def test_samples_come_out_as_they_went_in(self):
        self.run_tool("put", "--mkdir", GUID, *samples())
        self.assertEqual(self.names(), [os.path.basename(path) for path in samples()])
        for path in samples():
            name = os.path.basename(path)
            self.assert_bytes(self.get(name), read_file(path), name)
            self.run_tool("get", "-o", name, GUID, name)
            self.assert_bytes(read_file(self.path(name)), read_file(path), name)

    def test_sizes(self):
        self.run_tool("mkdir", GUID)
        for size in [0, 1, 131071, 131072, 131073, 1048576, 5000001]:
            data = random_bytes(size, seed=size)
            self.put(NAME, data)
            self.assert_bytes(self.get(NAME), data)
            self.assertEqual(self.json("info", GUID, NAME)["size"], size)

    def test_standard_input(self):
        self.run_tool("mkdir", GUID)
        self.run_tool("put", "--name", "in.xml", GUID, "-", input=b"from a pipe")
        self.assertEqual(self.get("in.xml"), b"from a pipe")
        self.refuse_usage("standard input has no name", "put", GUID, "-")
        self.assertEqual(self.names(), ["in.xml"])

    def test_a_closed_standard_input(self):
        self.run_tool("mkdir", GUID)
        done = subprocess.run(["sh", "-c", 'exec "$0" --store "$1" put --name a "$2" - <&-', CAUREPORT,
                               self.store, GUID], stderr=subprocess.PIPE, env=self.environment(), check=False)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn(b"standard input", done.stderr)
        self.assertEqual(self.names(), [])

    def test_another_name(self):
        path = self.write_file("a", b"content")
        self.run_tool("put", "--mkdir", "--name", "b", GUID, path)
        self.assertEqual(self.names(), ["b"])
        self.refuse_usage("one name is given for several files", "put", "--name", "b", GUID, path, path)

    def test_replacing(self):
        self.put(NAME, b"old")
        before = self.json("info", GUID, NAME)
        self.put(NAME, b"new")
        after = self.json("info", GUID, NAME)
        self.assertEqual(self.get(NAME), b"new")
        self.assertEqual(after["report"], before["report"])
        self.assertNotEqual(after["version"], before["version"])

    def test_no_replace(self):
        old = self.write_file("old", b"old")
        new = self.write_file("new", b"new")
        self.run_tool("put", "--mkdir", GUID, old)
        self.refuse(EXISTS, "old", "put", "--no-replace", "--name", "old", GUID, new)
        self.assertEqual(self.get("old"), b"old")
        self.run_tool("put", "--no-replace", GUID, new)
        self.assertEqual(self.get("new"), b"new")

    def test_no_replace_holds_when_another_was_quicker(self):
        self.run_tool("mkdir", GUID)
        slow = self.start("put", "--no-replace", "--name", NAME, GUID, "-", stdin=subprocess.PIPE)
        try:
            slow.stdin.write(b"slow")
            slow.stdin.flush()
            self.wait_until_read(slow)
            self.put(NAME, b"quick")
            messages = slow.communicate()[1].decode()
        finally:
            slow.kill()
            slow.wait()
        self.assertEqual(slow.returncode, EXISTS, messages)
        self.assertIn(NAME, messages)
        self.assertEqual(self.get(NAME), b"quick")

    def test_it_goes_on_after_a_failure(self):
        good = self.write_file("good", b"good")
        better = self.write_file("better", b"better")
        os.mkdir(self.path("folder"))
        self.run_tool("put", "--mkdir", GUID, good, self.path("missing"), self.path("folder"), better,
                      status=NOT_FOUND)
        first, second = self.messages.splitlines()
        self.assertRegex(first, "cannot read .*missing: No such file or directory")
        self.assertRegex(second, "cannot read .*folder: Is a directory")
        self.assertEqual(self.names(), ["better", "good"])

    def test_a_name_that_no_report_may_have(self):
        path = self.write_file("a\tb", b"x")
        self.run_tool("mkdir", GUID)
        self.refuse(USAGE, "255|cannot name a report", "put", GUID, path)
        self.refuse(USAGE, "255|cannot name a report", "put", "--name", "x" * 256, GUID, path)
        self.refuse(USAGE, "255|cannot name a report", "put", "--name", "a/b", GUID, path)
        self.assertEqual(self.names(), [])
        self.run_tool("put", "--name", "x" * 255, GUID, path)

    def test_the_orchestrator_must_exist(self):
        other = self.write_file("other", b"x")
        self.run_tool("mkdir", "0f4e59a1-6fd2-4b0c-93b1-35c8e6c1d2aa")
        self.refuse(NOT_FOUND, f"{GUID}: .*--mkdir", "put", GUID, other)
        self.run_tool("put", "--mkdir", GUID, other)
        self.run_tool("put", "-p", GUID, other)
        self.assertEqual(self.names(), ["other"])

    def test_the_mode_is_the_files_without_what_the_umask_takes(self):
        path = self.write_file("a", b"x")
        self.run_tool("mkdir", GUID)
        os.chmod(path, 0o664)
        self.run_tool("put", GUID, path, umask=0o027)
        self.assertEqual(self.json("info", GUID, "a")["mode"], "0640")
        self.run_tool("put", "--name", "b", GUID, "-", input=b"", umask=0o077)
        self.assertEqual(self.json("info", GUID, "b")["mode"], "0600")

    def test_preserve(self):
        path = self.write_file("a", b"x")
        os.chmod(path, 0o604)
        os.utime(path, ns=(0, 1700000000123456789))
        self.run_tool("put", "--mkdir", "--preserve", GUID, path, umask=0o077)
        info = self.json("info", GUID, "a")
        self.assertEqual((info["mode"], info["mtime"]), ("0604", "2023-11-14T22:13:20.123456789Z"))
        self.run_tool("put", GUID, path)
        self.assertGreater(self.json("info", GUID, "a")["mtime"], "2024")
        os.utime(path, ns=(0, -1))
        self.run_tool("put", "--preserve", GUID, path)
        self.assertEqual(self.json("info", GUID, "a")["mtime"], "1969-12-31T23:59:59.999999999Z")

    def test_options_of_the_other_form(self):
        self.refuse_usage("go with --chunks", "put", "--report-size", "1", GUID, "a")
        self.refuse_usage("go with --chunks", "put", "--input", "a", GUID, "a")
        self.refuse_usage("--preserve does not go", "put", "--chunks", "--preserve", GUID)

    def test_a_named_pipe(self):
        os.mkfifo(self.path("pipe"))
        self.run_tool("mkdir", GUID)
        with self.start("put", GUID, "pipe") as process:
            with open(self.path("pipe"), "wb") as pipe:
                pipe.write(b"through it")
            self.assertEqual(process.stderr.read(), b"")
        self.assertEqual(process.returncode, 0)
        self.assertEqual(self.get("pipe"), b"through it")

    @staticmethod
    def wait_until_read(process):
        """Waits until @process has read all that was written to its standard input."""
        waiting = array.array("i", [1])

        def read():
            fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, waiting)
            return waiting[0] == 0

        wait_until(read, "the tool does not read its input")

    def test_killed_it_saves_nothing(self):
        self.put(NAME, b"old")
        for name in [NAME, "new.xml"]:
            process = self.start("put", "--name", name, GUID, "-", stdin=subprocess.PIPE)
            process.stdin.write(random_bytes(300000))
            process.stdin.flush()
            self.wait_until_read(process)
            process.kill()
            process.communicate()
        self.assertEqual(self.names(), [NAME])
        self.assertEqual(self.get(NAME), b"old")

    def test_progress_on_a_terminal(self):
        self.run_tool("mkdir", GUID)
        try:
            ours, theirs = pty.openpty()
        except OSError as error:
            self.skipTest(f"no pseudo-terminal can be had: {error}")
        self.addCleanup(os.close, ours)
        process = subprocess.Popen([CAUREPORT, "--store", self.store, "put", "--name", "long.xml", GUID,
                                    "-"], stdin=subprocess.PIPE, stderr=theirs, env=self.environment())
        os.close(theirs)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        shown = b""
        written = 0
        end = time.monotonic() + PATIENCE
        while b"long.xml" not in shown and time.monotonic() < end:
            written += process.stdin.write(b"x" * 1000)
            process.stdin.flush()
            if select.select([ours], [], [], 0.02)[0]:
                shown += os.read(ours, 4096)
        process.stdin.close()
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertRegex(shown.decode(), r"\rlong.xml: [0-9.]+[KM]?, [0-9.]+[KM]?/s\x1b\[K")
        self.assertEqual(len(self.get("long.xml")), written)


class Get(StoreTest):
    def setUp(self):
        super().setUp()
        self.data = random_bytes(400000)
        self.put(NAME, self.data)
        self.out = self.path("folder/out.xml")
        os.mkdir(self.path("folder"))

    def left(self):
        return os.listdir(self.path("folder"))

    def test_to_a_file(self):
        self.run_tool("get", "-o", self.out, GUID, NAME, umask=0o027)
        self.assert_bytes(read_file(self.out), self.data)
        self.assertEqual(os.stat(self.out).st_mode & 0o7777, 0o640)
        self.assertEqual(self.left(), ["out.xml"])

    def test_it_replaces_a_file_and_keeps_its_mode(self):
        self.write_file("folder/out.xml", b"old")
        os.chmod(self.out, 0o604)
        os.link(self.out, self.path("old"))
        self.run_tool("get", "--output", "folder/out.xml", GUID, NAME)
        self.assert_bytes(read_file(self.out), self.data)
        self.assertEqual(os.stat(self.out).st_mode & 0o7777, 0o604)
        self.assertEqual(read_file(self.path("old")), b"old")
        self.assertEqual(self.left(), ["out.xml"])

    def test_it_follows_a_symbolic_link(self):
        self.write_file("folder/out.xml", b"old")
        os.symlink("folder/out.xml", self.path("link"))
        self.run_tool("get", "-o", "link", GUID, NAME)
        self.assert_bytes(read_file(self.out), self.data)
        self.assertTrue(os.path.islink(self.path("link")))

    def test_damage_leaves_the_file_as_it_was(self):
        self.damage(self.data, 300000)
        self.refuse(DAMAGED, NAME, "get", "-o", self.out, GUID, NAME)
        self.assertEqual(self.left(), [])
        self.write_file("folder/out.xml", b"old")
        self.refuse(DAMAGED, NAME, "get", "-o", self.out, GUID, NAME)
        self.assertEqual((self.left(), read_file(self.out)), (["out.xml"], b"old"))

    def test_what_is_damaged_is_not_written(self):
        self.damage(self.data, 300000)
        out = self.get(NAME, status=DAMAGED)
        self.assertLess(len(out), len(self.data))
        self.assert_bytes(out, self.data[:len(out)])

    def test_not_found(self):
        self.refuse(NOT_FOUND, "absent.xml", "get", "-o", self.out, GUID, "absent.xml")
        self.assertEqual(self.left(), [])

    def test_places_that_cannot_be_written(self):
        self.refuse(NOT_FOUND, "cannot write absent/out.xml: No such file", "get", "-o", "absent/out.xml", GUID, NAME)
        self.refuse(FAILED, "cannot write folder: Is a directory", "get", "-o", "folder", GUID, NAME)
        self.refuse(NO_SPACE, "cannot write /dev/full: No space left", "get", "-o", "/dev/full", GUID, NAME,
                    **self.as_nobody())
        self.assertEqual(self.left(), [])

    def test_what_is_no_file_is_written_to_as_it_is(self):
        self.run_tool("get", "-o", "/dev/null", GUID, NAME, **self.as_nobody())
        os.mkfifo(self.path("folder/pipe"))
        with self.start("get", "-o", "folder/pipe", GUID, NAME) as process:
            self.assert_bytes(read_file(self.path("folder/pipe")), self.data)
        self.assertEqual((process.returncode, self.left()), (0, ["pipe"]))

    def test_killed_it_leaves_nothing(self):
        self.put("big.xml", bytes(1 << 20) * 64)
        process = self.start("get", "-o", self.out, GUID, "big.xml")
        opened = f"/proc/{process.pid}/fd"

        def writes():
            paths = []
            for descriptor in os.listdir(opened):
                try:
                    paths.append(os.readlink(f"{opened}/{descriptor}"))
                except FileNotFoundError:
                    continue
            return process.poll() is not None or any(path.startswith(self.path("folder")) for path in paths)

        wait_until(writes, "the tool does not open the file")
        process.kill()
        process.communicate()
        self.assertIn(self.left(), [[], ["out.xml"]])
        if self.left():  # it was quicker
            self.assertEqual(os.path.getsize(self.out), 64 << 20)

    def test_a_reader_that_stops_early_ends_it_quietly(self):
        with self.start("get", GUID, NAME) as process:
            process.stdout.read(10)
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
        self.assertEqual(process.returncode, -13)

    def test_it_keeps_reading_its_version(self):
        old = random_bytes(3 << 20)
        self.put(NAME, old)
        for change in [("put", "--name", NAME, GUID, "/dev/null"), ("mv", GUID, NAME, "moved.xml"),
                       ("rm", GUID, "moved.xml")]:
            if change[0] == "mv":
                self.put(NAME, old)
            name = "moved.xml" if change[0] == "rm" else NAME
            with self.start("get", GUID, name) as process:
                first = process.stdout.read(10)  # it has begun, and waits for room in the pipe
                self.run_tool(*change)
                self.run_tool("collect")
                self.assert_bytes(first + process.stdout.read(), old, change[0])
                self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(process.returncode, 0)

    def test_chunk_size_goes_with_chunks(self):
        self.refuse_usage("--chunk-size goes with --chunks", "get", "--chunk-size", "10", GUID, NAME)


if __name__ == "__main__":
    unittest.main()
