import logging
import sys

from js import console
from workers import Response, WorkerEntrypoint

logger = logging.getLogger("worker")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        print("printed äöü 🐍")
        print("line one\nline two")
        print("printed to stderr", file=sys.stderr)
        logger.debug("hidden below the level")
        logger.warning("a warning")
        logger.error("an error")
        console.log("from console.log", 1, "two")
        console.error("from console.error")
        print("without a newline", end="", flush=True)
        breakpoint()
        return Response("logged")
