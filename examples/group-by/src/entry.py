"""Groups a table: POST /?by=COLUMN with a CSV file as the body gives the sums of its numbers, as CSV."""

import io
from urllib.parse import parse_qs, urlsplit

import pandas as pd
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.method != "POST":
            return Response("send a CSV file: curl --data-binary @FILE.csv 'URL?by=COLUMN'\n", status=405)
        column = parse_qs(urlsplit(request.url).query).get("by", [""])[0]
        table = pd.read_csv(io.StringIO(await request.text()))
        if column not in table.columns:
            return Response(f"no such column: {column!r}; there are {list(table.columns)}\n", status=400)
        sums = table.groupby(column).sum(numeric_only=True)
        return Response(sums.to_csv(lineterminator="\n"), headers={"content-type": "text/csv"})
