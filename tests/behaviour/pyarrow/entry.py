"""pyarrow, whose library is the largest native code there is: 40 MB."""

import io

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet
from workers import Response, WorkerEntrypoint


def work():
    table = pa.table({"k": ["a", "b", "a"], "v": [1, 2, 3]})
    assert table.group_by("k").aggregate([("v", "sum")]).to_pydict() == {"k": ["a", "b"], "v_sum": [4, 2]}
    out = io.BytesIO()
    parquet.write_table(table, out)
    assert parquet.read_table(io.BytesIO(out.getvalue())).equals(table)
    assert pc.max(csv.read_csv(io.BytesIO(b"x,y\n1,2\n5,6\n"), csv.ReadOptions(use_threads=False))["x"]).as_py() == 5
    assert table.to_pandas().equals(pd.DataFrame({"k": ["a", "b", "a"], "v": [1, 2, 3]}))


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        work()
        return Response("fine")
