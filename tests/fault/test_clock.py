# SPDX-License-Identifier: MIT
"""The wall clock is set back and forth by years under a daemon: times are the clock's, and nothing waits for it."""
import mmap
import os
import struct
import time
import unittest

import amount
import harness
from harness import read_file, wait_until, write_file

SHIM = os.environ.get("CAU_CLOCK_SHIM", "")
YEAR = 365 * 86400
STEPS = (-YEAR, YEAR, 0, -50 * YEAR, 10 * YEAR, -YEAR, 1, -1, 0)

# Seconds by which what was done within a step may be off.
SLACK = harness.PATIENCE


class Clock:
    """The wall clock of a daemon that has the shim."""

    def __init__(self, path):
        self.path = path
        write_file(path, bytes(8))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)
        self.offset = 0

    def set(self, offset):
        self.offset = offset
        self.map[:] = struct.pack("=q", offset)

    def now(self):
        return time.time() + self.offset


class Steps(harness.ReportTest):
    clock = None

    def environment(self):
        self.clock = self.clock or Clock(os.path.join(self.dir, "clock"))
        return harness.preload(SHIM, CAU_CLOCK_FILE=self.clock.path)

    def assert_now(self, found, what):
        self.assertLess(abs(found - self.clock.now()), SLACK, f"{what}, with the clock off by {self.clock.offset} s")

    def test_times_are_those_of_the_clock(self):
        for step in STEPS:
            self.clock.set(step)
            write_file(self.path(), b"saved %d" % step)
            found = os.stat(self.path())
            self.assert_now(found.st_mtime, "mtime")
            self.assert_now(found.st_ctime, "ctime")
            self.assert_now(os.stat(self.folder).st_mtime, "mtime of the folder")
            self.assert_report(self.path(), b"saved %d" % step)
            os.chmod(self.path(), 0o600)
            self.assert_now(os.stat(self.path()).st_ctime, "ctime after chmod")
            os.rename(self.path(), self.path("other"))
            self.assert_now(os.stat(self.path("other")).st_ctime, "ctime after rename")
            os.rename(self.path("other"), self.path())

    def test_a_step_while_a_report_is_written_changes_none_of_its_bytes(self):
        with open(self.path(), "wb", buffering=0) as file:
            for step in STEPS:
                self.clock.set(step)
                file.write(b"%12d" % step)
                os.fsync(file.fileno())
                self.assert_now(os.fstat(file.fileno()).st_mtime, "mtime while it is written")
        self.assertEqual(read_file(self.path()), b"".join(b"%12d" % step for step in STEPS))

    def test_what_waits_for_a_time_does_not_wait_for_the_wall_clock(self):
        """The kernel's caches, the settling of a file that was closed empty, what a killed writer leaves."""
        begin = time.monotonic()
        for step in STEPS:
            for offset in (step, -step):
                self.clock.set(offset)
                self.close(self.open(self.path("empty"), os.O_WRONLY | os.O_CREAT))
                self.clock.set(step)
                self.assertEqual(os.stat(self.path("empty")).st_size, 0)
                os.unlink(self.path("empty"))
            child = self.child("fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
                               "os.write(fd, bytes(3_000_000)); say(); hear()\n", self.path("killed"))
            child.expect()
            self.clock.set(-step)
            child.kill()
            wait_until(lambda: not harness.exists(self.path("killed")), "what a killed writer wrote is gone")
        amount.tell(f"{len(STEPS)} steps of the clock by up to 60 years took {time.monotonic() - begin:.1f} s")

    def test_other_processes_changes_are_seen_after_a_step(self):
        for step in STEPS:
            self.clock.set(step)
            self.caureport("put", "--name", "report.xml", harness.GUID, "-", input=b"x" * (abs(step) % 1000 + 1))
            wait_until(lambda s=step: harness.exists(self.path())
                       and os.stat(self.path()).st_size == abs(s) % 1000 + 1, "the tool's report is seen")

    def test_a_store_from_the_future_can_be_used(self):
        self.clock.set(20 * YEAR)
        write_file(self.path(), b"of the future")
        self.mount.finish()
        self.mount = self.start(path=self.root, environment={})
        self.assertGreater(os.stat(self.path()).st_mtime, time.time() + YEAR)
        self.assert_report(self.path(), b"of the future")
        write_file(self.path(), b"of today")
        self.assertLess(os.stat(self.path()).st_mtime, time.time() + SLACK)


if __name__ == "__main__":
    unittest.main()
