"""Holds a sample to this: it mentions every public name of `workers`, and every member of its classes. Usage: mentioned.py STUBS SAMPLE"""

import ast
import sys
from pathlib import Path

stubs = Path(sys.argv[1], "workers")
mentioned = set()
for node in ast.walk(ast.parse(Path(sys.argv[2]).read_text())):
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)) | ast.alias(name=name):
            mentioned.add(name)
        case ast.Dict(keys=keys):
            mentioned.update(key.value for key in keys if isinstance(key, ast.Constant))

#: FastAPI's, which is not there.
NOT_HERE = {"env"}
trees = {path.stem: ast.parse(path.read_text()) for path in stubs.glob("*.pyi") if path.stem != "_other_bindings"}
classes = {node.name: node for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)}


def exported(module):
    for node in trees[module].body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return {node.name for node in trees[module].body if isinstance(node, ast.ClassDef)}


def members(cls):
    for node in cls.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name


names = exported("__init__") | (exported("asgi") | exported("wsgi")) - NOT_HERE | exported("gateway") | exported("workflows")
wanted = {(name, "") for name in names}
for name, cls in classes.items():
    # What is given without being exported: the views `sync`.
    if name in names or name.endswith("Sync") and name != "Sync":
        wanted |= {(name, member) for member in members(cls) if not member.startswith("_")}
missing = sorted(f"{name}.{member}".rstrip(".") for name, member in wanted if (member or name) not in mentioned)
assert not missing, f"the sample does not mention {', '.join(missing)}"
assert len(wanted) > 300, len(wanted)
