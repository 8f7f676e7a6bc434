from pyodide.code import run_js
from pyodide.ffi import JsException
from workers import Response, WorkerEntrypoint

throw = run_js("(message) => { throw new TypeError(message); }")
throw_value = run_js("() => { throw new RangeError('again'); }")
call = run_js("(f) => f()")
describe = run_js("(f) => { try { f(); } catch (e) { return [e.constructor.name, e.message.includes('KeyError')]; } }")
reject = run_js("async () => { throw new Error('rejected'); }")
catch_later = run_js("async (f) => { try { await f(); } catch (e) { return e.message.includes('KeyError'); } }")
with_finally = run_js("(f, log) => { try { f(); } finally { log.append(true); } }")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        result = {}
        try:
            throw("from JavaScript")
        except JsException as error:
            result["js in python"] = [error.name, error.message]
        try:
            throw_value()
        except Exception as error:
            result["thrown value"] = type(error).__name__

        original = KeyError("original")

        def fail():
            raise original

        try:
            call(fail)
        except KeyError as error:
            result["python through js"] = error is original
        result["python in js"] = list(describe(fail))
        try:
            await reject()
        except JsException as error:
            result["rejected promise"] = error.message

        async def fail_later():
            raise original

        result["python rejection in js"] = await catch_later(fail_later)
        log = []
        try:
            with_finally(fail, log)
        except KeyError:
            result["finally ran"] = log == [True]
        return Response.json(result)
