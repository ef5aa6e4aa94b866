"""The runner over processes: every seed once, every failure found and shrunk, no failure hides another seed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.sim import runner, tiny
from tests.sim.__main__ import BROKEN, GAP, HELD, main
from tests.sim.runner import S_NS, Job, Runner, blocks
from tests.sim.tally import Failure

TARGET = "tests.sim.tiny:run"
JOB = Job(target=TARGET, keep_digests=True)


def sim(folder: Path, *words: str) -> int:
    return main([*words, "--evidence", str(folder)], {"core": TARGET, "loop": TARGET})


def test_blocks_cover_each_seed_once() -> None:
    for count in (1, 7, 250, 1001):
        seen = [seed for _, part in blocks(JOB, 100, count) for seed in part]
        assert seen == list(range(100, 100 + count))


def test_every_seed_runs_once_whoever_runs_it() -> None:
    tally = Runner(blocks(JOB, 100, 200), processes=3).run()
    assert (tally.seeds, tally.failed) == (200, 0)
    assert sorted(tally.digests) == list(range(100, 300))
    assert (tally.events, tally.orders, tally.sim_ns) == (60_000, 6_000, 6_000 * S_NS)
    assert tally.injected["link.delay"] == 400


def test_a_death_and_a_hang_and_an_exception_are_findings_and_hide_no_other_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(runner.STALL_NS, "core", S_NS)
    tally = Runner(iter([(JOB, range(60))]), processes=2).run()
    assert {failure.seed: failure.invariant for failure in tally.failures} == {
        tiny.BREAKS: "I4", tiny.RAISES: "crash", tiny.DIES: "death", tiny.HANGS: "stall",
    }  # fmt: skip
    assert tally.seeds == 60
    assert set(range(60)) - set(tally.digests) == {tiny.RAISES, tiny.DIES, tiny.HANGS}
    told = {failure.invariant: failure.text for failure in tally.failures}
    assert "SIGKILL" in told["death"] and "ZeroDivisionError" in told["crash"]


def test_a_budget_begins_nothing_new() -> None:
    tally = Runner(
        blocks(JOB, 100, None), processes=2, budget_ns=5 * S_NS
    ).run()  # the processes take a second to start, or more
    assert tally.failed == 0 and len(tally.digests) == tally.seeds
    assert sorted(tally.digests)[0] == 100


def test_both_cores_are_compared() -> None:
    drift = Runner(iter([(Job(target=TARGET, core="both"), range(60, 70))]), processes=1).run()
    assert [(failure.seed, failure.invariant) for failure in drift.failures] == [(tiny.DRIFTS, "drift")]
    assert Runner(iter([(Job(target=TARGET), range(60, 70))]), processes=1).run().failed == 0


def test_a_failure_is_shrunk_to_what_it_needs_and_its_command_repeats_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sim(tmp_path, "--seeds", "20", "--jobs", "1") == BROKEN
    out = capsys.readouterr().out
    command = re.findall(r"repeat it: python -m tests.sim (.*)", out)[-1]
    assert command == "--tier core --seed 13 --orders 4 --fault link.drop_report=0.2 --fault venue.bust=0.01"
    assert "not needed: link.delay, feed.gap" in out and "2 trade" in out
    assert sim(tmp_path, *command.split()) == BROKEN
    assert "cum_qty is not the sum of fills" in capsys.readouterr().out


def test_a_run_that_holds_prints_the_end_of_its_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sim(tmp_path, "--seed", "13", "--no-faults") == HELD
    assert "30 end of seed 13\nevery invariant held; trace digest 19" in capsys.readouterr().out


def test_report_says_speed_faults_and_what_was_never_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sim(tmp_path, "--from", "100", "--seeds", "50", "--orders", "30") == HELD
    out = capsys.readouterr().out
    for expected in ("50 seeds from 100", "a minute on", "times wall time", "link.delay", "every invariant held"):
        assert expected in out
    assert re.search(r"never injected: .*node.crash", out) and re.search(r"never reached.*: .*working>trade", out)
    told = json.loads((tmp_path / "sim-core.json").read_bytes())
    assert (told["seeds"], told["events"], told["failed"]) == (50, 15_000, 0)
    assert "working>trade" in told["never_reached"] and "queued>sent" not in told["never_reached"]


def test_the_nightly_form_fails_on_a_gap_in_the_workload(tmp_path: Path) -> None:
    assert sim(tmp_path, "--from", "100", "--seeds", "5", "--nightly") == GAP


def test_digests_of_another_run_are_compared_seed_by_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "digests"
    assert sim(tmp_path, "--from", "60", "--seeds", "10", "--digests", str(file)) == HELD
    assert sim(tmp_path, "--check", str(file)) == HELD
    assert sim(tmp_path, "--check", str(file), "--core", "readable") == GAP
    assert f"seed {tiny.DRIFTS}: the file says" in capsys.readouterr().out


def test_a_command_names_everything_that_decides_the_run() -> None:
    whole = Failure("loop", 5, "I1", "", faults=(("disk.full", True),), orders=3, core="both", plant="late-ack")
    assert whole.command == (
        "python -m tests.sim --tier loop --seed 5 --orders 3 --fault disk.full=on --core both --plant late-ack"
    )
    assert Failure("core", 5, "I1", "", faults=()).command.endswith("--seed 5 --no-faults")
