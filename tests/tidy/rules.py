"""The house rules about one file, each a function from a Source to the lines that break it."""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.tidy.tree import Source

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
# The places that may catch everything: supervisors of processes, and runners of independent parts (benchmarks, seeds).
SUPERVISORS = {
    "gateway/supervisor.py",
    "gateway/app.py",
    "benchmarks/__main__.py",
    "tests/sim/runner.py",
    "tests/sim/world.py",
}

# Statistics, charts and files' edges: the only core files where a float is no money, quantity or time that decides.
FLOAT_ALLOWED = {"risk/portfolio", "hotpath/hist", "hotpath/ref/hist"}

# Words are split so that this file does not break its own rule.
HOSTS = [
    "pypi" + ".org", "python" + "hosted.org", "crates" + ".io", "registry.npm" + "js.org", "proxy.go" + "lang.org",
    "deb.deb" + "ian.org", "repo.maven" + ".apache.org", "docker" + ".io", "gh" + "cr.io", "quay" + ".io",
]  # fmt: skip
PATHS = ["/wo" + "rk/", "/tmp/" + "venv", "/ro" + "ot/", "/home" + "/", "/Use" + "rs/"]

Violations = Iterator[str]


def file_fits(source: Source) -> Violations:
    """At most 600 lines."""
    count = source.text.count("\n")
    if count > FILE_LINES_MAX:
        yield f"{source.path}: {count} lines, at most {FILE_LINES_MAX}"


def functions_fit(source: Source) -> Violations:
    """A function fits a screen: 60 lines."""
    spans = _python_functions(source) if source.suffix == ".py" else _cython_functions(source)
    for name, line, length in spans:
        if length > FUNCTION_LINES_MAX:
            yield f"{source.path}:{line}: {name} has {length} lines, at most {FUNCTION_LINES_MAX}"


def _python_functions(source: Source) -> Iterator[tuple[str, int, int]]:
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1


CYTHON_HEAD = re.compile(r"^(\s*)(?:c?p?def)\b(?!\s+(?:class|struct|enum|extern|union)\b)[^=]*?(\w+)\s*\(")


def _cython_functions(source: Source) -> Iterator[tuple[str, int, int]]:
    """Cython has no ast to ask: a function goes on while lines are blank or deeper than its head."""
    lines = source.text.splitlines()
    for start, line in enumerate(lines):
        head = CYTHON_HEAD.match(line)
        if not head:
            continue
        last, depth, in_head = start, 0, True
        for at in range(start, len(lines)):
            text = lines[at]
            if in_head:  # a signature may span lines whose closing bracket is not indented
                depth += text.count("(") - text.count(")")
                in_head = depth > 0
                last = at
            elif text.strip():
                if len(text) - len(text.lstrip()) <= len(head[1]):
                    break
                last = at
        yield head[2], start + 1, last - start + 1


def not_named_like_stdlib(source: Source) -> Violations:
    """No module is named after a standard library module, at any depth."""
    path = PurePosixPath(source.path)
    names = [path.stem, *path.parent.parts] if path.stem != "__init__" else list(path.parent.parts)
    for name in names:
        if name in sys.stdlib_module_names and not name.startswith("__"):
            yield f"{source.path}: {name} is a standard library module"


def docstring_first(source: Source) -> Violations:
    """The first line of each module says its one job."""
    if source.suffix == ".py" and not source.text.strip():
        return
    if not re.match(r'(#[^\n]*\n|\s)*r?"""\S', source.text):
        yield f"{source.path}: no docstring that says the file's one job"


BROAD = re.compile(r"^\s*except\s*(:|\(?.*\b(Base)?Exception\b.*:)")
SILENT = re.compile(r"^\s*except\b[^\n]*:\s*(?:#[^\n]*)?\n?\s*pass\s*(?:#[^\n]*)?$", re.MULTILINE)


def excepts_are_narrow(source: Source) -> Violations:
    """No bare except, no `except Exception` outside the two supervisors, nothing swallowed with `pass`."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if BROAD.match(line) and source.path not in SUPERVISORS:
            yield f"{source.path}:{number}: catches everything"
    for found in SILENT.finditer(source.text):
        yield f"{source.path}:{source.text.count(chr(10), 0, found.start()) + 1}: swallows an error with pass"


MARK = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b(?!\(#\d+\))")


def marks_name_an_issue(source: Source) -> Violations:
    """No mark of work left to do without the number of its issue, as in MARK(#12)."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := MARK.search(line):
            yield f"{source.path}:{number}: {found[1]} without an issue"


def names_no_machine(source: Source) -> Violations:
    """No path of one machine and no host of a package registry."""
    for number, line in enumerate(source.text.splitlines(), 1):
        for word in (*HOSTS, *PATHS):
            at = line.find(word)
            if at >= 0 and not (word in PATHS and at > 0 and (line[at - 1].isalnum() or line[at - 1] in "_.-}")):
                yield f"{source.path}:{number}: names {word}"


def _tokens(source: Source) -> list[tokenize.TokenInfo]:
    return list(tokenize.generate_tokens(io.StringIO(source.text).readline))


def core_has_no_floats(source: Source) -> Violations:
    """No float literal and no float type in the core: prices, quantities, money and time are integers."""
    if source.path.startswith(tuple(FLOAT_ALLOWED)):
        return
    for token in _tokens(source):
        text = token.string.lower()
        literal = token.type == tokenize.NUMBER and not text.startswith("0x") and ("." in text or "e" in text)
        if literal or (token.type == tokenize.NAME and text in ("float", "double")):
            yield f"{source.path}:{token.start[0]}: float: {token.line.strip()}"


IMPURE_MODULES = {
    "random", "secrets", "time", "datetime", "uuid", "threading", "asyncio", "socket", "logging", "os",
    "multiprocessing",
}  # fmt: skip
IMPURE_CALLS = {"id", "hash", "uuid4", "urandom", "getenv", "open", "print"}


def core_is_pure(source: Source) -> Violations:
    """The core reads no clock, draws nothing, does no I/O, and depends on no address or hash of an object."""
    tokens = [token for token in _tokens(source) if token.type not in (tokenize.COMMENT, tokenize.NL)]
    for before, token, after in zip([tokens[0], *tokens], tokens, [*tokens[1:], tokens[-1]], strict=False):
        if token.type != tokenize.NAME:
            continue
        called = after.string == "(" and before.string not in (".", "def") and before.type != tokenize.NAME
        if token.string in IMPURE_CALLS and called:
            yield f"{source.path}:{token.start[0]}: calls {token.string}()"
        starts_line = before.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING) or (
            token.start[1] == len(token.line) - len(token.line.lstrip())
        )
        if token.string in ("import", "from") and starts_line and after.string in IMPURE_MODULES:
            yield f"{source.path}:{token.start[0]}: imports {after.string}"


SET_MADE = re.compile(r"([\w.]+)\s*(?::\s*(?:frozen)?set\b[^=]*)?=\s*(?:(?:frozen)?set\(|\{[^:{}]+\}\s*$)")
SET_TYPED = re.compile(r"([\w.]+)\s*:\s*(?:frozen)?set\[")
SET_INLINE = re.compile(r"\bfor\s[^:]*?\sin\s+(?:(?:frozen)?set\(|\{[^:{}]*\})")


def core_iterates_no_set(source: Source) -> Violations:
    """Order comes from lists, dicts and seq: a set's order differs from run to run."""
    sets = {found[1] for pattern in (SET_MADE, SET_TYPED) for found in pattern.finditer(source.text)}
    for number, line in enumerate(source.text.splitlines(), 1):
        over = re.search(r"\bfor\s.*?\sin\s+([\w.]+)\s*[:\])}]?", line)
        if SET_INLINE.search(line) or (over and over[1] in sets):
            yield f"{source.path}:{number}: iterates a set"


BARE = {"price", "qty", "timeout"}


def core_names_have_units(source: Source) -> Violations:
    """A name in the core ends in its unit: px_e9, qty_e9, wait_ns. Members of a request keep the wire's names."""
    before = ""
    for token in _tokens(source):
        is_member, before = before == ".", token.string
        if token.type == tokenize.NAME and token.string in BARE and not is_member:
            yield f"{source.path}:{token.start[0]}: {token.string} has no unit"


SLEEP = re.compile(r"\b(time\.sleep|asyncio\.sleep|sleep)\((?!0\))")
MOCK = re.compile(r"\bunittest\.mock\b|\bMagicMock\b|\bAsyncMock\b|\bfrom unittest import mock\b|\bmocker\b")


def tests_wait_for_signals(source: Source) -> Violations:
    """A test waits for a signal with a deadline, never for a length of time; and fakes, not mocks."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if SLEEP.search(line):
            yield f"{source.path}:{number}: sleeps"
        if MOCK.search(line):
            yield f"{source.path}:{number}: mocks"
