"""Python by itself. An operation is one turn of a case's loop."""

import json


def integer_loop(n):
    total = 0
    for i in range(n):
        total = (total + i * i) % 1000003
    return total


class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def moved(self, dx):
        return Point(self.x + dx, self.y)


def objects_dicts_strings(n):
    seen = {}
    point = Point(0, 1)
    for i in range(n):
        point = point.moved(1)
        key = f"{point.x % 100}:{point.y}"
        seen[key] = seen.get(key, 0) + len(key.split(":"))
    return seen


DOCUMENT = {
    "id": 12345,
    "name": "A name with ünïcode",
    "tags": ["one", "two", "three"],
    "nested": {"values": [i / 3 for i in range(20)], "flags": [True, False, None]},
    "items": [{"sku": f"sku-{i}", "price": i * 1.25, "count": i} for i in range(10)],
}


def json_round_trip(n):
    for _ in range(n):
        json.loads(json.dumps(DOCUMENT))


# In the spirit of Dhrystone: records, procedure calls, arrays, comparisons of strings and branches, mixed as
# in systems programs.
class Record:
    __slots__ = ("kind", "next", "number", "text")

    def __init__(self, kind=0, next=None, number=0, text=""):
        self.kind = kind
        self.next = next
        self.number = number
        self.text = text

    def copy(self):
        return Record(self.kind, self.next, self.number, self.text)


def step(value):
    return value + 10 if value < 100 else value - 90


def link(record, kind):
    other = record.copy()
    other.kind = kind
    other.number = step(other.number)
    other.next = None
    record.next = other
    return other if other.text > record.text else record


def fill(row, table, at, value):
    row[at] = value
    row[at + 1] = row[at]
    for i in range(at, at + 2):
        table[at][i] = at
    table[at][at - 1] += 1


def records(n):
    row = [0] * 52
    table = [[0] * 52 for _ in range(52)]
    head = Record(1, None, 40, "SOME STRING IN A RECORD")
    for i in range(n):
        head = link(head, i & 3)
        a, b = 2, 3
        while a < b:
            c = 5 * a - b
            a = step(c) - c - 7
        fill(row, table, 8 + (i & 7), c)
        first, second = "SOME STRING", "SOME OTHER STRING"
        if first[5] == second[5] or first > second:
            head.number = 0
        for character in "ABC":
            if character == head.text[0]:
                head.kind = 2
    return head.number


CASES = {
    "integer loop": integer_loop,
    "objects, dicts, strings": objects_dicts_strings,
    "json": json_round_trip,
    "records (pystone-like)": records,
}
