#!/usr/bin/env bash
# The same seeds on the release build and on the checked one, under another hash seed: equal trace digests, or it fails.
# Usage: scripts/sim-digests.sh [SEEDS] [ARGS of python -m tests.sim ...]
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
SEEDS=${1:-300}
shift || true
FILE=$ROOT/build/sim/digests

PYTHONHASHSEED=0 PYTHONPATH="$ROOT:$ROOT/sdk/src" \
    "$PYTHON" -m tests.sim --seeds "$SEEDS" --digests "$FILE" --evidence build/sim/release "$@"
COPY=$(scripts/copy-build.sh checked)
cd "$COPY"
PYTHONHASHSEED=4242 PYTHONPATH="$COPY:$COPY/sdk/src" \
    "$PYTHON" -m tests.sim --check "$FILE" --evidence "$ROOT/build/sim/checked" "$@"
