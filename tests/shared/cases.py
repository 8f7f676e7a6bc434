"""For Workers of tests that consist of cases: functions that fail by raising, each asked for by its name."""


async def raises(kind, text, awaitable):
    """Awaits an exception that says a text. Gives it."""
    try:
        await awaitable
    except kind as error:
        assert text in str(error), f"{error!r} does not say {text!r}"
        return error
    raise AssertionError(f"no {kind.__name__} that says {text!r}")


def named(*functions):
    """The cases by their names."""
    return {function.__name__: function for function in functions}
