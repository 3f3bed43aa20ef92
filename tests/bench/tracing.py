# SPDX-License-Identifier: MIT
"""What the kernel counted: requests at /dev/fuse, and syncs, by its tracepoints in instances of our own."""
import collections
import contextlib
import glob
import os
import re
import subprocess

from machine import cores, read_text

TRACING = "/sys/kernel/tracing"
# Of all processors together: room for a million requests.
BUFFER_KB = 128 * 1024
SYNCS = ("fsync", "fdatasync", "sync_file_range", "syncfs", "msync")

REQUEST = re.compile(r" fuse_request_send: .*\(FUSE_(\w+)\)")
SYNC = re.compile(r" sys_(\w+)\(")


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def instance_path(name):
    return os.path.join(TRACING, "instances", f"caufs-bench-{os.getpid()}-{name}")


@contextlib.contextmanager
def mounted():
    """Within, tracefs is mounted where the kernel has it; after, no trace of ours is left in it."""
    ours = not os.path.isdir(os.path.join(TRACING, "events")) and subprocess.run(
        ["mount", "-t", "tracefs", "tracefs", TRACING], stderr=subprocess.DEVNULL, check=False).returncode == 0
    try:
        yield
    finally:
        for folder in glob.glob(instance_path("*")):
            os.rmdir(folder)
        if ours:
            subprocess.run(["umount", TRACING], check=False)


def unavailable():
    """Why requests cannot be counted here, or nothing."""
    if os.geteuid() != 0:
        return "only root can trace"
    if not os.path.isdir(os.path.join(TRACING, "events/fuse/fuse_request_send")):
        return "this kernel has no tracepoint fuse_request_send (Linux 6.10 or newer has)"
    return ""


class Instance:
    """A trace buffer of our own."""

    def __init__(self, name):
        self.folder = instance_path(name)
        os.mkdir(self.folder)
        try:
            self.set("buffer_size_kb", max(BUFFER_KB // cores(), 1024))
        except OSError:
            self.remove()
            raise

    def path(self, name):
        return os.path.join(self.folder, name)

    def set(self, name, value):
        write(self.path(name), f"{value}\n")

    def overflowed(self):
        return any(re.search(r"^overrun: [1-9]", read_text(self.path(f"per_cpu/{cpu}/stats")), re.M)
                   for cpu in os.listdir(self.path("per_cpu")))

    def count(self, pattern):
        """{what the pattern found: how often}, or None when the buffer was too small."""
        self.set("tracing_on", 0)
        if self.overflowed():
            return None
        with open(self.path("trace"), encoding="ascii", errors="replace") as file:
            return dict(collections.Counter(match[1] for match in map(pattern.search, file) if match))

    def remove(self):
        os.rmdir(self.folder)


class Trace:
    """requests: {opcode: number} of the contender's mount, None without one. syncs: calls of fsync and its kin by
    the daemon, or by the client where there is no daemon. Both None where this kernel cannot tell."""

    def __init__(self, contender):
        self.daemon = contender.daemon
        self.mountpoint = contender.mountpoint
        self.requests = None
        self.syncs = None
        self.instances = []

    def __enter__(self):
        if unavailable():
            return self
        try:
            self.trace_syncs()
            if self.daemon:
                self.trace_requests()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.instances:
                self.syncs = self.instances[0].count(SYNC)
                if self.daemon:
                    self.requests = self.instances[1].count(REQUEST)
        finally:
            self.remove()
        return False

    def trace_requests(self):
        instance = self.add("requests")
        device = os.stat(self.mountpoint).st_dev
        # The kernel's own form of a device number: include/linux/kdev_t.h.
        instance.set("events/fuse/fuse_request_send/filter",
                     f"connection == {os.major(device) << 20 | os.minor(device)}")
        instance.set("events/fuse/fuse_request_send/enable", 1)

    def trace_syncs(self):
        instance = self.add("syncs")
        # Threads and processes that these make are added by the kernel.
        instance.set("options/event-fork", 1)
        instance.set("set_event_pid", " ".join(map(str, self.daemon.tasks() if self.daemon else [os.getpid()])))
        for call in SYNCS:
            if os.path.isdir(instance.path(f"events/syscalls/sys_enter_{call}")):
                instance.set(f"events/syscalls/sys_enter_{call}/enable", 1)

    def add(self, name):
        instance = Instance(name)
        self.instances.append(instance)
        return instance

    def remove(self):
        while self.instances:
            self.instances.pop().remove()
