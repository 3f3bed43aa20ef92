# SPDX-License-Identifier: MIT
"""A test that has clients at work on mounts of its store, and can check what is there afterwards."""
import collections
import json
import os
import random
import select
import subprocess

import amount
import client
import contents
import harness
import journal
import store_file
from harness import PYTHON, read_file, wait_until, write_file

CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "client.py")

# What a store without reports may still take: some pages that are always used, and what is kept for the next saves
# (docs/store-format.md; VACUUM_MIN_PAGES in store/sqlite-room.c).
EMPTY_PAGES = 64
KEPT_BYTES = 17 * 1024 * 1024


class ClientProcess:
    """client.py, and what it wrote down."""

    def __init__(self, number, root, journal_path, seed):
        self.number = number
        self.journal = journal.Journal(journal_path, number)
        open(journal_path, "ab").close()  # so that it can be looked at before the client has begun
        self.process = subprocess.Popen([PYTHON, CLIENT, root, journal_path, str(number), str(seed)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, "PYTHONPATH": os.path.dirname(harness.__file__)})

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


class WorkTest(harness.MountTest):
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

    def remove_logs(self):
        for place in client.LOGS:
            try:
                os.unlink(self.path(place))
            except FileNotFoundError:
                pass

    # ---- the store's file ----

    def check_store(self):
        wait_until(lambda: store_file.count_unsaved(self.store) == 0, "what uploads left was collected")
        store_file.check(self.store)

    def used_pages(self):
        (pages,), = store_file.query(self.store, "PRAGMA page_count")
        (free,), = store_file.query(self.store, "PRAGMA freelist_count")
        return pages - free

    def check_space_returns(self):
        """After everything is removed the file is small, and what is saved then takes no more room than it did."""
        for number in range(40):
            write_file(self.path(f"0/much-{number}"), harness.random_bytes(1_000_000, number))
        wait_until(lambda: self.used_pages() * 4096 > 2 * KEPT_BYTES, "there is much in the store")
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

    # ---- rounds ----

    def order_work(self, clients, number, places):
        for each in clients:
            each.order(json.dumps({"round": number, "places": places}))

    def check_work(self, clients, before):
        """What is there, after the clients have stopped, and what nobody did must not be."""
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

    def assert_busy(self, rounds):
        """The clients did something: without that nothing could have gone wrong. A first round may be over too soon."""
        self.assertGreaterEqual(self.counts["saves"], 2 * (rounds - 1))
