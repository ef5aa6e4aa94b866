"""The main job, shortened: every promise of the demo holds."""

import json

import pytest

from tests.integration.command_line import backstay_process

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_short_demo_holds_every_promise() -> None:
    done = backstay_process("demo", "--accounts", "4", "--seconds", "2", "--json", timeout_s=180)
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["holds"], verdict["accounts"], verdict["stops_fired"]) == (True, 4, 4)
    assert [restart["how"] for restart in verdict["restarts"]] == ["SIGTERM", "SIGKILL", "the end"]
