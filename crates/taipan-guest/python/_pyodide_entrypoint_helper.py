"""What `workers-runtime-sdk` asks of the runtime; see `_taipan_sdk`."""

import sys

import _taipan_sdk

_taipan_sdk.entrypoint_helper(sys.modules[__name__])
