"""The name by which `workers.wsgi` went first."""

import sys

import workers.wsgi

sys.modules[__name__] = workers.wsgi
