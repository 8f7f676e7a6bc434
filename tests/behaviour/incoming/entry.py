import json

from js import JSON
from js import Request as JsRequest
from js import eval as js_eval
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "read":
                return Response(f"{request.method} {await request.text()}")
            case "unread":
                return Response("not wanted", status=403)
            case "later":
                return Response(later(request))
            case "pulled":
                return pulled(request.js_object)
            case "pulled-by-python":
                return Response(pulled(request.js_object).body)
            case "stream":
                return Response(pieces())
            case "range":
                return Response("0123456789", headers={"x-range": request.headers.get("range") or "none"})
            case "part":
                headers = {"content-range": "bytes 2-4/10", "accept-ranges": "bytes"}
                return Response("234", status=206, headers=headers)
            case "cf":
                own = dict(request.cf)
                copy = JSON.stringify(JsRequest.new("http://a/", request.js_object).cf)
                shown = "colo country city timezone asn clientAcceptEncoding httpProtocol tlsVersion tlsClientAuth".split()
                return Response.json({**{name: own[name] for name in shown}, "same": json.loads(copy) == own})


# Reads the request when somebody reads the response.
pulled = js_eval("""
request => new Response(new ReadableStream({
  async pull(c) {
    c.enqueue(new TextEncoder().encode(`<${await request.text()}>`));
    c.close();
  },
}, { highWaterMark: 0 }))
""")


async def later(request):
    yield f"<{await request.text()}>"


def pieces():
    yield "one "
    yield "two"
