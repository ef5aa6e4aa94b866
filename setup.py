"""The extension list and the compiler directives; everything else is in pyproject.toml.

``BACKSTAY_BUILD=checked`` builds the same sources with bounds, overflow and None checks on.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

CHECKED = os.environ.get("BACKSTAY_BUILD", "release") == "checked"
ROOT = Path(__file__).parent
PACKAGES = ("hotpath", "risk", "brokers", "gateway")

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


def extensions() -> list[Extension]:
    sources = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.pyx"))
    return [
        Extension(
            ".".join(path.relative_to(ROOT).with_suffix("").parts),
            [str(path.relative_to(ROOT))],
            language="c++",
            include_dirs=["."],
            extra_compile_args=["-std=c++17", "-O3", "-g1", "-fno-plt", "-Wno-unused-function"],
            extra_link_args=["-pthread"],
            define_macros=[("BACKSTAY_CHECKED", "1")] if CHECKED else [],
        )
        for path in sources
    ]


setup(
    ext_modules=cythonize(
        extensions(),
        build_dir="build/cython-checked" if CHECKED else "build/cython",
        compiler_directives=DIRECTIVES,
        nthreads=os.cpu_count() or 1,
        show_all_warnings=False,
    ),
)
