#pragma once
#include <stddef.h>
#include <stdint.h>
void *sbrk(intptr_t);
