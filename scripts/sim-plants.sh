#!/usr/bin/env bash
# Make the planted build in a copy of the tree and run its planted bugs there: each must be noticed by the right invariant.
# Usage: scripts/sim-plants.sh [ARGS of python -m tests.sim plants ...]
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
COPY=$(scripts/copy-build.sh planted)
cd "$COPY"
PYTHONHASHSEED=0 PYTHONPATH="$COPY:$COPY/sdk/src" exec "$PYTHON" -m tests.sim plants --evidence "$ROOT/evidence" "$@"
