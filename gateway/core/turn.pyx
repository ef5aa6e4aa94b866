"""The end of a turn: its records to the journal, and what is durable to clients and brokers."""
from libc.stdint cimport int64_t, uint64_t
from cpython.memoryview cimport PyMemoryView_FromMemory
from gateway.core.state cimport State
from gateway.journal.writer cimport SUBMITTED, JournalWriter
from gateway.stream.fanout cimport Fanout
from hotpath.hist cimport Histogram


cdef class Turn:
    """Moves the records of a state into a journal, and lets out what they cause once they are durable.

    Args:
        journal: see `gateway.engine.Journal`. mono_ns, wall_ns: the clock.
        times: takes how long records waited for the disk, in ns.
        is_durable: False lets everything out as soon as the journal has it.
        act: called with the (op, order) effects whose records are durable, never with none.
    """

    def __init__(self, State state not None, Fanout fanout not None, object journal, *, object mono_ns, object wall_ns,
                 Histogram times not None, bint is_durable, object act):
        self.state = state
        self.fanout = fanout
        self.journal = journal
        self.writer = journal if type(journal) is JournalWriter else None      # another class may do more in `submit`
        self.mono_ns = mono_ns
        self.wall_ns = wall_ns
        self.times = times
        self.is_durable = is_durable
        self.act = act
        self.run_bytes_max = journal.run_bytes_max

    def flush(self) -> None:
        """Hand all records over that were there when it was called.

        Raises JournalFull (the rest stays; answers to it keep their order), JournalStopped, and StateTorn.
        """
        cdef State state = self.state
        cdef uint64_t until = state.seq
        cdef uint64_t last, position
        cdef Py_ssize_t size
        cdef Handed item
        state.demand_whole()
        while state.out_size:
            size, last = state.out_size, state.seq
            if size > self.run_bytes_max:
                blob, last = state.run(self.run_bytes_max)
                size = len(blob)
            self.fanout.load_run(state.out, size)
            position = self._submit(state.out, size, last)
            item.last_seq, item.mono_ns = last, self.mono_ns()
            self.handed.push_back(item)
            state.placed(position, size)
            if not self.is_durable:
                self.settle(last)
            if last >= until:
                return

    cdef uint64_t _submit(self, const char* data, Py_ssize_t size, uint64_t last) except? 0:
        cdef uint64_t position = 0
        if self.writer is not None and not self.writer.is_closed and self.writer.submit_run(data, size, last, &position) == SUBMITTED:
            return position
        return self.journal.submit(PyMemoryView_FromMemory(<char*>data, size, 0x100), last)

    def on_durable(self) -> None:
        """The journal has made progress."""
        cdef uint64_t durable_seq = self.writer.durable() if self.writer is not None else self.journal.durable_seq
        cdef int64_t now
        if not self.handed.empty() and self.handed.front().last_seq <= durable_seq:
            now = self.mono_ns()
            while not self.handed.empty() and self.handed.front().last_seq <= durable_seq:
                self.times.add(now - self.handed.front().mono_ns)
                self.handed.pop_front()
        self.settle(durable_seq)

    cpdef settle(self, uint64_t durable_seq):
        """Let out what is caused by records up to `durable_seq`."""
        durable_seq = self.state.whole(durable_seq)
        self.fanout.deliver(durable_seq, self.wall_ns())
        effects = self.state.take_effects(durable_seq)
        if effects:
            self.act(effects)
