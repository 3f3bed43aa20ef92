# SPDX-License-Identifier: MIT
"""What the users of a mount may take, together and each, and that nobody can keep the others waiting."""
import errno
import fcntl
import os
import struct
import unittest

import harness
from harness import NOBODY, random_bytes, read_file, wait_until, write_file

MIB = 1024 * 1024
NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

# Opens the paths sys.argv[1], numbered, with the flags sys.argv[2], until that fails or sys.argv[3] are open, and says how many
# there are, and why.
OPEN_MANY = """
import errno, resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
try:
    while len(held) < int(sys.argv[3]):
        held.append(os.open(sys.argv[1].replace('%', str(len(held))), int(sys.argv[2]), 0o644))
    say(f'{len(held)} open')
except OSError as error:
    say(f'{len(held)} open, then {errno.errorcode[error.errno]}')
serve()
"""


class SharesTest(harness.ReportTest):
    options = ("allow_other", "max_open=20", "max_uploads=8", "max_staged=4M")

    def setUp(self):
        super().setUp()
        self.let_others_in()
        os.chmod(self.folder, 0o777)

    def opener(self, name, flags, count, **who):
        return self.child(OPEN_MANY, self.path(name), str(flags), str(count), **who)

    def nobody(self):
        return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


class OpenFiles(SharesTest):
    def test_files_beyond_max_open_are_refused(self):
        write_file(self.path("a"), b"one")
        self.opener("a", os.O_RDONLY, 100).expect("20 open, then ENFILE")
        with self.refused(errno.ENFILE):
            os.open(self.path("a"), os.O_RDONLY)
        with self.refused(errno.ENFILE):
            os.open(self.path("b"), NEW)
        self.held.pop().dispose()
        wait_until(self.can_be_read, "what was closed does not count")

    def can_be_read(self):
        try:
            return read_file(self.path("a")) == b"one"
        except OSError as error:
            self.assertEqual(error.errno, errno.ENFILE)
            return False

    @harness.needs_root
    def test_one_user_gets_half_of_them(self):
        write_file(self.path("a"), b"one")
        self.opener("a", os.O_RDONLY, 100, **self.nobody()).expect("10 open, then ENFILE")
        self.opener("a", os.O_RDONLY, 100, **{**self.nobody(), "user": NOBODY - 1}).expect("10 open, then ENFILE")

    def test_an_open_that_fails_does_not_count(self):
        write_file(self.path("a"), b"one")
        for _ in range(50):
            with self.refused(errno.EEXIST):
                os.open(self.path("a"), NEW | os.O_EXCL)
            write_file(self.path("a"), b"one")
        self.opener("a", os.O_RDONLY, 20).expect("20 open")

    def test_folders_have_a_limit_of_their_own(self):
        child = self.child(OPEN_MANY, self.folder, str(os.O_RDONLY | os.O_DIRECTORY), "2000")
        child.expect("1024 open, then ENFILE")
        write_file(self.path("a"), b"one")
        self.assertEqual(read_file(self.path("a")), b"one")


class Uploads(SharesTest):
    def test_uploads_beyond_max_uploads_are_refused(self):
        self.opener("new%", NEW, 100).expect("8 open, then ENFILE")
        with self.refused(errno.ENFILE):
            os.open(self.path("more"), NEW)
        self.held.pop().dispose()
        wait_until(lambda: not any(harness.exists(self.path(f"new{n}")) for n in range(8)), "all are thrown away")
        write_file(self.path("more"), b"one")

    @harness.needs_root
    def test_one_user_gets_half_of_them(self):
        self.opener("new%", NEW, 100, **self.nobody()).expect("4 open, then ENFILE")
        write_file(self.path("more"), b"one")

    def write_until_refused(self, name):
        fd = os.open(self.path(name), NEW)
        try:
            for number in range(8):
                os.write(fd, random_bytes(MIB, number))
            os.fsync(fd)
        finally:
            self.descriptors.add(fd)

    def close_in_vain(self, *codes):
        for fd in list(self.descriptors):
            self.descriptors.discard(fd)
            with self.refused(*codes):
                os.close(fd)

    def test_more_than_max_staged_has_no_room(self):
        with self.refused(errno.ENOSPC):
            self.write_until_refused("a")
        self.close_in_vain(errno.ENOSPC)
        wait_until(lambda: not harness.exists(self.path("a")), "the upload is thrown away")
        write_file(self.path("b"), random_bytes(3 * MIB))
        self.assert_report(self.path("b"), random_bytes(3 * MIB))

    @harness.needs_root
    def test_one_user_may_stage_half_of_it(self):
        child = self.child("import errno\n"
                           "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644)\n"
                           "try:\n"
                           "    for number in range(8): os.write(fd, os.urandom(1 << 20))\n"
                           "    os.fsync(fd)\n"
                           "except OSError as error: say(errno.errorcode[error.errno])\n"
                           "hear()", self.path("a"), **self.nobody())
        child.expect("EDQUOT")
        write_file(self.path("b"), random_bytes(3 * MIB))
        self.assert_report(self.path("b"), random_bytes(3 * MIB))

    def test_many_uploads_that_nobody_closes_cost_others_nothing_but_their_number(self):
        self.remount()
        child = self.child("for n in range(7):\n"
                           "    fd = os.open(f'{sys.argv[1]}{n}', os.O_WRONLY | os.O_CREAT, 0o644)\n"
                           "    os.write(fd, bytes(300000))\n"
                           "say(); hear()", self.path("new"))
        child.expect()
        write_file(self.path("a"), b"one")
        self.assertEqual(self.listed(), ["a"])


class Locks(harness.ReportTest):
    def lock(self, fd, kind, start, length):
        return fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack("hhqqi", kind, os.SEEK_SET, start, length, 0))

    def test_locks_of_one_report_have_a_limit(self):
        write_file(self.path(), b"one")
        fd = self.open(self.path(), os.O_RDWR)
        for number in range(1024):
            self.lock(fd, fcntl.F_WRLCK, 2 * number, 1)
        with self.refused(errno.ENOLCK):
            self.lock(fd, fcntl.F_WRLCK, 5000, 1)
        self.lock(fd, fcntl.F_UNLCK, 0, 0)
        self.lock(fd, fcntl.F_WRLCK, 0, 5000)
        for number in range(1023):
            self.lock(fd, fcntl.F_UNLCK, 2 * number + 1, 1)
        with self.refused(errno.ENOLCK):
            self.lock(fd, fcntl.F_UNLCK, 4001, 1)
        self.lock(fd, fcntl.F_UNLCK, 0, 0)


    @harness.needs_root
    def test_one_user_gets_half_of_the_locks_of_a_report(self):
        self.let_others_in()
        self.remount("allow_other")
        write_file(self.path(), b"one")
        child = self.child("import errno, fcntl\n"
                           "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
                           "try:\n"
                           "    for n in range(2000): fcntl.lockf(fd, fcntl.LOCK_SH, 1, 10000 + 2 * n)\n"
                           "except OSError as error: say(f'{n} locks, then {errno.errorcode[error.errno]}')\n"
                           "hear()", self.path(), user=NOBODY, group=NOBODY, extra_groups=[])
        child.expect("512 locks, then ENOLCK")
        self.lock(self.open(self.path(), os.O_RDWR), fcntl.F_WRLCK, 0, 10)


class Waiting(harness.ReportTest):
    def test_large_files_that_have_to_be_hashed_do_not_keep_others_from_working(self):
        child = self.child("def close(fd):\n"
                           "    say('closing')\n"
                           "    os.close(fd)\n"
                           "    say('closed')\n"
                           "for n in range(16):\n"
                           "    fd = os.open(f'{sys.argv[1]}{n}', os.O_WRONLY | os.O_CREAT, 0o644)\n"
                           "    os.truncate(fd, 4 << 30)\n"
                           "    threading.Thread(target=close, args=[fd], daemon=True).start()\n"
                           "serve()", self.path("large"))
        for _ in range(16):
            child.expect("closing")
        write_file(self.path("small"), b"one")
        self.assertEqual(read_file(self.path("small")), b"one")
        # The answer to a question comes behind what was said before.
        self.assertEqual(child.ask("'nothing closed'"), "'nothing closed'")
        self.mount.crash()
        child.kill()

    def test_a_report_is_not_larger_than_4_gib_unless_that_is_allowed(self):
        fd = self.open(self.path(), NEW)
        with self.refused(errno.EFBIG):
            os.truncate(fd, (4 << 30) + 1)
        with self.refused(errno.EFBIG):
            os.pwrite(fd, b"x", 4 << 30)
        self.descriptors.discard(fd)
        with self.refused(errno.EFBIG):
            os.close(fd)


if __name__ == "__main__":
    unittest.main()
