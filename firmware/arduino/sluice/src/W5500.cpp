#include "../Settings.h"
#if SLUICE_NETWORK == SLUICE_W5500
#include <Arduino.h>

#include "W5500.h"

namespace sluice {

namespace {

// Common registers.
const uint16_t gatewayRegister = 0x0001, maskRegister = 0x0005, macRegister = 0x0009, addressRegister = 0x000f;
const uint16_t retryTime = 0x0019, retryCount = 0x001b, linkState = 0x002e, version = 0x0039;
// Registers of a socket.
const uint16_t mode = 0x00, commandRegister = 0x01, interrupts = 0x02, state = 0x03, sourcePort = 0x04;
const uint16_t peerAddress = 0x0c, peerPort = 0x10, transmitFree = 0x20, transmitEnd = 0x24;
const uint16_t receivedSize = 0x26, receivedStart = 0x28;

enum Command : uint8_t { open = 0x01, connectTo = 0x04, disconnect = 0x08, closeNow = 0x10, sendNow = 0x20, received = 0x40 };
enum State : uint8_t { closed = 0x00, ready = 0x13, established = 0x17, peerClosed = 0x1c };
enum Interrupt : uint8_t { sent = 0x10, timedOut = 0x08 };

/// How long a peer may leave a full buffer, or a sent packet, without an acknowledgement.
const uint32_t patience = 5000;

}  // namespace

bool W5500::begin(const uint8_t mac[6]) {
  pinMode(select_, OUTPUT);
  deselect();
  SPI.begin();
  write8(common, 0, 0x80);
  const uint32_t start = millis();
  while (read8(common, 0) & 0x80) {
    if (millis() - start > 100) return false;
  }
  if (read8(common, version) != 4) return false;
  write(common, macRegister, mac, 6);
  // A peer that does not answer is given up after 200 + 400 + 800 + 1,600 ms: no reading is taken meanwhile.
  write16(common, retryTime, 2000);
  write8(common, retryCount, 3);
  return true;
}

bool W5500::hasLink() { return read8(common, linkState) & 1; }

void W5500::setAddress(const uint8_t address[4], const uint8_t mask[4], const uint8_t gateway[4]) {
  write(common, gatewayRegister, gateway, 4);
  write(common, maskRegister, mask, 4);
  write(common, addressRegister, address, 4);
}

void W5500::select(uint8_t block, uint16_t address, bool writes) {
  SPI.beginTransaction(SPISettings(8000000, MSBFIRST, SPI_MODE0));
  digitalWrite(select_, LOW);
  SPI.transfer(static_cast<uint8_t>(address >> 8));
  SPI.transfer(static_cast<uint8_t>(address));
  SPI.transfer(static_cast<uint8_t>(block << 3 | (writes ? 4 : 0)));
}

void W5500::deselect() {
  digitalWrite(select_, HIGH);
}

void W5500::read(uint8_t block, uint16_t address, uint8_t *bytes, uint16_t count) {
  select(block, address, false);
  while (count--) *bytes++ = SPI.transfer(0);
  deselect();
  SPI.endTransaction();
}

void W5500::write(uint8_t block, uint16_t address, const uint8_t *bytes, uint16_t count) {
  select(block, address, true);
  while (count--) SPI.transfer(*bytes++);
  deselect();
  SPI.endTransaction();
}

uint8_t W5500::read8(uint8_t block, uint16_t address) {
  uint8_t value;
  read(block, address, &value, 1);
  return value;
}

uint16_t W5500::read16(uint8_t block, uint16_t address) {
  uint8_t bytes[2];
  read(block, address, bytes, 2);
  return static_cast<uint16_t>(bytes[0] << 8 | bytes[1]);
}

void W5500::write16(uint8_t block, uint16_t address, uint16_t value) {
  const uint8_t bytes[] = {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
  write(block, address, bytes, 2);
}

uint16_t W5500::readSteady(uint8_t block, uint16_t address) {
  uint16_t value = read16(block, address);
  for (;;) {
    const uint16_t again = read16(block, address);
    if (again == value) return value;
    value = again;
  }
}

void W5500::command(uint8_t socket, uint8_t command) {
  write8(registers(socket), commandRegister, command);
  // The chip clears it within microseconds; one that is gone reads as all ones.
  for (uint8_t tries = 0; tries < 200 && read8(registers(socket), commandRegister); tries++) {
  }
}

// MARK: TCP

uint8_t W5500Client::status() { return chip_.read8(W5500::registers(socket_), state); }

int W5500Client::connect(IPAddress address, uint16_t port) {
  const uint8_t block = W5500::registers(socket_);
  const uint8_t peer[] = {address[0], address[1], address[2], address[3]};
  chip_.command(socket_, closeNow);
  chip_.write8(block, interrupts, 0xff);
  chip_.write8(block, mode, 1);
  // Another port each time, or the peer would take this for the connection that was lost.
  if (port_ < 49152) port_ = static_cast<uint16_t>(49152 + micros() % 16000);
  chip_.write16(block, sourcePort, port_++);
  chip_.command(socket_, open);
  if (status() != ready) return 0;
  chip_.write(block, peerAddress, peer, 4);
  chip_.write16(block, peerPort, port);
  chip_.command(socket_, connectTo);
  const uint32_t start = millis();
  while (status() != established) {
    if (status() == closed || millis() - start > patience) {
      chip_.command(socket_, closeNow);
      return 0;
    }
  }
  return 1;
}

int W5500Client::connect(const char *host, uint16_t port) {
  IPAddress address;
  return address.fromString(host) ? connect(address, port) : 0;
}

size_t W5500Client::write(const uint8_t *bytes, size_t count) {
  const uint8_t block = W5500::registers(socket_);
  size_t done = 0;
  const uint32_t start = millis();
  while (done < count) {
    if (status() != established) return done;
    uint16_t room = chip_.readSteady(block, transmitFree);
    if (room > count - done) room = static_cast<uint16_t>(count - done);
    if (room) {
      const uint16_t end = chip_.read16(block, transmitEnd);
      chip_.write(W5500::transmitBuffer(socket_), end, bytes + done, room);
      chip_.write16(block, transmitEnd, static_cast<uint16_t>(end + room));
      chip_.command(socket_, sendNow);
      uint8_t happened;
      while (!((happened = chip_.read8(block, interrupts)) & sent)) {
        if ((happened & timedOut) || status() == closed || millis() - start > patience) return done;
      }
      chip_.write8(block, interrupts, sent);
      done += room;
    } else if (millis() - start > patience) {
      return done;
    }
  }
  return done;
}

int W5500Client::available() { return static_cast<int>(chip_.readSteady(W5500::registers(socket_), receivedSize)); }

int W5500Client::read() {
  uint8_t byte;
  return read(&byte, 1) == 1 ? byte : -1;
}

int W5500Client::read(uint8_t *bytes, size_t count) {
  const uint8_t block = W5500::registers(socket_);
  const uint16_t there = chip_.readSteady(block, receivedSize);
  if (count > there) count = there;
  if (!count) return 0;
  const uint16_t start = chip_.read16(block, receivedStart);
  chip_.read(W5500::receiveBuffer(socket_), start, bytes, static_cast<uint16_t>(count));
  chip_.write16(block, receivedStart, static_cast<uint16_t>(start + count));
  chip_.command(socket_, received);
  return static_cast<int>(count);
}

int W5500Client::peek() {
  if (!available()) return -1;
  uint8_t byte;
  chip_.read(W5500::receiveBuffer(socket_), chip_.read16(W5500::registers(socket_), receivedStart), &byte, 1);
  return byte;
}

void W5500Client::stop() {
  if (status() == closed) return;
  chip_.command(socket_, disconnect);
  const uint32_t start = millis();
  while (status() != closed) {
    if (millis() - start > 500) {
      chip_.command(socket_, closeNow);
      return;
    }
  }
}

uint8_t W5500Client::connected() {
  const uint8_t now = status();
  return now == established || (now == peerClosed && available() > 0);
}

// MARK: UDP

void W5500Datagrams::open(uint16_t port) {
  const uint8_t block = W5500::registers(socket_);
  chip_.command(socket_, closeNow);
  chip_.write8(block, interrupts, 0xff);
  chip_.write8(block, mode, 2);
  chip_.write16(block, sourcePort, port);
  chip_.command(socket_, Command::open);
}

void W5500Datagrams::close() { chip_.command(socket_, closeNow); }

void W5500Datagrams::begin(uint16_t port) {
  const uint8_t block = W5500::registers(socket_);
  const uint8_t all[] = {255, 255, 255, 255};
  chip_.write(block, peerAddress, all, 4);
  chip_.write16(block, peerPort, port);
  place_ = chip_.read16(block, transmitEnd);
}

void W5500Datagrams::append(const uint8_t *bytes, uint8_t count) {
  chip_.write(W5500::transmitBuffer(socket_), place_, bytes, count);
  place_ = static_cast<uint16_t>(place_ + count);
}

void W5500Datagrams::send() {
  chip_.write16(W5500::registers(socket_), transmitEnd, place_);
  chip_.command(socket_, sendNow);
}

uint16_t W5500Datagrams::beginReceiving() {
  const uint8_t block = W5500::registers(socket_);
  if (chip_.readSteady(block, receivedSize) <= 8) return 0;
  place_ = chip_.read16(block, receivedStart);
  // In front of each datagram: its sender's address and port, and its length.
  uint8_t head[8];
  next(head, 8);
  return static_cast<uint16_t>(head[6] << 8 | head[7]);
}

void W5500Datagrams::next(uint8_t *bytes, uint8_t count) {
  chip_.read(W5500::receiveBuffer(socket_), place_, bytes, count);
  place_ = static_cast<uint16_t>(place_ + count);
}

void W5500Datagrams::endReceiving() {
  chip_.write16(W5500::registers(socket_), receivedStart, place_);
  chip_.command(socket_, received);
}

}  // namespace sluice
#endif
