"""What cannot be is said plainly, with a status that is not zero, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim import digests, kept
from tests.sim.__main__ import USAGE, main
from tests.sim.kept import BadInput
from tests.sim.runner import Job

TINY = {"core": "tests.sim.tiny:run"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kept", "no-such-name"], "keeps no seed called 'no-such-name'; there are:"),
        (["--fault", "link.delay=1.5"], "link.delay: 1.5 per message is out of range 0 to 1.0"),
        (["--fault", "link.dealy=0.1"], "no such fault: link.dealy; there are: client."),
        (["--fault", "link.delay"], "'link.delay' is no fault: NAME=VALUE"),
        (["--fault", "link.delay=often"], "'often' is no strength of a fault: on, off or a number"),
        (["--fault", "link.delay=on", "--no-faults"], "contradict each other"),
        (["--tier", "middle"], "invalid choice: 'middle'"),
        (["--seed", "-1"], "--seed -1: a seed is not negative"),
        (["--seed", "seven"], "invalid int value: 'seven'"),
        (["--seeds", "0"], "--seeds is at least 1"),
        (["--orders", "0"], "--orders 0: at least 1"),
        (["--check", "no-such-file"], "cannot read digests from no-such-file"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words, TINY) == USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no file of trace digests"),
        ("seed digest\n", "is no file of trace digests"),
        ("backstay-sim-digests 0 tier=core\n1 a\n", "is of trace format 0, this version writes"),
        ("{head} more\n1 a\n", "is of other runs"),
        ("{head}\n1\n", "line 2: expected a seed and its digest"),
        ("{head}\n", "holds no digest"),
    ],
)
def test_a_digest_file_that_does_not_compare_is_refused(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "digests"
    file.write_text(text.replace("{head}", digests.head(Job())), encoding="ascii")
    assert main(["--check", str(file)], TINY) == USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("late-fill core", "NAME TIER SEED"),
        ("late-fill inner 5  # why", "NAME TIER SEED"),
        ("late-fill core five  # why", "NAME TIER SEED"),
        ("late-fill core 5", "does not say why"),
        ("late-fill core 5 orders=few  # why", "'orders=few' is no number of orders"),
        ("late-fill core 5 drop  # why", "'drop' is no fault"),
        ("late-fill core 5  # why\nlate-fill core 6  # why", "line 2: the name late-fill is taken"),
    ],
)
def test_a_line_of_the_seeds_file_that_says_too_little_is_refused(line: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "seeds.txt"
    file.write_text(line, encoding="utf-8")
    with pytest.raises(BadInput, match=said):
        kept.read(file)


def test_a_kept_seed_says_its_faults_orders_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "seeds.txt"
    file.write_text(
        "# comment\n\nlate-fill core 5 link.delay=0.5 disk.full=on orders=3  # a fill after the end\n"
        "plain loop 6  # x\nfair core 7 no-faults  # nothing goes wrong\n",
        encoding="utf-8",
    )
    found = kept.read(file)
    assert found["late-fill"] == kept.Kept(
        "late-fill", "core", 5, (("link.delay", 0.5), ("disk.full", True)), 3, "a fill after the end"
    )
    assert (found["plain"].faults, found["fair"].faults) == (None, ())


def test_the_kept_seeds_of_the_project_are_sound() -> None:
    assert all(line.why for line in kept.read().values())
