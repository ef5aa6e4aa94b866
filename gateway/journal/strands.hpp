// Runs the writer without threads: each thread's work is a strand, a stack of its own that the owner resumes.
//
// The same functions run as in the threaded mode. Where a thread would call the kernel or wait, a strand goes back to its
// owner instead: with a request for one file operation, which the owner carries out on its own stack, or until a time or a
// condition. So a simulation may stop between any two operations, and no Python code ever runs on a strand's stack.
#pragma once
#include <ucontext.h>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace backstay {

enum Call { CALL_OPEN, CALL_CREATE, CALL_SIZE_OF, CALL_PREAD, CALL_PWRITE, CALL_SYNC, CALL_CLOSE, CALL_RENAME, CALL_UNLINK, CALL_SYNC_FOLDER };

// One file operation. `file` is what the owner answered to CALL_OPEN; a negative result comes with `err`.
struct Request {
    int call = 0, file = -1;
    const char *name = nullptr, *new_name = nullptr, *data = nullptr;
    char* into = nullptr;
    int64_t size = 0, offset = 0;
    int64_t result = 0;
    int err = 0;
};

constexpr int64_t kNever = INT64_MAX;
constexpr size_t kStackBytes = 64 << 10;  // the deepest strand uses a page-sized buffer and snprintf

class Strands {
  public:
    enum Id { COMMIT = 0, PREPARE = 1, COUNT = 2 };
    int64_t now_ns = 0;     // the owner's clock, as of the present step
    bool has_told = false;  // what the eventfd would say
    bool has_begun = false;

    void spawn(int id, std::function<void()> body) {
        Strand& strand = strands_[id];
        strand.body = std::move(body);
        strand.stack.reset(new char[kStackBytes]);
        getcontext(&strand.context);
        strand.context.uc_stack.ss_sp = strand.stack.get();
        strand.context.uc_stack.ss_size = kStackBytes;
        strand.context.uc_link = &owner_;
        auto at = reinterpret_cast<uintptr_t>(this);  // makecontext passes integers only
        makecontext(&strand.context, reinterpret_cast<void (*)()>(&enter), 3, (unsigned)(at >> 32), (unsigned)at, (unsigned)id);
        strand.state = RUNNABLE;
    }

    // ---- the owner's side --------------------------------------------------------------------------------------------

    int64_t due_ns(int id) const {
        const Strand& strand = strands_[id];
        if (strand.state == ENDED) return kNever;
        return strand.state == WAITING && strand.is_ready(strand.context_of_ready) ? now_ns : strand.due;
    }
    int first_due() const { return due_ns(PREPARE) < due_ns(COMMIT) ? PREPARE : COMMIT; }
    bool is_ended(int id) const { return strands_[id].state == ENDED; }

    // Lets a strand that is due run on; its request, or null when it has none.
    Request* resume(int id) {
        Strand& strand = strands_[id];
        running_ = id;
        strand.request = nullptr;
        strand.state = RUNNABLE;
        swapcontext(&owner_, &strand.context);
        return strand.request;
    }

    // The operation of the strand that was resumed last is done, and took that long.
    void answered(int64_t took_ns) { strands_[running_].due = now_ns + took_ns; }

    // ---- a strand's side ---------------------------------------------------------------------------------------------

    int64_t ask(Request request) {
        strands_[running_].request = &request;
        leave(RUNNABLE, now_ns);
        errno = request.err;
        return request.result;
    }

    void pause() { leave(RUNNABLE, now_ns); }

    // Until the condition holds or the time has come; whether the condition holds.
    template <class Ready>
    bool wait(int64_t until_ns, const Ready& is_ready) {
        Strand& strand = strands_[running_];
        strand.is_ready = [](const void* ready) { return (*static_cast<const Ready*>(ready))(); };
        strand.context_of_ready = &is_ready;
        while (!is_ready() && now_ns < until_ns) leave(WAITING, until_ns);
        return is_ready();
    }

  private:
    enum State { ENDED, RUNNABLE, WAITING };
    struct Strand {
        ucontext_t context;
        std::unique_ptr<char[]> stack;
        std::function<void()> body;
        State state = ENDED;
        int64_t due = 0;
        Request* request = nullptr;  // on the strand's own stack
        bool (*is_ready)(const void*) = nullptr;
        const void* context_of_ready = nullptr;
    };

    ucontext_t owner_;
    Strand strands_[COUNT];
    int running_ = COMMIT;

    void leave(State state, int64_t due) {
        Strand& strand = strands_[running_];
        strand.state = state;
        strand.due = due;
        swapcontext(&strand.context, &owner_);
    }

    static void enter(unsigned high, unsigned low, unsigned id) {
        auto* self = reinterpret_cast<Strands*>((uintptr_t)high << 32 | low);
        self->strands_[id].body();
        self->strands_[id].state = ENDED;
    }
};

}  // namespace backstay
