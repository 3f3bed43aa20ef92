# SPDX-License-Identifier: MIT
"""What clients wrote down of a round, and what may be found after it.

An operation has a result, an errno, or None when the mount died while it was in hand: then all or nothing of it
happened. Nothing else is forgiven.
"""
import dataclasses
import json
import math

import client


@dataclasses.dataclass
class Operation:
    client: int
    op: str
    place: str
    to: str
    id: str
    begin: float
    end: float = math.inf
    result: int | None = None

    def may_have_happened(self):
        return self.result in (0, None)


class Journal:
    """The file of one client, read round by round."""

    def __init__(self, path, number):
        self.path = path
        self.number = number
        self.offset = 0

    def read(self):
        """The operations since the last call, in order."""
        operations = {}
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            text = file.read()
        self.offset += len(text)
        for line in text.splitlines():
            entry = json.loads(line)
            if "op" in entry:
                operations[entry["n"]] = Operation(self.number, entry["op"], entry["place"], entry.get("to", ""),
                                                   entry.get("id", ""), entry["t"])
            else:
                operations[entry["n"]].result = entry["result"]
                operations[entry["n"]].end = entry["t"]
        return list(operations.values())


def apply(operation, places):
    """@places after @operation, of a client's own."""
    places = dict(places)
    if operation.op == "save":
        places[operation.place] = operation.id
    elif operation.op == "remove":
        del places[operation.place]
    elif operation.op == "rename":
        places[operation.to] = places.pop(operation.place)
    elif operation.op == "exchange":
        places[operation.place], places[operation.to] = places[operation.to], places[operation.place]
    return places


def own_outcomes(number, before, operations):
    """What a client's own places may lead to: one outcome, and another one if an operation was in hand."""
    mine = set(client.own_places(number))
    places = {place: identity for place, identity in before.items() if place in mine}
    mine_done = [operation for operation in operations if operation.place in mine]
    for position, operation in enumerate(mine_done):
        if operation.result is None:
            if position != len(mine_done) - 1:
                raise AssertionError(f"client {number} went on after {operation}")
            return [places, apply(operation, places)]
        places = apply(operation, places)
    return [places]


def check_own(number, before, found, operations):
    mine = set(client.own_places(number))
    there = {place: identity for place, identity in found.items() if place in mine}
    outcomes = own_outcomes(number, before, operations)
    if there in outcomes:
        return
    wrong = {place: (there.get(place), [outcome.get(place) for outcome in outcomes])
             for place in sorted(mine) if all(there.get(place) != outcome.get(place) for outcome in outcomes)}
    raise AssertionError(f"client {number}: found and expected differ: {wrong or (there, outcomes)}; "
                         f"its last operations were {operations[-3:]}")


def check_register(place, before, found, operations):
    """What is found was written, and nothing that succeeded began after that had ended."""
    here = [operation for operation in operations if operation.place == place]
    first = Operation(-1, "save" if place in before else "remove", place, "", before.get(place, ""),
                      -math.inf, -math.inf, 0)
    causes = [operation for operation in [first, *here] if operation.may_have_happened()
              and (operation.op == "save" and operation.id == found.get(place)
                   or operation.op == "remove" and place not in found)]
    if not causes:
        raise AssertionError(f"{place} leads to {found.get(place)}, which nobody did")
    for cause in causes:
        if not any(other.result == 0 and other.begin > cause.end and (other.op == "save" or place in found)
                   for other in here):
            return
    raise AssertionError(f"{place} leads to {found.get(place)}, but later operations succeeded: {here[-5:]}")


def check_ring(before, found):
    """Moving loses nothing and doubles nothing."""
    were = sorted(before[place] for place in client.RING if place in before)
    are = sorted(found[place] for place in client.RING if place in found)
    if were != are:
        raise AssertionError(f"what is moved about was {were} and is {are}")


def check_log(place, lines, operations):
    """Each line that was closed is there, once, and none that nobody wrote; each client's in its order."""
    here = [operation for operation in operations if operation.op == "append" and operation.place == place]
    missing = {operation.id for operation in here if operation.result == 0} - set(lines)
    foreign = set(lines) - {operation.id for operation in here if operation.may_have_happened()}
    if missing or foreign or len(set(lines)) != len(lines):
        raise AssertionError(f"{place}: of {len(lines)} lines {sorted(missing)} are missing, {sorted(foreign)} "
                             f"nobody wrote, {len(lines) - len(set(lines))} are there twice")
    for number in {operation.client for operation in here}:
        own = [operation.id for operation in here if operation.client == number]
        there = [line for line in lines if line in own]
        if there != [line for line in own if line in there]:
            raise AssertionError(f"{place}: the lines of client {number} are not in the order of its appending")


def check_round(before, found, logs, operations):
    """@before, @found: {place: id}. @logs: {place: [line]}. @operations: of all clients, {number: [Operation]}."""
    everything = [operation for number in operations for operation in operations[number]]
    for number in operations:
        check_own(number, before, found, operations[number])
    for place in client.REGISTERS:
        check_register(place, before, found, everything)
    check_ring(before, found)
    for place in client.LOGS:
        check_log(place, logs.get(place, []), everything)


def count_saves(operations):
    """Of saves that were closed, and of operations that were in hand at the end."""
    everything = [operation for number in operations for operation in operations[number]]
    return (sum(operation.op in ("save", "append") and operation.result == 0 for operation in everything),
            sum(operation.result is None for operation in everything))
