# SPDX-License-Identifier: MIT
"""Processes that do one system call at a time, when told to.

As a program (workers.py SOCKET) it is their parent: it forks one for each byte on its standard input. A worker connects
to the socket, says its process number, and serves. Messages are pickled, each after its length.
"""
import contextlib
import ctypes
import fcntl
import os
import pickle
import resource
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

LENGTH = struct.Struct("=Q")
AT_FDCWD = -100
RENAME_FLAGS = {"": 0, "NOREPLACE": 1, "EXCHANGE": 2}
FALLOCATE_MODES = {"": 0, "KEEP": 1, "PUNCH": 3}
WHENCES = {"SET": os.SEEK_SET, "CUR": os.SEEK_CUR, "END": os.SEEK_END, "DATA": os.SEEK_DATA, "HOLE": os.SEEK_HOLE}
KINDS = {"REG": stat.S_IFREG, "FIFO": stat.S_IFIFO}
PR_SET_CHILD_SUBREAPER = 36
MAP_SHARED, MAP_PRIVATE, PROT_READ = 1, 2, 1

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]
libc.mmap.restype = ctypes.c_void_p
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def send(connection, message):
    data = pickle.dumps(message)
    connection.sendall(LENGTH.pack(len(data)) + data)


def receive_bytes(connection, length):
    data = bytearray()
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def receive(connection):
    return pickle.loads(receive_bytes(connection, LENGTH.unpack(receive_bytes(connection, LENGTH.size))[0]))


def connect(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    send(connection, os.getpid())
    return connection


# ---- in a worker ----

def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def describe(found):
    return {"kind": stat.S_IFMT(found.st_mode), "size": found.st_size, "mode": stat.S_IMODE(found.st_mode),
            "uid": found.st_uid, "gid": found.st_gid, "links": found.st_nlink, "number": found.st_ino,
            "atime": found.st_atime_ns, "mtime": found.st_mtime_ns, "blocks": found.st_blocks}


def list_xattrs(path):
    names = os.listxattr(path)
    for name in {"user.note", "user.cau.sha256"} - set(names):
        with contextlib.suppress(OSError):
            names.append(f"unlisted {os.getxattr(path, name)!r}")
    return {name: os.getxattr(path, name).decode() for name in names}


def list_folder(path):
    with os.scandir(path) as entries:
        return [(entry.name, entry.inode()) for entry in entries]


def make_node(path, kind, mode):
    os.mknod(path, KINDS[kind] | mode)


def rename(old, new, flag):
    check(libc.renameat2(AT_FDCWD, old, AT_FDCWD, new, RENAME_FLAGS[flag]))


class Worker:
    """What one process does; its descriptors are in slots."""

    PATHS = {
        "stat": lambda path: describe(os.stat(path)),
        "truncate": os.truncate,
        "chmod": os.chmod,
        "chown": os.chown,
        "utime": lambda path, atime, mtime: os.utime(path, ns=(atime, mtime)),
        "rename": rename,
        "unlink": os.unlink,
        "link": os.link,
        "symlink": lambda path: os.symlink("target", path),
        "mknod": make_node,
        "mkdir": os.mkdir,
        "rmdir": os.rmdir,
        "list": list_folder,
        "statfs": lambda path: os.statvfs(path).f_files,
        "xattrs": list_xattrs,
        "setxattr": lambda path, name: os.setxattr(path, name, b"x"),
    }

    FILES = {
        "close": os.close,
        "read": os.read,
        "pread": lambda fd, offset, length: os.pread(fd, length, offset),
        "write": os.write,
        "pwrite": lambda fd, offset, data: os.pwrite(fd, data, offset),
        "seek": lambda fd, whence, offset: os.lseek(fd, offset, WHENCES[whence]),
        "ftruncate": os.ftruncate,
        "fallocate": lambda fd, mode, offset, length: check(libc.fallocate(fd, FALLOCATE_MODES[mode], offset, length)),
        "fsync": lambda fd, data_only: os.fdatasync(fd) if data_only else os.fsync(fd),
        "fstat": lambda fd: describe(os.fstat(fd)),
        "fchmod": os.fchmod,
        "fchown": os.fchown,
        "futime": lambda fd, atime, mtime: os.utime(fd, ns=(atime, mtime)),
        "fxattrs": list_xattrs,
        "drop": lambda fd: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED),
    }

    def __init__(self, address):
        self.address = address
        self.connection = connect(address)
        self.slots = {}

    def serve(self):
        while True:
            try:
                what, *arguments = receive(self.connection)
            except EOFError:
                os._exit(0)
            try:
                answer = ("done", self.do(what, arguments))
            except OSError as error:
                answer = ("failed", error.errno)
            if answer[1] is not self:
                send(self.connection, answer)

    def do(self, what, arguments):
        if what in self.PATHS:
            return self.PATHS[what](*arguments)
        if what in self.FILES:
            slot, *rest = arguments
            if what == "close":
                return os.close(self.slots.pop(slot))
            return self.FILES[what](self.slots[slot], *rest)
        return getattr(self, what)(*arguments)

    def open(self, slot, path, flags, mode):
        self.slots[slot] = os.open(path, flags, mode)
        return self.slots[slot]

    def dup(self, slot, other):
        self.slots[other] = os.dup(self.slots[slot])
        return self.slots[other]

    def setfl(self, slot, appends):
        fcntl.fcntl(self.slots[slot], fcntl.F_SETFL, os.O_APPEND if appends else 0)

    def mmap(self, slot, is_shared):
        """The bytes of the whole file. Python's own maps duplicate the descriptor, and closing that is a close."""
        descriptor = self.slots[slot]
        length = os.fstat(descriptor).st_size
        start = libc.mmap(None, length, PROT_READ, MAP_SHARED if is_shared else MAP_PRIVATE, descriptor, 0)
        if start == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "")
        data = ctypes.string_at(start, length)
        libc.munmap(start, length)
        return data

    def fork(self):
        """Answers with the number of the child, which connects by itself."""
        child = os.fork()
        if child != 0:
            return child
        self.connection.close()
        self.connection = connect(self.address)
        return self

    def exit(self, status):
        os._exit(status)


def main():
    os.umask(0o022)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Workers are gone when they end, also those whose parent, another worker, ended before.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    check(libc.prctl(PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (1, 0, 0, 0))))
    for _ in iter(lambda: os.read(0, 1), b""):
        if os.fork() == 0:
            os.close(0)
            Worker(sys.argv[1]).serve()


# ---- in the driver ----

class Died(Exception):
    """A worker ended that was not told to."""


class Crew:
    """The workers, by number; they start when they are first used."""

    def __init__(self, python, address, patience):
        self.address = address
        self.patience = patience
        self.workers = {}  # number: (pid, connection)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(address)
        self.listener.listen()
        self.listener.settimeout(patience)
        self.parent = subprocess.Popen([python, os.path.abspath(__file__), address], stdin=subprocess.PIPE)

    def accept(self):
        connection = self.listener.accept()[0]
        connection.settimeout(self.patience)
        return receive(connection), connection

    def worker(self, number):
        if number not in self.workers:
            os.write(self.parent.stdin.fileno(), b"+")
            self.workers[number] = self.accept()
        return self.workers[number]

    def ask(self, number, *message):
        """("done", value) or ("failed", errno)."""
        connection = self.worker(number)[1]
        try:
            send(connection, message)
            return receive(connection)
        except (EOFError, ConnectionError) as error:
            raise Died(f"process {number} ended at {message[0]}") from error

    def fork(self, number, other):
        answer = self.ask(number, "fork")
        pid, connection = self.accept()
        assert answer == ("done", pid), "one worker at a time is forked"
        self.workers[other] = (pid, connection)

    def exit(self, number, status):
        send(self.worker(number)[1], ("exit", status))
        self.wait(number)

    def kill(self, number, signal_number):
        os.kill(self.worker(number)[0], signal_number)
        self.wait(number)

    def wait(self, number):
        """Until the process is gone, also from /proc: caufs asks there who lives."""
        pid, connection = self.workers.pop(number)
        connection.close()
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                if not select.select([descriptor], [], [], self.patience)[0]:
                    raise TimeoutError(f"process {pid} does not end")
            finally:
                os.close(descriptor)
        end = time.monotonic() + self.patience
        while os.path.exists(f"/proc/{pid}"):
            if time.monotonic() > end:
                raise TimeoutError(f"process {pid} does not go")
            time.sleep(0.0005)

    def dispose(self):
        """Ends all of them, whatever they are doing."""
        for pid, _connection in self.workers.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for number in list(self.workers):
            with contextlib.suppress(TimeoutError):
                self.wait(number)
        self.parent.stdin.close()
        self.parent.wait()
        self.listener.close()


if __name__ == "__main__":
    main()
