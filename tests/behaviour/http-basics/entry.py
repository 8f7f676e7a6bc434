from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlsplit(request.url)
        match url.path.split("/")[1:]:
            case ["status", "204"]:
                return Response(None, status=204)
            case ["status", status]:
                return Response(f"status {status}", status=int(status), headers={"X-Served": "yes"})
            case ["redirect"]:
                return Response.redirect("http://example.com/there")
            case ["json"]:
                return Response.json({"a": [1, None, "ä"]})
            case ["bytes"]:
                return Response(bytes(range(256)))
            case ["json-body"]:
                try:
                    body = await request.json()
                except Exception:
                    return Response("not JSON", status=400)
                return Response(str(body["n"] + 1))
        return Response.json(
            {
                "method": str(request.method),
                "path": url.path,
                "query": url.query,
                "one": request.headers["x-one"],
            }
        )
