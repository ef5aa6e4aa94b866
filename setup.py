"""The extension list and the compiler directives; everything else is in pyproject.toml.

``BACKSTAY_BUILD`` chooses the build: ``release`` (default); ``checked``, the same sources with bounds, overflow and
None checks on; ``planted``, with the switches of the planted bugs, for tests alone; ``none``, no extensions at all: the
set-up script installs the metadata so and then builds in place, which compiles only what changed.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).parent
PACKAGES = ("hotpath", "risk", "brokers", "gateway")
BUILD = os.environ.get("BACKSTAY_BUILD", "release")
MACROS: dict[str, list[tuple[str, str | None]]] = {
    "release": [],
    "checked": [("BACKSTAY_CHECKED", "1")],
    "planted": [("BACKSTAY_PLANTED", "1")],
    "none": [],
}
if BUILD not in MACROS:
    sys.exit(f"BACKSTAY_BUILD must be one of {', '.join(MACROS)}, not {BUILD!r}")
CHECKED = BUILD == "checked"

DIRECTIVES = {
    "language_level": "3",
    "boundscheck": CHECKED,
    "wraparound": False,
    "overflowcheck": CHECKED,
    "nonecheck": CHECKED,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
    "freethreading_compatible": False,
}

COMPILE = ["-std=c++17", "-O3", "-g1", "-Wno-unused-function"]
if sys.platform == "linux":
    COMPILE.append("-fno-plt")  # calls through the GOT: one jump fewer into libpython and libc

if CHECKED:
    COMPILE += ["-include", "hotpath/src/checked_pointers.hpp"]


def extensions() -> list[Extension]:
    sources = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.pyx"))
    return [
        Extension(
            ".".join(path.relative_to(ROOT).with_suffix("").parts),
            [str(path.relative_to(ROOT))],
            language="c++",
            include_dirs=["."],
            extra_compile_args=COMPILE,
            extra_link_args=["-pthread"],
            define_macros=MACROS[BUILD],
        )
        for path in sources
    ]


setup(
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
    ext_modules=[]
    if BUILD == "none"
    else cythonize(
        extensions(),
        build_dir="build/cython-checked" if CHECKED else "build/cython",
        compiler_directives=DIRECTIVES,
        nthreads=os.cpu_count() or 1,
        show_all_warnings=False,
    ),
)
