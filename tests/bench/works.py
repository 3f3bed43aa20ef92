# SPDX-License-Identifier: MIT
"""The works that are timed, in groups that share a store and what was saved into it before."""
import os
import uuid

from daemons import BenchError

PATTERN = "KB5034441"
KIB = 1024
MIB = 1024 * KIB

# What caufs writes for a report of the corpus's mean size: seven pages.
SYNCED_BYTES = 28 * KIB


def size_text(size):
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"


class Work:
    """One thing that is timed. before() and act() take the contender; act() returns what the client printed."""

    def __init__(self, name, title, act, before=None, unit="operations", durable=True, needs_cold=False,
                 is_warm=False, changes=False, local_only=False):
        self.name = name
        self.title = title
        self.act = act
        self.before = before
        self.unit = unit
        # Whether only what is on stable storage counts. Contenders that know no other way skip the rest.
        self.durable = durable
        self.needs_cold = needs_cold
        # Whether it finds in the caches what before() left there a moment ago: some keep it for a second.
        self.is_warm = is_warm
        # Whether it changes what is stored.
        self.changes = changes
        # Whether it is about the disk, not about filesystems.
        self.local_only = local_only

    def suits(self, contender):
        if self.local_only:
            return contender.kind == "local"
        return self.durable or contender.has_volatile

    def amount(self, result):
        """Operations, or bytes."""
        return result["bytes"] if self.unit == "bytes" else result["ops"]


class Group:
    """Works on one store. client(ARGUMENT...) runs the client and returns what it printed."""

    name = ""
    # Whether each round begins with an empty store.
    fresh_each_round = False
    # Whether what its store takes on the disk is measured in the end.
    measures_disk = False

    def __init__(self, settings, client, corpus):
        self.settings = settings
        self.client = client
        self.corpus = corpus
        self.round = 0
        self.n_folders = 0
        self.folders = {}

    def new_folder(self, contender):
        """An empty orchestrator: its path."""
        self.n_folders += 1
        path = os.path.join(contender.root, str(uuid.UUID(int=0x4d5346545f434155 << 64 | self.n_folders)))
        os.mkdir(path)
        self.folders[contender.name] = path
        return path

    def folder(self, contender):
        return self.folders[contender.name]

    def fill(self, contender):
        """Untimed, once for each store."""

    def works(self):
        raise NotImplementedError

    def rounds(self, settings):
        return settings.rounds

    def save(self, contender, folder, count, threads=8, fsync=False, first=0):
        return self.client("save", "--threads", threads, *(["--fsync"] if fsync else []), "--first", first,
                           folder, self.corpus.folder, count)


class Saves(Group):
    name = "save"
    fresh_each_round = True

    def work(self, threads, durable):
        def act(contender):
            return self.save(contender, self.folder(contender), self.settings.reports, threads,
                             fsync=durable and contender.calls_fsync)
        writers = "1 writer" if threads == 1 else f"{threads} writers"
        return Work(f"save-{threads}" + ("" if durable else "-volatile"),
                    f"save reports, {writers}, {'durable' if durable else 'volatile'}",
                    act, before=self.new_folder, durable=durable, changes=True)

    def sync(self, contender):
        return self.client("sync", "--ops", self.settings.reports, os.path.join(self.folder(contender), "log"),
                           SYNCED_BYTES)

    def works(self):
        saves = [self.work(threads, durable) for threads in (1, 4, 8) for durable in (True, False)]
        return saves + [Work("save-floor", f"{size_text(SYNCED_BYTES)} appended to a log and synced, the least for a "
                             "durable save", self.sync, before=self.new_folder, changes=True, local_only=True)]


class Library(Group):
    """Questions to a folder with many reports."""

    name = "library"
    measures_disk = True

    def fill(self, contender):
        self.save(contender, self.new_folder(contender), self.settings.library)

    def bytes_saved(self):
        return self.corpus.bytes_of(self.settings.library)

    def cold(self, contender):
        contender.make_cold()

    def read(self, readers):
        def act(contender):
            return self.client("read", "--threads", readers, "--ops", self.settings.reads, "--seed", self.round + 1,
                               self.folder(contender), self.settings.library)
        return act

    def list(self, contender):
        return self.client("list", self.folder(contender))

    def list_long(self, contender):
        return self.client("list-stat", self.folder(contender))

    def stat(self, contender):
        return self.client("stat", "--ops", self.settings.reads, "--seed", self.round + 1,
                           self.folder(contender), self.settings.library)

    def grep(self, contender):
        result = self.client("grep", self.folder(contender), PATTERN)
        expected = self.corpus.count_with_pattern(self.settings.library)
        if contender.holds_data and result["ops"] != expected:
            raise BenchError(f"grep found {result['ops']} reports on {contender.name}, but {expected} were saved")
        # What is counted is the reports that were searched.
        return {**result, "ops": self.settings.library}

    def works(self):
        acts = [("read-{}-1", "open, read, close, 1 reader, {}", self.read(1)),
                ("read-{}-8", "open, read, close, 8 readers, {}", self.read(8)),
                ("ls-{}", "ls, {}", self.list),
                ("ls-l-{}", "ls -l, {}", self.list_long),
                ("stat-{}", "stat of random names, {}", self.stat),
                ("grep-{}", f"grep -rl {PATTERN}, {{}}", self.grep)]
        for name, title, act in acts:
            yield Work(name.format("cold"), title.format("cold"), act, before=self.cold, needs_cold=True)
            yield Work(name.format("warm"), title.format("warm"), act, before=act, is_warm=True)


class Names(Group):
    """Changes of names. None is followed by a sync: caufs alone is durable when the call returns."""

    name = "names"

    def fill_again(self, contender):
        self.save(contender, self.new_folder(contender), self.settings.reports)

    def rename(self, contender):
        return self.client("rename", self.folder(contender), self.settings.reports)

    def unlink(self, contender):
        return self.client("unlink", self.folder(contender), self.settings.reports)

    def works(self):
        return [Work("rename", "rename", self.rename, before=self.fill_again, changes=True),
                Work("unlink", "unlink", self.unlink, before=self.fill_again, changes=True)]


class Big(Group):
    """One big report."""

    kind = ""

    def fill(self, contender):
        self.new_folder(contender)

    def rounds(self, settings):
        return min(settings.rounds, 3)

    def path(self, contender):
        return os.path.join(self.folder(contender), f"big-{self.kind}.xml")

    def absent(self, contender):
        if os.path.exists(self.path(contender)):
            os.unlink(self.path(contender))

    def save_big(self, contender):
        return self.client("save-big", *(["--fsync"] if contender.calls_fsync else []), "--corpus",
                           self.corpus.folder, self.path(contender), self.settings.big, self.kind)

    def cold(self, contender):
        contender.make_cold()

    def read(self, contender):
        return self.client("read-big", self.path(contender))

    def read_random(self, contender):
        return self.client("read-random", "--ops", self.settings.random_reads, "--seed", self.round + 1,
                           self.path(contender))

    def works(self):
        title = f"{size_text(self.settings.big)} {'incompressible' if self.kind == 'random' else 'compressible'}"
        name = f"big-{self.kind}"
        return [Work(f"{name}-save", f"{title}: save, durable", self.save_big, before=self.absent, unit="bytes",
                     changes=True),
                Work(f"{name}-read-cold", f"{title}: read, cold", self.read, before=self.cold, unit="bytes",
                     needs_cold=True),
                Work(f"{name}-read-warm", f"{title}: read, warm", self.read, before=self.read, unit="bytes",
                     is_warm=True),
                Work(f"{name}-4k-cold", f"{title}: random 4 KiB reads, cold", self.read_random, before=self.cold,
                     needs_cold=True)]


class BigCompressible(Big):
    name = "big-compressible"
    kind = "compressible"


class BigRandom(Big):
    name = "big-random"
    kind = "random"


class Lines(Group):
    """A report written in lines of 100 bytes."""

    name = "lines"

    def save_lines(self, contender):
        return self.client("save-lines", *(["--fsync"] if contender.calls_fsync else []), "--corpus",
                           self.corpus.folder, os.path.join(self.folder(contender), "lines.xml"), self.settings.lines)

    def works(self):
        return [Work("lines", f"{size_text(self.settings.lines)} in writes of 100 bytes, durable", self.save_lines,
                     before=self.new_folder, unit="bytes", changes=True)]


GROUPS = [Saves, Library, Names, BigCompressible, BigRandom, Lines]


def wanted(work, only):
    """@only: names of works, or how they begin up to a hyphen; empty: all."""
    return not only or any(work.name == name or work.name.startswith(name + "-") for name in only)


def check_names(only, groups):
    names = [work.name for group in groups for work in group.works()]
    for name in only:
        if name not in ("cost", "growth") and not any(known == name or known.startswith(name + "-")
                                                      for known in names):
            raise BenchError(f"no such work: {name}; there are {', '.join(names)}")
