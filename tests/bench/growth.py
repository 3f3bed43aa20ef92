# SPDX-License-Identifier: MIT
"""How caufs does as its store grows: one orchestrator with up to a million reports, and ten thousand orchestrators."""
import statistics
import subprocess
import time

from contenders import held
from daemons import BenchError
from measure import settle
from works import Group

FILL_STEP = 20000

# More reports than these take too much of the disk where they are not compressed.
LARGEST_LOCAL = 100000


def pipe_seconds(*listing):
    """How long a listing into wc -l takes: (seconds, lines)."""
    started = time.monotonic()
    with subprocess.Popen(listing, stdout=subprocess.PIPE) as lister:
        counted = subprocess.run(["wc", "-l"], stdin=lister.stdout, stdout=subprocess.PIPE, check=True)
        lister.stdout.close()
        if lister.wait() != 0:
            raise BenchError(f"{' '.join(listing)} failed with status {lister.returncode}")
    return time.monotonic() - started, int(counted.stdout)


def rates(results):
    return [result["ops"] / result["seconds"] for result in results]


class Watch:
    """Mounts a contender again and again, and keeps how long that took and how much memory its daemons needed."""

    def __init__(self, contender):
        self.contender = contender
        self.mount_seconds = []
        self.peaks = []

    def remount(self):
        """The daemon begins with nothing in memory, and its mount with no names. The disk's cache stays."""
        self.note()
        self.contender.remount()
        if self.contender.daemon:
            self.mount_seconds.append(self.contender.daemon.seconds_to_mount)

    def note(self):
        if self.contender.daemon:
            self.peaks.append(self.contender.daemon.peak_memory() or 0)

    def figures(self):
        self.note()
        if not self.mount_seconds:
            return {}
        return {"mount_seconds": statistics.median(self.mount_seconds), "peak_memory": max(self.peaks)}


class Growth(Group):
    """points: {contender: [{"reports": N, FIGURE: ...}]}. orchestrators: the same, of caufs, by their number."""

    name = "growth"

    def __init__(self, settings, client, corpus, say):
        super().__init__(settings, client, corpus)
        self.say = say
        self.points = {}
        self.orchestrators = []
        self.saved = {}

    def run(self, contender, control=None):
        """Grows the store of a contender, which is measured at each size. @control is a small store on the local
        filesystem, which shows how fast the disk was at that time."""
        largest = self.settings.growth_max
        if contender.kind == "local":
            largest = min(largest, LARGEST_LOCAL)
        with held([contender, *([control] if control else [])]):
            self.begin(contender)
            for size in (size for size in self.settings.sizes if size <= largest):
                self.fill_up(contender, size)
                point = {"reports": size, **self.measure(contender, control, size)}
                self.points.setdefault(contender.name, []).append(point)
                self.show(contender, f"{size:,} reports", point)

    def begin(self, contender):
        contender.fresh()
        self.new_folder(contender)
        self.saved[contender.name] = 0

    def show(self, contender, what, point):
        self.say(f"growth: {contender.name} with {what}: "
                 + ", ".join(f"{key} {value:,.4g}" for key, value in point.items() if isinstance(value, (int, float))))

    def save_more(self, contender, count, threads, fsync=False):
        result = self.save(contender, self.folder(contender), count, threads, fsync, self.saved[contender.name])
        self.saved[contender.name] += count
        return result

    def fill_up(self, contender, size):
        while self.saved[contender.name] < size:
            count = min(FILL_STEP, size - self.saved[contender.name])
            result = self.save_more(contender, count, 8)
            self.say(f"growth: {contender.name} has {self.saved[contender.name]:,} reports; the last {count:,} were "
                     f"saved at {result['ops'] / result['seconds']:,.0f}/s")
        settle(contender, self.settings)

    def measure(self, contender, control, size):
        watch = Watch(contender)
        figures = self.measure_listing(contender, watch)
        if contender.daemon:
            figures.update(self.measure_opens(contender, watch, size))
        # Last, because it makes the store larger.
        figures.update(self.measure_saves(contender, control))
        figures.update(watch.figures())
        return figures

    def measure_listing(self, contender, watch):
        figures = {}
        for key, listing in [("ls_unsorted_seconds", ("ls", "-U")), ("ls_seconds", ("ls",))]:
            watch.remount()
            seconds, lines = pipe_seconds(*listing, self.folder(contender))
            if lines != self.saved[contender.name]:
                raise BenchError(f"ls lists {lines} reports of {contender.name}, which has "
                                 f"{self.saved[contender.name]}")
            figures[key] = seconds
        return figures

    def measure_opens(self, contender, watch, size):
        """Of random reports, by names that the kernel has not seen since the mount."""
        figures = {}
        for key, readers in [("open", 1), ("open_8", 8)]:
            results = []
            for number in range(self.settings.growth_rounds):
                watch.remount()
                results.append(self.client("read", "--threads", readers, "--ops", min(self.settings.reads, size),
                                           "--seed", number + 1, self.folder(contender), size))
            figures[key] = statistics.median(rates(results))
            figures[key + "_values"] = rates(results)
        return figures

    def measure_saves(self, contender, control):
        results = {}
        for _ in range(self.settings.growth_rounds):
            for writers, count in self.settings.growth_saves.items():
                settle(contender, self.settings)
                results.setdefault(f"save_{writers}", []).append(
                    self.save_more(contender, count, writers, fsync=contender.calls_fsync))
                if control:
                    self.begin(control)
                    settle(control, self.settings)
                    results.setdefault(f"control_save_{writers}", []).append(
                        self.save_more(control, count, writers, fsync=control.calls_fsync))
        medians = {key: statistics.median(rates(those)) for key, those in results.items()}
        return {**medians, **{key + "_values": rates(those) for key, those in results.items()}}

    def run_orchestrators(self, contender):
        """Many orchestrators, each with one report."""
        with held([contender]):
            for count in self.settings.orchestrators:
                contender.fresh()
                point = {"orchestrators": count, **self.measure_orchestrators(contender, count)}
                self.orchestrators.append(point)
                self.show(contender, f"{count:,} orchestrators", point)

    def measure_orchestrators(self, contender, count):
        made = self.client("mkdirs", contender.root, self.corpus.folder, count)
        watch = Watch(contender)
        seconds = []
        for _ in range(self.settings.growth_rounds):
            settle(contender, self.settings)
            watch.remount()
            one, lines = pipe_seconds("ls", contender.root)
            if lines != count:
                raise BenchError(f"ls lists {lines} orchestrators of {contender.name}, which has {count}")
            seconds.append(one)
        return {"make": made["ops"] / made["seconds"], "ls_seconds": statistics.median(seconds), **watch.figures()}
