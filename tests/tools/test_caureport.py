# SPDX-License-Identifier: MIT
"""caureport: its command line, the store it finds, lists, names and exit statuses."""
import hashlib
import json
import os
import signal
import subprocess
import unittest

from caureport_harness import (CAUREPORT, CIM, DAMAGED, EXISTS, FAILED, GUID, NAME, NOT_FOUND, NO_SPACE, OTHER_GUID,
                               SAVED, UNAVAILABLE, USAGE, StoreTest, random_bytes, read_file, samples)

COMMANDS = ["ls", "get", "put", "rm", "mv", "mkdir", "rmdir", "info", "collect", "verify",
            "recover"]


class CommandLine(StoreTest):
    def test_help_names_every_command(self):
        text = self.bare("--help").decode()
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^  {command} ")
        self.assertIn("CAU_STORE", text)

    def test_help_of_every_command_has_an_example(self):
        for command in COMMANDS:
            text = self.bare(command, "--help").decode()
            self.assertIn(f"caureport {command} [OPTION", text)
            self.assertRegex(text, rf"Example:\n  caureport .*\b{command}\b")

    def test_help_fits_a_terminal(self):
        for words in [(), *[(command,) for command in COMMANDS]]:
            for line in self.bare(*words, "--help").decode().splitlines():
                self.assertLessEqual(len(line), 80, line)

    def test_version(self):
        self.assertRegex(self.bare("--version").decode(), r"\Acaureport \d+\.\d+.*\n\Z")

    def test_no_command(self):
        self.bare(status=USAGE)
        self.assertEqual(self.messages, "caureport: a command is missing; see caureport --help\n")

    def test_a_mistyped_command_says_the_nearest(self):
        for typed, meant in [("gte", "get"), ("inof", "info"), ("colect", "collect"), ("rmdri", "rmdir"),
                             ("mkdri", "mkdir")]:
            self.refuse_usage(f"'{typed}'; did you mean '{meant}'\\?", typed)

    def test_another_word_is_no_command(self):
        self.refuse_usage("there is no command 'defragment'; see caureport --help", "defragment")

    def test_an_unknown_option(self):
        self.refuse_usage("Unknown option --jsno; see caureport ls --help", "ls", "--jsno")
        self.bare("--stroe", self.store, "ls", status=USAGE)
        self.assertIn("Unknown option --stroe; see caureport --help", self.messages)

    def test_a_word_too_many(self):
        for words in [("ls", GUID, "more"), ("get", GUID, NAME, "more"), ("info", GUID, NAME, "more"),
                      ("mv", GUID, NAME, "new", "more"), ("put", "--chunks", GUID, NAME, "more"),
                      ("collect", "more", "more")]:
            self.run_tool(*words, status=USAGE)
        self.refuse_usage("'more' is one word too many", "ls", GUID, "more")

    def test_a_word_is_missing(self):
        for words in [("get",), ("get", GUID), ("info",), ("info", GUID), ("put",), ("put", GUID), ("rm",),
                      ("rm", GUID), ("mv",), ("mv", GUID), ("mv", GUID, NAME), ("mkdir",), ("rmdir",)]:
            self.refuse_usage("missing", *words)

    def test_what_is_no_guid(self):
        for command in ["ls", "get", "put", "rm", "mv", "mkdir", "rmdir", "info", "collect"]:
            self.refuse_usage("'6b3c' is neither the GUID of an orchestrator nor a path in a caufs mount", command,
                              "6b3c", "x")

    def test_a_name_may_look_like_an_option_after_two_hyphens(self):
        self.put("--json", b"odd")
        self.assertEqual(self.run_tool("get", "--", GUID, "--json"), b"odd")

    def test_a_message_is_one_line_whatever_the_name(self):
        self.put(NAME, b"x")
        self.run_tool("rm", GUID, "two\nlines\x1b[2J\x9b2J", status=NOT_FOUND)
        self.assertTrue(self.messages[:-1].isprintable(), self.messages)


class FindingTheStore(StoreTest):
    def setUp(self):
        super().setUp()
        self.put(NAME, b"content")

    def test_none_is_named(self):
        self.bare("ls", status=USAGE)
        for way in ["--store", "CAU_STORE", "mount"]:
            self.assertIn(way, self.messages)

    def test_in_the_environment(self):
        self.assertEqual(self.bare("get", GUID, NAME, environment={"CAU_STORE": self.store}), b"content")

    def test_an_empty_variable_names_none(self):
        self.bare("ls", status=USAGE, environment={"CAU_STORE": ""})

    def test_the_option_comes_before_the_environment(self):
        out = self.run_tool("get", GUID, NAME, environment={"CAU_STORE": self.path("another")})
        self.assertEqual(out, b"content")

    def test_the_option_may_follow_the_command(self):
        self.assertEqual(self.bare("get", GUID, "-s", self.store, NAME), b"content")

    def test_a_relative_path_and_a_uri(self):
        self.assertEqual(self.bare("get", GUID, NAME, "--store", "store.db"), b"content")
        self.assertEqual(self.bare("get", GUID, NAME, "--store", f"sqlite:{self.store}"), b"content")

    def test_a_guid_in_each_spelling(self):
        for spelling in [GUID.upper(), "{%s}" % GUID, "{%s}" % GUID.upper()]:
            self.assertEqual(self.get(NAME, guid=spelling), b"content")

    def test_only_mkdir_makes_a_store(self):
        self.store = self.path("new.db")
        for words in [("ls",), ("ls", GUID), ("get", GUID, NAME), ("put", GUID, "/dev/null"), ("rm", GUID, NAME),
                      ("mv", GUID, NAME, "new"), ("rmdir", GUID), ("info", GUID, NAME), ("collect",)]:
            self.refuse(NOT_FOUND, "new.db", *words)
        self.assertFalse([name for name in os.listdir(self.dir) if name.startswith("new")])
        self.run_tool("mkdir", GUID)
        self.assertEqual([entry["guid"] for entry in self.json("ls")], [GUID])

    def test_what_is_no_store(self):
        self.store = self.write_file("letter.txt", b"Dear Sir or Madam, " * 100)
        for words in [("ls",), ("put", GUID, "/dev/null"), ("mkdir", GUID)]:
            self.refuse(UNAVAILABLE, "letter.txt", *words)
        self.assertEqual(read_file(self.store), b"Dear Sir or Madam, " * 100)

    def test_a_store_of_a_newer_format(self):
        self.sql("PRAGMA user_version=1000000")
        for words in [("ls",), ("rm", GUID, NAME)]:
            self.refuse(UNAVAILABLE, "use a newer caufs", *words)

    def test_a_store_of_somebody_else(self):
        nobody = self.as_nobody()
        os.chmod(self.store, 0)
        self.refuse(UNAVAILABLE, "store.db", "ls", **nobody)
        self.refuse(UNAVAILABLE, "store.db", "rm", GUID, NAME, **nobody)

    def test_a_store_that_may_only_be_read(self):
        os.chmod(self.store, 0o644)
        self.assertEqual(self.get(NAME, **self.as_nobody()), b"content")
        self.refuse(UNAVAILABLE, "store.db", "rm", GUID, NAME, **self.as_nobody())

    def test_it_works_while_another_process_holds_the_store(self):
        holder = self.start("put", "--name", "slow.xml", GUID, "-", stdin=subprocess.PIPE)
        try:
            holder.stdin.write(b"first half, ")
            holder.stdin.flush()
            self.put("quick.xml", b"meanwhile")
            self.assertEqual(self.names(), [NAME, "quick.xml"])
            out, messages = holder.communicate(b"second half")
        finally:
            holder.kill()
            holder.wait()
        self.assertEqual((holder.returncode, out, messages), (0, b"", b""))
        self.assertEqual(self.get("slow.xml"), b"first half, second half")


class Ls(StoreTest):
    def test_orchestrators(self):
        self.run_tool("mkdir", OTHER_GUID)
        self.put(NAME, b"x")
        self.put("b.xml", b"y")
        heading, *lines = self.run_tool("ls").decode().splitlines()
        self.assertEqual(heading.split(), ["GUID", "REPORTS", "MODIFIED"])
        self.assertEqual([line.split()[:2] for line in lines], [[OTHER_GUID, "0"], [GUID, "2"]])
        for line in lines:
            self.assertRegex(line, r" \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertRegex(line[:heading.index("REPORTS") + len("REPORTS")], r" [02]$")

    def test_orchestrators_as_json(self):
        self.run_tool("mkdir", GUID, OTHER_GUID)
        self.put(NAME, b"x")
        first, second = self.json("ls")
        self.assertEqual((first["guid"], first["reports"]), (OTHER_GUID, 0))
        self.assertEqual((second["guid"], second["reports"]), (GUID, 1))
        self.assertEqual(set(first), {"guid", "reports", "modified", "changed"})
        self.assertGreater(second["modified"], first["modified"])

    def test_reports_have_aligned_columns(self):
        data = b"report " * 1000
        self.put(NAME, data)
        self.put("with blanks ü.xml", b"x")
        heading, first, second = self.run_tool("ls", GUID).decode().splitlines()
        stored = self.json("ls", GUID)[0]["stored_size"]
        size, stored_size, timestamp, saved, name = first.split()
        self.assertEqual((int(size), int(stored_size), timestamp, name), (7000, stored, "2024-01-09T03:00:00Z", NAME))
        self.assertLess(stored, 7000)
        self.assertRegex(saved, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(heading.index("SIZE") + 4, first.index("7000") + 4)
        for column in ["TIMESTAMP", "SAVED", "NAME"]:
            self.assertEqual(first[heading.index(column) - 1], " ")
            self.assertNotEqual(first[heading.index(column)], " ")
        self.assertTrue(second.endswith("  with blanks ü.xml"), second)

    def test_reports_as_json(self):
        self.put(NAME, b"report")
        report, = self.json("ls", GUID)
        self.assertEqual(set(report), {"name", "size", "stored_size", "timestamp", "saved"})
        self.assertEqual((report["name"], report["size"], report["timestamp"]), (NAME, 6, CIM))
        self.assertIsInstance(report["stored_size"], int)
        self.assertRegex(report["saved"], SAVED)

    def test_an_empty_orchestrator(self):
        self.run_tool("mkdir", GUID)
        self.assertEqual(self.json("ls", GUID), [])
        self.assertEqual(len(self.run_tool("ls", GUID).splitlines()), 1)

    def test_names_that_json_must_quote(self):
        names = ['a"b\\c.xml', "tab-less ü 中 😀.xml"]
        for name in names:
            self.put(name, b"x")
        self.assertEqual(self.names(), sorted(names))

    def test_sorting(self):
        self.put("a-20240301000000.xml", b"xx")
        self.put("b-20240101000000.xml", b"xxx")
        self.put("c-20240201000000.xml", b"x")
        self.put("b-20240101000000.xml", b"xxx")  # saved again, so saved last

        def order(*words):
            return "".join(report["name"][0] for report in self.json("ls", *words, GUID))

        self.assertEqual(order(), "abc")
        self.assertEqual(order("--sort=name"), "abc")
        self.assertEqual(order("--sort=size"), "cab")
        self.assertEqual(order("--sort=timestamp"), "bca")
        self.assertEqual(order("--sort=saved"), "acb")
        self.assertEqual(order("--reverse"), "cba")
        self.assertEqual(order("-r", "-S", "size"), "bac")
        self.refuse_usage("--sort takes name, size, timestamp or saved, not 'colour'", "ls", "--sort=colour", GUID)

    def test_units(self):
        self.put("a.xml", bytes(1023))
        self.put("b.xml", bytes(1024))
        self.put("c.xml", bytes(38523))
        self.put("d.xml", bytes(1048576 * 3))
        lines = self.run_tool("ls", "--human", GUID).decode().splitlines()[1:]
        self.assertEqual([line.split()[0] for line in lines], ["1023", "1.0K", "37.6K", "3.0M"])

    def test_a_reader_that_stops_early_ends_it_quietly(self):
        files = [self.write_file(f"{number:04}{'x' * 200}", b"") for number in range(600)]
        self.run_tool("put", "--mkdir", GUID, *files)
        for words in [("ls", GUID), ("ls", "--json", GUID), ("ls", "--sort=size", GUID)]:
            with self.start(*words, preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)) as process:
                process.stdout.readline()
                process.stdout.close()
                self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(process.returncode, -13, words)

    def test_no_such_orchestrator(self):
        self.run_tool("mkdir", GUID)
        self.refuse(NOT_FOUND, OTHER_GUID, "ls", OTHER_GUID)

    def test_output_that_cannot_be_written(self):
        self.put(NAME, b"x")
        for words in [("ls",), ("ls", GUID), ("ls", "--json", GUID), ("info", GUID, NAME), ("get", GUID, NAME)]:
            with open("/dev/full", "wb") as full:
                self.refuse(NO_SPACE, "standard output: No space left on device", *words, stdout=full)


class Info(StoreTest):
    def test_everything_of_a_report(self):
        data = random_bytes(300000)
        path = self.write_file(NAME, data)
        os.chmod(path, 0o640)
        os.utime(path, ns=(1700000000000000001, 1700000000000000002))
        self.run_tool("put", "--mkdir", "--preserve", GUID, path)
        info = self.json("info", GUID.upper(), NAME)
        self.assertEqual(info["name"], NAME)
        self.assertEqual(info["orchestrator"], GUID)
        self.assertEqual(info["timestamp"], CIM)
        self.assertRegex(info["saved"], SAVED)
        self.assertEqual(info["size"], 300000)
        self.assertGreaterEqual(info["stored_size"], 300000)
        self.assertGreater(info["chunks"], 1)
        self.assertEqual(info["sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual((info["mode"], info["uid"], info["gid"]), ("0640", os.geteuid(), os.getegid()))
        self.assertEqual(info["mtime"], "2023-11-14T22:13:20.000000002Z")
        self.assertGreater(info["version"], 0)
        self.assertGreater(info["report"], 0)

    def test_the_text_has_what_the_json_has(self):
        self.put(NAME, b"report")
        info = self.json("info", GUID, NAME)
        lines = self.run_tool("info", GUID, NAME).decode().splitlines()
        text = dict(line.split(":", 1) for line in lines)
        self.assertEqual(sorted(value.strip() for value in text.values()), sorted(str(v) for v in info.values()))

    def test_a_run_that_never_started(self):
        self.put("CauReport-00000101000000.xml", b"x")
        self.assertEqual(self.json("ls", GUID)[0]["timestamp"], "00000101000000.000000+000")
        self.assertIn("  0000-01-01T00:00:00Z  ", self.run_tool("ls", GUID).decode())

    def test_not_found(self):
        self.run_tool("mkdir", GUID)
        self.refuse(NOT_FOUND, NAME, "info", GUID, NAME)
        self.refuse(NOT_FOUND, OTHER_GUID, "info", OTHER_GUID, NAME)


class Names(StoreTest):
    def test_rm_goes_on_after_a_failure(self):
        for name in ["a", "b", "c"]:
            self.put(name, b"x")
        self.run_tool("rm", GUID, "a", "missing", "c", "absent", status=NOT_FOUND)
        self.assertEqual(len(self.messages.splitlines()), 2)
        self.assertIn("missing", self.messages.splitlines()[0])
        self.assertEqual(self.names(), ["b"])

    def test_mv_renames_and_replaces(self):
        self.put("a", b"of a")
        self.put("b", b"of b")
        self.run_tool("mv", GUID, "a", "b")
        self.assertEqual(self.names(), ["b"])
        self.assertEqual(self.get("b"), b"of a")

    def test_mv_refuses_to_replace(self):
        self.put("a", b"of a")
        self.put("b", b"of b")
        self.refuse(EXISTS, "b", "mv", "--no-replace", GUID, "a", "b")
        self.assertEqual((self.get("a"), self.get("b")), (b"of a", b"of b"))
        self.run_tool("mv", "--no-replace", GUID, "a", "c")
        self.assertEqual(self.names(), ["b", "c"])

    def test_mv_exchanges(self):
        self.put("a", b"of a")
        self.put("b", b"of b")
        self.run_tool("mv", "--exchange", GUID, "a", "b")
        self.assertEqual((self.get("a"), self.get("b")), (b"of b", b"of a"))
        self.refuse(NOT_FOUND, "c", "mv", "--exchange", GUID, "a", "c")
        self.refuse_usage("contradict", "mv", "-n", "-x", GUID, "a", "b")

    def test_mv_to_another_orchestrator(self):
        self.put("a", b"of a")
        self.refuse(NOT_FOUND, OTHER_GUID, "mv", "--to", OTHER_GUID, GUID, "a")
        self.run_tool("mkdir", OTHER_GUID)
        self.run_tool("mv", "--to", OTHER_GUID, GUID, "a")
        self.assertEqual((self.names(), self.names(OTHER_GUID)), ([], ["a"]))
        self.run_tool("mv", OTHER_GUID, "a", "b", "--to", "{%s}" % GUID.upper())
        self.assertEqual((self.names(), self.names(OTHER_GUID)), (["b"], []))
        self.assertEqual(self.get("b"), b"of a")

    def test_mv_to_a_name_that_no_report_may_have(self):
        self.put("a", b"of a")
        self.refuse(USAGE, "255|cannot name a report", "mv", GUID, "a", "x" * 256)
        self.refuse(USAGE, "255|cannot name a report", "mv", GUID, "a", "a\tb")
        self.refuse_usage("neither", "mv", GUID, "a", "folder/b")
        self.refuse_usage("without a slash", "mv", GUID, "a", "folder/b", "--to", GUID)
        self.assertEqual(self.names(), ["a"])

    def test_mkdir(self):
        self.run_tool("mkdir", GUID.upper(), "{%s}" % OTHER_GUID)
        self.assertEqual([entry["guid"] for entry in self.json("ls")], [OTHER_GUID, GUID])

    def test_mkdir_of_one_that_exists(self):
        self.run_tool("mkdir", GUID)
        self.run_tool("mkdir", GUID, OTHER_GUID, status=EXISTS)
        self.assertEqual(len(self.messages.splitlines()), 1)
        self.assertEqual(len(self.json("ls")), 2)
        self.run_tool("mkdir", "--parents", GUID)

    def test_nothing_is_made_when_one_word_is_wrong(self):
        self.refuse_usage("'nonsense'", "mkdir", GUID, "nonsense")
        self.assertFalse(os.path.exists(self.store))

    def test_rmdir(self):
        self.put("a", b"x")
        self.run_tool("mkdir", OTHER_GUID)
        self.run_tool("rmdir", GUID, OTHER_GUID, status=FAILED)
        self.assertEqual(len(self.messages.splitlines()), 1)
        self.assertIn(GUID, self.messages)
        self.assertEqual([entry["guid"] for entry in self.json("ls")], [GUID])
        self.refuse(NOT_FOUND, OTHER_GUID, "rmdir", OTHER_GUID)

    def test_collect(self):
        self.put("a", b"of a")
        self.put("a", b"new of a")
        self.assertEqual(self.run_tool("collect"), b"")
        self.assertEqual(self.get("a"), b"new of a")


class Statuses(StoreTest):
    """The statuses that the tests above do not meet."""

    def test_damage(self):
        data = random_bytes(100000)
        self.put(NAME, data)
        self.damage(data, 50000)
        self.refuse(DAMAGED, NAME, "get", GUID, NAME)
        self.assertEqual(self.names(), [NAME])

    def test_a_full_disk(self):
        if os.geteuid() == 0:
            wrapper = ["unshare", "--mount"]
        else:
            wrapper = ["unshare", "--map-root-user", "--mount"]
        small = self.path("small")
        os.mkdir(small)
        path = self.write_file("big.xml", random_bytes(8 << 20))
        script = ('mount -t tmpfs -o size=2m none "$1" && "$0" --store "$1/store.db" mkdir "$2" || exit 99\n'
                  '"$0" --store "$1/store.db" put "$2" "$3"; status=$?\n'
                  '"$0" --store "$1/store.db" ls --json "$2" || exit 98\nexit $status')
        done = subprocess.run([*wrapper, "sh", "-c", script, CAUREPORT, small, GUID, path],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment(), check=False)
        self.assertEqual((done.returncode, json.loads(done.stdout or "0")), (NO_SPACE, []), done.stderr)
        self.assertRegex(done.stderr.decode(), r"\Acaureport: .*\n\Z")

    def test_samples_are_listed_with_their_timestamps(self):
        self.run_tool("put", "--mkdir", GUID, *samples())
        for report, path in zip(self.json("ls", GUID), samples()):
            name = os.path.basename(path)
            self.assertEqual(report["name"], name)
            self.assertEqual(report["timestamp"], name[10:24] + ".000000+000")
            self.assertEqual(report["size"], os.path.getsize(path))


if __name__ == "__main__":
    unittest.main()
