// Posts an outbox to `/v1/readings`, over any Client of the core: one reading at a time, in order.
#pragma once
#include <Client.h>

#include "HttpResponse.h"
#include "Outbox.h"
#include "Retry.h"

namespace sluice {

struct HttpServer {
  const char *host;
  uint16_t port;
  /// A key of Sluice's; nullptr: none.
  const char *key;
};

class HttpPublisher {
 public:
  HttpPublisher(Client &client, Outbox &outbox, const HttpServer &server, uint8_t *buffer, size_t size)
      : client_(client), outbox_(outbox), server_(server), buffer_(buffer), size_(size) {}

  void begin(uint32_t random) { retry_.begin(random); }
  /// Does what can be done without waiting, but for connecting, which the Client waits for.
  /// - Parameter hasNetwork: whether there is a cable and an address.
  void poll(uint32_t now, bool hasNetwork);

 private:
  void post(uint32_t now);
  void answered(uint32_t now);
  bool send(const Text &text);
  void fail(uint16_t status, uint32_t now);

  Client &client_;
  Outbox &outbox_;
  const HttpServer &server_;
  uint8_t *buffer_;
  size_t size_;
  HttpResponse response_;
  Retry retry_;
  bool awaits_ = false;
  uint32_t sentAt_ = 0;
  uint32_t refused_ = 0;
};

}  // namespace sluice
