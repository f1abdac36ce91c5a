// The packets of MQTT 3.1.1 that a publisher needs. No Arduino in here: the tests compile it for the host too.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "Text.h"

namespace sluice {

struct Packet {
  const uint8_t *bytes;
  /// 0: it did not fit.
  size_t length;
};

/// Puts a packet together within a buffer. Its fixed header is written last, when the length is known, right in front.
class PacketBuilder {
 public:
  enum Type : uint8_t { connect = 0x10, publish = 0x30, pingRequest = 0xc0, disconnect = 0xe0 };

  PacketBuilder(uint8_t *buffer, size_t size) : buffer_(buffer), size_(size) {}

  void byte(uint8_t byte) {
    if (end_ < size_) buffer_[end_] = byte;
    end_++;
  }
  void word(uint16_t word) {
    byte(static_cast<uint8_t>(word >> 8));
    byte(static_cast<uint8_t>(word));
  }
  /// With its length in front.
  void text(const char *words);
  /// Two levels of a topic behind `sensors`, with the length in front.
  void topic(const char *device, const char *sensor);
  /// What is left of the buffer, to write a payload into; then `take` it.
  Text payload() { return Text(reinterpret_cast<char *>(buffer_) + end_, end_ < size_ ? size_ - end_ : 0); }
  void take(const Text &payload) { end_ += payload.length(); }

  Packet finish(uint8_t typeAndFlags);

 private:
  /// One byte of type and two of length: a publisher's packets have less than 16,384 bytes.
  static const size_t headerRoom = 3;
  uint8_t *buffer_;
  size_t size_;
  size_t end_ = headerRoom;
};

struct MqttLogin {
  const char *clientID;
  /// nullptr: none.
  const char *user;
  const char *password;
  uint16_t keepAlive;
  const char *device;
  /// What the broker publishes under `sensors/{device}/online` when the device is lost; retained, QoS 1.
  const char *will;
};

/// CONNECT, with a clean session: what is not acknowledged stays in the outbox, so the broker need not remember.
Packet connectPacket(const MqttLogin &login, uint8_t *buffer, size_t size);

/// Takes a broker's answers apart, a byte at a time. What is longer than any answer to a publisher is skipped.
class PacketReader {
 public:
  enum Type : uint8_t { connectAnswer = 0x20, publishAnswer = 0x40, pingAnswer = 0xd0 };

  void reset() { state_ = State::type; }
  /// Whether this byte completed a packet.
  bool feed(uint8_t byte);
  /// Whether the bytes cannot be MQTT's.
  bool isBroken() const { return state_ == State::broken; }
  uint8_t type() const { return type_; }
  /// 0 to 5: the answer to CONNECT. Other: the packet was none.
  uint8_t returnCode() const { return length_ == 2 ? body_[1] : 255; }
  /// Of an acknowledgement; 0: the packet was none.
  uint16_t packetID() const { return length_ == 2 ? static_cast<uint16_t>(body_[0] << 8 | body_[1]) : 0; }

 private:
  enum class State : uint8_t { type, length, body, broken };
  State state_ = State::type;
  uint8_t type_ = 0;
  uint8_t shift_ = 0;
  uint8_t body_[2] = {0, 0};
  uint32_t length_ = 0;
  uint32_t seen_ = 0;
};

}  // namespace sluice
