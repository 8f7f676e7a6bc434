from datetime import UTC, datetime, timedelta

import js
from workers import BindingError, MessageBatch, Response, WorkerEntrypoint, env

#: What has arrived: queue, size of the batch, delivery, body. There is one isolate.
seen = []
spans = {}


async def kinds():
    await env.JOBS.send({"a": [1, 2.5, None, True, "ä"]})
    await env.JOBS.send("text", content_type="text")
    await env.JOBS.send(b"\x00\xff")
    await env.JOBS.send({"when": datetime(2026, 1, 2, tzinfo=UTC), "set": {1}, "raw": b"\x01"})
    await env.JOBS.send([1], {"contentType": "json"})


async def many():
    await env.JOBS.send_batch([{"body": i} for i in range(12)])


async def later():
    spans["sent"] = datetime.now(UTC)
    await env.SLOW.send("default")
    await env.SLOW.sendBatch([{"body": "own", "delay_seconds": timedelta(seconds=2)}, {"body": "none", "delaySeconds": 0}])


async def flaky():
    await env.FLAKY.send_batch([{"body": "always"}, {"body": "once"}, {"body": "raises"}, {"body": "fine"}])


async def limits():
    for call, said in [
        (lambda: env.JOBS.send("x" * (128 * 1024 + 1), content_type="text"), "too large"),
        (lambda: env.JOBS.send("x", delay_seconds=43201), "from 0 to 43200"),
        (lambda: env.JOBS.send("x", delay_seconds=-1), "from 0 to 43200"),
        (lambda: env.JOBS.send("x", content_type="xml"), "one of json, text, bytes, v8"),
        (lambda: env.JOBS.send(b"x", content_type="text"), "is a str"),
        (lambda: env.JOBS.send("x", colour="red"), "no option 'colour'"),
        (lambda: env.JOBS.send(object()), "env.JOBS.send(): a message is what JSON can express"),
        (lambda: env.JOBS.send({1, print}), "lists of these, and set is not"),
        (lambda: env.JOBS.send("x", "text"), "send() takes a dict, not str"),
        (lambda: env.JOBS.send_batch([]), "at least one"),
        (lambda: env.JOBS.send_batch([{"boddy": 1}]), '"body"'),
        (lambda: env.JOBS.send_batch([{"body": 1}] * 101), "101 > 100"),
    ]:
        try:
            await call()
        except (BindingError, TypeError, ValueError) as error:
            assert said in str(error), (said, error)
            if isinstance(error, BindingError):
                assert error.binding == "JOBS" and "env.JOBS.send" in str(error), error
        else:
            raise AssertionError(said)


def blocking():
    env.JOBS.sync.send("blocking")


async def from_javascript():
    from workers._runtime import js_env

    await js.eval("""async env => {
        await env.JOBS.send({ js: 1 });
        await env.JOBS.sendBatch([{ body: new Map([["a", new Date(0)]]), contentType: "v8" }, { body: new Uint8Array([7]), contentType: "bytes" }]);
    }""")(js_env)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.split("/")[3]
        if path == "seen":
            answer = [entry for entry in seen if entry[0] in request.url.split("/")[4:]]
            return Response.json(answer)
        if path == "clear":
            seen.clear()
            return Response("ok")
        result = globals()[path]()
        if result is not None:
            await result
        return Response("ok")

    async def queue(self, batch: MessageBatch, env, ctx):
        failed = False
        for message in batch:
            body = message.body
            assert message.timestamp <= datetime.now(UTC) and len(message.id) == 32
            shown = body if isinstance(body, (str, int, list)) else repr(body)
            if batch.queue == "slow":
                waited = (datetime.now(UTC) - spans["sent"]).total_seconds()
                assert waited >= {"none": 0, "default": 1, "own": 2}[body], waited
            seen.append([batch.queue, len(batch), message.attempts, shown])
            if batch.queue == "flaky":
                match body:
                    case "always":
                        message.retry(delay_seconds=0)
                    case "once" if message.attempts == 1:
                        message.retry({"delaySeconds": 0})
                    case "once":
                        message.ack()
                    case "fine":
                        message.ack()
                        message.retry()
                    case "raises":
                        failed = True
        if failed:
            raise ValueError("this batch fails")
