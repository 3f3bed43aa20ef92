# SPDX-License-Identifier: MIT
"""caufs is killed again and again while clients work; what they wrote down outside of the mount says what must be there."""
import collections
import json
import os
import random
import select
import sqlite3
import subprocess
import time
import unittest

import amount
import client
import contents
import harness
import journal
from harness import CAUREPORT, PYTHON, caufs_mounts_at, read_file, wait_until, write_file

N_CLIENTS = 4
CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "client.py")

# Seconds. An aimed kill that meets nothing to aim at comes after this at the latest.
LONGEST_ROUND = 1.0

# What a store without reports may still take: some pages that are always used, and what is kept for the next saves
# (docs/store-format.md; VACUUM_MIN_PAGES in store/sqlite-writer.c).
PAGE = 4096
EMPTY_PAGES = 64
KEPT_BYTES = 17 * 1024 * 1024


class ClientProcess:
    """client.py, and what it wrote down."""

    def __init__(self, number, root, journal_path, seed):
        self.number = number
        self.journal = journal.Journal(journal_path, number)
        self.process = subprocess.Popen([PYTHON, CLIENT, root, journal_path, str(number), str(seed)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def order(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def wait_stopped(self):
        if not select.select([self.process.stdout], [], [], harness.PATIENCE)[0]:
            raise AssertionError(f"client {self.number} hangs")
        line = self.process.stdout.readline().decode().strip()
        if not line.startswith("stopped "):
            raise AssertionError(f"client {self.number} said {line!r}")

    def dispose(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def mtime(path):
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0


def look_around(root):
    """All that is there: {place: id}, {place: [line]} of the logs. Whatever is there must be whole."""
    found, logs = {}, {}
    for number, folder in enumerate(client.FOLDERS):
        for name in os.listdir(os.path.join(root, folder)):
            place = f"{number}/{name}"
            data = read_file(os.path.join(root, folder, name))
            if place in client.LOGS:
                logs[place] = contents.identify_lines(data)
            else:
                found[place] = contents.identify(data)
    return found, logs


class KillTest(harness.MountTest):
    def setUp(self):
        super().setUp()
        self.seed = amount.seed()
        self.rng = random.Random(self.seed)
        self.counts = collections.Counter()
        self.mnt = os.path.join(self.dir, "mnt")
        os.mkdir(self.mnt)
        self.mount = self.start(path=self.mnt)
        for folder in client.FOLDERS:
            os.mkdir(os.path.join(self.mnt, folder))

    def path(self, place):
        folder, name = place.split("/")
        return os.path.join(self.mnt, client.FOLDERS[int(folder)], name)

    def start_client(self, number, root):
        return self.hold(ClientProcess(number, root, os.path.join(self.dir, f"journal{number}"), self.seed))

    def fill_ring(self):
        """Every second place has something that can be moved about."""
        found = {}
        for number, place in enumerate(client.RING[::2]):
            write_file(self.path(place), contents.make(f"ring-{number}", 1_000 + 20_000 * number))
            found[place] = f"ring-{number}"
        return found

    def clean_up(self, mount):
        """As an operator would, or not at all: caufs clears away a dead mount itself.

        To be called when all clients have noticed: without the mount their paths would lead elsewhere."""
        if self.rng.random() < 0.5:
            self.run_program("fusermount3", "-u", "-z", mount.path)

    def remove_logs(self):
        for place in client.LOGS:
            try:
                os.unlink(self.path(place))
            except FileNotFoundError:
                pass

    # ---- the store's file ----

    def query(self, sql):
        with sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=harness.PATIENCE) as db:
            rows = db.execute(sql).fetchall()
        db.close()
        return rows

    def check_store(self):
        """No upload remains, no chunk without its version, and the engine's own check finds nothing."""
        wait_until(lambda: self.query("SELECT count(*) FROM versions WHERE orchestrator IS NULL") == [(0,)],
                   "what uploads left was collected")
        self.assertEqual(self.query("PRAGMA integrity_check"), [("ok",)])
        self.assertEqual(self.query("PRAGMA foreign_key_check"), [])
        self.assertEqual(self.query("SELECT id FROM orchestrators AS o WHERE id <> 0 AND n_reports <>"
                                    " (SELECT count(*) FROM versions WHERE orchestrator = o.id)"), [])
        self.assertEqual(self.query("SELECT count(*) FROM chunks WHERE id >> 23 NOT IN (SELECT id FROM versions)"
                                    " AND id NOT IN (SELECT chunk FROM inherited)"), [(0,)])
        self.assertEqual(self.query("SELECT count(*) FROM inherited WHERE version NOT IN (SELECT id FROM versions)"
                                    " OR chunk NOT IN (SELECT id FROM chunks)"), [(0,)])

    def used_pages(self):
        (pages,), = self.query("PRAGMA page_count")
        (free,), = self.query("PRAGMA freelist_count")
        return pages - free

    def check_space_returns(self):
        """After everything is removed the file is small, and what is saved then takes no more room than it did."""
        for number in range(len(client.FOLDERS)):
            folder = os.path.join(self.mnt, client.FOLDERS[number])
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
        self.caureport("collect")
        wait_until(lambda: self.used_pages() <= EMPTY_PAGES, "the pages of removed reports are free")
        wait_until(lambda: os.stat(self.store).st_size <= KEPT_BYTES, "the store's file shrinks")
        for _ in range(5):
            for number in range(8):
                write_file(self.path(f"0/again-{number}"), harness.random_bytes(1_000_000, number))
        wait_until(lambda: os.stat(self.store).st_size <= KEPT_BYTES, "free pages are used again")
        for number in range(8):
            os.unlink(self.path(f"0/again-{number}"))


class Kill(KillTest):
    """One mount; the rounds end with its death."""

    def test_what_was_saved_survives_and_nothing_else_is_there(self):
        rounds = amount.rounds(50)
        clients = [self.start_client(number, self.mnt) for number in range(N_CLIENTS)]
        found = self.fill_ring()
        for number in range(rounds):
            for each in clients:
                each.order(json.dumps({"round": number, "places": found}))
            self.aim(clients)
            self.mount.crash()
            for each in clients:
                each.wait_stopped()
            self.clean_up(self.mount)
            self.kill_at_start()
            self.mount = self.start(path=self.mnt)
            found = self.check(clients, found)
        self.check_space_returns()
        amount.tell(f"{rounds} kills while clients worked ({self.said('aimed')}), {self.counts['starts']} more at a start, "
                    f"{self.counts['saves']} saves checked, {self.counts['in hand']} operations in hand, "
                    f"{self.counts['names']} names read, 0 losses")

    def said(self, prefix):
        return ", ".join(f"{key.split(': ')[1]} {n}" for key, n in sorted(self.counts.items()) if key.startswith(prefix))

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

    # ---- what is there then ----

    def check(self, clients, before):
        operations = {each.number: each.journal.read() for each in clients}
        found, logs = look_around(self.mnt)
        journal.check_round(before, found, logs, operations)
        self.check_store()
        saves, in_hand = journal.count_saves(operations)
        self.counts["saves"] += saves
        self.counts["in hand"] += in_hand
        self.counts["names"] += len(found) + len(logs)
        self.remove_logs()
        return found


class Survivors(KillTest):
    """Two mounts of one store, and the tool: when one is killed the others go on."""

    def test_a_mount_goes_on_when_another_and_the_tool_are_killed(self):
        rounds = max(amount.rounds(50) // 5, 1)
        other = os.path.join(self.dir, "other")
        os.mkdir(other)
        doomed = self.start(path=other)
        clients = [self.start_client(number, self.mnt if number % 2 == 0 else other) for number in range(N_CLIENTS)]
        found = self.fill_ring()
        for number in range(rounds):
            for each in clients:
                each.order(json.dumps({"round": number, "places": found}))
            self.put_and_kill(number)
            doomed.crash()
            self.check_progress(clients[::2])
            for each in clients[::2]:
                each.order("stop")
            for each in clients:
                each.wait_stopped()
            self.clean_up(doomed)
            found = self.check(clients, found)
            doomed = self.start(path=other)
            self.assertEqual(look_around(other)[0], found)
        amount.tell(f"{rounds} kills of one mount of two, {self.counts['puts']} of caureport put, {self.counts['put']} puts "
                    f"that ended, {self.counts['saves']} saves checked, {self.counts['in hand']} operations in hand, 0 losses")

    def put_and_kill(self, number):
        """caureport put, ended by itself or by us: whole or absent."""
        for attempt in range(3):
            name, identity = f"tool-{attempt}", f"tool-{number}-{attempt}"
            path = self.path(f"0/{name}")
            before = self.identity_of(path)
            source = os.path.join(self.dir, name)
            write_file(source, contents.make(identity, self.rng.choice([5_000, 3_000_000])))
            with subprocess.Popen([CAUREPORT, "--store", self.store, "put", client.FOLDERS[0], source],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as tool:
                try:
                    tool.wait(self.rng.uniform(0, 0.08))
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

    def check(self, clients, before):
        operations = {each.number: each.journal.read() for each in clients}
        found, logs = look_around(self.mnt)
        tools = {place: found.pop(place) for place in list(found) if "/tool-" in place}
        for number in operations:
            journal.check_own(number, before, found, operations[number])
        everything = [operation for number in operations for operation in operations[number]]
        for place in client.LOGS:
            journal.check_log(place, logs.get(place, []), everything)
        journal.check_ring(before, found)
        self.check_store()
        saves, in_hand = journal.count_saves(operations)
        self.counts["saves"] += saves
        self.counts["in hand"] += in_hand
        self.remove_logs()
        self.assertLessEqual(len(tools), 3)
        return {**found, **tools}


if __name__ == "__main__":
    unittest.main()
