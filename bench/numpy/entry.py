"""numpy at work: / adds, /matmul measures a product of matrices."""

import numpy as np
from matmul import best
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/matmul"):
            return Response(str(best()))
        return Response(str(np.arange(5).sum()))
