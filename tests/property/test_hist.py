"""Histogram: the kernel answers like the twin that keeps every value."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from hotpath.hist import Histogram as Kernel
from hotpath.ref.hist import Histogram as Twin

EXAMPLES = max(200, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "6000")) // 30)

durations = st.builds(lambda bits, near: 2**bits + near, st.integers(0, 62), st.integers(-3, 3)) | st.integers(
    -(2**63), 2**63 - 1
)
histories = st.lists(durations, max_size=60)
percents = st.floats(0, 100) | st.sampled_from([0.0, 50.0, 99.0, 99.9, 100.0])


@settings(max_examples=EXAMPLES, deadline=None)
@given(histories, histories, percents, st.lists(st.integers(0, 2**62) | durations, max_size=8))
def test_kernel_equals_twin(first: list[int], second: list[int], p: float, bounds_ns: list[int]) -> None:
    kernels, twins = (Kernel(), Kernel()), (Twin(), Twin())
    for number, values_ns in enumerate((first, second)):
        for value_ns in values_ns:
            kernels[number].record(value_ns)
            twins[number].record(value_ns)
    bounds_ns.sort()
    for _ in range(2):
        assert kernels[0].snapshot() == twins[0].snapshot()
        assert kernels[0].percentile(p) == twins[0].percentile(p)
        assert kernels[0].buckets(bounds_ns) == twins[0].buckets(bounds_ns)
        kernels[0].merge(kernels[1])
        twins[0].merge(twins[1])
