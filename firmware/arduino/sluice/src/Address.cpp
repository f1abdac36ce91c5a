#include "../Settings.h"
#if SLUICE_NETWORK == SLUICE_W5500
#include <Arduino.h>
#include <string.h>

#include "Address.h"

namespace sluice {

namespace {
const uint16_t clientPort = 68, serverPort = 67;
const uint32_t firstWait = 4000, longestWait = 64000;
// Millisecond clocks begin anew after 49 days: longer leases are renewed as if they had 20.
const uint32_t longestLease = 20UL * 86400;
}  // namespace

void Address::drop() {
  memset(address_, 0, 4);
  const uint8_t none[4] = {0, 0, 0, 0};
  chip_.setAddress(none, none, none);
  hasLease_ = false;
}

void Address::send(DhcpType type, State next, uint32_t now) {
  // Whoever takes an offer names its transaction (RFC 2131, table 5).
  if (next != State::requesting) transaction_++;
  DhcpRequest request = {type, transaction_, mac_, {0}, {0}, {0}};
  memcpy(request.address, address_, 4);
  if (next == State::requesting) {
    memcpy(request.offered, offered_, 4);
    memcpy(request.server, server_, 4);
  }
  datagrams_.open(clientPort);
  datagrams_.broadcast(serverPort, dhcpRequestLength, [&request](uint16_t index) { return dhcpByte(request, index); });
  state_ = next;
  sentAt_ = now;
}

void Address::poll(uint32_t now) {
  if (hasLease_ && now - boundAt_ >= lease_ * 1000) {
    drop();
    state_ = State::idle;
  }
  switch (state_) {
    case State::idle:
      wait_ = firstWait;
      drop();
      send(DhcpType::discover, State::selecting, now);
      return;
    case State::bound:
      // Half of the lease is when to ask for more (RFC 2131, 4.4.5). Everybody is asked, so that another server may answer
      // where the first is gone.
      if (!isInDoubt_ && now - boundAt_ < lease_ * 500) return;
      wait_ = firstWait;
      send(DhcpType::request, State::renewing, now);
      return;
    default:
      break;
  }
  DhcpReplyReader reply(transaction_, mac_);
  if (datagrams_.receive([&reply](uint8_t byte) { reply.feed(byte); })) {
    if (reply.isForUs()) handle(reply, now);
    return;
  }
  if (now - sentAt_ < wait_) return;
  wait_ = wait_ * 2 > longestWait ? longestWait : wait_ * 2;
  if (state_ == State::renewing) {
    send(DhcpType::request, State::renewing, now);
  } else {
    send(DhcpType::discover, State::selecting, now);
  }
}

void Address::handle(const DhcpReplyReader &reply, uint32_t now) {
  if (state_ == State::selecting && reply.type() == DhcpType::offer) {
    memcpy(offered_, reply.address, 4);
    memcpy(server_, reply.server, 4);
    send(DhcpType::request, State::requesting, now);
  } else if (state_ != State::selecting && reply.type() == DhcpType::acknowledge) {
    memcpy(address_, reply.address, 4);
    chip_.setAddress(address_, reply.mask, reply.gateway);
    lease_ = reply.lease == 0 || reply.lease > longestLease ? longestLease : reply.lease;
    boundAt_ = now;
    hasLease_ = true;
    isInDoubt_ = false;
    state_ = State::bound;
    datagrams_.close();
  } else if (state_ != State::selecting && reply.type() == DhcpType::refuse) {
    drop();
    state_ = State::idle;
  }
}

}  // namespace sluice
#endif
