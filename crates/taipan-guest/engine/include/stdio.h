#pragma once
#include <stdarg.h>
#include <stddef.h>
/* Only what formats into memory: the engine has no files. QuickJS's debugging dumps go to printf, which the shim drops. */
typedef struct FILE FILE;
#define stdout ((FILE *)1)
#define stderr ((FILE *)2)
int printf(const char *, ...);
int fprintf(FILE *, const char *, ...);
int vfprintf(FILE *, const char *, va_list);
int snprintf(char *, size_t, const char *, ...);
int vsnprintf(char *, size_t, const char *, va_list);
int putchar(int);
int fputc(int, FILE *);
int fputs(const char *, FILE *);
size_t fwrite(const void *, size_t, size_t, FILE *);
int fflush(FILE *);
