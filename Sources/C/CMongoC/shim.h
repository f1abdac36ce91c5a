#pragma once
#include <mongoc/mongoc.h>

// `bson_t` is 128 bytes aligned to 128, and Swift imports it with a smaller alignment. So Swift never holds one by value:
// it owns aligned memory, and these functions are all that looks into it.

/// Makes `slot` (128 bytes, aligned to 128) a read-only view of an encoded document; false if the length is not its own.
static inline bool sluice_bson_view(bson_t *slot, const void *bytes, size_t length) {
  return bson_init_static(slot, (const uint8_t *)bytes, length);
}

static inline uint32_t sluice_bson_length(const bson_t *document) { return document->len; }

/// Makes `slot` an empty document, for replies that a failed call leaves untouched.
static inline void sluice_bson_empty(bson_t *slot) { bson_init(slot); }
