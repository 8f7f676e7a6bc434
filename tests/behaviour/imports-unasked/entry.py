import importlib
import importlib._bootstrap_external as machinery
import pkgutil
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint


def asked(work):
    """Which files and folders the import system asks about."""
    paths, original = [], machinery._path_stat

    def noting(path):
        paths.append(path)
        return original(path)

    machinery._path_stat = noting
    try:
        work()
    finally:
        machinery._path_stat = original
    return paths


def missing():
    for name in ("nowhere", "own.nowhere", "idna.nowhere", "os.nowhere"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            assert error.name == name, error
        else:
            raise AssertionError(name)


def case_missing():
    # Each folder is read once.
    asked(missing)
    return asked(missing)


def case_again():
    # Read once more after they were invalidated, and never again.
    asked(missing)
    importlib.invalidate_caches()
    return [len(asked(missing)) > 0, asked(missing)]


def case_writable():
    folder = Path("/tmp/modules")
    folder.mkdir(exist_ok=True)
    asked(missing)
    sys.path.append(str(folder))
    # Python's own finder looks at what can change, and finds what comes.
    try:
        looks = set(asked(missing)) == {str(folder)}
        (folder / "written.py").write_text("X = 5")
        # Within a millisecond of the look before, the folder is as old as it was then.
        importlib.invalidate_caches()
        written = importlib.import_module("written").X
        (folder / "written.py").unlink()
        del sys.modules["written"]
        importlib.invalidate_caches()
        try:
            importlib.import_module("written")
        except ModuleNotFoundError:
            return [looks, written, "gone"]
    finally:
        sys.path.remove(str(folder))


def case_zip():
    with zipfile.ZipFile("/tmp/modules.zip", "w") as archive:
        archive.writestr("zipped.py", "X = 6")
    sys.path.append("/tmp/modules.zip")
    try:
        return importlib.import_module("zipped").X
    finally:
        sys.path.remove("/tmp/modules.zip")


def case_late():
    import own.inner.deep
    import spaces.part

    # Of no folder, as it has no __init__.py.
    return [own.inner.deep.X, spaces.part.X, spaces.__spec__.loader is not None, type(own.__loader__).__mro__[1].__name__]


def case_listed():
    import own

    return [module.name for module in pkgutil.walk_packages(own.__path__, "own.")]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response.json(globals()[f"case_{urlsplit(request.url).path[1:]}"]())
