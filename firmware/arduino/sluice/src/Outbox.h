// Readings that wait to be sent, and their JSON. No Arduino in here: the tests compile it for the host too.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "Text.h"

namespace sluice {

struct Channel {
  const char *sensor;
  const char *unit;
};

/// What tells this start of this board from all others.
struct Boot {
  /// Counted in memory that outlasts the power, so that no two starts of a board are alike.
  uint16_t count;
  /// Tells boards apart that got the same name one after the other.
  uint32_t random;
};

struct Reading {
  uint32_t number;
  /// By a clock of milliseconds that begins anew after 49 days.
  uint32_t takenAt;
  int32_t thousandths;
  uint8_t channel;
};

/// A bounded queue: when it is full the oldest reading makes way, and is counted. A reading stays until it is
/// acknowledged, and has the same `id` however often it is sent, so that Sluice stores it once.
class Outbox {
 public:
  Outbox(Reading *storage, uint16_t capacity, const Channel *channels, const char *device)
      : storage_(storage), capacity_(capacity), channels_(channels), device_(device) {}

  void begin(Boot boot) { boot_ = boot; }
  void add(uint8_t channel, int32_t thousandths, uint32_t now);

  bool isEmpty() const { return count_ == 0; }
  uint16_t count() const { return count_; }
  /// Readings that made way, since the start.
  uint32_t dropped() const { return dropped_; }
  const char *device() const { return device_; }

  /// Begins to send the oldest. Only when there is one.
  void send();
  const char *sensor() const { return channels_[sending_.channel].sensor; }
  /// The JSON of the one that is being sent: a reading of Sluice's.
  /// - Parameter isWhole: whether it names device and sensor, which over MQTT the topic does.
  void write(Text &out, uint32_t now, bool isWhole) const;
  /// An id of its own for what is no measurement.
  void writeID(Text &out, uint32_t number) const;
  uint32_t takeNumber() { return next_++; }
  /// The one that was being sent is the server's now, or never will be.
  void settled();

 private:
  /// Seconds after which a reading says how long it has waited, for the server stamps it on its arrival.
  static const uint8_t longWait = 2;

  Reading *storage_;
  uint16_t capacity_;
  const Channel *channels_;
  const char *device_;
  Boot boot_ = {0, 0};
  uint16_t first_ = 0;
  uint16_t count_ = 0;
  uint32_t next_ = 0;
  uint32_t dropped_ = 0;
  uint32_t reported_ = 0;
  Reading sending_ = {0, 0, 0, 0};
  uint32_t reporting_ = 0;
};

}  // namespace sluice
