from pathlib import Path
from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint

DRIVER = Path(__file__).with_name("driver.html").read_text()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        """A page that uses the explorer as a person would, and reports what it has seen."""
        path = urlsplit(request.url).path
        if path == "/report":
            print("report:", await request.text())
        if path != "/":
            return Response("")
        env = self.env
        await env.VISITS.put("count", "42", metadata={"by": "a & b"})
        await env.VISITS.put("user:1", '{"name": "Ada"}')
        await env.VISITS.put("user:2", '{"name": "Grace"}', expiration_ttl=3600)
        await env.PICTURES.put("cats/1.png", b"\x89PNG" + bytes(300_000), http_metadata={"contentType": "image/png"})
        await env.PICTURES.put("read me.txt", "hello", http_metadata={"contentType": "text/plain"})
        await env.DB.exec(
            "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, weight REAL, data BLOB);"
            "INSERT OR REPLACE INTO notes VALUES (1, 'milk', 1.5, x'00ff'), (9007199254740993, '<b>bold</b>', NULL, NULL)"
        )
        await env.JOBS.send({"of": "the Worker", "n": 2**60})
        env.CLICKS.write_data_point(indexes=["<i>"], blobs=["home"], doubles=[2.5])
        return Response(DRIVER, headers={"content-type": "text/html; charset=utf-8"})
