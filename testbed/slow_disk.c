/* Preloaded into a process (testbed/slow_disk.py): makes the disk below one folder slow.
 *
 * SLOW_DISK_FOLDER  the folder, an absolute path
 * SLOW_DISK_DELAYS  a file with two numbers, read at each call: how many seconds a sync takes, and how
 *                   many whatever looks for a file takes (open, stat, mkdir), as on a mount that hangs
 *
 * A call ends as soon as its time is over by what the file says then: a disk can be mended at once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SYNC 0
#define LOOK 1
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static double delay(int which) {
    const char *path = getenv("SLOW_DISK_DELAYS");
    char text[64] = {0};
    double delays[2] = {0, 0};
    int file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY) : -1;
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) > 0) sscanf(text, "%lf %lf", &delays[SYNC], &delays[LOOK]);
    syscall(SYS_close, file);
    return delays[which];
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void wait_for(int which) {
    struct timespec step = {0, 5000000};
    double began = now();
    while (now() - began < delay(which)) nanosleep(&step, NULL);
}

static int is_below(const char *path) {
    const char *folder = getenv("SLOW_DISK_FOLDER");
    size_t size = folder ? strlen(folder) : 0;
    return size && path && !strncmp(path, folder, size) && (path[size] == '/' || !path[size]);
}

static void slow_path(const char *path) {
    if (is_below(path)) wait_for(LOOK);
}

static void slow_file(int file) {
    char link[64], path[PATH_MAX + 1] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, path, PATH_MAX) > 0 && is_below(path)) wait_for(SYNC);
}

int fsync(int file) { slow_file(file); return REAL(fsync)(file); }
int fdatasync(int file) { slow_file(file); return REAL(fdatasync)(file); }
int mkdir(const char *path, mode_t mode) { slow_path(path); return REAL(mkdir)(path, mode); }
int access(const char *path, int mode) { slow_path(path); return REAL(access)(path, mode); }

#define OPEN(name)                                                \
    int name(const char *path, int flags, ...) {                  \
        va_list rest;                                             \
        va_start(rest, flags);                                    \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                             \
        slow_path(path);                                          \
        return REAL(name)(path, flags, mode);                     \
    }
OPEN(open)
OPEN(open64)

#define STAT(name, kind) \
    int name(const char *path, struct kind *found) { slow_path(path); return REAL(name)(path, found); }
STAT(stat, stat)
STAT(stat64, stat64)
STAT(lstat, stat)
STAT(lstat64, stat64)
