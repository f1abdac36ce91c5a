// The Ethernet chip W5500 (datasheet 1.0.9): its registers over SPI, one TCP connection and one UDP port.
#pragma once
#include <Client.h>
#include <SPI.h>

namespace sluice {

class W5500 {
 public:
  explicit W5500(uint8_t selectPin) : select_(selectPin) {}

  /// - Returns: false when no such chip answers.
  bool begin(const uint8_t mac[6]);
  /// Whether a cable is in, with something at its other end.
  bool hasLink();
  void setAddress(const uint8_t address[4], const uint8_t mask[4], const uint8_t gateway[4]);

  // Which memory of the chip: the common registers, and of each socket its registers and buffers.
  static const uint8_t common = 0;
  static uint8_t registers(uint8_t socket) { return static_cast<uint8_t>(socket * 4 + 1); }
  static uint8_t transmitBuffer(uint8_t socket) { return static_cast<uint8_t>(socket * 4 + 2); }
  static uint8_t receiveBuffer(uint8_t socket) { return static_cast<uint8_t>(socket * 4 + 3); }

  void read(uint8_t block, uint16_t address, uint8_t *bytes, uint16_t count);
  void write(uint8_t block, uint16_t address, const uint8_t *bytes, uint16_t count);
  uint8_t read8(uint8_t block, uint16_t address);
  void write8(uint8_t block, uint16_t address, uint8_t value) { write(block, address, &value, 1); }
  uint16_t read16(uint8_t block, uint16_t address);
  void write16(uint8_t block, uint16_t address, uint16_t value);
  /// A number that the chip may change between its two bytes: read until it is twice the same.
  uint16_t readSteady(uint8_t block, uint16_t address);
  /// Gives a socket a command, and waits until the chip has taken it.
  void command(uint8_t socket, uint8_t command);

 private:
  void select(uint8_t block, uint16_t address, bool writes);
  void deselect();
  uint8_t select_;
};

/// One TCP connection.
class W5500Client : public Client {
 public:
  W5500Client(W5500 &chip, uint8_t socket) : chip_(chip), socket_(socket) {}
  using Print::write;

  int connect(IPAddress address, uint16_t port) override;
  /// Takes an address in four numbers: names are not looked up.
  int connect(const char *host, uint16_t port) override;
  size_t write(uint8_t byte) override { return write(&byte, 1); }
  /// - Returns: how many bytes the chip has taken; fewer when the peer does not take them in time.
  size_t write(const uint8_t *bytes, size_t count) override;
  int available() override;
  int read() override;
  int read(uint8_t *bytes, size_t count) override;
  int peek() override;
  void flush() override {}
  void stop() override;
  uint8_t connected() override;
  operator bool() override { return connected(); }

 private:
  uint8_t status();
  W5500 &chip_;
  uint8_t socket_;
  uint16_t port_ = 0;
};

/// One UDP port: what DHCP needs.
class W5500Datagrams {
 public:
  W5500Datagrams(W5500 &chip, uint8_t socket) : chip_(chip), socket_(socket) {}

  void open(uint16_t port);
  void close();
  /// Sends to everybody in this network.
  /// - Parameter byte: gives the datagram's bytes.
  template <typename Bytes>
  void broadcast(uint16_t port, uint16_t count, Bytes byte) {
    begin(port);
    uint8_t piece[16];
    uint16_t done = 0;
    while (done < count) {
      uint8_t length = 0;
      while (length < sizeof piece && done < count) piece[length++] = byte(done++);
      append(piece, length);
    }
    send();
  }
  /// Takes a datagram, if one is there.
  /// - Parameter take: gets its bytes.
  template <typename Take>
  bool receive(Take take) {
    uint16_t left = beginReceiving();
    if (!left) return false;
    uint8_t piece[16];
    while (left) {
      const uint8_t length = static_cast<uint8_t>(left < sizeof piece ? left : sizeof piece);
      next(piece, length);
      for (uint8_t index = 0; index < length; index++) take(piece[index]);
      left = static_cast<uint16_t>(left - length);
    }
    endReceiving();
    return true;
  }

 private:
  void begin(uint16_t port);
  void append(const uint8_t *bytes, uint8_t count);
  void send();
  uint16_t beginReceiving();
  void next(uint8_t *bytes, uint8_t count);
  void endReceiving();
  W5500 &chip_;
  uint8_t socket_;
  uint16_t place_ = 0;
};

}  // namespace sluice
