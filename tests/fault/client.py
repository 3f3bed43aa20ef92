#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A client of a mount that writes down, outside of the mount, what it is about to do and what came of it.

usage: client.py ROOT JOURNAL NUMBER SEED

It obeys lines on its standard input: a JSON object {"round": N, "places": {PLACE: ID}} lets it work, "stop" ends
that, the end of the input ends the client. "stopped N" says that it has stopped, after N operations, because it was
told to or because the mount is dead; "failed TEXT" that it met what no client should.

A place is FOLDER/NAME, where the folder is a digit. Places are

* this client's own: nobody else changes them, so it and the checker know exactly what must be there;
* reg-N: each client saves and removes them;
* ring-N: each client moves what is there, and nothing is ever saved or removed;
* log-N: each client appends lines.
"""
import contextlib
import errno
import json
import os
import random
import select
import sys
import time

import contents
from harness import GUID, OTHER_GUID, RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2

FOLDERS = [GUID, OTHER_GUID]
N_OWN, N_REGISTERS, N_RING, N_LOGS = 10, 6, 8, 2
DEAD = (errno.ENOTCONN, errno.ECONNABORTED)


@contextlib.contextmanager
def opened(path, flags):
    """A descriptor to write to. What fails first is what is heard of, and only a close after all of it says that it is saved."""
    fd = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        yield fd
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise
    os.close(fd)


def own_places(number):
    return [f"{folder}/c{number}-{k}" for folder in range(len(FOLDERS)) for k in range(N_OWN)]


REGISTERS = [f"0/reg-{k}" for k in range(N_REGISTERS)]
RING = [f"{folder}/ring-{k}" for folder in range(len(FOLDERS)) for k in range(N_RING)]
LOGS = [f"{k % len(FOLDERS)}/log-{k}" for k in range(N_LOGS)]


class MountIsDead(Exception):
    pass


class Client:
    def __init__(self, root, journal, number, seed):
        self.root = root
        self.number = number
        self.journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.rng = random.Random(f"{seed} {number}")
        self.count = 0
        self.places = {}
        self.round = 0

    # ---- the journal ----

    def note(self, **entry):
        os.write(self.journal, json.dumps({"t": time.monotonic(), **entry}).encode() + b"\n")

    def do(self, action, expected, **entry):
        """Runs @action, noted before and after. Whether it succeeded; if not, it failed with one of @expected."""
        self.count += 1
        self.note(n=self.count, **entry)
        try:
            action()
        except OSError as error:
            if error.errno not in expected:
                self.judge(error, entry)
            self.note(n=self.count, result=error.errno)
            return False
        self.note(n=self.count, result=0)
        return True

    def judge(self, error, entry):
        """What is not expected must come from the death of the mount."""
        if error.errno not in DEAD and not self.is_dead():
            raise RuntimeError(f"{entry}: {error}") from error
        raise MountIsDead()

    def is_dead(self):
        try:
            os.statvfs(self.root)
        except OSError as error:
            return error.errno in DEAD
        return False

    # ---- what is done ----

    def path(self, place):
        folder, name = place.split("/")
        return f"{self.root}/{FOLDERS[int(folder)]}/{name}"

    def new_id(self):
        return f"c{self.number}-{self.round}-{self.count}" + self.rng.choice(["", "z"])

    def new_size(self):
        largest = self.rng.choice([1_000, 30_000, 30_000, 300_000, 2_500_000])
        return self.rng.randrange(contents.SMALLEST, largest)

    def write_pieces(self, fd, data):
        """In order, or from the end to the start, in pieces."""
        step = self.rng.choice([len(data), 40_000, 131_072, 200_001])
        starts = range(0, len(data), step)
        for start in reversed(starts) if self.rng.random() < 0.2 else starts:
            done = start
            while done < min(start + step, len(data)):  # the death of the mount shortens a write
                done += os.pwrite(fd, data[done:start + step], done)

    def write(self, place, flags, data, then=None):
        with opened(self.path(place), flags) as fd:
            self.write_pieces(fd, data)
            os.ftruncate(fd, len(data))
            if then is not None:
                then(fd)

    def save(self, place, expected=()):
        identity, size = self.new_id(), self.new_size()
        flags = os.O_CREAT | self.rng.choice([os.O_TRUNC, 0])
        return self.do(lambda: self.write(place, flags, contents.make(identity, size)), expected,
                       op="save", place=place, id=identity) and identity

    def save_own(self):
        place = self.rng.choice(own_places(self.number))
        self.places[place] = self.save(place)

    def change_own(self):
        """Writes the first and the last bytes of a report anew."""
        place = self.rng.choice(sorted(self.places))
        old = self.places[place]
        if len(old) > 30:
            return
        with open(self.path(place), "rb") as file:
            size = len(file.read())
        identity = f"{old}+{self.count % 10}"
        data = contents.make(identity, size)

        def change():
            fd = os.open(self.path(place), os.O_RDWR)
            try:
                os.pwrite(fd, data[:contents.HEADER], 0)
                os.pwrite(fd, data[-contents.TAIL:], size - contents.TAIL)
            finally:
                os.close(fd)

        self.do(change, (), op="save", place=place, id=identity)
        self.places[place] = identity

    def save_own_twice(self):
        """The first by fsync, the second by the close of the same handle: an entry of the journal for each."""
        place = self.rng.choice(own_places(self.number))
        identity, second = self.new_id(), self.new_id() + "b"
        data = contents.make(second, self.new_size())
        fds = []

        def first():
            fds.append(os.open(self.path(place), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644))
            os.write(fds[0], contents.make(identity, 5_000))
            os.fsync(fds[0])

        def rest():
            self.write_pieces(fds[0], data)
            os.ftruncate(fds[0], len(data))
            os.close(fds.pop())

        try:
            self.do(first, (), op="save", place=place, id=identity)
            self.do(rest, (), op="save", place=place, id=second)
        finally:
            for fd in fds:
                try:
                    os.close(fd)
                except OSError:
                    pass
        self.places[place] = second

    def rename_own(self):
        old = self.rng.choice(sorted(self.places))
        new = self.rng.choice(own_places(self.number))
        self.do(lambda: os.rename(self.path(old), self.path(new)), (), op="rename", place=old, to=new)
        self.places[new] = self.places.pop(old)

    def exchange_own(self):
        one, other = (self.rng.choice(sorted(self.places)) for _ in range(2))
        self.do(lambda: renameat2(self.path(one), self.path(other), RENAME_EXCHANGE), (),
                op="exchange", place=one, to=other)
        self.places[one], self.places[other] = self.places[other], self.places[one]

    def remove_own(self):
        place = self.rng.choice(sorted(self.places))
        self.do(lambda: os.unlink(self.path(place)), (), op="remove", place=place)
        del self.places[place]

    def work_on_own(self):
        if len(self.places) < 3:
            return self.save_own()
        return self.rng.choices([self.save_own, self.change_own, self.save_own_twice, self.rename_own,
                                 self.exchange_own, self.remove_own], [8, 3, 2, 3, 2, 3])[0]()

    def work_on_register(self):
        place = self.rng.choice(REGISTERS)
        if self.rng.random() < 0.75:
            self.save(place)
        else:
            self.do(lambda: os.unlink(self.path(place)), [errno.ENOENT], op="remove", place=place)

    def work_on_ring(self):
        old, new = self.rng.sample(RING, 2)
        if self.rng.random() < 0.5:
            self.do(lambda: renameat2(self.path(old), self.path(new), RENAME_NOREPLACE),
                    [errno.ENOENT, errno.EEXIST], op="move", place=old, to=new)
        else:
            self.do(lambda: renameat2(self.path(old), self.path(new), RENAME_EXCHANGE), [errno.ENOENT],
                    op="exchange", place=old, to=new)

    def append(self):
        place = self.rng.choice(LOGS)
        line = f"c{self.number}-{self.round}-{self.count}"

        def append():
            with opened(self.path(place), os.O_CREAT | os.O_APPEND) as fd:
                os.write(fd, contents.make_line(line))

        self.do(append, (), op="append", place=place, id=line)

    def read(self):
        """Whatever is there must be whole, and stay whole while it is read in pieces."""
        place = self.rng.choice(REGISTERS + RING + LOGS + own_places(self.rng.randrange(4)))
        try:
            with open(self.path(place), "rb", buffering=0) as file:
                data = bytearray()
                while piece := file.read(self.rng.choice([4_096, 100_000, 1_000_000])):
                    data += piece
        except OSError as error:
            # A report that is written for the first time cannot be read yet.
            if error.errno not in (errno.ENOENT, errno.EBUSY):
                self.judge(error, {"op": "read", "place": place})
            return
        (contents.identify_lines if place in LOGS else contents.identify)(bytes(data))

    def step(self):
        self.rng.choices([self.work_on_own, self.work_on_register, self.work_on_ring, self.append, self.read],
                         [10, 3, 3, 3, 3])[0]()

    # ---- orders ----

    def work(self, order):
        self.round = order["round"]
        self.places = {place: order["places"][place] for place in own_places(self.number) if place in order["places"]}
        before = self.count
        try:
            while not select.select([0], [], [], 0)[0]:
                self.step()
            if os.read(0, 100) != b"stop\n":
                raise SystemExit
        except MountIsDead:
            pass
        except OSError as error:
            if error.errno not in DEAD and not self.is_dead():
                raise
        print(f"stopped {self.count - before}", flush=True)

    def obey(self):
        while line := read_line():
            try:
                if line != "stop":  # it stopped before by itself
                    self.work(json.loads(line))
            except (RuntimeError, ValueError, OSError) as error:
                print(f"failed: client {self.number}: {error}", flush=True)


def read_line():
    """Not by sys.stdin, which would take lines ahead that work() waits for."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return None
        line += byte
    return line.decode().strip()


if __name__ == "__main__":
    Client(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]).obey()
