# SPDX-License-Identifier: MIT
"""caureport get --chunks and put --chunks: GetReport and PutReport as lines of JSON."""
import base64
import json
import os
import unittest

from caureport_harness import (CIM, DAMAGED, EXISTS, FAILED, GUID, NAME, NOT_FOUND, OTHER_GUID, StoreTest,
                               random_bytes, read_file, samples)


def line(number, data, **members):
    return {"Timestamp": CIM, "SequenceNumber": number, "Data": base64.b64encode(data).decode(), **members}


def text(*lines):
    return b"".join(each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n" for each in lines)


class GetChunks(StoreTest):
    def chunks(self, *words):
        return [json.loads(each) for each in self.run_tool("get", "--chunks", *words, GUID, NAME).splitlines()]

    def test_each_line_is_a_chunk_of_the_size_asked_for(self):
        data = random_bytes(300000)
        self.put(NAME, data)
        for size in [1000, 7777, 131072, 150000, 300000, 300001, 4294967295]:
            chunks = self.chunks("--chunk-size", str(size))
            self.assertEqual([chunk["SequenceNumber"] for chunk in chunks], list(range(-(-len(data) // size))))
            self.assertEqual({chunk["Timestamp"] for chunk in chunks}, {CIM})
            for chunk in chunks:
                self.assertEqual(set(chunk), {"Timestamp", "SequenceNumber", "Data"})
            pieces = [base64.b64decode(chunk["Data"], validate=True) for chunk in chunks]
            self.assertTrue(all(len(piece) == size for piece in pieces[:-1]))
            self.assert_bytes(b"".join(pieces), data)

    def test_the_size_may_be_left_out(self):
        self.put(NAME, bytes(100000))
        self.assertEqual([len(base64.b64decode(chunk["Data"])) for chunk in self.chunks()], [65536, 34464])

    def test_an_empty_report_is_one_empty_chunk(self):
        self.put(NAME, b"")
        self.assertEqual(self.chunks(), [{"Timestamp": CIM, "SequenceNumber": 0, "Data": ""}])

    def test_sizes_that_are_none(self):
        self.put(NAME, b"x")
        for size in ["0", "-1", "4294967296", "1k", "0x10", "", "1.5", " 1"]:
            self.refuse_usage("--chunk-size takes a number of bytes from 1 to 4294967295", "get", "--chunks",
                              "--chunk-size", size, GUID, NAME)

    def test_to_a_file(self):
        data = random_bytes(300000)
        self.put(NAME, data)
        self.run_tool("get", "--chunks", "-z", "1000", "-o", "out", GUID, NAME)
        self.assertEqual(len(read_file(self.path("out")).splitlines()), 300)
        self.damage(data, 200000)
        self.refuse(DAMAGED, NAME, "get", "--chunks", "-o", "damaged", GUID, NAME)
        self.assertFalse(os.path.exists(self.path("damaged")))


class RoundTrip(StoreTest):
    def test_samples_come_out_as_they_went_in(self):
        self.run_tool("put", "--mkdir", GUID, *samples())
        self.run_tool("mkdir", OTHER_GUID)
        for path in samples():
            name = os.path.basename(path)
            for size in ["333", "65536", "100000000"]:
                lines = self.run_tool("get", "--chunks", "--chunk-size", size, GUID, name)
                out = self.run_tool("put", "--chunks", OTHER_GUID, input=lines)
                self.assertEqual(out.decode(), name + "\n")  # made from the Timestamp
                self.assert_bytes(self.get(name, guid=OTHER_GUID), read_file(path), name)
        self.assertEqual(self.names(OTHER_GUID), self.names())

    def test_lines_of_any_length(self):
        self.run_tool("mkdir", GUID)
        data = random_bytes(3 << 20)
        self.run_tool("put", "--chunks", GUID, NAME, input=text(line(0, data[:1]), line(1, data[1:-1]),
                                                                line(2, data[-1:])))
        self.assert_bytes(self.get(NAME), data)


class PutChunks(StoreTest):
    def setUp(self):
        super().setUp()
        self.put(NAME, b"old")
        self.before = self.json("info", GUID, NAME)

    def put_chunks(self, *lines, words=(), name=NAME):
        return self.run_tool("put", "--chunks", *words, GUID, *([name] if name else []), input=text(*lines))

    def refuse_chunks(self, pattern, *lines, words=(), status=FAILED):
        """The lines are refused with a message in which @pattern is found, and what was there stays."""
        self.refuse(status, pattern, "put", "--chunks", *words, GUID, NAME, input=text(*lines))
        self.assertEqual(self.json("info", GUID, NAME), self.before)
        self.refuse(status, pattern, "put", "--chunks", *words, GUID, "new.xml", input=text(*lines))
        self.assertEqual(self.names(), [NAME])

    def test_it_replaces(self):
        self.assertEqual(self.put_chunks(line(0, b"new, "), line(1, b"and longer")), b"")
        self.assertEqual(self.get(NAME), b"new, and longer")

    def test_a_retry_replaces_a_chunk(self):
        self.put_chunks(line(0, b"aaaa"), line(1, b"bbbb"), line(0, b"AAAA"), line(2, b"cc"), line(2, b"CC"))
        self.assertEqual(self.get(NAME), b"AAAAbbbbCC")

    def test_the_order_of_members_and_blanks_do_not_matter(self):
        self.put_chunks(b"\n \t\r\n", b'  { "Data" : "QUJD","SequenceNumber":0 ,"Timestamp":"%s"}\r\n\n'
                        % CIM.encode(), b'{"PSComputerName":null,"x":{"y":[1,{}]},"Timestamp":"20240109030000.000000'
                        b'\\u002b000","Data":"\\u0051UJD","SequenceNumber":1}')
        self.assertEqual(self.get(NAME), b"ABCABC")

    def test_a_name_is_made_from_the_timestamp(self):
        out = self.run_tool("put", "--chunks", "--mkdir", OTHER_GUID, input=text(line(0, b"x")))
        self.assertEqual((out.decode(), self.names(OTHER_GUID)), (NAME + "\n", [NAME]))
        other = {**line(0, b"x"), "Timestamp": "20240109033000.123456+060"}
        self.assertEqual(self.put_chunks(other, name=None), b"CauReport-20240109023000.xml\n")

    def test_one_time_in_two_time_zones(self):
        self.put_chunks(line(0, b"a"), {**line(1, b"b"), "Timestamp": "20240109040000.000000+060"})
        self.assertEqual(self.get(NAME), b"ab")

    def test_from_a_file(self):
        self.write_file("lines", text(line(0, b"from a file")))
        self.run_tool("put", "--chunks", "--input", "lines", GUID, NAME)
        self.assertEqual(self.get(NAME), b"from a file")
        self.write_file("lines", text(line(0, b"x"), b"[]\n"))
        self.refuse(FAILED, "lines: line 2: ", "put", "--chunks", "--input", "lines", GUID, NAME)
        self.refuse(NOT_FOUND, "cannot read absent: No such file", "put", "--chunks", "-i", "absent", GUID, NAME)

    def test_no_replace(self):
        self.refuse(EXISTS, NAME, "put", "--chunks", "--no-replace", GUID, NAME, input=text(line(0, b"x")))
        self.assertEqual(self.json("info", GUID, NAME), self.before)

    def test_no_chunk(self):
        for nothing in [b"", b"\n", b" \n\n"]:
            self.refuse_chunks("standard input: there is no chunk in it: nothing is saved", nothing)

    # Numbering.

    def test_the_first_number_is_zero(self):
        self.refuse_chunks("standard input: line 1: ", line(1, b"x"))

    def test_a_gap(self):
        self.refuse_chunks("line 3: ", line(0, b"a"), line(1, b"b"), line(3, b"d"), line(2, b"c"))
        self.refuse_chunks("line 2: ", line(0, b"a"), line(2, b"c"))

    # Sizes.

    def test_the_report_size(self):
        self.put_chunks(line(0, b"aaa"), line(1, b"bb"), words=("--report-size", "5"))
        self.assertEqual(self.get(NAME), b"aaabb")
        self.put_chunks(line(0, b"cc", ReportSize=4), line(1, b"dd", ReportSize=4))
        self.assertEqual(self.get(NAME), b"ccdd")
        self.put_chunks(line(0, b"ee"), line(1, b"ff", ReportSize=4), words=("--report-size", "4"))
        self.assertEqual(self.get(NAME), b"eeff")

    def test_another_sum_than_the_report_size(self):
        lines = [line(0, b"aaa"), line(1, b"bb")]
        self.refuse_chunks(r"line 2: .*\b5\b.*\b6\b|line 2: .*\b6\b.*\b5\b", *lines, words=("--report-size", "6"))
        self.refuse_chunks("line 2: ", *lines, words=("--report-size", "4"))
        self.refuse_chunks("line 2: ", *lines, words=("--report-size", "0"))
        self.refuse_chunks("line 2: ", line(0, b"aaa", ReportSize=6), line(1, b"bb", ReportSize=6))
        self.refuse_chunks("line 3: ", *lines, line(0, b"a"), words=("--report-size", "5"))

    def test_report_sizes_that_differ(self):
        self.refuse_chunks("line 2: its ReportSize is not", line(0, b"a", ReportSize=2), line(1, b"b", ReportSize=3))
        self.refuse_chunks("line 1: its ReportSize is not", line(0, b"a", ReportSize=2), words=("--report-size", "3"))

    def test_report_sizes_that_are_none(self):
        for size in ["-1", "x", "1.0", "9223372036854775808"]:
            self.refuse_usage("--report-size takes a number of bytes", "put", "--chunks", "--report-size", size, GUID)

    def test_retries_of_other_sizes_without_a_report_size(self):
        self.put_chunks(line(0, b"aaaa"), line(1, b"bb"), line(1, b"b"))
        self.assertEqual(self.get(NAME), b"aaaab")

    # LastChunk.

    def test_last_chunk(self):
        self.put_chunks(line(0, b"a", LastChunk=False), line(1, b"b", LastChunk=True))
        self.assertEqual(self.get(NAME), b"ab")
        self.put_chunks(line(0, b"c"), line(1, b"d", LastChunk=True))
        self.assertEqual(self.get(NAME), b"cd")

    def test_a_line_after_the_last_chunk(self):
        self.refuse_chunks("line 2: it follows line 1, whose LastChunk is true", line(0, b"a", LastChunk=True),
                           line(1, b"b"))

    def test_an_input_that_was_cut(self):
        self.refuse_chunks("standard input: it ends without a chunk whose LastChunk is true",
                           line(0, b"a", LastChunk=False), line(1, b"b", LastChunk=False))
        self.refuse_chunks("ends without", line(0, b"a", LastChunk=False), line(1, b"b"))
        whole = text(line(0, b"a"), line(1, b"bcd"))
        self.refuse_chunks("line 2: ", whole[:-10])

    # Lines that are wrong.

    def test_what_is_no_json(self):
        for wrong in [b"{", b"}", b"hello", b"[]", b"null", b"1", b'"x"', b"{]", b"{,}", b"\xff{}", b"{}\0", b"'x'",
                      b'{"a":1,}', b'{"a" 1}', b'{"a":}', b"{'a':1}", b"{a:1}", b'{"a":01}', b'{"a":0x1}',
                      b'{"a":.5}', b'{"a":1.}', b'{"a":1e}', b'{"a":-}', b'{"a":+1}', b'{"a":NaN}', b'{"a":tru}',
                      b'{"a":"\\x"}', b'{"a":"\\u12"}', b'{"a":"\\u0000"}', b'{"a":"\t"}', b'{"a":"\\ud800"}',
                      b'{"a":"\\udc00"}', b'{"a":"\\ud800\\ud800"}', b'{"a":"b', b"/* */ {}", b"var a = {};",
                      b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}"]:
            with self.subTest(wrong):
                self.refuse(FAILED, "standard input: line 2: (it is not|something follows)", "put", "--chunks", GUID,
                            NAME, input=text(line(0, b"x")) + wrong + b"\n")
        self.assertEqual(self.json("info", GUID, NAME), self.before)

    def test_two_objects_on_a_line(self):
        self.refuse_chunks("line 1: something follows the JSON object", text(line(0, b"x"))[:-1] + text(line(1, b"y")))

    def test_two_members_of_one_name(self):
        self.refuse_chunks("line 1: it has two members of one name", text(line(0, b"x"))[:-2] + b',"Data":""}\n')

    def test_members_that_are_missing(self):
        for member in ["Timestamp", "SequenceNumber", "Data"]:
            wrong = line(1, b"b")
            del wrong[member]
            self.refuse_chunks(f"line 2: {member} is missing", line(0, b"a"), wrong)

    def test_members_of_another_type(self):
        for member, values in {"Timestamp": [None, 20240109030000, ["x"]], "Data": [None, 1, ["QUJD"], {}],
                               "SequenceNumber": ["1", 1.0, 1e0, None, True, [1]],
                               "ReportSize": ["2", 2.0, None], "LastChunk": ["true", 1, None]}.items():
            for value in values:
                with self.subTest(member=member, value=value):
                    self.refuse(FAILED, f"line 2: {member} is not", "put", "--chunks", GUID, NAME,
                                input=text(line(0, b"a"), {**line(1, b"b"), member: value}))
        self.assertEqual(self.json("info", GUID, NAME), self.before)

    def test_numbers_out_of_range(self):
        for number in ["-1", "4294967296", "9223372036854775808", "18446744073709551616", "18446744073709551617"]:
            wrong = text(line(1, b"b")).replace(b'"SequenceNumber": 1', b'"SequenceNumber": %s' % number.encode())
            self.refuse_chunks("line 2: SequenceNumber is not from 0 to 4294967295", line(0, b"a"), wrong)

    def test_numbers_below_all_integers(self):
        for number in ["-9223372036854775809", "-18446744073709551615", "-18446744073709551617"]:
            wrong = text(line(1, b"b")).replace(b'"SequenceNumber": 1', b'"SequenceNumber": %s' % number.encode())
            self.refuse_chunks("line 2: it is not a JSON object", line(0, b"a"), wrong)

    def test_timestamps_that_are_none(self):
        for wrong in ["", "20240109030000", "20241309030000.000000+000", "2024-01-09T03:00:00Z",
                      "20240109030000.000000:000", "20240109030000.000000+000 "]:
            self.refuse_chunks("line 1: Timestamp '.*' is not a CIM datetime", {**line(0, b"a"), "Timestamp": wrong})

    def test_timestamps_that_differ(self):
        self.refuse_chunks("line 2: its Timestamp is not that of the lines before it", line(0, b"a"),
                           {**line(1, b"b"), "Timestamp": "20240109030000.000001+000"})

    def test_data_that_is_not_base64(self):
        for wrong in ["A", "AA", "AAA", "AA=", "A===", "====", "AA=A", "AAAA=", "AAAA====", "AA==AAAA", "AA A",
                      "AAA\n", "AA-_", "AAA\u00e9", "AB==", "AAB=", "=", "AAAA\\"]:
            with self.subTest(wrong):
                self.refuse(FAILED, "line 1: Data is not base64", "put", "--chunks", GUID, NAME,
                            input=text({**line(0, b""), "Data": wrong}))
        self.assertEqual(self.json("info", GUID, NAME), self.before)


if __name__ == "__main__":
    unittest.main()
