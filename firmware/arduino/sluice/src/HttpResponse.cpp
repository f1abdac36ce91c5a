#include "HttpResponse.h"

#include <string.h>

namespace sluice {

HttpResponse::Field HttpResponse::field() const {
  if (count_ == 14 && !memcmp(name_, "content-length", 14)) return Field::length;
  if (count_ == 11 && !memcmp(name_, "retry-after", 11)) return Field::retry;
  if (count_ == 10 && !memcmp(name_, "connection", 10)) return Field::connection;
  return Field::other;
}

bool HttpResponse::endLine() {
  if (state_ == State::name && count_ == 0) {
    // An interim answer (RFC 9110, 15.2) is followed by the real one.
    if (status_ >= 100 && status_ < 200) {
      reset();
      return false;
    }
    state_ = hasLength_ && left_ == 0 ? State::done : State::body;
    return state_ == State::done;
  }
  state_ = State::name;
  count_ = 0;
  return false;
}

bool HttpResponse::feed(uint8_t byte) {
  if (state_ == State::done) return true;
  if (state_ == State::body) {
    // Without a length it goes on until the connection ends, and nobody here reads it.
    if (!hasLength_ || --left_ == 0) state_ = State::done;
    return state_ == State::done;
  }
  if (byte == '\n') return endLine();
  if (byte == '\r') return false;
  const bool isDigit = byte >= '0' && byte <= '9';
  switch (state_) {
    case State::status:
      // "HTTP/1.1 202 …"
      if (count_ < 5 && byte != static_cast<uint8_t>("HTTP/"[count_])) {
        state_ = State::done;
        return true;
      }
      if (count_ >= 9 && count_ < 12 && isDigit) status_ = static_cast<uint16_t>(status_ * 10 + (byte - '0'));
      if (count_ < 255) count_++;
      break;
    case State::name:
      if (byte == ':') {
        field_ = field();
        state_ = State::value;
        count_ = 0;
        if (field_ == Field::length) hasLength_ = true;
        break;
      }
      if (count_ < nameRoom) name_[count_] = static_cast<char>(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
      if (count_ < 255) count_++;
      break;
    case State::value:
      if (field_ == Field::length && isDigit && left_ < 100000000) left_ = left_ * 10 + (byte - '0');
      if (field_ == Field::retry && isDigit && retryAfter_ < 6000) {
        retryAfter_ = static_cast<uint16_t>(retryAfter_ * 10 + (byte - '0'));
      }
      // "close"; the other word that is used is "keep-alive", which has no c.
      if (field_ == Field::connection && (byte | 32) == 'c') staysOpen_ = false;
      break;
    default:
      break;
  }
  return false;
}

Fate fate(uint16_t status) {
  if (status >= 200 && status < 300) return Fate::accepted;
  // What is wrong with the reading stays wrong; all else may pass, be it that a key is allowed or a proxy is set right.
  return status == 400 || status == 413 || status == 415 || status == 422 ? Fate::refused : Fate::again;
}

}  // namespace sluice
