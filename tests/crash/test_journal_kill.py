"""SIGKILL of a writing process: whatever it said was durable is there, and the next process goes on from it."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from gateway.journal.recovery import recover
from tests.unit.journal_files import assert_history

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("BACKSTAY_JOURNAL_KILLS", "12"))


def test_a_killed_writer_keeps_every_acknowledged_record(tmp_path: Path) -> None:
    chooser = random.Random(7)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    last_seq = 0
    for _ in range(KILLS):
        command = [sys.executable, "-m", "tests.crash.journal_child", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as child:
            assert child.stdout is not None
            for _ in range(chooser.randint(1, 60)):
                assert child.stdout.readline(), "the child ended by itself"
            child.send_signal(signal.SIGKILL)
            acknowledged = int(([*child.stdout.read().split("\n")[:-1]] or ["0"])[-1])
        recovered = recover(tmp_path)
        assert recovered.last_seq >= max(acknowledged, last_seq)
        assert recovered.last_seq % 3 == 0  # no atomic group in part
        assert_history(recovered, recovered.last_seq)
        last_seq = recovered.last_seq
    assert last_seq > 0
