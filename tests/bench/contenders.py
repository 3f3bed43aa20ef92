# SPDX-License-Identifier: MIT
"""The filesystems that are compared. Peers run with the settings that they come with; those named -tuned let the kernel
cache what it can, at the price of changes below the mount that are not seen."""
import contextlib
import os
import shutil
import subprocess

from daemons import BenchError, Daemon


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3\n")


class Contender:
    """A filesystem with a store, which fresh() makes anew. root is where the works happen while it is started."""

    name = ""
    # "local", "peer", "limit" or "caufs".
    kind = "peer"
    # Whether the client calls fsync where a work is durable. caufs needs none: its close is the commit.
    calls_fsync = True
    # Whether it has works that are not durable.
    has_volatile = True
    # Whether fsync there reaches the disk.
    syncs = True
    # Whether what it holds outlives its mount.
    keeps = True
    # Whether it gives back the bytes that were saved.
    holds_data = True
    # Programs that have to be installed.
    programs = ()

    def __init__(self, base, tools):
        self.base = os.path.join(base, self.name)
        self.tools = tools
        self.store = os.path.join(self.base, "store")
        self.mountpoint = os.path.join(self.base, "mount")
        self.daemon = None

    def missing(self):
        """What keeps this contender from taking part, or nothing."""
        for program in self.programs:
            if not shutil.which(program):
                return f"{program} is not installed"
        return ""

    @property
    def root(self):
        return self.mountpoint

    def fresh(self):
        """Begins with an empty store, and starts."""
        self.remove()
        os.makedirs(self.store)
        os.makedirs(self.mountpoint)
        self.prepare()
        self.start()

    def prepare(self):
        """What the store needs before the first start."""

    def command(self):
        raise NotImplementedError

    def settings(self):
        """The command line, for the reader."""
        words = (word.replace(self.base + "/", "") for word in self.command())
        return " ".join(os.path.basename(word) if word.startswith("/") and word != os.devnull else word
                        for word in words)

    def start(self):
        self.daemon = Daemon(self.name, self.command(), self.mountpoint, os.path.join(self.base, "log"))

    def stop(self):
        if self.daemon is not None:
            # It is forgotten only then, so that kill() can still end it.
            self.daemon.stop()
            self.daemon = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.base, ignore_errors=True)

    def kill(self):
        """For the end of a run that failed."""
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon = None

    def remount(self):
        self.stop()
        self.start()

    def make_cold(self):
        """Nothing is in the kernel's caches, and nothing in the daemon's."""
        if self.keeps:
            self.stop()
        drop_caches()
        if self.keeps:
            self.start()

    def bytes_on_disk(self):
        """What the store takes on the disk, while not mounted."""
        return sum(os.lstat(os.path.join(folder, name)).st_blocks * 512
                   for folder, folders, files in os.walk(self.store) for name in folders + files)


class Local(Contender):
    """The filesystem on which the stores of all others lie."""

    name = "local"
    kind = "local"

    @property
    def root(self):
        return self.store

    def settings(self):
        return ""

    def start(self):
        pass


class PassthroughLl(Contender):
    name = "passthrough_ll"

    def missing(self):
        return "" if self.tools.passthrough_ll else "it was not compiled"

    def command(self):
        return [self.tools.passthrough_ll, "-f", "-o", f"source={self.store},cache=always", self.mountpoint]


class PassthroughHp(Contender):
    name = "passthrough_hp"

    def missing(self):
        return "" if self.tools.passthrough_hp else "none was named by --passthrough-hp"

    def command(self):
        return [self.tools.passthrough_hp, "--foreground", self.store, self.mountpoint]


class Bindfs(Contender):
    name = "bindfs"
    programs = ("bindfs",)
    options = ()

    def command(self):
        return ["bindfs", "-f", *self.options, self.store, self.mountpoint]


class BindfsTuned(Bindfs):
    name = "bindfs-tuned"
    options = ("--multithreaded", "-o", "kernel_cache")


class Mergerfs(Contender):
    name = "mergerfs"
    programs = ("mergerfs",)
    # Otherwise it refuses to save on a disk with less than 4 GiB free.
    options = "minfreespace=0"

    def command(self):
        return ["mergerfs", "-f", "-o", self.options, self.store, self.mountpoint]


class MergerfsTuned(Mergerfs):
    name = "mergerfs-tuned"
    options = "minfreespace=0,use_ino,cache.files=auto-full,cache.readdir=true"


class Gocryptfs(Contender):
    name = "gocryptfs"
    programs = ("gocryptfs",)
    password = ("-extpass", "echo", "-extpass", "benchmark")
    options = ()

    def prepare(self):
        subprocess.run(["gocryptfs", "-q", "-init", "-scryptn", "10", *self.password, self.store], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def command(self):
        return ["gocryptfs", "-q", "-fg", *self.options, *self.password, self.store, self.mountpoint]


class GocryptfsTuned(Gocryptfs):
    name = "gocryptfs-tuned"
    options = ("-kernel_cache",)


class Rclone(Contender):
    """Saves to a cache of its own on the local disk, from which it copies to the store in the background."""

    name = "rclone"
    programs = ("rclone",)
    syncs = False

    def command(self):
        return ["rclone", "mount", "--config", os.devnull, "--vfs-cache-mode", "full", "--vfs-write-back", "0s",
                "--cache-dir", os.path.join(self.base, "cache"), self.store, self.mountpoint]


class Noop(Contender):
    """Answers at once from memory: what the kernel and libfuse take, before any work is done."""

    name = "noop"
    kind = "limit"
    calls_fsync = False
    has_volatile = False
    syncs = False
    keeps = False
    holds_data = False
    options = ""

    def missing(self):
        return "" if self.tools.noop else "it was not built"

    def command(self):
        return [self.tools.noop, "-f", *(["-o", self.options] if self.options else []), self.mountpoint]


class NoopUncached(Noop):
    """The same, with no help of the kernel's caches."""

    name = "noop-uncached"
    options = "uncached"


class Caufs(Contender):
    name = "caufs"
    kind = "caufs"
    calls_fsync = False
    has_volatile = False

    def command(self):
        return [self.tools.caufs, "-f", os.path.join(self.store, "reports.db"), self.mountpoint]


CONTENDERS = [Local, PassthroughLl, PassthroughHp, Bindfs, BindfsTuned, Mergerfs, MergerfsTuned, Gocryptfs,
              GocryptfsTuned, Rclone, Noop, NoopUncached, Caufs]
NAMES = [contender.name for contender in CONTENDERS]
# The others take part when they are named.
DEFAULT = [name for name in NAMES if not name.endswith(("-tuned", "-uncached"))]


@contextlib.contextmanager
def held(contenders):
    """Within, stores may exist and be mounted; none is after."""
    try:
        yield
    except BaseException:
        for contender in contenders:
            contender.kill()
        raise
    finally:
        for contender in contenders:
            contender.remove()


def make(names, base, tools):
    """The contenders of these names, in our order. Says which cannot take part: (contenders, {name: reason})."""
    unknown = set(names) - set(NAMES)
    if unknown:
        raise BenchError(f"no such contender: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    found, missing = [], {}
    for contender in (kind(base, tools) for kind in CONTENDERS if kind.name in names):
        reason = contender.missing()
        if reason:
            missing[contender.name] = reason
        else:
            found.append(contender)
    return found, missing
