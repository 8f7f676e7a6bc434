"""Compatibility flags as `workers-runtime-sdk` asks for them. Those that change what it does are on, whatever the date."""

python_request_headers_preserve_commas = True
python_workflows_implicit_dependencies = True


def __getattr__(name: str) -> bool:
    if name.startswith("__"):
        raise AttributeError(name)
    return False
