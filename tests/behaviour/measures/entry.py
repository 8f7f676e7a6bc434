import re

import js
from workers import BindingError, Response, WorkerEntrypoint, env


async def limits():
    assert [(await env.LIMIT.limit({"key": "a"})).success for _ in range(4)] == [True, True, True, False]
    assert (await env.LIMIT.limit(key="b"))["success"]
    # The same counts, another limit.
    assert (await env.SAME.limit(key="a"))["success"] and not env.SAME.sync.limit(key="a")["success"]
    assert (await env.OTHER.limit(key="a"))["success"]
    for call in (lambda: env.LIMIT.limit(), lambda: env.LIMIT.limit(key=1), lambda: env.LIMIT.limit(kee="a")):
        try:
            await call()
        except TypeError:
            continue
        raise AssertionError("it was counted")


async def again():
    assert not (await env.OTHER.limit(key="a"))["success"]


async def points():
    env.DATA.write_data_point(blobs=["a", b"\x01", None], doubles=[1.5, 2], indexes=["i"])
    env.DATA.writeDataPoint({"blobs": ["b"], "doubles": [10]})
    env.DATA.writeDataPoint()
    for point, said in [
        ({"doubles": [0] * 21}, "at most 20 doubles"),
        ({"blobs": ["x" * 16385]}, "too large together"),
        ({"indexes": ["a", "b"]}, "at most one index"),
        ({"doubles": ["a"]}, "is a number"),
        ({"doubles": [float("nan")]}, "finite"),
        ({"colour": ["a"]}, "no option 'colour'"),
        ({"blobs": "abc"}, "The blobs of a data point are a list, not str"),
        ("abc", "write_data_point() takes a dict, not str"),
    ]:
        try:
            env.DATA.write_data_point(point)
        except (BindingError, TypeError, ValueError) as error:
            assert said in str(error), (said, error)
        else:
            raise AssertionError(said)


async def version():
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", env.VERSION.id), env.VERSION.id
    assert env.VERSION.tag == "" and re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", env.VERSION.timestamp)


async def from_javascript():
    from workers._runtime import js_env

    await js.eval("""async env => {
        const tries = [];
        for (let i = 0; i < 4; i++) tries.push((await env.LIMIT.limit({ key: "js" })).success);
        if (tries.join() !== "true,true,true,false") throw new Error(tries.join());
        env.DATA.writeDataPoint({ blobs: ["js"], doubles: [1], indexes: ["j"] });
        if (!env.VERSION.id) throw new Error("no version");
    }""")(js_env)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        await globals()[request.url.split("/")[3]]()
        return Response("ok")
