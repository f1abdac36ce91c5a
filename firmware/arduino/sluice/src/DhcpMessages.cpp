#include "DhcpMessages.h"

namespace sluice {

namespace {
const uint8_t cookie[4] = {99, 130, 83, 99};
}

uint8_t dhcpByte(const DhcpRequest &request, uint16_t index) {
  switch (index) {
    case 0: return 1;   // a request
    case 1: return 1;   // Ethernet
    case 2: return 6;   // bytes of an address there
    case 10: return 0x80;  // answer to all: without an address nothing else arrives
    default: break;
  }
  if (index >= 4 && index < 8) return static_cast<uint8_t>(request.transaction >> (8 * (7 - index)));
  if (index >= 12 && index < 16) return request.address[index - 12];
  if (index >= 28 && index < 34) return request.mac[index - 28];
  if (index < 236) return 0;
  if (index < 240) return cookie[index - 236];
  const uint8_t head[] = {53, 1, static_cast<uint8_t>(request.type), 55, 3, 1, 3, 51};
  index = static_cast<uint16_t>(index - 240);
  if (index < sizeof head) return head[index];
  index = static_cast<uint16_t>(index - sizeof head);
  // Only a request that chooses among offers names address and server (RFC 2131, 4.3.2).
  if (request.type == DhcpType::request && request.offered[0]) {
    if (index < 2) return index ? 4 : 50;
    if (index < 6) return request.offered[index - 2];
    if (index < 8) return index == 6 ? 54 : 4;
    if (index < 12) return request.server[index - 8];
    index = static_cast<uint16_t>(index - 12);
  }
  return index == 0 ? 255 : 0;
}

void DhcpReplyReader::feed(uint8_t byte) {
  const uint16_t index = index_;
  if (index_ < 0xffff) index_++;
  if (index == 0) {
    isForUs_ = byte == 2;
  } else if (index >= 4 && index < 8) {
    isForUs_ = isForUs_ && byte == static_cast<uint8_t>(transaction_ >> (8 * (7 - index)));
  } else if (index >= 16 && index < 20) {
    address[index - 16] = byte;
  } else if (index >= 28 && index < 34) {
    isForUs_ = isForUs_ && byte == mac_[index - 28];
  } else if (index >= 236 && index < 240) {
    isForUs_ = isForUs_ && byte == cookie[index - 236];
  } else if (index >= fixedLength && !isOver_) {
    option(byte);
  }
}

void DhcpReplyReader::option(uint8_t byte) {
  switch (next_) {
    case Next::code:
      code_ = byte;
      if (byte == 255) isOver_ = true;
      if (byte != 0 && byte != 255) next_ = Next::length;
      break;
    case Next::length:
      length_ = byte;
      place_ = 0;
      next_ = byte ? Next::value : Next::code;
      break;
    case Next::value:
      if (place_ < 4) {
        switch (code_) {
          case 1: mask[place_] = byte; break;
          case 3: gateway[place_] = byte; break;
          case 51: lease = lease << 8 | byte; break;
          case 53: if (place_ == 0) kind_ = byte; break;
          case 54: server[place_] = byte; break;
          default: break;
        }
      }
      if (++place_ == length_) next_ = Next::code;
      break;
  }
}

}  // namespace sluice
