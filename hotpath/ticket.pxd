"""What the router hands to a broker adapter: one order, cancel or replace, ready to be encoded."""
from libc.stdint cimport int64_t, uint32_t

cdef class Ticket:
    cdef readonly uint32_t order              # row of the order
    cdef readonly uint32_t rev                # revision that this ticket carries
    cdef readonly bytes broker_cl_ord_id      # identity shown to the broker, for life (of this revision)
    cdef readonly bytes orig_broker_cl_ord_id # cancel/replace: the revision in force at the broker
    cdef readonly bytes broker_order_id       # the broker's own id, b"" while unknown
    cdef readonly bytes symbol
    cdef readonly int side
    cdef readonly int ord_type
    cdef readonly int tif
    cdef readonly int protective              # reduce-only or fired stop: goes first
    cdef readonly int64_t qty_e9              # order quantity (a replace: the new total)
    cdef readonly int64_t px_e9               # 0 = market
    cdef readonly int64_t expire_ns
    cdef readonly int64_t stop_px_e9          # a stop for the broker to hold; 0 = none
    cdef readonly int64_t trail_e9            # its trigger follows the market at this distance; 0 = it stands
    cdef readonly int64_t trail_bps_e9        # or at this share of the price
