#!/usr/bin/env bash
# Build the same sources with bounds, overflow and None checks, and run the unit and property tests on that build.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
COPY=$(scripts/copy-build.sh checked)
cd "$COPY"
export PYTHONPATH="$PWD:$PWD/sdk/src"
exec "${PYTHON:-$ROOT/.venv/bin/python}" -m pytest -p no:cacheprovider -m "not slow and not e2e" tests/unit $(ls -d tests/property 2>/dev/null) "$@"
