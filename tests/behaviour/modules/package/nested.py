from . import NAME as _PACKAGE

NESTED = "nested" if _PACKAGE == "package" else _PACKAGE
