# SPDX-License-Identifier: MIT
"""Whether an answer of the mount is one that the model allows."""
import datetime

from .state import Number, Stamp

# caufs stamps files in whole microseconds.
CLOCK_SLACK = 1000


class Either:
    """One of these."""

    def __init__(self, *values):
        self.values = values

    def __repr__(self):
        return " or ".join(map(repr, self.values))


class Any:
    """What is not modelled, or all that @check does not return False for."""

    def __init__(self, check=None):
        self.check = check

    def __repr__(self):
        return "any" if self.check is None else "any that passes a check"


def nanoseconds(value):
    """Of a number of them, or of a CIM datetime."""
    if isinstance(value, int):
        return value
    instant = datetime.datetime.strptime(value[:21], "%Y%m%d%H%M%S.%f").replace(tzinfo=datetime.timezone.utc)
    return int(instant.timestamp()) * 10 ** 9 + instant.microsecond * 1000


class Matcher:
    """Compares answers, and remembers the inode numbers that it saw."""

    def __init__(self):
        self.numbers = {}  # Number: what it is
        self.known = {}    # the reverse

    def match(self, expected, found):
        """None, or what differs."""
        if isinstance(expected, Any):
            fits = expected.check is None or expected.check(found) is not False
            return None if fits else f"{found!r} is not expected"
        if isinstance(expected, Either):
            fits = any(self.match(value, found) is None for value in expected.values)
            return None if fits else f"{found!r}, expected {expected!r}"
        if isinstance(expected, Number):
            return self.match_number(expected, found)
        if isinstance(expected, Stamp):
            fits = expected.low - CLOCK_SLACK <= nanoseconds(found) <= expected.high + CLOCK_SLACK
            return None if fits else f"{found!r}, expected from {expected.low} to {expected.high}"
        if isinstance(expected, (dict, list, tuple)) and isinstance(found, type(expected)):
            return self.match_parts(expected, found)
        return self.match_value(expected, found)

    def match_number(self, number, found):
        if self.numbers.get(number, found) != found:
            return f"it changed from {self.numbers[number]} to {found}"
        if self.known.setdefault(found, number) is not number:
            return f"{found} is another's"
        self.numbers[number] = found
        return None

    def match_parts(self, expected, found):
        if isinstance(expected, dict):
            keys = sorted(expected)
            if not expected.keys() <= found.keys() or not expected and found:
                return f"{found!r}, expected {expected!r}"
        else:
            keys = range(len(expected))
            if len(found) != len(expected):
                return f"{found!r}, expected {expected!r}"
        for key in keys:
            difference = self.match(expected[key], found[key])
            if difference:
                return f"{key}: {difference}"
        return None

    @staticmethod
    def match_value(expected, found):
        if expected == found:
            return None
        if isinstance(expected, bytes) and isinstance(found, bytes):
            same = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), min(len(found), len(expected)))
            return (f"{len(found)} bytes, expected {len(expected)}, alike up to byte {same}: "
                    f"{found[same:same + 24]!r}, expected {expected[same:same + 24]!r}")
        return f"{found!r}, expected {expected!r}"
