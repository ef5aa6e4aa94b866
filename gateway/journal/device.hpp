// The journal's file operations, numbered by kind so that a test can plan an error, a short or a torn write at any of them.
// They are today's system calls; in the stepped mode the owner of the strands carries them out.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "gateway/journal/strands.hpp"

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
    Strands* strands = nullptr;  // set: the stepped mode

    int open_file(int op, int dirfd, const char* name, int flags) {
        if (hit(op)) return planned_error();
        if (strands) return (int)ask_name(flags & O_CREAT ? CALL_CREATE : CALL_OPEN, name);
        return ::openat(dirfd, name, flags | O_CLOEXEC, 0644);
    }

    // -1 with errno when there is none.
    int64_t size_of(int dirfd, const char* name) {
        if (strands) return ask_name(CALL_SIZE_OF, name);
        struct stat info;
        return ::fstatat(dirfd, name, &info, 0) == 0 ? (int64_t)info.st_size : -1;
    }

    int64_t read(int fd, char* into, int64_t size, int64_t offset) {
        if (!strands) return ::pread(fd, into, (size_t)size, offset);
        Request request;
        request.call = CALL_PREAD;
        request.file = fd;
        request.into = into;
        request.size = size;
        request.offset = offset;
        return strands->ask(request);
    }

    // All of it, or -1 with errno. A short write is continued; a failed one is never retried.
    int write_all(int op, int fd, const char* data, int64_t size, int64_t offset) {
        int64_t at = 0;
        while (at < size) {
            int64_t n;
            if (hit(op)) {
                int64_t keep = fault.keep_bytes < size - at ? fault.keep_bytes : size - at;
                n = keep > 0 ? write(fd, data + at, keep, offset + at) : 0;
                if (fault.err) return planned_error();
            } else {
                n = write(fd, data + at, size - at, offset + at);
                if (n == 0) errno = EIO;
                if (n == 0 || (n < 0 && errno != EINTR)) return -1;
            }
            if (n > 0) at += n;
        }
        return 0;
    }

    // Sends these bytes to the device and waits, without a flush of it. It reports a failed write in place of the sync at the
    // end, which tells each error once; where the system has no such call, that sync does it all.
    int write_out(int op, int fd, int64_t offset, int64_t size) {
        if (strands) return 0;
        if (hit(op)) return planned_error();
        const int all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
        return ::sync_file_range(fd, offset, size, all) == 0 || errno == ENOSYS ? 0 : -1;
    }

    int sync(int op, int fd) {
        if (hit(op)) return planned_error();
        return strands ? (int)ask_file(CALL_SYNC, fd) : ::fdatasync(fd);
    }

    int close_file(int fd) { return strands ? (int)ask_file(CALL_CLOSE, fd) : ::close(fd); }

    int rename(int dirfd, const char* name, const char* new_name) {
        if (!strands) return ::renameat(dirfd, name, dirfd, new_name);
        Request request;
        request.call = CALL_RENAME;
        request.name = name;
        request.new_name = new_name;
        return (int)strands->ask(request);
    }

    int unlink(int dirfd, const char* name) { return strands ? (int)ask_name(CALL_UNLINK, name) : ::unlinkat(dirfd, name, 0); }
    int sync_folder(int dirfd) { return strands ? (int)ask_name(CALL_SYNC_FOLDER, "") : ::fsync(dirfd); }

  private:
    int64_t write(int fd, const char* data, int64_t size, int64_t offset) {
        if (!strands) return ::pwrite(fd, data, (size_t)size, offset);
        Request request;
        request.call = CALL_PWRITE;
        request.file = fd;
        request.data = data;
        request.size = size;
        request.offset = offset;
        return strands->ask(request);
    }

    int64_t ask_name(int call, const char* name) {
        Request request;
        request.call = call;
        request.name = name;
        return strands->ask(request);
    }

    int64_t ask_file(int call, int fd) {
        Request request;
        request.call = call;
        request.file = fd;
        return strands->ask(request);
    }

    bool hit(int op) { return ++done[op] == fault.nth && fault.op == op; }
    int planned_error() {
        errno = fault.err ? fault.err : EIO;
        return -1;
    }
};

}  // namespace backstay
