"""The hunt for planted bugs: what it must not let pass, on a world of numbers and on the list of the project."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from gateway import plants as product
from tests.sim import hunt, plants
from tests.sim.__main__ import USAGE, Parser, main
from tests.sim.faults import checked
from tests.sim.hunt import MISSED, OK, Found, Hunt
from tests.sim.kept import BadInput
from tests.sim.plants import PLANTS, Plant, chosen, unmatched
from tests.sim.runner import Job
from tests.sim.tally import Failure

ROOT = Path(__file__).resolve().parents[2]


class TinyPlant(Plant):
    """A plant of the world of numbers, where seed 13 breaks I4 whatever is planted."""

    def job(self) -> Job:
        return Job(target="tests.sim.tiny:run", plant=self.name)


def row(name: str = "a_bug", noticed_by: tuple[str, ...] = ("I4",), budget: int = 20) -> Plant:
    return TinyPlant(name, "of a test", noticed_by, budget)


def hunted(*rows: Plant, sample: int = 15) -> Hunt:
    made = Hunt(rows, sample=sample, clean=0, processes=1)
    made.run()
    return made


def failure(seed: int, invariant: str) -> Failure:
    return Failure("core", seed, invariant, "")


def test_a_plant_that_the_right_invariant_notices_in_its_budget_is_found() -> None:
    made = hunted(row())
    found = made.found["a_bug"]
    assert (found.first, found.noticed, found.rate_ppm) == (14, {13: "I4"}, 1_000_000 // 15)
    assert made.wrong(["a_bug"]) == []


def test_a_plant_that_only_another_invariant_notices_is_not_found() -> None:
    (said,) = hunted(row(noticed_by=("I9",))).wrong()
    assert "a_bug: I9 must notice it; only I4 in 1 did, first with seed 13" in said
    assert "--seed 13 --plant a_bug" in said


def test_a_plant_is_looked_for_past_the_sample_up_to_its_budget_and_no_further() -> None:
    made = hunted(row(budget=12), row("late", budget=20), sample=5)
    assert made.found["a_bug"].seeds == 12 and made.found["late"].first == 14
    assert made.wrong() == ["a_bug: nothing noticed it within its 12 seeds"]


def test_a_seed_past_the_budget_counts_for_the_rate_alone() -> None:
    found = Found(row(budget=13), 20)
    found.add(20, [failure(13, "I4")])
    assert found.first is None and found.rate_ppm == 50_000


def test_a_seed_that_fails_without_a_plant_fails_the_hunt() -> None:
    made = Hunt([], sample=0, clean=0, processes=1)
    made.clean.fail(failure(5, "I1"))
    assert made.wrong() == ["without a plant: I1: python -m tests.sim --tier core --seed 5"]


def test_a_plant_without_a_row_and_a_row_without_a_plant_are_said() -> None:
    said = unmatched(["a_bug", "forgotten"], [row(), row("gone")])
    assert [text.split(":")[0] for text in said] == [
        "the build has the plant forgotten, and no row says which invariant must notice it",
        "there is a row for gone, and the build has no such plant",
    ]
    assert hunted(row()).wrong(["a_bug", "forgotten"]) == said[:1]


def test_a_normal_build_says_that_it_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    if product.PLANTED:
        pytest.skip("this build is the planted one")
    assert main(["plants"]) == USAGE
    assert "this build has no planted bugs; make one that has" in capsys.readouterr().err


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "PLANTED", True)
    with pytest.raises(BadInput, match="no row for a plant 'no_such'; there are: a_bug"):
        chosen(["no_such"], [row()])
    assert [one.name for one in chosen(["late"], [row(), row("late")])] == ["late"]


@pytest.mark.parametrize(("noticed_by", "status"), [("I4", OK), ("I9", MISSED)])
def test_the_command_prints_a_table_writes_evidence_and_says_what_is_wrong(
    noticed_by: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(product, "PLANTED", True)
    monkeypatch.setattr(product, "plants", lambda: ("a_bug",))
    words = ["--rate", "15", "--clean", "0", "--jobs", "1", "--evidence", str(tmp_path)]
    assert hunt.main(words, Parser, [row(noticed_by=(noticed_by,))]) == status
    out = capsys.readouterr().out
    assert re.search(r"a_bug +(I4 +14 +6\.6 %|- +never +0\.0 %)", out) and ("FAILED: a_bug" in out) == (
        status == MISSED
    )
    told = json.loads((tmp_path / "sim-plants.json").read_bytes())
    assert told["plants"][0]["seeds_until_noticed"] == (14 if status == OK else None)


def test_numbers_below_zero_are_refused() -> None:
    with pytest.raises(BadInput, match="not negative"):
        hunt.main(["--rate", "-1"], argparse.ArgumentParser)


def test_every_plant_of_the_sources_has_a_row() -> None:
    header = (ROOT / "hotpath/src/plants.hpp").read_text(encoding="utf-8")
    built = [name.lower() for name in re.findall(r"PLANT\((\w+)\)", header)] + list(product.IN_PYTHON)
    assert unmatched(built) == [] and len(built) == len(PLANTS) == len({one.name for one in plants.PLANTS})


def test_a_steered_row_asks_for_faults_that_there_are() -> None:
    steered = [one for one in PLANTS if one.faults]
    assert steered and all(checked(dict(one.faults or ())) for one in steered)
