from pathlib import Path

import sibling
from package import NAME
from package.nested import NESTED
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    def fetch(self, request):
        data = Path(__file__).parent.joinpath("package", "data.txt").read_text()
        return Response(", ".join([sibling.NAME, NAME, NESTED, data]))
