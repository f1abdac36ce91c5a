// Where the board's address comes from: DHCP, with renewal, without ever waiting.
#pragma once
#include "DhcpMessages.h"
#include "W5500.h"

namespace sluice {

class Address {
 public:
  Address(W5500 &chip, W5500Datagrams &datagrams, const uint8_t *mac)
      : chip_(chip), datagrams_(datagrams), mac_(mac) {}

  void begin(uint32_t random) { transaction_ = random; }
  void poll(uint32_t now);
  bool isThere() const { return hasLease_; }
  /// The cable is out, and may come back to another network: then it is asked whether the address still holds.
  void doubt() { isInDoubt_ = true; }

 private:
  enum class State : uint8_t { idle, selecting, requesting, bound, renewing };
  void send(DhcpType type, State next, uint32_t now);
  void handle(const DhcpReplyReader &reply, uint32_t now);
  void drop();

  W5500 &chip_;
  W5500Datagrams &datagrams_;
  const uint8_t *mac_;
  State state_ = State::idle;
  bool hasLease_ = false;
  bool isInDoubt_ = false;
  uint32_t transaction_ = 0;
  uint32_t sentAt_ = 0;
  uint32_t wait_ = 0;
  uint32_t boundAt_ = 0;
  uint32_t lease_ = 0;
  uint8_t address_[4] = {0, 0, 0, 0};
  uint8_t offered_[4] = {0, 0, 0, 0};
  uint8_t server_[4] = {0, 0, 0, 0};
};

}  // namespace sluice
