"""The planted bugs of a planted build: which invariant must notice each, and within how many seeds.

A checker that has never fired proves nothing. `python -m tests.sim plants` turns each plant on and runs seeds until a
named invariant notices it. Where ordinary seeds meet the bug so rarely that its budget would be a matter of luck, the
row has faults that steer towards it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway import plants
from tests.sim.kept import BadInput
from tests.sim.runner import Job
from tests.sim.tally import FaultList


@dataclass(frozen=True, slots=True)
class Plant:
    """One planted bug.

    noticed_by: invariants, one of which must be the first of its seed to notice; `drift`: two runs of one seed differ.
    budget: seeds within which that must happen. about: what the bug is.
    faults, orders: of the steered workload; None: what each seed draws. core: `twice` runs each seed two times.
    """

    name: str
    about: str
    noticed_by: tuple[str, ...]
    budget: int
    tier: str = "core"
    faults: FaultList = None
    orders: int | None = None
    core: str = "compiled"

    def job(self) -> Job:
        """How its seeds are run."""
        return Job(tier=self.tier, faults=self.faults, orders=self.orders, core=self.core, plant=self.name)


PLANTS: Sequence[Plant] = (
    Plant("acknowledge_before_durable", "clients hear of records that are not on disk yet", ("I1",), 50),
    Plant("append_after_torn_tail", "a torn tail stays, and new records follow it", ("I1", "I8"), 20),
    Plant(
        "new_id_after_restart", "a restart sends what has no answer again, under a new id", ("I2",), 20,
        faults=(("node.crash", 0.005), ("link.delay", 0.5), ("disk.lose", 0.3)),
    ),
    Plant("timeout_is_refusal", "no answer is taken for a refusal", ("I3",), 100),
    Plant("count_repeated_fill_twice", "an execution that comes again counts again", ("I4", "I5"), 5),
    Plant(
        "ignore_fill_after_cancel", "a fill after the end of its order is no fill", ("I5",), 50,
        faults=(("link.overtake", 0.5), ("link.delay", 0.5), ("venue.partial", 0.8)),
    ),
    Plant(
        "reserve_on_acknowledgement", "an order reserves once the broker has acknowledged it", ("I9",), 50,
        faults=(("client.greedy", 0.9), ("client.flood", 0.1), ("link.delay", 1.0)),
    ),
    Plant(
        "free_all_on_cancel", "a cancel frees also what fills on their way have taken", ("I9",), 300,
        faults=(("client.greedy", 0.7), ("link.overtake", 0.5), ("link.linger", 0.3), ("venue.partial", 0.4)),
        orders=100,
    ),
    Plant(
        "check_kill_at_admission_only", "a kill stops nothing that was accepted before it", ("I10",), 200,
        faults=(("operator.kill", 0.02), ("client.flood", 0.1), ("disk.slow", 0.1), ("link.full", 0.2)),
    ),
    Plant(
        "trigger_twice_after_restart", "nobody asks whether a stop fired before the crash", ("I11",), 200,
        faults=(("node.crash", 0.005), ("disk.slow", 0.3), ("disk.lose", 0.3)),
    ),
    Plant("keep_trails_still", "trailing stops do not trail", ("I11",), 50, faults=(("client.trails", 0.9),)),
    Plant("trigger_on_stale_quote", "prices never grow old", ("I12",), 500),
    Plant("skip_seq_on_resume", "a resumed stream begins one event late", ("I13",), 200),
    Plant("drop_for_slow_client", "a client that lags is spared events", ("I13", "I14"), 200),
    Plant("late_fill_is_not_late", "a fill after its order's end is not called late", ("I6",), 50),
    Plant("change_without_a_record", "the hand-over changes the state, no record says so", ("I7",), 20),
    Plant(
        "keep_a_slow_client", "a client that does not read is never closed", ("I14",), 100,
        faults=(("client.stuck", 0.1), ("client.flood", 0.1), ("client.slow", 0.5)), orders=240,
    ),
    Plant("tell_another_account", "events go to the first account's followers", ("I20",), 20),
    Plant("forget_what_is_in_doubt", "a link that is back brings no question about doubts", ("I23",), 50),
    Plant("iterate_a_set", "connections are written to in the order of a set", ("I7", "drift"), 200, core="twice"),
    Plant(
        "exits_wait_their_turn", "one line for all, the oldest first", ("I15",), 100,
        faults=(("venue.rate", 2), ("client.flood", 0.1), ("link.outage", 0.03)),
    ),
    Plant("spend_no_tokens", "what leaves is not counted against the rate", ("I15",), 50),
    Plant("live_without_a_parent", "children live whatever their parent has filled", ("I24",), 20),
    Plant("keep_a_sibling_whole", "a fill leaves its siblings as they are", ("I24",), 50),
    Plant("leave_beside_a_sibling", "what fires leaves beside a sibling that works at the broker", ("I24",), 300),
    Plant(
        "apply_older_of_two_feeds", "what one feed brings late overwrites what the other has brought", ("I12",), 200,
        faults=(("feed.second", 1.0), ("feed.delay", 0.1), ("feed.gap", 0.02), ("feed.down", 0.01)),
    ),
    Plant(
        "blind_by_one_feed", "what is blind is judged by the first feed alone", ("I25",), 50,
        faults=(("feed.second", 1.0), ("feed.gap", 0.05), ("feed.down", 0.05)),
    ),
    Plant("read_real_clock", "the router stamps the broker's words with the machine's clock", ("Escape",), 200),
)  # fmt: skip


def chosen(names: Sequence[str], rows: Sequence[Plant] = PLANTS) -> list[Plant]:
    """The rows of these plants, or all. Raises BadInput: no plants in this build, or a name that no row has."""
    if not plants.PLANTED:
        raise BadInput("this build has no planted bugs; make one that has and run them there: scripts/sim-plants.sh")
    known = {row.name: row for row in rows}
    for name in names:
        if name not in known:
            raise BadInput(f"no row for a plant {name!r}; there are: {', '.join(known)}")
    return [known[name] for name in names] or list(rows)


def unmatched(built: Sequence[str], rows: Sequence[Plant] = PLANTS) -> list[str]:
    """What does not fit: plants of the build without a row, rows without a plant."""
    named = [row.name for row in rows]
    missing = [f"the build has the plant {name}, and no row says which invariant must notice it" for name in built]
    strange = [f"there is a row for {name}, and the build has no such plant" for name in named]
    return [text for name, text in zip(built, missing, strict=True) if name not in named] + [
        text for name, text in zip(named, strange, strict=True) if name not in built
    ]
