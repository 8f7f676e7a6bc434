#pragma once
#include <stddef.h>
size_t malloc_usable_size(void *);
struct mallinfo {
  size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
struct mallinfo mallinfo(void);
