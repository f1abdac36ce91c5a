#include "CSimdJSON.h"

#include <simdjson.h>

#include <new>

struct sluice_json_parser {
  simdjson::dom::parser parser;
  size_t max_depth;
};

size_t sluice_json_padding(void) { return simdjson::SIMDJSON_PADDING; }

sluice_json_parser *sluice_json_parser_new(size_t capacity, size_t max_depth) {
  auto *self = new (std::nothrow) sluice_json_parser{simdjson::dom::parser{}, max_depth};
  if (self == nullptr) return nullptr;
  if (self->parser.allocate(capacity, max_depth) != simdjson::SUCCESS) {
    delete self;
    return nullptr;
  }
  return self;
}

void sluice_json_parser_free(sluice_json_parser *parser) { delete parser; }

sluice_json_document sluice_json_parse(sluice_json_parser *self, const uint8_t *bytes, size_t count) {
  sluice_json_document document = {};
  // Grown here, because simdjson's own growth would fall back to its default depth.
  if (count > self->parser.capacity()) {
    auto error = self->parser.allocate(count + count / 2, self->max_depth);
    if (error != simdjson::SUCCESS) {
      document.error = error;
      return document;
    }
  }
  simdjson::dom::element root;
  auto error = self->parser.parse(bytes, count, false).get(root);
  if (error != simdjson::SUCCESS) {
    document.error = error;
    return document;
  }
  document.tape = self->parser.doc.tape.get();
  // The first word of the tape holds the index behind its last (tape.md).
  document.tape_count = static_cast<size_t>(document.tape[0] & ((uint64_t{1} << 56) - 1)) + 1;
  document.strings = self->parser.doc.string_buf.get();
  document.strings_count = self->parser.doc.capacity();
  return document;
}

const char *sluice_json_error_message(int32_t error) {
  return simdjson::error_message(static_cast<simdjson::error_code>(error));
}
