# SPDX-License-Identifier: MIT
"""What the figures depend on: the machine, the disk, and the versions of the programs."""
import os
import platform
import re
import shutil
import subprocess

PACKAGES = ["fuse3", "libfuse3-3", "libsqlite3-0", "libzstd1", "libglib2.0-0", "bindfs", "mergerfs", "gocryptfs",
            "rclone", "gcc"]
MEMORY_FILESYSTEMS = {"tmpfs", "ramfs", "devtmpfs"}


def output_of(*command):
    """The first line that a program prints, or nothing when it is missing or fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip().split("\n")[0]


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def unescape(field):
    """mountinfo has blanks, tabs, newlines and backslashes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def mounts():
    """Yields (mountpoint, type of filesystem, source, options) of all mounts, oldest first."""
    for line in read_text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, source, options = after.split(" ")[:3]
        yield unescape(before.split(" ")[4]), kind, unescape(source), options


def filesystem_of(folder):
    """(type, source, options) of the filesystem that a folder lies on."""
    path = os.path.realpath(folder)
    best = ("", "", "", "")
    for mount in mounts():
        if os.path.commonpath([mount[0], path]) == mount[0] and len(mount[0]) >= len(best[0]):
            best = mount
    return best[1:]


def is_in_memory(folder):
    return filesystem_of(folder)[0] in MEMORY_FILESYSTEMS


def cores():
    return len(os.sched_getaffinity(0))


def cpu_seconds():
    """What all processors together have worked, for anybody, since the start."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, read_text("/proc/stat").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def package_versions():
    if not shutil.which("dpkg-query"):
        return {}
    versions = {}
    for package in PACKAGES:
        version = output_of("dpkg-query", "-W", "-f", "${Version}", package)
        if version and "no packages found" not in version:
            versions[package] = version
    return versions


def describe(folder, caufs):
    """For the JSON: where the figures come from."""
    cpu = re.search(r"^model name\s*: (.*)$", read_text("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", read_text("/proc/meminfo"), re.M)
    kind, source, options = filesystem_of(folder)
    return {
        "cpu": cpu[1] if cpu else platform.processor(),
        "cores": cores(),
        "memory_bytes": int(memory[1]) * 1024 if memory else None,
        "kernel": platform.release(),
        "system": re.search(r'^PRETTY_NAME="?([^"\n]*)', read_text("/etc/os-release") + '\nPRETTY_NAME=""', re.M)[1],
        "filesystem": {"type": kind, "source": source, "options": options},
        "caufs": output_of(caufs, "--version"),
        "packages": package_versions(),
    }
