# SPDX-License-Identifier: MIT
"""A killed writer saves nothing; one that exits without closing saves all."""
import os
import resource
import signal
import subprocess
import unittest

import harness
from harness import NOBODY, exists, random_bytes, read_file, wait_until, write_file

WRITE = """
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
os.write(fd, b'written')
"""

# Threads that sleep while the main thread goes on.
THREADS = """
for _ in range(5):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


class KilledTest(harness.ReportTest):
    def said_killed(self, name="report.xml"):
        """The lines of the log that tell of a killed writer of @name."""
        return [line for line in self.mount.log().splitlines() if name in line and "killed" in line]

    def assert_nothing_saved(self, name="report.xml"):
        wait_until(lambda: not exists(self.path(name)), "the upload is thrown away")
        self.assertNotIn(name, self.listed())
        wait_until(lambda: self.said_killed(name), "the log says that the writer was killed")

    def assert_still(self, data, name="report.xml"):
        wait_until(lambda: self.said_killed(name), "the log says that the writer was killed")
        self.assert_report(self.path(name), data)


class Killed(KilledTest):
    def test_a_writer_killed_by_a_signal_saves_nothing(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT, signal.SIGSEGV):
            name = f"killed-by-{number.name}"
            child = self.child(WRITE + "say(); hear()", self.path(name),
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
            child.expect()
            self.assertEqual(child.kill(number), -number)
            self.assert_nothing_saved(name)

    def test_a_killed_writer_leaves_the_old_version(self):
        write_file(self.path(), b"old")
        for script in (WRITE, WRITE.replace("os.O_TRUNC", "os.O_APPEND"), WRITE.replace(" | os.O_TRUNC", "")):
            child = self.child(script + "say(); hear()", self.path())
            child.expect()
            child.kill()
            self.assert_still(b"old")

    def test_a_killed_writer_of_a_large_report_leaves_nothing(self):
        child = self.child("fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644)\n"
                           "for n in range(40): os.write(fd, os.urandom(1 << 20))\nsay(); hear()", self.path())
        child.expect()
        child.kill()
        self.assert_nothing_saved()
        self.assertEqual(os.statvfs(self.root).f_files, 0)

    def test_what_was_synced_before_the_kill_stays(self):
        child = self.child(WRITE + "os.fsync(fd); os.write(fd, b', but not this'); say(); hear()", self.path())
        child.expect()
        child.kill()
        self.assert_still(b"written")

    def test_a_writer_killed_before_it_wrote_leaves_no_empty_report(self):
        child = self.child("fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644)\nsay(); hear()", self.path())
        child.expect()
        child.kill()
        wait_until(lambda: not exists(self.path()), "the upload is thrown away")
        self.assertEqual(self.listed(), [])

    def test_a_command_with_redirected_output_that_is_killed_saves_nothing(self):
        write_file(self.path("old"), b"old")
        for name in ("new", "old"):
            with subprocess.Popen(["bash", "-c", "exec > $1; echo $$ >&2; echo partial; exec sleep 1000", "bash",
                                   self.path(name)], stderr=subprocess.PIPE) as process:
                self.assertEqual(int(process.stderr.readline()), process.pid)
                with open(f"/proc/{process.pid}/comm", encoding="ascii") as comm:
                    wait_until(lambda: (comm.seek(0), comm.read())[1] == "sleep\n", "the command runs")
                process.kill()
                process.wait()
            wait_until(lambda: self.said_killed(name), "the log says that the writer was killed")
        wait_until(lambda: not exists(self.path("new")), "the upload is thrown away")
        self.assertEqual(read_file(self.path("old")), b"old")
        self.assertEqual(self.listed(), ["old"])

    def test_a_killed_command_that_waits_for_more_input_saves_nothing(self):
        fifo = os.path.join(self.dir, "fifo")
        os.mkfifo(fifo)
        with subprocess.Popen(["bash", "-c", "exec cat $1 > $2", "bash", fifo, self.path()]) as process:
            with open(fifo, "wb", buffering=0) as feed:
                feed.write(random_bytes(300_000))
                wait_until(lambda: exists(self.path()) and os.stat(self.path()).st_size == 300_000, "cat has written")
                process.terminate()
                process.wait()
        self.assert_nothing_saved()

    def test_a_killed_process_with_threads_saves_nothing(self):
        for number in range(5):
            name = f"killed-{number}"
            child = self.child(THREADS + WRITE + "say(); hear()", self.path(name))
            child.expect()
            child.kill()
            self.assert_nothing_saved(name)

    @harness.needs_root
    def test_a_writer_of_another_user_that_is_killed_saves_nothing(self):
        self.let_others_in()
        self.remount("allow_other")
        os.chmod(self.folder, 0o777)
        child = self.child(WRITE + "say(); hear()", self.path(), user=NOBODY)
        child.expect()
        child.kill()
        self.assert_nothing_saved()

    def test_readers_that_are_killed_are_no_news(self):
        write_file(self.path(), b"one")
        child = self.child("fd = os.open(sys.argv[1], os.O_RDONLY); say(); hear()", self.path())
        child.expect()
        child.kill()
        child = self.child("fd = os.open(sys.argv[1], os.O_WRONLY); say(); hear()", self.path())
        child.expect()
        child.kill()
        self.mount.finish()
        self.assertEqual(self.said_killed(), [])


class Exits(KilledTest):
    def test_a_writer_that_exits_without_closing_is_saved(self):
        for how, status in (("os._exit(0)", 0), ("os._exit(3)", 3), ("sys.exit(0)", 0), ("raise SystemError", 1),
                            ("os.kill(os.getpid(), 0); os._exit(130)", 130)):
            child = self.child(WRITE + how, self.path(), stderr=subprocess.DEVNULL)
            self.assertEqual(child.wait(), status)
            self.assertEqual(read_file(self.path()), b"written")
            os.unlink(self.path())
        self.assertEqual(self.said_killed(), [])

    def test_a_writer_that_exits_on_a_signal_it_handles_is_saved(self):
        child = self.child("signal.signal(signal.SIGTERM, lambda *_: os._exit(1))\n" + WRITE + "say(); hear()",
                           self.path())
        child.expect()
        # Python looks for signals between two of its steps: one that comes after the last look, before it waits for input,
        # would wait as well.
        wait_until(lambda: child.process.send_signal(signal.SIGTERM) or child.process.poll() is not None,
                   "the writer exits")
        self.assertEqual(child.wait(), 1)
        self.assertEqual(read_file(self.path()), b"written")

    def test_a_process_that_exits_while_its_threads_sleep_is_saved(self):
        for number in range(10):
            child = self.child(THREADS + WRITE + "os._exit(0)", self.path(f"r{number}"))
            self.assertEqual(child.wait(), 0)
            self.assertEqual(read_file(self.path(f"r{number}")), b"written")
        self.assertEqual(self.said_killed("r"), [])

    def test_a_thread_that_exits_its_process_saves(self):
        script = THREADS + WRITE + "threading.Thread(target=lambda: os._exit(0)).start()\ntime.sleep(1000)\n"
        for number in range(5):
            self.assertEqual(self.child(script, self.path(f"r{number}")).wait(), 0)
            self.assertEqual(read_file(self.path(f"r{number}")), b"written")

    def test_a_program_that_replaces_itself_saves(self):
        child = self.child(WRITE + "os.execv('/bin/true', ['true'])", self.path())
        self.assertEqual(child.wait(), 0)
        self.assertEqual(read_file(self.path()), b"written")


class Shared(KilledTest):
    """A descriptor that several processes have is over with the last of them only."""

    PARENT = WRITE + """
pid = os.fork()
if pid == 0:
    os.write(fd, b' by both')
    signal.pause()
while os.fstat(fd).st_size < 15:
    time.sleep(0.01)
"""

    def test_a_killed_child_leaves_what_its_living_parent_has(self):
        child = self.child(self.PARENT + "os.kill(pid, 9); os.waitpid(pid, 0)\n"
                           "say(); hear(); os.write(fd, b', and more'); os.close(fd); say('closed')", self.path())
        child.expect()
        self.assertNotIn("report.xml", self.listed())
        child.tell()
        child.expect("closed")
        self.assertEqual(read_file(self.path()), b"written by both, and more")

    def test_a_killed_child_leaves_what_its_living_parent_has_written_before(self):
        for end in ("os.close(fd)", "os._exit(0)"):
            child = self.child(self.PARENT + "os.kill(pid, 9); os.waitpid(pid, 0)\n" + end, self.path())
            self.assertEqual(child.wait(), 0)
            self.assertEqual(read_file(self.path()), b"written by both")
            os.unlink(self.path())

    def test_a_killed_parent_leaves_what_its_living_child_has(self):
        script = WRITE + """
if os.fork() == 0:
    say(str(os.getpid()))
    hear()
    os.write(fd, b' by the child')
    os.close(fd)
    say('closed')
    os._exit(0)
signal.pause()
"""
        child = self.child(script, self.path())
        self.assertTrue(child.line().isdigit())
        child.kill()
        self.assertNotIn("report.xml", self.listed())
        child.tell()
        child.expect("closed")
        self.assertIsNone(child.line())
        wait_until(lambda: exists(self.path()), "the report is there")
        self.assertEqual(read_file(self.path()), b"written by the child")

    def test_when_all_are_killed_nothing_is_saved(self):
        script = WRITE + """
if os.fork() == 0:
    os.write(fd, b' by both')
    say(str(os.getpid()))
    signal.pause()
signal.pause()
"""
        child = self.child(script, self.path())
        other = int(child.line())
        child.kill()
        os.kill(other, signal.SIGKILL)
        self.assert_nothing_saved()

    def test_a_child_that_writes_and_exits_saves_what_is_there(self):
        child = self.child(WRITE + "if os.fork() == 0: os.write(fd, b' by both'); os._exit(0)\n"
                           "os.wait(); os.write(fd, b' later'); say(); hear()", self.path())
        child.expect()
        self.assertEqual(read_file(self.path()), b"written by both")
        child.kill()
        self.assert_still(b"written by both")

    def test_a_child_that_wrote_nothing_saves_nothing(self):
        for other in ("if os.fork() == 0: os._exit(0)\nos.wait()", "subprocess.run(['true'], close_fds=False)"):
            child = self.child(WRITE + other + "\nsay(); hear()", self.path())
            child.expect()
            self.assertEqual(self.listed(), [])
            child.kill()
            self.assert_nothing_saved()

    def test_a_program_started_while_writing_does_not_disturb(self):
        child = self.child(WRITE + "subprocess.run(['true'], close_fds=False); os.write(fd, b' later')\n"
                           "os.close(fd); say(); hear()", self.path())
        child.expect()
        self.assertEqual(read_file(self.path()), b"written later")


class KeepKilled(KilledTest):
    options = ("keep_killed",)

    def test_keep_killed_saves_what_was_there(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            child = self.child(WRITE + "say(); hear()", self.path())
            child.expect()
            child.kill(number)
            self.assertEqual(read_file(self.path()), b"written")
            os.unlink(self.path())


if __name__ == "__main__":
    unittest.main()
