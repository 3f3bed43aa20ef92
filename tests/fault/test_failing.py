# SPDX-License-Identifier: MIT
"""The disk under a daemon fails for a while: who saves is told, what was there stays, and the mount goes on when the disk does."""
import collections
import errno
import os
import random
import unittest

import amount
import harness
import store_file
from harness import exists, random_bytes, write_file

SHIM = os.environ.get("CAU_DISK_SHIM", "")
MIB = 1024 * 1024

# Writes, syncs, both.
KINDS = ("w", "s", "ws")


class Ending(harness.ReportTest):
    def environment(self):
        return harness.preload(SHIM, CAU_DISK_FAILS=os.path.join(self.dir, "fails"))

    def test_a_request_that_the_end_of_the_mount_overtakes_is_no_failure(self):
        """Who takes a request in while the mount is taken away is told ECONNABORTED, and has nothing to complain of."""
        write_file(self.path("a"), b"saved")
        write_file(os.path.join(self.dir, "fails"), b"%dr" % errno.ECONNABORTED)
        with self.refused(errno.ENOTCONN, errno.ECONNABORTED, errno.ENOTDIR):
            os.stat(self.path("b"))
        self.mount.wait_ended()
        self.assertNotIn("WARNING", self.mount.log())
        os.unlink(os.path.join(self.dir, "fails"))
        self.mount = self.start(path=self.root)
        self.assert_report(self.path("a"), b"saved")


class FailingTest(harness.ReportTest):
    def setUp(self):
        super().setUp()
        self.old = random_bytes(300_000, 1)
        write_file(self.path("old"), self.old)

    def fails(self):
        return os.path.join(self.dir, "fails")

    def environment(self):
        return harness.preload(SHIM, CAU_DISK_FAILS=self.fails())

    def fail_with(self, code, kinds, every=1):
        # In one step: the daemon may look at any time.
        write_file(self.fails() + ".new", b"%d%s%d" % (code, kinds.encode(), every))
        os.rename(self.fails() + ".new", self.fails())

    def recover(self):
        os.unlink(self.fails())

    def assert_only_old(self):
        self.assertEqual(self.listed(), ["old"])
        self.assert_report(self.path("old"), self.old)

    def try_save(self, name, size, call):
        """The error comes with a write, with @call or with the close; all of these after it fail too."""
        fd = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        codes = []
        for step in (*[lambda: os.write(fd, random_bytes(65536, 2))] * (size // 65536), lambda: call(fd),
                     lambda: os.close(fd)):
            try:
                step()
            except OSError as error:
                codes.append(error.errno)
        self.assertNotEqual(codes, [])
        return codes

    def check_failing(self, code, kinds):
        self.fail_with(code, kinds)
        for size in (65536, 4 * MIB):
            for name in ("new", "old"):
                for call in (os.fsync, lambda fd: None):
                    self.assertEqual(set(self.try_save(name, size, call)), {code}, (name, size, kinds))
                    self.assert_only_old()
        with self.refused(code):
            os.unlink(self.path("old"))
        with self.refused(code):
            os.rename(self.path("old"), self.path("new"))
        with self.refused(code):
            os.chmod(self.path("old"), 0o600)
        with self.refused(code):
            os.mkdir(os.path.join(self.root, harness.OTHER_GUID))
        self.assert_only_old()
        self.assertEqual(os.stat(self.path("old")).st_mode & 0o777, 0o644)
        self.assertFalse(exists(os.path.join(self.root, harness.OTHER_GUID)))
        self.recover()

    def check_recovered(self, number):
        data = random_bytes(2 * MIB, number)
        write_file(self.path("new"), data)
        self.assert_report(self.path("new"), data)
        os.rename(self.path("new"), self.path("old"))
        self.old = data
        self.assert_only_old()

    def test_a_save_is_told_and_the_mount_goes_on_when_the_disk_does(self):
        rounds = amount.rounds(1)
        for number in range(rounds):
            for kinds in KINDS:
                for code in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
                    self.check_failing(code, kinds)
                    self.check_recovered(number)
        amount.tell(f"a disk that failed and recovered {rounds * len(KINDS) * 3} times under a mount")
        self.mount.finish()
        store_file.check(self.store)

    def try_change(self, rng, expected, number):
        """One change of the reports, and of @expected if it is not refused. Returns: the error's number, 0 if there is none."""
        name, other = rng.choice("abc"), rng.choice("abc")
        data = random_bytes(rng.choice([1_000, 70_000, 3 * MIB]), number)
        kind = rng.choice(["save", "save", "remove", "rename"]) if name in expected else "save"
        try:
            if kind == "save":
                write_file(self.path(name), data)
                expected[name] = data
            elif kind == "remove":
                os.unlink(self.path(name))
                del expected[name]
            else:
                os.rename(self.path(name), self.path(other))
                expected[other] = expected.pop(name)
        except OSError as error:
            return error.errno
        return 0

    def check_all(self, expected):
        self.assertEqual(self.listed(), sorted(expected))
        for name, data in expected.items():
            self.assert_report(self.path(name), data)

    def test_when_some_calls_fail_each_change_is_made_or_refused(self):
        rng = random.Random(amount.seed())
        rounds = amount.rounds(10)
        expected, counts = {"old": self.old}, collections.Counter()
        for number in range(rounds):
            code, every = rng.choice([errno.EIO, errno.ENOSPC]), rng.randrange(2, 30)
            self.fail_with(code, "wst", every)
            for step in range(20):
                found = self.try_change(rng, expected, 20 * number + step)
                self.assertIn(found, (0, code))
                counts["refused" if found else "made"] += 1
                self.check_all(expected)
            if rng.random() < 0.5:
                self.mount.crash()
                self.recover()
                self.run_program("fusermount3", "-u", "-z", self.root)
                self.mount = self.start(path=self.root)
            else:
                self.recover()
            self.check_all(expected)
        amount.tell(f"each 2nd to 29th call on the disk failed: {counts['made']} changes made, {counts['refused']} refused")
        self.assertGreater(counts["made"], 0)
        self.assertGreater(counts["refused"], 0)
        self.mount.finish()
        store_file.check(self.store)

    def test_what_failed_is_not_there_when_the_daemon_is_killed_meanwhile(self):
        for kinds in KINDS:
            self.fail_with(errno.EIO, kinds)
            self.try_save("new", 65536, os.fsync)
            self.mount.crash()
            self.recover()
            self.run_program("fusermount3", "-u", "-z", self.root)
            self.mount = self.start(path=self.root)
            self.assert_only_old()


if __name__ == "__main__":
    unittest.main()
