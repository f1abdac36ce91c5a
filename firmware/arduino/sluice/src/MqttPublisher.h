// Publishes an outbox over any Client of the core: one message at a time, at QoS 1, in order.
#pragma once
#include <Client.h>

#include "MqttPackets.h"
#include "Outbox.h"
#include "Retry.h"

namespace sluice {

struct MqttServer {
  const char *host;
  uint16_t port;
  const char *user;
  const char *password;
  /// Seconds; 0: none.
  uint16_t keepAlive;
};

class MqttPublisher {
 public:
  MqttPublisher(Client &client, Outbox &outbox, const MqttServer &server, uint8_t *buffer, size_t size)
      : client_(client), outbox_(outbox), server_(server), buffer_(buffer), size_(size) {}

  void begin(uint32_t random) { retry_.begin(random); }
  /// Does what can be done without waiting, but for connecting, which the Client waits for.
  /// - Parameter hasNetwork: whether there is a cable and an address.
  void poll(uint32_t now, bool hasNetwork);

 private:
  enum class State : uint8_t { offline, greeting, online };
  enum class Sending : uint8_t { nothing, hello, reading };
  enum class Lost : uint8_t { network, connection, unsent, silent, refused, garbage };
  void connect(uint32_t now);
  void read(uint32_t now);
  void handle(uint32_t now);
  void publish(Sending what, uint32_t now);
  bool send(const Packet &packet, uint32_t now);
  void lose(Lost why, uint32_t now);

  Client &client_;
  Outbox &outbox_;
  const MqttServer &server_;
  uint8_t *buffer_;
  size_t size_;
  PacketReader reader_;
  Retry retry_;
  State state_ = State::offline;
  Sending sending_ = Sending::nothing;
  /// Whether the broker owes an answer: to a packet, or to a ping.
  bool awaits_ = false;
  uint16_t packetID_ = 0;
  /// Tells the last will of one connection from that of another.
  uint32_t connections_ = 0;
  uint32_t sentAt_ = 0;
};

}  // namespace sluice
