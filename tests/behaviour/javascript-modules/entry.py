from workers import Response, WorkerEntrypoint, import_from_javascript

counter = import_from_javascript("lib/counter.js")
counter.next()


def _failure(name):
    try:
        import_from_javascript(name)
    except ImportError as error:
        return str(error)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/later"):
            counter.later(print)
            return Response("now")
        if request.url.endswith("/failures"):
            return Response("\n".join(map(str, map(_failure, ["lib/none.js", "lib/broken.js", "lib/throws.js", "node:nothing"]))))
        again = import_from_javascript("./lib/counter.js")
        workers = import_from_javascript("cloudflare:workers")
        thing = counter.default.new(5)
        return Response.json([counter.next(), again.next(), counter.variable(), counter.names().to_py(), thing.x, counter.url, workers.env.NAME])
