"""Memory of the order table is committed ahead of need, in parts, and never past its end."""

from __future__ import annotations

from hotpath.orders import OrderTable


def test_rows_are_committed_in_parts_up_to_the_capacity() -> None:
    table = OrderTable(1000)
    assert [table.commit_ahead(900, 400) for _ in range(4)] == [400, 400, 100, 0]
    assert table.commit_ahead(5000, 400) == 100  # the end of the table
    assert table.commit_ahead(5000, 400) == 0
    assert table.count == 0
    assert OrderTable(1000).dump() == table.dump()
