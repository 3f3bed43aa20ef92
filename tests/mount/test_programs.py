# SPDX-License-Identifier: MIT
"""Real programs: copying, editing and packing as people do it."""
import filecmp
import os
import stat
import subprocess
import unittest

import harness
from harness import GUID, SAMPLES, exists, random_bytes, read_file, write_file

DAY = 1_700_000_000_123_456_789


class ProgramTest(harness.ReportTest):
    def setUp(self):
        super().setUp()
        self.local = os.path.join(self.dir, "local")
        os.mkdir(self.local)
        for number, name in enumerate(harness.samples()):
            path = os.path.join(self.local, name)
            write_file(path, read_file(os.path.join(SAMPLES, name)))
            os.chmod(path, (0o600, 0o644, 0o440)[number % 3])
            os.utime(path, ns=(DAY, DAY + number * 10 ** 10))

    def program(self, *arguments, **how):
        return self.run_program(*arguments, **how).decode()

    def assert_same_folders(self, left, right, metadata=True):
        self.assertEqual(sorted(os.listdir(left)), sorted(os.listdir(right)))
        for name in os.listdir(left):
            a, b = os.path.join(left, name), os.path.join(right, name)
            self.assertTrue(filecmp.cmp(a, b, shallow=False), name)
            if metadata:
                first, second = os.stat(a), os.stat(b)
                for field in ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns"):
                    self.assertEqual(getattr(first, field), getattr(second, field), f"{field} of {name}")


class Copying(ProgramTest):
    def test_cp_a_keeps_everything(self):
        self.program("cp", "-a", f"{self.local}/.", self.folder)
        self.assert_same_folders(self.local, self.folder)
        out = os.path.join(self.dir, "out")
        self.program("cp", "-a", self.folder, out)
        self.assert_same_folders(self.local, out)
        self.assertEqual(os.stat(out).st_mtime_ns, os.stat(self.folder).st_mtime_ns)

    def test_cp_r_copies_a_whole_store(self):
        self.program("cp", "-a", f"{self.local}/.", self.folder)
        other = self.start(store=os.path.join(self.dir, "other.cau"))
        self.program("cp", "-a", f"{self.root}/.", other.path)
        self.assert_same_folders(os.path.join(other.path, GUID), self.local)
        self.assertEqual(os.stat(os.path.join(other.path, GUID)).st_mtime_ns, os.stat(self.folder).st_mtime_ns)

    def test_cp_replaces_a_report(self):
        source, target = os.path.join(self.dir, "source"), self.path()
        for size in (500_000, 10, 0, 131_072):
            write_file(source, random_bytes(size))
            for options in ([], ["-f"], ["--remove-destination"], ["--reflink=auto"], ["--sparse=always"]):
                self.program("cp", *options, source, target)
                self.assert_report(target, random_bytes(size))
        self.assertEqual(self.listed(), ["report.xml"])

    def test_cp_within_an_orchestrator_copies(self):
        write_file(self.path("a"), random_bytes(300_000))
        self.program("cp", self.path("a"), self.path("b"))
        self.assert_report(self.path("b"), random_bytes(300_000))
        self.program("cp", "--backup=numbered", self.path("b"), self.path("a"))
        self.assertEqual(self.listed(), ["a", "a.~1~", "b"])

    def test_mv_in_and_out_moves(self):
        name = harness.samples()[3]
        before = os.stat(os.path.join(self.local, name))
        data = read_file(os.path.join(self.local, name))
        self.program("mv", os.path.join(self.local, name), self.folder)
        self.assertFalse(exists(os.path.join(self.local, name)))
        self.assert_report(self.path(name), data)
        self.program("mv", self.path(name), self.local)
        self.assertEqual(self.listed(), [])
        self.assert_report(os.path.join(self.local, name), data)
        after = os.stat(os.path.join(self.local, name))
        self.assertEqual((after.st_mtime_ns, after.st_mode), (before.st_mtime_ns, before.st_mode))

    def test_mv_within_the_store_renames(self):
        other = self.make_other_folder()
        write_file(self.path("a"), b"one")
        number = os.stat(self.path("a")).st_ino
        self.program("mv", self.path("a"), self.path("b"))
        self.program("mv", self.path("b"), other)
        self.assertEqual(read_file(os.path.join(other, "b")), b"one")
        self.assertEqual(os.stat(os.path.join(other, "b")).st_ino, number)
        write_file(self.path("b"), b"kept")
        self.program("mv", "-n", self.path("b"), other, status=None)
        self.assertEqual(read_file(os.path.join(other, "b")), b"one")
        self.assertEqual(read_file(self.path("b")), b"kept")

    def test_mv_of_an_orchestrator_is_refused(self):
        self.program("mv", "-T", self.folder, os.path.join(self.root, harness.OTHER_GUID), status=1)
        self.assertIn("Operation not permitted", self.stderr)
        self.assertEqual(os.listdir(self.root), [GUID])

    def test_install_sets_mode_and_time(self):
        source = os.path.join(self.local, harness.samples()[0])
        for _ in range(2):
            self.program("install", "-p", "-m", "640", source, self.path())
            self.assert_report(self.path(), read_file(source))
            self.assertEqual(stat.S_IMODE(os.stat(self.path()).st_mode), 0o640)
            self.assertEqual(os.stat(self.path()).st_mtime_ns, os.stat(source).st_mtime_ns)

    def test_split_writes_its_parts(self):
        data = random_bytes(100_000)
        source = os.path.join(self.dir, "source")
        write_file(source, data)
        self.program("split", "-b", "7001", source, self.path("part-"))
        self.assertEqual(len(self.listed()), 15)
        self.assert_bytes(self.shell("cat $1/part-* | base64 -w0", self.folder).encode(),
                          self.shell("base64 -w0 $1", source).encode())
        self.program("split", "-n", "l/4", os.path.join(self.local, harness.samples()[8]), self.path("lines-"))
        self.assert_bytes(b"".join(read_file(self.path(f"lines-a{letter}")) for letter in "abcd"),
                          read_file(os.path.join(self.local, harness.samples()[8])))


class Rsync(ProgramTest):
    def rsync(self, *options):
        return self.program("rsync", "--itemize-changes", *options, f"{self.local}/", f"{self.folder}/")

    def test_rsync_a_saves_all_and_a_second_time_nothing(self):
        self.assertEqual(len([line for line in self.rsync("-a").splitlines() if line.startswith(">f")]),
                         len(harness.samples()))
        self.assert_same_folders(self.local, self.folder)
        self.assertEqual(self.rsync("-a"), "")
        self.assertEqual(self.rsync("-a", "--checksum"), "")
        write_file(os.path.join(self.local, harness.samples()[2]), b"changed")
        self.assertEqual(len(self.rsync("-a").splitlines()), 1)
        self.assert_same_folders(self.local, self.folder)

    def test_rsync_leaves_no_temporary_names(self):
        self.rsync("-a")
        self.assertEqual(self.listed(), harness.samples())

    def test_rsync_inplace_changes_reports_where_they_are(self):
        for delta in ("--whole-file", "--no-whole-file"):
            self.rsync("-a", "--inplace", delta)
            self.assert_same_folders(self.local, self.folder)
            name = harness.samples()[-1]
            data = bytearray(read_file(os.path.join(self.local, name)))
            data[500_000:500_007] = delta[:7].encode()
            write_file(os.path.join(self.local, name), data[:-1000])
            self.rsync("-a", "--inplace", delta)
            self.assert_same_folders(self.local, self.folder)
            self.assertEqual(self.rsync("-a", "--inplace"), "")

    def test_rsync_append_completes_a_report(self):
        name = harness.samples()[-1]
        data = read_file(os.path.join(self.local, name))
        write_file(self.path(name), data[:600_000])
        self.program("rsync", "--append", os.path.join(self.local, name), self.path(name))
        self.assert_report(self.path(name), data)

    def test_rsync_delete_removes_what_is_gone(self):
        write_file(self.path("gone"), b"x")
        self.rsync("-a", "--delete")
        self.assert_same_folders(self.local, self.folder)

    def test_rsync_takes_reports_out(self):
        self.rsync("-a")
        out = os.path.join(self.dir, "out")
        self.program("rsync", "-a", f"{self.root}/", out)
        self.assert_same_folders(self.local, os.path.join(out, GUID))
        self.assertEqual(self.program("rsync", "-a", "--itemize-changes", f"{self.root}/", out), "")

    def test_rsync_makes_orchestrators(self):
        tree = os.path.join(self.dir, "tree")
        os.mkdir(tree)
        os.rename(self.local, os.path.join(tree, harness.OTHER_GUID))
        self.program("rsync", "-a", f"{tree}/", f"{self.root}/")
        self.assert_same_folders(os.path.join(tree, harness.OTHER_GUID), os.path.join(self.root, harness.OTHER_GUID))


class Tar(ProgramTest):
    def test_tar_goes_in_and_out(self):
        archive = os.path.join(self.dir, "a.tar")
        self.program("tar", "--format=posix", "-cf", archive, "-C", self.local, ".")
        for _ in range(2):
            self.program("tar", "-xpf", archive, "-C", self.folder)
            self.assert_same_folders(self.local, self.folder)
        out = os.path.join(self.dir, "out")
        os.mkdir(out)
        self.shell("tar --format=posix -cf - -C $1 . | tar -xpf - -C $2", self.folder, out)
        self.assert_same_folders(self.local, out)
        self.program("tar", "-df", archive, "-C", self.folder)

    def test_tar_writes_an_archive_into_a_report(self):
        self.program("tar", "-czf", self.path("a.tgz"), "-C", self.local, ".")
        self.assertEqual(sorted(self.program("tar", "-tzf", self.path("a.tgz")).split())[1:],
                         [f"./{name}" for name in harness.samples()])
        self.program("tar", "-cf", self.path("a.tar"), "-C", self.local, harness.samples()[0])
        self.program("tar", "-rf", self.path("a.tar"), "-C", self.local, harness.samples()[1])
        self.assertEqual(self.program("tar", "-tf", self.path("a.tar")).split(), harness.samples()[:2])


class Editing(ProgramTest):
    def setUp(self):
        super().setUp()
        write_file(self.path(), b"first line\nsecond line\nthird line\n")
        os.chmod(self.path(), 0o640)

    def edited(self, expected, names=("report.xml",)):
        self.assertEqual(read_file(self.path()), expected)
        self.assertEqual(self.listed(), sorted(names))
        self.assertEqual(stat.S_IMODE(os.stat(self.path()).st_mode), 0o640)

    def test_sed_i_edits(self):
        self.program("sed", "-i", "s/second/2nd/", self.path())
        self.edited(b"first line\n2nd line\nthird line\n")
        self.program("sed", "-i.bak", "1d", self.path())
        self.edited(b"2nd line\nthird line\n", ("report.xml", "report.xml.bak"))
        self.assertEqual(read_file(self.path("report.xml.bak")), b"first line\n2nd line\nthird line\n")

    def test_ed_edits(self):
        self.program("ed", "-s", self.path(), input=b"2d\n$a\nlast line\n.\nw\n1,$p\nq\n")
        self.edited(b"first line\nthird line\nlast line\n")
        self.program("ed", "-s", self.path(), input=b"0a\nzeroth\n.\nW\nq\n")
        self.edited(b"first line\nthird line\nlast line\nzeroth\nfirst line\nthird line\nlast line\n")

    def vim(self, *commands, status=0):
        script = [word for command in commands for word in ("-c", command)]
        self.program("vim.tiny", "-u", "NONE", "-i", "NONE", "-N", "-e", "-s", *script, self.path(), status=status,
                     cwd=self.dir, stdin=subprocess.DEVNULL)

    def test_vim_edits_in_place(self):
        self.vim("set backupcopy=yes", "%s/line/LINE/", "wq")
        self.edited(b"first LINE\nsecond LINE\nthird LINE\n")

    def test_vim_edits_by_renaming(self):
        self.vim("set backupcopy=no writebackup", "%s/line/LINE/", "wq")
        self.edited(b"first LINE\nsecond LINE\nthird LINE\n")

    def test_vim_edits_with_a_swap_file_beside_the_report(self):
        self.vim("set directory=. updatecount=1 nofsync", "edit! %", "2d", "preserve", "write", "$d", "wq")
        self.edited(b"first line\n")

    def test_vim_keeps_a_backup(self):
        self.vim("set backup backupdir=. backupskip=", "1d", "wq")
        self.edited(b"second line\nthird line\n", ("report.xml", "report.xml~"))
        self.assertEqual(read_file(self.path("report.xml~")), b"first line\nsecond line\nthird line\n")

    def test_perl_edits_in_place(self):
        self.program("perl", "-pi", "-e", "s/line/row/", self.path())
        self.edited(b"first row\nsecond row\nthird row\n")


class SmallTools(ProgramTest):
    def test_touch_d_sets_the_time(self):
        write_file(self.path(), b"one")
        number = os.stat(self.path()).st_ino
        self.program("touch", "-d", "2012-09-20 20:32:44.5 UTC", self.path())
        after = os.stat(self.path())
        self.assertEqual((after.st_mtime_ns, after.st_atime_ns), (1_348_173_164_500_000_000,) * 2)
        self.assertEqual(after.st_ino, number)
        self.assertEqual(read_file(self.path()), b"one")
        self.program("touch", "-a", "-d", "@1000000000", self.path())
        after = os.stat(self.path())
        self.assertEqual((after.st_mtime_ns, after.st_atime_ns), (1_348_173_164_500_000_000, 10 ** 18))

    def test_touch_makes_an_empty_report(self):
        self.program("touch", "-d", "@1000000000", self.path("new"))
        after = os.stat(self.path("new"))
        self.assertEqual((after.st_size, after.st_mtime), (0, 10 ** 9))
        self.program("touch", "-c", self.path("none"))
        self.assertEqual(self.listed(), ["new"])

    def test_touch_moves_the_time_to_now(self):
        write_file(self.path(), b"one")
        os.utime(self.path(), (10 ** 9, 10 ** 9))
        stamp = os.path.join(self.dir, "stamp")
        write_file(stamp, b"")
        self.program("touch", self.path())
        self.assertGreaterEqual(os.stat(self.path()).st_mtime, os.stat(stamp).st_mtime - 1)
        self.program("touch", "-r", os.path.join(self.local, harness.samples()[1]), self.path())
        self.assertEqual(os.stat(self.path()).st_mtime_ns, DAY + 10 ** 10)

    def test_truncate_resizes(self):
        data = random_bytes(200_000)
        write_file(self.path(), data)
        self.program("truncate", "-s", "150000", self.path())
        self.assert_report(self.path(), data[:150_000])
        self.program("truncate", "-s", "+50K", self.path())
        self.assert_report(self.path(), data[:150_000] + bytes(51_200))
        self.program("truncate", "-s", "0", self.path())
        self.assert_report(self.path(), b"")
        self.program("truncate", "-s", "3M", self.path("new"))
        self.assert_report(self.path("new"), bytes(3 << 20))
        self.program("truncate", "-c", "-s", "1", self.path("none"))
        self.assertEqual(self.listed(), ["new", "report.xml"])

    def test_fallocate_program_extends(self):
        self.program("fallocate", "-l", "100000", self.path())
        self.assert_report(self.path(), bytes(100_000))

    def test_tee_a_appends_to_several(self):
        write_file(self.path("a"), b"old\n")
        for text in (b"one\n", b"two\n"):
            self.program("tee", "-a", self.path("a"), self.path("b"), input=text)
        self.assertEqual(read_file(self.path("a")), b"old\none\ntwo\n")
        self.assertEqual(read_file(self.path("b")), b"one\ntwo\n")
        self.program("tee", self.path("a"), input=b"new\n")
        self.assertEqual(read_file(self.path("a")), b"new\n")

    def test_sort_o_reads_and_writes_one_report(self):
        write_file(self.path(), b"c\nb\na\n")
        self.program("sort", "-o", self.path(), self.path())
        self.assertEqual(read_file(self.path()), b"a\nb\nc\n")

    def test_gzip_replaces_a_report(self):
        write_file(self.path("a"), random_bytes(100_000))
        self.program("gzip", self.path("a"))
        self.assertEqual(self.listed(), ["a.gz"])
        self.program("gunzip", self.path("a.gz"))
        self.assertEqual(self.listed(), ["a"])
        self.assert_report(self.path("a"), random_bytes(100_000))

    def test_tail_and_head_read_ends(self):
        write_file(self.path(), b"".join(b"%d\n" % n for n in range(50_000)))
        self.assertEqual(self.program("tail", "-n", "2", self.path()), "49998\n49999\n")
        self.assertEqual(self.program("head", "-c", "4", self.path()), "0\n1\n")
        self.assertEqual(self.program("wc", "-l", self.path()).split()[0], "50000")
        self.assertEqual(self.program("grep", "-c", "999$", self.path()), "50\n")

    def test_shred_overwrites(self):
        write_file(self.path(), b"secret" * 1000)
        self.program("shred", "-x", "-n", "1", self.path())
        self.assertEqual(os.stat(self.path()).st_size, 6000)
        self.assertNotIn(b"secret", read_file(self.path()))


if __name__ == "__main__":
    unittest.main()
