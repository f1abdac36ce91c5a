#include "Text.h"

namespace sluice {

void Text::add(const char *words) {
  while (*words) add(*words++);
}

void Text::number(uint32_t number) {
  char digits[10];
  uint8_t count = 0;
  do {
    digits[count++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number);
  while (count) add(digits[--count]);
}

void Text::hex(uint32_t number, uint8_t digits) {
  while (digits--) {
    const uint8_t digit = (number >> (4 * digits)) & 15;
    add(static_cast<char>(digit < 10 ? '0' + digit : 'a' + digit - 10));
  }
}

void Text::thousandths(int32_t number) {
  // The smallest number has no positive counterpart of its own type.
  uint32_t rest = static_cast<uint32_t>(number);
  if (number < 0) {
    add('-');
    rest = -rest;
  }
  this->number(rest / 1000);
  rest %= 1000;
  if (!rest) return;
  add('.');
  for (uint16_t place = 100; rest; place /= 10) {
    add(static_cast<char>('0' + rest / place));
    rest %= place;
  }
}

void Text::quoted(const char *words) {
  add('"');
  for (; *words; words++) {
    const char character = *words;
    if (character == '"' || character == '\\') {
      add('\\');
      add(character);
    } else if (static_cast<uint8_t>(character) < 0x20) {
      add("\\u");
      hex(static_cast<uint8_t>(character), 4);
    } else {
      add(character);
    }
  }
  add('"');
}

bool isName(const char *words, size_t limit) {
  size_t length = 0;
  for (; words[length]; length++) {
    const char c = words[length];
    const bool isPlain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!isPlain && (length == 0 || !(c == '.' || c == '_' || c == ':' || c == '-'))) return false;
  }
  return length > 0 && length <= limit;
}

}  // namespace sluice
