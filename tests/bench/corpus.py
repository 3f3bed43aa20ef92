# SPDX-License-Identifier: MIT
"""The reports that are saved."""
import os
import statistics
import subprocess
import sys

from works import PATTERN

SAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data", "make-samples.py")


class Corpus:
    """@count sample reports in @folder, the same at every run. The client saves them over and over, in the order of
    their names."""

    def __init__(self, folder, count):
        self.folder = folder
        subprocess.run([sys.executable, SAMPLES, "--wide", folder, str(count)], check=True)
        self.paths = sorted(entry.path for entry in os.scandir(folder) if entry.name.endswith(".xml"))
        self.sizes = [os.path.getsize(path) for path in self.paths]
        self.have_pattern = [self.has_pattern(path) for path in self.paths]

    @staticmethod
    def has_pattern(path):
        with open(path, "rb") as file:
            return PATTERN.encode() in file.read()

    def count_with_pattern(self, count):
        """How many of the first @count reports that are saved hold the pattern."""
        whole, rest = divmod(count, len(self.paths))
        return whole * sum(self.have_pattern) + sum(self.have_pattern[:rest])

    def bytes_of(self, count):
        """The size of the first @count reports that are saved."""
        whole, rest = divmod(count, len(self.paths))
        return whole * sum(self.sizes) + sum(self.sizes[:rest])

    def describe(self):
        return {"reports": len(self.sizes), "smallest": min(self.sizes), "largest": max(self.sizes),
                "mean": round(statistics.mean(self.sizes)), "median": round(statistics.median(self.sizes)),
                "with_pattern": sum(self.have_pattern)}
