"""`pyodide.http`, without a network: responses come from JavaScript, or from a fetcher."""

import asyncio
from pathlib import Path

from pyodide.http import AbortError, FetchResponse, open_url, pyfetch
from suite import js, raises, same


def _response(body, options=""):
    return FetchResponse("http://x/there.tar", js(f"(b) => new Response(b, {{{options}}})")(body))


def this_is_pyodide():
    from pyodide.ffi import IN_PYODIDE

    assert IN_PYODIDE


def what_responses_say():
    response = _response("body", "status: 201, statusText: 'Made', headers: {'X-A': 'b', 'content-type': 'text/x'}")
    same([response.status, response.status_text, response.ok, response.redirected], [201, "Made", True, False])
    same([response.headers["x-a"], response.headers["content-type"]], ["b", "text/x"])
    same([response.body_used, response.url], [False, ""])
    assert isinstance(response.type, str)


async def bodies_are_used_once():
    response = _response("body")
    same(await response.string(), "body")
    assert response.body_used


async def bodies_become_files():
    Path("/tmp/http").mkdir(exist_ok=True)
    path = Path("/tmp/http/created")
    path.unlink(missing_ok=True)
    await _response("created")._create_file(str(path))
    same(path.read_text(), "created")
    with path.open("wb") as file:
        await _response("into")._into_file(file)
    same(path.read_bytes(), b"into")


async def bodies_are_unpacked():
    import io
    import tarfile

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        info = tarfile.TarInfo("inner.txt")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"tar!"))
    response = _response(js("(p) => p.toJs()")(data.getvalue()))
    await response.unpack_archive(extract_dir="/tmp/http", format="tar")
    same(Path("/tmp/http/inner.txt").read_text(), "tar!")


async def requests_go_to_a_fetcher():
    fetcher = js("async (request, options) => new Response(`${request.method} ${request.url} ${await request.text()}`)")
    response = await pyfetch("http://host/path", method="POST", body="text", fetcher=fetcher)
    same(await response.string(), "POST http://host/path text")
    response = await pyfetch(js("new Request('http://host/made')"), fetcher=fetcher)
    assert (await response.string()).startswith("GET http://host/made")


async def requests_are_aborted():
    waiting = js("(request, {signal}) => new Promise((_, no) => signal.addEventListener('abort', () => no(signal.reason)))")
    controller = js("new AbortController()")
    task = asyncio.ensure_future(pyfetch("http://host/", fetcher=waiting, signal=controller.signal))
    await asyncio.sleep(0)
    controller.abort()
    with raises(AbortError):
        await task
    task = asyncio.ensure_future(pyfetch("http://host/", fetcher=waiting))
    await asyncio.sleep(0)
    task.cancel()
    with raises(asyncio.CancelledError):
        await task


async def responses_are_aborted():
    answering = js("async (request, {signal}) => { const r = new Response('late'); globalThis.signalOfCase = signal; return r }")
    response = await pyfetch("http://host/", fetcher=answering)
    response.abort()
    assert js("signalOfCase.aborted")
    js("delete globalThis.signalOfCase; 0")
    with raises(ValueError, "abort_controller"):
        _response("x").abort()


def what_only_a_network_shows():
    """`tests/behaviour/fetch` calls them."""
    from pyodide.http import pyxhr

    assert callable(open_url)
    for name in ("get", "head", "post", "put", "patch", "delete", "options"):
        assert callable(getattr(pyxhr, name))
    assert issubclass(pyxhr.XHRNetworkError, pyxhr.XHRError)
    assert pyxhr.XHRResponse and pyxhr.XHRRequestParams
