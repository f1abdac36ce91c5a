// DHCP's messages (RFC 2131), made and read a byte at a time: a whole one would fill a sixth of an Uno's memory. No
// Arduino in here: the tests compile it for the host too.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace sluice {

enum class DhcpType : uint8_t { discover = 1, offer = 2, request = 3, acknowledge = 5, refuse = 6 };

struct DhcpRequest {
  DhcpType type;
  uint32_t transaction;
  const uint8_t *mac;
  /// The address that is had already, when a lease is renewed.
  uint8_t address[4];
  /// What was offered, and by whom; for a request that follows an offer.
  uint8_t offered[4];
  uint8_t server[4];
};

/// Some servers drop what is shorter (RFC 1542, 2.1).
const uint16_t dhcpRequestLength = 300;
uint8_t dhcpByte(const DhcpRequest &request, uint16_t index);

class DhcpReplyReader {
 public:
  DhcpReplyReader(uint32_t transaction, const uint8_t *mac) : transaction_(transaction), mac_(mac) {}

  void feed(uint8_t byte);
  /// Whether it was a whole answer to that transaction of this board.
  bool isForUs() const { return isForUs_ && index_ > fixedLength && kind_ != 0; }
  DhcpType type() const { return static_cast<DhcpType>(kind_); }

  uint8_t address[4] = {0, 0, 0, 0};
  uint8_t mask[4] = {255, 255, 255, 0};
  uint8_t gateway[4] = {0, 0, 0, 0};
  uint8_t server[4] = {0, 0, 0, 0};
  /// Seconds.
  uint32_t lease = 0;

 private:
  static const uint16_t fixedLength = 240;
  void option(uint8_t byte);

  uint32_t transaction_;
  const uint8_t *mac_;
  bool isForUs_ = true;
  bool isOver_ = false;
  uint16_t index_ = 0;
  uint8_t kind_ = 0;
  uint8_t code_ = 0;
  uint8_t length_ = 0;
  uint8_t place_ = 0;
  enum class Next : uint8_t { code, length, value } next_ = Next::code;
};

}  // namespace sluice
