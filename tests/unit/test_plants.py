"""Planted bugs are in no normal build: no switch, no name in compiled code, and a clear word to who asks for one."""

import re
from pathlib import Path

import pytest

from gateway import plants

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "hotpath/src/plants.hpp"
NAMES = re.findall(r"PLANT\((\w+)\)", HEADER.read_text(encoding="utf-8"))

pytestmark = pytest.mark.skipif(plants.PLANTED, reason="this build is the planted one")


def test_the_header_lists_plants() -> None:
    assert len(NAMES) > 5


def test_a_normal_build_has_no_plant_and_says_how_to_get_them() -> None:
    assert plants.plants() == ()
    with pytest.raises(plants.NoSuchPlant, match=r"scripts/copy-build\.sh planted"):
        plants.turn_on("count_repeated_fill_twice")


def test_no_extension_of_a_normal_build_knows_a_plant() -> None:
    extensions = [file for package in ("hotpath", "gateway") for file in (ROOT / package).rglob("*.so")]
    assert extensions
    words = [b"planted_bug", *(name.encode() for name in NAMES)]
    found = [f"{file.name}: {word!r}" for file in extensions for word in words if word in file.read_bytes()]
    assert not found


def test_the_compilers_condition_is_a_constant_outside_the_planted_build() -> None:
    normal = HEADER.read_text(encoding="utf-8").partition("#else")[2]
    assert "constexpr bool is_planted(int) noexcept { return false; }" in normal


def test_marks_cost_nothing_where_nobody_listens_and_count_where_somebody_does() -> None:
    reached: list[str] = []
    plants.reach("before")
    assert not plants.sometimes("before", 1_000_000)
    plants.watch(reached.append, lambda name, ppm: ppm == 7)
    try:
        plants.reach("a branch")
        assert plants.sometimes("rare", 7) and not plants.sometimes("rare", 8)
    finally:
        plants.watch(None)
    plants.reach("after")
    assert reached == ["a branch"]
