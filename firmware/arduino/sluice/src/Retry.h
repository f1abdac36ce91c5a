// When to try again: after a delay that grows, and differs between boards. No Arduino in here.
#pragma once
#include <stdint.h>

namespace sluice {

class Retry {
 public:
  void begin(uint32_t random) { random_ = random | 1; }
  bool isDue(uint32_t now) const { return now - since_ >= wait_; }
  /// - Parameter least: milliseconds that the server asks for.
  void failed(uint32_t now, uint32_t least = 0) {
    // Marsaglia's xorshift: a fleet is not to come back all at once after its broker has been away.
    random_ ^= random_ << 13;
    random_ ^= random_ >> 17;
    random_ ^= random_ << 5;
    wait_ = delay_ / 2 + random_ % delay_;
    if (wait_ < least) wait_ = least;
    since_ = now;
    delay_ = delay_ * 2 > longest ? longest : delay_ * 2;
  }
  void succeeded() {
    delay_ = shortest;
    wait_ = 0;
  }
  uint32_t wait() const { return wait_; }

 private:
  static const uint32_t shortest = 1000, longest = 60000;
  uint32_t random_ = 1;
  uint32_t delay_ = shortest;
  uint32_t wait_ = 0;
  uint32_t since_ = 0;
};

}  // namespace sluice
