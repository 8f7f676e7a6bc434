"""Makes stubs of the Python in the sandbox: what an editor has to know of modules that it cannot import.

They are made of the modules' own source, so that they are never of another version. Runs in the sandbox; the argument says what
`env` has, as JSON, and the result is printed: texts by the names of files, as JSON.
"""

import ast
import copy
import importlib.util
import json
import sys
from pathlib import Path

#: What a Worker imports itself. What these import follows.
ROOTS = ("workers", "pyodide.code", "pyodide.ffi", "pyodide.ffi.wrappers", "pyodide.http", "pyodide.webloop")
OWN = ("workers", "pyodide", "_pyodide")

#: Stubs are not for those who check the Worker to check.
HEAD = (
    "# Written by `taipan types`: do not edit.\n"
    # Not `type: ignore`, for which mypy takes the whole file to be empty.
    "# mypy: ignore-errors\n"
    "# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false\n"
    "# pyright: reportUndefinedVariable=false, reportUnsupportedDunderAll=false, reportMissingImports=false\n"
    "# ruff: noqa\n"
)

#: Classes of bindings by the keys that define them, and what of `workers` has them if nothing there does.
BINDINGS = {
    "ai": "Ai",
    "analytics_engine_datasets": "AnalyticsEngineDataset",
    "assets": "Fetcher",
    "browser": "Fetcher",
    "d1_databases": "D1Database",
    "dispatch_namespaces": "DispatchNamespace",
    "durable_objects.bindings": "DurableObjectNamespace",
    "hyperdrive": "Hyperdrive",
    "images": "Images",
    "kv_namespaces": "KVNamespace",
    "mtls_certificates": "Fetcher",
    "pipelines": "Pipeline",
    "queues.producers": "Queue",
    "r2_buckets": "R2Bucket",
    "ratelimits": "RateLimit",
    "secrets_store_secrets": "SecretsStoreSecret",
    "send_email": "SendEmail",
    "services": "Service",
    "vectorize": "Vectorize",
    "version_metadata": "VersionMetadata",
    "vpc_services": "Fetcher",
    "worker_loaders": "WorkerLoader",
    "workflows": "Workflow",
}

ELLIPSIS = ast.Expr(ast.Constant(...))
ANY = ast.Name("Any")


#: Types whose names methods have, too: within such a class, the name means the method.
TYPES = {"bytes", "dict", "list", "range", "set", "str", "type"}


class _Builtins(ast.NodeTransformer):
    """In annotations, says which one is meant."""

    def __init__(self, names):
        self.names = names

    def visit_Name(self, node):
        return ast.Attribute(ast.Name("builtins"), node.id) if node.id in self.names else node

    def visit_Assign(self, node):
        # Another name for a method.
        return node

    def visit_AnnAssign(self, node):
        node.annotation = self.visit(node.annotation)
        return node


class Stub(ast.NodeTransformer):
    """Leaves of a module what can be seen from outside."""

    def __init__(self, tree):
        self.is_dataclass = self.is_enum = False
        #: What each class defines: functions by their names, several for one with overloads.
        self.classes = {}
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                functions = self.classes.setdefault(node.name, {})
                for one in node.body:
                    if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
                        functions.setdefault(one.name, []).append(one)
                    elif isinstance(one, ast.Assign) and isinstance(one.value, ast.Name) and one.value.id in functions:
                        # Another name for the same.
                        functions.update((target.id, functions[one.value.id]) for target in one.targets)

    def body(self, statements, is_class=False):
        kept = []
        for at, statement in enumerate(statements):
            if at == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                kept.append(statement)
                continue
            kept.extend(self.statement(statement, is_class))
        return kept

    def statement(self, node, is_class):
        match node:
            case ast.AsyncFunctionDef() if _yields(node):
                # Called, it gives what can be iterated over: nothing is awaited.
                return [self.function(_not_async(node))]
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return [self.function(node)]
            case ast.ClassDef():
                return [self.class_(node)]
            case ast.Import() | ast.ImportFrom():
                return [] if getattr(node, "module", "") == "__future__" else [node]
            case ast.AnnAssign(value=ast.expr()) if is_class and self.is_dataclass:
                # That there is a value says that none need be given.
                node.value = ELLIPSIS.value
                return [node]
            case ast.AnnAssign(value=value) if is_class or not _is_alias(value):
                node.value = None if not isinstance(node.annotation, ast.Name) or node.annotation.id != "TypeAlias" else value
                return [node]
            case ast.AnnAssign() | ast.TypeAlias():
                return [node]
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Name(id="blocking" | "prompt"), args=[ast.Attribute(value=ast.Name(id=owner), attr=method)]),
            ):
                return self.twins(name, self.classes[owner][method])
            case ast.Assign(value=ast.Constant()) if self.is_enum:
                # The values of an enumeration are of its own type.
                return [node]
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if name == "__slots__":
                    return []
                if name == "__all__" or _is_alias(value) or _makes_type(value):
                    return [node]
                return [ast.AnnAssign(ast.Name(name), _type_of(value), None, 1)]
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return self.body(node.body, is_class)
            case ast.If() if is_class:
                return self.body(node.body, is_class)
            case ast.Try() if not is_class:
                return [one for one in node.body if isinstance(one, (ast.Import, ast.ImportFrom))]
        return []

    def function(self, node):
        for arguments in (node.args.defaults, node.args.kw_defaults):
            arguments[:] = [a if a is None or isinstance(a, ast.Constant) else ast.Constant(...) for a in arguments]
        if node.returns is None and node.name in ("__init__", "__init_subclass__"):
            node.returns = ast.Constant(None)
        is_overload = any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)
        text = ast.get_docstring(node, clean=False)
        node.body = [ast.Expr(ast.Constant(text)), ELLIPSIS] if text and not is_overload else [ELLIPSIS]
        return node

    def twins(self, name, functions):
        """What is called as these are, and does not have to be awaited."""
        made = [self.function(_not_async(function)) for function in copy.deepcopy(functions)]
        for function in made:
            function.name = name
        return made

    def class_(self, node):
        known = {s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)}
        known |= {s.name for s in node.body if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef))}
        attributes = [a for a in _attributes(node) if a.target.id not in known]
        outer = self.is_dataclass, self.is_enum
        self.is_dataclass = any("dataclass" in ast.unparse(d) for d in node.decorator_list)
        self.is_enum = any("Enum" in ast.unparse(base) for base in node.bases)
        node.body = self.body(node.body, True)
        self.is_dataclass, self.is_enum = outer
        at = 1 if node.body and isinstance(node.body[0], ast.Expr) else 0
        node.body[at:at] = attributes
        if node.name == "JsProxy":
            # Whatever a JavaScript object has.
            node.body += ast.parse("def __getattr__(self, name: str) -> Any: ...\ndef __call__(self, *a: Any, **k: Any) -> Any: ...").body
        node.body = node.body or [ELLIPSIS]
        shadowed = (known | {a.target.id for a in attributes}) & TYPES
        if shadowed:
            _Builtins(shadowed).visit(node)
        return node


def _not_async(function):
    return ast.FunctionDef(**{field: getattr(function, field) for field in function._fields})


def _yields(function):
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(function))


def _attributes(node):
    """What `__init__` gives `self`, as far as types are written down there."""
    found = {}
    for function in node.body:
        if not isinstance(function, ast.FunctionDef) or function.name != "__init__":
            continue
        arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
        types = {a.arg: a.annotation for a in arguments if a.annotation}
        for statement in ast.walk(function):
            match statement:
                case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name), annotation=annotation):
                    found.setdefault(name, annotation)
                case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value):
                    type_ = types.get(value.id) if isinstance(value, ast.Name) else _type_of(value)
                    found.setdefault(name, type_ or ANY)
    return [ast.AnnAssign(ast.Name(name), annotation, None, 1) for name, annotation in found.items()]


def _is_alias(value):
    """Whether a value may be one that stands for a type or a function."""
    match value:
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return True
        case ast.BinOp(left=left, right=right, op=ast.BitOr()):
            return all(_is_alias(side) or isinstance(side, ast.Constant) and side.value is None for side in (left, right))
    return False


def _makes_type(value):
    names = ("TypeVar", "ParamSpec", "TypeVarTuple", "NewType", "NamedTuple", "namedtuple")
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in names


def _type_of(value):
    match value:
        case ast.Constant(value=bool() | int() | float() | str() | bytes()):
            return ast.Name(type(value.value).__name__)
        case ast.Call(func=ast.Name(id=name)) if name.lstrip("_")[:1].isupper() and name != "ContextVar":
            return ast.Name(name)
    return ANY


def _imported(tree, module, is_package):
    """Modules of ours that a module imports."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")
            base = base[: len(base) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def _source(module):
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.loader is None or not hasattr(spec.loader, "get_source"):
        return None
    text = spec.loader.get_source(module)
    return None if text is None else (text, spec.submodule_search_locations is not None)


def _modules():
    """Stubs of all modules, as trees by their names, and whether they are packages."""
    found = {}
    waiting = list(ROOTS)
    # Those that nobody imports from inside, `workers.asgi` for one.
    folder = Path(importlib.util.find_spec("workers").origin).parent
    waiting += [f"workers.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    while waiting:
        module = waiting.pop()
        if module in found or module.split(".")[0] not in OWN:
            continue
        source = _source(module)
        if source is None:
            continue
        tree = ast.parse(source[0])
        tree.body = Stub(tree).body(tree.body)
        found[module] = (tree, source[1])
        waiting += _imported(tree, module, source[1])
        if "." in module:
            waiting.append(module.rpartition(".")[0])
    return found


def _defines(tree, name):
    return any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body)


def _type_of_value(value):
    match value:
        case None | bool() | int() | float() | str():
            return "None" if value is None else type(value).__name__
        case list():
            types = sorted({_type_of_value(item) for item in value})
            return f"list[{' | '.join(types) or 'Any'}]"
    return "JsDict"


def _env(modules, names, other):
    """Replaces what the class `Env` says of names by those that there are."""
    tree, _ = modules["workers._env"]
    env = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Env")
    hidden = ("__getattr__", "__setattr__", "_values", "_withheld")
    env.body = [
        node
        for node in env.body
        if getattr(node, "name", None) not in hidden and getattr(getattr(node, "target", None), "id", None) not in hidden
    ]
    imports = {}
    for name in names:
        if "key" not in name:
            type_ = _type_of_value(name["value"])
        else:
            type_ = BINDINGS.get(name["key"], "Any")
            places = [m for m, (tree, _) in modules.items() if m.startswith("workers.") and _defines(tree, type_)]
            if places:
                imports[type_] = places[0]
            elif type_ != "Any" and f"class {type_}" in other:
                imports[type_] = "workers._other_bindings"
            else:
                type_ = "Any"
        if name["name"].isidentifier():
            env.body += ast.parse(f"{name['name']}: {type_}").body
    lines = [f"from {module} import {name}" for name, module in sorted(imports.items())]
    tree.body[1:1] = ast.parse("\n".join(["from typing import Any", *lines])).body


def main():
    question = json.loads(sys.argv[1])
    modules = _modules()
    _env(modules, question["names"], question["other"])
    files = {"workers/_other_bindings.pyi": HEAD + question["other"]}
    for module, (tree, is_package) in modules.items():
        path = module.replace(".", "/") + ("/__init__" if is_package else "")
        text = ast.unparse(ast.fix_missing_locations(tree))
        if "builtins." in text and "import builtins" not in text:
            text = f"import builtins\n{text}"
        if "Any" in text and "import Any" not in text and ", Any" not in text:
            text = f"from typing import Any\n{text}"
        files[f"{path}.pyi"] = HEAD + text + "\n"
    import js

    known = set(question["js_names"])
    globals_ = sorted(name for name in dir(js) if name.isidentifier() and not name.startswith("_") and name not in known)
    rest = "".join(f"{name}: Any\n" for name in globals_)
    files["js/__init__.pyi"] = HEAD + question["js"] + "\n# What else there is.\n" + rest
    print(json.dumps(files))


main()
