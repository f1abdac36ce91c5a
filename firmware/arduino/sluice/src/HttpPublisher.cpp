#include <Arduino.h>

#include "HttpPublisher.h"

namespace sluice {

namespace {
/// How long an answer may take, in milliseconds: longer than Sluice waits for Kafka.
const uint32_t patience = 20000;
}  // namespace

void HttpPublisher::poll(uint32_t now, bool hasNetwork) {
  if (!awaits_) {
    if (!outbox_.isEmpty() && hasNetwork && retry_.isDue(now)) post(now);
    return;
  }
  for (uint8_t count = 0; count < 64 && client_.available() > 0; count++) {
    const int byte = client_.read();
    if (byte >= 0 && response_.feed(static_cast<uint8_t>(byte))) return answered(now);
  }
  if (!hasNetwork || !client_.connected() || now - sentAt_ >= patience) fail(0, now);
}

void HttpPublisher::post(uint32_t now) {
  outbox_.send();
  response_.reset();
  if (!client_.connected() && !client_.connect(server_.host, server_.port)) return fail(0, millis());
  char *text = reinterpret_cast<char *>(buffer_);
  Text measured(text, 0);
  outbox_.write(measured, now, true);
  Text head(text, size_);
  head.add("POST /v1/readings HTTP/1.1\r\nHost: ");
  head.add(server_.host);
  head.add("\r\nContent-Type: application/json\r\nContent-Length: ");
  head.number(measured.length());
  if (server_.key) {
    head.add("\r\nAuthorization: Bearer ");
    head.add(server_.key);
  }
  head.add("\r\n\r\n");
  if (!send(head)) return fail(0, now);
  Text body(text, size_);
  outbox_.write(body, now, true);
  if (!send(body)) return fail(0, now);
  awaits_ = true;
  sentAt_ = millis();
}

bool HttpPublisher::send(const Text &text) {
  return text.fits() && client_.write(buffer_, text.length()) == text.length();
}

void HttpPublisher::answered(uint32_t now) {
  awaits_ = false;
  if (!response_.staysOpen()) client_.stop();
  switch (fate(response_.status())) {
    case Fate::accepted:
      outbox_.settled();
      retry_.succeeded();
      return;
    case Fate::refused:
      outbox_.settled();
      Serial.print(F("refused with "));
      Serial.print(response_.status());
      Serial.print(F(", in all "));
      Serial.println(++refused_);
      return;
    case Fate::again:
      return fail(response_.status(), now);
  }
}

void HttpPublisher::fail(uint16_t status, uint32_t now) {
  client_.stop();
  awaits_ = false;
  retry_.failed(now, response_.retryAfter() * 1000UL);
  Serial.print(F("not taken: "));
  Serial.print(status);
  Serial.print(F(", waiting "));
  Serial.print(outbox_.count());
  Serial.print(F(", dropped "));
  Serial.println(outbox_.dropped());
}

}  // namespace sluice
