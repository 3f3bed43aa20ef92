# SPDX-License-Identifier: MIT
"""The figures as tables of Markdown, which read well on a terminal too."""


def rows_to_markdown(header, rows):
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
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def scaled(work, value):
    return value / 1e6 if work.unit == "bytes" else value


def unit_of(work):
    return "MB/s" if work.unit == "bytes" else "/s"


def figures(works, results, names):
    """Medians, and in parentheses the slowest and the fastest round."""
    rows = []
    for work in works:
        row = [f"{work.title} ({unit_of(work)})"]
        for name in names:
            figure = results.figures.get(work.name, {}).get(name)
            row.append("-" if figure is None else "{} ({}..{})".format(
                *(number(scaled(work, value)) for value in (figure.median, figure.least, figure.most))))
        rows.append(row)
    return rows_to_markdown(["work", *names], rows)


def ratios(works, results, names, ours="caufs"):
    """How many times as fast ours is as each."""
    rows = []
    for work in works:
        own_work = own_work_of(work.name, results, ours)
        ratio = [results.ratio(own_work, ours, name, work.name) for name in names if name != ours]
        rows.append([work.title, *("-" if value is None else f"{value:.2f}" for value in ratio)])
    return rows_to_markdown([f"{ours} ÷", *(name for name in names if name != ours)], rows)


def own_work_of(name, results, ours):
    """Against what others do volatile stands what ours does durable."""
    if results.median(name, ours) is None and name.endswith("-volatile"):
        return name.removesuffix("-volatile")
    return name
