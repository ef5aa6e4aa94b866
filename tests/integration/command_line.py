"""Runs the command as a process of its own, the packages found where this process found them."""

import os
import subprocess
import sys

from gateway.child import command


def environment() -> dict[str, str]:
    """The environment of a child that finds our packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def backstay_process(group: str, *arguments: str, timeout_s: int = 60) -> subprocess.CompletedProcess[str]:
    """`backstay GROUP ...` to its end."""
    return subprocess.run(
        command(group, *arguments), capture_output=True, text=True, timeout=timeout_s, env=environment(), check=False
    )
