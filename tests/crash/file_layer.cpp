// A layer between a real process and its files, preloaded: it writes down what happens to the files under one folder, and
// strikes where it was told to: the process is killed at that call, or the call fails, is cut short, or lies.
//
// The shared file (BACKSTAY_LAYER) survives the process: a head with counters and rules, then one record for each call, in
// the order of their beginning. A record is whole before the call is made, and says afterwards how it ended.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <string>

namespace {

enum Kind : uint32_t { OPEN, CREATE, WRITE, HEADER, SYNC, RANGE, RENAME, UNLINK, MKDIR, FOLDER, KINDS };
enum Act : uint64_t { NONE, KILL_BEFORE, KILL_AFTER, FAIL, SHORT, LIE };
enum State : uint32_t { BEGUN, DONE, FAILED };

struct Rule {
    uint64_t act;
    uint64_t kinds;    // bit set of the calls that count
    uint64_t nth;      // it strikes at the nth of them
    uint64_t every;    // and then at each such one again; 0: once
    uint64_t since;    // bit set: counts from the first call of these kinds on, which counts too; 0: at once
    uint64_t value;    // errno of FAIL
    uint64_t struck;   // how often it did
    uint64_t kind;     // of the last call that it struck
};
constexpr int RULES = 4;

struct Head {
    uint64_t capacity;  // bytes of records
    uint64_t used;
    uint64_t calls[16];
    Rule rules[RULES];
};
constexpr uint64_t HEAD_BYTES = 4096;

struct Record {
    uint32_t size;  // of the whole record, a multiple of 8
    uint32_t kind;
    uint32_t state;
    uint32_t handle;   // of the open file; its number was given out by its OPEN or CREATE
    uint64_t offset;   // of a WRITE; of a RENAME the length of the old name
    uint64_t length;   // bytes of data behind this
};

constexpr int FDS = 65536;
uint32_t handles[FDS];        // 0: not ours
std::string* paths[FDS];      // of our folders, for the calls that name a file by its folder
bool is_folder[FDS];
uint32_t last_handle = 0;
Head* head = nullptr;
char* records = nullptr;
const char* root = "";     // the watched folder, without a slash at its end; no object, which would be made after begin()
size_t root_size = 0;
std::mutex lock;

[[noreturn]] void die() {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

template <class F>
F real(const char* name) {
    return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

__attribute__((constructor)) void begin() {
    const char *file = getenv("BACKSTAY_LAYER"), *folder = getenv("BACKSTAY_LAYER_FOLDER");
    if (!file || !folder) return;
    int fd = real<int (*)(const char*, int, ...)>("open")(file, O_RDWR | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) abort();
    void* at = mmap(nullptr, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) abort();
    close(fd);
    root = folder;
    root_size = strlen(folder);
    records = (char*)at + HEAD_BYTES;
    head = (Head*)at;
}

bool is_ours(const std::string& path) {
    return head && path.compare(0, root_size, root) == 0 && (path.size() == root_size || path[root_size] == '/');
}

// The whole path of a name, or an empty one when it is none of ours.
std::string path_of(int dirfd, const char* name) {
    if (!head || !name) return "";
    if (name[0] == '/') return is_ours(name) ? name : "";
    if (dirfd >= 0 && dirfd < FDS && paths[dirfd]) return *paths[dirfd] + "/" + name;
    return "";
}

struct Call {
    Record* record = nullptr;
    uint64_t act = NONE;
    int error = 0;
    bool dies = false;
};

// Counts a call, lets the rules strike, and writes it down. `length` may be cut by a rule.
Call enter(Kind kind, uint32_t handle, const char* data, uint64_t* length, uint64_t offset) {
    std::lock_guard<std::mutex> held(lock);
    Call call;
    ++head->calls[kind];
    for (Rule& rule : head->rules) {
        if (rule.act == NONE) continue;
        if (rule.since && !(rule.since >> kind & 1)) continue;
        rule.since = 0;
        if (!(rule.kinds >> kind & 1) || --rule.nth) continue;
        uint64_t act = rule.act;
        ++rule.struck;
        rule.kind = kind;
        if (rule.every) rule.nth = rule.every;
        else rule.act = NONE;
        if (act == KILL_BEFORE) die();
        if (act == KILL_AFTER) call.dies = true;
        else if (act == SHORT && *length > 1) *length = *length / 2;
        else if (act == FAIL) call.act = FAIL, call.error = (int)rule.value;
        else if (act == LIE) call.act = LIE;
    }
    uint64_t size = (sizeof(Record) + *length + 7) / 8 * 8;
    if (head->used + size > head->capacity) abort();  // the shared file is too small for this run
    Record* record = call.record = (Record*)(records + head->used);
    *record = {(uint32_t)size, kind, call.act == FAIL ? FAILED : BEGUN, handle, offset, *length};
    memcpy(record + 1, data, *length);
    __atomic_store_n(&head->used, head->used + size, __ATOMIC_RELEASE);
    return call;
}

// A lie is written down as a failure: the caller heard that all is well.
long leave(const Call& call, long result) {
    int err = errno;
    bool is_done = result >= 0 && call.act != LIE;
    __atomic_store_n(&call.record->state, (uint32_t)(is_done ? DONE : FAILED), __ATOMIC_RELEASE);
    if (call.dies) die();
    errno = err;
    return result;
}

int fail(const Call& call) {
    errno = call.error;
    return -1;
}

template <class Real>
int open_at(int dirfd, const char* name, int flags, const Real& open_it) {
    std::string path = path_of(dirfd, name);
    if (path.empty()) return open_it();
    struct stat info;
    bool creates = flags & O_TRUNC || (flags & O_CREAT && stat(path.c_str(), &info) != 0);
    uint32_t handle;
    {
        std::lock_guard<std::mutex> held(lock);
        handle = ++last_handle;
    }
    uint64_t length = path.size();
    Call call = enter(creates ? CREATE : OPEN, handle, path.data(), &length, 0);
    if (call.act == FAIL) return fail(call);
    int fd = open_it();
    if (fd >= FDS) abort();
    if (fd >= 0) {
        handles[fd] = handle;
        is_folder[fd] = fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
        paths[fd] = is_folder[fd] ? new std::string(path) : nullptr;
    }
    return (int)leave(call, fd);
}

uint32_t handle_of(int fd) { return head && fd >= 0 && fd < FDS ? handles[fd] : 0; }

ssize_t write_at(int fd, const void* data, size_t size, off64_t offset) {
    static auto next = real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
    uint32_t handle = handle_of(fd);
    if (!handle) return next(fd, data, size, offset);
    uint64_t length = size;
    Call call = enter(offset == 0 && size < 4096 ? HEADER : WRITE, handle, (const char*)data, &length, (uint64_t)offset);
    if (call.act == FAIL) return fail(call);
    ssize_t result = next(fd, data, length, offset);
    if (result >= 0 && (uint64_t)result < length) call.record->length = (uint64_t)result;
    return leave(call, result);
}

int sync_it(int fd, int (*next)(int)) {
    uint32_t handle = handle_of(fd);
    if (!handle) return next(fd);
    uint64_t length = 0;
    Call call = enter(is_folder[fd] ? FOLDER : SYNC, handle, "", &length, 0);
    if (call.act == FAIL) return fail(call);
    return (int)leave(call, call.act == LIE ? 0 : next(fd));
}

template <class Real>
int name_it(Kind kind, const std::string& path, const Real& do_it) {
    if (path.empty()) return do_it();
    uint64_t length = path.size();
    Call call = enter(kind, 0, path.data(), &length, 0);
    if (call.act == FAIL) return fail(call);
    return (int)leave(call, do_it());
}

template <class Real>
int rename_it(const std::string& from, const std::string& to, const Real& do_it) {
    if (from.empty() || to.empty()) return do_it();
    std::string both = from + to;
    uint64_t length = both.size();
    Call call = enter(RENAME, 0, both.data(), &length, from.size());
    if (call.act == FAIL) return fail(call);
    return (int)leave(call, do_it());
}

mode_t mode_of(int flags, va_list list) { return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(list, unsigned) : 0; }

}  // namespace

extern "C" {

#define OPEN_AT(name)                                                                                  \
    int name(int dirfd, const char* path, int flags, ...) {                                            \
        static auto next = real<int (*)(int, const char*, int, ...)>(#name);                           \
        va_list list;                                                                                  \
        va_start(list, flags);                                                                         \
        mode_t mode = mode_of(flags, list);                                                            \
        va_end(list);                                                                                  \
        return open_at(dirfd, path, flags, [=] { return next(dirfd, path, flags, mode); });           \
    }
#define OPEN_PLAIN(name)                                                                               \
    int name(const char* path, int flags, ...) {                                                       \
        static auto next = real<int (*)(const char*, int, ...)>(#name);                                \
        va_list list;                                                                                  \
        va_start(list, flags);                                                                         \
        mode_t mode = mode_of(flags, list);                                                            \
        va_end(list);                                                                                  \
        return open_at(AT_FDCWD, path, flags, [=] { return next(path, flags, mode); });                \
    }
OPEN_AT(openat)
OPEN_AT(openat64)
OPEN_PLAIN(open)
OPEN_PLAIN(open64)

int close(int fd) {
    static auto next = real<int (*)(int)>("close");
    if (handle_of(fd)) {
        delete paths[fd];
        paths[fd] = nullptr;
        handles[fd] = 0;
    }
    return next(fd);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) { return write_at(fd, data, size, offset); }
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) { return write_at(fd, data, size, offset); }

int fsync(int fd) {
    static auto next = real<int (*)(int)>("fsync");
    return sync_it(fd, next);
}

int fdatasync(int fd) {
    static auto next = real<int (*)(int)>("fdatasync");
    return sync_it(fd, next);
}

int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags) {
    static auto next = real<int (*)(int, off64_t, off64_t, unsigned)>("sync_file_range");
    uint32_t handle = handle_of(fd);
    if (!handle) return next(fd, offset, size, flags);
    uint64_t length = 0;
    Call call = enter(RANGE, handle, "", &length, (uint64_t)offset);
    if (call.act == FAIL) return fail(call);
    return (int)leave(call, next(fd, offset, size, flags));
}

int rename(const char* from, const char* to) {
    static auto next = real<int (*)(const char*, const char*)>("rename");
    return rename_it(path_of(AT_FDCWD, from), path_of(AT_FDCWD, to), [=] { return next(from, to); });
}

int renameat(int from_fd, const char* from, int to_fd, const char* to) {
    static auto next = real<int (*)(int, const char*, int, const char*)>("renameat");
    return rename_it(path_of(from_fd, from), path_of(to_fd, to), [=] { return next(from_fd, from, to_fd, to); });
}

int unlink(const char* path) {
    static auto next = real<int (*)(const char*)>("unlink");
    return name_it(UNLINK, path_of(AT_FDCWD, path), [=] { return next(path); });
}

int unlinkat(int dirfd, const char* path, int flags) {
    static auto next = real<int (*)(int, const char*, int)>("unlinkat");
    return name_it(UNLINK, path_of(dirfd, path), [=] { return next(dirfd, path, flags); });
}

int mkdir(const char* path, mode_t mode) {
    static auto next = real<int (*)(const char*, mode_t)>("mkdir");
    return name_it(MKDIR, path_of(AT_FDCWD, path), [=] { return next(path, mode); });
}
}
