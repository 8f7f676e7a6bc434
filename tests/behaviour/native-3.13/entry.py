import sqlite3
import sys

import pyodide
from workers import Response, WorkerEntrypoint

# What module scope does is in the snapshot, with the module's own memory.
database = sqlite3.connect(":memory:")
database.execute("CREATE TABLE words (word TEXT)")
database.executemany("INSERT INTO words VALUES (?)", [("one",), ("two",)])


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        words = [word for (word,) in database.execute("SELECT word FROM words ORDER BY word DESC")]
        try:
            database.execute("SELECT missing")
        except sqlite3.OperationalError as error:
            failure = str(error)
        # A function of Python's that the module calls.
        database.create_function("twice", 1, lambda n: n * 2)
        (twice,) = database.execute("SELECT twice(21)").fetchone()
        return Response(f"{pyodide.__version__[:4]} {sys.version_info.minor} {sqlite3.__file__.split('/')[2]} {words} {twice} {failure}")
