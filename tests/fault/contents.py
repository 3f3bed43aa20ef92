# SPDX-License-Identifier: MIT
"""Reports that say themselves what they are: the first line has an id, the length and the SHA-256 of what follows.

Half of a report, or parts of two, do not pass for one. A line of a report of lines has a checksum of its own.
"""
import hashlib
import zlib

HEADER = 117
TAIL = 64
SMALLEST = HEADER + TAIL


def body(identity, length):
    """An id BASE+N has the bytes of BASE but for the last ones: most of its chunks can be shared with BASE."""
    if "+" in identity:
        return body(identity.rsplit("+", 1)[0], length)[:-TAIL] + hashlib.sha512(identity.encode()).digest()
    if identity.endswith("z"):
        line = hashlib.sha256(identity.encode()).hexdigest().encode()
        return (line * (length // len(line) + 1))[:length]
    return hashlib.shake_128(identity.encode()).digest(length)


def make(identity, size):
    """The @size bytes of the report @identity; one whose id ends with z compresses well."""
    rest = body(identity, size - HEADER)
    return f"{identity:<40} {size:>10} {hashlib.sha256(rest).hexdigest()}\n".encode() + rest


def identify(data):
    """The id of the report that @data is, whole. ValueError: it is none."""
    fields = data[:HEADER].split()
    if len(fields) != 3 or data[HEADER - 1:HEADER] != b"\n":
        raise ValueError(f"no report: {len(data)} bytes, {data[:HEADER]!r}")
    if int(fields[1]) != len(data) or hashlib.sha256(data[HEADER:]).hexdigest().encode() != fields[2]:
        raise ValueError(f"report {fields[0].decode()} is not whole: {len(data)} of {int(fields[1])} bytes")
    return fields[0].decode()


def make_line(identity):
    return f"{identity} {zlib.crc32(identity.encode()):08x}\n".encode()


def identify_lines(data):
    """The ids of the lines that @data is made of. ValueError: it has something else."""
    lines = data.split(b"\n")
    if lines.pop() != b"":
        raise ValueError(f"the last line is not whole: {data[-80:]!r}")
    found = [line.split(b" ")[0].decode() for line in lines]
    for identity, line in zip(found, lines):
        if make_line(identity) != line + b"\n":
            raise ValueError(f"a line is not whole: {line[:80]!r}")
    return found
