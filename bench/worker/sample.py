"""Takes one sample of one case. The clock is read here, inside, so that the way in and out is not measured."""

import importlib
import inspect
import json
from time import perf_counter

# Long beside the clock's resolution, short beside a time slice of the machine's other work.
SECONDS = 0.1


async def answer(question):
    """Answers `BENCH` with the names of its cases, and `BENCH/CASE` with a sample, as JSON."""
    bench, _, case = question.partition("/")
    cases = importlib.import_module(bench).CASES
    if not case:
        return json.dumps(list(cases))
    return json.dumps({"ns": await sample(cases[case])})


async def sample(run):
    """Nanoseconds per operation, where `run(n)` does n operations."""
    n = 1
    while True:
        start = perf_counter()
        result = run(n)
        if inspect.isawaitable(result):
            await result
        took = perf_counter() - start
        if took >= SECONDS:
            return took / n * 1e9
        # Towards the wanted time, at most a hundredfold at once: the first runs are too short to extrapolate from.
        n = min(n * 100, int(n * SECONDS * 1.2 / max(took, 1e-6)) + 1)
