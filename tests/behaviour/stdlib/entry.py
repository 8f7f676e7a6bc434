import base64
import collections
import csv
import dataclasses
import datetime
import decimal
import enum
import functools
import hashlib
import io
import itertools
import json
import os
import pathlib
import random
import re
import secrets
import statistics
import struct
import sys
import tempfile
import time
import uuid
import zlib

from workers import Response, WorkerEntrypoint


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.5


class Colour(enum.StrEnum):
    RED = enum.auto()


def check(condition, what):
    if not condition:
        raise AssertionError(what)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        check(sys.version_info[:2] == (3, 14), sys.version)
        check(json.loads(json.dumps({"ä": [1.5, None, True]})) == {"ä": [1.5, None, True]}, "json")
        check(re.findall(r"(?P<word>\w+)-(\d+)", "a-1 bc-22") == [("a", "1"), ("bc", "22")], "re")
        check(hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf"), "hashlib")
        check(base64.b64decode(base64.b64encode(b"\0\xff")) == b"\0\xff", "base64")
        check(zlib.decompress(zlib.compress(b"x" * 10_000)) == b"x" * 10_000, "zlib")
        check(struct.unpack("<qd", struct.pack("<qd", -(2**62), 0.1)) == (-(2**62), 0.1), "struct")
        check(decimal.Decimal("0.1") + decimal.Decimal("0.2") == decimal.Decimal("0.3"), "decimal")
        check(statistics.median([3, 1, 2]) == 2, "statistics")
        check(Point(1) == Point(1, 0.5) and Colour.RED == "red", "dataclasses and enum")
        check(collections.Counter("abca").most_common(1) == [("a", 2)], "collections")
        check(list(itertools.batched("abcde", 2)) == [("a", "b"), ("c", "d"), ("e",)], "itertools")
        check(functools.reduce(lambda a, b: a * b, range(1, 21)) == 2432902008176640000, "functools")
        check(list(csv.reader(io.StringIO('a,"b,c"\n'))) == [["a", "b,c"]], "csv")
        day = datetime.datetime(2026, 2, 28, tzinfo=datetime.UTC) + datetime.timedelta(days=1)
        check(day.isoformat() == "2026-03-01T00:00:00+00:00", "datetime")
        check(abs(time.time() - datetime.datetime.now(datetime.UTC).timestamp()) < 60, "clock")
        check(time.perf_counter() <= time.perf_counter(), "perf_counter")
        check(secrets.token_bytes(16) != secrets.token_bytes(16), "secrets")
        check(random.random() != random.random() and os.urandom(8) != os.urandom(8), "random")
        check(uuid.uuid4() != uuid.uuid4(), "uuid")
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "a.txt")
            file.write_text("täxt")
            check(file.read_text() == "täxt" and os.listdir(folder) == ["a.txt"], "files")
        return Response("all of it works")
