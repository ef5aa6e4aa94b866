"""What every request of a connection passes, and the whole way of a new order, in compiled code (order-api sections 3 and 5)."""
from libc.stdint cimport int64_t

from gateway.contracts import messages
from gateway.contracts import requests as asked
from gateway.stream.bucket cimport Bucket
from gateway.stream.fanout cimport Fanout, Outbox
from hotpath.hist cimport Histogram

cdef enum:
    CANCEL_BACKLOG_BYTES = 1048576           # records that may wait for a full journal before a cancel is put off as well


cdef tuple _DECODE_ERRORS = messages.DECODE_ERRORS
cdef object _PLACE = asked.Place


cdef class Lane:
    """Requests of one connection, in order. It decides nothing itself: the session refuses, the core accepts.

    Args:
        session: owner; `open` gives the lane what login found.
        decode: bytes of a frame to a typed request, raising one of messages.DECODE_ERRORS.
        unanswered_max: answers that one connection may wait for.
    """

    cdef object session
    cdef object orders
    cdef object engine
    cdef object journal
    cdef object server
    cdef object decode
    cdef object intake
    cdef object mono_ns
    cdef object key
    cdef readonly bytes name                 # of the session
    cdef dict rows                           # accounts that the key may use; None: the one meant when none is named
    cdef dict handlers
    cdef Outbox outbox
    cdef Fanout fanout
    cdef Histogram check
    cdef Histogram decide
    cdef Bucket entries
    cdef Bucket protective
    cdef Bucket cancels
    cdef bint can_trade
    cdef bint any_symbol
    cdef int64_t unanswered_max
    cdef public object last_id               # of the last request
    cdef public int64_t left                 # tokens that the last paid request left

    def __init__(self, object session, object decode, int64_t unanswered_max):
        self.session = session
        self.server = session.server
        self.engine = session.engine
        self.journal = self.engine.journal
        self.intake = self.engine.intake
        self.fanout = self.engine.fanout
        self.mono_ns = self.engine.clock.mono_ns
        self.check = self.engine.stages.check
        self.decide = self.engine.stages.decide
        self.decode = decode
        self.unanswered_max = unanswered_max
        self.key = None
        self.name = b""
        self.rows = {}
        self.last_id = 0

    def connect(self, Outbox outbox not None, object orders not None, dict handlers not None) -> None:
        """The connection stands. handlers: by type of request, called with it and the time of its receipt."""
        self.outbox = outbox
        self.orders = orders
        self.handlers = handlers

    def open(self, object key not None, bytes name not None, dict rows not None) -> None:
        """Login: whose requests these are."""
        self.name = name
        self.rows = rows
        self.entries, self.protective, self.cancels = key.place, key.protective, key.cancel
        self.can_trade = key.can_trade
        self.any_symbol = key.any_symbol
        self.key = key

    def on_message(self, bytes raw not None, int64_t in_ns, int64_t rx_ns) -> None:
        """One inbound message. in_ns: wall clock at its receipt; rx_ns: monotonic."""
        try:
            req = self.decode(raw)
        except _DECODE_ERRORS as error:
            self.session.undecodable(raw, error, in_ns)
            return
        if req.id <= self.last_id:
            self.session.refuse(req.id, "BAD_FIELD", in_ns, "id must be higher than the last one of this connection", path="id")
            return
        self.last_id = req.id
        if self.key is None:
            self.session.authenticate(req, in_ns)
        elif self.outbox.unanswered >= self.unanswered_max:
            self.session.refuse(req.id, "BUSY", in_ns)
        elif type(req) is _PLACE:
            self._place(req, in_ns, rx_ns)
        else:
            handler = self.handlers.get(type(req))
            if handler is None:
                self.session.refuse(req.id, "UNKNOWN_REQUEST", in_ns, "auth comes once, first", path="t")
            else:
                handler(req, in_ns)

    cdef int _place(self, object req, int64_t in_ns, int64_t rx_ns) except -1:
        cdef int64_t decided_ns, answer
        cdef int64_t account = self.admit(req, in_ns, rx_ns, self.can_trade, self.protective if req.reduce_only else self.entries)
        if account < 0:
            return 0
        if not self.any_symbol and not self.key.may_trade(req.symbol):
            self.session.refuse(req.id, "SYMBOL_DENIED", in_ns, path="symbol", left=self.left)
            return 0
        mono_ns = self.mono_ns()
        answer = self.intake.place(account, req, self.name, req.deadline_ns or 0, req.dry, in_ns, mono_ns)
        if answer <= 0:
            self.orders.other(req, account, answer, in_ns)
            return 0
        decided_ns = self.mono_ns()
        self.check.add(decided_ns - <int64_t>mono_ns)
        self.decide.add(decided_ns - rx_ns)
        self.fanout.ask(answer, self.outbox, req.id, in_ns, self.left)
        if req.trigger is not None or req.expire_ns is not None or req.tif == "day":
            self.orders.accepted(self.intake.order, req)
        return 0

    # --- gates before the core ---------------------------------------------------------------------------------------

    cpdef int64_t account(self, object req, int64_t in_ns) except -2:
        """Row of the account that the request means; -1 when it was refused."""
        row = self.rows.get(req.account)
        if row is not None:
            return row
        text = "name the account: the key has several" if req.account is None else ""
        self.session.refuse(req.id, "ACCOUNT_DENIED", in_ns, text, path="account")
        return -1

    cpdef int64_t admit(self, object req, int64_t in_ns, int64_t rx_ns, bint allowed, Bucket bucket) except -2:
        """Row of the account when scope, journal and rate let the request through, else -1. No bucket: paid later."""
        cdef bint is_cancel
        cdef int64_t account
        if not allowed:
            self.session.refuse(req.id, "SCOPE_DENIED", in_ns)
            return -1
        account = self.account(req, in_ns)
        if account < 0:
            return -1
        if not self.engine.is_admitting:
            self.session.refuse(req.id, "JOURNAL_STOPPED", in_ns)
            return -1
        is_cancel = bucket is self.cancels
        if self.engine.is_backed_up and self.engine.backlog_bytes > (CANCEL_BACKLOG_BYTES if is_cancel else 0):
            self.session.refuse(req.id, "BUSY", in_ns, "the disk is behind: ask again in a moment")
            return -1
        if not is_cancel and self.journal.is_low:
            self.session.refuse(req.id, "JOURNAL_STOPPED", in_ns, "the disk is full: the rest is for cancels and fills")
            return -1
        if self.server.is_draining:
            self.session.refuse(req.id, "DRAINING", in_ns)
            return -1
        return account if bucket is None or self.pay(req, in_ns, rx_ns, bucket) else -1

    cpdef bint pay(self, object req, int64_t in_ns, int64_t rx_ns, Bucket bucket, int64_t count=1) except -1:
        """Take the request's tokens, or refuse it."""
        self.left = bucket.take(rx_ns, count)
        if self.left < 0:
            self.session.refuse(req.id, "RATE_LIMITED", in_ns, retry_ns=bucket.wait_ns(), left=0)
            return False
        return True
