"""What only a simulation turns on: planted bugs, marks of branches that were reached, rare branches that are forced.

A plant is one condition at the place in the product where such a bug would be, guarded by `PLANTED`: False in normal
builds, where compiled code has no trace of it (hotpath/src/plants.hpp). `BACKSTAY_BUILD=planted` makes a build that has
them, for the tests alone. Marks cost a call and a comparison where nobody listens: they are for rare branches only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gateway.errors import GatewayError
from hotpath.plants import choose_plant, compiled_plants
from hotpath.ticket import Ticket

COMPILED: Final[Sequence[str]] = tuple(compiled_plants())
IN_PYTHON: Final[Sequence[str]] = (
    "acknowledge_before_durable",
    "append_after_torn_tail",
    "timeout_is_refusal",
    "new_id_after_restart",
    "trigger_twice_after_restart",
    "forget_what_is_in_doubt",
    "skip_seq_on_resume",
    "read_real_clock",
    "exits_wait_their_turn",
    "spend_no_tokens",
    "leave_beside_a_sibling",
    "fire_time_orders_late",
)
PLANTED: Final[bool] = bool(COMPILED)


class NoSuchPlant(GatewayError):
    """A planted bug was asked for that this build does not have."""


RENAMED_REV: Final = b"Z1"  # in the broker's id, where the revision stands: one that no client's replace comes to

renamed: Final[set[int]] = set()  # orders that a planted restart will send under ids of its own making
handed_over: Final[set[int]] = set()  # orders that left, in any life since the bug was turned on
_on = ""
_reached: Callable[[str], None] | None = None
_chance: Callable[[str, int], bool] | None = None


def plants() -> Sequence[str]:
    """Names of the planted bugs of this build; none in a normal one."""
    return (*COMPILED, *IN_PYTHON) if PLANTED else ()


def turn_on(name: str) -> None:
    """Turn one planted bug on, and off the one that was. Raises NoSuchPlant."""
    global _on
    if not PLANTED:
        raise NoSuchPlant(f"plant {name!r}: this build has none; make one that has with scripts/copy-build.sh planted")
    if name not in plants():
        raise NoSuchPlant(f"no plant {name!r}; there are: {', '.join(plants())}")
    choose_plant(COMPILED.index(name) + 1 if name in COMPILED else 0)
    handed_over.clear()
    _on = name


def turn_off() -> None:
    """No planted bug is on."""
    global _on
    choose_plant(0)
    _on = ""


def is_on(name: str) -> bool:
    """Whether that bug is on; ask only behind `PLANTED`."""
    return _on == name


def watch(reached: Callable[[str], None] | None, chance: Callable[[str, int], bool] | None = None) -> None:
    """A simulation listens: `reached` is told each mark, `chance` decides rare branches; None ends it."""
    global _reached, _chance
    _reached, _chance = reached, chance


def under_new_ids(tickets: Sequence[Ticket]) -> list[Ticket]:
    """The planted bug of a restart that does not know the ids of before: its orders leave under others."""
    handed_over.update(ticket.order for ticket in tickets)
    return [_under_new_id(ticket) if ticket.order in renamed else ticket for ticket in tickets]


def _under_new_id(ticket: Ticket) -> Ticket:
    name = ticket.broker_cl_ord_id
    return Ticket(
        order=ticket.order, rev=ticket.rev, broker_cl_ord_id=name[: -len(RENAMED_REV)] + RENAMED_REV,
        symbol=ticket.symbol, side=ticket.side, ord_type=ticket.ord_type, tif=ticket.tif, protective=ticket.protective,
        qty_e9=ticket.qty_e9, px_e9=ticket.px_e9, expire_ns=ticket.expire_ns,
    )  # fmt: skip


def reach(name: str) -> None:
    """A branch was reached that no run may miss for ever."""
    if _reached is not None:
        _reached(name)


def sometimes(name: str, ppm: int) -> bool:
    """Whether to force a rare branch now, with a probability in parts per million; never outside a simulation."""
    return _chance is not None and _chance(name, ppm)
