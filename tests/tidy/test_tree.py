"""The whole project keeps the house rules of CONTRIBUTING.md."""

import importlib.metadata
import re
import tomllib
from collections.abc import Callable, Iterator

import pytest

from tests.tidy import directions, rules, stubs
from tests.tidy.tree import PACKAGES, ROOT, Source, sources

CODE = (".py", ".pyx", ".pxd")


def hold(rule: Callable[[Source], Iterator[str]], files: list[Source]) -> None:
    lines = [line for source in files for line in rule(source)]
    if lines:
        pytest.fail(f"{rule.__doc__}\n" + "\n".join(lines), pytrace=False)


@pytest.mark.parametrize(
    ("rule", "suffixes"),
    [
        (rules.file_fits, (*CODE, ".pyi", ".sh", ".h", ".hpp")),
        (rules.functions_fit, (".py", ".pyx")),
        (rules.excepts_are_narrow, (".py", ".pyx")),
        (rules.marks_name_an_issue, ()),
        (rules.names_no_machine, ()),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_file_keeps_the_rule(rule: Callable[[Source], Iterator[str]], suffixes: tuple[str, ...]) -> None:
    hold(rule, [source for source in sources(*suffixes) if source.path != "LICENSE"])


@pytest.mark.parametrize("rule", [rules.docstring_first, rules.not_named_like_stdlib], ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Callable[[Source], Iterator[str]]) -> None:
    suffixes = (".py", ".pyx") if rule is rules.docstring_first else CODE
    files = [source for source in sources(*suffixes) if source.is_product]
    hold(rule, files)


@pytest.mark.parametrize(
    "rule",
    [rules.core_has_no_floats, rules.core_is_pure, rules.core_iterates_no_set, rules.core_names_have_units],
    ids=lambda rule: rule.__name__,
)
def test_the_core_keeps_the_rule(rule: Callable[[Source], Iterator[str]]) -> None:
    hold(rule, [source for source in sources(*CODE) if source.is_core])


def test_tests_wait_for_signals_and_use_no_mocks() -> None:
    files = [source for source in sources(".py") if source.path.startswith("tests/") and "/tidy/" not in source.path]
    hold(rules.tests_wait_for_signals, files)


def test_imports_and_cimports_point_one_way() -> None:
    files = [source for source in sources(*CODE, ".pyi") if source.path.startswith((*PACKAGES, "sdk/src/"))]
    hold(directions.imports_point_down, files)


@pytest.mark.parametrize("pyx", [source.path for source in sources(".pyx")])
def test_stub_says_what_the_compiled_module_has(pyx: str) -> None:
    lines = list(stubs.check(ROOT, pyx))
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


def test_every_dependency_earns_its_place_in_one_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    listed = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.split(r"[^\w.-]", line)[0] for line in listed}
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    assert not {name for name in names if f"| `{name}` |" not in text}


def test_top_level_names_belong_to_this_distribution_alone() -> None:
    try:
        importlib.metadata.distribution("backstay-gateway")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the project is not installed here")
    owners = importlib.metadata.packages_distributions()
    strangers = {name: owners[name] for name in PACKAGES if set(owners.get(name, [])) - {"backstay-gateway"}}
    assert not strangers
