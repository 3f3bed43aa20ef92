# SPDX-License-Identifier: MIT
"""The benchmark (tests/bench): its arithmetic, and one run of it that is too small to measure anything."""
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import unittest

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench")
sys.path.insert(0, BENCH)

# These are in tests/bench.
import daemons  # noqa: E402
import goals  # noqa: E402
import machine  # noqa: E402
import measure  # noqa: E402
import plots  # noqa: E402
import table  # noqa: E402
import tracing  # noqa: E402
import works  # noqa: E402
from results import Results  # noqa: E402

PATIENCE = 60

KINDS = {"local": "local", "passthrough_ll": "peer", "bindfs": "peer", "rclone": "peer", "noop": "limit",
         "caufs": "caufs"}


def record(work, contender, value, traced=False, **more):
    return {"work": work, "contender": contender, "value": value, "amount": 100, "traced": traced, "daemon_cpu": None,
            "client_cpu": 0.5, "daemon_peak": None, "ops": 100, "bytes": 0, "requests": None, "syncs": None, **more}


def results_of(figures, **more):
    """@figures: {(work, contender): [value]}."""
    return Results([record(work, contender, value) for (work, contender), values in figures.items()
                    for value in values], KINDS, **more)


class Arithmetic(unittest.TestCase):
    def test_median_and_spread(self):
        figure = results_of({("save-1", "caufs"): [30, 10, 20]}).figures["save-1"]["caufs"]
        self.assertEqual((figure.median, figure.least, figure.most), (20, 10, 30))

    def test_ratio_is_of_medians(self):
        results = results_of({("save-1", "caufs"): [30, 10, 20], ("save-1", "local"): [1, 40, 100]})
        self.assertEqual(results.ratio("save-1", "caufs", "local"), 0.5)

    def test_ratio_to_another_work(self):
        results = results_of({("save-1", "caufs"): [30], ("save-1-volatile", "bindfs"): [10]})
        self.assertEqual(results.ratio("save-1", "caufs", "bindfs", "save-1-volatile"), 3)

    def test_no_ratio_without_both(self):
        results = results_of({("save-1", "caufs"): [30]})
        self.assertIsNone(results.ratio("save-1", "caufs", "local"))
        self.assertIsNone(results.ratio("save-8", "caufs", "local"))

    def test_best_is_of_its_kind(self):
        results = results_of({("save-8", "local"): [90], ("save-8", "noop"): [99], ("save-8", "bindfs"): [10],
                              ("save-8", "passthrough_ll"): [20], ("save-8", "rclone"): [50]})
        self.assertEqual(results.best("save-8", {"peer"}), "rclone")
        self.assertEqual(results.best("save-8", {"peer"}, ("rclone",)), "passthrough_ll")
        self.assertEqual(results.best("save-8", {"peer", "local"}, ("rclone",)), "local")
        self.assertIsNone(results.best("save-1", {"peer"}))

    def test_the_traced_round_is_not_timed(self):
        results = Results([record("save-1", "caufs", 10), record("save-1", "caufs", 99, traced=True)], KINDS)
        self.assertEqual(results.figures["save-1"]["caufs"].values, [10])
        self.assertEqual(results.traced["save-1"]["caufs"]["value"], 99)

    def test_cpu_is_for_each_operation(self):
        results = Results([record("save-1", "caufs", 1, daemon_cpu=1.5), record("save-1", "caufs", 1, daemon_cpu=0.5)],
                          KINDS)
        self.assertEqual(results.cpu_seconds("save-1", "caufs"), (0.01, 0.005))
        self.assertEqual(Results([record("save-1", "local", 1)], KINDS).cpu_seconds("save-1", "local"), (None, 0.005))

    def test_contenders_take_turns(self):
        orders = [measure.rotated(["a", "b", "c"], number) for number in range(4)]
        self.assertEqual(["".join(order) for order in orders], ["abc", "bca", "cab", "abc"])


class Goals(unittest.TestCase):
    def verdicts(self, results):
        return {verdict["goal"]: verdict for verdict in goals.judge(results)}

    def verdict(self, results, beginning):
        return next(verdict for goal, verdict in self.verdicts(results).items() if goal.startswith(beginning))

    def test_nothing_measured_nothing_met(self):
        self.assertEqual({verdict["met"] for verdict in goals.judge(Results([], KINDS))}, {None})

    def test_at_the_bound_is_met(self):
        results = results_of({("save-1", "caufs"): [13], ("save-1", "local"): [10]})
        self.assertEqual(self.verdict(results, "durable saves, 1 writer, ÷ local")["met"], True)
        results = results_of({("save-1", "caufs"): [12.9], ("save-1", "local"): [10]})
        self.assertEqual(self.verdict(results, "durable saves, 1 writer, ÷ local")["met"], False)

    def test_the_best_peer_is_named(self):
        results = results_of({("save-8", "caufs"): [50], ("save-8", "bindfs"): [10], ("save-8", "rclone"): [1000],
                              ("save-8", "passthrough_ll"): [20], ("save-8", "noop"): [9999]})
        verdict = self.verdict(results, "durable saves, 8 writers, ÷ best")
        self.assertEqual((verdict["figure"], verdict["reference"], verdict["met"]), (2.5, "passthrough_ll", True))

    def test_durable_is_compared_with_volatile(self):
        results = results_of({("save-1", "caufs"): [50], ("save-1-volatile", "passthrough_ll"): [100]})
        self.assertEqual(self.verdict(results, "durable saves, 1 writer, ÷ passthrough_ll volatile")["figure"], 0.5)

    def test_disk_is_at_most(self):
        for on_disk, met in [(12, True), (13, False)]:
            results = Results([], KINDS, disk={"caufs": {"saved": 100, "on_disk": on_disk}})
            self.assertEqual(self.verdict(results, "bytes on disk")["met"], met)

    def test_growth_is_compared_with_a_thousand(self):
        growth = {"caufs": [{"reports": 1000, "save_1": 100, "peak_memory": 1},
                            {"reports": 1000000, "save_1": 79, "peak_memory": 128 << 20, "ls_seconds": 5.1}]}
        results = Results([], KINDS, growth=growth)
        self.assertEqual(self.verdict(results, "1 million reports: save rate, 1 writer")["met"], False)
        self.assertEqual(self.verdict(results, "1 million reports: daemon's peak")["met"], True)
        self.assertEqual(self.verdict(results, "1 million reports: ls")["met"], False)
        self.assertIsNone(self.verdict(results, "1 million reports: mount")["met"])


class Text(unittest.TestCase):
    def test_numbers_have_three_digits(self):
        self.assertEqual([table.number(value) for value in (None, 0, 0.1234, 1.234, 12.34, 123.4, 12345.6, 99.96)],
                         ["-", "0.000", "0.123", "1.23", "12.3", "123", "12,346", "100"])

    def test_tables_are_markdown(self):
        self.assertEqual(table.markdown(["work", "a"], [["x", "1.00"], ["long name", "-"]]).splitlines(),
                         ["| work      |    a |", "|-----------|-----:|", "| x         | 1.00 |",
                          "| long name |    - |"])

    def test_volatile_saves_stand_against_durable_ones(self):
        work = works.Work("save-1-volatile", "save", None)
        results = results_of({("save-1", "caufs"): [50], ("save-1-volatile", "local"): [100]})
        self.assertIn("0.50", table.ratios([work], results, ["local", "caufs"]))

    def test_big_reports_are_counted_by_the_mebibyte(self):
        work = works.Work("big", "big", None, unit="bytes")
        traced = record("big", "caufs", 1, traced=True, bytes=4 << 20, requests={"WRITE": 32, "CREATE": 1})
        self.assertIn(" 8.25 |", table.requests([work], Results([traced], KINDS), ["caufs"]))

    def test_plots_take_what_was_measured(self):
        points = [{"reports": 1000, "save_1": 11}, {"reports": 10000, "save_1": 12, "control_save_1": 20}]
        lines = plots.lines_of([("save_1", "1 writer"), ("control_save_1", "local"), ("save_8", "8 writers")], points,
                               "reports", 0.5)
        self.assertEqual([(line.title, line.points) for line in lines],
                         [("1 writer", [(1000, 5.5), (10000, 6)]), ("local", [(10000, 10)])])
        script = plots.script("/a/b.svg", "Saves", "reports/s", lines, "reports")
        self.assertIn("1000 5.5\n10000 6.0\nEND\n", script)
        self.assertIn("set output '/a/b.svg'\n", script)

    def test_works_are_chosen_by_how_they_begin(self):
        work = works.Work("ls-l-cold", "ls -l", None)
        self.assertEqual([works.wanted(work, only) for only in ([], ["ls"], ["ls-l"], ["ls-l-cold"], ["l"], ["ls-w"])],
                         [True, True, True, True, False, False])


class System(unittest.TestCase):
    def test_trace_lines(self):
        line = (" bench-client-5393  [000] ..... 9.3: fuse_request_send: connection 46 req 28 opcode 1 (FUSE_LOOKUP) "
                "len 89")
        self.assertEqual(tracing.REQUEST.search(line)[1], "LOOKUP")
        line = " caufs-77 [001] ..... 9.4: sys_fdatasync(fd: 5)"
        self.assertEqual(tracing.SYNC.search(line)[1], "fdatasync")

    def test_mountinfo_is_unescaped(self):
        self.assertEqual(machine.unescape(r"/a\040b\134c"), r"/a b\c")

    def test_memory_is_known(self):
        self.assertIn(machine.filesystem_of("/proc")[0], {"proc"})
        kinds = {mountpoint: kind for mountpoint, kind, _, _ in machine.mounts()}
        for mountpoint, kind in kinds.items():
            if os.path.isdir(mountpoint) and os.path.realpath(mountpoint) == mountpoint:
                self.assertEqual(machine.is_in_memory(mountpoint), kind in {"tmpfs", "ramfs", "devtmpfs"}, mountpoint)


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cau-bench-")
        self.addCleanup(folder.cleanup)
        self.stores = os.path.join(folder.name, "stores")
        self.json = os.path.join(folder.name, "out.json")
        os.mkdir(self.stores)

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, os.path.join(BENCH, "bench.py"), "--tiny", "--dir", self.stores, "--json", self.json,
             "--client", os.environ["BENCH_CLIENT"], "--noop", os.environ["BENCH_NOOP"],
             "--caufs", os.environ["CAUFS"], *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run_bench(self, *arguments):
        """What it printed on standard output and standard error, its status, and the JSON."""
        bench = self.start(*arguments)
        out, err = bench.communicate(timeout=PATIENCE)
        contents = None
        if os.path.exists(self.json):
            with open(self.json, encoding="utf-8") as file:
                contents = json.load(file)
        self.assert_nothing_left()
        return out, err, bench.returncode, contents

    def assert_nothing_left(self):
        self.assertEqual(os.listdir(self.stores), [])
        self.assertEqual([mount for mount in machine.mounts() if mount[0].startswith(self.stores)], [])

    def test_works_are_done_and_counted(self):
        _, err, status, contents = self.run_bench("--contenders", "local,noop,caufs", "--no-cost", "--no-growth",
                                                  "--only", "save-1,save-8,read-warm,ls-warm,grep-warm,unlink,lines")
        self.assertEqual(status, 0, err)
        self.assertEqual(contents["contenders"], {"local": "local", "noop": "limit", "caufs": "caufs"})
        operations = {"save-1": 12, "save-8": 12, "read-warm-1": 20, "ls-warm": 32, "grep-warm": 30, "unlink": 12,
                      "lines": 164}
        for work, count in operations.items():
            records = [one for one in contents["records"] if one["work"] == work]
            self.assertEqual(sorted((one["contender"], one["round"]) for one in records),
                             [(name, number) for name in ("caufs", "local", "noop") for number in (0, 1)])
            self.assertEqual({one["ops"] for one in records}, {count}, work)
        self.assertEqual({one["contender"] for one in contents["records"] if one["work"] == "save-8-volatile"},
                         {"local"})
        self.check_figures(contents)

    def check_figures(self, contents):
        values = {}
        for one in contents["records"]:
            amount = one["bytes"] if one["work"] == "lines" else one["ops"]
            self.assertAlmostEqual(one["value"], amount / one["seconds"])
            values.setdefault((one["work"], one["contender"]), []).append(one["value"])
        for (work, contender), those in values.items():
            self.assertEqual(contents["figures"][work][contender]["median"], statistics.median(those))
        verdict = next(goal for goal in contents["goals"] if goal["goal"].startswith("durable saves, 1 writer, ÷ loc"))
        self.assertAlmostEqual(verdict["figure"], contents["figures"]["save-1"]["caufs"]["median"]
                               / contents["figures"]["save-1"]["local"]["median"])
        for name in ("local", "caufs"):
            self.assertEqual(contents["disk"][name]["saved"], contents["disk"]["local"]["saved"])
            self.assertGreater(contents["disk"][name]["on_disk"], 0)

    def test_requests_are_counted_or_said_not_to_be(self):
        out, err, status, contents = self.run_bench("--contenders", "local,caufs", "--no-growth", "--only", "save-1")
        self.assertEqual(status, 0, err)
        traced = {one["contender"]: one for one in contents["records"] if one["traced"] and one["work"] == "save-1"}
        self.assertIsNone(traced["local"]["requests"])
        if tracing.unavailable():
            self.assertIn("requests and syncs are not measured", err)
            self.assertIsNone(traced["caufs"]["requests"])
        else:
            self.assertEqual(traced["caufs"]["requests"]["CREATE"], 12)
            self.assertEqual(traced["caufs"]["requests"]["FLUSH"], 12)
            self.assertEqual(traced["local"]["syncs"], {"fsync": 12})
            self.assertIn("CREATE 12", out)

    def test_growth_is_measured_at_each_size(self):
        out, err, status, contents = self.run_bench("--contenders", "local,caufs", "--only", "growth")
        self.assertEqual(status, 0, err)
        self.assertEqual([point["reports"] for point in contents["growth"]["caufs"]], [10, 20])
        for point in contents["growth"]["caufs"]:
            self.assertEqual(point["save_1"], statistics.median(point["save_1_values"]))
            self.assertGreater(point["peak_memory"], 1 << 20)
            for key in ("save_8", "control_save_8", "open", "open_8", "ls_seconds", "mount_seconds"):
                self.assertGreater(point[key], 0, key)
        self.assertEqual([point["orchestrators"] for point in contents["orchestrators"]], [3])
        self.assertIn("reports in one orchestrator", out)

    def test_a_signal_leaves_nothing_behind(self):
        bench = self.start("--contenders", "caufs,noop", "--no-growth", "--rounds", "1000")
        # Its first line comes when all contenders are mounted.
        self.assertIn("round 1 of 1000", bench.stderr.readline() + bench.stderr.readline())
        self.assertTrue([mount for mount in machine.mounts() if mount[0].startswith(self.stores)])
        bench.send_signal(signal.SIGTERM)
        _, err = bench.communicate(timeout=PATIENCE)
        self.assertEqual(bench.returncode, 130)
        self.assertIn("ended before it was done", err)
        self.assert_nothing_left()

    def test_a_contender_that_does_not_mount_ends_the_run(self):
        _, err, status, contents = self.run_bench("--contenders", "local,caufs", "--caufs", "/bin/false")
        self.assertEqual(status, 1)
        self.assertIn("caufs ended with status 1 instead of mounting", err)
        self.assertIsNone(contents)

    def test_wrong_arguments_are_named(self):
        for arguments, words in [(["--only", "fly"], "no such work: fly"),
                                 (["--contenders", "local,ntfs"], "no such contender: ntfs"),
                                 (["--rounds", "0"], "--rounds is at least 1"),
                                 (["--dir", "/nowhere/at/all"], "/nowhere/at/all is not a folder")]:
            _, err, status, contents = self.run_bench(*arguments)
            self.assertEqual((status, contents), (1, None))
            self.assertIn(words, err)

    def test_a_missing_contender_is_left_out_and_named(self):
        _, err, status, contents = self.run_bench("--contenders", "local,passthrough_hp", "--only", "save-1",
                                                  "--no-cost")
        self.assertEqual(status, 0, err)
        self.assertIn("without passthrough_hp", err)
        self.assertEqual(list(contents["missing"]), ["passthrough_hp"])


class Daemons(unittest.TestCase):
    def test_a_process_is_in_its_tree(self):
        with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
            self.assertLessEqual({os.getpid(), child.pid}, set(daemons.tree_of(os.getpid())))
            child.stdin.close()


if __name__ == "__main__":
    unittest.main()
