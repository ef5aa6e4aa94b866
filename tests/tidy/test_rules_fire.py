"""Each tidy rule fires on a planted breach and lets a sound line pass: a rule that never fires proves nothing."""

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tests.tidy import directions, rules, stubs
from tests.tidy.tree import Source

MARK = "TO" + "DO"
HOST = "pypi" + ".org"
HOME = "/ro" + "ot/x"
LONG_DEF = "def f():\n" + "    x = 1\n" * 61
LONG_CDEF = "cdef int f(int a,\n       int b) noexcept nogil:\n" + "    x = 1\n" * 61

PLANTS: list[tuple[Callable[[Source], Iterator[str]], str, str, str]] = [
    # rule, path, breach, sound
    (rules.file_fits, "gateway/a.py", "x = 1\n" * 601, "x = 1\n" * 600),
    (rules.functions_fit, "gateway/a.py", LONG_DEF, "def f():\n" + "    x = 1\n" * 59),
    (rules.functions_fit, "hotpath/a.pyx", LONG_CDEF, "cdef int f(int a):\n    return a\n\n" + "x = 1\n" * 80),
    (rules.excepts_are_narrow, "gateway/a.py", "try:\n    f()\nexcept:\n    g()\n", "except OSError as e:\n    g(e)\n"),
    (rules.excepts_are_narrow, "gateway/a.py", "except (OSError, Exception) as e:\n", "except OSError:\n    g()\n"),
    (rules.excepts_are_narrow, "gateway/a.py", "except OSError:\n    pass\n", "except OSError:\n    passed = 1\n"),
    (rules.excepts_are_narrow, "gateway/a.py", "except Exception:\n    g()\n", "class Exceptional: ...\n"),
    (rules.marks_name_an_issue, "gateway/a.py", f"# {MARK} later\n", f"# {MARK}(#12): later\n"),
    (rules.names_no_machine, "docs/a.md", f"see https://{HOST}/x\n", "see the package index\n"),
    (rules.names_no_machine, "Makefile", f"cp {HOME} .\n", "cp ./sdk/root/x .\n"),
    (rules.docstring_first, "gateway/a.py", "import ast\n", '"""One job."""\nimport ast\n'),
    (rules.not_named_like_stdlib, "gateway/queue.py", "", ""),
    (rules.not_named_like_stdlib, "gateway/logging/writer.py", "", ""),
    (rules.core_has_no_floats, "hotpath/a.py", "x = 1.5\n", "x = 15  # 1.5\n"),
    (rules.core_has_no_floats, "hotpath/a.py", "x = 1e9\n", "x = 0xe9\n"),
    (rules.core_has_no_floats, "hotpath/a.pyx", "cdef double x\n", "cdef int64_t x\n"),
    (rules.core_has_no_floats, "risk/a.py", "x = float(y)\n", "x = int(y)\n"),
    (rules.core_is_pure, "risk/a.py", "import time\n", "from hotpath import fixed\n"),
    (rules.core_is_pure, "risk/a.py", "from datetime import datetime\n", "yield from datetimes\n"),
    (rules.core_is_pure, "hotpath/a.pyx", "x = hash(y)\n", "x = self.hash(y)\n"),
    (rules.core_is_pure, "hotpath/a.pyx", "x = id(y)\n", "cdef int id(y):\n    return 1\n"),
    (rules.core_iterates_no_set, "risk/a.py", "for x in {1, 2}:\n    f(x)\n", "for x in [1, 2]:\n    f(x)\n"),
    (rules.core_iterates_no_set, "risk/a.py", "a = set()\nfor x in a:\n    f(x)\n", "a = []\nfor x in a:\n    f(x)\n"),
    (rules.core_iterates_no_set, "risk/a.py", "y = [f(x) for x in set(z)]\n", "y = [f(x) for x in sorted(set(z))]\n"),
    (rules.core_names_have_units, "risk/a.py", "price = 1\n", "px_e9 = e9(req.price)  # price\n"),
    (rules.tests_wait_for_signals, "tests/unit/a.py", "time.sleep(0.1)\n", "await asyncio.sleep(0)\n"),
    (rules.tests_wait_for_signals, "tests/unit/a.py", "from unittest import mock\n", "class FakeVenue: ...\n"),
    (directions.imports_point_down, "hotpath/a.pyx", "from risk.gate cimport G\n", "from hotpath.enums cimport BUY\n"),
    (directions.imports_point_down, "risk/a.py", "import os, brokers\n", "import os, hotpath\n"),
    (directions.imports_point_down, "recon/a.py", "from brokers.sim import X\n", "from brokers.ports import X\n"),
    (directions.imports_point_down, "recon/a.py", "from brokers import sim\n", "from brokers import ports\n"),
    (directions.imports_point_down, "risk/a.py", "def f():\n    import gateway.x\n", 'X = """\nimport gateway\n"""\n'),
    (directions.imports_point_down, "gateway/a.py", "import backstay\n", "import backstaying\n"),
    (directions.imports_point_down, "sdk/src/backstay/a.py", "from gateway import x\n", "from backstay import x\n"),
]


@pytest.mark.parametrize(("rule", "path", "breach", "sound"), PLANTS)
def test_rule_fires_on_the_plant_only(
    rule: Callable[[Source], Iterator[str]], path: str, breach: str, sound: str
) -> None:
    assert list(rule(Source(path, breach)))
    sound_path = "gateway/outbox.py" if rule is rules.not_named_like_stdlib else path
    assert not list(rule(Source(sound_path, sound)))


def test_supervisor_may_catch_everything() -> None:
    text = "except Exception as error:\n    f(error)\n"
    assert not list(rules.excepts_are_narrow(Source("gateway/supervisor.py", text)))


def test_demo_may_use_the_sdk() -> None:
    assert not list(directions.imports_point_down(Source("gateway/demo.py", "import backstay\n")))


def test_stub_comparison_names_what_is_missing_on_either_side() -> None:
    module = ModuleType("planted")
    exec("class Table:\n    def add(self): ...\n    def _hidden(self): ...\ndef scan(): ...\nLIMIT = 1\n", vars(module))
    sound = "LIMIT: int\nclass Table:\n    def add(self) -> None: ...\ndef scan() -> None: ...\n"
    assert not list(stubs.differences(module, sound, "planted.pyi"))
    lacking = "class Table:\n    def drop(self) -> None: ...\ndef scan() -> None: ...\ndef gone() -> None: ...\n"
    said = "\n".join(stubs.differences(module, lacking, "planted.pyi"))
    for expected in ("lacks LIMIT", "declares gone", "Table.add is not declared", "Table.drop is declared"):
        assert expected in said
