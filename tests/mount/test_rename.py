# SPDX-License-Identifier: MIT
"""Renaming and removing, also of what is being written."""
import errno
import os
import unittest

import harness
from harness import (GUID, OTHER_GUID, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, exists, read_file,
                     renameat2, wait_until, write_file)

NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class RenameTest(harness.ReportTest):
    def setUp(self):
        super().setUp()
        self.a, self.b, self.c = (self.path(name) for name in "abc")
        self.other = self.make_other_folder()

    def contents(self):
        """All reports of the mount, by orchestrator/name."""
        return {f"{guid[:2]}/{name}": read_file(os.path.join(self.root, guid, name)).decode()
                for guid in os.listdir(self.root) for name in os.listdir(os.path.join(self.root, guid))}

    def writer(self, path, data, flags=NEW):
        fd = self.open(path, flags)
        os.write(fd, data)
        return fd


class Committed(RenameTest):
    def test_rename_gives_a_report_another_name(self):
        write_file(self.a, b"one")
        os.rename(self.a, self.b)
        self.assertEqual(self.contents(), {"f8/b": "one"})
        self.assertFalse(exists(self.a))

    def test_rename_replaces(self):
        write_file(self.a, b"one")
        write_file(self.b, b"two")
        number = os.stat(self.a).st_ino
        os.rename(self.a, self.b)
        self.assertEqual(self.contents(), {"f8/b": "one"})
        self.assertEqual(os.stat(self.b).st_ino, number)

    def test_rename_moves_across_orchestrators(self):
        write_file(self.a, b"one")
        os.rename(self.a, os.path.join(self.other, "b"))
        self.assertEqual(self.contents(), {"0f/b": "one"})
        write_file(self.a, b"two")
        os.rename(os.path.join(self.other, "b"), self.a)
        self.assertEqual(self.contents(), {"f8/a": "one"})
        os.rename(self.a, os.path.join(self.root, OTHER_GUID.upper(), "a"))
        self.assertEqual(self.contents(), {"0f/a": "one"})

    def test_rename_onto_itself_changes_nothing(self):
        write_file(self.a, b"one")
        os.rename(self.a, self.a)
        os.rename(self.a, os.path.join(self.root, "{" + GUID + "}", "a"))
        self.assertEqual(self.contents(), {"f8/a": "one"})

    def test_noreplace_refuses_a_name_that_is_taken(self):
        write_file(self.a, b"one")
        write_file(self.b, b"two")
        with self.refused(errno.EEXIST):
            renameat2(self.a, self.b, RENAME_NOREPLACE)
        self.assertEqual(self.contents(), {"f8/a": "one", "f8/b": "two"})
        renameat2(self.a, self.c, RENAME_NOREPLACE)
        renameat2(self.b, os.path.join(self.other, "b"), RENAME_NOREPLACE)
        self.assertEqual(self.contents(), {"f8/c": "one", "0f/b": "two"})

    def test_noreplace_refuses_an_uncommitted_name(self):
        write_file(self.a, b"one")
        fd = self.writer(self.b, b"two")
        with self.refused(errno.EEXIST):
            renameat2(self.a, self.b, RENAME_NOREPLACE)
        self.close(fd)
        self.assertEqual(self.contents(), {"f8/a": "one", "f8/b": "two"})

    def test_exchange_swaps_two_reports(self):
        write_file(self.a, b"one")
        write_file(self.b, b"two")
        renameat2(self.a, self.b, RENAME_EXCHANGE)
        self.assertEqual(self.contents(), {"f8/a": "two", "f8/b": "one"})
        write_file(os.path.join(self.other, "c"), b"three")
        renameat2(self.a, os.path.join(self.other, "c"), RENAME_EXCHANGE)
        self.assertEqual(self.contents(), {"f8/a": "three", "f8/b": "one", "0f/c": "two"})

    def test_exchange_needs_both_reports(self):
        write_file(self.a, b"one")
        with self.refused(errno.ENOENT):
            renameat2(self.a, self.b, RENAME_EXCHANGE)
        with self.refused(errno.ENOENT):
            renameat2(self.b, self.a, RENAME_EXCHANGE)
        self.assertEqual(self.contents(), {"f8/a": "one"})

    def test_other_flags_are_invalid(self):
        write_file(self.a, b"one")
        write_file(self.b, b"two")
        for flags in (RENAME_EXCHANGE | RENAME_NOREPLACE, 8, *([RENAME_WHITEOUT] if os.geteuid() == 0 else [])):
            with self.refused(errno.EINVAL):
                renameat2(self.a, self.b, flags)
        self.assertEqual(self.contents(), {"f8/a": "one", "f8/b": "two"})

    def test_rename_of_an_orchestrator_is_refused(self):
        write_file(self.a, b"one")
        for target in ("11111111-2222-3333-4444-555555555555", OTHER_GUID, "x"):
            with self.refused(errno.EPERM):
                os.rename(self.folder, os.path.join(self.root, target))
        with self.refused(errno.EPERM):
            os.rename(self.other, os.path.join(self.folder, "sub"))
        with self.refused(errno.EPERM):
            renameat2(self.folder, self.other, RENAME_EXCHANGE)
        with self.refused(errno.EPERM):
            renameat2(self.folder, os.path.join(self.root, "y"), RENAME_NOREPLACE)
        self.assertEqual(sorted(os.listdir(self.root)), sorted([GUID, OTHER_GUID]))
        self.assertEqual(self.contents(), {"f8/a": "one"})

    def test_a_report_and_an_orchestrator_do_not_replace_each_other(self):
        write_file(self.a, b"one")
        with self.refused(errno.EISDIR):
            os.rename(self.a, self.other)
        with self.refused(errno.ENOTDIR):
            os.rename(self.other, self.a)
        with self.refused(errno.EPERM):
            renameat2(self.a, self.other, RENAME_EXCHANGE)
        self.assertEqual(self.contents(), {"f8/a": "one"})

    def test_unlink_removes(self):
        write_file(self.a, b"one")
        os.unlink(self.a)
        self.assertEqual(self.contents(), {})
        with self.refused(errno.ENOENT):
            os.unlink(self.a)

    def test_a_chain_of_renames_in_two_processes_loses_nothing(self):
        script = ("a, b = sys.argv[1:3]\n"
                  "for n in range(100):\n"
                  "    try: os.rename(a, b)\n"
                  "    except FileNotFoundError: pass\n")
        write_file(self.a, b"one")
        children = [self.child(script, *pair) for pair in ((self.a, self.b), (self.b, self.c), (self.c, self.a))]
        self.assertEqual([child.wait() for child in children], [0, 0, 0])
        self.assertEqual(list(self.contents().values()), ["one"])


class WhileWritten(RenameTest):
    def test_an_uncommitted_report_is_saved_under_its_new_name(self):
        fd = self.writer(self.a, b"one")
        os.rename(self.a, self.b)
        self.assertFalse(exists(self.a))
        self.assertEqual(os.stat(self.b).st_size, 3)
        self.assertEqual(self.contents(), {})
        os.write(fd, b", two")
        self.close(fd)
        self.assertEqual(self.contents(), {"f8/b": "one, two"})

    def test_an_uncommitted_report_moves_across_orchestrators(self):
        fd = self.writer(self.a, b"one")
        os.rename(self.a, os.path.join(self.other, "b"))
        self.close(fd)
        self.assertEqual(self.contents(), {"0f/b": "one"})

    def test_an_uncommitted_report_renamed_over_another_replaces_it_when_it_commits(self):
        write_file(self.b, b"old")
        fd = self.writer(self.a, b"one")
        os.rename(self.a, self.b)
        self.assertFalse(exists(self.a))
        self.assertEqual(self.contents(), {"f8/b": "old"})
        self.close(fd)
        self.assertEqual(self.contents(), {"f8/b": "one"})

    def test_an_uncommitted_report_renamed_over_another_saves_nothing_when_it_is_killed(self):
        write_file(self.b, b"old")
        child = self.child("fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
                           "os.write(fd, b'one'); os.rename(sys.argv[1], sys.argv[2]); say(); hear()", self.a, self.b)
        child.expect()
        child.kill()
        wait_until(lambda: "killed" in self.mount.log(), "the log says that the writer was killed")
        self.assertEqual(self.contents(), {"f8/b": "old"})

    def test_the_commit_of_a_changed_report_follows_its_new_name(self):
        write_file(self.a, b"old")
        fd = self.writer(self.a, b"changed")
        os.rename(self.a, self.b)
        self.assertEqual(self.contents(), {"f8/b": "old"})
        write_file(self.a, b"quite another")
        self.close(fd)
        self.assertEqual(self.contents(), {"f8/a": "quite another", "f8/b": "changed"})

    def test_the_commit_follows_its_report_to_another_orchestrator(self):
        write_file(self.a, b"old")
        fd = self.writer(self.a, b"changed")
        os.rename(self.a, os.path.join(self.other, "c"))
        self.close(fd)
        self.assertEqual(self.contents(), {"0f/c": "changed"})

    def test_the_commit_follows_an_exchange(self):
        write_file(self.a, b"one")
        write_file(self.b, b"two")
        fd = self.writer(self.a, b"changed one")
        renameat2(self.a, self.b, RENAME_EXCHANGE)
        self.close(fd)
        self.assertEqual(self.contents(), {"f8/a": "two", "f8/b": "changed one"})

    def test_a_report_committed_between_follows_its_new_name(self):
        fd = self.writer(self.a, b"one")
        os.fsync(fd)
        os.rename(self.a, self.b)
        os.write(fd, b", two")
        self.assertEqual(self.contents(), {"f8/b": "one"})
        self.close(fd)
        self.assertEqual(self.contents(), {"f8/b": "one, two"})

    def test_an_uncommitted_report_that_is_removed_is_not_saved(self):
        fd = self.writer(self.a, b"one")
        os.unlink(self.a)
        self.assertFalse(exists(self.a))
        os.write(fd, b", two")
        os.fsync(fd)
        self.close(fd)
        self.assertEqual(self.contents(), {})
        self.assertEqual(os.statvfs(self.root).f_files, 0)

    def test_a_changed_report_that_is_removed_is_not_saved(self):
        write_file(self.a, b"old")
        fd = self.writer(self.a, b"changed")
        os.unlink(self.a)
        self.close(fd)
        self.assertEqual(self.contents(), {})

    def test_a_removed_name_can_be_made_again_while_it_is_written(self):
        for commit_first in (False, True):
            fd = self.writer(self.a, b"one")
            if commit_first:
                os.fsync(fd)
            os.unlink(self.a)
            write_file(self.a, b"again")
            os.write(fd, b", two")
            self.close(fd)
            self.assertEqual(self.contents(), {"f8/a": "again"})
            os.unlink(self.a)

    def test_a_report_replaced_by_a_rename_while_it_is_written_is_not_saved(self):
        write_file(self.a, b"old")
        write_file(self.b, b"replacement")
        fd = self.writer(self.a, b"changed")
        os.rename(self.b, self.a)
        self.close(fd)
        self.assertEqual(self.contents(), {"f8/a": "replacement"})

    def test_an_uncommitted_report_replaced_by_a_rename_is_not_saved(self):
        write_file(self.b, b"replacement")
        fd = self.writer(self.a, b"one")
        os.rename(self.b, self.a)
        self.assertEqual(self.contents(), {"f8/a": "replacement"})
        self.close(fd)
        self.assertEqual(self.contents(), {"f8/a": "replacement"})

    def test_an_unlinked_report_is_read_and_written_through_its_handle(self):
        fd = self.open(self.a, os.O_RDWR | os.O_CREAT)
        os.write(fd, b"temporary")
        os.unlink(self.a)
        os.pwrite(fd, b"TEMP", 0)
        self.assertEqual(os.pread(fd, 100, 0), b"TEMPorary")
        os.ftruncate(fd, 4)
        self.assertEqual(os.fstat(fd).st_size, 4)
        self.assertEqual(os.pread(fd, 100, 0), b"TEMP")
        self.close(fd)
        self.assertEqual(self.contents(), {})

    def test_the_save_by_a_temporary_name_is_atomic(self):
        write_file(self.a, b"0" * 100_000)
        script = ("for n in range(1, 40):\n"
                  "    with open(sys.argv[1] + '.tmp', 'wb') as file: file.write(b'%d' % (n % 10) * 100000)\n"
                  "    os.replace(sys.argv[1] + '.tmp', sys.argv[1])\n")
        child = self.child(script, self.a)
        while child.process.poll() is None:
            data = read_file(self.a)
            self.assertEqual((len(data), len(set(data))), (100_000, 1))
        self.assertEqual(child.wait(), 0)
        self.assertEqual(self.listed(), ["a"])


if __name__ == "__main__":
    unittest.main()
