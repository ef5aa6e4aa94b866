"""Twin of hotpath.checks: the pre-trade gate in plain integers. Slow, short, and the specification of the compiled one.

`quotes` is anything with `count`, `capacity`, `snapshot(row)` and `reference(row, mono_ns)` of a quote table.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from hotpath.enums import Control, HaltLevel, HaltScope, Side
from hotpath.ref.fixed import E9
from hotpath.ref.ledger import LIMIT_FIELDS, Account, Bucket, Pair, booked, fits
from hotpath.ref.rules import SCOPE_INSTRUMENT, Ask, Decider, Quotes, Refused

SIDES = (Side.BUY, Side.SELL)
MAGIC = b"BSG1"
HEADER = struct.Struct("<4sIQIIII")
ACCOUNT = struct.Struct("<16qI4B")
HALT = struct.Struct("<II")
PAIR = struct.Struct("<11q2I")
RESTING = struct.Struct("<IIqqq")


class Gate:
    """The same calls as the compiled gate; those that move state answer 0, or -1 with nothing changed."""

    def __init__(self, quotes: Quotes, account_capacity: int) -> None:
        self.quotes, self.account_capacity = quotes, account_capacity
        self.accounts: dict[int, Account] = {}
        self.pairs: dict[tuple[int, int], Pair] = {}
        self.resting: dict[tuple[int, int, int], dict[int, int]] = {}
        self.global_halt = 0
        self.instrument_halts: dict[int, int] = {}

    @property
    def account_count(self) -> int:
        """Rows up to the last account that was opened."""
        return max(self.accounts, default=-1) + 1

    def check_py(self, **fields: Any) -> dict[str, int]:
        ask = Ask(**fields)
        if ask.instrument >= self.quotes.count:
            return Refused(Control.SESSION_CAL, SCOPE_INSTRUMENT).decision()
        return Decider(self, ask).decide()

    def open_account_py(self, account: int, group: int, cash_e4: int) -> int:
        if account >= self.account_capacity or account in self.accounts:
            return -1
        self.accounts[account] = Account(group, cash_e4)
        return 0

    def set_limits_py(self, account: int, limits: Mapping[str, int]) -> int:
        row = self.accounts.get(account)
        rates = [limits[name] for name in LIMIT_FIELDS[-4:]]
        if row is None or min(limits.values()) < 0 or max(rates) > E9:
            return -1
        row.orders.configure(limits["order_rate_per_s"], limits["order_burst"], is_new=not row.has_limits)
        row.messages.configure(limits["msg_rate_per_s"], limits["msg_burst"], is_new=not row.has_limits)
        row.limits, row.has_limits = dict(limits), True
        return 0

    def set_halt_py(self, scope: int, index: int, level: int) -> int:
        if not HaltLevel.ARMED <= level <= HaltLevel.FLATTEN:
            return -1
        if scope == HaltScope.GLOBAL:
            self.global_halt = level
        elif scope == HaltScope.ACCOUNT and index in self.accounts:
            self.accounts[index].halt_level = level
        elif scope == HaltScope.INSTRUMENT and index < self.quotes.capacity:
            self.instrument_halts[index] = level
        else:
            return -1
        return 0

    def reserve_py(
        self,
        account: int,
        instrument: int,
        side: int,
        qty_e9: int,
        px_e9: int,
        reduce_only: bool = False,
        resting: bool = False,
    ) -> int:
        return self.rereserve_py(account, instrument, side, 0, 0, qty_e9, px_e9, reduce_only, resting)

    def unreserve_py(
        self,
        account: int,
        instrument: int,
        side: int,
        qty_e9: int,
        px_e9: int,
        reduce_only: bool = False,
        resting: bool = False,
    ) -> int:
        return self.rereserve_py(account, instrument, side, qty_e9, px_e9, 0, 0, reduce_only, resting)

    def rereserve_py(
        self,
        account: int,
        instrument: int,
        side: int,
        old_qty_e9: int,
        old_px_e9: int,
        qty_e9: int,
        px_e9: int,
        reduce_only: bool = False,
        resting: bool = False,
    ) -> int:
        row = self.accounts.get(account)
        if row is None or instrument >= self.quotes.capacity or side not in SIDES or min(old_qty_e9, qty_e9, px_e9) < 0:
            return -1
        book = self.resting.get((row.group, instrument, side), {})
        if resting and old_px_e9 > 0 and old_px_e9 not in book:
            return -1
        pair = self.pairs.get((account, instrument)) or Pair(account, instrument)
        try:
            staged = pair.moved(side, -old_qty_e9, reduce_only).moved(side, qty_e9, reduce_only)
            staged.value(side, px_e9 if qty_e9 else 0)
            self.commit(row, pair, staged)
        except OverflowError:
            return -1
        if resting and old_px_e9 > 0:
            book[old_px_e9] -= 1
            if book[old_px_e9] == 0:
                del book[old_px_e9]
        if resting and px_e9 > 0:
            book = self.resting.setdefault((row.group, instrument, side), {})
            book[px_e9] = book.get(px_e9, 0) + 1
        return 0

    def commit(self, row: Account, before: Pair, staged: Pair) -> None:
        row.gross_e4 = fits(row.gross_e4 - before.expo_e4 + staged.expo_e4)
        self.pairs[staged.account, staged.instrument] = staged

    def fill_py(self, account: int, instrument: int, side: int, qty_e9: int, px_e9: int, fee_e4: int = 0) -> int:
        row = self.accounts.get(account)
        if row is None or instrument >= self.quotes.capacity or side not in SIDES or qty_e9 <= 0 or px_e9 <= 0:
            return -1
        before = self.pairs.get((account, instrument)) or Pair(account, instrument)
        try:
            staged, profit_e4 = booked(before, side, qty_e9, px_e9)
            realised_e4, fees_e4 = fits(row.realised_e4 + profit_e4), fits(row.fees_e4 + fee_e4)
            cash_e4 = fits(fits(row.cash_e4 + profit_e4) - fee_e4)
            staged.value(side, px_e9 if staged.signed_pos(side) > 0 else 0)
            self.commit(row, before, staged)
        except OverflowError:
            return -1
        row.cash_e4, row.realised_e4, row.fees_e4 = cash_e4, realised_e4, fees_e4
        return 0

    def can_book(self, account: int, instrument: int, side: int, qty_e9: int, px_e9: int) -> bool:
        """Whether one more reservation or fill of this size could be booked: false only for numbers that overflow."""
        row = self.accounts.get(account)
        if row is None or instrument >= self.quotes.capacity or qty_e9 < 0 or px_e9 < 0:
            return False
        before = self.pairs.get((account, instrument)) or Pair(account, instrument)
        try:
            staged = before.moved(side, qty_e9, False)
            staged.value(side, px_e9)
            fits(row.gross_e4 - before.expo_e4 + staged.expo_e4)
            if qty_e9 == 0 or px_e9 == 0:
                return True
            staged, profit_e4 = booked(before, side, qty_e9, px_e9)
            staged.value(side, px_e9)
            fits(row.gross_e4 - before.expo_e4 + staged.expo_e4)
            fits(row.realised_e4 + profit_e4)
            fits(row.cash_e4 + profit_e4)
        except OverflowError:
            return False
        return True

    def count_open_py(self, account: int, delta: int) -> int:
        row = self.accounts.get(account)
        if row is None or row.open_orders + delta < 0:
            return -1
        row.open_orders += delta
        return 0

    def reducible_qty_py(self, account: int, instrument: int, side: int, own_qty_e9: int = 0) -> int:
        pair = self.pairs.get((account, instrument)) or Pair(account, instrument)
        return max(-pair.signed_pos(side) - pair.open_reduce_qty(side) + own_qty_e9, 0)

    def best_resting(self, group: int, instrument: int, side: int) -> int:
        book = self.resting.get((group, instrument, side))
        if not book:
            return 0
        return max(book) if side == Side.BUY else min(book)

    def account(self, account: int) -> dict[str, Any]:
        """Row of an account, with its limits and halt level."""
        if account >= self.account_capacity:
            raise IndexError(f"no account at row {account}")
        known = self.accounts.get(account)
        row = known or Account(0, 0)
        return {
            "limits": dict(row.limits), "cash_e4": row.cash_e4, "realised_e4": row.realised_e4,
            "fees_e4": row.fees_e4, "gross_e4": row.gross_e4, "open_orders": row.open_orders,
            "order_bucket": asdict(row.orders), "msg_bucket": asdict(row.messages), "group": row.group,
            "halt_level": row.halt_level, "has_limits": int(row.has_limits), "is_open": int(known is not None),
            "pad": 0,
        }  # fmt: skip

    def pair_of(self, account: int, instrument: int) -> dict[str, int] | None:
        pair = self.pairs.get((account, instrument))
        return None if pair is None else asdict(pair)

    def pairs_py(self) -> list[dict[str, int]]:
        """All pairs in creation order."""
        return [asdict(pair) for pair in self.pairs.values()]

    def halts_py(self) -> tuple[int, dict[int, int]]:
        """(global level, {instrument: level})."""
        return self.global_halt, {index: level for index, level in sorted(self.instrument_halts.items()) if level}

    def dump_py(self) -> bytes:
        """Canonical bytes: header, accounts, halted instruments, pairs in creation order, resting prices sorted."""
        size = self.account_count
        halts = sorted((index, level) for index, level in self.instrument_halts.items() if level)
        resting = [
            RESTING.pack(group, instrument, side, px, count)
            for (group, instrument, side), book in sorted(self.resting.items())
            for px, count in sorted(book.items())
        ]
        header = HEADER.pack(MAGIC, size, len(self.pairs), len(halts), len(resting), self.global_halt, 0)
        rows = [self.account_image(self.accounts.get(index)) for index in range(size)]
        pairs = [PAIR.pack(*pair.fields()) for pair in self.pairs.values()]
        return b"".join([header, *rows, *(HALT.pack(*halt) for halt in halts), *pairs, *resting])

    def load_py(self, data: bytes) -> None:
        """Replaces everything; buckets start full. Raises ValueError on bytes that no dump made."""
        if len(data) < HEADER.size:
            raise ValueError(f"gate image is too short: {len(data)} bytes")
        magic, size, pairs, halts, resting, global_halt, _ = HEADER.unpack_from(data)
        ends = [HEADER.size]
        for layout, count in ((ACCOUNT, size), (HALT, halts), (PAIR, pairs), (RESTING, resting)):
            ends.append(ends[-1] + layout.size * count)
        if magic != MAGIC or size > self.account_capacity or global_halt > HaltLevel.FLATTEN or ends[-1] != len(data):
            raise ValueError(f"gate image does not fit: magic={magic!r} accounts={size} size={len(data)}")
        parts = [data[start:stop] for start, stop in pairwise(ends)]
        rows = [self._account(*row) for row in ACCOUNT.iter_unpack(parts[0])]
        self.accounts = {index: row for index, row in enumerate(rows) if row is not None}
        self.global_halt, self.instrument_halts = global_halt, dict(HALT.iter_unpack(parts[1]))
        self.pairs = {(row[-2], row[-1]): Pair(*row[-2:], *row[:-2]) for row in PAIR.iter_unpack(parts[2])}
        self.resting = {}
        for group, instrument, side, px, count in RESTING.iter_unpack(parts[3]):
            self.resting.setdefault((group, instrument, side), {})[px] = count

    @staticmethod
    def _account(*row: int) -> Account | None:
        """The account of an image; None where none was opened."""
        limits = dict(zip(LIMIT_FIELDS, row, strict=False))
        cash_e4, realised_e4, fees_e4, gross_e4, open_orders, group, halt_level, has_limits, is_open, _ = row[11:]
        orders, messages = Bucket(), Bucket()
        orders.configure(limits["order_rate_per_s"], limits["order_burst"], is_new=True)
        messages.configure(limits["msg_rate_per_s"], limits["msg_burst"], is_new=True)
        known = Account(
            group, cash_e4, limits, bool(has_limits), halt_level, realised_e4, fees_e4, gross_e4, open_orders, orders,
            messages,
        )  # fmt: skip
        return known if is_open else None

    @staticmethod
    def account_image(row: Account | None) -> bytes:
        if row is None:
            return bytes(ACCOUNT.size)
        limits = [row.limits[name] for name in LIMIT_FIELDS]
        money = (row.cash_e4, row.realised_e4, row.fees_e4, row.gross_e4, row.open_orders)
        return ACCOUNT.pack(*limits, *money, row.group, row.halt_level, row.has_limits, True, False)
