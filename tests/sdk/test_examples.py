"""Every example in the SDK's docstrings and in docs/sdk.md runs, with await where it stands."""

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import re
from collections.abc import Iterator

import pytest

import backstay
from gateway.contracts.export import ROOT

GUIDE = ROOT / "docs" / "sdk.md"
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def modules() -> Iterator[object]:
    for info in pkgutil.iter_modules(backstay.__path__):
        if info.name != "_wire":
            yield importlib.import_module(f"backstay.{info.name}")


def found() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for module in modules() for test in finder.find(module) if test.examples]


async def run_example(example: doctest.Example, names: dict[str, object]) -> str:
    code = compile(example.source, "<example>", "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        result = eval(code, names)
        if inspect.isawaitable(result):
            await result
    return said.getvalue()


@pytest.mark.parametrize("test", [pytest.param(test, id=test.name) for test in found()])
def test_a_docstring_example_says_what_it_says(test: doctest.DocTest, example_gateway: dict[str, str]) -> None:
    names: dict[str, object] = {**test.globs, **vars(backstay), **example_gateway}
    if test.globs["__name__"] == "backstay.sync":
        names["Gateway"] = test.globs["Gateway"]

    async def main() -> None:
        for example in test.examples:
            got = await run_example(example, names)
            assert doctest.OutputChecker().check_output(example.want, got, 0), f"{example.source}\n{got!r}"

    asyncio.run(main())


def test_there_are_examples() -> None:
    assert len(found()) >= 8


@pytest.mark.parametrize("text", FENCE.findall(GUIDE.read_text()))
def test_an_example_of_the_guide_runs(text: str, example_gateway: dict[str, str]) -> None:
    async def main() -> None:
        code = compile(text, "docs/sdk.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, {**example_gateway})
        if inspect.isawaitable(result):
            await result

    with contextlib.redirect_stdout(io.StringIO()):
        asyncio.run(main())
