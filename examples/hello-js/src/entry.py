from js import JSON, Response


async def on_fetch(request, env, ctx):
    numbers = JSON.parse("[1, 2, 3]")
    return Response.new(f"Hello from JavaScript's Response! The sum is {sum(numbers)}.")
