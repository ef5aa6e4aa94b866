"""Measurements, never in a wheel and never a test's verdict.

Conventions: a bar is a ratio to a floor measured in the same run, or a count; every table names its floor. Micro
benches are `benchmarks/bench_*.py` for pytest-benchmark; `python -m benchmarks` runs the end-to-end harnesses, with
`--quick` a short form that shows only that they work; `--json FILE` writes the figures.
"""
