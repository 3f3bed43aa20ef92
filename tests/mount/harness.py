# SPDX-License-Identifier: MIT
"""A private caufs mount for each test, and what the mount tests share.

Environment: CAUFS (the daemon, needed), CAUREPORT (the tool) and CAU_SAMPLES (the folder of sample
reports). A test fails when its daemon ends with another status than 0, cannot be unmounted, or logs
a line that no daemon should log.
"""
import contextlib
import ctypes
import errno
import hashlib
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

CAUFS = os.environ.get("CAUFS", "caufs")
CAUREPORT = os.environ.get("CAUREPORT", "caureport")
SAMPLES = os.environ.get("CAU_SAMPLES", "")

GUID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
OTHER_GUID = "0f4e59a1-6fd2-4b0c-93b1-35c8e6c1d2aa"
CHUNK = 128 * 1024

# The interpreter of child processes: one that every user can run, which the one that runs the tests,
# in somebody's home perhaps, need not be.
PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable

# A user and group without any rights; they need not have names.
NOBODY = 65534

# Seconds until a condition that must come true counts as failed: far more than it needs, because
# the tests of all files share the machine.
PATIENCE = 60

SUSPICIOUS = re.compile(r"CRITICAL|\bERROR\b|Sanitizer|runtime error:|leaked|Assertion|assertion|"
                        r"Bail out|GLib[-A-Za-z]*-?WARNING|double free|corrupted")

PR_SET_CHILD_SUBREAPER = 36
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2
AT_FDCWD = -100

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def needs_root(test):
    return unittest.skipUnless(os.geteuid() == 0, "needs root")(test)


def renameat2(old, new, flags=0):
    if libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), old)


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, offset, length) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def adopt_orphans():
    """Makes this process the parent of what its descendants leave running, as init is of all others."""
    if libc.prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "prctl")


def children():
    """The processes whose parent this is."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return {int(pid) for pid in file.read().split()}


def threads(pid):
    """What /proc says of each thread of the process."""
    found = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status", encoding="ascii") as file:
            lines = [line.split(":", 1) for line in file]
        found.append({name: value.strip() for name, value in lines})
    return found


def exit_status(pid):
    """Waits for the end of the child @pid; its status, negative for a signal."""
    found = []
    wait_until(lambda: found.append(os.waitpid(pid, os.WNOHANG)) or found[-1][0], f"process {pid} does not end")
    return os.waitstatus_to_exitcode(found[-1][1])


def wait_until(condition, what, seconds=PATIENCE):
    """Looks at @condition again and again until it holds, and returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.005)


def sanitizers_told(option):
    """The beginning of a command that tells a sanitizer with which the program may have been built."""
    names = ("ASAN_OPTIONS", "TSAN_OPTIONS")
    return ("env", *(f"{name}={os.environ.get(name, '')}:{option}" for name in names))


def preload(library, **variables):
    """An environment for a daemon under @library, which these variables tell what to do."""
    # A sanitizer wants to be loaded first, and is told that this is no mistake.
    options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
    return {"LD_PRELOAD": library, "ASAN_OPTIONS": options, **variables}


def mounts():
    """The mounts of this process' namespace: (mountpoint, type, source, options) each, newest last."""
    def decode(text):
        return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)

    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, after = line.rstrip("\n").split(" - ", 1)
            kind, source, super_options = after.split(" ", 2)
            fields = before.split(" ")
            found.append((decode(fields[4]), kind, decode(source), f"{fields[5]},{super_options}"))
    return found


def caufs_mounts_at(path):
    return [mount for mount in mounts() if mount[0] == path and mount[1] == "fuse.caufs"]


def random_bytes(size, seed=0):
    return random.Random(seed).randbytes(size)


def text_bytes(size, seed=0):
    """Bytes that compress about as well as a report does."""
    rng = random.Random(seed)
    words = [b"<NodeResult>", b"Succeeded", b"</NodeResult>", b"KB%d" % rng.randrange(10 ** 7), b"\n"]
    out = bytearray()
    while len(out) < size:
        out += rng.choice(words) + b" %d " % rng.randrange(1000)
    return bytes(out[:size])


def read_file(path):
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def write_file(path, data, mode="wb"):
    with open(path, mode, buffering=0) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left):]


def exists(path):
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def samples():
    """The names of the sample reports."""
    names = sorted(name for name in os.listdir(SAMPLES) if name.endswith(".xml"))
    assert names, f"CAU_SAMPLES={SAMPLES} has no reports"
    return names


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Mount:
    """A caufs daemon in the foreground and its mount."""

    def __init__(self, store, path, options=(), flags=("-f",), wrapper=(), environment=None):
        self.store = store
        self.path = path
        self.log_path = f"{path}.log"
        self.status = None
        arguments = [*wrapper, CAUFS, *flags]
        if options:
            arguments += ["-o", ",".join(options)]
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()  # after what an earlier daemon on the same path logged
            self.process = subprocess.Popen(
                [*arguments, store, path], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "G_DEBUG": "fatal-criticals", **(environment or {})})

    def log(self):
        """What this daemon has logged."""
        with open(self.log_path, "rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"caufs ended with status {self.process.returncode} "
                                     f"instead of mounting:\n{self.log()}")
            return f"mounted on {self.path}" in self.log() and caufs_mounts_at(self.path)

        wait_until(ready, f"caufs did not mount {self.path}")
        return self

    def judge_end(self, expected):
        """Waits for the daemon's end: with the status @expected, negative for a signal, and a clean log."""
        self.status = self.process.wait(PATIENCE)
        log = self.log()
        if self.status != expected:
            raise AssertionError(f"caufs ended with status {self.status}, not {expected}:\n{log}")
        bad = [line for line in log.splitlines() if SUSPICIOUS.search(line)]
        if bad:
            raise AssertionError("caufs logged:\n" + "\n".join(bad))

    def wait_ended(self):
        """Waits for the daemon's end as it should be, which leaves no mount."""
        self.judge_end(0)
        if caufs_mounts_at(self.path):
            raise AssertionError(f"{self.path} is still mounted though caufs ended:\n{self.log()}")

    def finish(self):
        """Unmounts as a user would."""
        if self.status is not None:
            return
        done = subprocess.run(["fusermount3", "-u", self.path], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"fusermount3 -u {self.path}: {done.stderr}\n{self.log()}")
        self.wait_ended()

    def terminate(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.wait_ended()

    def crash(self):
        """Kills the daemon, so that its mount stays behind, dead. One that had ended by itself is a failure."""
        self.process.kill()
        self.judge_end(-signal.SIGKILL)

    def dispose(self):
        """Clears away what a failed test left."""
        while caufs_mounts_at(self.path):
            subprocess.run(["fusermount3", "-u", "-z", self.path], check=True)
        if self.process.poll() is None:
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Child:
    """A python process that says how far it is and hears when to go on, a line each.

    Its script may use os, sys, signal, subprocess, threading, time, say(), hear() and serve()."""

    PRELUDE = ("import os, sys, signal, subprocess, threading, time\n"
               "def say(text='ready'): os.write(1, f'{text}\\n'.encode())\n"
               "def hear():\n"
               "    if not sys.stdin.readline(): raise SystemExit('the test is gone')\n"
               "def serve():\n"
               "    for line in sys.stdin:\n"
               "        try: say(repr(eval(line)))\n"
               "        except OSError as error: say(os.strerror(error.errno))\n"
               "for number in signal.SIGINT, signal.SIGHUP: signal.signal(number, signal.SIG_DFL)\n")

    def __init__(self, script, *arguments, **popen):
        self.process = subprocess.Popen(
            [PYTHON, "-c", self.PRELUDE + script, *[os.fspath(a) for a in arguments]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, **popen)
        self.pid = self.process.pid
        self.buffer = b""

    def line(self):
        """The next line that the child says, None at the end of its output."""
        output = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            if not select.select([output], [], [], PATIENCE)[0]:
                raise AssertionError("a child process says nothing")
            more = os.read(output, 65536)
            if not more:
                return None
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def expect(self, text="ready"):
        line = self.line()
        if line != text:
            raise AssertionError(f"a child process said {line!r} in place of {text!r}")

    def ask(self, expression):
        """What @expression is in a child that serves(): its value's repr(), or the text of an OSError."""
        self.process.stdin.write(expression.encode() + b"\n")
        self.process.stdin.flush()
        return self.line()

    def tell(self):
        self.process.stdin.write(b"go on\n")
        self.process.stdin.flush()

    def wait(self):
        return self.process.wait(PATIENCE)

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.wait()

    def dispose(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class MountTest(unittest.TestCase):
    """A test with a folder of its own, and mounts that are unmounted and judged at its end."""

    maxDiff = 2000

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="caufs-mount-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.store = os.path.join(self.dir, "store.cau")
        self.mounts = []
        self.held = []  # what keeps a mount busy, and is disposed of before it is unmounted
        self.descriptors = set()

    def tearDown(self):
        for holder in self.held:
            holder.dispose()
        for fd in list(self.descriptors):
            self.close(fd)
        for mount in reversed(self.mounts):
            mount.finish()

    def start(self, *options, store=None, path=None, **how):
        """Mounts @store, the test's own by default, on @path, a new folder by default."""
        if path is None:
            path = os.path.join(self.dir, f"mnt{len(self.mounts)}")
            os.mkdir(path)
        how.setdefault("environment", self.environment())
        mount = Mount(store or self.store, path, options, **how)
        self.addCleanup(mount.dispose)
        self.mounts.append(mount)
        return mount.wait_ready()

    def environment(self):
        """Variables of the test's own for the daemon of each mount."""
        return {}

    def let_others_in(self):
        """Lets users other than the one who runs the tests reach the mounts."""
        os.chmod(self.dir, 0o755)

    def hold(self, holder):
        self.held.append(holder)
        return holder

    def child(self, script, *arguments, **popen):
        return self.hold(Child(script, *arguments, **popen))

    def onlooker(self):
        """A process that looks at things when asked.

        A program started while a test has a report open for writing would close a copy of it, which is a commit."""
        return self.child("def read(path):\n"
                          "    with open(path, 'rb') as file: return file.read()\n"
                          "serve()\n")

    def map_in_child(self, path):
        """A child that has @path mapped, and only that; a fault in the map ends it and not the tests."""
        child = self.child("import hashlib, mmap\n"
                           "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
                           "pages = mmap.mmap(fd, 0, prot=mmap.PROT_READ)\n"
                           "os.close(fd)\n"
                           "say(); hear(); say(hashlib.sha256(pages[:]).hexdigest())\n", path)
        child.expect()
        return child

    def assert_maps(self, child, expected):
        child.tell()
        child.expect(sha256(expected))
        self.assertEqual(child.wait(), 0)

    def open(self, path, flags=os.O_RDONLY, mode=0o644):
        """Opens @path until self.close() or the end of the test."""
        fd = os.open(path, flags, mode)
        self.descriptors.add(fd)
        return fd

    def close(self, fd):
        self.descriptors.discard(fd)
        os.close(fd)

    def run_program(self, *arguments, status=0, **how):
        """Runs a program to its end; returns its standard output. Any status passes when @status is None."""
        arguments = [os.fspath(argument) for argument in arguments]
        how.setdefault("timeout", 2 * PATIENCE)
        done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              env={**os.environ, "LC_ALL": "C.UTF-8", **how.pop("env", {})}, **how)
        self.stderr = done.stderr.decode(errors="replace")
        if status is not None and done.returncode != status:
            self.fail(f"{arguments} ended with status {done.returncode}, not {status}:\n"
                      f"{done.stdout.decode(errors='replace')[-2000:]}{self.stderr[-2000:]}")
        return done.stdout

    def shell(self, script, *arguments, **how):
        """Runs @script in bash; it sees @arguments as $1, $2…"""
        return self.run_program("bash", "-c", script, "bash", *arguments, **how).decode()

    def caureport(self, *arguments, store=None, **how):
        return self.run_program(CAUREPORT, "--store", store or self.store, *arguments, **how)

    @contextlib.contextmanager
    def refused(self, *codes):
        """What is done inside fails with one of @codes."""
        try:
            yield
        except OSError as error:
            if error.errno in codes:
                return
            self.fail(f"failed with {errno.errorcode.get(error.errno, error.errno)}, not "
                      f"{' or '.join(errno.errorcode[code] for code in codes)}")
        self.fail(f"did not fail with {' or '.join(errno.errorcode[code] for code in codes)}")

    def assert_bytes(self, found, expected, what="the report"):
        """Compares without printing megabytes."""
        if found == expected:
            return
        length = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), min(len(found), len(expected)))
        self.fail(f"{what} differs: {len(found)} bytes, expected {len(expected)}, alike up to byte {length}: "
                  f"{found[length:length + 40]!r} is not {expected[length:length + 40]!r}")

    def assert_report(self, path, expected):
        self.assert_bytes(read_file(path), expected, path)


class ReportTest(MountTest):
    """A test with one mount, of the class' options, that has one orchestrator."""

    options = ()

    def setUp(self):
        super().setUp()
        self.mount = self.start(*self.options)
        self.root = self.mount.path
        self.folder = os.path.join(self.root, GUID)
        os.mkdir(self.folder)

    def path(self, name="report.xml"):
        return os.path.join(self.folder, name)

    def listed(self):
        return sorted(os.listdir(self.folder))

    def remount(self, *options):
        self.mount.finish()
        self.mount = self.start(*(options or self.options), path=self.root)

    def make_other_folder(self):
        other = os.path.join(self.root, OTHER_GUID)
        os.mkdir(other)
        return other

    def drop_pages(self, fd):
        """Lets the kernel forget the pages of @fd, so that the next read asks the daemon."""
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    sys.exit("this file has no tests: run test_*.py")
