// What a POST is answered. No Arduino in here: the tests compile it for the host too.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace sluice {

/// Takes an HTTP/1.1 answer apart, a byte at a time.
class HttpResponse {
 public:
  void reset() { *this = HttpResponse(); }
  /// Whether this byte completed the answer.
  bool feed(uint8_t byte);
  /// 0: it is no HTTP.
  uint16_t status() const { return status_; }
  /// Seconds; 0: the answer does not say.
  uint16_t retryAfter() const { return retryAfter_; }
  /// Whether the connection can take another request.
  bool staysOpen() const { return staysOpen_ && hasLength_; }

 private:
  enum class State : uint8_t { status, name, value, body, done };
  enum class Field : uint8_t { other, length, retry, connection };
  static const uint8_t nameRoom = 16;

  bool endLine();
  Field field() const;

  State state_ = State::status;
  Field field_ = Field::other;
  bool staysOpen_ = true;
  bool hasLength_ = false;
  uint8_t count_ = 0;
  char name_[nameRoom] = {};
  uint16_t status_ = 0;
  uint16_t retryAfter_ = 0;
  uint32_t left_ = 0;
};

/// What becomes of a reading after an answer.
enum class Fate : uint8_t {
  /// Kafka has it.
  accepted,
  /// The server will never take it: sending it again would hold up all others.
  refused,
  /// To be sent again later, with the same id.
  again,
};

Fate fate(uint16_t status);

}  // namespace sluice
