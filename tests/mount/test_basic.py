# SPDX-License-Identifier: MIT
"""The tree: orchestrators, report names, and what is refused."""
import errno
import os
import stat
import unittest

import harness
from harness import GUID, OTHER_GUID, SAMPLES, exists, read_file, write_file


class Orchestrators(harness.MountTest):
    def setUp(self):
        super().setUp()
        self.root = self.start().path
        self.folder = os.path.join(self.root, GUID)

    def at(self, *names):
        return os.path.join(self.root, *names)

    def test_a_new_store_is_empty(self):
        self.assertEqual(os.listdir(self.root), [])

    def test_mkdir_makes_an_orchestrator(self):
        os.mkdir(self.folder)
        self.assertEqual(os.listdir(self.root), [GUID])
        self.assertEqual(os.listdir(self.folder), [])
        self.assertTrue(stat.S_ISDIR(os.stat(self.folder).st_mode))

    def test_mkdir_obeys_the_umask(self):
        self.shell("umask 027; mkdir $1", self.folder)
        self.assertEqual(stat.S_IMODE(os.stat(self.folder).st_mode), 0o750)

    def test_orchestrators_are_named_by_their_canonical_guid(self):
        os.mkdir(self.at("{" + GUID.upper() + "}"))
        os.mkdir(self.at(OTHER_GUID.upper()))
        self.assertEqual(sorted(os.listdir(self.root)), sorted([GUID, OTHER_GUID]))

    def test_any_spelling_of_a_guid_leads_to_the_same_orchestrator(self):
        os.mkdir(self.folder)
        write_file(self.at(GUID, "a"), b"one")
        number = os.stat(self.folder).st_ino
        for spelling in (GUID.upper(), "{" + GUID + "}", "{" + GUID.upper() + "}", GUID.title(), GUID):
            with self.subTest(spelling=spelling):
                self.assertEqual(os.stat(self.at(spelling)).st_ino, number)
                self.assertEqual(os.listdir(self.at(spelling)), ["a"])
                self.assertEqual(read_file(self.at(spelling, "a")), b"one")
                write_file(self.at(spelling, "b"), spelling.encode())
                self.assertEqual(read_file(self.at(GUID, "b")), spelling.encode())
                os.unlink(self.at(spelling, "b"))
                self.assertFalse(exists(self.at(GUID, "b")))
                with self.refused(errno.EEXIST):
                    os.mkdir(self.at(spelling))

    def test_any_spelling_of_a_guid_removes_its_orchestrator(self):
        for spelling in (GUID.upper(), "{" + GUID + "}"):
            os.mkdir(self.folder)
            os.stat(self.folder)
            os.rmdir(self.at(spelling))
            self.assertFalse(exists(self.folder))
            self.assertFalse(exists(self.at(spelling)))
            self.assertEqual(os.listdir(self.root), [])

    def test_a_name_that_is_no_guid_is_invalid(self):
        for name in ("reports", GUID[:-1], GUID + "0", "{" + GUID, GUID + "}", GUID.replace("-", ""),
                     GUID.replace("f", "g"), "(" + GUID + ")", " " + GUID, "{{" + GUID + "}}", "lost+found"):
            with self.subTest(name=name):
                with self.refused(errno.EINVAL):
                    os.mkdir(self.at(name))
                with self.refused(errno.ENOENT):
                    os.stat(self.at(name))
        self.assertEqual(os.listdir(self.root), [])

    def test_rmdir_removes_an_empty_orchestrator(self):
        os.mkdir(self.folder)
        os.rmdir(self.folder)
        self.assertFalse(exists(self.folder))
        with self.refused(errno.ENOENT):
            os.rmdir(self.folder)
        os.mkdir(self.folder)
        self.assertEqual(os.listdir(self.folder), [])

    def test_rmdir_of_an_orchestrator_with_reports_is_refused(self):
        os.mkdir(self.folder)
        write_file(self.at(GUID, "a"), b"one")
        with self.refused(errno.ENOTEMPTY):
            os.rmdir(self.folder)
        self.assertEqual(read_file(self.at(GUID, "a")), b"one")

    def test_rmdir_while_its_first_report_is_written_is_refused(self):
        os.mkdir(self.folder)
        fd = self.open(self.at(GUID, "a"), os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"one")
        with self.refused(errno.ENOTEMPTY):
            os.rmdir(self.folder)
        self.close(fd)
        self.assertEqual(read_file(self.at(GUID, "a")), b"one")

    def test_a_file_in_the_root_is_refused(self):
        os.mkdir(self.folder)
        write_file(self.at(GUID, "a"), b"one")
        for name in ("a", OTHER_GUID):
            with self.subTest(name=name):
                with self.refused(errno.EPERM):
                    os.open(self.at(name), os.O_WRONLY | os.O_CREAT, 0o644)
                with self.refused(errno.EPERM):
                    os.mknod(self.at(name), stat.S_IFREG | 0o644)
                with self.refused(errno.EPERM):
                    os.symlink("a", self.at(name))
                with self.refused(errno.EPERM):
                    os.link(self.at(GUID, "a"), self.at(name))
                with self.refused(errno.EPERM):
                    os.rename(self.at(GUID, "a"), self.at(name))
        self.assertEqual(os.listdir(self.root), [GUID])
        self.assertEqual(read_file(self.at(GUID, "a")), b"one")

    def test_unlink_of_an_orchestrator_is_refused(self):
        os.mkdir(self.folder)
        with self.refused(errno.EISDIR):
            os.unlink(self.folder)
        self.assertEqual(os.listdir(self.root), [GUID])

    def test_many_orchestrators_are_listed_in_order(self):
        names = [f"{number * 0x1234567 % 2 ** 32:08x}-0000-4000-8000-{number:012x}" for number in range(300)]
        for name in names:
            os.mkdir(self.at(name))
        self.assertEqual(os.listdir(self.root), sorted(names))
        self.assertEqual(self.shell("ls -f $1", self.root).split(), [".", "..", *sorted(names)])

    def test_orchestrators_outlive_the_mount(self):
        os.mkdir(self.folder)
        self.mounts[0].finish()
        self.assertEqual(os.listdir(self.root), [])
        again = self.start()
        self.assertEqual(os.listdir(again.path), [GUID])


class Names(harness.ReportTest):
    def test_names_of_1_to_255_bytes_are_accepted(self):
        names = ["x", "n" * 255, "ü" * 127 + "x", "報告" * 42 + "xyz", ".hidden", "...", "..a", " ", "a b", "-rf",
                 "a:b*c?d\"e<f>g|h\\i", "CauReport-20120920203244.xml", "20120920203244.123456+000", "𝔘𝔫𝔦", "\u00a0"]
        for name in names:
            write_file(self.path(name), name.encode())
        self.assertEqual(self.listed(), sorted(names))
        for name in names:
            self.assertEqual(read_file(self.path(name)), name.encode())
            os.rename(self.path(name), self.path("other"))
            os.rename(self.path("other"), self.path(name))
            os.unlink(self.path(name))
        self.assertEqual(self.listed(), [])

    def test_names_of_more_than_255_bytes_are_refused(self):
        write_file(self.path("a"), b"one")
        for name in ("n" * 256, "ü" * 128, "n" * 1000):
            with self.refused(errno.ENAMETOOLONG):
                os.stat(self.path(name))
            with self.refused(errno.ENAMETOOLONG):
                os.open(self.path(name), os.O_WRONLY | os.O_CREAT, 0o644)
            with self.refused(errno.ENAMETOOLONG):
                os.rename(self.path("a"), self.path(name))
            with self.refused(errno.ENAMETOOLONG):
                os.unlink(self.path(name))
        self.assertEqual(self.listed(), ["a"])

    def test_names_that_are_not_utf8_or_have_control_characters_are_invalid(self):
        write_file(self.path("a"), b"one")
        for name in (b"\xff.xml", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\xaf", b"a\nb", b"\t", b"a\x7f", b"\x1bx",
                     "x\u0085".encode(), "\u009f".encode(), b"\x01"):
            with self.subTest(name=name):
                path = os.path.join(self.folder.encode(), name)
                with self.refused(errno.EINVAL):
                    os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
                with self.refused(errno.EINVAL):
                    os.mknod(path, stat.S_IFREG | 0o644)
                with self.refused(errno.EINVAL):
                    os.rename(self.path("a").encode(), path)
                with self.refused(errno.ENOENT):
                    os.stat(path)
                with self.refused(errno.ENOENT):
                    os.unlink(path)
        self.assertEqual(self.listed(), ["a"])

    def test_case_matters_and_nothing_is_normalised(self):
        names = ["report", "Report", "REPORT", "\u00e9", "e\u0301"]
        for name in names:
            write_file(self.path(name), name.encode())
        self.assertEqual(self.listed(), sorted(names))
        for name in names:
            self.assertEqual(read_file(self.path(name)), name.encode())

    def test_a_name_is_shown_as_it_was_given_in_the_order_of_its_bytes(self):
        names = ["b", "a", "Z", "ä", "10", "9"]
        for name in names:
            write_file(self.path(name), b"")
        self.assertEqual(os.listdir(self.folder), sorted(names, key=str.encode))


class Refused(harness.ReportTest):
    def setUp(self):
        super().setUp()
        write_file(self.path("a"), b"one")

    def unchanged(self):
        self.assertEqual(self.listed(), ["a"])
        self.assertEqual(read_file(self.path("a")), b"one")
        self.assertEqual(os.listdir(self.root), [GUID])

    def test_mkdir_below_an_orchestrator_is_refused(self):
        for name in ("sub", OTHER_GUID):
            with self.refused(errno.EPERM):
                os.mkdir(self.path(name))
        with self.refused(errno.EEXIST):
            os.mkdir(self.path("a"))
        self.unchanged()

    def test_links_are_refused(self):
        with self.refused(errno.EPERM):
            os.link(self.path("a"), self.path("b"))
        with self.refused(errno.EPERM):
            os.symlink("a", self.path("b"))
        self.run_program("ln", self.path("a"), self.path("b"), status=1)
        self.assertIn("Operation not permitted", self.stderr)
        self.run_program("ln", "-s", self.path("a"), self.path("b"), status=1)
        self.assertIn("Operation not permitted", self.stderr)
        self.unchanged()

    def test_mknod_of_anything_but_a_regular_file_is_refused(self):
        for kind in (stat.S_IFIFO, stat.S_IFSOCK):
            with self.refused(errno.EPERM):
                os.mknod(self.path("b"), kind | 0o644)
        self.unchanged()

    @harness.needs_root
    def test_mknod_of_a_device_is_refused(self):
        for kind in (stat.S_IFCHR, stat.S_IFBLK):
            with self.refused(errno.EPERM):
                os.mknod(self.path("b"), kind | 0o644, os.makedev(1, 3))
        self.unchanged()

    def test_mknod_of_a_regular_file_saves_an_empty_report(self):
        os.mknod(self.path("b"), stat.S_IFREG | 0o640)
        self.assertEqual(self.listed(), ["a", "b"])
        self.assertEqual(read_file(self.path("b")), b"")
        self.assertEqual(stat.S_IMODE(os.stat(self.path("b")).st_mode), 0o640)
        with self.refused(errno.EEXIST):
            os.mknod(self.path("a"), stat.S_IFREG | 0o644)
        self.assertEqual(read_file(self.path("a")), b"one")

    def test_an_unnamed_file_is_refused(self):
        with self.refused(errno.EOPNOTSUPP, errno.EISDIR):
            os.open(self.folder, os.O_RDWR | os.O_TMPFILE, 0o600)
        self.unchanged()

    def test_a_report_is_no_directory_and_an_orchestrator_no_file(self):
        with self.refused(errno.ENOTDIR):
            os.rmdir(self.path("a"))
        with self.refused(errno.ENOTDIR):
            os.listdir(self.path("a"))
        with self.refused(errno.ENOTDIR):
            os.stat(self.path("a") + "/b")
        with self.refused(errno.EISDIR):
            os.open(self.folder, os.O_WRONLY)
        with self.refused(errno.EISDIR):
            os.open(self.folder, os.O_RDWR | os.O_CREAT, 0o644)
        with self.refused(errno.EISDIR):
            os.truncate(self.folder, 0)
        self.unchanged()

    def test_what_is_not_there_is_not_found(self):
        for act in (lambda: os.open(self.path("b"), os.O_RDONLY), lambda: os.open(self.path("b"), os.O_WRONLY),
                    lambda: os.unlink(self.path("b")), lambda: os.stat(self.path("b")),
                    lambda: os.truncate(self.path("b"), 0), lambda: os.chmod(self.path("b"), 0o600),
                    lambda: os.rename(self.path("b"), self.path("c")), lambda: os.rmdir(self.path("b")),
                    lambda: os.open(os.path.join(self.root, OTHER_GUID, "a"), os.O_WRONLY | os.O_CREAT, 0o644)):
            with self.refused(errno.ENOENT):
                act()
        self.unchanged()

    def test_creating_exclusively_what_exists_is_refused(self):
        with self.refused(errno.EEXIST):
            os.open(self.path("a"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self.unchanged()

    def test_setting_xattrs_is_refused(self):
        with self.refused(errno.EOPNOTSUPP):
            os.setxattr(self.path("a"), "user.note", b"x")
        with self.refused(errno.EOPNOTSUPP):
            os.setxattr(self.path("a"), "user.cau.sha256", b"x")
        with self.refused(errno.EOPNOTSUPP):
            os.removexattr(self.path("a"), "user.cau.sha256")
        with self.refused(errno.EOPNOTSUPP):
            os.setxattr(self.folder, "user.note", b"x")
        self.unchanged()


class Samples(harness.ReportTest):
    def test_reports_go_in_and_come_out_byte_for_byte(self):
        for name in harness.samples():
            self.run_program("cp", os.path.join(SAMPLES, name), self.folder)
        self.assertEqual(self.shell("ls $1", self.folder).split(), harness.samples())
        for name in harness.samples():
            expected = read_file(os.path.join(SAMPLES, name))
            self.assert_bytes(self.run_program("cat", self.path(name)), expected, name)
            self.run_program("cp", self.path(name), os.path.join(self.dir, name))
            self.assert_report(os.path.join(self.dir, name), expected)
            self.run_program("cmp", self.path(name), os.path.join(SAMPLES, name))
            self.assertEqual(os.stat(self.path(name)).st_size, len(expected))

    def test_reports_outlive_the_mount(self):
        self.shell("cp $1/*.xml $2", SAMPLES, self.folder)
        self.remount()
        self.assertEqual(self.listed(), harness.samples())
        for name in harness.samples():
            self.assert_report(self.path(name), read_file(os.path.join(SAMPLES, name)))

    def test_ls_shows_sizes_and_times(self):
        data = read_file(os.path.join(SAMPLES, harness.samples()[0]))
        write_file(self.path("r"), data)
        os.utime(self.path("r"), (1_700_000_000, 1_700_000_000))
        line = self.shell("TZ=UTC ls -l --time-style=full-iso $1", self.path("r"))
        self.assertRegex(line, rf"^-rw-r--r-- 1 \S+ +\S+ +{len(data)} 2023-11-14 22:13:20.000000000 \+0000 ")

    def test_every_size_around_the_chunks_comes_back(self):
        sizes = [0, 1, 4095, 4096, 4097, *(n * harness.CHUNK + d for n in (1, 2, 8) for d in (-1, 0, 1))]
        for size in sizes:
            write_file(self.path(f"{size}"), harness.random_bytes(size, size))
        self.remount()
        for size in sizes:
            self.assertEqual(os.stat(self.path(f"{size}")).st_size, size)
            self.assert_report(self.path(f"{size}"), harness.random_bytes(size, size))


if __name__ == "__main__":
    unittest.main()
