"""A request sent right behind a resume: its answer keeps its place behind the replay."""

from __future__ import annotations

from tests.property.resume_world import Client, Node


def test_a_fast_disk_lets_no_answer_overtake_the_replay() -> None:
    node = Node()
    for number in range(5):
        node.rig.place(f"old-{number}")
    node.rig.sync()
    client = Client()
    client.connect(node)
    assert client.pipe is not None
    client._frames(len(client.pipe.waiting))  # welcome and status
    client.subscribe(node, (node.rig.state.history.hex(), 2))
    head = node.rig.engine.fanout.heads[0]
    order = {"symbol": "S0", "side": "buy", "ord_type": "limit", "qty": "1", "px": "90", "tif": "gtc"}
    client._send({"t": "place", "id": 9, "account": "A0", "cl_ord_id": "mine", **order})
    node.rig.sync()  # the order is durable before the replay had its turn
    node.rig.turn()
    frames = client._frames(len(client.pipe.waiting))
    told = [frame["seq"] for frame in frames if "ts_ns" in frame and "cl_ord_id" in frame]
    fresh = [seq for at, seq in enumerate(told) if seq not in told[:at]]
    assert frames[0]["t"] == "sync"
    assert fresh == list(range(3, 3 + len(fresh)))
    assert fresh[-1] > head
    (answer,) = [frame for frame in frames if frame.get("re") == 9]
    assert answer["t"] == "accepted"
    assert [frame["t"] for frame in frames].count("live") == 1
