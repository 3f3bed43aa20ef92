# SPDX-License-Identifier: MIT
"""Reading directories: whole, in pieces, and while they change."""
import ctypes
import os
import subprocess
import unittest

import harness
from harness import libc, write_file


class Dirent(ctypes.Structure):
    _fields_ = [("d_ino", ctypes.c_uint64), ("d_off", ctypes.c_int64), ("d_reclen", ctypes.c_uint16),
                ("d_type", ctypes.c_uint8), ("d_name", ctypes.c_char * 256)]


libc.opendir.restype = ctypes.c_void_p
libc.readdir.argtypes = libc.rewinddir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
libc.telldir.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
libc.readdir.restype = ctypes.POINTER(Dirent)


class Directory:
    """The C library's directory stream."""

    def __init__(self, path):
        self.stream = libc.opendir(os.fsencode(path))
        assert self.stream

    def next(self):
        entry = libc.readdir(self.stream)
        return entry.contents.d_name.decode() if entry else None

    def rest(self):
        names = []
        while (name := self.next()) is not None:
            names.append(name)
        return names

    def tell(self):
        return libc.telldir(self.stream)

    def seek(self, position):
        libc.seekdir(self.stream, position)

    def rewind(self):
        libc.rewinddir(self.stream)

    def dispose(self):
        libc.closedir(self.stream)


class Listing(harness.ReportTest):
    def make(self, count, size=10):
        names = [f"report-{number:05d}.xml" for number in range(count)]
        for name in names:
            write_file(self.path(name), b"x" * size)
        return names

    def directory(self):
        return self.hold(Directory(self.folder))

    def test_dot_and_dot_dot_come_first(self):
        names = self.make(3)
        self.assertEqual(self.shell("ls -f $1", self.folder).split(), [".", "..", *names])
        self.assertEqual(self.shell("ls -f $1", self.root).split(), [".", "..", harness.GUID])

    def test_a_long_listing_is_whole_and_without_repeats(self):
        names = self.make(1500)
        self.assertEqual(os.listdir(self.folder), names)
        self.assertEqual(self.shell("ls $1", self.folder).split(), names)
        lines = self.shell("ls -l $1", self.folder).splitlines()
        self.assertEqual([line.split()[-1] for line in lines[1:]], names)
        self.assertEqual({line.split()[4] for line in lines[1:]}, {"10"})

    def test_entries_carry_the_numbers_and_types_that_stat_shows(self):
        self.make(40)
        with os.scandir(self.folder) as entries:
            for entry in entries:
                self.assertTrue(entry.is_file(follow_symlinks=False))
                self.assertEqual(entry.inode(), os.stat(entry.path).st_ino)
        with os.scandir(self.root) as entries:
            for entry in entries:
                self.assertTrue(entry.is_dir(follow_symlinks=False))
                self.assertEqual(entry.inode(), os.stat(entry.path).st_ino)

    def test_seekdir_returns_to_any_earlier_place(self):
        self.make(700)
        directory = self.directory()
        places, names = [], []
        while True:
            place = directory.tell()
            name = directory.next()
            if name is None:
                break
            places.append(place)
            names.append(name)
        self.assertEqual(len(names), 702)
        for index in (701, 0, 350, 1, 2, 699, 5, 351):
            directory.seek(places[index])
            self.assertEqual(directory.next(), names[index])
        directory.seek(places[100])
        self.assertEqual(directory.rest(), names[100:])

    def test_rewinddir_sees_what_changed(self):
        names = self.make(5)
        directory = self.directory()
        self.assertEqual(directory.rest(), [".", "..", *names])
        write_file(self.path("a-new"), b"x")
        os.unlink(self.path(names[2]))
        directory.rewind()
        self.assertEqual(directory.rest(), [".", "..", "a-new", *(n for n in names if n != names[2])])

    def test_removing_while_listing_misses_nothing(self):
        names = self.make(1200)
        directory = self.directory()
        seen = []
        while (name := directory.next()) is not None:
            if name not in (".", ".."):
                seen.append(name)
                os.unlink(self.path(name))
        self.assertEqual(seen, names)
        self.assertEqual(self.listed(), [])

    def test_adding_while_listing_repeats_nothing(self):
        names = self.make(400)
        directory = self.directory()
        seen = []
        while (name := directory.next()) is not None:
            seen.append(name)
            if len(seen) % 10 == 0:
                write_file(self.path(f"added-{len(seen)}"), b"x")
        self.assertEqual(len(seen), len(set(seen)))
        self.assertLessEqual(set(names), set(seen))

    def test_two_streams_do_not_disturb_each_other(self):
        names = self.make(300)
        first, second = self.directory(), self.directory()
        first_names, second_names = [], []
        for _ in range(150):
            first_names.append(first.next())
            second_names += [second.next(), second.next()]
        first_names += first.rest()
        second_names += second.rest()
        self.assertEqual(first_names, [".", "..", *names])
        self.assertEqual(second_names, [".", "..", *names])

    def test_rm_r_empties_and_removes_an_orchestrator(self):
        self.make(300)
        self.run_program("rm", "-r", self.folder)
        self.assertEqual(os.listdir(self.root), [])

    def test_find_sees_the_tree(self):
        names = self.make(20)
        found = self.shell("cd $1 && find . | sort", self.root).split()
        self.assertEqual(found, [".", f"./{harness.GUID}", *(f"./{harness.GUID}/{name}" for name in names)])
        self.assertEqual(self.shell("find $1 -type f -size -2 | wc -l", self.root).strip(), "20")

    def test_a_folder_listed_while_many_write_shows_whole_reports_only(self):
        script = ("import sys\n"
                  "for n in range(60):\n"
                  "    with open(f'{sys.argv[1]}/w{sys.argv[2]}-{n:03}', 'wb') as file:\n"
                  "        file.write(b'y' * 5000)\n")
        writers = [subprocess.Popen([harness.PYTHON, "-c", script, self.folder, str(number)]) for number in range(3)]
        try:
            while any(writer.poll() is None for writer in writers):
                with os.scandir(self.folder) as entries:
                    for entry in entries:
                        self.assertEqual(os.stat(entry.path).st_size, 5000, entry.name)
        finally:
            for writer in writers:
                self.assertEqual(writer.wait(), 0)
        self.assertEqual(self.listed(), sorted(f"w{number}-{n:03}" for number in range(3) for n in range(60)))

    def test_the_time_of_an_orchestrator_moves_with_its_names(self):
        def moved():
            before, self.seen = self.seen, os.stat(self.folder).st_mtime_ns
            return self.seen > before

        self.seen = os.stat(self.folder).st_mtime_ns
        write_file(self.path("a"), b"one")
        self.assertTrue(moved(), "a new report")
        write_file(self.path("a"), b"two")
        self.assertTrue(moved(), "a replaced report")
        os.rename(self.path("a"), self.path("b"))
        self.assertTrue(moved(), "a renamed report")
        os.stat(self.path("b"))
        self.assertFalse(moved(), "nothing happened")
        os.unlink(self.path("b"))
        self.assertTrue(moved(), "a removed report")


if __name__ == "__main__":
    unittest.main()
