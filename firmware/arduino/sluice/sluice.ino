// Sends what an HC-SR04 and an analogue sensor measure to Sluice. Everything that is to be set is in Settings.h.
#include "Settings.h"
#ifdef __AVR__
#include <avr/sleep.h>
#endif
#include "src/Board.h"
#include "src/Outbox.h"
#if SLUICE_TRANSPORT == SLUICE_HTTP
#include "src/HttpPublisher.h"
#else
#include "src/MqttPublisher.h"
#endif
#if SLUICE_NETWORK == SLUICE_WIFI
#include <WiFi.h>
#else
#include "src/Address.h"
#include "src/W5500.h"
#endif

using namespace sluice;

static const Channel channels[] = {{"distance", "cm"}, {SLUICE_ANALOG_SENSOR, SLUICE_ANALOG_UNIT}};
static Reading waiting[SLUICE_BUFFER];
static Outbox outbox(waiting, SLUICE_BUFFER, channels, SLUICE_DEVICE);
// One packet: 40 characters of a device, 24 of a sensor, and the longest payload; or what greets a server.
static uint8_t buffer[304];
static_assert(sizeof(SLUICE_ANALOG_UNIT) <= 33, "SLUICE_ANALOG_UNIT has at most 32 bytes");
static_assert(sizeof(SLUICE_USER) + sizeof(SLUICE_PASSWORD) <= 132, "SLUICE_USER and SLUICE_PASSWORD have at most 130 bytes together");
static_assert(sizeof(SLUICE_KEY) <= 101, "SLUICE_KEY has at most 100 bytes");

// MARK: The network

#if SLUICE_NETWORK == SLUICE_WIFI

static WiFiClient client;

static bool beginNetwork(uint32_t) {
  WiFi.begin(SLUICE_WIFI_NAME, SLUICE_WIFI_PASSWORD);
  return true;
}

static bool pollNetwork(uint32_t now) {
  static uint32_t triedAt = now;
  if (WiFi.status() == WL_CONNECTED) {
    triedAt = now;
    return true;
  }
  // A network that was gone for long is not looked for by every library.
  if (now - triedAt > 30000) {
    triedAt = now;
    WiFi.begin(SLUICE_WIFI_NAME, SLUICE_WIFI_PASSWORD);
  }
  return false;
}

#else

static const uint8_t mac[6] = SLUICE_MAC;
static W5500 chip(SLUICE_SELECT_PIN);
static W5500Client client(chip, 0);
#if SLUICE_DHCP
static W5500Datagrams datagrams(chip, 1);
static Address address(chip, datagrams, mac);
#endif

static bool beginNetwork(uint32_t random) {
  // Shields have a card reader on the same bus, which must not answer.
  pinMode(4, OUTPUT);
  digitalWrite(4, HIGH);
  if (!chip.begin(mac)) return false;
#if SLUICE_DHCP
  address.begin(random);
#else
  (void)random;
  const uint8_t own[] = SLUICE_ADDRESS, mask[] = SLUICE_MASK, gateway[] = SLUICE_GATEWAY;
  chip.setAddress(own, mask, gateway);
#endif
  return true;
}

static bool pollNetwork(uint32_t now) {
  const bool hasLink = chip.hasLink();
#if SLUICE_DHCP
  if (!hasLink) {
    address.doubt();
    return false;
  }
  address.poll(now);
  return address.isThere();
#else
  (void)now;
  return hasLink;
#endif
}

#endif

// MARK: Sending

#if SLUICE_TRANSPORT == SLUICE_HTTP
static const HttpServer server = {SLUICE_SERVER, SLUICE_PORT, SLUICE_KEY};
static HttpPublisher publisher(client, outbox, server, buffer, sizeof buffer);
#else
static const MqttServer server = {SLUICE_SERVER, SLUICE_PORT, SLUICE_USER, SLUICE_PASSWORD, SLUICE_KEEP_ALIVE};
static MqttPublisher publisher(client, outbox, server, buffer, sizeof buffer);
#endif

// MARK: Measuring

static void measure(uint32_t now) {
  static uint32_t distanceAt = now - SLUICE_DISTANCE_EVERY, analogAt = now - SLUICE_ANALOG_EVERY;
  if (now - distanceAt >= SLUICE_DISTANCE_EVERY) {
    distanceAt = now;
    const uint16_t millimetres = measureDistance(SLUICE_TRIGGER_PIN, SLUICE_ECHO_PIN);
    // Without an echo there is no distance, and 0 would be one.
    if (millimetres) outbox.add(0, millimetres * 100L, now);
  }
  if (now - analogAt >= SLUICE_ANALOG_EVERY) {
    analogAt = now;
    const int32_t steps = analogRead(SLUICE_ANALOG_PIN);
    // In two parts, for the product of steps and span has no room from a span of 2,100 units on.
    const int32_t value =
        steps * (SLUICE_ANALOG_SPAN / 1024) + steps * (SLUICE_ANALOG_SPAN % 1024) / 1024 + SLUICE_ANALOG_OFFSET;
    outbox.add(1, value, now);
  }
}

/// Says what is wrong, again and again: whoever connects a terminal comes late.
static void stopWith(const __FlashStringHelper *words) {
  for (;;) {
    Serial.println(words);
    delay(2000);
  }
}

void setup() {
  Serial.begin(115200);
  if (!isName(SLUICE_DEVICE, 40)) stopWith(F("SLUICE_DEVICE is no name: A-Z a-z 0-9 . _ : -, at most 40"));
  if (!isName(SLUICE_ANALOG_SENSOR, 24)) stopWith(F("SLUICE_ANALOG_SENSOR is no name: at most 24 of the same"));
#if SLUICE_NETWORK == SLUICE_W5500
  if (!IPAddress().fromString(SLUICE_SERVER)) stopWith(F("SLUICE_SERVER is no address: four numbers, as 192.168.1.10"));
#endif
  pinMode(SLUICE_TRIGGER_PIN, OUTPUT);
  pinMode(SLUICE_ECHO_PIN, INPUT);
  const Boot boot = countBoot(A5);
  outbox.begin(boot);
  publisher.begin(boot.random);
  if (!beginNetwork(boot.random)) stopWith(F("no W5500 answers: wiring, or SLUICE_SELECT_PIN"));
  Serial.print(F("sluice " SLUICE_DEVICE ", start "));
  Serial.println(boot.count);
}

void loop() {
  measure(millis());
  const bool hasNetwork = pollNetwork(millis());
  publisher.poll(millis(), hasNetwork);
#ifdef __AVR__
  // Until the clock's next tick, a millisecond at most.
  sleep_mode();
#endif
}
