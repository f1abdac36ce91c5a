#pragma once

/// How jemalloc, which linking this makes the process's allocator, is set (jemalloc(3), TUNING).
extern const char *malloc_conf;
