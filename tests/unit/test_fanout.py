"""The line of answers: it keeps nothing alive that has gone, and one answer that cannot be made holds nobody up."""

from __future__ import annotations

import gc
import weakref

from gateway.options import ApiLimits, KeyOptions
from gateway.stream.fanout import Fanout, Outbox
from gateway.stream.keys import KeyRing, make_key
from tests.property.resume_world import SECRET, Client, Node
from tests.unit.engine_rig import Rig
from tests.unit.test_outbox import Pipe


class Owner:
    """What a session is to its outbox: it knows the fanout, and the outbox knows it."""

    def __init__(self, fanout: Fanout) -> None:
        self.fanout = fanout

    def too_slow(self) -> None:
        return None


def test_a_fanout_that_is_let_go_with_answers_under_way_is_collected() -> None:
    fanout = Fanout(Rig().state.names, 1)
    owner = Owner(fanout)
    box = Outbox(Pipe(), -1, 1000, False, owner.too_slow)
    fanout.ask(5, box, 1, 0, 0)
    fanout.hold(box, 6, b"{}")
    fanout.put_off(box, owner.too_slow)
    gone = weakref.ref(owner)
    del fanout, owner, box
    gc.collect()
    assert gone() is None


def place(client: Client) -> None:
    client.requests += 1
    terms = {"symbol": "S0", "side": "buy", "ord_type": "limit", "qty": "1", "px": "90", "tif": "gtc"}
    client._send({"t": "place", "id": client.requests, "cl_ord_id": "o1", **terms})


def test_a_repeat_that_cannot_be_read_holds_nobody_up() -> None:
    node = Node()
    rig = node.rig
    limits = ApiLimits()
    key = make_key(KeyOptions(name="k", kind="hmac", accounts=["A0"], scopes=["trade"]), SECRET, limits, ["A0"])
    node.server.keys = KeyRing([key])
    client = Client()
    client.connect(node)
    rig.up()
    place(client)
    place(client)  # its answer waits behind the first one's

    def unreadable(position: int) -> bytes:
        raise OSError(5, f"no such luck at {position}")

    rig.engine.read_frame = unreadable
    rig.sync()
    assert client.pipe is not None
    assert b'"re":2' in client.pipe.waiting
    assert b'"err","re":3' in client.pipe.waiting
    assert len(rig.link.submitted) == 1
