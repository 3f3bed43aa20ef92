# SPDX-License-Identifier: MIT
"""caufs is killed again and again while clients work; what they wrote down outside of the mount says what is right."""
import os
import signal
import subprocess
import time
import unittest

import amount
import client
import contents
import harness
import journal
import workload
from harness import CAUREPORT, read_file, wait_until, write_file

N_CLIENTS = 4

# Seconds. An aimed kill that meets nothing to aim at comes after this at the latest.
LONGEST_ROUND = 1.0


def mtime(path):
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0


class KillTest(workload.WorkTest):
    def clean_up(self, mount):
        """As an operator would, or not at all: caufs clears away a dead mount itself.

        To be called when all clients have noticed: without the mount their paths would lead elsewhere."""
        if self.rng.random() < 0.5:
            self.run_program("fusermount3", "-u", "-z", mount.path)


class Kill(KillTest):
    """One mount; the rounds end with its death."""

    def test_what_was_saved_survives_and_nothing_else_is_there(self):
        rounds = amount.rounds(50)
        clients = [self.start_client(number, self.mnt) for number in range(N_CLIENTS)]
        found = self.fill_ring()
        for number in range(rounds):
            self.order_work(clients, number, found)
            self.aim(clients)
            self.mount.crash()
            for each in clients:
                each.wait_stopped()
            self.clean_up(self.mount)
            self.kill_at_start()
            self.mount = self.start(path=self.mnt)
            found = self.check_work(clients, found)
        self.check_space_returns()
        amount.tell(f"{rounds} kills while clients worked ({self.aims()}), {self.counts['starts']} more at a start, "
                    f"{self.counts['saves']} saves checked, {self.counts['in hand']} operations in hand, "
                    f"{self.counts['names']} names read, 0 losses")
        self.assert_busy(rounds)

    def aims(self):
        return ", ".join(f"{key[7:]} {n}" for key, n in sorted(self.counts.items()) if key.startswith("aimed: "))

    # ---- when ----

    def wait_for(self, condition):
        end = time.monotonic() + LONGEST_ROUND
        while not condition() and time.monotonic() < end:
            time.sleep(0.0002)

    def aim(self, clients):
        """Returns when it is time to kill."""
        kind = self.rng.choice(["any time", "a journal's entry", "a commit", "a checkpoint"])
        self.counts[f"aimed: {kind}"] += 1
        if kind == "any time":
            time.sleep(self.rng.uniform(0, 0.25))
        elif kind == "a journal's entry":
            start = self.journal_bytes(clients)
            wanted = start + self.rng.randrange(1, 40_000)
            self.wait_for(lambda: self.journal_bytes(clients) >= wanted)
        else:
            path = self.store + "-wal" if kind == "a commit" else self.store
            time.sleep(self.rng.uniform(0, 0.2))
            start = mtime(path)
            self.wait_for(lambda: mtime(path) != start)
            time.sleep(self.rng.choice([0, self.rng.uniform(0, 0.003)]))

    def journal_bytes(self, clients):
        return sum(os.stat(each.journal.path).st_size for each in clients)

    def kill_at_start(self):
        """Sometimes the next daemon is killed as well: while it recovers the log, collects or mounts."""
        while self.rng.random() < 0.3:
            self.counts["starts"] += 1
            mount = harness.Mount(self.store, self.mnt)
            self.addCleanup(mount.dispose)
            if self.rng.random() < 0.5:
                start = mtime(self.store + "-wal")
                self.wait_for(lambda: mtime(self.store + "-wal") != start or mount.process.poll() is not None)
            else:
                time.sleep(self.rng.uniform(0, 0.08))
            mount.crash()


class Survivors(KillTest):
    """Two mounts of one store, and the tool: when one is killed the others go on."""

    def test_a_mount_goes_on_when_another_and_the_tool_are_killed(self):
        rounds = max(amount.rounds(50) // 5, 1)
        other = os.path.join(self.dir, "other")
        os.mkdir(other)
        doomed = self.start(path=other)
        clients = [self.start_client(number, self.mnt if number % 2 == 0 else other) for number in range(N_CLIENTS)]
        found = self.fill_ring()
        self.longest_put = self.measure_put()
        for number in range(rounds):
            self.order_work(clients, number, found)
            self.put_and_kill(number)
            doomed.crash()
            self.check_progress(clients[::2])
            for each in clients[::2]:
                each.order("stop")
            for each in clients:
                each.wait_stopped()
            self.clean_up(doomed)
            found = self.check_work(clients, found)
            doomed = self.start(path=other)
            self.assertEqual(workload.look_around(other)[0], found)
        amount.tell(f"{rounds} kills of one mount of two, {self.counts['puts']} of caureport put, {self.counts['put']} "
                    f"puts that ended, {self.counts['saves']} saves checked, {self.counts['in hand']} operations in "
                    f"hand, 0 losses")
        self.assert_busy(rounds)

    def start_put(self, name, data):
        source = os.path.join(self.dir, name)
        write_file(source, data)
        return subprocess.Popen([CAUREPORT, "--store", self.store, "put", client.FOLDERS[0], source],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def measure_put(self):
        """Seconds that a put takes, on this machine and with this build."""
        begin = time.monotonic()
        with self.start_put("tool-0", contents.make("tool", 3_000_000)) as tool:
            self.assertEqual(tool.wait(), 0, tool.stderr.read().decode())
        return time.monotonic() - begin

    def put_and_kill(self, number):
        """caureport put, ended by itself or by us: whole or absent."""
        for attempt in range(3):
            name, identity = f"tool-{attempt}", f"tool-{number}-{attempt}"
            path = self.path(f"0/{name}")
            before = self.identity_of(path)
            with self.start_put(name, contents.make(identity, self.rng.choice([5_000, 3_000_000]))) as tool:
                try:
                    tool.wait(self.rng.uniform(0, self.longest_put))
                except subprocess.TimeoutExpired:
                    tool.kill()
                status = tool.wait()
                self.assertIn(status, (0, -9), tool.stderr.read().decode())
            self.counts["put" if status == 0 else "puts"] += 1
            allowed = [identity] if status == 0 else [identity, before]
            self.assertIn(self.identity_of(path), allowed)

    def identity_of(self, path):
        try:
            return contents.identify(read_file(path))
        except FileNotFoundError:
            return None

    def check_progress(self, survivors):
        start = [os.stat(each.journal.path).st_size for each in survivors]
        wait_until(lambda: all(os.stat(each.journal.path).st_size > size + 2_000
                               for each, size in zip(survivors, start)), "the surviving mount goes on")


class EndedByItself(KillTest):
    def test_a_daemon_that_was_gone_before_it_was_killed_is_a_failure(self):
        self.mount.process.send_signal(signal.SIGUSR1)
        self.mount.process.wait()
        with self.assertRaises(AssertionError):
            self.mount.crash()


class Checker(unittest.TestCase):
    """The check itself finds what it is there for."""

    OWN = "0/c1-0"

    def operation(self, op, place, begin, identity="", to="", result=0, number=1):
        return journal.Operation(number, op, place, to, identity, begin, begin + 1, result)

    def check(self, before, found, operations, logs=None):
        journal.check_round(before, found, logs or {}, {1: operations})

    def refuse(self, *arguments):
        with self.assertRaises(AssertionError):
            self.check(*arguments)

    def test_a_save_that_is_lost(self):
        save = self.operation("save", self.OWN, 1, "new")
        self.check({self.OWN: "old"}, {self.OWN: "new"}, [save])
        self.refuse({self.OWN: "old"}, {self.OWN: "old"}, [save])
        self.refuse({self.OWN: "old"}, {}, [save])
        self.refuse({}, {self.OWN: "other"}, [save])

    def test_a_save_in_hand_is_there_or_not(self):
        save = self.operation("save", self.OWN, 1, "new", result=None)
        self.check({self.OWN: "old"}, {self.OWN: "new"}, [save])
        self.check({self.OWN: "old"}, {self.OWN: "old"}, [save])
        self.refuse({self.OWN: "old"}, {}, [save])

    def test_half_of_a_rename_or_an_exchange(self):
        rename = self.operation("rename", self.OWN, 1, to="1/c1-0", result=None)
        self.check({self.OWN: "a", "1/c1-0": "b"}, {self.OWN: "a", "1/c1-0": "b"}, [rename])
        self.check({self.OWN: "a", "1/c1-0": "b"}, {"1/c1-0": "a"}, [rename])
        self.refuse({self.OWN: "a", "1/c1-0": "b"}, {self.OWN: "a"}, [rename])
        self.refuse({self.OWN: "a", "1/c1-0": "b"}, {self.OWN: "a", "1/c1-0": "a"}, [rename])
        exchange = self.operation("exchange", self.OWN, 1, to="1/c1-0", result=None)
        self.check({self.OWN: "a", "1/c1-0": "b"}, {self.OWN: "b", "1/c1-0": "a"}, [exchange])
        self.refuse({self.OWN: "a", "1/c1-0": "b"}, {self.OWN: "b", "1/c1-0": "b"}, [exchange])

    def test_a_removed_report_that_is_back(self):
        self.refuse({self.OWN: "a"}, {self.OWN: "a"}, [self.operation("remove", self.OWN, 1)])

    def test_a_shared_place_that_went_back_in_time(self):
        place = client.REGISTERS[0]
        first, second = self.operation("save", place, 1, "first"), self.operation("save", place, 3, "second")
        during = self.operation("save", place, 3.5, "during")
        remove = self.operation("remove", place, 3.5)
        self.check({}, {place: "second"}, [first, second])
        self.check({}, {place: "second"}, [first, second, during])
        self.check({}, {}, [first, second, remove])
        self.refuse({}, {place: "first"}, [first, second])
        self.refuse({}, {}, [first, second])
        self.refuse({}, {place: "nobody's"}, [first, second])
        self.refuse({}, {place: "first"}, [first, remove])
        self.refuse({place: "old"}, {place: "old"}, [first])

    def test_a_moved_report_that_is_lost_or_doubled(self):
        before = {client.RING[0]: "a", client.RING[2]: "b"}
        self.check(before, {client.RING[5]: "b", client.RING[0]: "a"}, [])
        self.refuse(before, {client.RING[0]: "a"}, [])
        self.refuse(before, {client.RING[0]: "a", client.RING[1]: "a", client.RING[2]: "b"}, [])

    def test_a_line_that_is_lost_doubled_or_out_of_order(self):
        place = client.LOGS[0]
        lines = [self.operation("append", place, n, f"line{n}") for n in (1, 3)]
        self.check({}, {}, lines, {place: ["line1", "line3"]})
        for wrong in (["line1"], ["line1", "line3", "line3"], ["line3", "line1"], ["line1", "line3", "foreign"]):
            self.refuse({}, {}, lines, {place: wrong})

    def test_reports_that_are_not_whole(self):
        data = contents.make("c1-0-1", 5_000)
        self.assertEqual(contents.identify(data), "c1-0-1")
        other = contents.make("c1-0-2", 5_000)
        for wrong in (b"", data[:-1], data + b"x", data[:2_000] + other[2_000:], bytes(5_000),
                      data[:3_000] + bytes(100) + data[3_100:]):
            with self.assertRaises(ValueError):
                contents.identify(wrong)
        with self.assertRaises(ValueError):
            contents.identify_lines(contents.make_line("one") + contents.make_line("two")[:-2] + b"\n")


if __name__ == "__main__":
    unittest.main()
