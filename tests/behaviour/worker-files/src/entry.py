import errno
import importlib.metadata
import importlib.resources
import mmap
import os
import tempfile
from pathlib import Path

import shop
from workers import Response, WorkerEntrypoint

HERE = Path(__file__).parent
MIB = 1 << 20


def failure(work):
    try:
        work()
    except OSError as error:
        return f"{type(error).__name__} {errno.errorcode[error.errno]}: {error.strerror}"
    return "no failure"


def fill(path):
    written = 0
    try:
        with open(path, "wb", buffering=0) as file:
            while written < 256 * MIB:
                written += file.write(b"x" * MIB)
    except OSError as error:
        return written, error.errno, error.strerror
    return written, 0, ""


def mapped():
    with open(HERE / "data/prices.csv", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return bytes(view[:4]).decode()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "list":
                files = sorted(str(path.relative_to(HERE)) for path in HERE.rglob("*") if path.is_file())
                return Response("\n".join(files))
            case "read":
                beside = (HERE / "data" / "prices.csv").read_text()
                resource = importlib.resources.files(shop).joinpath("welcome.md").read_text()
                return Response.json([beside.strip(), resource.strip(), len((HERE / "model.bin").read_bytes()), mapped()])
            case "plugins":
                found = importlib.metadata.entry_points(group="shop.plugins")
                return Response.json({point.name: point.load()() for point in found})
            case "write":
                file = HERE / "data/prices.csv"
                return Response.json([
                    failure(lambda: file.write_text("")),
                    failure(lambda: (HERE / "new.txt").write_text("")),
                    failure(lambda: (HERE / "new").mkdir()),
                    failure(file.unlink),
                    failure(lambda: file.rename(HERE / "data/other.csv")),
                    file.read_text().count("\n"),
                ])
            case "full":
                written, number, text = fill("/tmp/large")
                kept = os.path.getsize("/tmp/large") == written
                small = failure(lambda: Path("/tmp/small").write_text("x" * MIB))
                cut = failure(lambda: os.truncate("/tmp/large", 512 * MIB))
                os.remove("/tmp/large")
                with tempfile.TemporaryFile() as file:
                    # Removed already, and there all the same.
                    again = file.write(b"x" * 20 * MIB)
                    file.flush()
                    beside = fill("/tmp/large")[0] < 20 * MIB
                os.remove("/tmp/large")
                return Response.json([number == errno.ENOSPC, text, 16 * MIB <= written <= 64 * MIB, kept, small, cut, again, beside])
            case "pieces":
                # Larger than what such files are cut into.
                path = Path("/tmp/pieces")
                with open(path, "w+b") as file:
                    file.write(b"a" * 100)
                    file.seek(3 * MIB - 2)
                    file.write(b"hello")
                    file.seek(3 * MIB - 3)
                    across = file.read(10)
                    file.truncate(3 * MIB)
                    file.truncate(4 * MIB)
                    file.seek(3 * MIB - 3)
                    cut = file.read(6)
                    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                        seen = [len(view), view[99:101].decode(), view[3 * MIB - 2 : 3 * MIB].decode()]
                size = path.stat().st_size
                path.unlink()
                return Response.json([repr(across), repr(cut), seen, size])
            case "after":
                return Response(str(fill("/tmp/other")[0] >= 16 * MIB))
        return Response("ready")
