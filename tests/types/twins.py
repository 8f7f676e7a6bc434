"""Holds the stubs in a folder to this: what has to be awaited of a class with `sync` can be called there without. Usage: twins.py FOLDER"""

import ast
import sys
from pathlib import Path

found = 0
for path in Path(sys.argv[1], "workers").glob("_*.pyi"):
    tree = ast.parse(path.read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    def functions(name):
        """What a class has, that of its bases included."""
        cls = classes.get(name)
        if cls is None:
            return {}
        has = {}
        for base in cls.bases:
            has |= functions(getattr(base, "id", ""))
        for node in cls.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                has.setdefault(node.name, []).append(node)
        return has

    for name in classes:
        own = functions(name)
        if "sync" not in own:
            continue
        view = functions(own["sync"][0].returns.id)
        for method, forms in own.items():
            if method.startswith("_"):
                continue
            if ast.unparse(forms[0].returns or ast.Constant(None)).startswith("AsyncIterator"):
                assert ast.unparse(view[method][0].returns).startswith("Iterator"), (name, method)
            if not any(isinstance(form, ast.AsyncFunctionDef) for form in forms):
                continue
            found += 1
            twins = view.get(method, [])
            assert len(twins) == len(forms), f"{path.name}: {name}.sync.{method} is missing"
            for form, twin in zip(forms, twins, strict=True):
                assert isinstance(twin, ast.FunctionDef), (name, method)
                assert ast.dump(form.args) == ast.dump(twin.args), (name, method)
                assert ast.dump(form.returns) == ast.dump(twin.returns), (name, method)
print(found)
assert found > 25
