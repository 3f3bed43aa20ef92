# SPDX-License-Identifier: MIT
"""The figures as tables of Markdown, which read well on a terminal too."""
import goals

MIB = 1024 * 1024


def markdown(header, rows):
    """The first column is text, the others are figures."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells):
        padded = [cells[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:])]
        return "| " + " | ".join(padded) + " |"
    rule = "|" + "|".join("-" * (width + 2) if i == 0 else "-" * (width + 1) + ":"
                          for i, width in enumerate(widths)) + "|"
    return "\n".join([line(header), rule, *(line(row) for row in rows)]) + "\n"


def number(value):
    """Three digits that count, or all before the point."""
    if value is None:
        return "-"
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.{max(2 - exponent(value), 0)}f}"


def exponent(value):
    """Of the first digit that counts; no smaller than a thousandth."""
    return next((power for power in (1, 0, -1, -2) if abs(value) >= 10 ** power), -1)


def by_work(works, names, corner, cell, title=lambda work: work.title):
    """A row for each work of which there is a figure. cell(work, name) returns text; "-" is none."""
    rows = [[title(work), *(cell(work, name) for name in names)] for work in works]
    return markdown([corner, *names], [row for row in rows if set(row[1:]) != {"-"}])


# ---- speed ----

def with_unit(work):
    return f"{work.title}, {'MB/s' if work.unit == 'bytes' else '/s'}"


def figures(works, results, names):
    """Medians, and in parentheses the slowest and the fastest round."""
    def cell(work, name):
        figure = results.figures.get(work.name, {}).get(name)
        if figure is None:
            return "-"
        scale = 1e-6 if work.unit == "bytes" else 1
        median, least, most = (number(value * scale) for value in (figure.median, figure.least, figure.most))
        return f"{median} ({least}..{most})"
    return by_work(works, names, "median (slowest..fastest round)", cell, with_unit)


def ratios(works, results, names, ours=goals.OURS):
    """How many times as fast ours is as each."""
    def cell(work, name):
        ratio = results.ratio(own_work_of(work.name, results, ours), ours, name, work.name)
        return "-" if ratio is None else f"{ratio:.2f}"
    return by_work(works, [name for name in names if name != ours], f"{ours} ÷", cell)


def own_work_of(name, results, ours):
    """Against what others do volatile stands what ours does durable."""
    if results.median(name, ours) is None and name.endswith("-volatile"):
        return name.removesuffix("-volatile")
    return name


def verdicts(results):
    rows = [row for row in goals.rows(results) if row[-1] != "not measured"]
    text = markdown(["goal", "bound", "measured", "against", ""], rows) if rows else ""
    if len(rows) < len(goals.GOALS):
        text += f"\nNot measured in this run: {len(goals.GOALS) - len(rows)} goals.\n"
    return text


# ---- cost ----

def requests(works, results, names):
    """For one operation; of big reports for one MiB."""
    def cell(work, name):
        record = results.traced.get(work.name, {}).get(name)
        if record is None or record["requests"] is None:
            return "-"
        return f"{sum(record['requests'].values()) / amount(work, record):.2f}"
    return by_work(works, names, "requests at /dev/fuse", cell)


def amount(work, record):
    return record["bytes"] / MIB if work.unit == "bytes" else record["ops"]


def opcodes(works, results, name):
    """Of one contender, by kind."""
    def cell(work, name):
        record = results.traced.get(work.name, {}).get(name)
        if record is None or not record["requests"]:
            return "-"
        counts = sorted(record["requests"].items(), key=lambda item: -item[1])
        return ", ".join(f"{opcode} {count:,}" for opcode, count in counts)

    def count(work):
        record = results.traced.get(work.name, {}).get(name)
        return f"{record['ops']:,}" if record else "-"
    rows = [[work.title, count(work), cell(work, name)] for work in works]
    return markdown(["work", "operations", f"requests to {name}"], [row for row in rows if row[2] != "-"])


def syncs(works, results, names):
    def cell(work, name):
        record = results.traced.get(work.name, {}).get(name)
        if record is None or record["syncs"] is None:
            return "-"
        return f"{sum(record['syncs'].values()) / amount(work, record):.2f}"
    return by_work([work for work in works if work.changes], names, "syncs", cell)


def cpu(works, results, names):
    """Microseconds for one operation; of big reports for one MiB."""
    def cell(work, name):
        daemon, client = results.cpu_seconds(work.name, name)
        scale = 1e6 * (MIB if work.unit == "bytes" else 1)
        if client is None:
            return "-"
        return f"{client * scale:,.0f}" if daemon is None else f"{daemon * scale:,.0f} + {client * scale:,.0f}"
    return by_work(works, names, "µs of CPU, daemon + client", cell)


def memory(works, results, names):
    def cell(work, name):
        peak = results.peak_memory(work.name, name)
        return "-" if peak is None else f"{peak / MIB:.0f}"
    return by_work(works, names, "peak memory of the daemon, MiB", cell)


def disk(results):
    rows = [[name, f"{size['saved']:,}", f"{size['on_disk']:,}", f"{size['on_disk'] / size['saved']:.3f}"]
            for name, size in results.disk.items()]
    return markdown(["", "bytes saved", "bytes on disk", "on disk per byte saved"], rows)


# ---- growth ----

GROWTH = [("save_1", "saves/s, 1 writer", 1), ("control_save_1", "local at that time", 1),
          ("save_8", "saves/s, 8 writers", 1), ("control_save_8", "local at that time", 1),
          ("open", "opens/s, 1 reader", 1), ("open_8", "opens/s, 8 readers", 1),
          ("ls_seconds", "ls, s", 1), ("ls_unsorted_seconds", "ls -U, s", 1), ("mount_seconds", "mount, s", 1),
          ("peak_memory", "peak memory, MiB", 1 / MIB)]
ORCHESTRATORS = [("make", "mkdir and one save, /s", 1), ("ls_seconds", "ls, s", 1), ("mount_seconds", "mount, s", 1),
                 ("peak_memory", "peak memory, MiB", 1 / MIB)]


def points(corner, key, columns, all_points):
    columns = [column for column in columns if any(point.get(column[0]) is not None for _, point in all_points)]
    rows = [[f"{name}, {point[key]:,}", *(number(point[column] * scale) if point.get(column) is not None else "-"
                                         for column, _, scale in columns)] for name, point in all_points]
    return markdown([corner, *(title for _, title, _ in columns)], rows)


def growth(results):
    return points("reports in one orchestrator", "reports", GROWTH,
                  [(name, point) for name, those in results.growth.items() for point in those])


def orchestrators(results):
    return points("orchestrators", "orchestrators", ORCHESTRATORS,
                  [(goals.OURS, point) for point in results.orchestrators])
