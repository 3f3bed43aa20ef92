# SPDX-License-Identifier: MIT
"""Runs the works on the contenders, by turns, and keeps what came out."""
import json
import os
import subprocess
import time

import machine
from contenders import held
from daemons import BenchError
from tracing import Trace

# A daemon counts as idle when it took no CPU for this long; what it does after its answers (a checkpoint, an upload)
# is not to slow the next contender down.
IDLE_SECONDS = 0.03
IDLE_PATIENCE = 60


class Client:
    """The program that does the works."""

    def __init__(self, path):
        self.path = path

    def __call__(self, *arguments):
        done = subprocess.run([self.path, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"{arguments[0]} failed: {done.stderr.strip() or f'status {done.returncode}'}")
        return json.loads(done.stdout)


def settle(contender, settings):
    """Waits until the disk and the contender have nothing left to do."""
    if settings.sync:
        os.sync()
    if contender.daemon is None:
        return
    deadline = time.monotonic() + IDLE_PATIENCE
    before = contender.daemon.cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(IDLE_SECONDS)
        now = contender.daemon.cpu_seconds()
        if now == before:
            return
        before = now


def rotated(items, by):
    by %= max(len(items), 1)
    return items[by:] + items[:by]


class Measurer:
    """Keeps @records: one dict for each time that a work was done."""

    def __init__(self, contenders, settings, say):
        self.contenders = contenders
        self.settings = settings
        self.say = say
        self.records = []
        # {contender: (bytes saved, bytes on disk)}
        self.disk = {}

    def run(self, group, works):
        with held(self.contenders):
            for contender in self.contenders:
                self.begin(group, contender)
            for number in range(group.rounds(self.settings)):
                self.run_round(group, works, number, traced=False)
            if self.settings.cost:
                self.run_round(group, works, group.rounds(self.settings), traced=True)
            if group.measures_disk:
                for contender in self.contenders:
                    self.measure_disk(group, contender)

    def begin(self, group, contender):
        contender.fresh()
        group.fill(contender)
        settle(contender, self.settings)

    def run_round(self, group, works, number, traced):
        group.round = number
        self.say(f"{group.name}: " + ("requests and costs" if traced else
                                      f"round {number + 1} of {group.rounds(self.settings)}"))
        for contender in rotated(self.contenders, number):
            if group.fresh_each_round and number > 0:
                self.begin(group, contender)
            for work in works:
                if work.suits(contender):
                    self.measure(work, contender, number, traced)

    def measure(self, work, contender, number, traced):
        try:
            if work.before:
                work.before(contender)
                if not work.is_warm:
                    settle(contender, self.settings)
            record = self.measure_act(work, contender, traced)
        except (BenchError, OSError) as error:
            raise BenchError(f"{work.title}, {contender.name}: {error}") from error
        record.update(work=work.name, contender=contender.name, round=number, amount=work.amount(record),
                      value=work.amount(record) / max(record["seconds"], 1e-6))
        self.check(record)
        self.records.append(record)

    def measure_act(self, work, contender, traced):
        daemon = contender.daemon
        if daemon:
            daemon.reset_peak_memory()
            cpu = daemon.cpu_seconds()
        with Trace(contender) if traced else NoTrace() as trace:
            started, all_cpu = time.monotonic(), machine.cpu_seconds()
            result = work.act(contender)
            settle(contender, self.settings)
            elapsed, all_cpu = time.monotonic() - started, machine.cpu_seconds() - all_cpu
        record = {"ops": result["ops"], "bytes": result["bytes"], "seconds": result["seconds"],
                  "client_cpu": result["user"] + result["system"], "daemon_cpu": None, "daemon_peak": None,
                  "traced": traced, "requests": trace.requests, "syncs": trace.syncs,
                  "elapsed": elapsed, "all_cpu": all_cpu}
        if daemon:
            record.update(daemon_cpu=daemon.cpu_seconds() - cpu, daemon_peak=daemon.peak_memory())
        return record

    def busy(self):
        """The share of the processors that went to others than the contenders and the client, or None."""
        timed = [record for record in self.records if not record["traced"]]
        capacity = sum(record["elapsed"] for record in timed) * machine.cores()
        ours = sum(record["client_cpu"] + (record["daemon_cpu"] or 0) for record in timed)
        return max(sum(record["all_cpu"] for record in timed) - ours, 0) / capacity if capacity else None

    def check(self, record):
        """All contenders have to do the same."""
        for other in self.records:
            if (other["work"], other["round"]) == (record["work"], record["round"]) \
                    and (other["ops"], other["bytes"]) != (record["ops"], record["bytes"]):
                raise BenchError(f"{record['work']}: {record['contender']} did {record['ops']} operations and "
                                 f"{record['bytes']} bytes, {other['contender']} {other['ops']} and {other['bytes']}")

    def measure_disk(self, group, contender):
        if contender.keeps:
            contender.stop()
            os.sync()
            self.disk[contender.name] = {"saved": group.bytes_saved(), "on_disk": contender.bytes_on_disk()}


class NoTrace:
    requests = None
    syncs = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False
