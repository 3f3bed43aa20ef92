# SPDX-License-Identifier: MIT
"""flock and POSIX locks between processes, whoever reads or writes."""
import errno
import fcntl
import os
import signal
import struct
import unittest

import harness
from harness import read_file, write_file

LOCKER = """
import fcntl
def attempt(lock, *arguments):
    try:
        lock(fd, *arguments)
        say('locked')
    except OSError as error:
        say(os.strerror(error.errno))
fd = os.open(sys.argv[1], int(sys.argv[2]))
"""

REFUSED = os.strerror(errno.EAGAIN)
F_OFD_SETLK = 37


def whose_lock(fd, kind=fcntl.F_WRLCK, start=0, length=0):
    """F_GETLK: (type, start, length, pid) of the lock that would be in the way."""
    layout = "hhqqi4x"
    answer = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(layout, kind, os.SEEK_SET, start, length, 0))
    found, _, start, length, pid = struct.unpack(layout, answer)
    return found, start, length, pid


class LockTest(harness.ReportTest):
    def setUp(self):
        super().setUp()
        write_file(self.path(), b"0123456789")

    def locker(self, script, flags=os.O_RDWR):
        return self.child(LOCKER + script, self.path(), str(flags))


class Flock(LockTest):
    def test_an_exclusive_flock_excludes_readers_and_writers(self):
        fd = self.open(self.path())
        fcntl.flock(fd, fcntl.LOCK_EX)
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
            other = self.locker("attempt(fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
                                "attempt(fcntl.flock, fcntl.LOCK_SH | fcntl.LOCK_NB)\n", flags)
            other.expect(REFUSED)
            other.expect(REFUSED)
            self.assertEqual(other.wait(), 0)
        fcntl.flock(fd, fcntl.LOCK_UN)
        other = self.locker("attempt(fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n")
        other.expect("locked")

    def test_a_writer_that_holds_a_flock_excludes_readers(self):
        fd = self.open(self.path(), os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        other = self.locker("attempt(fcntl.flock, fcntl.LOCK_SH | fcntl.LOCK_NB)\n", os.O_RDONLY)
        other.expect(REFUSED)
        os.write(fd, b"x")
        self.close(fd)
        other = self.locker("attempt(fcntl.flock, fcntl.LOCK_SH | fcntl.LOCK_NB)\n", os.O_RDONLY)
        other.expect("locked")

    def test_shared_flocks_live_together(self):
        first, second = self.open(self.path()), self.open(self.path())
        fcntl.flock(first, fcntl.LOCK_SH)
        fcntl.flock(second, fcntl.LOCK_SH)
        other = self.locker("attempt(fcntl.flock, fcntl.LOCK_SH | fcntl.LOCK_NB)\n"
                            "attempt(fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n")
        other.expect("locked")
        other.expect(REFUSED)

    def test_flocks_belong_to_the_open_file(self):
        first, second = self.open(self.path()), self.open(self.path())
        fcntl.flock(first, fcntl.LOCK_EX)
        with self.refused(errno.EAGAIN):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        copy = os.dup(first)
        self.close(first)
        with self.refused(errno.EAGAIN):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(copy)
        fcntl.flock(second, fcntl.LOCK_EX)

    def test_a_flock_can_be_converted(self):
        first, second = self.open(self.path()), self.open(self.path())
        fcntl.flock(first, fcntl.LOCK_EX)
        fcntl.flock(first, fcntl.LOCK_SH)
        fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
        with self.refused(errno.EAGAIN):
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(second, fcntl.LOCK_UN)
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_a_waiting_flock_is_granted_when_the_holder_lets_go(self):
        fd = self.open(self.path())
        fcntl.flock(fd, fcntl.LOCK_EX)
        others = [self.locker("say('waits')\nattempt(fcntl.flock, fcntl.LOCK_EX)\n") for _ in range(3)]
        for other in others:
            other.expect("waits")
        fcntl.flock(fd, fcntl.LOCK_UN)
        for other in others:
            other.expect("locked")
            self.assertEqual(other.wait(), 0)

    def test_a_flock_ends_with_its_process(self):
        other = self.locker("attempt(fcntl.flock, fcntl.LOCK_EX)\nhear()\n")
        other.expect("locked")
        fd = self.open(self.path())
        with self.refused(errno.EAGAIN):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        other.kill()
        fcntl.flock(fd, fcntl.LOCK_EX)

    def test_a_waiting_flock_can_be_interrupted(self):
        fd = self.open(self.path())
        fcntl.flock(fd, fcntl.LOCK_EX)
        other = self.locker("def stop(*_): raise InterruptedError(4, os.strerror(4))\n"
                            "signal.signal(signal.SIGUSR1, stop)\n"
                            "say('waits')\nattempt(fcntl.flock, fcntl.LOCK_EX)\n"
                            "attempt(fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n")
        other.expect("waits")
        harness.wait_until(lambda: "flock" in self.waits_in(other.pid), "the other process waits")
        other.process.send_signal(signal.SIGUSR1)
        other.expect(os.strerror(errno.EINTR))
        other.expect(REFUSED)

    def waits_in(self, pid):
        """The system call that @pid is in, and nothing while it runs."""
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            number = file.read().split()[0]
        return {"73": "flock", "72": "fcntl", "32": "flock", "25": "fcntl"}.get(number, "")

    def test_the_flock_program_works(self):
        self.assertEqual(self.shell("flock -n $1 flock -n $1 echo wrong || echo refused", self.path()), "refused\n")
        self.assertEqual(self.shell("flock -n -s $1 flock -n -s $1 echo both", self.path()), "both\n")
        self.assertEqual(self.shell("flock $1 echo made", self.path("new.lock")), "made\n")
        self.assertEqual(self.listed(), ["new.lock", "report.xml"])

    def test_a_lock_guards_a_counter(self):
        write_file(self.path("count"), b"0")
        script = ("import fcntl\n"
                  "guard = os.open(sys.argv[1], os.O_RDONLY)\n"
                  "for _ in range(25):\n"
                  "    fcntl.flock(guard, fcntl.LOCK_EX)\n"
                  "    count = int(open(sys.argv[2]).read())\n"
                  "    with open(sys.argv[2], 'w') as file: file.write(str(count + 1))\n"
                  "    fcntl.flock(guard, fcntl.LOCK_UN)\n")
        children = [self.child(script, self.path(), self.path("count")) for _ in range(4)]
        self.assertEqual([child.wait() for child in children], [0] * 4)
        self.assertEqual(read_file(self.path("count")), b"100")


class PosixLocks(LockTest):
    def test_a_write_lock_excludes_other_processes(self):
        fd = self.open(self.path(), os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        other = self.locker("attempt(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
                            "attempt(fcntl.lockf, fcntl.LOCK_SH | fcntl.LOCK_NB)\n")
        other.expect(REFUSED)
        other.expect(REFUSED)
        reader = self.locker("attempt(fcntl.lockf, fcntl.LOCK_SH | fcntl.LOCK_NB)\nhear()\n"
                             "attempt(fcntl.lockf, fcntl.LOCK_SH | fcntl.LOCK_NB)\n", os.O_RDONLY)
        reader.expect(REFUSED)
        fcntl.lockf(fd, fcntl.LOCK_UN)
        reader.tell()
        reader.expect("locked")

    def test_a_reader_that_holds_a_lock_excludes_writers(self):
        fd = self.open(self.path())
        fcntl.lockf(fd, fcntl.LOCK_SH)
        other = self.locker("attempt(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
                            "attempt(fcntl.lockf, fcntl.LOCK_SH | fcntl.LOCK_NB)\n")
        other.expect(REFUSED)
        other.expect("locked")

    def test_ranges_are_locked_apart(self):
        fd = self.open(self.path(), os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX, 10, 0)
        fcntl.lockf(fd, fcntl.LOCK_EX, 10, 20)
        other = self.locker("".join(f"attempt(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB, {length}, {start})\n"
                                    for length, start in ((10, 10), (1, 9), (1, 20), (5, 30), (0, 30), (0, 15))))
        for expected in ("locked", REFUSED, REFUSED, "locked", "locked", REFUSED):
            other.expect(expected)

    def test_a_lock_is_split_by_unlocking_its_middle(self):
        fd = self.open(self.path(), os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX, 100, 0)
        fcntl.lockf(fd, fcntl.LOCK_UN, 20, 40)
        other = self.locker("".join(f"attempt(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB, {length}, {start})\n"
                                    for length, start in ((1, 39), (20, 40), (1, 60), (1, 100))))
        for expected in (REFUSED, "locked", REFUSED, "locked"):
            other.expect(expected)

    def test_getlk_tells_who_is_in_the_way(self):
        other = self.locker("attempt(fcntl.lockf, fcntl.LOCK_EX, 5, 3)\nhear()\n"
                            "attempt(fcntl.lockf, fcntl.LOCK_UN, 5, 3)\nhear()\n")
        other.expect("locked")
        for flags in (os.O_RDONLY, os.O_RDWR):
            fd = self.open(self.path(), flags)
            self.assertEqual(whose_lock(fd), (fcntl.F_WRLCK, 3, 5, other.pid))
            self.assertEqual(whose_lock(fd, start=8)[0], fcntl.F_UNLCK)
            self.close(fd)
        other.tell()
        other.expect("locked")
        self.assertEqual(whose_lock(self.open(self.path(), os.O_RDWR))[0], fcntl.F_UNLCK)

    def test_a_waiting_lock_is_granted_when_the_holder_lets_go(self):
        fd = self.open(self.path(), os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        other = self.locker("say('waits')\nattempt(fcntl.lockf, fcntl.LOCK_EX)\n")
        other.expect("waits")
        fcntl.lockf(fd, fcntl.LOCK_UN)
        other.expect("locked")

    def test_closing_any_descriptor_of_a_writer_lets_its_locks_go(self):
        fd = self.open(self.path(), os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        os.close(os.dup(fd))
        other = self.locker("attempt(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB)\n")
        other.expect("locked")

    def test_a_reader_that_closes_lets_its_locks_go(self):
        fd = self.open(self.path())
        fcntl.lockf(fd, fcntl.LOCK_SH)
        self.close(fd)
        other = self.locker("attempt(fcntl.lockf, fcntl.LOCK_EX)\n")
        other.expect("locked")

    def test_a_reader_that_closes_lets_its_locks_go_while_others_read(self):
        self.open(self.path())
        fd = self.open(self.path())
        fcntl.lockf(fd, fcntl.LOCK_SH)
        self.close(fd)
        other = self.locker("attempt(fcntl.lockf, fcntl.LOCK_EX)\n")
        other.expect("locked")

    # What outlives no RELEASE: who gets the lock of it knows that the one before has been served.
    AFTER_RELEASE = ("attempt(fcntl.lockf, fcntl.LOCK_EX, 1, 1000)\n"
                     "attempt(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)\n")

    def test_a_lock_stays_when_another_file_of_its_process_is_released(self):
        other = self.locker("fcntl.lockf(fd, fcntl.LOCK_SH, 10, 0)\n"
                            "fcntl.lockf(fd, fcntl.LOCK_UN, 10, 0)\n"
                            "fcntl.lockf(fd, fcntl.LOCK_SH, 1, 1000)\n"
                            "child = os.fork()\n"
                            "if child == 0:\n"
                            "    hear()\n"
                            "    os._exit(0)\n"
                            "os.close(fd)\n"
                            "fd = os.open(sys.argv[1], os.O_RDWR)\n"
                            "attempt(fcntl.lockf, fcntl.LOCK_EX, 10, 0)\n"
                            "os.waitpid(child, 0)\n"
                            "say('closed')\n"
                            "signal.pause()\n", os.O_RDONLY)
        other.expect("locked")
        other.tell()
        other.expect("closed")
        third = self.locker(self.AFTER_RELEASE)
        third.expect("locked")
        third.expect(REFUSED)

    def test_a_lock_stays_when_a_file_is_released_whose_dead_user_had_the_same_number(self):
        # The number is made of the address of a structure of the kernel, which most often is used again at once.
        for _ in range(10):
            other = self.locker("os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
                                "fcntl.lockf(fd, fcntl.LOCK_SH, 1, 1000)\n"
                                "child = os.fork()\n"
                                "if child == 0:\n"
                                "    fcntl.lockf(fd, fcntl.LOCK_SH, 10, 0)\n"
                                "    os._exit(0)\n"
                                "os.waitpid(child, 0)\n"
                                "reading, writing = os.pipe()\n"
                                "if os.fork() == 0:\n"
                                "    os.close(fd)\n"
                                "    os.close(writing)\n"
                                "    fd = os.open(sys.argv[1], os.O_RDWR)\n"
                                "    attempt(fcntl.lockf, fcntl.LOCK_EX, 10, 0)\n"
                                "    os.read(reading, 1)\n"
                                "    os._exit(0)\n"
                                "hear()\n"
                                "os.close(fd)\n"
                                "hear()\n", os.O_RDONLY)
            other.expect("locked")
            other.tell()
            third = self.locker(self.AFTER_RELEASE)
            third.expect("locked")
            third.expect(REFUSED)
            self.assertEqual(third.wait(), 0)
            other.tell()
            self.assertEqual(other.wait(), 0)

    def test_a_lock_of_an_open_file_outlives_the_process_that_set_it(self):
        layout = "hhqqi4x"
        other = self.locker("import struct\n"
                            "child = os.fork()\n"
                            "if child == 0:\n"
                            f"    fcntl.fcntl(fd, {F_OFD_SETLK}, struct.pack({layout!r}, fcntl.F_WRLCK, 0, 0, 0, 0))\n"
                            "    os._exit(0)\n"
                            "say(os.waitpid(child, 0)[1])\n"
                            "hear()\n")
        other.expect("0")
        third = self.locker("attempt(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
                            "attempt(fcntl.lockf, fcntl.LOCK_EX)\n")
        third.expect(REFUSED)
        other.tell()
        third.expect("locked")

    def test_locks_end_with_their_process(self):
        for flags in (os.O_RDONLY, os.O_RDWR):
            kind = "SH" if flags == os.O_RDONLY else "EX"
            other = self.locker(f"attempt(fcntl.lockf, fcntl.LOCK_{kind})\nhear()\n", flags)
            other.expect("locked")
            fd = self.open(self.path(), os.O_RDWR)
            with self.refused(errno.EAGAIN, errno.EACCES):
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            other.kill()
            fcntl.lockf(fd, fcntl.LOCK_EX)
            self.close(fd)

    def test_locks_stay_through_a_save(self):
        fd = self.open(self.path(), os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        os.write(fd, b"new")
        os.fsync(fd)
        self.assertEqual(read_file(self.path()), b"new3456789")
        other = self.locker("attempt(fcntl.lockf, fcntl.LOCK_SH | fcntl.LOCK_NB)\n", os.O_RDONLY)
        other.expect(REFUSED)

    def test_locks_of_a_new_report_stay_through_its_first_save(self):
        path = self.path("new")
        fd = self.open(path, os.O_RDWR | os.O_CREAT)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        os.write(fd, b"one")
        other = self.child(LOCKER + "attempt(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB)\n", path, str(os.O_RDWR))
        other.expect(REFUSED)
        os.fsync(fd)
        other = self.child(LOCKER + "attempt(fcntl.lockf, fcntl.LOCK_SH | fcntl.LOCK_NB)\n", path, str(os.O_RDONLY))
        other.expect(REFUSED)


if __name__ == "__main__":
    unittest.main()
