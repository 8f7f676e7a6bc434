/*
 * The few libc functions that must not come from the main module: there they are implemented in JavaScript, by
 * the very engine that would be calling them.
 */
#include <stdio.h>
#include <sys/time.h>

#include "shim.h"

int gettimeofday(struct timeval *tv, void *zone) {
  double ms = host_now(0);
  tv->tv_sec = (time_t)(ms / 1000);
  tv->tv_usec = (int)((ms - 1000.0 * (double)tv->tv_sec) * 1000);
  return 0;
}

int clock_gettime(clockid_t clock, struct timespec *ts) {
  double ms = host_now(clock);
  ts->tv_sec = (time_t)(ms / 1000);
  ts->tv_nsec = (long)((ms - 1000.0 * (double)ts->tv_sec) * 1e6);
  return 0;
}

time_t time(time_t *out) {
  time_t now = (time_t)(host_now(0) / 1000);
  if (out) *out = now;
  return now;
}

/* A Worker's clock is in UTC. */
struct tm *localtime_r(const time_t *t, struct tm *out) {
  memset(out, 0, sizeof *out);
  return out;
}

_Noreturn void abort(void) { host_exit(1, "the JavaScript engine aborted", 29); }

_Noreturn void __assert_fail(const char *what, const char *file, int line, const char *function) {
  host_exit(1, what, strlen(what));
}

/* QuickJS's debugging dumps; nothing that a program prints comes this way. */
int printf(const char *format, ...) { return 0; }
int fprintf(FILE *file, const char *format, ...) { return 0; }
int vfprintf(FILE *file, const char *format, va_list args) { return 0; }
int putchar(int c) { return c; }
int fputc(int c, FILE *file) { return c; }
int fputs(const char *text, FILE *file) { return 0; }
size_t fwrite(const void *bytes, size_t size, size_t count, FILE *file) { return count; }
int fflush(FILE *file) { return 0; }
