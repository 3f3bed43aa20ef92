#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the test cases of the last `meson test` and prints, as its last line, "N passed, N failed".

Before that it lists what failed or was skipped, with the words of the failures: meson does not show the
standard output of programs that print TAP.

usage: summary.py [--skips-fail] [--failed COUNT] LOGDIR

LOGDIR is meson-logs of the build folder. testlog.junit.xml has the cases, testlog.json how each test
program ended: a program that went wrong without a failed case (it crashed between two cases, printed no
plan, ran out of time) counts as one failed case. COUNT is added to the failed. The exit status is 0 only
when something passed and nothing failed.
"""
import argparse
import json
import os
import sys
import xml.etree.ElementTree


def read_cases(log_dir):
    """(program, case, result) for each case, with the result passed, failed or skipped."""
    tree = xml.etree.ElementTree.parse(os.path.join(log_dir, "testlog.junit.xml"))
    for case in tree.iter("testcase"):
        name = case.get("name", "")
        # Cases of one program are named PROJECT.PROGRAM; a program without cases is one of PROJECT.
        program = case.get("classname", "").partition(".")[2] or name
        if case.find("failure") is not None or case.find("error") is not None:
            yield program, name, "failed"
        elif case.find("skipped") is not None:
            yield program, name, "skipped"
        else:
            yield program, name, "passed"


def read_programs(log_dir):
    """(program, result, diagnostics) for each test program; the result is meson's word for it."""
    with open(os.path.join(log_dir, "testlog.json"), encoding="utf-8", errors="replace") as file:
        for line in file:
            program = json.loads(line)
            words = [text for text in (program.get("stdout") or "").splitlines() if text.startswith(("not ok", "#"))]
            yield program["name"], program["result"], words


def count(log_dir, skips_fail):
    """(passed, failed, notes)."""
    cases = list(read_cases(log_dir))
    programs = list(read_programs(log_dir))
    failures = [f"failed: {program}: {case}" for program, case, result in cases if result == "failed"]
    skipped = [f"skipped: {program}: {case}" for program, case, result in cases if result == "skipped"]
    bad = {program: result for program, result, _ in programs if result not in ("OK", "SKIP", "EXPECTEDFAIL")}
    broken = bad.keys() - {program for program, _, result in cases if result == "failed"}
    words = [f"{program}: {line}" for program, _, lines in programs if program in bad for line in lines]
    # A program with no case of its own was entered in the other file as one that passed.
    passed = sum(1 for program, case, result in cases
                 if result == "passed" and not (program == case and program in broken))
    failed = len(failures) + len(broken) + (len(skipped) if skips_fail else 0)
    failures += [f"failed: {program}: it ended with {bad[program]}" for program in sorted(broken)]
    return passed, failed, words + failures + skipped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--skips-fail", action="store_true")
    parser.add_argument("--failed", type=int, default=0)
    parser.add_argument("log_dir", metavar="LOGDIR")
    arguments = parser.parse_args()
    try:
        passed, failed, notes = count(arguments.log_dir, arguments.skips_fail)
    except (OSError, ValueError, xml.etree.ElementTree.ParseError) as error:
        passed, failed, notes = 0, 1, [f"failed: the results cannot be read: {error}"]
    failed += arguments.failed
    if passed + failed == 0:
        notes.append("failed: no test was run")
    print("\n".join(notes + [f"{passed} passed, {failed} failed"]))
    sys.exit(0 if passed > 0 and failed == 0 else 1)


if __name__ == "__main__":
    main()
