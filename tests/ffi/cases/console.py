"""`pyodide.console`: code that is typed line by line."""

from pyodide.console import BANNER, Console, ConsoleFuture, PyodideConsole, repr_shorten
from suite import same


async def lines_are_evaluated():
    console = Console({"a": 5})
    future = console.push("a + 1")
    assert isinstance(future, ConsoleFuture)
    same([future.syntax_check, await future], ["complete", 6])
    same(console.push("def f():").syntax_check, "incomplete")
    same(console.push("  return a * 2").syntax_check, "incomplete")
    await console.push("")
    same(await console.push("f()"), 10)


async def lines_await():
    console = PyodideConsole()
    await console.push("import asyncio")
    same(await console.push("await asyncio.sleep(0, 'slept')"), "slept")


async def errors_are_shown():
    console = Console()
    wrong = console.push("1 +* 2")
    same(wrong.syntax_check, "syntax-error")
    assert "SyntaxError" in wrong.formatted_error
    try:
        await wrong
    except SyntaxError:
        pass
    failing = console.push("{}['missing']")
    try:
        await failing
        raise AssertionError("not raised")
    except KeyError:
        pass
    assert "KeyError: 'missing'" in failing.formatted_error


async def output_is_caught():
    lines = []
    console = Console(stdout_callback=lines.append, stderr_callback=lines.append)
    await console.push("import sys")
    await console.push("print('out'); print('err', file=sys.stderr)")
    same("".join(lines), "out\nerr\n")


def names_are_completed():
    console = Console({"alpha": 1, "alphabet": 2})
    names, start = console.complete("alpha")
    same([sorted(names), start], [["alpha", "alphabet"], 0])
    assert any(name.startswith("'x'.upper") for name in console.complete("'x'.up")[0]) or console.complete("alpha.re")[0]


def long_representations():
    same(repr_shorten(list(range(5))), "[0, 1, 2, 3, 4]")
    short = repr_shorten("x" * 5000, limit=100)
    assert len(short) < 200, len(short)
    assert "Python" in BANNER
