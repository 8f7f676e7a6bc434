"""The name by which `workers.asgi` went first."""

import sys

import workers.asgi

sys.modules[__name__] = workers.asgi
