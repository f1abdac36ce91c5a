#include "CJemalloc.h"

// Each message is allocated by the thread that produces it and freed by the one that gets its report. glibc has both lock the
// same arena for every one of them, which took half of the throughput of large bodies. Few arenas, and pages given back after
// a second: few threads allocate much, and memory is to be as small after a load as before it.
const char *malloc_conf = "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0";
