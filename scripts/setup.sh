#!/usr/bin/env bash
# Make .venv, install what the project needs, build the compiled core. Quick when nothing changed; safe to repeat.
# Usage: scripts/setup.sh [EXTRA ...]   e.g. scripts/setup.sh peers
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
EXTRAS=dev
for extra in "$@"; do EXTRAS="$EXTRAS,$extra"; done
MISSING=()
STEP=0

step() { STEP=$((STEP + 1)); printf '[%d/4] %s\n' "$STEP" "$*"; }

need() { # need WHAT DEBIAN FEDORA
    MISSING+=("$(printf '  %s\n      Debian, Ubuntu:  %s\n      Fedora, RHEL:    %s' "$1" "$2" "$3")")
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
}

check_machine() {
    if [[ $OSTYPE != linux* ]]; then
        echo "set-up cannot go on: Backstay runs on Linux (its journal uses eventfd and fdatasync), this is $OSTYPE." >&2
        echo "use a Linux machine or container: deploy/container/Containerfile." >&2
        exit 1
    fi
    PY=$(find_python)
    UV=""
    if uv --version >/dev/null 2>&1; then UV=uv; fi
    if [ -z "$PY" ]; then
        need "Python 3.11 or newer (python3)" "sudo apt-get install python3 python3-venv python3-dev" \
            "sudo dnf install python3.12 python3.12-devel"
    else
        if [ -z "$UV" ] && [ ! -x "$VENV/bin/pip" ] && ! "$PY" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            need "Python's venv module with ensurepip" "sudo apt-get install python3-venv" \
                "sudo dnf install python3"
        fi
        if ! "$PY" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; then
            need "Python's C headers (Python.h) for $("$PY" --version)" "sudo apt-get install python3-dev" \
                "sudo dnf install python3-devel"
        fi
    fi
    if ! "${CXX:-c++}" --version >/dev/null 2>&1 && ! g++ --version >/dev/null 2>&1; then
        need "a C++17 compiler (c++ or g++)" "sudo apt-get install g++" "sudo dnf install gcc-c++"
    fi
    if [ "${#MISSING[@]}" -gt 0 ]; then
        printf 'set-up cannot go on: this machine lacks\n' >&2
        printf '%s\n' "${MISSING[@]}" >&2
        printf 'install it, then run the same command again.\n' >&2
        exit 1
    fi
}

make_venv() {
    if [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -c '' >/dev/null 2>&1; then
        echo "      there already ($("$VENV/bin/python" --version))"
    elif [ -n "$UV" ]; then
        uv venv --quiet --allow-existing --python "$(command -v "$PY")" "$VENV"
    else
        "$PY" -m venv --clear "$VENV"
    fi
}

install() { # install ARGS...: into .venv, with uv where there is one
    if [ -n "$UV" ]; then
        uv pip install --quiet --python "$VENV/bin/python" "$@"
    else
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    fi
}

dependency_key() {
    { echo "$EXTRAS"; pwd; "$VENV/bin/python" --version; cat pyproject.toml sdk/pyproject.toml 2>/dev/null || true; } | cksum
}

install_dependencies() {
    local stamp="$VENV/.backstay-dependencies"
    if [ "$(cat "$stamp" 2>/dev/null)" = "$(dependency_key)" ]; then
        echo "      up to date"
        return
    fi
    local editables=(-e ".[$EXTRAS]")
    if [ -f sdk/pyproject.toml ]; then editables+=(-e ./sdk); fi
    BACKSTAY_BUILD=none install "${editables[@]}"
    dependency_key >"$stamp"
}

native_is_current() { # true when each .pyx has an extension and no source is newer than the last build
    local stamp="$VENV/.backstay-native" source
    [ -f "$stamp" ] || return 1
    [ "$stamp" -nt "$VENV/.backstay-dependencies" ] || return 1
    while IFS= read -r source; do
        compgen -G "${source%.pyx}.*.so" >/dev/null || return 1
    done < <(find hotpath risk brokers gateway -name '*.pyx')
    [ -z "$(find setup.py hotpath risk brokers gateway \( -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.hpp' \
        -o -name setup.py \) -newer "$stamp" | head -n 1)" ]
}

build_native() {
    if native_is_current; then
        echo "      up to date"
        return
    fi
    mkdir -p build
    if ! BACKSTAY_BUILD="${BACKSTAY_BUILD:-release}" "$VENV/bin/python" setup.py build_ext --inplace \
        >build/native.log 2>&1; then
        grep -E '\.(pyx|pxd|hpp|h|cpp):[0-9]+:.*|error:' build/native.log | grep -v 'note:' | sort -u | head -n 30 >&2 \
            || tail -n 30 build/native.log >&2
        echo "the compiled core did not build; the whole log is in build/native.log" >&2
        exit 1
    fi
    touch "$VENV/.backstay-native"
}

step "look at the machine"
check_machine
step "Python environment in $VENV${UV:+ (with uv)}"
make_venv
step "dependencies (a minute or two the first time)"
install_dependencies
step "compiled core (Cython, C++17; a few minutes the first time)"
build_native
echo "ready."
