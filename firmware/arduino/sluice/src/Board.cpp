#include "Board.h"

#ifdef __AVR__
#include <avr/eeprom.h>
#endif

namespace sluice {

namespace {
/// An echo from four metres, as far as the sensor sees, comes back after 23.3 ms.
const uint32_t longestEcho = 24000;
/// Nearer than two centimetres it cannot tell.
const uint16_t nearest = 20;
/// The last two bytes of an Uno's: what other programs leave alone most often.
const uint16_t bootPlace = 1022;
}  // namespace

uint16_t measureDistance(uint8_t triggerPin, uint8_t echoPin) {
  digitalWrite(triggerPin, LOW);
  delayMicroseconds(2);
  digitalWrite(triggerPin, HIGH);
  delayMicroseconds(12);
  digitalWrite(triggerPin, LOW);
  // Not pulseIn(), which counts its own turns and so comes out short when interrupts take time from it.
  const uint32_t echo = pulseInLong(echoPin, HIGH, longestEcho + 2000);
  if (echo > longestEcho) return 0;
  // There and back at 343 metres a second, which air has at 20 degrees.
  const uint16_t distance = static_cast<uint16_t>(echo * 343 / 2000);
  return distance < nearest ? 0 : distance;
}

Boot countBoot(uint8_t noisePin) {
  uint32_t random = 2166136261UL;
  for (uint8_t count = 0; count < 64; count++) {
    random = (random ^ static_cast<uint32_t>(analogRead(noisePin)) ^ micros()) * 16777619UL;
  }
#ifdef __AVR__
  uint16_t *place = reinterpret_cast<uint16_t *>(bootPlace);
  const uint16_t boot = static_cast<uint16_t>(eeprom_read_word(place) + 1);
  eeprom_update_word(place, boot);
  return Boot{boot, random};
#else
  // Boards with Wi-Fi have a generator in hardware behind random().
  return Boot{static_cast<uint16_t>(::random(0x10000)), random ^ static_cast<uint32_t>(::random(0x7fffffff))};
#endif
}

}  // namespace sluice
