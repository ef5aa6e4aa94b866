"""Which package may import which: read from the text, since import-linter cannot see `cimport`."""

import re
from collections.abc import Iterator

from tests.tidy.tree import Source

OURS = ("hotpath", "risk", "brokers", "recon", "gateway", "services", "backstay")
MAY_IMPORT = {
    "hotpath": {"hotpath"},
    "risk": {"risk", "hotpath"},
    "brokers": {"brokers", "hotpath"},
    "recon": {"recon", "hotpath", "brokers.ports"},
    "gateway": {"gateway", "hotpath", "risk", "brokers", "recon"},
    "services": {"services", "hotpath", "gateway.contracts"},
    "sdk": {"backstay"},
}
# The demonstration and the small `backstay order` client are users of the SDK, like anybody else's program.
SDK_USERS = ("gateway/demo", "gateway/cli")

IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+(?:\s*,\s*[\w.]+)*))", re.MULTILINE)


def imports_point_down(source: Source) -> Iterator[str]:
    """Imports run one way: hotpath knows nothing of ours, the gateway knows all, the SDK stands alone."""
    package = source.path.split("/")[0]
    allowed = set(MAY_IMPORT[package])
    if source.path.startswith(SDK_USERS):
        allowed.add("backstay")
    for found in IMPORT.finditer(source.text):
        for name in re.split(r"\s*,\s*", found[1] or found[2]):
            if name.split(".")[0] not in OURS:
                continue
            if not any(name == able or name.startswith(able + ".") for able in allowed):
                line = source.text.count("\n", 0, found.start(1 if found[1] else 2)) + 1
                yield f"{source.path}:{line}: {package} may not import {name}"
