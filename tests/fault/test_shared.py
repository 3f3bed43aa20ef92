# SPDX-License-Identifier: MIT
"""One store in two mounts and the tool at once: nothing is lost, and each sees what the others did."""
import errno
import os
import random
import subprocess
import threading
import time
import unittest

import amount
import client
import contents
import harness
import workload
from harness import CAUREPORT, GUID, exists, read_file, write_file

# Seconds for which a mount may go on showing what it knew, by docs/semantics.md, and what the kernel's clock adds.
TIMEOUT = 1.0
TICK = 0.05

ROUND_SECONDS = 4


class TwoMounts(harness.ReportTest):
    def setUp(self):
        super().setUp()
        self.second = self.start()

    def theirs(self, name="report.xml"):
        return os.path.join(self.second.path, GUID, name)

    def test_of_two_that_make_a_report_by_o_excl_the_second_close_fails(self):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        for first, second in ((self.path("a"), self.theirs("a")), (self.theirs("b"), self.path("b"))):
            winner, loser = os.open(first, flags), os.open(second, flags)
            os.write(winner, b"what the first saved")
            os.write(loser, b"what the second wanted to save")
            os.close(winner)
            with self.refused(errno.EEXIST):
                os.close(loser)
            self.assert_report(first, b"what the first saved")
            self.assert_report(second, b"what the first saved")

    def test_o_excl_and_a_rename_save_a_report_in_place_of_another(self):
        write_file(self.theirs("a"), b"old")
        fd = os.open(self.path("a.tmp"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(fd, b"new")
        os.rename(self.path("a.tmp"), self.path("a"))
        os.close(fd)
        self.assert_report(self.theirs("a"), b"new")

    def winners(self, make):
        """Who made the reports r0 to r99, by number, of four makers who try it at the same time: make(path, maker).

        Threads here, of both mounts: to the daemons they are as good as processes."""
        wins, lock, barrier = {}, threading.Lock(), threading.Barrier(4, timeout=harness.PATIENCE)

        def run(maker, path):
            for number in range(100):
                barrier.wait()
                try:
                    make(path(f"r{number}"), maker)
                except FileExistsError:
                    continue
                with lock:
                    wins.setdefault(number, []).append(maker)

        makers = [threading.Thread(target=run, args=(maker, path))
                  for maker, path in enumerate([self.path, self.theirs, self.path, self.theirs])]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
        self.assertEqual(sorted(wins), list(range(100)))
        return wins

    def test_makers_by_o_excl_in_many_processes_never_both_succeed(self):
        def make(path, maker):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(fd, f"{maker}".encode())
            os.close(fd)

        for number, winners in self.winners(make).items():
            self.assertEqual(len(winners), 1, number)
            self.assert_report(self.theirs(f"r{number}"), f"{winners[0]}".encode())

    def test_makers_by_mknod_never_both_succeed(self):
        wins = self.winners(lambda path, _: os.mknod(path))
        self.assertEqual([number for number, winners in wins.items() if len(winners) > 1], [])


class Seen(harness.ReportTest):
    """A look that begins a second after a change was done sees it, whoever made the change."""

    def setUp(self):
        super().setUp()
        self.second = self.start()
        self.longest = 0.0

    def assert_seen(self, sees):
        """@sees is asked again and again from now, when a change is done."""
        done = time.monotonic()
        while True:
            began = time.monotonic()
            if sees():
                self.longest = max(self.longest, began - done)
                return
            if began - done > TIMEOUT + TICK:
                self.fail(f"{began - done:.2f} s after the change a mount does not show it")
            time.sleep(0.002)

    def put(self, data):
        self.caureport("put", "--name", "report.xml", GUID, "-", input=data)

    def test_changes_are_seen_within_a_second(self):
        ours, theirs = self.path(), os.path.join(self.second.path, GUID, "report.xml")
        for number, (change, other) in enumerate([(lambda data: write_file(ours, data), theirs),
                                                  (lambda data: write_file(theirs, data), ours),
                                                  (self.put, ours), (self.put, theirs)]):
            self.change_and_look(change, other, number)
        amount.tell(f"changes by another process were seen after {self.longest:.3f} s at the latest")

    def change_and_look(self, change, other, number):
        for size in (1_000 + number, 200_000 + number):
            exists(other)
            change(bytes(size))
            self.assert_seen(lambda s=size: exists(other) and os.stat(other).st_size == s)
        os.chmod(self.path(), 0o600 + number)
        self.assert_seen(lambda: exists(other) and os.stat(other).st_mode & 0o777 == 0o600 + number)
        self.caureport("rm", GUID, "report.xml")
        self.assert_seen(lambda: not exists(other))

    def test_a_second_with_a_name_that_was_not_there(self):
        theirs = os.path.join(self.second.path, harness.OTHER_GUID)
        self.assertFalse(exists(theirs))
        os.mkdir(os.path.join(self.root, harness.OTHER_GUID))
        self.assert_seen(lambda: exists(theirs))
        os.rmdir(os.path.join(self.root, harness.OTHER_GUID))
        self.assert_seen(lambda: not exists(theirs))


class Attributes(harness.ReportTest):
    """chmod, chown and utimens by path never meet ESTALE, however often the report is replaced."""

    N = 400

    REPLACERS = {
        "writing": "for n in range(10 ** 9):\n"
                   "    with open(sys.argv[1], 'wb') as file: file.write(b'%d' % n)\n",
        "rename": "for n in range(10 ** 9):\n"
                  "    with open(sys.argv[1] + '.tmp', 'wb') as file: file.write(b'%d' % n)\n"
                  "    os.rename(sys.argv[1] + '.tmp', sys.argv[1])\n",
    }

    def check(self, how):
        write_file(self.path(), b"first")
        replacer = self.child("say()\n" + self.REPLACERS[how], self.path())
        replacer.expect()
        for number in range(self.N):
            os.chmod(self.path(), 0o600 + number % 0o100)
            os.utime(self.path(), ns=(number, number))
            os.chown(self.path(), os.geteuid(), os.getegid())
            with open(self.path(), "rb") as file:
                os.fchmod(file.fileno(), 0o640)
        replacer.kill()
        return os.stat(self.path())

    def test_what_is_set_of_a_replaced_version_is_seen_at_once(self):
        write_file(self.path(), b"first")
        old = self.open(self.path())
        write_file(self.path(), b"second, which is longer")
        write_file(self.path("other"), b"so that nobody writes the report any more")
        self.assertEqual(os.stat(self.path()).st_mode & 0o777, 0o644)
        os.fchmod(old, 0o640)
        self.assertEqual(os.stat(self.path()).st_mode & 0o777, 0o640)
        self.assertEqual(os.stat(self.path()).st_size, 23)
        found = os.fstat(old)
        self.assertEqual((found.st_mode & 0o777, found.st_size, found.st_nlink), (0o640, 5, 0))
        self.assertEqual(os.pread(old, 100, 0), b"first")

    def test_attributes_of_a_report_that_is_replaced_by_writing_stay(self):
        found = self.check("writing")
        self.assertEqual(found.st_mode & 0o777, 0o640)
        self.assertEqual(found.st_atime_ns, self.N - 1)

    def test_attributes_of_a_report_that_is_replaced_by_renames(self):
        self.assertIn(self.check("rename").st_mode & 0o777, (0o640, 0o644))


class Mixed(workload.WorkTest):
    """Clients of both mounts and the tool, for a while: no update is lost, nobody waits for ever."""

    def test_mixed_load_of_two_mounts_and_the_tool(self):
        seconds = amount.seconds(20)
        second = os.path.join(self.dir, "second")
        os.mkdir(second)
        self.start(path=second)
        clients = [self.start_client(number, self.mnt if number % 2 == 0 else second) for number in range(4)]
        found = self.fill_ring()
        end = time.monotonic() + seconds
        rounds = 0
        while rounds == 0 or time.monotonic() < end:
            self.order_work(clients, rounds, found)
            self.use_the_tool(rounds, time.monotonic() + ROUND_SECONDS)
            for each in clients:
                each.order("stop")
            for each in clients:
                each.wait_stopped()
            there, logs = workload.look_around(second)
            found = self.check_work(clients, found)
            self.assertEqual(there, found)
            self.counts["lines"] += sum(len(lines) for lines in logs.values())
            rounds += 1
        amount.tell(f"{seconds:g} s of mixed load by two mounts and the tool in {rounds} rounds: "
                    f"{self.counts['saves']} saves checked, {self.counts['lines']} lines appended, "
                    f"{self.counts['tool']} calls of the tool, 0 lost")
        self.assert_busy(rounds)

    def use_the_tool(self, number, end):
        """Puts, gets, removes and collects beside the clients, on names of its own."""
        rng = random.Random(f"{self.seed} {number}")
        source = os.path.join(self.dir, "tool-0")
        while time.monotonic() < end:
            data = contents.make(f"tool-{number}-{self.counts['tool']}", rng.choice([5_000, 400_000]))
            write_file(source, data)
            self.caureport("put", client.FOLDERS[0], source)
            self.assert_bytes(self.caureport("get", client.FOLDERS[0], "tool-0"), data, "what the tool put")
            self.assert_report(self.path("0/tool-0"), data)
            self.caureport("collect")
            self.caureport("rm", client.FOLDERS[0], "tool-0")
            self.counts["tool"] += 4


class Tool(harness.ReportTest):
    def test_the_tool_and_a_mount_replace_one_report_and_it_is_always_whole(self):
        stop = threading.Event()
        failures = []

        def put():
            number = 0
            while not stop.is_set():
                number += 1
                done = subprocess.run([CAUREPORT, "--store", self.store, "put", "--name", "report.xml", GUID, "-"],
                                      input=contents.make(f"tool-{number}", 300_000), capture_output=True, check=False)
                if done.returncode != 0:
                    failures.append(done.stderr)

        write_file(self.path(), contents.make("mount", 1_000))
        tool = threading.Thread(target=put)
        tool.start()
        try:
            for number in range(150):
                write_file(self.path(), contents.make(f"mount-{number}", 200_000))
                self.assertRegex(contents.identify(read_file(self.path())), r"\A(mount|tool)-\d+\Z")
        finally:
            stop.set()
            tool.join()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    unittest.main()
