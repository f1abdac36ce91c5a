// Text and JSON into a fixed buffer. No Arduino in here: the tests compile it for the host too.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace sluice {

/// Writes into a buffer and counts on past its end, so that one pass can measure and the next one write.
class Text {
 public:
  Text(char *buffer, size_t size) : buffer_(buffer), size_(size) {}

  void add(char character) {
    if (length_ < size_) buffer_[length_] = character;
    length_++;
  }
  void add(const char *words);
  void number(uint32_t number);
  /// With as many hexadecimal digits as are asked for.
  void hex(uint32_t number, uint8_t digits);
  /// A number of thousandths as a decimal, without needless zeros: 123400 is 123.4.
  void thousandths(int32_t number);
  /// In quotes, escaped as RFC 8259, section 7 asks.
  void quoted(const char *words);

  size_t length() const { return length_; }
  bool fits() const { return length_ <= size_; }

 private:
  char *buffer_;
  size_t size_;
  size_t length_ = 0;
};

/// Whether Sluice takes this as the name of a device or sensor that is one level of a topic.
bool isName(const char *words, size_t limit);

}  // namespace sluice
