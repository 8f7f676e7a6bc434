import sqlite3
import ssl

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        import lzma

        with sqlite3.connect(":memory:") as database:
            answer = database.execute("SELECT 6 * 7").fetchone()[0]
        return Response(f"{answer} {ssl.OPENSSL_VERSION.split()[0]} {lzma.decompress(lzma.compress(b'text'))}")
