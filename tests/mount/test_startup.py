# SPDX-License-Identifier: MIT
"""Starting and ending: in the background, after a crash, and what goes wrong."""
import os
import signal
import sqlite3
import subprocess
import unittest

import harness
import namespace
from harness import CAUFS, GUID, caufs_mounts_at, exists, random_bytes, read_file, write_file


class StartTest(harness.MountTest):
    def setUp(self):
        super().setUp()
        self.mnt = os.path.join(self.dir, "mnt")
        os.mkdir(self.mnt)
        self.addCleanup(self.clear_away)

    def clear_away(self):
        while caufs_mounts_at(self.mnt):
            subprocess.run(["fusermount3", "-u", "-z", self.mnt], check=True)

    def fill(self, store=None):
        """Makes a store with one report."""
        mount = self.start(store=store, path=self.mnt)
        os.mkdir(os.path.join(self.mnt, GUID))
        write_file(os.path.join(self.mnt, GUID, "a"), b"one")
        mount.finish()

    def refuse(self, *arguments, words=(), flags=("-f",)):
        """caufs does not mount, and says why in one line that has @words."""
        self.run_program(CAUFS, *flags, *arguments, status=1, stdin=subprocess.DEVNULL)
        self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)
        self.assertTrue(self.stderr.startswith("caufs: "), self.stderr)
        for word in words:
            self.assertIn(word, self.stderr)


class Background(StartTest):
    """Daemons that are nobody's child; this process adopts them to see how they end."""

    def setUp(self):
        super().setUp()
        harness.adopt_orphans()
        self.before = harness.children()

    def daemon(self):
        pid, = harness.children() - self.before
        return pid

    def end(self, how):
        """Ends the daemon by @how and checks that it ends well."""
        pid = self.daemon()
        how(pid)
        self.assertEqual(harness.exit_status(pid), 0)
        self.assertEqual(caufs_mounts_at(self.mnt), [])

    def unmount(self, _pid=None):
        self.run_program("fusermount3", "-u", self.mnt)

    def test_caufs_returns_when_the_mount_is_live(self):
        for number in range(3):
            self.assertEqual(self.run_program(CAUFS, self.store, self.mnt), b"")
            self.assertEqual(len(caufs_mounts_at(self.mnt)), 1)
            if number == 0:
                os.mkdir(os.path.join(self.mnt, GUID))
            write_file(os.path.join(self.mnt, GUID, f"{number}"), b"x")
            self.end(self.unmount)
        self.run_program(CAUFS, self.store, self.mnt)
        self.assertEqual(os.listdir(os.path.join(self.mnt, GUID)), ["0", "1", "2"])
        self.end(lambda pid: os.kill(pid, signal.SIGTERM))

    def test_the_daemon_leaves_its_folder_and_its_terminal(self):
        self.run_program(CAUFS, self.store, self.mnt, cwd=self.dir)
        pid = self.daemon()
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        self.assertEqual({os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)}, {"/dev/null"})
        self.assertEqual(os.getsid(pid), pid)
        self.end(self.unmount)

    def test_the_daemon_keeps_nothing_that_was_open_when_it_was_started(self):
        fd = os.open(os.path.join(self.dir, "lock"), os.O_WRONLY | os.O_CREAT)
        self.run_program(CAUFS, self.store, self.mnt, pass_fds=[fd])
        os.close(fd)
        pid = self.daemon()
        self.assertFalse([name for name in os.listdir(f"/proc/{pid}/fd")
                          if os.readlink(f"/proc/{pid}/fd/{name}").endswith("/lock")])
        self.end(self.unmount)

    def test_closed_standard_streams_do_no_harm(self):
        self.run_program("bash", "-c", '"$@" 0<&- 1>&- 2>&-', "bash", CAUFS, self.store, self.mnt)
        self.assertEqual(len(caufs_mounts_at(self.mnt)), 1)
        self.end(self.unmount)

    def test_no_file_of_the_daemon_gets_the_number_of_a_closed_standard_stream(self):
        daemon = subprocess.Popen(["bash", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "bash", CAUFS, "-f", self.store, self.mnt])
        self.before.add(daemon.pid)
        harness.wait_until(lambda: caufs_mounts_at(self.mnt), "caufs mounts")
        self.assertEqual({os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in (0, 1, 2)}, {"/dev/null"})
        self.unmount()
        self.assertEqual(daemon.wait(harness.PATIENCE), 0)

    def test_relative_paths_count_from_where_caufs_was_started(self):
        self.run_program(CAUFS, "store.cau", "mnt", cwd=self.dir)
        self.assertEqual(caufs_mounts_at(self.mnt)[0][2], self.store)
        os.mkdir(os.path.join(self.mnt, GUID))
        self.assertTrue(exists(self.store))
        self.end(self.unmount)

    def test_a_failure_is_told_before_caufs_returns(self):
        self.refuse(self.store, os.path.join(self.dir, "none"), words=["none"], flags=())
        write_file(self.store, b"this is a text, and no store at all\n" * 100)
        self.refuse(self.store, self.mnt, words=[self.store], flags=())
        for pid in harness.children() - self.before:
            self.assertEqual(harness.exit_status(pid), 1)


@harness.needs_root
class Journal(namespace.NamespaceTest):
    """A stand-in for systemd's journal, which gets what is sent to it."""

    prepare = "mount -t tmpfs -o mode=755 caufs-test /run; mkdir -p /run/systemd/journal"

    def test_what_happens_in_the_background_is_told_to_the_journal_that_stderr_led_to(self):
        self.session("""
import socket
stream, journal = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
stream.bind('/run/systemd/journal/stdout')
stream.listen()
journal.bind('/run/systemd/journal/socket')
journal.settimeout(harness.PATIENCE)
stderr = socket.socket(socket.AF_UNIX)
stderr.connect('/run/systemd/journal/stdout')
subprocess.run([CAUFS, store, mnt], stdin=subprocess.DEVNULL, stderr=stderr, check=True)
stderr.close()
os.mkdir(folder)
script = "import os, sys; os.write(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY), b'x'); os.kill(os.getpid(), 9)"
subprocess.run([harness.PYTHON, '-c', script, folder + '/a'])
said = []
while not any(b'thrown away' in line for line in said):
    said.append(journal.recv(65536))
assert b'SYSLOG_IDENTIFIER=caufs\\n' in said[-1], said
subprocess.run(['umount', mnt], check=True)
""")


class Ending(StartTest):
    def test_a_signal_ends_the_mount_in_order(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            mount = self.start(path=self.mnt)
            if not exists(os.path.join(self.mnt, GUID)):
                os.mkdir(os.path.join(self.mnt, GUID))
            write_file(os.path.join(self.mnt, GUID, number.name), b"one")
            mount.terminate(number)
        self.start(path=self.mnt)
        self.assertEqual(os.listdir(os.path.join(self.mnt, GUID)), ["SIGHUP", "SIGINT", "SIGTERM"])

    def test_what_was_closed_before_a_signal_is_saved_whole(self):
        mount = self.start(path=self.mnt)
        os.mkdir(os.path.join(self.mnt, GUID))
        script = ("for n in range(100000):\n"
                  "    name = f'{sys.argv[2]}-{n}'\n"
                  "    try:\n"
                  "        fd = os.open(f'{sys.argv[1]}/{name}', os.O_WRONLY | os.O_CREAT, 0o644)\n"
                  "        os.write(fd, name.encode() * 1000)\n"
                  "        os.close(fd)\n"
                  "    except OSError: break\n"
                  "    say(name)\n")
        writers = [self.child(script, os.path.join(self.mnt, GUID), letter) for letter in "abcd"]
        saved = [writer.line() for writer in writers for _ in range(5)]
        mount.process.send_signal(signal.SIGTERM)
        for writer in writers:
            while (name := writer.line()) is not None:
                saved.append(name)
            self.assertEqual(writer.wait(), 0)
        mount.wait_ended()
        self.start(path=self.mnt)
        there = os.listdir(os.path.join(self.mnt, GUID))
        self.assertLessEqual(set(saved), set(there))
        for name in there:
            self.assert_report(os.path.join(self.mnt, GUID, name), name.encode() * 1000)

    def test_what_was_not_closed_before_a_signal_is_not_saved(self):
        self.fill()
        mount = self.start(path=self.mnt)
        fd = os.open(os.path.join(self.mnt, GUID, "b"), os.O_WRONLY | os.O_CREAT, 0o644)
        other = os.open(os.path.join(self.mnt, GUID, "a"), os.O_WRONLY | os.O_TRUNC)
        os.write(fd, random_bytes(500_000))
        os.write(other, b"two")
        mount.terminate()
        for left in (fd, other):
            with self.refused(harness.errno.ENOTCONN, harness.errno.ECONNABORTED):
                os.close(left)
        self.start(path=self.mnt)
        self.assertEqual(os.listdir(os.path.join(self.mnt, GUID)), ["a"])
        self.assertEqual(read_file(os.path.join(self.mnt, GUID, "a")), b"one")

    def test_a_mount_that_is_in_use_is_not_unmounted(self):
        mount = self.start(path=self.mnt)
        os.mkdir(os.path.join(self.mnt, GUID))
        fd = os.open(os.path.join(self.mnt, GUID, "a"), os.O_WRONLY | os.O_CREAT, 0o644)
        self.run_program("fusermount3", "-u", self.mnt, status=1)
        self.assertIn("busy", self.stderr)
        os.write(fd, b"one")
        os.close(fd)
        mount.finish()


class Crash(StartTest):
    def crash(self):
        self.fill()
        mount = self.start(path=self.mnt)
        fd = os.open(os.path.join(self.mnt, GUID, "b"), os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, random_bytes(5_000_000))
        mount.crash()
        with self.refused(harness.errno.ENOTCONN, harness.errno.ECONNABORTED):
            os.close(fd)
        with self.refused(harness.errno.ENOTCONN):
            os.listdir(self.mnt)
        return mount

    def test_a_dead_mount_is_cleared_when_caufs_is_started_on_it(self):
        self.crash()
        again = self.start(path=self.mnt)
        self.assertEqual(len(caufs_mounts_at(self.mnt)), 1)
        self.assertEqual(os.listdir(os.path.join(self.mnt, GUID)), ["a"])
        self.assertEqual(read_file(os.path.join(self.mnt, GUID, "a")), b"one")
        self.assertTrue([line for line in again.log().splitlines() if "dead" in line or "left" in line], again.log())

    def test_a_dead_mount_of_another_store_is_cleared_too(self):
        self.crash()
        self.start(store=os.path.join(self.dir, "other.cau"), path=self.mnt)
        self.assertEqual(len(caufs_mounts_at(self.mnt)), 1)
        self.assertEqual(os.listdir(self.mnt), [])

    def test_what_a_crash_left_behind_is_collected(self):
        self.crash()
        self.start(path=self.mnt)
        self.assertEqual(os.statvfs(self.mnt).f_files, 1)
        self.caureport("collect")
        listing = self.caureport("ls", GUID).decode()
        self.assertIn("a", listing.split())
        self.assertNotIn("b", listing.split())


class Refusals(StartTest):
    def test_a_second_mount_on_a_live_one_is_refused(self):
        self.fill()
        self.start(path=self.mnt)
        self.refuse(self.store, self.mnt, words=[self.mnt, "already"])
        self.refuse(os.path.join(self.dir, "other.cau"), self.mnt, words=[self.mnt, "already"])
        self.assertEqual(len(caufs_mounts_at(self.mnt)), 1)
        self.assertEqual(read_file(os.path.join(self.mnt, GUID, "a")), b"one")

    def test_a_missing_mountpoint_is_named(self):
        self.refuse(self.store, os.path.join(self.dir, "none"), words=[os.path.join(self.dir, "none")])
        self.assertFalse(exists(self.store))

    def test_a_mountpoint_that_is_no_directory_is_named(self):
        path = os.path.join(self.dir, "file")
        write_file(path, b"x")
        self.refuse(self.store, path, words=[path, "not a directory"])

    def test_a_file_that_is_no_store_is_named(self):
        for content in (b"this is a text, and no store at all\n" * 200, b"x", random_bytes(100_000)):
            write_file(self.store, content)
            self.refuse(self.store, self.mnt, words=[self.store])
            self.assertEqual(read_file(self.store), content)

    def test_a_database_of_another_program_is_named(self):
        with sqlite3.connect(self.store) as database:
            database.execute("create table t (a)")
        database.close()
        before = read_file(self.store)
        self.refuse(self.store, self.mnt, words=[self.store])
        self.assertEqual(read_file(self.store), before)

    def test_a_newer_store_is_named(self):
        self.fill()
        database = sqlite3.connect(self.store)
        database.execute("pragma user_version = 9999")
        database.close()
        for options in ((), ("-o", "ro")):
            self.refuse(*options, self.store, self.mnt, words=[self.store, "use a newer caufs"])

    def test_a_store_in_a_folder_that_is_missing_is_named(self):
        store = os.path.join(self.dir, "none", "store.cau")
        self.refuse(store, self.mnt, words=[store])

    def test_a_store_that_is_missing_is_not_made_by_ro(self):
        self.refuse("-o", "ro", self.store, self.mnt, words=[self.store])
        self.assertFalse(exists(self.store))

    def test_an_engine_that_is_unknown_is_named(self):
        self.refuse("mysql://host/db", self.mnt, words=["mysql"])

    def test_too_many_arguments_are_refused(self):
        self.run_program(CAUFS, "-f", self.store, self.mnt, "more", status=2)
        self.assertIn("too many arguments", self.stderr)


if __name__ == "__main__":
    unittest.main()
