from js import Headers, Response


async def on_fetch(request, env, ctx):
    if request.method == "GET":
        return Response.new("Hello, World!")
    text = await request.text()
    headers = Headers.new({"content-type": "text/html"}.items())
    headers.set("x-name", request.headers.get("x-name"))
    return Response.new(f"{request.method} {request.url} {text}", status=201, headers=headers)
