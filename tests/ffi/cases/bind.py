"""Signatures for JavaScript functions (`bind_sig`)."""

from inspect import signature

from _pyodide.jsbind import BindClass
from pyodide.ffi import to_js
from suite import js, raises, same

_echo = js("(...a) => a")


def arguments_are_checked_as_pythons():
    signatures = ["", "a, /", "a, b=7, /", "a, b=7, /, *, c", "a, b=7, /, *, c=2", "a, /, **kwargs"]
    calls = [((), {}), ((1,), {}), ((1, 2), {}), ((1, 2, 3), {}), ((1,), {"c": 3}), ((), {"x": 1}), ((1,), {"b": 2})]
    for text in signatures:
        names = {}
        exec(f"def func({text}): ...", names)
        func = names["func"]
        bound = _echo.bind_sig(func)
        for args, kwargs in calls:
            try:
                func(*args, **kwargs)
            except TypeError as error:
                with raises(TypeError) as caught:
                    bound(*args, **kwargs)
                same(str(caught.error), str(error))
            else:
                bound(*args, **kwargs)


def defaults_are_passed():
    def func(a, b=7, /, *, c=2):
        pass

    same(_echo.bind_sig(func)(1).to_py(), [1, 7, {"c": 2}])
    same(_echo.bind_sig(func)(1, 3, c=4).to_py(), [1, 3, {"c": 4}])


def keyword_parameters_must_be_marked():
    def func(a):
        pass

    with raises(RuntimeError, "POS_OR_KWD"):
        _echo.bind_sig(func)(1)


def classes_describe_objects():
    class Point(BindClass):
        x: int

        def scaled(self, by: int, /) -> int: ...

    p = js("({x: 3, scaled(by) { return this.x * by }})").bind_sig(Point)
    same(p.x, 3)
    same(p.scaled(4), 12)
    made = js("(class { constructor(x) { this.x = x } scaled(by) { return this.x * by } })").bind_class(Point).new(2)
    same(made.scaled(5), 10)


def signatures_are_shown():
    def func(a: int, /, *, b: str = "x") -> list[int]: ...

    assert signature(func).parameters.keys() == {"a", "b"}
    same(_echo.bind_sig(func)(1, b="y").to_py(), [1, {"b": "y"}])


def results_can_be_converted():
    from _pyodide.jsbind import Deep
    from typing import Annotated

    def func() -> Annotated[list, Deep]: ...

    same(js("() => [1, {a: [2]}]").bind_sig(func)(), [1, {"a": [2]}])
    assert to_js([1])[0] == 1
