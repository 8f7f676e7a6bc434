import time

from workers import Response, WorkerEntrypoint

handled = 0


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        global handled
        handled += 1
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            pass
        return Response(str(handled))
