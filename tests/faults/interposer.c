/*
 * Stops a process at the N-th system call that changes files below a directory. It is loaded by
 * LD_PRELOAD in front of the C library.
 *
 *   FAULT_DIR     absolute path of the directory
 *   FAULT_AT      number of the call, from 1 on; 0 lets all of them through
 *   FAULT_CALLS   the calls that count, separated by commas: write, sync, rename, unlink, truncate
 *   FAULT_ACTION  kill: SIGKILL before the call; tear: SIGKILL in the middle of a write;
 *                 fail: the call fails; fill: it fails, and so does every later write
 *   FAULT_ERRNO   error with which a call fails
 *   FAULT_TRACE   file that gets one line per counted call
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum verdict { PASS, FAIL, TEAR };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_long counted;
static const char *directory, *calls, *action;
static long at;
static int error_number;
static int trace = -1;

static const char *setting(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value != NULL && *value != '\0' ? value : otherwise;
}

static void prepare(void) {
  directory = setting("FAULT_DIR", NULL);
  calls = setting("FAULT_CALLS", "write,sync,rename,unlink,truncate");
  action = setting("FAULT_ACTION", "kill");
  at = atol(setting("FAULT_AT", "0"));
  error_number = atoi(setting("FAULT_ERRNO", "5"));
  const char *path = setting("FAULT_TRACE", NULL);
  if (path != NULL) {
    trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
}

static int is_counted(const char *call) {
  size_t length = strlen(call);
  for (const char *one = calls; one != NULL; one = strchr(one, ',')) {
    if (*one == ',') one++;
    if (strncmp(one, call, length) == 0 && (one[length] == ',' || one[length] == '\0')) return 1;
  }
  return 0;
}

static int is_below(const char *path) {
  size_t length = strlen(directory);
  return strncmp(path, directory, length) == 0 && path[length] == '/';
}

/* A path as an absolute one; links in it are not followed. */
static void absolute(int base, const char *path, char full[2 * PATH_MAX]) {
  char start[PATH_MAX] = "";
  if (path[0] != '/') {
    if (base == AT_FDCWD) {
      if (getcwd(start, sizeof start) == NULL) start[0] = '\0';
    } else {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", base);
      ssize_t length = readlink(link, start, sizeof start - 1);
      start[length > 0 ? length : 0] = '\0';
    }
  }
  snprintf(full, 2 * PATH_MAX, "%s%s%s", start, path[0] == '/' ? "" : "/", path);
}

static _Noreturn void stop(void) {
  kill(getpid(), SIGKILL);
  _exit(137);
}

static enum verdict judge(const char *call, const char *path) {
  pthread_once(&once, prepare);
  if (directory == NULL || !is_counted(call) || !is_below(path)) return PASS;
  long number = atomic_fetch_add(&counted, 1) + 1;
  if (trace != -1) {
    char line[2 * PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%s %s\n", call, path + strlen(directory) + 1);
    syscall(SYS_write, trace, line, length);
  }
  if (at == 0 || number < at) return PASS;
  if (strcmp(action, "fill") == 0) {
    return number == at || strcmp(call, "write") == 0 ? FAIL : PASS;
  }
  if (number > at) return PASS;
  if (strcmp(action, "fail") == 0) return FAIL;
  if (strcmp(action, "tear") == 0 && strcmp(call, "write") == 0) return TEAR;
  stop();
}

static enum verdict judge_at(const char *call, int base, const char *path) {
  char full[2 * PATH_MAX];
  int before = errno;
  absolute(base, path, full);
  enum verdict verdict = judge(call, full);
  errno = before;
  return verdict;
}

static enum verdict judge_open(const char *call, int file) {
  char link[64], path[PATH_MAX];
  int before = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  path[length > 0 ? length : 0] = '\0';
  enum verdict verdict = judge(call, path);
  errno = before;
  return verdict;
}

static void *next(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

#define NEXT(type, name, ...)                          \
  static type (*real)(__VA_ARGS__);                    \
  if (real == NULL) real = (type(*)(__VA_ARGS__))next(name)

#define REFUSE          \
  do {                  \
    errno = error_number; \
    return -1;          \
  } while (0)

ssize_t write(int file, const void *bytes, size_t length) {
  NEXT(ssize_t, "write", int, const void *, size_t);
  switch (judge_open("write", file)) {
    case FAIL: REFUSE;
    case TEAR:
      real(file, bytes, length / 2);
      stop();
    default: return real(file, bytes, length);
  }
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
  NEXT(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  switch (judge_open("write", file)) {
    case FAIL: REFUSE;
    case TEAR:
      real(file, bytes, length / 2, offset);
      stop();
    default: return real(file, bytes, length, offset);
  }
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
  return pwrite64(file, bytes, length, offset);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  NEXT(ssize_t, "writev", int, const struct iovec *, int);
  if (judge_open("write", file) == FAIL) REFUSE;
  return real(file, parts, count);
}

int fsync(int file) {
  NEXT(int, "fsync", int);
  if (judge_open("sync", file) == FAIL) REFUSE;
  return real(file);
}

int fdatasync(int file) {
  NEXT(int, "fdatasync", int);
  if (judge_open("sync", file) == FAIL) REFUSE;
  return real(file);
}

int ftruncate64(int file, off64_t length) {
  NEXT(int, "ftruncate64", int, off64_t);
  if (judge_open("truncate", file) == FAIL) REFUSE;
  return real(file, length);
}

int ftruncate(int file, off_t length) {
  return ftruncate64(file, length);
}

int rename(const char *from, const char *to) {
  NEXT(int, "rename", const char *, const char *);
  if (judge_at("rename", AT_FDCWD, to) == FAIL) REFUSE;
  return real(from, to);
}

int renameat(int from_base, const char *from, int to_base, const char *to) {
  NEXT(int, "renameat", int, const char *, int, const char *);
  if (judge_at("rename", to_base, to) == FAIL) REFUSE;
  return real(from_base, from, to_base, to);
}

int unlink(const char *path) {
  NEXT(int, "unlink", const char *);
  if (judge_at("unlink", AT_FDCWD, path) == FAIL) REFUSE;
  return real(path);
}

int unlinkat(int base, const char *path, int flags) {
  NEXT(int, "unlinkat", int, const char *, int);
  if (judge_at("unlink", base, path) == FAIL) REFUSE;
  return real(base, path, flags);
}
