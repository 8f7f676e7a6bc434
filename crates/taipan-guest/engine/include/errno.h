#pragma once
int *__errno_location(void);
#define errno (*__errno_location())
#define ERANGE 68
#define EINVAL 28
#define ENOMEM 48
