# SPDX-License-Identifier: MIT
"""Mount options: what they forbid, limit and show, and what a mistyped one says."""
import errno
import os
import stat
import subprocess
import unittest

import harness
from disk import MIB, Disk
from harness import CAUFS, GUID, NOBODY, exists, random_bytes, read_file, text_bytes, wait_until, write_file

NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class ReadOnly(harness.MountTest):
    def setUp(self):
        super().setUp()
        mount = self.start()
        os.mkdir(os.path.join(mount.path, GUID))
        write_file(os.path.join(mount.path, GUID, "a"), random_bytes(300_000))
        mount.finish()
        self.mount = self.start("ro")
        self.folder = os.path.join(self.mount.path, GUID)
        self.a = os.path.join(self.folder, "a")

    def test_ro_serves_reports(self):
        self.assert_report(self.a, random_bytes(300_000))
        self.assertEqual(os.listdir(self.folder), ["a"])
        self.assertIn("ro", harness.caufs_mounts_at(self.mount.path)[0][3].split(","))

    def test_ro_refuses_every_change(self):
        b = os.path.join(self.folder, "b")
        for change in (lambda: os.open(b, NEW, 0o644), lambda: os.open(self.a, os.O_RDWR), lambda: os.unlink(self.a),
                       lambda: os.rename(self.a, b), lambda: os.chmod(self.a, 0o600), lambda: os.truncate(self.a, 0),
                       lambda: os.utime(self.a, (0, 0)), lambda: os.rmdir(self.folder), lambda: os.mknod(b),
                       lambda: os.mkdir(os.path.join(self.mount.path, harness.OTHER_GUID))):
            with self.refused(errno.EROFS):
                change()
        self.assert_report(self.a, random_bytes(300_000))

    def test_ro_shows_what_others_save(self):
        self.caureport("put", "--name", "b", GUID, "-", input=b"new")
        path = os.path.join(self.folder, "b")
        wait_until(lambda: exists(path), "the mount shows the report")
        self.assertEqual(read_file(path), b"new")


class Worm(harness.ReportTest):
    options = ("worm",)

    def setUp(self):
        super().setUp()
        write_file(self.path("a"), b"one")

    def unchanged(self):
        self.assertEqual(self.listed(), ["a"])
        self.assertEqual(read_file(self.path("a")), b"one")

    def test_worm_lets_reports_be_added(self):
        self.run_program("cp", os.path.join(harness.SAMPLES, harness.samples()[0]), self.folder)
        self.assertEqual(self.listed(), sorted(["a", harness.samples()[0]]))
        self.shell("(echo a; echo b) > $1; touch $2", self.path("b"), self.path("c"))
        self.assertEqual(read_file(self.path("b")), b"a\nb\n")
        self.assertEqual(read_file(self.path("c")), b"")

    def test_worm_refuses_to_change_a_report(self):
        for flags in (os.O_WRONLY, os.O_RDWR, NEW, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_CREAT):
            with self.refused(errno.EPERM):
                os.open(self.path("a"), flags, 0o644)
        with self.refused(errno.EPERM):
            os.truncate(self.path("a"), 1)
        self.shell("echo x >> $1", self.path("a"), status=1)
        self.assertIn("Operation not permitted", self.stderr)
        self.unchanged()

    def test_worm_refuses_to_rename_or_remove_a_report(self):
        write_file(self.path("b"), b"two")
        for act in (lambda: os.unlink(self.path("a")), lambda: os.rename(self.path("a"), self.path("c")),
                    lambda: os.rename(self.path("a"), self.path("b")),
                    lambda: harness.renameat2(self.path("a"), self.path("b"), harness.RENAME_EXCHANGE),
                    lambda: harness.renameat2(self.path("a"), self.path("c"), harness.RENAME_NOREPLACE)):
            with self.refused(errno.EPERM):
                act()
        self.run_program("rm", "-f", self.path("a"), status=1)
        self.assertEqual(self.listed(), ["a", "b"])

    def test_worm_refuses_to_change_attributes(self):
        before = os.stat(self.path("a"))
        with self.refused(errno.EPERM):
            os.chmod(self.path("a"), 0o600)
        with self.refused(errno.EPERM):
            os.utime(self.path("a"), (0, 0))
        if os.geteuid() == 0:
            with self.refused(errno.EPERM):
                os.chown(self.path("a"), 1, 1)
        after = os.stat(self.path("a"))
        self.assertEqual((after.st_mode, after.st_mtime_ns, after.st_uid), (before.st_mode, before.st_mtime_ns,
                                                                              before.st_uid))
        self.unchanged()

    def test_worm_refuses_a_second_save_of_one_writer(self):
        fd = self.open(self.path("b"), NEW)
        os.write(fd, b"one")
        os.fsync(fd)
        with self.refused(errno.EPERM):
            os.write(fd, b"two")
            os.fsync(fd)
        self.descriptors.discard(fd)
        with self.refused(errno.EPERM):
            os.close(fd)
        self.assertEqual(read_file(self.path("b")), b"one")

    def test_worm_lets_the_first_of_two_writers_win(self):
        first = self.open(self.path("b"), NEW)
        second = self.open(self.path("b"), NEW)
        os.write(first, b"first")
        os.write(second, b"second")
        self.close(first)
        self.descriptors.discard(second)
        with self.refused(errno.EPERM):
            os.close(second)
        self.assertEqual(read_file(self.path("b")), b"first")

    def test_worm_lets_an_uncommitted_report_be_renamed_but_not_onto_a_report(self):
        fd = self.open(self.path("b.tmp"), NEW)
        os.write(fd, b"two")
        with self.refused(errno.EPERM, errno.EEXIST):
            os.rename(self.path("b.tmp"), self.path("a"))
        os.rename(self.path("b.tmp"), self.path("b"))
        self.close(fd)
        self.assertEqual(read_file(self.path("b")), b"two")
        self.assertEqual(self.listed(), ["a", "b"])

    def test_worm_lets_orchestrators_be_made_and_removed_while_empty(self):
        other = self.make_other_folder()
        os.rmdir(other)
        with self.refused(errno.ENOTEMPTY):
            os.rmdir(self.folder)
        self.unchanged()


class MaxReportSize(harness.ReportTest):
    options = ("max_report_size=1M",)

    def test_a_report_of_exactly_the_limit_is_saved(self):
        write_file(self.path(), bytes(MIB))
        self.assert_report(self.path(), bytes(MIB))

    def test_a_larger_report_is_too_big_and_nothing_of_it_stays(self):
        for offset in (MIB, 10 * MIB):
            fd = self.open(self.path(), NEW)
            os.write(fd, bytes(MIB))
            with self.refused(errno.EFBIG):
                os.pwrite(fd, b"x", offset)
            self.descriptors.discard(fd)
            with self.refused(errno.EFBIG):
                os.close(fd)
            wait_until(lambda: not exists(self.path()), "the upload is thrown away")
        self.run_program("cp", "/dev/zero", self.path(), status=1)
        self.assertIn("File too large", self.stderr)
        self.run_program("truncate", "-s", "2M", self.path("b"), status=1)
        self.assertIn("File too large", self.stderr)
        wait_until(lambda: not exists(self.path()), "the upload is thrown away")

    def test_the_old_version_stays(self):
        write_file(self.path(), b"old")
        self.run_program("dd", "if=/dev/zero", f"of={self.path()}.tmp", "bs=64K", "count=32", status=1)
        self.assertIn("File too large", self.stderr)
        self.assertEqual(read_file(self.path()), b"old")
        with self.refused(errno.EFBIG):
            os.truncate(self.path(), 2 * MIB)
        self.assertEqual(read_file(self.path()), b"old")

    def test_appending_beyond_the_limit_is_too_big(self):
        write_file(self.path(), bytes(MIB - 10))
        fd = self.open(self.path(), os.O_WRONLY | os.O_APPEND)
        with self.refused(errno.EFBIG):
            os.write(fd, bytes(11))
        self.descriptors.discard(fd)
        with self.refused(errno.EFBIG):
            os.close(fd)
        self.assert_report(self.path(), bytes(MIB - 10))

    def test_a_truncation_beyond_the_limit_leaves_what_was_written(self):
        fd = self.open(self.path(), NEW)
        os.write(fd, b"one")
        with self.refused(errno.EFBIG):
            os.ftruncate(fd, MIB + 1)
        with self.refused(errno.EFBIG):
            os.truncate(self.path(), MIB + 1)
        with self.refused(errno.EFBIG):
            os.posix_fallocate(fd, 0, MIB + 1)
        os.write(fd, b", two")
        self.close(fd)
        self.assert_report(self.path(), b"one, two")

    def test_two_appenders_cannot_pass_the_limit_together(self):
        write_file(self.path(), bytes(MIB - 10))
        first, second = (self.open(self.path(), os.O_WRONLY | os.O_APPEND) for _ in "12")
        os.write(first, b"x" * 10)
        os.write(second, b"y" * 10)
        self.close(first)
        self.descriptors.discard(second)
        with self.refused(errno.EFBIG):
            os.close(second)
        self.assert_report(self.path(), bytes(MIB - 10) + b"x" * 10)


class SpaceTest(harness.ReportTest):
    """A store that has no room for a large report."""

    def save_too_much(self, name):
        """Saves 24 MiB that do not compress, in vain."""
        with self.refused(errno.ENOSPC):
            write_file(self.path(name), random_bytes(24 * MIB))

    def check_full(self):
        old = text_bytes(50_000)
        write_file(self.path("old"), old)
        self.save_too_much("new")
        self.assertFalse(exists(self.path("new")))
        self.save_too_much("old")
        self.assert_report(self.path("old"), old)
        self.assertEqual(self.listed(), ["old"])
        self.run_program("cp", "/dev/urandom", self.path("copy"), status=1)
        self.assertIn("No space left on device", self.stderr)
        self.assert_report(self.path("old"), old)

    def check_room_again(self):
        """What a failed save had taken is free again."""
        for number in range(5):
            self.save_too_much("new")
            write_file(self.path(f"small{number}"), random_bytes(100_000, number))
        for number in range(5):
            self.assert_report(self.path(f"small{number}"), random_bytes(100_000, number))


class MaxSize(SpaceTest):
    options = ("max_size=12M",)

    def test_a_save_beyond_max_size_fails_and_nothing_of_it_stays(self):
        self.check_full()

    def test_there_is_room_again_after_a_save_that_failed(self):
        self.check_room_again()

    def test_statfs_shows_the_limit(self):
        found = os.statvfs(self.root)
        self.assertLessEqual(found.f_blocks * found.f_frsize, 12 * MIB)
        self.assertGreater(found.f_bavail * found.f_frsize, 8 * MIB)


@harness.needs_root
class FullDisk(SpaceTest):
    def setUp(self):
        harness.MountTest.setUp(self)
        self.mount = self.start(store=os.path.join(Disk(self, 16 * MIB).path, "store.cau"))
        self.root = self.mount.path
        self.folder = os.path.join(self.root, GUID)
        os.mkdir(self.folder)

    def test_a_save_that_the_disk_has_no_room_for_fails_and_nothing_of_it_stays(self):
        self.check_full()

    def test_there_is_room_again_after_a_save_that_failed(self):
        self.check_room_again()

    def test_a_report_can_be_removed_when_the_disk_is_full(self):
        write_file(self.path("a"), random_bytes(MIB))
        self.save_too_much("b")
        os.unlink(self.path("a"))
        self.assertEqual(self.listed(), [])
        write_file(self.path("c"), random_bytes(MIB // 2))
        self.assert_report(self.path("c"), random_bytes(MIB // 2))


@harness.needs_root
class Shown(harness.ReportTest):
    options = ("uid=1234", "gid=567", "umask=027", "allow_other")

    def test_uid_gid_and_umask_decide_what_is_shown(self):
        write_file(self.path(), b"one")
        os.chmod(self.path(), 0o755)
        for path, kind, bits in ((self.path(), stat.S_IFREG, 0o640), (self.folder, stat.S_IFDIR, 0o750),
                                 (self.root, stat.S_IFDIR, 0o750)):
            found = os.stat(path)
            self.assertEqual((found.st_uid, found.st_gid, found.st_mode), (1234, 567, kind | bits))
        with os.scandir(self.folder) as entries:
            self.assertEqual([entry.stat().st_uid for entry in entries], [1234])
        fd = self.open(self.path("b"), NEW)
        self.assertEqual(os.fstat(fd).st_uid, 1234)

    def test_what_is_kept_is_not_changed_by_them(self):
        write_file(self.path(), b"one")
        os.chmod(self.path(), 0o604)
        self.remount("allow_other")
        found = os.stat(self.path())
        self.assertEqual((found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)), (0, 0, 0o604))

    def test_the_user_who_is_shown_may_write(self):
        self.let_others_in()
        script = ("with open(sys.argv[1], 'wb') as file: file.write(b'mine')\n"
                  "os.unlink(sys.argv[2])\n")
        write_file(self.path("b"), b"two")
        child = self.child(script, self.path(), self.path("b"), user=1234, group=567, extra_groups=[])
        self.assertEqual(child.wait(), 0)
        self.assertEqual(self.listed(), ["report.xml"])
        child = self.child("try: open(sys.argv[1])\nexcept PermissionError: say('refused')", self.path(),
                           user=NOBODY, group=NOBODY, extra_groups=[])
        child.expect("refused")


class Timeouts(harness.ReportTest):
    options = ("attr_timeout=0", "entry_timeout=0")

    def test_with_timeouts_of_0_other_processes_changes_are_seen_at_once(self):
        for number in range(5):
            self.caureport("put", "--name", "a", GUID, "-", input=b"%d" % number * 100)
            self.assertEqual(os.stat(self.path("a")).st_size, 100)
            self.assertEqual(read_file(self.path("a")), b"%d" % number * 100)
        self.caureport("rm", GUID, "a")
        self.assertFalse(exists(self.path("a")))


class CommandLine(harness.MountTest):
    OPTIONS = ("ro", "worm", "max_report_size", "max_size", "keep_killed", "uid", "gid", "umask", "attr_timeout",
               "entry_timeout", "allow_other", "max_staged", "max_uploads", "max_open")

    def caufs(self, *arguments, status):
        return self.run_program(CAUFS, *arguments, status=status, stdin=subprocess.DEVNULL).decode()

    def refuse(self, options, *words):
        """caufs does not mount with @options, and says why in one line that has @words."""
        path = os.path.join(self.dir, "mnt")
        os.makedirs(path, exist_ok=True)
        self.caufs("-f", "-o", options, self.store, path, status=2)
        self.assertEqual(len(self.stderr.splitlines()), 1, self.stderr)
        self.assertTrue(self.stderr.startswith("caufs: "), self.stderr)
        for word in words:
            self.assertIn(word, self.stderr)
        self.assertEqual(harness.caufs_mounts_at(path), [])
        self.assertFalse(exists(self.store))

    def test_help_names_every_option(self):
        for flag in ("--help", "-h"):
            text = self.caufs(flag, status=0)
            self.assertEqual(self.stderr, "")
            self.assertIn("STORE MOUNTPOINT", text)
            for option in (*self.OPTIONS, "-f", "-d", "--version"):
                self.assertRegex(text, rf"(?m)(^|[\s,]){option}\b")
            self.assertLessEqual(max(len(line) for line in text.splitlines()), 80)

    def test_version_is_one_line(self):
        for flag in ("--version", "-V"):
            self.assertRegex(self.caufs(flag, status=0), r"(?m)^caufs \d+\.\d+")

    def test_no_arguments_show_the_usage(self):
        for arguments in ((), (self.store,)):
            self.caufs(*arguments, status=2)
            self.assertRegex(self.stderr, "STORE .*MOUNTPOINT.*--help")

    def test_a_mistyped_option_is_named_with_the_nearest_right_one(self):
        self.refuse("worn", "worn", "worm")
        self.refuse("max_reprot_size=1M", "max_reprot_size", "max_report_size")
        self.refuse("ro,keepkilled", "keepkilled", "keep_killed")
        self.refuse("something_else", "something_else", "--help")

    def test_a_wrong_value_is_named(self):
        for option in ("max_size=lots", "max_report_size=-1", "max_report_size=1X", "umask=999", "umask=abc",
                       "attr_timeout=soon", "entry_timeout=-3", "max_size=99999999999999999999T"):
            name, value = option.split("=")
            self.refuse(option, name, value)
        self.refuse("max_size", "max_size")
        self.refuse("worm=yes", "worm")

    def test_a_mistyped_flag_is_refused(self):
        self.caufs("--frobnicate", self.store, self.dir, status=2)
        self.assertIn("frobnicate", self.stderr)

    def test_sizes_have_units(self):
        mount = self.start("max_report_size=2K")
        os.mkdir(os.path.join(mount.path, GUID))
        path = os.path.join(mount.path, GUID, "a")
        write_file(path, bytes(2048))
        with self.refused(errno.EFBIG):
            write_file(path, bytes(2049))

    def test_options_that_are_for_fstab_only_are_taken(self):
        mount = self.start("rw,noauto,nofail,_netdev,user,x-systemd.automount,x-gvfs-show,comment=reports,nosuid,nodev,"
                           "noatime,defaults")
        os.mkdir(os.path.join(mount.path, GUID))
        options = harness.caufs_mounts_at(mount.path)[0][3].split(",")
        self.assertIn("nosuid", options)
        self.assertIn("nodev", options)

    def test_the_mount_shows_its_store(self):
        mount = self.start()
        self.assertEqual(harness.caufs_mounts_at(mount.path)[0][2], self.store)


if __name__ == "__main__":
    unittest.main()
