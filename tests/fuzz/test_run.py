# SPDX-License-Identifier: MIT
"""All fuzz targets, with new inputs, for a short time each: what tools/fuzz does for as long as one likes."""
import os
import re
import subprocess
import tempfile
import unittest

import amount
import building

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
TOOL = os.path.join(os.path.dirname(TESTS), "tools", "fuzz")
CORPUS = os.path.join(HERE, "corpus")
TARGETS = sorted(os.listdir(CORPUS))

# These open a store for each input, read all of it and change it: 30 ms of a processor, while the others take microseconds.
SLOW = ["recover", "rows", "store", "wal"]


def setUpModule():
    """tools/fuzz would install what is missing, which a test must not."""
    with tempfile.TemporaryDirectory(prefix="cau-fuzz-") as folder:
        source = os.path.join(folder, "target.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write("int LLVMFuzzerTestOneInput (const char *data, unsigned long size) { return 0; }\n")
        try:
            subprocess.run(["clang", "-fsanitize=fuzzer,address,undefined", "-o", source + ".out", source], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            raise unittest.SkipTest("clang with libFuzzer is missing") from None


class Run(unittest.TestCase):
    def test_no_target_finds_a_case(self):
        seconds = amount.seconds(20)
        fast = [target for target in TARGETS if target not in SLOW]
        self.fuzz(fast, max(seconds // 4, 1))
        self.fuzz(SLOW, (seconds * len(TARGETS) - seconds // 4 * len(fast)) // len(SLOW))

    def fuzz(self, targets, seconds):
        output = building.run(TOOL, *targets, "--seconds", f"{seconds:.0f}")
        inputs = dict(re.findall(r"^tools/fuzz: ([a-z-]+): (\d+) inputs in", output, re.MULTILINE))
        self.assertEqual(sorted(inputs), targets)
        for target in targets:
            amount.tell(f"{target}: {inputs[target]} inputs in {seconds:.0f} s")
            # The kept ones are among them.
            self.assertGreater(int(inputs[target]), len(os.listdir(os.path.join(CORPUS, target))), target)
