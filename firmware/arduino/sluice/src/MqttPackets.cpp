#include "MqttPackets.h"

#include <string.h>

namespace sluice {

void PacketBuilder::text(const char *words) {
  word(static_cast<uint16_t>(strlen(words)));
  while (*words) byte(static_cast<uint8_t>(*words++));
}

void PacketBuilder::topic(const char *device, const char *sensor) {
  const char *parts[] = {"sensors/", device, "/", sensor};
  size_t length = 0;
  for (const char *part : parts) length += strlen(part);
  word(static_cast<uint16_t>(length));
  for (const char *part : parts) {
    while (*part) byte(static_cast<uint8_t>(*part++));
  }
}

Packet PacketBuilder::finish(uint8_t typeAndFlags) {
  const size_t length = end_ - headerRoom;
  if (end_ > size_ || length >= 16384) return Packet{buffer_, 0};
  size_t start = headerRoom;
  if (length < 128) {
    buffer_[--start] = static_cast<uint8_t>(length);
  } else {
    buffer_[--start] = static_cast<uint8_t>(length >> 7);
    buffer_[--start] = static_cast<uint8_t>((length & 127) | 128);
  }
  buffer_[--start] = typeAndFlags;
  return Packet{buffer_ + start, end_ - start};
}

Packet connectPacket(const MqttLogin &login, uint8_t *buffer, size_t size) {
  PacketBuilder packet(buffer, size);
  packet.text("MQTT");
  packet.byte(4);
  // Clean session, a will at QoS 1 that is retained.
  uint8_t flags = 0x02 | 0x04 | 0x08 | 0x20;
  if (login.user) flags |= 0x80;
  // The protocol has no password without a user (3.1.2.9).
  if (login.user && login.password) flags |= 0x40;
  packet.byte(flags);
  packet.word(login.keepAlive);
  packet.text(login.clientID);
  packet.topic(login.device, "online");
  packet.text(login.will);
  if (login.user) packet.text(login.user);
  if (login.user && login.password) packet.text(login.password);
  return packet.finish(PacketBuilder::connect);
}

bool PacketReader::feed(uint8_t byte) {
  switch (state_) {
    case State::type:
      type_ = byte & 0xf0;
      length_ = 0;
      seen_ = 0;
      shift_ = 0;
      state_ = State::length;
      return false;
    case State::length:
      length_ |= static_cast<uint32_t>(byte & 127) << shift_;
      shift_ = static_cast<uint8_t>(shift_ + 7);
      if (byte & 128) {
        if (shift_ > 21) state_ = State::broken;
        return false;
      }
      state_ = length_ ? State::body : State::type;
      return length_ == 0;
    case State::body:
      if (seen_ < sizeof body_) body_[seen_] = byte;
      if (++seen_ < length_) return false;
      state_ = State::type;
      return true;
    case State::broken:
      return false;
  }
  return false;
}

}  // namespace sluice
