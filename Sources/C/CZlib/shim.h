#pragma once
#include <zlib.h>

// Macros that Swift cannot import.

/// `window_bits`: 15 zlib, 31 gzip, 47 either, -15 raw.
static inline int sluice_inflate_init(z_stream *stream, int window_bits) { return inflateInit2(stream, window_bits); }

static inline int sluice_deflate_init(z_stream *stream, int level, int window_bits) {
  return deflateInit2(stream, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
}
