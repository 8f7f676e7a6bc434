"""What `workers.asgi` and `workers.wsgi` have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseOptions:
    """How an application's responses are sent."""

    #: Bodies go to the client as the application encoded them, with either.
    encode_body: Literal["automatic", "manual"] = "automatic"
