#include "CSimdJSON.h"

#include <simdjson.h>

#include <new>
#include <vector>

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

// The text with an exponent behind each long whole number: simdjson takes those of at most 64 bits, JSON has no such limit,
// and JavaScript writes 1e20 without one.
static std::vector<uint8_t> with_exponents(const uint8_t *bytes, size_t count) {
  constexpr size_t digits_of_64_bits = 19;
  std::vector<uint8_t> text;
  text.reserve(count + count / digits_of_64_bits * 2 + simdjson::SIMDJSON_PADDING);
  auto is_digit = [](uint8_t byte) { return byte >= '0' && byte <= '9'; };
  auto goes_on = [&](uint8_t byte) {
    return is_digit(byte) || byte == '.' || byte == 'e' || byte == 'E' || byte == '+' || byte == '-';
  };
  bool in_string = false;
  for (size_t i = 0; i < count;) {
    const uint8_t byte = bytes[i];
    size_t end = i + 1;
    if (in_string) {
      if (byte == '\\' && end < count) end++;
      in_string = byte != '"';
    } else if (is_digit(byte)) {
      while (end < count && is_digit(bytes[end])) end++;
      const bool is_whole = end == count || !goes_on(bytes[end]);
      const size_t digits = end - i;
      while (end < count && goes_on(bytes[end])) end++;
      text.insert(text.end(), bytes + i, bytes + end);
      if (is_whole && digits >= digits_of_64_bits) text.insert(text.end(), {'e', '0'});
      i = end;
      continue;
    } else {
      in_string = byte == '"';
    }
    text.insert(text.end(), bytes + i, bytes + end);
    i = end;
  }
  text.insert(text.end(), simdjson::SIMDJSON_PADDING, 0);
  return text;
}

static sluice_json_document parse(sluice_json_parser *self, const uint8_t *bytes, size_t count) {
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

sluice_json_document sluice_json_parse(sluice_json_parser *self, const uint8_t *bytes, size_t count) {
  auto document = parse(self, bytes, count);
  if (document.error != simdjson::NUMBER_ERROR) return document;
  const auto text = with_exponents(bytes, count);
  return parse(self, text.data(), text.size() - simdjson::SIMDJSON_PADDING);
}

const char *sluice_json_error_message(int32_t error) {
  return simdjson::error_message(static_cast<simdjson::error_code>(error));
}
