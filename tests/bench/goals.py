# SPDX-License-Identifier: MIT
"""The goals of caufs, and whether a run met them."""
OURS = "caufs"
MILLION = 1000000
MIB = 1024 * 1024


class Goal:
    """One sentence about a run. measure(results) returns (the figure or None, what it was measured against)."""

    def __init__(self, title, bound, measure, at_most=False, form="{:.2f}"):
        self.title = title
        self.bound = bound
        self.measure = measure
        self.at_most = at_most
        self.form = form

    def judge(self, results):
        figure, reference = self.measure(results)
        met = None
        if figure is not None:
            met = figure <= self.bound if self.at_most else figure >= self.bound
        return {"goal": self.title, "bound": self.bound, "at_most": self.at_most, "figure": figure,
                "reference": reference, "met": met}

    def row(self, results):
        verdict = self.judge(results)
        figure = verdict["figure"]
        return [self.title, ("≤ " if self.at_most else "≥ ") + self.form.format(self.bound),
                "-" if figure is None else self.form.format(figure), verdict["reference"] or "-",
                {True: "met", False: "not met", None: "not measured"}[verdict["met"]]]


def against(work, name, reference_work=None):
    """The ratio to one contender."""
    def measure(results):
        ratio = results.ratio(work, OURS, name, reference_work)
        return ratio, name if ratio is not None else None
    return measure


def against_best(work, kinds, without=()):
    """The ratio to the fastest contender of these kinds."""
    def measure(results):
        best = results.best(work, kinds, without)
        return (results.ratio(work, OURS, best), best) if best else (None, None)
    return measure


def disk(results):
    sizes = results.disk.get(OURS)
    return (sizes["on_disk"] / sizes["saved"], "bytes saved") if sizes else (None, None)


def grown(figure):
    """A figure of the store with a million reports as a share of that with a thousand."""
    def measure(results):
        small, large = results.growth_point(1000), results.growth_point(MILLION)
        if not small or not large or not small.get(figure):
            return None, None
        return large[figure] / small[figure], "1 thousand reports"
    return measure


def at_million(figure, scale=1.0):
    def measure(results):
        large = results.growth_point(MILLION)
        return (large[figure] * scale, "1 million reports") if large and large.get(figure) is not None else (None, None)
    return measure


# What does not sync is no match for a durable save.
UNSYNCED = ("rclone",)
PEER = {"peer"}


def durable_goals():
    return [
        Goal("durable saves, 1 writer, ÷ local with fsync", 1.3, against("save-1", "local")),
        Goal("durable saves, 8 writers, ÷ best FUSE peer with fsync", 2.5, against_best("save-8", PEER, UNSYNCED)),
        Goal("durable saves, 8 writers, ÷ local with fsync", 0.5, against("save-8", "local")),
        Goal("durable saves, 1 writer, ÷ passthrough_ll volatile", 1,
             against("save-1", "passthrough_ll", "save-1-volatile")),
        Goal("durable saves, 8 writers, ÷ passthrough_ll volatile", 1,
             against("save-8", "passthrough_ll", "save-8-volatile")),
    ]


def reading_goals():
    return [
        Goal("warm open-read-close, 1 reader, ÷ best FUSE peer", 3, against_best("read-warm-1", PEER)),
        Goal("warm open-read-close, 8 readers, ÷ best FUSE peer", 2, against_best("read-warm-8", PEER)),
        Goal("cold open-read-close, 1 reader, ÷ local", 1, against("read-cold-1", "local")),
        Goal("cold open-read-close, 8 readers, ÷ local", 1, against("read-cold-8", "local")),
        Goal("cold grep -r, ÷ local", 1, against("grep-cold", "local")),
        Goal("ls -l, cold, ÷ local", 1, against("ls-l-cold", "local")),
        Goal("ls -l, warm, ÷ best FUSE peer", 3, against_best("ls-l-warm", PEER)),
    ]


def big_goals():
    return [
        Goal("big compressible report: durable save, ÷ best contender", 2,
             against_best("big-compressible-save", {"peer", "local"}, UNSYNCED)),
        Goal("big compressible report: cold read, ÷ local", 1, against("big-compressible-read-cold", "local")),
        Goal("big compressible report: warm read, ÷ local", 0.9, against("big-compressible-read-warm", "local")),
        Goal("big incompressible report: durable save, ÷ passthrough_ll", 0.8,
             against("big-random-save", "passthrough_ll")),
        Goal("big incompressible report: cold read, ÷ passthrough_ll", 0.8,
             against("big-random-read-cold", "passthrough_ll")),
        Goal("writes of 100 bytes, ÷ best FUSE peer", 1, against_best("lines", PEER, UNSYNCED)),
        Goal("bytes on disk per byte saved", 0.12, disk, at_most=True, form="{:.3f}"),
    ]


def growth_goals():
    title = "1 million reports: "
    return [
        Goal(title + "save rate, 1 writer, ÷ that at 1 thousand", 0.8, grown("save_1")),
        Goal(title + "save rate, 8 writers, ÷ that at 1 thousand", 0.8, grown("save_8")),
        Goal(title + "open rate, ÷ that at 1 thousand", 0.8, grown("open")),
        Goal(title + "ls into wc -l, seconds", 5, at_million("ls_seconds"), at_most=True),
        Goal(title + "daemon's peak memory, MiB", 128, at_million("peak_memory", 1 / MIB), at_most=True, form="{:.0f}"),
        Goal(title + "mount, seconds", 1, at_million("mount_seconds"), at_most=True),
    ]


GOALS = [*durable_goals(), *reading_goals(), *big_goals(), *growth_goals()]


def rows(results):
    return [goal.row(results) for goal in GOALS]


def judge(results):
    return [goal.judge(results) for goal in GOALS]
