# SPDX-License-Identifier: MIT
"""Shell redirection in all its forms."""
import os
import time
import unittest

import harness
from harness import random_bytes, read_file, wait_until, write_file

# Seconds for which the last close of a file is waited for: CAUFS_SETTLE_TIME in fs/caufs-names.h.
SETTLE_TIME = 0.1


class Redirections(harness.ReportTest):
    def sh(self, script, *arguments, **how):
        """Runs @script in the orchestrator's folder."""
        return self.shell(script, *arguments, cwd=self.folder, **how)

    def content(self, name="f"):
        return read_file(self.path(name)).decode()

    def test_greater_than_writes_a_report(self):
        self.sh("echo one > f")
        self.assertEqual(self.content(), "one\n")
        self.sh("echo two > f")
        self.assertEqual(self.content(), "two\n")
        self.sh("set -C; echo three > f", status=1)
        self.assertEqual(self.content(), "two\n")
        self.sh("set -C; echo three >| f; echo new > g")
        self.assertEqual(self.content(), "three\n")
        self.assertEqual(self.content("g"), "new\n")

    def test_two_greater_than_append(self):
        self.sh("for n in 1 2 3; do echo $n >> f; done")
        self.assertEqual(self.content(), "1\n2\n3\n")

    def test_a_subshell_redirected_ends_with_every_line(self):
        self.sh("(echo a; echo b) > f")
        self.assertEqual(self.content(), "a\nb\n")
        self.sh("(/bin/echo a; /bin/echo b; echo c) > f")
        self.assertEqual(self.content(), "a\nb\nc\n")
        self.sh("{ echo d; /bin/echo e; } >> f")
        self.assertEqual(self.content(), "a\nb\nc\nd\ne\n")

    def test_a_loop_redirected_ends_with_every_line(self):
        self.sh("for n in 1 2 3 4 5; do /bin/echo $n; done > f")
        self.assertEqual(self.content(), "1\n2\n3\n4\n5\n")
        self.sh("while read line; do echo $line$line; done < f > g")
        self.assertEqual(self.content("g"), "11\n22\n33\n44\n55\n")

    def test_exec_keeps_a_descriptor_open(self):
        out = self.sh("exec 3> f; echo one >&3; /bin/echo two >&3; ls -l f | cut -d' ' -f5; exec 3>&-; cat f")
        self.assertEqual(out, "8\none\ntwo\n")

    def test_exec_redirects_a_whole_script(self):
        self.sh("exec > f; echo one; /bin/echo two; (echo three)")
        self.assertEqual(self.content(), "one\ntwo\nthree\n")

    def test_exec_reads_and_writes_one_descriptor(self):
        write_file(self.path("f"), b"first\nsecond\n")
        self.sh("exec 3<> f; read -r line <&3; echo \"=$line=\" >&3; exec 3>&-")
        self.assertEqual(self.content(), "first\n=first=\n")
        self.sh("echo abc 1<> f")
        self.assertEqual(self.content(), "abc\nt\n=first=\n")
        self.sh("echo new 1<> g")
        self.assertEqual(self.content("g"), "new\n")

    def test_both_outputs_go_into_one_report(self):
        self.sh("(echo out; echo err >&2) > f 2>&1; (echo out; echo err >&2) &> g; (echo x; echo y >&2) &>> g")
        self.assertEqual(self.content("f"), "out\nerr\n")
        self.assertEqual(self.content("g"), "out\nerr\nx\ny\n")

    def assert_seen_at_once(self, script, expected):
        """What was closed is waited for, but not for ever: on a busy machine the kernel may tell too late of the last close."""
        begin = time.monotonic()
        found = self.sh(script, status=None)
        if found != expected:
            self.assertGreaterEqual(time.monotonic() - begin, SETTLE_TIME, f"{found!r} without a wait, not {expected!r}")

    def test_an_empty_redirection_is_seen_at_once(self):
        self.assert_seen_at_once(": > f; cat f && ls; > g; ls", "f\nf\ng\n")
        for count in range(10):
            self.assert_seen_at_once(f": > e{count}; cat e{count} && stat -c %s e{count}", "0\n")
        wait_until(lambda: len(self.listed()) == 12, "all of them are there")
        write_file(self.path("f"), b"old")
        self.assert_seen_at_once(": > f; cat f; stat -c %s f", "0\n")
        wait_until(lambda: self.content() == "", "the report is empty")

    def test_a_touched_report_is_listed_at_once(self):
        for count in range(10):
            self.assert_seen_at_once(f"touch t{count}; ls t* | wc -l; cat t{count}", f"{count + 1}\n")
            wait_until(lambda: len(self.listed()) == count + 1, "it is there")

    def test_a_here_document_is_saved(self):
        self.sh("cat > f <<END\nline 1\nline 2\nEND")
        self.assertEqual(self.content(), "line 1\nline 2\n")

    def test_a_pipeline_reads_and_writes_reports(self):
        data = b"".join(b"%d\n" % n for n in range(20_000))
        write_file(self.path("f"), data)
        self.sh("sort -rn < f | tee g | head -n 5 > h")
        self.assertEqual(self.content("h"), "19999\n19998\n19997\n19996\n19995\n")

    def test_a_report_filtered_onto_itself_is_emptied_first(self):
        write_file(self.path("f"), b"one\ntwo\n")
        self.sh("cat f | { sleep 0; grep two; } > g && cat g > f")
        self.assertEqual(self.content(), "two\n")

    def test_a_failed_command_leaves_what_it_wrote(self):
        self.sh("(echo partial; exit 3) > f", status=3)
        self.assertEqual(self.content(), "partial\n")
        self.sh("false > g", status=1)
        self.assertEqual(self.content("g"), "")

    def test_a_background_job_that_outlives_its_parent_saves_its_report(self):
        harness.adopt_orphans()
        before = harness.children()
        fifo = os.path.join(self.dir, "fifo")
        os.mkfifo(fifo)
        self.sh("(echo begun; read -r line < $1; echo $line) > f 2> /dev/null < /dev/null &", fifo)
        job, = harness.children() - before
        with open(fifo, "w", encoding="ascii") as file:
            file.write("ended\n")
        self.assertEqual(harness.exit_status(job), 0)
        self.assertEqual(self.content(), "begun\nended\n")

    def test_jobs_at_once_save_a_report_each(self):
        self.sh("for n in $(seq 12); do (echo $n; head -c 200000 /dev/zero) > f$n & done; wait")
        self.assertEqual(len(self.listed()), 12)
        for number in range(1, 13):
            self.assertEqual(read_file(self.path(f"f{number}")), b"%d\n" % number + bytes(200_000))

    def test_dev_stdout_and_proc_self_fd_lead_to_the_report(self):
        self.sh("sh -c 'echo one > /dev/stdout' > f")
        self.assertEqual(self.content("f"), "one\n")
        self.sh("sh -c 'echo two | tee /proc/self/fd/5 > /dev/null' 5> g")
        self.assertEqual(self.content("g"), "two\n")
        self.sh("sh -c 'echo three >> /dev/fd/5' 5>> g")
        self.assertEqual(self.content("g"), "two\nthree\n")
        self.assertEqual(self.sh("cat /dev/stdin < g; cat /proc/self/fd/0 < f"), "two\nthree\none\n")


class Dd(harness.ReportTest):
    def setUp(self):
        super().setUp()
        self.data = random_bytes(1_234_567)
        self.local = os.path.join(self.dir, "local")
        write_file(self.local, self.data)

    def dd(self, *operands):
        self.run_program("dd", "status=none", *operands)

    def test_odd_block_sizes_go_in_and_come_out(self):
        for size in ("1009", "4096", "65537", "131071", "131073", "1M"):
            self.dd(f"if={self.local}", f"of={self.path(size)}", f"bs={size}")
            self.assert_report(self.path(size), self.data)
            self.dd(f"if={self.path(size)}", f"of={self.local}.out", f"bs={size}")
            self.assert_report(f"{self.local}.out", self.data)

    def test_notrunc_replaces_a_part(self):
        write_file(self.path(), self.data)
        self.dd("if=/dev/zero", f"of={self.path()}", "bs=1009", "seek=129", "count=17", "conv=notrunc")
        expected = self.data[:1009 * 129] + bytes(1009 * 17) + self.data[1009 * 146:]
        self.assert_report(self.path(), expected)

    def test_seek_without_notrunc_cuts_what_follows(self):
        write_file(self.path(), self.data)
        self.dd(f"if={self.local}", f"of={self.path()}", "bs=1000", "seek=200", "count=3")
        self.assert_report(self.path(), self.data[:200_000] + self.data[:3000])

    def test_seek_beyond_the_end_leaves_zeros(self):
        self.dd(f"if={self.local}", f"of={self.path()}", "bs=1000", "seek=777", "skip=5", "count=2")
        self.assert_report(self.path(), bytes(777_000) + self.data[5000:7000])

    def test_skip_reads_from_the_middle(self):
        write_file(self.path(), self.data)
        self.dd(f"if={self.path()}", f"of={self.local}.out", "bs=1013", "skip=131", "count=999")
        self.assert_report(f"{self.local}.out", self.data[1013 * 131:1013 * (131 + 999)])

    def test_sparse_and_fsync_conversions_work(self):
        self.dd("if=/dev/zero", f"of={self.path()}", "bs=64K", "count=20", "conv=sparse,fsync")
        self.assert_report(self.path(), bytes(20 * 65536))
        self.dd(f"if={self.local}", f"of={self.path()}", "bs=7777", "conv=fdatasync", "oflag=append")
        self.assert_report(self.path(), self.data)
        self.dd(f"if={self.local}", f"of={self.path()}", "bs=7777", "conv=notrunc", "oflag=append,sync")
        self.assert_report(self.path(), self.data + self.data)

    def test_direct_reads_and_writes_work(self):
        data = self.data[:1_048_576]
        write_file(self.local, data)
        self.dd(f"if={self.local}", f"of={self.path()}", "bs=64K", "oflag=direct")
        self.assert_report(self.path(), data)
        self.dd(f"if={self.path()}", f"of={self.local}.out", "bs=64K", "iflag=direct")
        self.assert_report(f"{self.local}.out", data)


if __name__ == "__main__":
    unittest.main()
