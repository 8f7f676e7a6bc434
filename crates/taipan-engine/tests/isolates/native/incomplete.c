/* Needs an address that no module has. */
extern int is_nowhere;

__attribute__((visibility("default"))) int *where(void) { return &is_nowhere; }
