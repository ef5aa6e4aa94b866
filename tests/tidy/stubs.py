"""Compare a compiled module with the .pyi beside it: the same public names, the same public members of each class."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ENUM_MACHINERY = {"name", "value"}


def stub_names(text: str) -> dict[str, set[str]]:
    """Public top-level names of a stub, each with the public members that it declares (empty unless a class)."""
    names: dict[str, set[str]] = {}
    for node in ast.parse(text).body:
        members = {name for part in node.body for name in _bound(part)} if isinstance(node, ast.ClassDef) else set()
        for name in _bound(node):
            if _is_public(name):
                names[name] = {member for member in members if _is_public(member)}
    return names


def module_names(module: ModuleType) -> dict[str, set[str]]:
    """The same of the compiled module; what it imported from elsewhere does not count."""
    names: dict[str, set[str]] = {}
    for name, value in vars(module).items():
        if not _is_public(name) or inspect.ismodule(value):
            continue
        if getattr(value, "__module__", module.__name__) not in (module.__name__, None):
            continue
        own = {member for member in vars(value) if _is_public(member)} if inspect.isclass(value) else set()
        names[name] = own
    return names


def differences(module: ModuleType, stub: str, path: str) -> Iterator[str]:
    declared, real = stub_names(stub), module_names(module)
    for name in sorted(declared.keys() - real.keys()):
        if not hasattr(module, name):
            yield f"{path}: declares {name}, which the module does not have"
    for name in sorted(real.keys() - declared.keys()):
        yield f"{path}: lacks {name}"
    for name in sorted(declared.keys() & real.keys()):
        if not inspect.isclass(getattr(module, name)):
            continue
        for member in sorted(declared[name] ^ real[name] - ENUM_MACHINERY):
            if member in declared[name] and hasattr(getattr(module, name), member):
                continue  # inherited
            yield f"{path}: {name}.{member} is {'declared, not there' if member in declared[name] else 'not declared'}"


def check(root: Path, pyx: str) -> Iterator[str]:
    stub = Path(pyx).with_suffix(".pyi")
    if not (root / stub).is_file():
        yield f"{pyx}: no {stub.name} beside it"
        return
    module = importlib.import_module(".".join(Path(pyx).with_suffix("").parts))
    yield from differences(module, (root / stub).read_text(encoding="utf-8"), str(stub))


def _is_public(name: str) -> bool:
    return not name.startswith("_")


def _bound(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))
