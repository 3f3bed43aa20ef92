# SPDX-License-Identifier: MIT
"""The command line, and how much a run does."""
import argparse
import os
import types

import contenders
from daemons import BenchError
from works import KIB, MIB

# reports: saved at a time. library: reports in the folder that is listed, read and searched. reads: of these, opened
# at a time. sizes: where a growing store is measured, up to growth_max, by saving so many reports with so many writers.
# Those are few, because they add to the size.
FULL = {"reports": 2000, "library": 10000, "reads": 4000, "random_reads": 4000, "big": 1024 * MIB, "lines": 8 * MIB,
        "rounds": 5, "corpus": 1000, "cold": True, "sync": True, "sizes": [1000, 10000, 100000, 1000000],
        "growth_max": 1000000, "growth_rounds": 3, "growth_saves": {8: 1000, 1: 300},
        "orchestrators": [100, 1000, 10000]}

QUICK = {"reports": 200, "library": 1000, "reads": 500, "random_reads": 300, "big": 48 * MIB, "lines": 256 * KIB,
         "rounds": 3, "corpus": 300, "cold": True, "sync": True, "sizes": [1000, 10000], "growth_max": 10000,
         "growth_rounds": 3, "growth_saves": {8: 500, 1: 150}, "orchestrators": [100, 1000]}

# For the benchmark's own test: the figures mean nothing.
TINY = {"reports": 12, "library": 30, "reads": 20, "random_reads": 10, "big": 256 * KIB, "lines": 16 * KIB,
        "rounds": 2, "corpus": 10, "cold": False, "sync": False, "sizes": [10, 20], "growth_max": 20,
        "growth_rounds": 1, "growth_saves": {8: 8, 1: 2}, "orchestrators": [3]}

# Where a whole run puts what it found out.
DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs", "bench")

DESCRIPTION = """\
Does the same works on the local filesystem, on other FUSE filesystems and on caufs, by turns, and prints medians,
ratios and which goals were met. Needs root, to drop the kernel's caches and to count requests.
"""


def names(text):
    return [name for name in text.split(",") if name]


def add_choices(parser):
    parser.add_argument("--quick", action="store_true", help="small figures, in about five minutes")
    parser.add_argument("--only", type=names, default=[], metavar="WORK,...",
                        help="only these works, by name or by how the name begins: save, read, ls, stat, grep, rename, "
                        "unlink, big, lines, growth, read-warm, ls-l-cold and so on")
    parser.add_argument("--contenders", type=names, default=contenders.DEFAULT, metavar="NAME,...",
                        help=f"only these: {', '.join(contenders.NAMES)}")
    parser.add_argument("--rounds", type=int, metavar="N", help="measure everything N times")
    parser.add_argument("--reports", type=int, metavar="N", help="save N reports at a time")
    parser.add_argument("--library", type=int, metavar="N", help="list, read and search a folder of N reports")
    parser.add_argument("--growth-max", type=int, metavar="N", help="let a store grow up to N reports")
    parser.add_argument("--no-growth", dest="growth", action="store_false", help="do not measure how a store grows")
    parser.add_argument("--no-cost", dest="cost", action="store_false", help="do not count requests and syncs")


def add_places(parser):
    parser.add_argument("--dir", default="/var/tmp", metavar="FOLDER",
                        help="where the stores lie, on a disk (default: /var/tmp)")
    parser.add_argument("--out", metavar="FOLDER",
                        help="write results.md, results.json and the plots there (default: docs/bench, when everything "
                        "is measured)")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--caufs", default="caufs", metavar="PATH", help="measure this caufs, not the one just built")
    parser.add_argument("--passthrough-hp", metavar="PATH", help="a built passthrough_hp of libfuse, to compare with")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/bench", description=DESCRIPTION)
    add_choices(parser)
    add_places(parser)
    # What tools/bench and the test say.
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    for program in ("--client", "--noop", "--passthrough-ll"):
        parser.add_argument(program, metavar="PATH", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.out is None and is_whole(options):
        options.out = DOCS
    return options


def is_whole(options):
    return not (options.quick or options.tiny or options.only or options.contenders != contenders.DEFAULT
                or not options.cost or not options.growth)


def settings_of(options):
    """How much is done, how often."""
    settings = types.SimpleNamespace(**(TINY if options.tiny else QUICK if options.quick else FULL), cost=options.cost)
    for name in ("rounds", "reports", "library", "growth_max"):
        if getattr(options, name) is not None:
            setattr(settings, name, getattr(options, name))
        if getattr(settings, name) < 1:
            raise BenchError(f"--{name.replace('_', '-')} is at least 1")
    settings.reads = min(settings.reads, settings.library)
    return settings
