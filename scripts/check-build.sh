#!/usr/bin/env bash
# Build the same sources with bounds, overflow and None checks in a copy of the tree, and run the unit and property tests
# there. A copy, because the extensions of the two builds have the same file names.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
COPY=build/checked
export BACKSTAY_BUILD=checked

mkdir -p "$COPY"
# Times are kept, so the second run compiles only what changed. A file that is listed but deleted is no error.
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - 2>/dev/null | tar -xf - -C "$COPY"
cd "$COPY"
find . -name '*.p*' -type f -not -path './build/*' -print0 | while IFS= read -r -d '' file; do
    [ -e "$ROOT/$file" ] || rm -f "$file"     # gone from the tree since the last copy
done
if ! "$ROOT/.venv/bin/python" setup.py build_ext --inplace >build.log 2>&1; then
    tail -n 40 build.log >&2
    exit 1
fi
export PYTHONPATH="$PWD:$PWD/sdk/src"
exec "$ROOT/.venv/bin/python" -m pytest -p no:cacheprovider -m "not slow and not e2e" tests/unit $(ls -d tests/property 2>/dev/null) "$@"
