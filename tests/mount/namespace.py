# SPDX-License-Identifier: MIT
"""Sessions in namespaces of their own: what they mount and start is theirs alone, and ends with them."""
import os
import subprocess

import harness
from harness import NOBODY

# $1: the test's folder, $2: the build, $3: the tests, $4: more to prepare; what follows is run.
ENTER = """
set -e
dir=$1 build=$2 tests=$3 prepare=$4; shift 4
# Mounts of other tests must not live on in this namespace.
awk '$0 ~ / - fuse.caufs / { print $5 }' /proc/self/mountinfo | while read -r path; do umount -l "$path"; done
mount --bind "$build" "$dir/build"
mount --bind "$tests" "$dir/tests"
eval "$prepare"
exec "$@"
"""

PRELUDE = """
import errno, json, os, signal, subprocess, sys
sys.dont_write_bytecode = True
home = sys.argv[1]
sys.path.insert(0, sys.argv[2])
import harness
from harness import CAUFS, GUID, Mount, caufs_mounts_at, exists, read_file, wait_until, write_file
os.chdir(home)
mnt, store = home + '/mnt', home + '/store.cau'
os.mkdir(mnt)
folder = mnt + '/' + GUID
mount = None
def caufs(*arguments):
    done = subprocess.run([CAUFS, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    print(json.dumps([done.returncode, done.stderr]))
try:
"""

CLEAN_UP = """
finally:
    if mount: mount.dispose()
"""


class NamespaceTest(harness.MountTest):
    # What root does before a session, in its namespaces, and how the session is run.
    prepare = ""
    run_as = ()

    def setUp(self):
        super().setUp()
        self.let_others_in()
        self.home = os.path.join(self.dir, "home")
        os.mkdir(self.home)
        if os.geteuid() == 0:
            os.chown(self.home, NOBODY, NOBODY)
            for name in ("dev", "build", "tests"):
                os.mkdir(os.path.join(self.dir, name))

    def session(self, script):
        """Runs @script, with what PRELUDE defines; returns the lines that it printed."""
        script = PRELUDE + "".join(f"    {line}\n" for line in script.strip().splitlines()) + CLEAN_UP
        tests, caufs = os.path.dirname(os.path.abspath(harness.__file__)), os.path.abspath(harness.CAUFS)
        enter = []
        if os.geteuid() == 0:
            build = os.path.dirname(os.path.dirname(caufs))
            enter = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
                     "--mount-proc", "bash", "-c", ENTER, "bash", self.dir, build, tests, self.prepare, *self.run_as]
            tests = os.path.join(self.dir, "tests")
            caufs = os.path.join(self.dir, "build", os.path.relpath(caufs, build))
        done = subprocess.run([*enter, harness.PYTHON, "-c", script, self.home, tests], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL, check=False, cwd="/",
                              timeout=3 * harness.PATIENCE,
                              env={**os.environ, "CAUFS": caufs, "HOME": self.home})
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout.splitlines()
