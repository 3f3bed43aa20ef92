# SPDX-License-Identifier: MIT
"""Draws how the figures change as a store grows, with gnuplot."""
import os
import shutil
import subprocess

MIB = 1024 * 1024

# (file, what it shows, label of the y axis, [(key, title)], factor)
PLOTS = [
    ("growth-saves.svg", "Durable saves", "reports/s",
     [("save_1", "1 writer"), ("save_8", "8 writers"), ("control_save_1", "local with fsync, empty folder, 1 writer"),
      ("control_save_8", "local with fsync, empty folder, 8 writers")], 1),
    ("growth-opens.svg", "Open, read, close of random reports", "reports/s",
     [("open", "1 reader"), ("open_8", "8 readers")], 1),
    ("growth-ls.svg", "Listing the orchestrator", "seconds",
     [("ls_seconds", "ls into wc -l"), ("ls_unsorted_seconds", "ls -U into wc -l")], 1),
    ("growth-memory.svg", "Peak memory of the daemon", "MiB", [("peak_memory", "resident")], 1 / MIB),
    ("growth-mount.svg", "Mounting", "seconds", [("mount_seconds", "until the first answer")], 1),
]


def script(path, title, label, lines, x_label):
    """@lines: [(title, [(x, y)])]."""
    data = "".join(f"$line{i} << END\n" + "".join(f"{x} {y}\n" for x, y in points) + "END\n"
                   for i, (_, points) in enumerate(lines))
    plots = ", ".join(f"$line{i} with linespoints linewidth 2 pointtype 7 pointsize 0.6 title '{name}'"
                      for i, (name, _) in enumerate(lines))
    return (f"{data}set terminal svg size 720,400 font 'sans-serif,12' background '#ffffff'\nset output '{path}'\n"
            f"set title '{title}'\nset xlabel '{x_label}'\nset ylabel '{label}'\nset logscale x\n"
            "set format x '10^{%L}'\nset yrange [0:*]\nset offsets graph 0.02, graph 0.02, graph 0.1, 0\n"
            f"set key outside bottom center horizontal\nset grid\nplot {plots}\n")


def draw_one(folder, plot, points, key, x_label):
    file, title, label, keys, factor = plot
    lines = [(name, [(point[key], point[figure] * factor) for point in points if point.get(figure) is not None])
             for figure, name in keys]
    lines = [line for line in lines if line[1]]
    if not lines:
        return None
    path = os.path.join(folder, file)
    subprocess.run(["gnuplot"], input=script(path, title, label, lines, x_label), text=True, check=True)
    return path


def draw(folder, points):
    """Returns: the files that were drawn; none without gnuplot."""
    if not points or not shutil.which("gnuplot"):
        return []
    os.makedirs(folder, exist_ok=True)
    drawn = [draw_one(folder, plot, points, "reports", "reports in one orchestrator") for plot in PLOTS]
    return [path for path in drawn if path]
