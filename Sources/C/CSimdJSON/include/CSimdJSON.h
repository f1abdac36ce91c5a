#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A reusable simdjson DOM parser. Not thread-safe: one per thread.
typedef struct sluice_json_parser sluice_json_parser;

/// A parsed document: simdjson's tape (https://github.com/simdjson/simdjson/blob/v3.0.1/doc/tape.md) and its strings,
/// both owned by the parser and valid until its next parse.
typedef struct {
  /// 0, or one of simdjson's error codes.
  int32_t error;
  const uint64_t *tape;
  size_t tape_count;
  const uint8_t *strings;
  size_t strings_count;
} sluice_json_document;

/// Readable bytes that must follow every input.
size_t sluice_json_padding(void);

/// @return NULL when memory runs out.
sluice_json_parser *sluice_json_parser_new(size_t capacity, size_t max_depth);
void sluice_json_parser_free(sluice_json_parser *parser);

/// Parses `count` bytes, behind which `sluice_json_padding()` more must be readable.
sluice_json_document sluice_json_parse(sluice_json_parser *parser, const uint8_t *bytes, size_t count);

/// A sentence for an error code; static storage.
const char *sluice_json_error_message(int32_t error);

#ifdef __cplusplus
}
#endif
