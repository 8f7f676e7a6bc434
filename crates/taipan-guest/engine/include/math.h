#pragma once
#define INFINITY (__builtin_inff())
#define NAN (__builtin_nanf(""))
#define HUGE_VAL (__builtin_huge_val())
#define M_PI 3.14159265358979323846
#define M_E 2.7182818284590452354
#define M_LN2 0.69314718055994530942
#define M_LN10 2.30258509299404568402
#define M_LOG2E 1.4426950408889634074
#define M_LOG10E 0.43429448190325182765
#define M_SQRT1_2 0.70710678118654752440
#define M_SQRT2 1.41421356237309504880
#define FP_NAN 0
#define FP_INFINITE 1
#define FP_ZERO 2
#define FP_SUBNORMAL 3
#define FP_NORMAL 4
#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)
#define isfinite(x) __builtin_isfinite(x)
#define signbit(x) __builtin_signbit(x)
#define fpclassify(x) __builtin_fpclassify(FP_NAN, FP_INFINITE, FP_NORMAL, FP_SUBNORMAL, FP_ZERO, x)
double fabs(double), floor(double), ceil(double), sqrt(double), trunc(double), rint(double), round(double);
double acos(double), asin(double), atan(double), atan2(double, double), cos(double), sin(double), tan(double);
double exp(double), log(double), pow(double, double), fmod(double, double), cosh(double), sinh(double), tanh(double);
double acosh(double), asinh(double), atanh(double), expm1(double), log1p(double), log2(double), log10(double);
double cbrt(double), hypot(double, double), frexp(double, int *), ldexp(double, int), scalbn(double, int), modf(double, double *);
double copysign(double, double), nearbyint(double), fmin(double, double), fmax(double, double);
long lrint(double);
long long llrint(double);
