"""What the router hands to a broker adapter: one order, cancel or replace, ready to be encoded."""


cdef class Ticket:
    """One instruction for a broker. Frozen after construction; quantities and prices in 1e-9."""

    def __init__(
        self,
        *,
        order: int,
        rev: int = 1,
        broker_cl_ord_id: bytes,
        orig_broker_cl_ord_id: bytes = b"",
        broker_order_id: bytes = b"",
        symbol: bytes,
        side: int,
        ord_type: int,
        tif: int,
        protective: int = 0,
        qty_e9: int,
        px_e9: int = 0,
        expire_ns: int = 0,
        stop_px_e9: int = 0,
        trail_e9: int = 0,
        trail_bps_e9: int = 0,
    ):
        self.order = order
        self.rev = rev
        self.broker_cl_ord_id = broker_cl_ord_id
        self.orig_broker_cl_ord_id = orig_broker_cl_ord_id
        self.broker_order_id = broker_order_id
        self.symbol = symbol
        self.side = side
        self.ord_type = ord_type
        self.tif = tif
        self.protective = protective
        self.qty_e9 = qty_e9
        self.px_e9 = px_e9
        self.expire_ns = expire_ns
        self.stop_px_e9 = stop_px_e9
        self.trail_e9 = trail_e9
        self.trail_bps_e9 = trail_bps_e9
