#!/usr/bin/env bash
# Build another flavour of the same sources (checked, planted) in a copy of the tree, build/FLAVOUR, and say where it is.
# A copy, because the extensions of two builds have the same file names.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
FLAVOUR=${1:?which build: checked or planted}
COPY=build/$FLAVOUR
export BACKSTAY_BUILD=$FLAVOUR

mkdir -p "$COPY"
# Times are kept, so the second run compiles only what changed. A file that is listed but deleted is no error.
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - 2>/dev/null | tar -xf - -C "$COPY"
cd "$COPY"
find . -name '*.p*' -type f -not -path './build/*' -print0 | while IFS= read -r -d '' file; do
    [ -e "$ROOT/$file" ] || rm -f "$file"     # gone from the tree since the last copy
done
if [ "$FLAVOUR" = planted ] && [ -d "$ROOT/build/cython" ]; then
    # The sources compile to the same C++ as in the release; of that, only what asks for plants compiles to other code.
    mkdir -p build
    cp -au "$ROOT/build/cython" build/
    (cd "$ROOT" && find build/cython -name '*.cpp' -print0 | xargs -0 grep -LZ 'plants\.hpp') | while IFS= read -r -d '' file; do
        stem=${file#build/cython/}
        (cd "$ROOT" && cp -pu --parents build/lib.*/"${stem%.cpp}".*.so "$OLDPWD" 2>/dev/null) || true # not there: built here
    done
fi
if ! "${PYTHON:-$ROOT/.venv/bin/python}" setup.py build_ext --inplace >build.log 2>&1; then
    tail -n 40 build.log >&2
    exit 1
fi
echo "$PWD"
