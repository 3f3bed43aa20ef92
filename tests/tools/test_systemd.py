# SPDX-License-Identifier: MIT
"""The unit for systemd, as far as that can be tested without systemd running: see docs/security.md."""
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))
import harness  # pylint: disable=wrong-import-position

UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "systemd", "caufs@.service")

# What systemd would give the unit a mount namespace of its own for (exec_needs_mount_namespace() in its
# src/core/execute.c), in which the mount would be seen by nobody else.
NAMESPACE = {"BindPaths", "BindReadOnlyPaths", "DynamicUser", "ExecPaths", "ExtensionDirectories", "ExtensionImages",
             "InaccessiblePaths", "LogNamespace", "MountFlags", "MountImages", "NoExecPaths", "PrivateDevices",
             "PrivateIPC", "PrivateTmp", "PrivateUsers", "ProcSubset", "ProtectControlGroups", "ProtectHome",
             "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem",
             "ReadOnlyPaths", "ReadWritePaths", "RootDirectory", "RootImage", "TemporaryFileSystem"}


def directives():
    with open(UNIT, encoding="utf-8") as file:
        return [line.rstrip("\n").split("=", 1) for line in file if re.match("[A-Z]", line)]


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"}, timeout=60)
    return done.stdout


def members(name):
    """The system calls of a set, which may have others in it."""
    if not name.startswith("@"):
        return {name}
    found = set()
    for line in analyze("syscall-filter", name).splitlines()[1:]:
        if not line.strip().startswith("#"):
            found |= members(line.strip())
    return found


class Unit(harness.MountTest):
    def test_systemd_rates_it_below_3(self):
        rating = re.search(r"Overall exposure level for \S+: ([\d.]+)", analyze("security", "--offline=true", UNIT))
        print(f"# rated {rating[1]}", file=sys.stderr)
        self.assertLess(float(rating[1]), 3.0)

    def test_systemd_knows_every_directive(self):
        unit = os.path.join(self.dir, "caufs@i.service")
        with open(UNIT, encoding="utf-8") as file:
            text = file.read().replace("ExecStart=caufs", f"ExecStart={harness.CAUFS}")
        with open(unit, "w", encoding="utf-8") as file:
            file.write(text)
        said = [line for line in analyze("verify", unit).splitlines() if "man caufs(8)" not in line]
        self.assertFalse([line for line in said if "caufs@i.service" in line], said)
        with open(unit, "a", encoding="utf-8") as file:
            file.write("[Service]\nNoSuchDirective=yes\n")
        self.assertIn("NoSuchDirective", analyze("verify", unit))

    def test_nothing_hides_the_mount_from_others(self):
        self.assertFalse([name for name, _ in directives() if name in NAMESPACE])
        self.assertIn(["PrivateMounts", "no"], directives())

    def allowed(self):
        calls = set()
        for name, value in directives():
            if name != "SystemCallFilter":
                continue
            found = set().union(*[members(word) for word in value.lstrip("~").split()])
            calls = calls - found if value.startswith("~") else calls | found
        return calls

    def test_the_daemon_needs_no_system_call_that_is_refused(self):
        trace = os.path.join(self.dir, "trace")
        mount = self.start("allow_other", wrapper=(
            *harness.sanitizers_told("detect_leaks=0"), "strace", "-f", "-qq", "-e", "signal=none", "-o", trace))
        folder = os.path.join(mount.path, harness.GUID)
        os.mkdir(folder)
        for number, size in enumerate((0, 10, 100_000, 5_000_000)):
            path = os.path.join(folder, f"{number}")
            harness.write_file(path, harness.random_bytes(size))
            self.assert_report(path, harness.random_bytes(size))
        os.rename(path, path + ".xml")
        os.unlink(path + ".xml")
        self.child("os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), b'x'); os.kill(os.getpid(), 9)",
                   os.path.join(folder, "killed")).wait()
        os.statvfs(mount.path)
        mount.finish()
        used = set(re.findall(r"^\d+ +(\w+)\(", harness.read_file(trace).decode(errors="replace"), re.MULTILINE))
        print(f"# {len(used)} system calls used", file=sys.stderr)
        self.assertGreater(len(used), 30)
        # Setting it is tried by GLib, which does without. Unmounting root does by itself.
        self.assertEqual(used - self.allowed() - {"sched_setattr"}, set())


if __name__ == "__main__":
    unittest.main()
