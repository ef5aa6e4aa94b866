"""What every test shares: the length of property runs and the recorded market data, when it is there."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT.parent / "shared" / "data"

# BACKSTAY_PROPERTY_STEPS is how many generated steps one property drives; each example of a history has about 50.
PROPERTY_STEPS = int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "5000"))

settings.register_profile(
    "backstay",
    max_examples=max(10, PROPERTY_STEPS // 50),
    deadline=None,  # a shared machine stalls for tens of milliseconds: time is measured by the benches, not here
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("backstay")


@pytest.fixture(scope="session")
def property_steps() -> int:
    """Generated steps that a property should drive in this run (quick by default, millions on request)."""
    return PROPERTY_STEPS


@pytest.fixture(scope="session")
def recorded_dir() -> Path:
    """Folder of the recorded market data; the test is skipped where it is not there."""
    if not RECORDED.is_dir():
        pytest.skip("no recorded market data beside the project")
    return RECORDED
