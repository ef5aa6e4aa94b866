"""Files of trace digests: what each seed's run hashed to, to be compared on another build, Python or hash seed.

The first line says what the digests are of: `backstay-sim-digests FORMAT tier=core orders=30 ...`. Two files compare
only when it is the same, so a file from before a change of the trace's form is refused, not reported as drift.
"""

from __future__ import annotations

from pathlib import Path

from tests.sim.kept import BadInput
from tests.sim.runner import Job
from tests.sim.tally import value_text

MAGIC = "backstay-sim-digests"
# Raised by whoever changes what a line of the trace says or when a seed draws something: old digests mean nothing then.
TRACE_FORMAT = 5


def head(job: Job) -> str:
    """The first line for runs of this job; the core is left out, since both must give the same."""
    orders = "default" if job.orders is None else job.orders
    faults = (
        "drawn" if job.faults is None else ",".join(f"{n}={value_text(v)}" for n, v in sorted(job.faults)) or "none"
    )
    return f"{MAGIC} {TRACE_FORMAT} tier={job.tier} orders={orders} faults={faults} plant={job.plant or 'none'}"


def write(path: Path, job: Job, digests: dict[int, str]) -> None:
    """Seed and digest, a line each, by seed."""
    lines = [head(job), *(f"{seed} {digest}" for seed, digest in sorted(digests.items()))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def read(path: Path, job: Job) -> dict[int, str]:
    """The digests of a file that was written for the same job."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read digests from {path}: {error}") from None
    words = lines[0].split() if lines else []
    if len(words) < 2 or words[0] != MAGIC:
        raise BadInput(f"{path} is no file of trace digests: its first line does not begin with {MAGIC}")
    if words[1] != str(TRACE_FORMAT):
        raise BadInput(
            f"{path} is of trace format {words[1]}, this version writes {TRACE_FORMAT}: write it anew with --digests"
        )
    if lines[0] != head(job):
        raise BadInput(f"{path} is of other runs: it says {lines[0]!r}, asked for is {head(job)!r}")
    found = {}
    for number, line in enumerate(lines[1:], 2):
        seed, _, digest = line.partition(" ")
        if not seed.isdecimal() or not digest.strip():
            raise BadInput(f"{path} line {number}: expected a seed and its digest")
        found[int(seed)] = digest.strip()
    if not found:
        raise BadInput(f"{path} holds no digest")
    return found


def differences(expected: dict[int, str], got: dict[int, str]) -> list[tuple[int, str, str]]:
    """Seeds whose digest is another one, with both; a seed that did not run is not compared."""
    return [
        (seed, expected[seed], digest)
        for seed, digest in sorted(got.items())
        if seed in expected and expected[seed] != digest
    ]
