"""The peer of `bench/worker/bindings.py`: Redis that syncs each write, and Python's own sqlite3.

Usage: bindings.py FOLDER. Answers each line, `bindings/CASE`, with a sample.
"""

import ctypes
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 0.1
AT_ONCE = 64
VALUE = "x" * 100
ROWS = 10_000
BATCH = 100


def end_with_parent():
    """Linux ends the child with us, however we end: whoever measures kills us."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Redis:
    """Just enough of the protocol."""

    def __init__(self, folder):
        program = shutil.which("redis-server")
        if program is None:
            sys.exit("redis-server is needed: install Debian's package redis-server")
        path = str(Path(folder) / "socket")
        options = ["--port", "0", "--unixsocket", path, "--dir", folder, "--save", ""]
        durable = ["--appendonly", "yes", "--appendfsync", "always"]
        command = [program, *options, *durable]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=end_with_parent)
        for _ in range(500):
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(path)
                break
            except OSError:
                time.sleep(0.01)
        self.file = self.socket.makefile("rb")

    def send(self, *commands):
        parts = []
        for command in commands:
            parts.append(f"*{len(command)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in command))
        self.socket.sendall("".join(parts).encode())

    def answer(self):
        line = self.file.readline()
        if line[:1] == b"$":
            return self.file.read(int(line[1:]) + 2)[:-2]
        if line[:1] == b"*":
            return [self.answer() for _ in range(int(line[1:]))]
        assert line[:1] in b"+:", line
        return line


def main(folder):
    redis = Redis(folder)
    database = sqlite3.connect(Path(folder) / "db.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE points (id INTEGER PRIMARY KEY, text TEXT)")
    database.execute("BEGIN")
    database.executemany("INSERT INTO points VALUES (?, ?)", ((i + 1, VALUE) for i in range(ROWS)))
    database.execute("COMMIT")
    database.execute("CREATE TABLE log (text TEXT)")

    def kv_get(n):
        redis.send(["SET", "key", VALUE])
        redis.answer()
        for _ in range(n):
            redis.send(["GET", "key"])
            redis.answer()

    def kv_put(n):
        # In a pipeline: Redis syncs once for all that it has read.
        for at in range(0, n, AT_ONCE):
            count = min(AT_ONCE, n - at)
            redis.send(*(["SET", f"key {(at + i) % 1000}", VALUE] for i in range(count)))
            for _ in range(count):
                redis.answer()

    def queue(n):
        # A list, into which and from which go 100 at a time.
        for at in range(0, n, BATCH):
            count = min(BATCH, n - at)
            redis.send(["RPUSH", "queue", *[VALUE] * count])
            redis.answer()
            redis.send(["LPOP", "queue", str(count)])
            redis.answer()

    def d1_query(n):
        for i in range(n):
            database.execute("SELECT text FROM points WHERE id = ?", (i % ROWS + 1,)).fetchone()

    def d1_insert(n):
        for _ in range(n):
            database.execute("INSERT INTO log (text) VALUES (?)", (VALUE,))

    cases = {
        "kv get (Redis)": kv_get,
        "kv put, 64 at once (Redis)": kv_put,
        "queue, end to end (Redis)": queue,
        "d1 point query (sqlite3)": d1_query,
        "d1 insert, one by one (sqlite3)": d1_insert,
    }
    try:
        for line in sys.stdin:
            print(json.dumps({"ns": sample(cases[line.strip().partition("/")[2]])}), flush=True)
    finally:
        redis.process.kill()
        redis.process.wait()


def sample(run):
    n = 1
    while True:
        start = time.perf_counter()
        run(n)
        took = time.perf_counter() - start
        if took >= SECONDS:
            return took / n * 1e9
        n = min(n * 100, int(n * SECONDS * 1.2 / max(took, 1e-6)) + 1)


if __name__ == "__main__":
    # On the disk that the other side uses, too.
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as folder:
        main(folder)
