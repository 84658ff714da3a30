/* Preloaded into a server: calls on the ledger's files fail with EIO while a byte in a shared file says so.

   Byte 0 of the file named by TORTURE_DISK: 1 writes, 2 syncs, 4 reads, 8 cuts (added up); byte 1: in how many
   of 256 calls. All other files are left alone. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static volatile unsigned char *plan;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("TORTURE_DISK");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    void *seen = fd < 0 ? MAP_FAILED : mmap(NULL, 2, PROT_READ, MAP_SHARED, fd, 0);
    if (seen != MAP_FAILED)
        plan = seen;
    if (fd >= 0)
        close(fd);
}

static int fails(int fd, int kind) {
    static __thread unsigned int dice = 1;
    char link[64], path[4096];
    if (!plan || !(plan[0] & kind) || (rand_r(&dice) & 255) >= plan[1])
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    size_t length = (size_t)size;
    if ((length > 3 && !strcmp(path + length - 3, ".db")) || (length > 7 && !strcmp(path + length - 7, ".db-wal"))) {
        errno = EIO;
        return 1;
    }
    return 0;
}

#define REAL(name, result, ...)                                                                                    \
    static result (*real)(__VA_ARGS__);                                                                            \
    if (!real)                                                                                                     \
    real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define FAILING(name, result, kind, parameters, arguments, ...)                                                    \
    result name parameters {                                                                                       \
        REAL(#name, result, __VA_ARGS__);                                                                          \
        return fails(fd, kind) ? -1 : real arguments;                                                              \
    }

FAILING(write, ssize_t, 1, (int fd, const void *data, size_t size), (fd, data, size), int, const void *, size_t)
FAILING(pwrite, ssize_t, 1, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), int,
        const void *, size_t, off_t)
FAILING(pwrite64, ssize_t, 1, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at), int,
        const void *, size_t, off64_t)
FAILING(fsync, int, 2, (int fd), (fd), int)
FAILING(fdatasync, int, 2, (int fd), (fd), int)
FAILING(read, ssize_t, 4, (int fd, void *data, size_t size), (fd, data, size), int, void *, size_t)
FAILING(pread, ssize_t, 4, (int fd, void *data, size_t size, off_t at), (fd, data, size, at), int, void *, size_t,
        off_t)
FAILING(pread64, ssize_t, 4, (int fd, void *data, size_t size, off64_t at), (fd, data, size, at), int, void *,
        size_t, off64_t)
FAILING(ftruncate, int, 8, (int fd, off_t size), (fd, size), int, off_t)
FAILING(ftruncate64, int, 8, (int fd, off64_t size), (fd, size), int, off64_t)
