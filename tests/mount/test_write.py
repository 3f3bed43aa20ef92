# SPDX-License-Identifier: MIT
"""Writing: any pattern, when it is saved, and who sees what when."""
import ast
import errno
import fcntl
import os
import random
import unittest

import harness
from harness import CHUNK, GUID, exists, random_bytes, read_file, write_file

NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
NEW_RW = os.O_RDWR | os.O_CREAT | os.O_TRUNC
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def flush(fd):
    """What close() of one of two descriptors does."""
    os.close(os.dup(fd))


class BeforeTheCommit(harness.ReportTest):
    def test_a_new_report_is_not_listed_before_its_first_commit(self):
        other = self.onlooker()
        fd = self.open(self.path(), NEW)
        os.write(fd, b"one")
        self.assertEqual(self.listed(), [])
        self.assertEqual(other.ask(f"os.listdir({self.folder!r})"), "[]")
        self.close(fd)
        self.assertEqual(self.listed(), ["report.xml"])

    def test_a_new_report_is_not_readable_before_its_first_commit(self):
        other = self.onlooker()
        fd = self.open(self.path(), NEW)
        for data in (b"one", b"two"):
            with self.refused(errno.EBUSY):
                os.open(self.path(), os.O_RDONLY)
            self.assertEqual(other.ask(f"read({self.path()!r})"), os.strerror(errno.EBUSY))
            os.write(fd, data)
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"onetwo")

    def test_stat_by_path_shows_the_size_so_far(self):
        other = self.onlooker()
        fd = self.open(self.path(), NEW)
        for count in range(4):
            self.assertEqual(os.stat(self.path()).st_size, count * 70_000)
            self.assertEqual(os.fstat(fd).st_size, count * 70_000)
            self.assertEqual(other.ask(f"os.stat({self.path()!r}).st_size"), str(count * 70_000))
            os.write(fd, bytes(70_000))
        self.close(fd)
        self.assertEqual(os.stat(self.path()).st_size, 280_000)

    def test_a_replaced_report_shows_its_old_version_until_the_commit(self):
        write_file(self.path(), b"old")
        other = self.onlooker()
        fd = self.open(self.path(), NEW)
        os.write(fd, b"much longer")
        self.assertEqual(read_file(self.path()), b"old")
        self.assertEqual(os.stat(self.path()).st_size, 3)
        self.assertEqual(os.fstat(fd).st_size, 11)
        self.assertEqual(other.ask(f"read({self.path()!r})"), "b'old'")
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"much longer")
        self.assertEqual(os.stat(self.path()).st_size, 11)

    def test_an_uncommitted_name_is_taken(self):
        fd = self.open(self.path(), NEW)
        with self.refused(errno.EEXIST):
            os.open(self.path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self.close(fd)

    def test_a_second_upload_through_a_writing_handle_leaves_the_name_taken(self):
        fd = self.open(self.path(), NEW)
        os.write(fd, b"one")
        second = self.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
        os.write(second, b"second")
        self.assertEqual(os.stat(self.path()).st_size, 3)
        self.assertEqual(os.stat(self.path()).st_ino, os.fstat(fd).st_ino)
        for flags in (os.O_RDONLY, os.O_RDONLY | os.O_CREAT):
            with self.refused(errno.EBUSY):
                os.open(self.path(), flags, 0o644)
        with self.refused(errno.EEXIST):
            os.open(self.path(), NEW | os.O_EXCL, 0o644)
        third = self.open(self.path(), NEW)
        os.write(third, b"the third")
        os.rename(self.path(), self.path("renamed"))
        for writer, data in ((second, b"second"), (third, b"the third"), (fd, b"one")):
            self.close(writer)
            self.assertEqual(read_file(self.path("renamed")), data)
        self.assertEqual(self.listed(), ["renamed"])

    def test_a_writing_handle_leads_to_no_report_that_another_process_put_in_its_place(self):
        fd = self.open(self.path(), NEW_RW)
        os.fsync(fd)
        self.caureport("rm", GUID, "report.xml")
        self.caureport("put", "--name", "report.xml", GUID, "-", input=b"not for everybody")
        for flags in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
            with self.refused(errno.ENOENT):
                os.open(f"/proc/self/fd/{fd}", flags)
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"not for everybody")

    def test_reads_through_the_writing_handle_see_its_own_writes(self):
        fd = self.open(self.path(), NEW_RW)
        os.write(fd, b"0123456789")
        self.assertEqual(os.pread(fd, 4, 3), b"3456")
        os.pwrite(fd, b"xy", 4)
        self.assertEqual(os.pread(fd, 100, 0), b"0123xy6789")
        self.assertEqual(os.pread(fd, 100, 10), b"")
        os.lseek(fd, 2, os.SEEK_SET)
        self.assertEqual(os.read(fd, 3), b"23x")
        self.assertEqual(os.lseek(fd, 0, os.SEEK_END), 10)
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"0123xy6789")

    def test_reads_through_a_handle_that_changes_a_report_begin_with_the_old_bytes(self):
        data = random_bytes(3 * CHUNK + 100)
        write_file(self.path(), data)
        fd = self.open(self.path(), os.O_RDWR)
        os.pwrite(fd, b"changed", CHUNK - 3)
        expected = data[:CHUNK - 3] + b"changed" + data[CHUNK + 4:]
        self.assert_bytes(b"".join(os.pread(fd, CHUNK, n * CHUNK) for n in range(4)), expected)
        self.assert_report(self.path(), data)
        self.close(fd)
        self.assert_report(self.path(), expected)


class Commits(harness.ReportTest):
    def test_close_is_the_commit(self):
        for count in range(50):
            fd = os.open(self.path(f"{count}"), NEW, 0o644)
            os.write(fd, b"%d" % count)
            os.close(fd)
            self.assertEqual(self.run_program("cat", self.path(f"{count}")) if count < 3 else
                             read_file(self.path(f"{count}")), b"%d" % count)

    def test_fsync_commits_what_was_written_so_far(self):
        for sync in (os.fsync, os.fdatasync):
            fd = self.open(self.path(), NEW)
            os.write(fd, b"one")
            sync(fd)
            self.assertEqual(self.listed(), ["report.xml"])
            self.assertEqual(read_file(self.path()), b"one")
            os.write(fd, b"two")
            self.assertEqual(read_file(self.path()), b"one")
            sync(fd)
            self.assertEqual(read_file(self.path()), b"onetwo")
            self.close(fd)
            self.assertEqual(read_file(self.path()), b"onetwo")
            os.unlink(self.path())

    def test_fsync_of_an_empty_new_report_commits_it(self):
        fd = self.open(self.path(), NEW)
        os.fsync(fd)
        self.assertEqual(self.listed(), ["report.xml"])
        self.assertEqual(read_file(self.path()), b"")
        self.close(fd)

    def test_each_flush_with_new_data_commits_all_so_far(self):
        fd = self.open(self.path(), NEW)
        for count in range(1, 4):
            os.write(fd, b"%d" % count)
            flush(fd)
            self.assertEqual(read_file(self.path()), b"123"[:count])
            self.assertEqual(self.listed(), ["report.xml"])
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"123")

    def test_a_flush_with_nothing_written_is_no_commit(self):
        fd = self.open(self.path(), NEW)
        flush(fd)
        self.assertEqual(self.listed(), [])
        os.write(fd, b"one")
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"one")

    def test_a_flush_after_truncation_by_open_keeps_the_old_version(self):
        write_file(self.path(), b"old")
        fd = self.open(self.path(), NEW)
        flush(fd)
        self.assertEqual(read_file(self.path()), b"old")
        os.write(fd, b"new")
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"new")

    def test_the_last_release_commits_an_empty_report(self):
        fd = self.open(self.path(), NEW)
        self.close(fd)
        self.assertEqual(self.listed(), ["report.xml"])
        self.assertEqual(read_file(self.path()), b"")
        fd = self.open(self.path("read-only"), os.O_RDONLY | os.O_CREAT)
        self.close(fd)
        self.assertEqual(self.listed(), ["read-only", "report.xml"])

    def test_opening_with_truncation_and_closing_empties_a_report(self):
        for _ in range(10):
            write_file(self.path(), b"something")
            self.close(self.open(self.path(), NEW))
            self.assertEqual(read_file(self.path()), b"")
            self.assertEqual(os.stat(self.path()).st_size, 0)

    def test_opening_for_writing_and_closing_changes_nothing(self):
        write_file(self.path(), b"one")
        before = os.stat(self.path())
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_CREAT):
            self.close(self.open(self.path(), flags))
            self.assertEqual(read_file(self.path()), b"one")
        after = os.stat(self.path())
        self.assertEqual((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns))

    def test_a_new_version_has_a_new_inode_number(self):
        write_file(self.path(), b"one")
        first = os.stat(self.path()).st_ino
        write_file(self.path(), b"two")
        self.assertNotEqual(os.stat(self.path()).st_ino, first)

    def test_a_handle_for_writing_shows_the_inode_number_of_what_was_opened(self):
        write_file(self.path(), b"one")
        for flags in (os.O_WRONLY, os.O_RDWR | os.O_TRUNC, APPEND):
            before = os.stat(self.path()).st_ino
            fd = self.open(self.path(), flags)
            self.assertEqual(os.fstat(fd).st_ino, before)
            os.write(fd, b"two")
            self.assertEqual((os.fstat(fd).st_ino, os.stat(self.path()).st_ino), (before, before))
            self.close(fd)
        fd = self.open(self.path("new"), NEW)
        self.assertEqual(os.fstat(fd).st_ino, os.stat(self.path("new")).st_ino)
        self.close(fd)

    def test_every_save_is_seen_at_once_by_other_processes(self):
        for count in range(20):
            write_file(self.path(), b"%d" % count)
            self.assertEqual(self.shell("cat $1; stat -c' %s' $1", self.path()), f"{count} {len(str(count))}\n")


class TwoWriters(harness.ReportTest):
    def test_last_close_wins_whole(self):
        write_file(self.path(), b"old")
        first, second = self.open(self.path(), NEW), self.open(self.path(), NEW)
        os.write(first, b"first writer")
        os.write(second, b"second")
        os.write(first, b", more")
        self.close(first)
        self.assertEqual(read_file(self.path()), b"first writer, more")
        self.close(second)
        self.assertEqual(read_file(self.path()), b"second")

    def test_last_close_wins_whole_on_a_new_name(self):
        first, second = self.open(self.path(), NEW), self.open(self.path(), NEW)
        os.write(second, b"second")
        os.write(first, b"first writer")
        self.assertEqual(self.listed(), [])
        self.close(second)
        self.assertEqual(read_file(self.path()), b"second")
        self.close(first)
        self.assertEqual(read_file(self.path()), b"first writer")

    def test_each_writer_changes_the_bytes_it_began_with(self):
        write_file(self.path(), b"0123456789")
        first, second = self.open(self.path(), os.O_RDWR), self.open(self.path(), os.O_RDWR)
        os.pwrite(first, b"AA", 0)
        os.pwrite(second, b"BB", 8)
        self.assertEqual(os.pread(second, 10, 0), b"01234567BB")
        self.close(first)
        self.assertEqual(read_file(self.path()), b"AA23456789")
        self.close(second)
        self.assertEqual(read_file(self.path()), b"01234567BB")

    def test_writers_in_two_processes_never_mix(self):
        script = ("data = sys.argv[2].encode() * 200000\n"
                  "for _ in range(10):\n"
                  "    with open(sys.argv[1], 'wb') as file: file.write(data)\n")
        children = [self.child(script, self.path(), letter) for letter in "ab"]
        seen = set()
        while any(child.process.poll() is None for child in children):
            if exists(self.path()):
                try:
                    data = read_file(self.path())
                except OSError as error:
                    if error.errno != errno.EBUSY:
                        raise
                else:
                    self.assertEqual(len(data), 200_000)
                    self.assertEqual(len(set(data)), 1)
                    seen.add(data[:1])
        self.assertEqual([child.wait() for child in children], [0, 0])
        self.assertIn(read_file(self.path())[:1], seen | {b"a", b"b"})
        self.assertEqual(len(set(read_file(self.path()))), 1)

    def test_a_second_writer_of_a_new_name_begins_with_nothing(self):
        first = self.open(self.path(), NEW)
        os.write(first, b"first writer")
        for flags in (os.O_RDWR, os.O_RDWR | os.O_APPEND):
            second = self.open(self.path(), flags)
            self.assertEqual(os.fstat(second).st_size, 0)
            os.write(second, b"two")
            self.assertEqual(os.lseek(second, 0, os.SEEK_CUR), 3)
            self.assertEqual(os.fstat(second).st_size, 3)


class ManyProcesses(harness.ReportTest):
    """One name that several processes make, change, replace and remove, all at once."""

    ROUNDS = 300
    ACTS = {
        # what it does: which errors it may meet
        f"os.close(os.open(path, {NEW}, 0o644))": (),
        f"fd = os.open(path, {NEW}, 0o644); os.write(fd, b'x' * n); os.close(fd)": (),
        f"fd = os.open(path, {APPEND}, 0o644); os.write(fd, b'x'); os.close(fd)": (),
        "open(f'{path}-new', 'wb').close(); os.rename(f'{path}-new', path)": (),
        "os.unlink(path)": (errno.ENOENT,),
        "os.truncate(path, n)": (errno.ENOENT,),
        f"os.close(os.open(path, {os.O_RDWR}))": (errno.ENOENT,),
        "os.close(os.open(path, os.O_RDONLY))": (errno.ENOENT, errno.EBUSY),
        "os.close(os.open(path, os.O_RDONLY | os.O_CREAT, 0o644))": (errno.EBUSY,),
    }

    def busy(self, act):
        """A process that repeats @act when told to, and then says which errors it met."""
        return self.child("path, met = sys.argv[1], set()\n"
                          "say(); hear()\n"
                          f"for n in range({self.ROUNDS}):\n"
                          "    try:\n"
                          f"        {act}\n"
                          "    except OSError as error: met.add(error.errno)\n"
                          "say(sorted(met))\n", self.path())

    def test_no_process_meets_an_error_of_the_races_between_others(self):
        children = {act: self.busy(act) for act in self.ACTS}
        for child in children.values():
            child.expect()
        for child in children.values():
            child.tell()
        for act, child in children.items():
            met = set(ast.literal_eval(child.line()))
            self.assertLessEqual(met, set(self.ACTS[act]), f"{act}: {[os.strerror(code) for code in met]}")
            self.assertEqual(child.wait(), 0)

    def test_a_removed_report_does_not_come_back(self):
        openers = [self.child("import select\n"
                              "say()\n"
                              "while not select.select([0], [], [], 0)[0]:\n"
                              "    try: os.close(os.open(sys.argv[1], os.O_WRONLY))\n"
                              "    except FileNotFoundError: pass\n", self.path()) for _ in range(3)]
        for opener in openers:
            opener.expect()
        for _ in range(2 * self.ROUNDS):
            write_file(self.path(), b"one")
            os.unlink(self.path())
            self.assertFalse(exists(self.path()))
        for opener in openers:
            opener.tell()
            self.assertEqual(opener.wait(), 0)
        self.assertEqual(self.listed(), [])


class Appending(harness.ReportTest):
    def test_append_goes_after_what_is_there(self):
        for count in range(5):
            fd = self.open(self.path(), APPEND)
            os.write(fd, b"%d\n" % count)
            os.write(fd, b"-\n")
            self.close(fd)
        self.assertEqual(read_file(self.path()), b"".join(b"%d\n-\n" % n for n in range(5)))

    def test_two_appenders_both_keep_their_lines(self):
        for name, old in (("new", b""), ("old", b"old\n")):
            path = self.path(name)
            if old:
                write_file(path, old)
            first, second = self.open(path, APPEND), self.open(path, APPEND)
            os.write(first, b"first 1\n")
            os.write(second, b"second 1\n")
            os.write(first, b"first 2\n")
            self.close(first)
            self.assertEqual(read_file(path), old + b"first 1\nfirst 2\n")
            self.close(second)
            self.assertEqual(read_file(path), old + b"first 1\nfirst 2\nsecond 1\n")

    def test_appenders_in_two_processes_keep_every_line(self):
        script = ("for n in range(50):\n"
                  "    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)\n"
                  "    os.write(fd, f'{sys.argv[2]}{n}\\n'.encode())\n"
                  "    os.close(fd)\n")
        children = [self.child(script, self.path(), letter) for letter in "abc"]
        self.assertEqual([child.wait() for child in children], [0, 0, 0])
        lines = read_file(self.path()).decode().splitlines()
        self.assertEqual(sorted(lines), sorted(f"{letter}{n}" for letter in "abc" for n in range(50)))
        for letter in "abc":
            self.assertEqual([line for line in lines if line[0] == letter], [f"{letter}{n}" for n in range(50)])

    def test_an_appender_goes_after_a_replacement(self):
        write_file(self.path(), b"old\n")
        fd = self.open(self.path(), APPEND)
        os.write(fd, b"added\n")
        write_file(self.path(), b"quite new\n")
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"quite new\nadded\n")

    def test_an_appender_that_flushes_twice_appends_each_line_once(self):
        write_file(self.path(), b"old\n")
        fd, other = self.open(self.path(), APPEND), self.open(self.path(), APPEND)
        os.write(fd, b"one\n")
        flush(fd)
        os.write(other, b"other\n")
        self.close(other)
        os.write(fd, b"two\n")
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"old\none\nother\ntwo\n")

    def test_long_appends_cross_chunks(self):
        data = random_bytes(3 * CHUNK + 77)
        for start in range(0, len(data), 50_001):
            write_file(self.path(), data[start:start + 50_001], "ab")
        self.assert_report(self.path(), data)

    def test_append_can_be_switched_on_while_a_report_is_open(self):
        write_file(self.path(), b"0123456789")
        fd = self.open(self.path(), os.O_WRONLY)
        os.write(fd, b"AB")
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
        os.write(fd, b"CD")
        fcntl.fcntl(fd, fcntl.F_SETFL, 0)
        os.pwrite(fd, b"E", 4)
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"AB23E56789CD")


class AnyPattern(harness.ReportTest):
    def test_random_operations_match_a_byte_array(self):
        seed = int(os.environ.get("CAU_TEST_SEED", random.randrange(2 ** 32)))
        rng = random.Random(seed)
        model = bytearray()
        limit = 5 * CHUNK
        fd = self.open(self.path(), NEW_RW)
        with self.subTest(seed=seed):
            for step in range(250):
                act = rng.choice("wwwwrrrtfao")
                offset = rng.choice((rng.randrange(limit), rng.randrange(6) * CHUNK, len(model)))
                length = rng.choice((1, 7, 4096, CHUNK, rng.randrange(1, 2 * CHUNK)))
                if act == "w":
                    data = rng.randbytes(length)
                    self.assertEqual(os.pwrite(fd, data, offset), length)
                    model.extend(bytes(max(0, offset - len(model))))
                    model[offset:offset + length] = data
                elif act == "r":
                    self.assert_bytes(os.pread(fd, length, offset), model[offset:offset + length], f"step {step}")
                elif act == "t":
                    os.ftruncate(fd, offset)
                    model = model[:offset] + bytes(max(0, offset - len(model)))
                elif act == "f":
                    os.fsync(fd)
                    self.assert_bytes(read_file(self.path()), model, f"step {step}, synced")
                elif act == "a":
                    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
                    self.assertEqual(os.write(fd, b"appended"), 8)
                    fcntl.fcntl(fd, fcntl.F_SETFL, 0)
                    model += b"appended"
                elif act == "o":
                    self.close(fd)
                    self.assert_bytes(read_file(self.path()), model, f"step {step}, closed")
                    fd = self.open(self.path(), os.O_RDWR)
                self.assertEqual(os.fstat(fd).st_size, len(model))
            self.close(fd)
            self.assert_bytes(read_file(self.path()), model)

    def test_a_hole_reads_as_zeros(self):
        fd = self.open(self.path(), NEW_RW)
        os.pwrite(fd, b"start", 0)
        os.pwrite(fd, b"end", 20_000_000)
        self.assertEqual(os.pread(fd, 3, 10_000_000), bytes(3))
        self.close(fd)
        self.assert_report(self.path(), b"start" + bytes(20_000_000 - 5) + b"end")
        self.assertLess(os.stat(self.path()).st_blocks * 512, 1_000_000)

    def test_writing_backwards_works(self):
        data = random_bytes(2 * CHUNK + 1000)
        fd = self.open(self.path(), NEW)
        starts = range(0, len(data), 10_000)
        for start in reversed(starts):
            os.pwrite(fd, data[start:start + 10_000], start)
        self.close(fd)
        self.assert_report(self.path(), data)

    def test_ftruncate_shrinks_and_grows(self):
        write_file(self.path(), random_bytes(300_000))
        for size in (200_000, 131_072, 131_073, 400_000, 5, 0, 10):
            before = read_file(self.path())
            fd = self.open(self.path(), os.O_RDWR)
            os.ftruncate(fd, size)
            self.assertEqual(os.fstat(fd).st_size, size)
            self.close(fd)
            self.assert_report(self.path(), before[:size] + bytes(max(0, size - len(before))))

    def test_truncate_by_path_saves_at_once(self):
        write_file(self.path(), random_bytes(300_000))
        for size in (200_000, 131_072, 400_000, 3, 0):
            before = read_file(self.path())
            os.truncate(self.path(), size)
            self.assertEqual(os.stat(self.path()).st_size, size)
            self.assert_report(self.path(), before[:size] + bytes(max(0, size - len(before))))

    def test_truncate_by_path_of_an_uncommitted_report_changes_its_upload(self):
        fd = self.open(self.path(), NEW)
        os.write(fd, b"0123456789")
        os.truncate(self.path(), 4)
        self.assertEqual(self.listed(), [])
        self.assertEqual(os.stat(self.path()).st_size, 4)
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"0123")

    def test_fallocate_extends_with_zeros(self):
        fd = self.open(self.path(), NEW_RW)
        os.write(fd, b"data")
        os.posix_fallocate(fd, 0, 1000)
        self.assertEqual(os.fstat(fd).st_size, 1000)
        os.posix_fallocate(fd, 0, 10)
        harness.fallocate(fd, harness.FALLOC_FL_KEEP_SIZE, 0, 5000)
        self.assertEqual(os.fstat(fd).st_size, 1000)
        with self.refused(errno.EOPNOTSUPP):
            harness.fallocate(fd, harness.FALLOC_FL_KEEP_SIZE | harness.FALLOC_FL_PUNCH_HOLE, 0, 2)
        self.close(fd)
        self.assertEqual(read_file(self.path()), b"data" + bytes(996))

    def test_vectors_and_long_writes_arrive_whole(self):
        data = random_bytes(5_000_000)
        fd = self.open(self.path(), NEW)
        self.assertEqual(os.write(fd, data), len(data))
        self.assertEqual(os.writev(fd, [b"a", b"", b"bc" * 3000, b"d"]), 6002)
        self.close(fd)
        self.assert_report(self.path(), data + b"a" + b"bc" * 3000 + b"d")

    def test_a_writing_handle_may_not_be_used_for_the_other_direction(self):
        write_file(self.path(), b"one")
        reader, writer = self.open(self.path()), self.open(self.path(), os.O_WRONLY)
        with self.refused(errno.EBADF):
            os.write(reader, b"x")
        with self.refused(errno.EBADF):
            os.read(writer, 1)
        with self.refused(errno.EINVAL):
            os.ftruncate(reader, 0)
        self.close(writer)
        self.assertEqual(read_file(self.path()), b"one")

    def test_many_threads_write_parts_of_one_report(self):
        script = ("fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644)\n"
                  "def part(n):\n"
                  "    for i in range(n, 200, 8): os.pwrite(fd, bytes([i]) * 5000, i * 5000)\n"
                  "threads = [threading.Thread(target=part, args=(n,)) for n in range(8)]\n"
                  "[t.start() for t in threads]; [t.join() for t in threads]\n"
                  "os.close(fd)\n")
        self.assertEqual(self.child(script, self.path()).wait(), 0)
        self.assert_report(self.path(), b"".join(bytes([i]) * 5000 for i in range(200)))


if __name__ == "__main__":
    unittest.main()
