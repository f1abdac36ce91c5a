#include <Arduino.h>

#include "MqttPublisher.h"

namespace sluice {

namespace {
/// How long a broker may take for an answer, in milliseconds.
const uint32_t patience = 5000;
}  // namespace

void MqttPublisher::poll(uint32_t now, bool hasNetwork) {
  if (state_ == State::offline) {
    if (hasNetwork && retry_.isDue(now)) connect(now);
    return;
  }
  if (!hasNetwork) return lose(Lost::network, now);
  read(now);
  if (state_ == State::offline) return;
  if (!client_.connected()) return lose(Lost::connection, now);
  if (awaits_) {
    if (now - sentAt_ >= patience) lose(Lost::silent, now);
    return;
  }
  if (!outbox_.isEmpty()) {
    publish(Sending::reading, now);
  } else if (server_.keepAlive && now - sentAt_ >= server_.keepAlive * 500UL) {
    PacketBuilder ping(buffer_, size_);
    if (send(ping.finish(PacketBuilder::pingRequest), now)) awaits_ = true;
  }
}

void MqttPublisher::connect(uint32_t now) {
  reader_.reset();
  if (!client_.connect(server_.host, server_.port)) return lose(Lost::connection, millis());
  char will[56];
  Text words(will, sizeof will - 1);
  words.add("{\"value\":false,\"id\":\"");
  outbox_.writeID(words, connections_++);
  words.add("-lost\"}");
  will[words.length()] = 0;
  const MqttLogin login = {outbox_.device(), server_.user, server_.password, server_.keepAlive, outbox_.device(), will};
  state_ = State::greeting;
  // Connecting took its time.
  now = millis();
  if (send(connectPacket(login, buffer_, size_), now)) awaits_ = true;
}

void MqttPublisher::read(uint32_t now) {
  // A broker that sends without end must not keep the board from measuring.
  for (uint8_t count = 0; count < 64 && state_ != State::offline && client_.available() > 0; count++) {
    const int byte = client_.read();
    if (byte < 0) return;
    if (reader_.feed(static_cast<uint8_t>(byte))) handle(now);
    if (reader_.isBroken()) lose(Lost::garbage, now);
  }
}

void MqttPublisher::handle(uint32_t now) {
  switch (reader_.type()) {
    case PacketReader::connectAnswer:
      if (state_ != State::greeting) return;
      if (reader_.returnCode() != 0) return lose(Lost::refused, now);
      Serial.println(F("online"));
      state_ = State::online;
      publish(Sending::hello, now);
      return;
    case PacketReader::publishAnswer:
      if (sending_ == Sending::nothing || reader_.packetID() != packetID_) return;
      // That a broker takes the hello does not say that it takes readings.
      if (sending_ == Sending::reading) {
        outbox_.settled();
        retry_.succeeded();
      }
      sending_ = Sending::nothing;
      awaits_ = false;
      return;
    case PacketReader::pingAnswer:
      if (sending_ != Sending::nothing || state_ != State::online) return;
      awaits_ = false;
      retry_.succeeded();
      return;
    default:
      return;
  }
}

void MqttPublisher::publish(Sending what, uint32_t now) {
  PacketBuilder packet(buffer_, size_);
  const bool isHello = what == Sending::hello;
  if (!isHello) outbox_.send();
  packet.topic(outbox_.device(), isHello ? "online" : outbox_.sensor());
  // 0 is no packet identifier (2.3.1).
  if (++packetID_ == 0) packetID_ = 1;
  packet.word(packetID_);
  Text payload = packet.payload();
  if (isHello) {
    payload.add("{\"value\":true,\"id\":\"");
    outbox_.writeID(payload, outbox_.takeNumber());
    payload.add("\"}");
  } else {
    outbox_.write(payload, now, false);
  }
  packet.take(payload);
  const Packet whole = packet.finish(static_cast<uint8_t>(PacketBuilder::publish | 0x02 | (isHello ? 0x01 : 0)));
  if (!send(whole, now)) return;
  sending_ = what;
  awaits_ = true;
}

bool MqttPublisher::send(const Packet &packet, uint32_t now) {
  // Names are checked at the start, so every packet fits.
  if (packet.length == 0 || client_.write(packet.bytes, packet.length) != packet.length) {
    lose(Lost::unsent, now);
    return false;
  }
  sentAt_ = now;
  return true;
}

void MqttPublisher::lose(Lost why, uint32_t now) {
  const uint8_t code = reader_.returnCode();
  client_.stop();
  state_ = State::offline;
  sending_ = Sending::nothing;
  awaits_ = false;
  retry_.failed(now);
  Serial.print(F("offline: "));
  switch (why) {
    case Lost::network: Serial.print(F("no network")); break;
    case Lost::connection: Serial.print(F("no connection")); break;
    case Lost::unsent: Serial.print(F("not sent")); break;
    case Lost::silent: Serial.print(F("no answer")); break;
    case Lost::garbage: Serial.print(F("not MQTT")); break;
    case Lost::refused:
      Serial.print(F("refused, code "));
      Serial.print(code);
      break;
  }
  Serial.print(F(", waiting "));
  Serial.print(outbox_.count());
  Serial.print(F(", dropped "));
  Serial.print(outbox_.dropped());
  Serial.print(F(", next try in ms "));
  Serial.println(retry_.wait());
}

}  // namespace sluice
