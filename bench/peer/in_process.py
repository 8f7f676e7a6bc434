"""Native CPython: for each line of input, how long the application takes when it is called directly, as JSON."""

import asyncio
import json
import sys

from app import app
from call import measure


async def main():
    for _ in sys.stdin:
        print(json.dumps({"ns": await measure(app)}), flush=True)


asyncio.run(main())
