// What the board itself has: its sensors, and what makes one start of it unlike all others.
#pragma once
#include <Arduino.h>

#include "Outbox.h"

namespace sluice {

/// HC-SR04: how far away something is, in millimetres; 0 when no echo comes back.
uint16_t measureDistance(uint8_t triggerPin, uint8_t echoPin);

/// Counts this start in memory that outlasts the power, and gathers noise.
/// - Parameter noisePin: an analogue input with nothing connected.
Boot countBoot(uint8_t noisePin);

}  // namespace sluice
