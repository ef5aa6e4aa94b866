"""Payloads of the journal: one struct for each record kind, little endian, naturally aligned, version 2.

An order event states the order's whole condition after it (`OrderEvent`), then what is special to its kind. So an event can be
rendered, and applied, from its record alone. Variable text follows the fixed part as a tail of the sizes that the part names.
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint16_t, uint8_t
from hotpath.checks cimport Limits

cpdef enum Kind:
    # the world
    EPOCH_STARTED = 1
    ACCOUNT_OPENED = 2
    INSTRUMENT_LISTED = 3
    LIMITS_SET = 4
    HALT_CHANGED = 5
    INSTRUMENT_STATE = 6
    STOPPED = 7
    BROKER_ANOMALY = 8
    SUSPECTED = 9
    CLEARED = 10
    BROKEN_EARLY = 11
    TRAIL_MARK = 12
    # one order; 20..49
    ACCEPTED = 20
    SENT_EV = 21
    NEW_EV = 22
    TRADE = 23
    RELEASED = 24
    TRIGGERED = 25
    TRAILED = 26
    PENDING_REPLACE_EV = 27
    REPLACED = 28
    REPLACE_REJECTED = 29
    PENDING_CANCEL_EV = 30
    CANCELED_EV = 31
    CANCEL_REJECTED = 32
    EXPIRED_EV = 33
    REJECTED_EV = 34
    IN_DOUBT_EV = 35
    REQUEUED = 36
    RESTATED = 37
    TRADE_CORRECTED = 38
    TRADE_CANCELED = 39
    # the account, not one order; 60..79
    CANCEL_ALL_EV = 60
    BATCH_EV = 61
    HALT_EV = 62
    GUARD_EV = 63

cpdef enum:
    PAYLOAD_VERSION = 2
    CL_ORD_ID_MAX = 36
    BROKER_ID_MAX = 24
    BROKER_ORDER_ID_MAX = 40
    EXEC_ID_MAX = 48
    TEXT_MAX = 240

cdef struct Terms:                       # 144 bytes
    int64_t order_qty_e9
    int64_t px_e9                        # 0 = market
    int64_t stop_px_e9                   # 0 = no trigger price; of a trailing stop: where it becomes active
    int64_t collar_bps_e9                # 0 = the account's
    int64_t expire_ns                    # gtd and the end of a day order, 0 = none
    int64_t max_queue_ns                 # -1 = no limit
    int64_t max_age_ns                   # 0 = the instrument's
    int64_t trail_e9                     # distance of a trailing stop, by trail_unit
    int64_t limit_offset_e9              # a trailing stop's limit beyond its stop, where has_limit_offset
    int64_t gain_e9                      # break-even: how far ahead the price must be, by gain_unit; 0 = none
    int64_t plus_e9                      # break-even: beyond the parent's price
    int64_t at_ns                        # time trigger: wall clock, 0 = none
    int64_t after_ns                     # time trigger: since it was armed, 0 = none
    int64_t confirm_ns                   # for so long the condition must hold, 0 = none
    int64_t whole_qty_e9                 # what the client asked for: `order_qty_e9` is what its parent and its group leave of it
    uint32_t confirm_ticks               # for so many qualifying updates; 0 and 1 = the first
    uint32_t parent                      # order row + 1 of `after`, 0 = none
    uint32_t group                       # order row + 1 of the first member of its `oco` group, 0 = none
    uint32_t instrument
    uint32_t origin                      # 0 api, 1 external
    uint8_t side
    uint8_t ord_type
    uint8_t tif
    uint8_t extended                     # hours: 0 regular, 1 extended
    uint8_t trigger                      # enums.TriggerKind
    uint8_t source                       # enums.PriceSource
    uint8_t stp
    uint8_t reduce_only
    uint8_t fire_through                 # if_through: 0 reject, 1 fire
    uint8_t rearm_missed                 # on_missed: 0 fire, 1 rearm
    uint8_t trail_unit                   # 0 amount, 1 bps
    uint8_t gain_unit                    # 0 amount, 1 bps
    uint8_t has_limit_offset
    uint8_t when_full                    # `after.on`: 0 from the first fill on, 1 only when filled
    uint8_t placement                    # 0 gateway, 1 broker, 2 both
    uint8_t pad[5]

cdef struct OrderEvent:                  # 88 bytes: the order after the event
    uint64_t acct_seq
    uint32_t account
    uint32_t order
    int64_t cum_qty_e9
    int64_t leaves_qty_e9
    int64_t avg_px_e9                    # 0 = no fill
    uint32_t rev
    uint8_t ord_status
    uint8_t stage
    uint8_t hold
    uint8_t pending
    uint8_t reason
    uint8_t late                         # a fill of an order that was done
    uint8_t cl_size
    char cl_ord_id[37]

cdef struct AcceptedBody:
    Terms terms
    int64_t ref_px_e9                    # price that exposure is reserved at
    uint64_t content_hash                # of the request after defaults; equality of a retry
    uint8_t session_size                 # the five sizes of an order's texts lie together: `put_order` reads them so
    uint8_t tag_size
    uint8_t signal_size
    uint8_t after_size
    uint8_t oco_size
    uint8_t pad[3]

cdef struct SentBody:
    int64_t risk_ns                      # stage times from the frame or tick that caused it
    int64_t durable_ns
    int64_t wire_ns
    uint8_t id_size
    uint8_t protective
    uint8_t pad[6]
    char broker_cl_ord_id[24]

cdef struct NewBody:
    int64_t venue_ns
    uint8_t id_size
    uint8_t pad[7]
    char broker_order_id[40]

cdef struct TradeBody:
    int64_t last_qty_e9
    int64_t last_px_e9
    int64_t fee_e4
    int64_t pos_qty_e9                   # position after it
    int64_t venue_ns
    int64_t broker_cum_qty_e9            # 0 = not stated
    uint8_t exec_size
    uint8_t liquidity                    # 0 unknown, 1 maker, 2 taker
    uint8_t pad[6]
    char exec_id[48]

cdef struct ReleasedBody:
    int64_t qty_e9                       # in force from here on; 0 = as it was

cdef struct TriggeredBody:
    int64_t px_e9
    int64_t qty_e9
    int64_t bid_px_e9
    int64_t ask_px_e9
    int64_t venue_ns
    int64_t recv_wall_ns
    int64_t gap_bps_e9
    int64_t decide_ns                    # from the receipt of the tick
    int64_t send_qty_e9                  # what the position allows to go out
    int64_t send_px_e9                   # its limit, 0 = market
    int64_t stop_px_e9                   # where the stop stood
    int64_t ref_px_e9
    uint64_t feed_seq
    int64_t bid_qty_e9
    int64_t ask_qty_e9
    int64_t age_ns                       # of the price when it was judged
    int64_t check_limit                  # of the control that refused the release, in check_unit (hotpath.checks.Decision)
    int64_t check_value
    int64_t check_passes
    uint8_t source
    uint8_t missed
    uint8_t control                      # enums.Control; 0 = the release passed
    uint8_t check_unit
    uint8_t check_passes_unit
    uint8_t check_scope
    uint8_t feed_size                    # name of the feed, the tail
    uint8_t pad
    uint32_t ticks                       # qualifying updates that confirmed it
    uint32_t pad_more

cdef struct TrailedBody:                 # a stop that moved by its own rule, told to the client
    int64_t stop_px_e9
    int64_t extreme_px_e9                # the least favourable one that puts it there
    uint8_t activated                    # its activation price was reached: it trails from here on
    uint8_t pad[7]

cdef struct ReplaceBody:                 # PENDING_REPLACE_EV, REPLACED, REPLACE_REJECTED
    Terms terms                          # asked for (pending, rejected) or in force (replaced)
    int64_t ref_px_e9
    uint64_t content_hash
    uint32_t ask_rev
    uint8_t how                          # 0 amend, 1 cancel_new
    uint8_t priority_kept
    uint8_t code_size
    uint8_t session_size                 # REPLACED has the order's texts again, as its `order` block shows them
    uint8_t tag_size
    uint8_t signal_size
    uint8_t after_size
    uint8_t oco_size
    uint8_t pad[4]

cdef struct TradeCanceledBody:           # the broker broke a fill
    int64_t last_qty_e9                  # of the fill as it was booked
    int64_t last_px_e9
    int64_t pos_qty_e9                   # position after it
    int64_t owed_qty_e9
    int64_t venue_ns
    uint8_t exec_size
    uint8_t pad[7]
    char exec_id[48]

cdef struct BrokenEarlyBody:             # the broker broke a fill that has not been reported yet; its raw words follow
    int64_t venue_ns
    uint32_t order
    uint16_t text_size
    uint8_t exec_size
    uint8_t pad
    char exec_id[48]

cdef struct DoneBody:                    # CANCELED_EV, EXPIRED_EV: what the broker says was filled
    int64_t broker_cum_qty_e9            # 0 = not stated

cdef struct TextBody:                    # REJECTED_EV, CANCEL_REJECTED, IN_DOUBT_EV, REQUEUED, BROKER_ANOMALY
    int64_t since_ns
    uint16_t code_size                   # our code, or the cause
    uint16_t broker_code_size
    uint16_t text_size
    uint16_t pad

cdef struct RestatedBody:
    int64_t before_cum_qty_e9
    int64_t before_leaves_qty_e9
    int64_t owed_qty_e9                  # filled at the broker, execution not seen yet
    uint8_t before_status
    uint8_t before_stage
    uint8_t pad[6]

cdef struct AccountEvent:                # prefix of CANCEL_ALL_EV .. GUARD_EV
    uint64_t acct_seq
    uint32_t account
    uint32_t count
    int64_t since_ns
    uint8_t level                        # HaltLevel
    uint8_t state
    uint8_t side
    uint8_t keep
    uint16_t text_size                   # reason, cause
    uint16_t symbol_size
    uint8_t session_size
    uint8_t tag_size
    uint16_t orders_size
    uint8_t excess_size                  # of a guard: what was filled beyond what a group shares, a decimal behind the names
    uint8_t pad[3]

cdef struct EpochBody:
    uint32_t epoch
    uint32_t shard
    char history[16]

cdef struct AccountBody:
    int64_t cash_e4
    uint32_t account
    uint32_t group
    uint32_t broker
    uint16_t name_size
    uint16_t group_size

cdef struct InstrumentBody:
    int64_t tick_e9
    int64_t lot_e9
    int64_t min_qty_e9
    int64_t max_age_ns
    int64_t outside_bps_e9
    uint32_t instrument
    uint8_t asset_class
    uint8_t symbol_size
    uint8_t pad[2]

cdef struct LimitsBody:
    Limits limits
    uint32_t account
    uint32_t version

cdef struct ClearedBody:                # SUSPECTED has 8 zero bytes: every order then held for its trigger
    uint32_t order                       # the broker said where it is
    uint32_t pad

cdef struct TrailMarkBody:              # a price that moved trailing stops: all that trail that source then
    int64_t px_e9
    uint32_t instrument
    uint8_t source
    uint8_t pad[3]

cdef struct HaltBody:
    uint64_t halt_id
    uint32_t scope
    uint32_t index
    uint8_t level                        # level of this halt; 0 lifts it
    uint8_t effective                    # level of the scope after it
    uint16_t actor_size
    uint16_t reason_size
    uint8_t action                       # 0 set, 1 lift requested, 2 lifted
    uint8_t pad

cdef struct InstrumentStateBody:
    uint32_t instrument
    uint8_t is_open
    uint8_t is_halted
    uint8_t is_restricted
    uint8_t pad
