"""Which package may import which: read from the text, since import-linter cannot see `cimport`."""

import ast
import re
from collections.abc import Iterator

from tests.tidy.tree import Source

OURS = ("hotpath", "risk", "brokers", "recon", "gateway", "services", "backstay")
MAY_IMPORT = {
    "hotpath": {"hotpath"},
    "risk": {"risk", "hotpath"},
    "brokers": {"brokers", "hotpath"},
    "recon": {"recon", "hotpath", "brokers.ports"},
    "gateway": {"gateway", "hotpath", "risk", "brokers", "recon"},
    "services": {"services", "hotpath", "gateway.contracts"},
    "sdk": {"backstay"},
}
# The demonstration and the small `backstay order` client are users of the SDK, like anybody else's program.
SDK_USERS = ("gateway/demo", "gateway/commands")

CYTHON_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+c?import|c?import[ \t]+([\w.]+(?:[ \t]*,[ \t]*[\w.]+)*))", re.MULTILINE
)


def imports_point_down(source: Source) -> Iterator[str]:
    """Imports run one way: hotpath knows nothing of ours, the gateway knows all, the SDK stands alone."""
    package = source.path.split("/")[0]
    allowed = set(MAY_IMPORT[package])
    if source.path.startswith(SDK_USERS):
        allowed.add("backstay")
    for name, line in _imports(source):
        if name.split(".")[0] in OURS and not any(name == able or name.startswith(able + ".") for able in allowed):
            yield f"{source.path}:{line}: {package} may not import {name}"


def _imports(source: Source) -> Iterator[tuple[str, int]]:
    """Each imported module with its line. Python has an ast; Cython is read line by line."""
    if source.suffix in (".py", ".pyi"):
        for node in ast.walk(ast.parse(source.text)):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield from _from_import(node.module or "", [alias.name for alias in node.names], node.lineno)
        return
    for found in CYTHON_IMPORT.finditer(source.text):
        line = source.text.count("\n", 0, found.start()) + 1
        yield from ((name, line) for name in re.split(r"\s*,\s*", found[1] or found[2]))


def _from_import(module: str, names: list[str], line: int) -> Iterator[tuple[str, int]]:
    """`from brokers import ports` imports brokers.ports: a bare package name is judged by what is taken from it."""
    if "." in module or module not in OURS:
        yield module, line
    else:
        yield from ((f"{module}.{name}", line) for name in names)
