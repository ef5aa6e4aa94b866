// The journal's file operations, numbered by kind so that a test can plan an error, a short or a torn write at any of them.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace backstay {

enum Op { OP_OPEN = 0, OP_PWRITE = 1, OP_FDATASYNC = 2, OP_PREPARE = 3, OP_KINDS = 4 };

inline const char* op_name(int op) {
    static const char* const names[OP_KINDS] = {"open", "pwrite", "fdatasync", "prepare"};
    return op >= 0 && op < OP_KINDS ? names[op] : "";
}

// At the nth operation (1 upward) of a kind: fail with `err` after `keep_bytes` of a write; err 0 = a short write that succeeds.
struct Fault {
    int op = -1;
    int64_t nth = 0;
    int err = 0;
    int64_t keep_bytes = 0;
};

// Each kind is used by one thread only, so the counters need no lock.
class Device {
  public:
    Fault fault;
    int64_t done[OP_KINDS] = {0, 0, 0, 0};

    int open_file(int op, int dirfd, const char* name, int flags) {
        if (hit(op)) return planned_error();
        return ::openat(dirfd, name, flags | O_CLOEXEC, 0644);
    }

    // All of it, or -1 with errno. A short write is continued; a failed one is never retried.
    int write_all(int op, int fd, const char* data, int64_t size, int64_t offset) {
        int64_t at = 0;
        while (at < size) {
            ssize_t n;
            if (hit(op)) {
                int64_t keep = fault.keep_bytes < size - at ? fault.keep_bytes : size - at;
                n = keep > 0 ? ::pwrite(fd, data + at, (size_t)keep, offset + at) : 0;
                if (fault.err) return planned_error();
            } else {
                n = ::pwrite(fd, data + at, (size_t)(size - at), offset + at);
                if (n == 0) errno = EIO;
                if (n == 0 || (n < 0 && errno != EINTR)) return -1;
            }
            if (n > 0) at += n;
        }
        return 0;
    }

    int sync(int op, int fd) {
        if (hit(op)) return planned_error();
        return ::fdatasync(fd);
    }

  private:
    bool hit(int op) { return ++done[op] == fault.nth && fault.op == op; }
    int planned_error() {
        errno = fault.err ? fault.err : EIO;
        return -1;
    }
};

}  // namespace backstay
