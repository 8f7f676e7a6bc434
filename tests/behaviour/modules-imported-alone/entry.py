import sqlite3
import ssl

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        # It is nowhere to be had here, and keeps none of the others away.
        try:
            import lzma
        except ModuleNotFoundError as error:
            lzma = error.name
        with sqlite3.connect(":memory:") as database:
            answer = database.execute("SELECT 6 * 7").fetchone()[0]
        return Response(f"{answer} {ssl.OPENSSL_VERSION.split()[0]} {lzma}")
