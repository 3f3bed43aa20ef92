# SPDX-License-Identifier: MIT
"""Draws how the figures change as a store grows, with gnuplot."""
import os
import shutil
import subprocess

MIB = 1024 * 1024

REPORTS = ("reports", "reports in one orchestrator")
ORCHESTRATORS = ("orchestrators", "orchestrators with one report each")

# (file, what it shows, label of the y axis, [(key, title)], factor). The keys that begin with control are of the local
# filesystem.
GROWTH_PLOTS = [
    ("growth-saves.svg", "Durable saves", "reports/s",
     [("save_1", "1 writer"), ("control_save_1", "1 writer, local with fsync in an empty folder"),
      ("save_8", "8 writers"), ("control_save_8", "8 writers, local with fsync in an empty folder")], 1),
    ("growth-opens.svg", "Open, read, close of random reports", "reports/s",
     [("open", "1 reader"), ("open_8", "8 readers")], 1),
    ("growth-ls.svg", "Listing the orchestrator", "seconds",
     [("ls_seconds", "ls into wc -l"), ("ls_unsorted_seconds", "ls -U into wc -l")], 1),
    ("growth-memory.svg", "Peak memory of the daemon", "MiB", [("peak_memory", "resident")], 1 / MIB),
    ("growth-mount.svg", "Mounting", "seconds", [("mount_seconds", "until the first answer")], 1),
]
ORCHESTRATOR_PLOTS = [
    ("orchestrators-seconds.svg", "Listing the mount, and mounting", "seconds",
     [("ls_seconds", "ls into wc -l"), ("mount_seconds", "mounting, until the first answer")], 1),
    ("orchestrators-memory.svg", "Peak memory of the daemon", "MiB", [("peak_memory", "resident")], 1 / MIB),
]

COLOURS = ["#1f6fb2", "#d1662b", "#3a8f4d"]


class Line:
    """@points: [(x, y)]."""

    def __init__(self, title, points, colour, dashed=False):
        self.title = title
        self.points = points
        self.style = f"linecolor rgb '{colour}'" + (" dashtype 2" if dashed else "")


def script(path, title, label, lines, x_label):
    """What gnuplot is to do."""
    data = "".join(f"$line{i} << END\n" + "".join(f"{x} {y}\n" for x, y in line.points) + "END\n"
                   for i, line in enumerate(lines))
    xs = sorted({x for line in lines for x, _ in line.points})
    ticks = ", ".join(f"'{x:,}' {x}" for x in xs)
    plots = ", ".join(f"$line{i} with linespoints linewidth 2 pointtype 7 pointsize 0.6 {line.style} "
                      f"title '{line.title}'" for i, line in enumerate(lines))
    return (f"{data}set terminal svg size 720,420 font 'sans-serif,12' background '#ffffff'\nset output '{path}'\n"
            f"set title '{title}'\nset xlabel '{x_label}'\nset ylabel '{label}'\nset logscale x\n"
            f"set xrange [{xs[0] * 0.8}:{xs[-1] * 1.25}]\nset yrange [0:*]\nset xtics ({ticks})\n"
            f"set key below left Left reverse\nset grid\nplot {plots}\n")


def lines_of(keys, points, x_key, factor):
    """One for each key that was measured. A control has the colour of what it stands beside."""
    lines, used = [], 0
    for key, title in keys:
        control = key.startswith("control_")
        those = [(point[x_key], point[key] * factor) for point in points if point.get(key) is not None]
        used += not control
        if those:
            lines.append(Line(title, those, COLOURS[(used - 1) % len(COLOURS)], control))
    return lines


def draw_all(folder, plots, points, axis):
    """Returns: the files that were drawn."""
    drawn = []
    for file, title, label, keys, factor in plots:
        lines = lines_of(keys, points, axis[0], factor)
        if lines:
            drawn.append(os.path.join(folder, file))
            subprocess.run(["gnuplot"], input=script(drawn[-1], title, label, lines, axis[1]), text=True, check=True)
    return drawn


def draw(folder, growth, orchestrators):
    """Returns: the files that were drawn; none without gnuplot."""
    if not shutil.which("gnuplot"):
        return []
    return draw_all(folder, GROWTH_PLOTS, growth, REPORTS) \
        + draw_all(folder, ORCHESTRATOR_PLOTS, orchestrators, ORCHESTRATORS)
