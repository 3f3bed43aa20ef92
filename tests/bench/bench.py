#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The benchmark. tools/bench installs and builds what it needs, and starts it."""
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile

import contenders
import document
import goals
import machine
import plots
import tracing
import works
from corpus import Corpus
from daemons import BenchError, unmount_below
from growth import LARGEST_LOCAL, Growth
from measure import Client, Measurer
from options import parse, settings_of
from results import Results

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Bytes of a sample report, roughly.
MEAN_REPORT = 45000


def say(line):
    print(f"tools/bench: {line}", file=sys.stderr, flush=True)


# ---- before ----

def measures_growth(options):
    return options.growth and (not options.only or "growth" in options.only)


def measures_big(options, settings):
    return any(works.wanted(work, options.only) for group in (works.BigCompressible, works.BigRandom)
               for work in group(settings, None, None).works())


def room_needed(options, settings):
    """Bytes that the stores take at most: of all contenders at once, or of the one that grows."""
    reports = max(settings.library, 6 * settings.reports) * MEAN_REPORT
    big = settings.big if measures_big(options, settings) else 0
    growth = min(settings.growth_max, LARGEST_LOCAL) * MEAN_REPORT + settings.growth_max * MEAN_REPORT // 4
    return max(len(options.contenders) * max(reports, big) * 2, growth if measures_growth(options) else 0)


def check_machine(options, settings):
    if machine.is_in_memory(options.dir) and not options.tiny:
        raise BenchError(f"{options.dir} is in memory ({machine.filesystem_of(options.dir)[0]}), where nothing is "
                         "durable; name a folder on a disk with --dir")
    if settings.cold and not os.access("/proc/sys/vm/drop_caches", os.W_OK):
        raise BenchError("the kernel's caches cannot be dropped: only root can do that")
    room, free = room_needed(options, settings), shutil.disk_usage(options.dir).free
    if free < room:
        raise BenchError(f"{options.dir} has {free >> 20:,} MiB free, and the run needs up to {room >> 20:,}; name "
                         "another folder with --dir, or make the run smaller with --quick or --growth-max")
    if settings.cost and tracing.unavailable():
        say(f"requests and syncs are not measured: {tracing.unavailable()}")


# ---- the run ----

def run_works(options, settings, those, corpus):
    """(Measurer, [Work that was done])"""
    groups = [group(settings, Client(options.client), corpus) for group in works.GROUPS]
    measurer = Measurer(those, settings, say)
    done = []
    for group in groups:
        wanted = [work for work in group.works()
                  if works.wanted(work, options.only) and (settings.cold or not work.needs_cold)]
        if wanted:
            measurer.run(group, wanted)
            done += wanted
    return measurer, done


def run_growth(options, settings, those, corpus, base):
    growth = Growth(settings, Client(options.client), corpus, say)
    by_kind = {contender.kind: contender for contender in those}
    if not measures_growth(options) or "caufs" not in by_kind:
        return growth
    if "local" in by_kind:
        growth.run(by_kind["local"])
    growth.run(by_kind["caufs"], contenders.Local(os.path.join(base, "control"), options))
    growth.run_orchestrators(by_kind["caufs"])
    return growth


def run(options, base):
    settings = settings_of(options)
    check_machine(options, settings)
    works.check_names(options.only, [group(settings, None, None) for group in works.GROUPS])
    those, missing = contenders.make(options.contenders, os.path.join(base, "stores"), options)
    for name, reason in missing.items():
        say(f"without {name}: {reason}")
    corpus = Corpus(os.path.join(base, "corpus"), settings.corpus)
    measurer, done = run_works(options, settings, those, corpus)
    growth = run_growth(options, settings, those, corpus, base)
    kinds = {contender.name: contender.kind for contender in those}
    results = Results(measurer.records, kinds, measurer.disk, growth.points, growth.orchestrators)
    where = machine.describe(options.dir, options.caufs)
    commands = {contender.name: contender.settings() for contender in those if contender.settings()}
    text = document.write(where, corpus.describe(), done, results, list(kinds), commands, measurer.busy())
    report(options, text, {
        "machine": where, "settings": vars(settings), "corpus": corpus.describe(), "contenders": kinds,
        "commands": commands, "busy": measurer.busy(),
        "missing": missing, "works": {work.name: {"title": work.title, "unit": work.unit} for work in done},
        "figures": results.as_json(), "goals": goals.judge(results), "disk": measurer.disk, "growth": growth.points,
        "orchestrators": growth.orchestrators, "records": measurer.records})


# ---- after ----

def report(options, text, contents):
    """Prints and writes what came out."""
    print(text)
    if options.json:
        write(options.json, to_json(contents))
    if options.out:
        os.makedirs(options.out, exist_ok=True)
        give_to_user(options.out)
        write(os.path.join(options.out, "results.json"), to_json(contents))
        write(os.path.join(options.out, "results.md"), text)
        for path in plots.draw(options.out, contents["growth"].get(goals.OURS, []), contents["orchestrators"]):
            give_to_user(path)
        say(f"wrote {options.out}/results.md, results.json and the plots beside them")


def to_json(contents):
    """One line for each record."""
    records = ",\n".join("  " + json.dumps(record) for record in contents["records"])
    rest = json.dumps({key: value for key, value in contents.items() if key != "records"}, indent=1)
    return f'{rest.removesuffix("}").rstrip()},\n "records": [\n{records}\n ]\n}}\n'


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    give_to_user(path)


def give_to_user(path):
    """What root made under sudo is to be the user's own."""
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdigit():
        os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1")))


def end(_signal, _frame):
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    options = parse(sys.argv[1:])
    for number in ENDS:
        signal.signal(number, end)
    # passthrough_ll keeps a descriptor for each file that the kernel knows.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(tracing.mounted())
            if not os.path.isdir(options.dir):
                raise BenchError(f"{options.dir} is not a folder")
            base = tempfile.mkdtemp(prefix="caufs-bench.", dir=os.path.realpath(options.dir))
            stack.callback(shutil.rmtree, base, ignore_errors=True)
            stack.callback(unmount_below, base)
            run(options, base)
    except BenchError as error:
        say(error)
        sys.exit(1)
    except KeyboardInterrupt:
        say("ended before it was done")
        sys.exit(130)


if __name__ == "__main__":
    main()
