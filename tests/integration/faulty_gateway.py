"""The gateway as a process whose journal fails as planned: `OP NTH ERRNO`, then the arguments of `backstay gateway`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gateway import logs
from gateway.app import run
from gateway.commands.answer import say_json
from gateway.commands.options import read_config
from gateway.journal.writer import FaultPlan


def main() -> int:
    op, nth, errno, *rest = sys.argv[1:]
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    settings = [value for name, value in zip(rest[::2], rest[1::2], strict=True) if name == "--set"]
    config = read_config(Path(options["--config"]), None, settings)
    logs.configure(level="info", as_json=True, file=None)
    return run(config, os.environ, say_json, FaultPlan(op, int(nth), int(errno)))


if __name__ == "__main__":
    sys.exit(main())
