# SPDX-License-Identifier: MIT
"""Modes, owners, times, extended attributes, space, and who may do what."""
import errno
import os
import stat
import time
import unittest

import harness
from harness import CHUNK, GUID, NOBODY, random_bytes, read_file, text_bytes, write_file

SECOND = 10 ** 9
OLD_TIME, OLDER_TIME = 1_600_000_000_123_456_789, 1_500_000_000_987_654_321
NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class Kept(harness.ReportTest):
    def test_a_new_report_has_the_mode_asked_for_less_the_umask(self):
        for umask, asked in ((0o022, 0o666), (0o077, 0o644), (0, 0o777), (0o027, 0o440)):
            before = os.umask(umask)
            try:
                self.close(self.open(self.path(f"{asked}-{umask}"), NEW, asked))
            finally:
                os.umask(before)
            self.assertEqual(mode(self.path(f"{asked}-{umask}")), asked & ~umask)
        found = os.stat(self.path(f"{0o666}-{0o022}"))
        self.assertEqual((found.st_uid, found.st_gid), (os.geteuid(), os.getegid()))

    def test_modes_are_kept(self):
        write_file(self.path(), b"one")
        for bits in (0o600, 0o444, 0o7777, 0o1755, 0):
            os.chmod(self.path(), bits)
            self.assertEqual(mode(self.path()), bits)
            self.remount()
            self.assertEqual(mode(self.path()), bits)
        self.assertEqual(os.stat(self.path()).st_size, 3)

    def test_times_are_kept_to_the_nanosecond(self):
        write_file(self.path(), b"one")
        for times in ((OLD_TIME, OLDER_TIME), (0, 0), (OLDER_TIME, 1), (-1, -5 * SECOND - 7), (2 ** 33 * SECOND, 1)):
            os.utime(self.path(), ns=times)
            self.assertEqual((os.stat(self.path()).st_atime_ns, os.stat(self.path()).st_mtime_ns), times)
        os.utime(self.path(), ns=(OLD_TIME, OLDER_TIME))
        self.remount()
        self.assertEqual((os.stat(self.path()).st_atime_ns, os.stat(self.path()).st_mtime_ns), (OLD_TIME, OLDER_TIME))

    @harness.needs_root
    def test_owners_are_kept(self):
        write_file(self.path(), b"one")
        os.chown(self.path(), 1234, 567)
        os.chown(self.path(), -1, 568)
        os.chown(self.folder, 99, 98)
        self.remount()
        found, folder = os.stat(self.path()), os.stat(self.folder)
        self.assertEqual((found.st_uid, found.st_gid), (1234, 568))
        self.assertEqual((folder.st_uid, folder.st_gid), (99, 98))

    def test_attributes_of_orchestrators_and_the_root_are_kept(self):
        for path in (self.folder, self.root):
            os.chmod(path, 0o711)
            os.utime(path, ns=(OLD_TIME, OLDER_TIME))
        self.remount()
        for path in (self.folder, self.root):
            found = os.stat(path)
            self.assertEqual((stat.S_IMODE(found.st_mode), found.st_atime_ns, found.st_mtime_ns),
                             (0o711, OLD_TIME, OLDER_TIME))

    def test_attributes_are_kept_when_a_report_is_changed(self):
        write_file(self.path(), b"one")
        os.chmod(self.path(), 0o640)
        if os.geteuid() == 0:
            os.chown(self.path(), 1234, 567)
        before = os.stat(self.path())
        for change in (lambda: write_file(self.path(), b"two"), lambda: write_file(self.path(), b"three", "ab"),
                       lambda: os.truncate(self.path(), 2), lambda: os.rename(self.path(), self.path("new"))):
            change()
            after = os.stat(self.path() if os.path.exists(self.path()) else self.path("new"))
            for field in ("st_mode", "st_uid", "st_gid"):
                self.assertEqual(getattr(after, field), getattr(before, field))

    def test_writing_clears_the_set_user_id_bits(self):
        write_file(self.path(), b"one")
        os.chmod(self.path(), 0o6755)
        write_file(self.path(), b"two")
        self.assertEqual(mode(self.path()), 0o755)

    def test_attributes_set_while_writing_are_saved_with_the_report(self):
        fd = self.open(self.path(), NEW)
        os.write(fd, b"one")
        os.fchmod(fd, 0o604)
        os.utime(fd, ns=(OLD_TIME, OLDER_TIME))
        self.assertEqual(stat.S_IMODE(os.fstat(fd).st_mode), 0o604)
        self.close(fd)
        self.remount()
        found = os.stat(self.path())
        self.assertEqual((stat.S_IMODE(found.st_mode), found.st_atime_ns, found.st_mtime_ns),
                         (0o604, OLD_TIME, OLDER_TIME))

    def test_attributes_set_through_an_idle_writer_are_seen_at_once_by_readers(self):
        write_file(self.path(), b"one")
        reader, writer = self.open(self.path()), self.open(self.path(), os.O_WRONLY)
        for bits in (0o604, 0o640):
            os.fchmod(writer, bits)
            self.assertEqual(stat.S_IMODE(os.fstat(reader).st_mode), bits)

    def test_attributes_set_through_a_reader_of_a_replaced_version_are_seen_at_once(self):
        write_file(self.path(), b"one")
        reader = self.open(self.path())
        write_file(self.path(), b"two")
        for bits in (0o604, 0o640):
            os.stat(self.path())
            os.fchmod(reader, bits)
            self.assertEqual(mode(self.path()), bits)

    @harness.needs_root
    def test_a_change_of_owner_through_an_idle_writer_takes_the_set_id_bits_away(self):
        write_file(self.path(), b"one")
        fd = self.open(self.path(), os.O_WRONLY)
        os.chmod(self.path(), 0o6755)
        os.fchown(fd, 1234, 567)
        self.assertEqual((mode(self.path()), os.stat(self.path()).st_uid), (0o755, 1234))

    def test_attributes_set_by_path_while_writing_are_saved_with_the_report(self):
        fd = self.open(self.path(), NEW)
        os.write(fd, b"one")
        os.chmod(self.path(), 0o604)
        self.assertEqual(mode(self.path()), 0o604)
        self.close(fd)
        self.assertEqual(mode(self.path()), 0o604)
        self.assertEqual(read_file(self.path()), b"one")

    def test_a_second_writer_of_a_new_report_leaves_its_mode_and_owner(self):
        first = self.open(self.path(), NEW, 0o640)
        if os.geteuid() == 0:
            os.fchown(first, 1234, 567)
        for flags in (os.O_WRONLY, os.O_RDWR | os.O_APPEND, NEW):
            second = self.open(self.path(), flags)
            for found in (os.fstat(second), os.stat(self.path())):
                self.assertEqual((stat.S_IMODE(found.st_mode), found.st_uid), (0o640, os.fstat(first).st_uid))
        os.write(second, b"two")
        self.close(second)
        found = os.stat(self.path())
        self.assertEqual((stat.S_IMODE(found.st_mode), found.st_uid), (0o640, os.fstat(first).st_uid))

    def test_attributes_set_through_an_idle_writer_are_saved_at_once(self):
        write_file(self.path(), b"one")
        fd = self.open(self.path(), os.O_WRONLY)
        os.fchmod(fd, 0o604)
        os.utime(fd, ns=(OLD_TIME, OLDER_TIME))
        self.assertEqual((mode(self.path()), os.stat(self.path()).st_mtime_ns), (0o604, OLDER_TIME))
        self.close(fd)
        self.assertEqual((mode(self.path()), os.stat(self.path()).st_mtime_ns), (0o604, OLDER_TIME))
        self.assertEqual(read_file(self.path()), b"one")

    def test_changing_attributes_keeps_the_version(self):
        write_file(self.path(), random_bytes(300_000))
        fd = self.open(self.path())
        number = os.fstat(fd).st_ino
        os.chmod(self.path(), 0o600)
        os.utime(self.path(), ns=(OLD_TIME, OLD_TIME))
        self.assertEqual(os.stat(self.path()).st_ino, number)
        self.assertEqual(stat.S_IMODE(os.fstat(fd).st_mode), 0o600)
        self.assert_bytes(os.pread(fd, 300_000, 0), random_bytes(300_000))


class Times(harness.ReportTest):
    def now(self):
        """The present, as the kernel stamps files with it."""
        stamp = os.path.join(self.dir, "stamp")
        write_file(stamp, b"x")
        return os.stat(stamp).st_mtime_ns

    def test_saving_sets_the_modification_time(self):
        for change in (lambda: write_file(self.path(), b"one"), lambda: write_file(self.path(), b"two"),
                       lambda: write_file(self.path(), b"three", "ab"), lambda: os.truncate(self.path(), 1)):
            before = self.now()
            change()
            found = os.stat(self.path())
            self.assertLessEqual(before - SECOND, found.st_mtime_ns)
            self.assertLessEqual(found.st_mtime_ns, time.time_ns() + SECOND)
            os.utime(self.path(), ns=(OLD_TIME, OLD_TIME))

    def test_reading_and_renaming_leave_the_times(self):
        write_file(self.path(), b"one")
        os.utime(self.path(), ns=(OLD_TIME, OLDER_TIME))
        read_file(self.path())
        os.rename(self.path(), self.path("b"))
        found = os.stat(self.path("b"))
        self.assertEqual((found.st_atime_ns, found.st_mtime_ns), (OLD_TIME, OLDER_TIME))

    def test_closing_what_was_not_written_leaves_the_time_of_what_others_saved(self):
        fd = self.open(self.path(), os.O_WRONLY | os.O_CREAT)
        write_file(self.path(), b"others")
        os.utime(self.path(), ns=(OLD_TIME, OLDER_TIME))
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"others")
        self.assertEqual(os.stat(self.path()).st_mtime_ns, OLDER_TIME)

    def test_changing_attributes_moves_the_change_time(self):
        write_file(self.path(), b"one")
        for change in (lambda: os.chmod(self.path(), 0o600), lambda: os.utime(self.path(), ns=(0, 0)),
                       lambda: write_file(self.path(), b"two")):
            before = os.stat(self.path()).st_ctime_ns
            change()
            self.assertGreater(os.stat(self.path()).st_ctime_ns, before)

    def test_writing_after_utimens_sets_the_time_again(self):
        fd = self.open(self.path(), NEW)
        os.utime(fd, ns=(OLD_TIME, OLD_TIME))
        os.write(fd, b"one")
        self.close(fd)
        self.assertGreater(os.stat(self.path()).st_mtime_ns, OLD_TIME)


class ExtendedAttributes(harness.ReportTest):
    NAMES = ["user.cau.chunks", "user.cau.sha256", "user.cau.stored_size", "user.cau.timestamp"]

    def get(self, path, name):
        return os.getxattr(path, f"user.cau.{name}").decode()

    def test_a_report_has_its_four_attributes(self):
        data = text_bytes(3 * CHUNK + 5)
        path = self.path("CauReport-20120920203244.xml")
        write_file(path, data)
        self.assertEqual(sorted(os.listxattr(path)), self.NAMES)
        self.assertEqual(self.get(path, "timestamp"), "20120920203244.000000+000")
        self.assertEqual(self.get(path, "sha256"), harness.sha256(data))
        self.assertEqual(self.get(path, "chunks"), "4")
        self.assertLess(int(self.get(path, "stored_size")), len(data) // 2)
        self.assertEqual(os.stat(path).st_blocks, (int(self.get(path, "stored_size")) + 511) // 512)

    def test_they_change_with_the_report(self):
        write_file(self.path(), b"one")
        first = self.get(self.path(), "sha256")
        write_file(self.path(), b"two")
        self.assertEqual(self.get(self.path(), "sha256"), harness.sha256(b"two"))
        self.assertNotEqual(first, harness.sha256(b"two"))
        write_file(self.path(), b"")
        self.assertEqual(self.get(self.path(), "sha256"), harness.sha256(b""))
        self.assertEqual((self.get(self.path(), "chunks"), self.get(self.path(), "stored_size")), ("0", "0"))

    def test_the_timestamp_is_the_one_in_the_name(self):
        for name, timestamp in (("run 20120920203244.123456+060", "20120920193244.123456+000"),
                                ("CauReport-00000101000000.xml", "00000101000000.000000+000"),
                                ("x20240102030405y.html", "20240102030405.000000+000")):
            write_file(self.path(name), b"x")
            self.assertEqual(self.get(self.path(name), "timestamp"), timestamp)
        os.rename(self.path("x20240102030405y.html"), self.path("20250102030405"))
        self.assertEqual(self.get(self.path("20250102030405"), "timestamp"), "20250102030405.000000+000")

    def test_the_timestamp_is_the_time_of_the_save_without_one_in_the_name(self):
        before = time.time() - 1
        write_file(self.path("plain"), b"x")
        text = self.get(self.path("plain"), "timestamp")
        self.assertRegex(text, r"^\d{14}\.\d{6}\+000$")
        saved = time.mktime(time.strptime(text[:14], "%Y%m%d%H%M%S")) - time.timezone
        self.assertLessEqual(before - 1, saved)
        self.assertLessEqual(saved, time.time() + 1)

    def test_getfattr_shows_them(self):
        write_file(self.path(), b"one")
        shown = self.run_program("getfattr", "--absolute-names", "-d", self.path()).decode()
        for name in self.NAMES:
            self.assertIn(f"{name}=", shown)

    def test_any_other_attribute_is_not_there(self):
        write_file(self.path(), b"one")
        for name in ("user.cau.other", "user.note", "user.cau."):
            with self.refused(errno.ENODATA):
                os.getxattr(self.path(), name)
        for name in ("security.capability", "system.posix_acl_access"):
            with self.refused(errno.ENODATA, errno.EOPNOTSUPP):
                os.getxattr(self.path(), name)
        for path in (self.folder, self.root):
            with self.refused(errno.ENODATA):
                os.getxattr(path, "user.cau.sha256")
            self.assertEqual(os.listxattr(path), [])

    def test_a_buffer_too_small_is_refused(self):
        write_file(self.path(), b"one")
        buffer = harness.ctypes.create_string_buffer(64)
        path = os.fsencode(self.path())
        for call, size in ((lambda s: harness.libc.getxattr(path, b"user.cau.sha256", buffer, s), 64),
                           (lambda s: harness.libc.listxattr(path, buffer, s),
                            sum(len(name) + 1 for name in self.NAMES))):
            self.assertEqual(call(0), size)
            self.assertEqual(call(10), -1)
            self.assertEqual(harness.ctypes.get_errno(), errno.ERANGE)


class Space(harness.ReportTest):
    def test_du_tells_what_compression_saved(self):
        write_file(self.path("text"), text_bytes(2_000_000))
        write_file(self.path("random"), random_bytes(2_000_000))
        write_file(self.path("empty"), b"")
        self.assertLess(os.stat(self.path("text")).st_blocks * 512, 1_000_000)
        self.assertGreater(os.stat(self.path("random")).st_blocks * 512, 1_990_000)
        self.assertLess(os.stat(self.path("random")).st_blocks * 512, 2_100_000)
        self.assertEqual(os.stat(self.path("empty")).st_blocks, 0)
        used = int(self.run_program("du", "-B1", self.path("text")).split()[0])
        apparent = int(self.run_program("du", "-B1", "--apparent-size", self.path("text")).split()[0])
        self.assertLess(used, apparent // 2)

    def test_statfs_shows_the_stores_filesystem(self):
        for number in range(5):
            write_file(self.path(f"{number}"), b"x")
        found, below = os.statvfs(self.folder), os.statvfs(self.dir)
        self.assertEqual(found.f_files, 5)
        self.assertEqual(found.f_namemax, 255)
        self.assertGreater(found.f_ffree, 1000)
        self.assertEqual(found.f_blocks * found.f_frsize, below.f_blocks * below.f_frsize)
        os.unlink(self.path("3"))
        self.assertEqual(os.statvfs(self.root).f_files, 4)
        self.assertIn("caufs", self.run_program("df", "--output=fstype", self.root).decode())

    def test_link_counts_are_plain(self):
        write_file(self.path(), b"one")
        self.assertEqual(os.stat(self.path()).st_nlink, 1)
        self.assertGreaterEqual(os.stat(self.folder).st_nlink, 1)
        self.assertEqual(os.stat(self.path()).st_blksize, CHUNK)

    def test_a_report_without_a_name_that_is_being_written_has_no_link(self):
        write_file(self.path("old"), b"old")
        for name in ("new", "old"):
            for remove in (lambda path: os.unlink(path), lambda path: os.rename(self.path("other"), path)):
                write_file(self.path("other"), b"other")
                fd = self.open(self.path(name), os.O_WRONLY | os.O_CREAT)
                os.write(fd, b"changed")
                self.assertEqual(os.fstat(fd).st_nlink, 1)
                remove(self.path(name))
                self.assertEqual(os.fstat(fd).st_nlink, 0)
                self.close(fd)


@harness.needs_root
class Permissions(harness.MountTest):
    def setUp(self):
        super().setUp()
        self.let_others_in()
        self.root = self.start("allow_other").path
        self.folder = os.path.join(self.root, GUID)
        os.mkdir(self.folder)

    def path(self, name="report.xml"):
        return os.path.join(self.folder, name)

    def as_nobody(self, script):
        """Runs @script, with path() for reports, as a user without rights; returns what it says."""
        script = (f"def path(name='report.xml'): return sys.argv[1] + '/' + name\n"
                  "try:\n    " + script.replace("\n", "\n    ") + "\n    say('done')\n"
                  "except OSError as error: say(os.strerror(error.errno))\n")
        child = self.child(script, self.folder, user=NOBODY, group=NOBODY, extra_groups=[])
        answer = child.line()
        self.assertEqual(child.wait(), 0)
        return answer

    def test_the_kernel_checks_the_modes_of_reports(self):
        write_file(self.path(), b"one")
        os.chmod(self.path(), 0o600)
        for script in ("open(path())", "open(path(), 'ab')", "os.truncate(path(), 0)"):
            self.assertEqual(self.as_nobody(script), os.strerror(errno.EACCES))
        for script in ("os.chmod(path(), 0o666)", "os.utime(path(), (0, 0))", "os.chown(path(), 65534, 65534)"):
            self.assertEqual(self.as_nobody(script), os.strerror(errno.EPERM))
        os.chmod(self.path(), 0o604)
        self.assertEqual(self.as_nobody("open(path())"), "done")
        self.assertEqual(self.as_nobody("open(path(), 'ab')"), os.strerror(errno.EACCES))
        self.assertEqual(read_file(self.path()), b"one")

    def test_the_kernel_checks_the_modes_of_orchestrators(self):
        write_file(self.path(), b"one")
        for script in ("open(path('new'), 'wb')", "os.unlink(path())", "os.rename(path(), path('b'))",
                       "os.mknod(path('b'))", "os.rmdir(path(''))"):
            self.assertEqual(self.as_nobody(script), os.strerror(errno.EACCES))
        self.assertEqual(self.as_nobody("os.mkdir(path('../" + harness.OTHER_GUID + "'))"), os.strerror(errno.EACCES))
        os.chmod(self.folder, 0o700)
        self.assertEqual(self.as_nobody("os.stat(path())"), os.strerror(errno.EACCES))
        self.assertEqual(os.listdir(self.folder), ["report.xml"])

    def test_others_make_reports_of_their_own_where_they_may(self):
        os.chmod(self.folder, 0o1777)
        write_file(self.path("roots"), b"one")
        self.assertEqual(self.as_nobody("with open(path(), 'wb') as file: file.write(b'mine')\n"
                                        "os.chmod(path(), 0o640)\nos.rename(path(), path('b'))\n"
                                        "assert open(path('b'), 'rb').read() == b'mine'"), "done")
        found = os.stat(self.path("b"))
        self.assertEqual((found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)), (NOBODY, NOBODY, 0o640))
        self.assertEqual(self.as_nobody("os.unlink(path('roots'))"), os.strerror(errno.EPERM))
        self.assertEqual(self.as_nobody("os.unlink(path('b'))"), "done")

    def test_a_report_without_write_permission_can_be_made_and_filled(self):
        os.chmod(self.folder, 0o777)
        self.assertEqual(self.as_nobody("fd = os.open(path(), os.O_WRONLY | os.O_CREAT, 0o444)\n"
                                        "os.write(fd, b'one'); os.write(fd, b'two'); os.close(fd)"), "done")
        self.assertEqual(self.as_nobody("open(path(), 'wb')"), os.strerror(errno.EACCES))
        self.assertEqual(read_file(self.path()), b"onetwo")

    def test_without_allow_other_nobody_else_looks_in(self):
        self.root = self.start().path
        self.folder = os.path.join(self.root, GUID)
        self.assertEqual(self.as_nobody("os.listdir(path(''))"), os.strerror(errno.EACCES))


if __name__ == "__main__":
    unittest.main()
