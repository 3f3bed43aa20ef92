# SPDX-License-Identifier: MIT
"""All tables of a run, as a text in Markdown."""
import goals
import table

SPEED = """\
Reports are 1 KB to 1 MB, {mean:,} bytes on average. *Durable*: what was saved is on stable storage. The peers need
fsync for that, which their client calls before each close; to caufs close is the commit, so its client calls none. An
fsync in rclone does not reach its store, and its saves count as durable for no goal. *noop* does no work: it is the
limit that the kernel and libfuse set. *Cold*: mounted again, with nothing in the kernel's caches. Changes of names are
durable on caufs alone.
"""

COST = """\
Counted in a round of its own, for one operation: one report saved, read, listed; of a big report for one MiB.
"""

GROWTH = """\
Saves are measured last at each size, and the local filesystem saves the same into an empty folder in between, so that
a change of the disk's own speed shows. Opened are random reports, by names that the kernel has not seen since the
mount.
"""


def section(title, *texts):
    return f"## {title}\n\n" + "\n".join(texts)


def machine_line(machine):
    kind = machine["filesystem"]["type"]
    return (f"{machine['cpu']}, {machine['cores']} cores, {(machine['memory_bytes'] or 0) / 2 ** 30:.0f} GiB; "
            f"Linux {machine['kernel']}, {machine['system']}; {kind}; {machine['caufs']}.\n")


def settings(commands):
    return "\n".join(f"* `{command}`" for command in commands.values()) + "\n"


def busy_line(busy):
    if busy is None:
        return ""
    return (f"Besides the contender that was measured and its client, programs took {busy:.0%} of the processors. "
            "The kernel's own threads, which write to the disk, are among these.\n")


def write(machine, corpus, works, results, names, commands, busy):
    """@works: those that were done. @names: of the contenders, as columns. @busy: the share of the processors that
    others took."""
    mounted = [name for name in names if results.kinds[name] != "local"]
    sections = []
    if works:
        sections.append(section("Speed", machine_line(machine), SPEED.format(**corpus),
                                table.figures(works, results, names), busy_line(busy)))
    if works and goals.OURS in names and len(names) > 1:
        sections.append(section("Ratios", table.ratios(works, results, names)))
    if goals.OURS in names:
        sections.append(section("Goals", table.verdicts(results)))
    if results.traced:
        sections.append(section("Cost", COST, table.requests(works, results, mounted),
                                table.syncs(works, results, names), table.opcodes(works, results, goals.OURS)
                                if goals.OURS in names else ""))
    if works:
        sections.append(section("Processor and memory", table.cpu(works, results, names),
                                table.memory(works, results, mounted)))
    if results.disk:
        sections.append(section("On disk", table.disk(results)))
    if results.growth:
        sections.append(section("Growth", GROWTH, table.growth(results), table.orchestrators(results)))
    sections.append(section("Settings", settings(commands)))
    return "\n".join(sections)
