// The group-commit engine of the journal: a double buffer that the loop fills, and the native threads that empty it.
//
// The commit thread owns the segment file: pwrite, fdatasync, publish, chain hash, rotation. The prepare thread zero-fills the
// segments ahead. The loop's lock is never held during I/O. A failed operation is never retried: durable_seq stays where it is.
#pragma once
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "gateway/journal/blake2b.hpp"
#include "gateway/journal/device.hpp"

namespace backstay {

constexpr int64_t kPage = 4096;  // header page; frames start behind it
constexpr int64_t kHeader = 128;
constexpr int64_t kMark = 32;
constexpr int64_t kMarkAt = 1024;  // two slots, in sectors of their own, written in turn
constexpr uint32_t kMarkClean = 1, kMarkUnsynced = 2;
constexpr int64_t kAhead = 2;      // segments kept ready: one to rotate into, one in reserve for a full disk
constexpr int64_t kMarkEvery = 10000000;  // ns; a mark in each batch would cost a second block: 15 % of a commit
constexpr int64_t kBurst = 16;     // commits in a row above the bound before pacing starts
constexpr int64_t kUnsyncedGaps = 16;  // unsynced writes gather for this many of the longest gaps between synced ones
constexpr int64_t kIdleNs = 5000000;  // before an idle writer brings its mark up to the end
constexpr int64_t kFillStep = 256 << 10;  // zeros written at once to a segment that is being prepared
constexpr int kBuckets = 64 * 8;

using Crc = uint32_t (*)(const void*, Py_ssize_t, uint32_t);

inline int64_t mono_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Eight buckets to a power of two: 12.5 % wide.
inline int bucket_of(uint64_t ns) {
    if (ns < 8) return (int)ns;
    int top = 63 - __builtin_clzll(ns);
    return (top - 2) * 8 + (int)((ns >> (top - 3)) & 7);
}
inline uint64_t bucket_upper(int bucket) {
    if (bucket < 8) return (uint64_t)bucket;
    int top = bucket / 8 + 2;
    return ((8ull + (bucket & 7) + 1) << (top - 3)) - 1;
}

struct Options {
    int64_t segment_bytes = 64 << 20;
    int64_t buffer_bytes = 4 << 20;
    bool fsync = true;
    int64_t gap_ns_max = 1000000;
    int64_t slow_sync_ns = 2000000;
    int64_t syncs_per_s_max = 5000;
    unsigned char history[16] = {0};
    uint32_t epoch = 0;
};

enum SubmitCode { SUBMITTED = 0, SUBMIT_FULL = 1, SUBMIT_STOPPED = 2, SUBMIT_BAD = 3 };

class Commit {
  public:
    Options o;
    Device device;
    int event_fd = -1;
    // loop side
    int64_t segment = 1, offset = kPage, limit = 0;  // limit: size of the segment in use, which an older configuration may have made
    uint64_t submitted_seq = 0;
    // published by the threads
    std::atomic<uint64_t> durable_seq{0}, durable_position{0};
    std::atomic<int64_t> failure{0};  // op << 32 | errno; 0 while all is well
    std::atomic<bool> low{false};
    std::atomic<int64_t> prepared{0}, queue_bytes{0}, gap_ns{0};
    std::atomic<uint64_t> commits{0}, bytes{0}, blobs{0}, batch_bytes_max{0}, batch_blobs_max{0}, rotations{0};
    std::atomic<uint64_t> sync_counts[kBuckets] = {};
    std::atomic<int64_t> sync_ns_sum{0}, sync_ns_max{0};

    explicit Commit(Crc crc) : crc_(crc) {}
    ~Commit() {
        close();
        if (event_fd >= 0) ::close(event_fd);
        for (Half& half : halves_) std::free(half.data);
    }

    // 0, or -1 with `failure` set. Creates the segment when it is not there; starts the threads.
    int start(int dirfd, int64_t at_segment, int64_t at_offset, uint64_t last_seq) {
        dir_ = dirfd;
        event_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (event_fd < 0) return note(OP_OPEN, errno);
        if (begin(at_segment, at_offset, last_seq) != 0) return -1;
        sigset_t all, before;
        sigfillset(&all);  // signals belong to the interpreter's own thread
        pthread_sigmask(SIG_SETMASK, &all, &before);
        commit_thread_ = std::thread([this] { run(); });
        prepare_thread_ = std::thread([this] { prepare_loop(); });
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        return 0;
    }

    // The same without threads: whoever owns the strands resumes them; it has begun when the strands say so.
    void start_stepped(Strands* strands, int64_t at_segment, int64_t at_offset, uint64_t last_seq) {
        device.strands = strands;
        strands->spawn(Strands::COMMIT, [=] {
            if (begin(at_segment, at_offset, last_seq) != 0) return;
            strands->has_begun = true;
            run();
        });
        strands->spawn(Strands::PREPARE, [this] { prepare_loop(); });
    }

  private:
    int begin(int64_t at_segment, int64_t at_offset, uint64_t last_seq) {
        segment = file_segment_ = at_segment;
        offset = file_offset_ = at_offset;
        submitted_seq = written_seq_ = synced_seq_ = last_seq;
        synced_end_ = at_offset;
        durable_seq.store(last_seq);
        durable_position.store(position(at_segment, at_offset));
        for (Half& half : halves_) {
            half.data = static_cast<char*>(std::malloc((size_t)o.buffer_bytes));
            if (!half.data) return note(OP_OPEN, ENOMEM);
            std::memset(half.data, 0, (size_t)o.buffer_bytes);  // touched now, so that no submit meets a page fault
        }
        if (open_first() != 0) return -1;
        int64_t ready = file_segment_;
        while (is_prepared(ready + 1)) ++ready;
        prepared.store(ready);
        return 0;
    }

  public:
    int submit(const char* blob, int64_t size, uint64_t last_seq, uint64_t* at) {
        uint64_t first_seq;
        if (size < 40 || (size & 7) || size > o.buffer_bytes || size > (o.segment_bytes - kPage) / 2) return SUBMIT_BAD;
        std::memcpy(&first_seq, blob + 8, 8);
        if (first_seq != submitted_seq + 1 || last_seq < first_seq) return SUBMIT_BAD;
        if (failure.load(std::memory_order_acquire)) return SUBMIT_STOPPED;
        bool wake;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            Half& half = halves_[active_];
            bool rotate = offset + size > limit;
            if (half.size + size > o.buffer_bytes || (rotate && half.split >= 0)) return SUBMIT_FULL;
            if (rotate) {
                if (low.load() && segment + 1 > prepared.load()) {
                    note(OP_PREPARE, ENOSPC);  // what is queued still becomes durable in the room that is left
                    return SUBMIT_STOPPED;
                }
                half.split = half.size;
                half.split_seq = submitted_seq;
                ++segment;
                offset = kPage;
                limit = o.segment_bytes;
            }
            std::memcpy(half.data + half.size, blob, (size_t)size);
            half.size += size;
            half.last_seq = submitted_seq = last_seq;
            ++half.blobs;
            *at = position(segment, offset);
            offset += size;
            queue_bytes.fetch_add(size, std::memory_order_relaxed);
            wake = sleeping_ || (pacing_ && half.size > o.buffer_bytes / 2);
        }
        if (wake) work_.notify_one();
        return SUBMITTED;
    }

    // Drains, syncs, marks the end as clean, joins, lets the files go. Safe to call again.
    void close() {
        if (device.strands) return;  // the owner runs the strands to their end, or a crash has ended them
        ask_to_drain();
        if (commit_thread_.joinable()) commit_thread_.join();
        ask_to_stop_preparing();
        if (prepare_thread_.joinable()) prepare_thread_.join();
        for (int* fd : {&file_, &dir_}) {  // the directory's lock goes with it
            if (*fd >= 0) ::close(*fd);
            *fd = -1;
        }
    }

    void ask_to_drain() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            closing_ = true;
        }
        work_.notify_one();
    }

    void ask_to_stop_preparing() {
        {
            std::lock_guard<std::mutex> lock(prepare_mutex_);
            stop_preparing_ = true;
        }
        prepare_work_.notify_one();
    }

    static uint64_t position(int64_t segment, int64_t offset) { return ((uint64_t)segment << 32) | (uint64_t)offset; }

  private:
    struct Half {
        char* data = nullptr;
        int64_t size = 0;
        int64_t split = -1;  // bytes before this belong to the present segment, the rest to the next
        uint64_t split_seq = 0;
        uint64_t last_seq = 0;
        uint64_t blobs = 0;
    };

    Crc crc_;
    int dir_ = -1, file_ = -1;
    std::mutex mutex_;
    std::condition_variable work_;
    Half halves_[2];
    int active_ = 0;
    bool sleeping_ = false, pacing_ = false, closing_ = false;
    std::mutex prepare_mutex_;
    std::condition_variable prepare_work_, prepare_done_;
    bool stop_preparing_ = false;
    int64_t wanted_ = 0;
    std::thread commit_thread_, prepare_thread_;
    // commit thread only
    Blake2b256 hash_;
    int64_t file_segment_ = 1, file_offset_ = kPage, synced_end_ = kPage, marked_end_ = -1;
    uint64_t written_seq_ = 0, synced_seq_ = 0, mark_number_ = 0;
    int64_t last_start_ns_ = 0, credit_ns_ = 0, slow_gap_ns_ = 0, marked_ns_ = 0;
    int64_t interval_ns_ = 1000000000;  // between two commits, of late
    bool mark_failed_ = false;

    static void name_of(int64_t segment, char out[32]) { std::snprintf(out, 32, "%08lld.seg", (long long)segment); }

    int64_t now_ns() const { return device.strands ? device.strands->now_ns : mono_ns(); }

    // As the condition variable waits; a strand lets the lock go and waits for its owner.
    template <class Ready>
    void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& news, const Ready& is_ready) {
        if (device.strands) wait_for(lock, news, kNever, is_ready);
        else news.wait(lock, is_ready);
    }

    template <class Ready>
    bool wait_for(std::unique_lock<std::mutex>& lock, std::condition_variable& news, int64_t ns, const Ready& is_ready) {
        if (!device.strands) return news.wait_for(lock, std::chrono::nanoseconds(ns), is_ready);
        lock.unlock();
        bool result = device.strands->wait(ns == kNever ? kNever : now_ns() + ns, is_ready);
        lock.lock();
        return result;
    }

    void signal() {
        if (device.strands) {
            device.strands->has_told = true;
            return;
        }
        uint64_t one = 1;
        if (::write(event_fd, &one, 8) != 8 && errno != EAGAIN) std::abort();  // EAGAIN: the counter is full, the loop is awake anyway
    }

    int note(int op, int err) {
        int64_t none = 0;
        failure.compare_exchange_strong(none, ((int64_t)op << 32) | (err ? err : EIO));  // the first one is the cause
        if (event_fd >= 0 || device.strands) signal();
        prepare_done_.notify_all();
        return -1;
    }

    bool is_prepared(int64_t number) {
        char name[32];
        name_of(number, name);
        return device.size_of(dir_, name) == o.segment_bytes;
    }

    // ---- segment files -----------------------------------------------------------------------------------------------

    int open_first() {
        char name[32];
        name_of(file_segment_, name);
        limit = device.size_of(dir_, name);
        if (limit < 0) {
            if (errno != ENOENT) return note(OP_OPEN, errno);
            if (prepare(file_segment_, false) != 0) return note(OP_PREPARE, errno);
            limit = o.segment_bytes;
        }
        file_ = device.open_file(OP_OPEN, dir_, name, O_RDWR);
        if (file_ < 0) return note(OP_OPEN, errno);
        unsigned char zero[32] = {0}, page[kPage];
        if (device.read(file_, (char*)page, kPage, 0) != kPage) return note(OP_OPEN, errno);
        bool is_new = true;
        for (int64_t i = 0; i < kHeader; ++i) is_new = is_new && page[i] == 0;
        if (is_new) return file_offset_ == kPage && file_segment_ == 1 ? write_header(zero, o.epoch) : note(OP_OPEN, EINVAL);
        for (int slot = 0; slot < 2; ++slot) {
            uint64_t number;
            std::memcpy(&number, page + kMarkAt * (slot + 1) + 16, 8);
            if (number > mark_number_) mark_number_ = number;
        }
        hash_.reset();
        hash_.update(page, kHeader);
        for (int64_t at = kPage; at < file_offset_;) {  // halves_[0] is free until the threads run
            int64_t want = file_offset_ - at < o.buffer_bytes ? file_offset_ - at : o.buffer_bytes;
            int64_t n = device.read(file_, halves_[0].data, want, at);
            if (n <= 0) return note(OP_OPEN, n < 0 ? errno : EIO);
            hash_.update(halves_[0].data, (size_t)n);
            at += n;
        }
        return 0;
    }

    // The header is on disk before any frame follows it: a bad header with frames behind it is damage, never a torn write.
    int write_header(const unsigned char chain[32], uint32_t epoch) {
        unsigned char h[kHeader] = {0};
        uint32_t format = 1, number = (uint32_t)file_segment_, crc;
        uint64_t first_seq = written_seq_ + 1, size = (uint64_t)o.segment_bytes;
        std::memcpy(h, "BKSTSEG\n", 8);
        std::memcpy(h + 8, &format, 4);
        std::memcpy(h + 12, &number, 4);
        std::memcpy(h + 16, &first_seq, 8);
        std::memcpy(h + 24, &size, 8);
        std::memcpy(h + 32, o.history, 16);
        std::memcpy(h + 48, &epoch, 4);
        std::memcpy(h + 56, chain, 32);
        crc = crc_(h, kHeader - 4, 0);
        std::memcpy(h + kHeader - 4, &crc, 4);
        if (device.write_all(OP_PWRITE, file_, (const char*)h, kHeader, 0) != 0) return note(OP_PWRITE, errno);
        if (device.sync(OP_FDATASYNC, file_) != 0) return note(OP_FDATASYNC, errno);
        hash_.reset();
        hash_.update(h, kHeader);
        mark_number_ = 0;
        marked_end_ = -1;
        return 0;
    }

    // Says how far the segment is known to be on disk, so that recovery tells a torn tail from damage to what was synced.
    // Trails by up to 10 ms of commits under load, 5 ms when idle, nothing after a clean close.
    int write_mark(bool clean) {
        unsigned char m[kMark] = {0};
        uint64_t end = (uint64_t)synced_end_, number = ++mark_number_;
        uint32_t flags = clean ? kMarkClean : o.fsync ? 0 : kMarkUnsynced, crc;
        std::memcpy(m, &end, 8);
        std::memcpy(m + 8, &synced_seq_, 8);
        std::memcpy(m + 16, &number, 8);
        std::memcpy(m + 24, &flags, 4);
        crc = crc_(m, kMark - 4, 0);
        std::memcpy(m + kMark - 4, &crc, 4);
        if (device.write_all(OP_PWRITE, file_, (const char*)m, kMark, kMarkAt * (1 + (int64_t)(number & 1))) != 0)
            return note(OP_PWRITE, errno);
        marked_end_ = synced_end_;
        marked_ns_ = now_ns();
        return 0;
    }

    int rotate(const char* first_frame) {
        unsigned char chain[32];
        char name[32];
        uint32_t epoch;
        if (!o.fsync && sync_file() != 0) return -1;  // a segment is whole on disk before the next one vouches for it
        {
            std::unique_lock<std::mutex> lock(prepare_mutex_);
            wait(lock, prepare_done_, [this] { return prepared.load() > file_segment_ || low.load() || failure.load(); });
        }
        if (prepared.load() <= file_segment_) return note(OP_PREPARE, ENOSPC);
        device.close_file(file_);
        file_offset_ = synced_end_ = kPage;
        name_of(++file_segment_, name);
        file_ = device.open_file(OP_OPEN, dir_, name, O_RDWR);
        if (file_ < 0) return note(OP_OPEN, errno);
        hash_.digest(chain);
        std::memcpy(&epoch, first_frame + 24, 4);
        if (write_header(chain, epoch) != 0) return -1;
        rotations.fetch_add(1);
        want(file_segment_ + kAhead);
        return 0;
    }

    void want(int64_t number) {
        std::lock_guard<std::mutex> lock(prepare_mutex_);
        wanted_ = number;
        prepare_work_.notify_one();
    }

    // ---- commit thread -----------------------------------------------------------------------------------------------

    // Under a real-time scheduler one above the loop: every order waits for this thread, and it seldom runs for long.
    static void lead() {
        int policy = 0;
        sched_param at{};
        if (pthread_getschedparam(pthread_self(), &policy, &at) != 0 || (policy != SCHED_FIFO && policy != SCHED_RR)) return;
        if (at.sched_priority < sched_get_priority_max(policy)) ++at.sched_priority;
        pthread_setschedparam(pthread_self(), policy, &at);  // not allowed: it stays where the loop is
    }

    void run() {
        if (!device.strands) ::prctl(PR_SET_TIMERSLACK, 1);  // a gap that ends 50 us late would be a quarter of a commit
        if (!device.strands) lead();
        want(file_segment_ + kAhead);
        while (Half* batch = next_batch()) {
            int64_t cut = batch->split >= 0 ? batch->split : batch->size;
            uint64_t cut_seq = batch->split >= 0 ? batch->split_seq : batch->last_seq;
            if (cut > 0 && write_part(batch->data, cut, cut_seq) != 0) return;
            if (batch->split >= 0) {
                if (rotate(batch->data + cut) != 0) return;
                if (write_part(batch->data + cut, batch->size - cut, batch->last_seq) != 0) return;
            }
            finish(batch);
        }
        if (!mark_failed_ && sync_file() == 0 && write_mark(true) == 0) sync_file();
    }

    Half* next_batch() {
        std::unique_lock<std::mutex> lock(mutex_);
        while (halves_[active_].size == 0 && !closing_) {
            sleeping_ = true;
            if (marked_end_ != synced_end_) {  // idle: bring the mark up to the end while nobody waits for the disk
                if (!wait_for(lock, work_, kIdleNs, [this] { return halves_[active_].size > 0 || closing_; })) {
                    lock.unlock();
                    mark_failed_ = write_mark(false) != 0 || (o.fsync && sync_file() != 0);
                    lock.lock();
                    if (mark_failed_) return nullptr;
                }
            } else {
                wait(lock, work_, [this] { return halves_[active_].size > 0 || closing_; });
            }
            sleeping_ = false;
        }
        int64_t gap = due_ns() - now_ns();
        gap_ns.store(gap > 0 ? gap : 0, std::memory_order_relaxed);
        if (gap > 0 && !closing_) {
            pacing_ = true;
            wait_for(lock, work_, gap, [this] { return closing_ || halves_[active_].size > o.buffer_bytes / 2; });
            pacing_ = false;
        }
        if (halves_[active_].size == 0) return nullptr;
        Half* batch = &halves_[active_];
        active_ ^= 1;
        return batch;
    }

    int write_part(const char* data, int64_t size, uint64_t last_seq) {
        int64_t now = now_ns();
        interval_ns_ += (now - last_start_ns_ - interval_ns_) / 16;
        last_start_ns_ = now;
        credit_ns_ = (credit_ns_ > last_start_ns_ ? credit_ns_ : last_start_ns_) + 1000000000 / o.syncs_per_s_max;
        if (device.write_all(OP_PWRITE, file_, data, size, file_offset_) != 0) return note(OP_PWRITE, errno);
        file_offset_ += size;
        written_seq_ = last_seq;
        bool is_due = marked_end_ != synced_end_ && last_start_ns_ - marked_ns_ > kMarkEvery;
        if (is_due && write_mark(false) != 0) return -1;
        if (o.fsync && sync_file() != 0) return -1;
        synced_end_ = file_offset_;
        synced_seq_ = written_seq_;
        commits.fetch_add(1, std::memory_order_relaxed);
        bytes.fetch_add((uint64_t)size, std::memory_order_relaxed);
        if ((uint64_t)size > batch_bytes_max.load(std::memory_order_relaxed)) batch_bytes_max.store((uint64_t)size);
        durable_position.store(position(file_segment_, file_offset_), std::memory_order_relaxed);
        durable_seq.store(last_seq, std::memory_order_release);
        signal();
        if (device.strands) device.strands->pause();  // a crash may fall between the publication and what follows
        hash_.update(data, (size_t)size);  // after the publication: nobody waits for it
        return 0;
    }

    int sync_file() {
        int64_t start = now_ns();
        if (device.sync(OP_FDATASYNC, file_) != 0) return note(OP_FDATASYNC, errno);
        int64_t took = now_ns() - start;
        synced_end_ = file_offset_;
        synced_seq_ = written_seq_;
        sync_counts[bucket_of((uint64_t)took)].fetch_add(1, std::memory_order_relaxed);
        sync_ns_sum.fetch_add(took, std::memory_order_relaxed);
        if (took > sync_ns_max.load(std::memory_order_relaxed)) sync_ns_max.store(took);
        pace(took);
        return 0;
    }

    // Device pacing. Unsynced writes have nobody who waits for them: they gather,
    // which spares the loop a wake-up for each record.
    // Synced ones go at once while fewer commits are asked than the bound (with a burst of kBurst above it), else at the bound;
    // a gap that doubles with each slow sync and fades with the fast ones, because a virtual disk stalls when synced too often.
    int64_t due_ns() const {
        if (!o.fsync) return last_start_ns_ + kUnsyncedGaps * o.gap_ns_max;
        int64_t by_rate = credit_ns_ - kBurst * (1000000000 / o.syncs_per_s_max), by_slowness = last_start_ns_ + slow_gap_ns_;
        int64_t due = by_rate > by_slowness ? by_rate : by_slowness, latest = last_start_ns_ + o.gap_ns_max;
        return due < latest ? due : latest;
    }

    void pace(int64_t took) {
        bool is_asked_often = interval_ns_ < 1000000000 / o.syncs_per_s_max;  // else the slowness is not of our making
        if (took > o.slow_sync_ns && is_asked_often) slow_gap_ns_ = slow_gap_ns_ ? slow_gap_ns_ * 2 : 250000;
        else slow_gap_ns_ = slow_gap_ns_ > 20000 ? slow_gap_ns_ - slow_gap_ns_ / 32 : 0;
        if (slow_gap_ns_ > o.gap_ns_max) slow_gap_ns_ = o.gap_ns_max;
    }

    void finish(Half* batch) {
        blobs.fetch_add(batch->blobs, std::memory_order_relaxed);
        if (batch->blobs > batch_blobs_max.load(std::memory_order_relaxed)) batch_blobs_max.store(batch->blobs);
        queue_bytes.fetch_sub(batch->size, std::memory_order_relaxed);
        std::lock_guard<std::mutex> lock(mutex_);
        batch->size = 0;
        batch->split = -1;
        batch->blobs = 0;
    }

    // ---- prepare thread ----------------------------------------------------------------------------------------------

    void prepare_loop() {
        std::unique_lock<std::mutex> lock(prepare_mutex_);
        while (!stop_preparing_) {
            if (prepared.load() >= wanted_) {
                wait(lock, prepare_work_, [this] { return stop_preparing_ || prepared.load() < wanted_; });
                continue;
            }
            lock.unlock();
            int result = prepare(prepared.load() + 1, true);
            int err = errno;
            lock.lock();
            if (stop_preparing_) break;
            if (result == 0) {
                prepared.fetch_add(1);
                low.store(false);
            } else if (err == ENOSPC || err == EDQUOT) {
                low.store(true);
            } else {
                note(OP_PREPARE, err);
                break;
            }
            prepare_done_.notify_all();
            signal();
            if (result != 0) {  // room may be made: nothing was lost yet
                int64_t wanted = wanted_;
                wait_for(lock, prepare_work_, 1000000000, [this, wanted] { return stop_preparing_ || wanted_ != wanted; });
            }
        }
    }

    // Zero-filled under another name and synced, then renamed: a file with a segment's name is always whole.
    int prepare(int64_t number, bool gently) {
        char name[32], temporary[40];
        name_of(number, name);
        std::snprintf(temporary, sizeof temporary, "%s.new", name);
        int fd = device.open_file(OP_PREPARE, dir_, temporary, O_WRONLY | O_CREAT | O_TRUNC);
        if (fd < 0) return -1;
        static char zeros[kFillStep];
        int result = 0;
        for (int64_t at = 0; result == 0 && at < o.segment_bytes; at += kFillStep) {
            int64_t size = o.segment_bytes - at < kFillStep ? o.segment_bytes - at : kFillStep;
            result = device.write_all(OP_PREPARE, fd, zeros, size, at);
            if (result == 0 && gently) {  // small steps on their way to the disk, so that no commit queues behind the whole fill
                result = device.write_out(OP_PREPARE, fd, at, size);
                std::unique_lock<std::mutex> lock(prepare_mutex_);
                if (stop_preparing_) result = -1;
                else if (result == 0 && at + size < o.segment_bytes) wait_for(lock, prepare_work_, 1000000, [this] { return stop_preparing_; });
            }
        }
        if (result == 0) result = device.sync(OP_PREPARE, fd);
        int err = errno;
        device.close_file(fd);
        if (result == 0 && (device.rename(dir_, temporary, name) != 0 || device.sync_folder(dir_) != 0)) {
            result = -1;
            err = errno;
        }
        if (result != 0) device.unlink(dir_, temporary);
        errno = err;
        return result;
    }
};

}  // namespace backstay
