# SPDX-License-Identifier: MIT
"""Filesystem daemons: started, waited for, measured, ended."""
import os
import re
import signal
import subprocess
import time

from machine import mounts, read_text

# Seconds until a daemon that does not mount, or does not end, counts as broken.
PATIENCE = 120

TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something that ends the run, with a line for the user."""


def umount(mountpoint, *options):
    """Only fusermount3 lets other users than root unmount."""
    command = ["umount", *options] if os.geteuid() == 0 else ["fusermount3", "-u", *(["-z"] if options else [])]
    return subprocess.run([*command, mountpoint], stderr=subprocess.PIPE, text=True, check=False)


def is_mounted(mountpoint):
    return any(mount[0] == mountpoint for mount in mounts())


def unmount_below(folder):
    """Whatever a run that was ended left mounted there. A daemon ends with its mount."""
    for mountpoint in reversed([mount[0] for mount in mounts() if mount[0].startswith(folder + "/")]):
        umount(mountpoint, "-l")


def tree_of(pid):
    """A process and all that descend from it."""
    pids = [pid]
    for parent in pids:
        for path in (f"/proc/{parent}/task/{task}/children" for task in tasks_of(parent)):
            pids += [int(child) for child in read_text(path).split()]
    return pids


def tasks_of(pid):
    try:
        return [int(task) for task in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


class Daemon:
    """One mount, by a program that stays in the foreground."""

    def __init__(self, name, command, mountpoint, log):
        self.name = name
        self.mountpoint = mountpoint
        self.log = log
        self.seconds_to_mount = None
        started = time.monotonic()
        with open(log, "ab") as file:
            # A session of its own, so that Ctrl-C does not reach it before its mount was taken down.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                            start_new_session=True)
        try:
            self.wait_until_mounted(started)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self):
        return self.process.pid

    def last_words(self):
        lines = read_text(self.log).strip().split("\n")
        return lines[-1] or "it said nothing"

    def wait_until_mounted(self, started):
        while not is_mounted(self.mountpoint):
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended with status {self.process.returncode} instead of mounting: "
                                 f"{self.last_words()}")
            if time.monotonic() - started > PATIENCE:
                raise BenchError(f"{self.name} did not mount within {PATIENCE} s: {self.last_words()}")
            time.sleep(0.001)
        # Waits for the daemon's answer to the first request.
        os.stat(self.mountpoint)
        self.seconds_to_mount = time.monotonic() - started

    def stop(self):
        """Unmounts, and waits until the daemon has ended."""
        deadline = time.monotonic() + PATIENCE
        while is_mounted(self.mountpoint):
            done = umount(self.mountpoint)
            if done.returncode != 0 and time.monotonic() > deadline:
                self.kill()
                raise BenchError(f"{self.name} cannot be unmounted: {done.stderr.strip()}")
            if done.returncode != 0:
                time.sleep(0.05)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise BenchError(f"{self.name} did not end within {PATIENCE} s after its mount") from None

    def kill(self):
        """For the end of a run that failed: takes the mount and the processes away, whatever state they are in."""
        pids = tree_of(self.pid) if self.process.poll() is None else []
        for _ in range(10):
            if not is_mounted(self.mountpoint):
                break
            umount(self.mountpoint, "-l")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    # ---- what it used ----

    def cpu_seconds(self):
        ticks = 0
        for pid in tree_of(self.pid):
            stat = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
            # utime, stime, and those of the children that ended: fields 14 to 17, counted from field 3.
            ticks += sum(int(field) for field in stat[11:15])
        return ticks / TICKS

    def reset_peak_memory(self):
        for pid in tree_of(self.pid):
            try:
                with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
                    file.write("5")
            except OSError:
                pass

    def peak_memory(self):
        """Bytes that were resident at most since reset_peak_memory(), or None."""
        sizes = [re.search(r"^VmHWM:\s*(\d+) kB", read_text(f"/proc/{pid}/status"), re.M)
                 for pid in tree_of(self.pid)]
        return sum(int(size[1]) * 1024 for size in sizes if size) or None

    def tasks(self):
        return [task for pid in tree_of(self.pid) for task in tasks_of(pid)]
