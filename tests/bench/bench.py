#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The benchmark: the same works on the local filesystem, on other FUSE filesystems and on caufs, by turns, in one run.

tools/bench installs and builds what it needs and starts it.
"""
import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import types

import contenders
import document
import goals
import machine
import plots
import tracing
import works
from corpus import Corpus
from daemons import BenchError
from growth import Growth
from measure import Client, Measurer
from results import Results

FULL = {"reports": 2000, "library": 10000, "reads": 4000, "random_reads": 4000, "big": 1024 * works.MIB,
        "lines": 8 * works.MIB, "rounds": 5, "corpus": 1000, "growth_max": 1000000, "orchestrators_max": 10000}
QUICK = {"reports": 200, "library": 1000, "reads": 500, "random_reads": 300, "big": 48 * works.MIB,
         "lines": works.MIB // 2, "rounds": 3, "corpus": 300, "growth_max": 10000, "orchestrators_max": 1000}


def names(text):
    return [name for name in text.split(",") if name]


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/bench", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="small figures in a few minutes")
    parser.add_argument("--only", type=names, default=[], metavar="WORK,...",
                        help="only these works, or those whose names begin so: save,read,read-warm,ls,stat,grep,rename,"
                        "unlink,big,lines,growth")
    parser.add_argument("--contenders", type=names, default=contenders.DEFAULT, metavar="NAME,...",
                        help=f"only these: {','.join(contenders.NAMES)}")
    parser.add_argument("--dir", default="/var/tmp", metavar="FOLDER", help="where the stores lie (default: /var/tmp)")
    parser.add_argument("--out", metavar="FOLDER", help="write results.md, results.json and the plots there")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--rounds", type=int, metavar="N", help="measure everything N times")
    parser.add_argument("--reports", type=int, metavar="N", help="save N reports at a time")
    parser.add_argument("--library", type=int, metavar="N", help="list, read and search a folder of N reports")
    parser.add_argument("--growth-max", type=int, metavar="N", help="let a store grow up to N reports")
    parser.add_argument("--no-growth", dest="growth", action="store_false", help="do not measure how a store grows")
    parser.add_argument("--no-cost", dest="cost", action="store_false", help="do not count requests and syncs")
    parser.add_argument("--no-cold", dest="cold", action="store_false",
                        help="leave out what needs the kernel's caches to be dropped, which only root can")
    parser.add_argument("--any-filesystem", action="store_true", help="accept a --dir in memory too, for a test run")
    parser.add_argument("--caufs", default="caufs", metavar="PATH", help="the caufs to measure")
    parser.add_argument("--client", default="bench-client", metavar="PATH", help=argparse.SUPPRESS)
    parser.add_argument("--noop", metavar="PATH", help=argparse.SUPPRESS)
    parser.add_argument("--passthrough-ll", metavar="PATH", help=argparse.SUPPRESS)
    parser.add_argument("--passthrough-hp", metavar="PATH", help="a built passthrough_hp of libfuse, to compare with")
    return parser.parse_args(arguments)


def settings_of(options):
    """How much is done, how often."""
    settings = types.SimpleNamespace(**(QUICK if options.quick else FULL), cost=options.cost, cold=options.cold)
    for name in ("rounds", "reports", "library", "growth_max"):
        if getattr(options, name) is not None:
            setattr(settings, name, getattr(options, name))
        if getattr(settings, name) < 1:
            raise BenchError(f"--{name.replace('_', '-')} is at least 1")
    settings.reads = min(settings.reads, settings.library)
    settings.corpus = min(settings.corpus, settings.library)
    return settings


def say(line):
    print(f"tools/bench: {line}", file=sys.stderr, flush=True)


def check_machine(options, settings):
    if not os.path.isdir(options.dir):
        raise BenchError(f"{options.dir} is not a folder")
    if machine.is_in_memory(options.dir) and not options.any_filesystem:
        raise BenchError(f"{options.dir} is in memory ({machine.filesystem_of(options.dir)[0]}), where nothing is "
                         "durable; name a folder on a disk with --dir")
    if settings.cold and not os.access("/proc/sys/vm/drop_caches", os.W_OK):
        raise BenchError("the kernel's caches cannot be dropped: that needs root. Without cold reads: --no-cold")
    if settings.cost and tracing.unavailable():
        say(f"requests and syncs are not measured: {tracing.unavailable()}")


def run_works(options, settings, those, corpus):
    """(Measurer, [Work that was done])"""
    groups = [group(settings, Client(options.client), corpus) for group in works.GROUPS]
    works.check_names(options.only, groups)
    measurer = Measurer(those, settings, say)
    done = []
    for group in groups:
        wanted = [work for work in group.works() if works.wanted(work, options.only)]
        if wanted:
            measurer.run(group, wanted)
            done += wanted
    return measurer, done


def run_growth(options, settings, those, corpus, base):
    growth = Growth(settings, Client(options.client), corpus, say)
    by_kind = {contender.kind: contender for contender in those}
    if not options.growth or "caufs" not in by_kind or (options.only and "growth" not in options.only):
        return growth
    if "local" in by_kind:
        growth.run(by_kind["local"])
    growth.run(by_kind["caufs"], contenders.Local(os.path.join(base, "control"), options))
    growth.run_orchestrators(by_kind["caufs"])
    return growth


def report(options, contents, text):
    """Prints and writes what came out."""
    print(text)
    if options.json:
        write(options.json, json.dumps(contents, indent=1) + "\n")
    if options.out:
        os.makedirs(options.out, exist_ok=True)
        write(os.path.join(options.out, "results.json"), json.dumps(contents, indent=1) + "\n")
        write(os.path.join(options.out, "results.md"), text)
        plots.draw(options.out, contents["growth"].get("caufs", []))


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def run(options, base):
    settings = settings_of(options)
    check_machine(options, settings)
    those, missing = contenders.make(options.contenders, os.path.join(base, "stores"), options)
    for name, reason in missing.items():
        say(f"without {name}: {reason}")
    corpus = Corpus(os.path.join(base, "corpus"), settings.corpus)
    try:
        measurer, done = run_works(options, settings, those, corpus)
        growth = run_growth(options, settings, those, corpus, base)
    finally:
        for contender in those:
            contender.kill()
    kinds = {contender.name: contender.kind for contender in those}
    results = Results(measurer.records, kinds, measurer.disk, growth.points, growth.orchestrators)
    where = machine.describe(options.dir, options.caufs)
    text = document.write(where, corpus.describe(), done, results, list(kinds))
    report(options, {
        "machine": where, "settings": vars(settings), "corpus": corpus.describe(), "contenders": kinds,
        "missing": missing, "works": {work.name: {"title": work.title, "unit": work.unit} for work in done},
        "figures": results.as_json(), "goals": goals.judge(results), "disk": measurer.disk, "growth": growth.points,
        "orchestrators": growth.orchestrators, "records": measurer.records}, text)


def end(_signal, _frame):
    raise KeyboardInterrupt


def main():
    options = parse(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(tracing.mounted())
            if not os.path.isdir(options.dir):
                raise BenchError(f"{options.dir} is not a folder")
            base = tempfile.mkdtemp(prefix="caufs-bench.", dir=os.path.realpath(options.dir))
            stack.callback(shutil.rmtree, base, ignore_errors=True)
            run(options, base)
    except BenchError as error:
        say(error)
        sys.exit(1)
    except KeyboardInterrupt:
        say("ended before it was done")
        sys.exit(130)


if __name__ == "__main__":
    main()
