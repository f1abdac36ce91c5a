#include "Outbox.h"

namespace sluice {

void Outbox::add(uint8_t channel, int32_t thousandths, uint32_t now) {
  if (count_ == capacity_) {
    first_ = static_cast<uint16_t>((first_ + 1) % capacity_);
    count_--;
    dropped_++;
  }
  const uint16_t end = static_cast<uint16_t>((first_ + static_cast<uint32_t>(count_)) % capacity_);
  storage_[end] = Reading{next_++, now, thousandths, channel};
  count_++;
}

void Outbox::send() {
  sending_ = storage_[first_];
  reporting_ = dropped_;
}

void Outbox::write(Text &out, uint32_t now, bool isWhole) const {
  const Channel &channel = channels_[sending_.channel];
  out.add('{');
  if (isWhole) {
    out.add("\"device\":");
    out.quoted(device_);
    out.add(",\"sensor\":");
    out.quoted(channel.sensor);
    out.add(',');
  }
  out.add("\"value\":");
  out.thousandths(sending_.thousandths);
  if (*channel.unit) {
    out.add(",\"unit\":");
    out.quoted(channel.unit);
  }
  out.add(",\"id\":\"");
  writeID(out, sending_.number);
  out.add('"');
  const uint32_t waited = (now - sending_.takenAt) / 1000;
  const bool hasWaited = waited >= longWait;
  const bool hasDropped = reporting_ != reported_;
  if (hasWaited || hasDropped) {
    out.add(",\"tags\":{");
    if (hasWaited) {
      out.add("\"waited\":\"");
      out.number(waited);
      out.add('"');
    }
    if (hasDropped) {
      if (hasWaited) out.add(',');
      out.add("\"dropped\":\"");
      out.number(reporting_);
      out.add('"');
    }
    out.add('}');
  }
  out.add('}');
}

void Outbox::writeID(Text &out, uint32_t number) const {
  out.hex(boot_.count, 4);
  out.hex(boot_.random, 8);
  out.add('-');
  out.number(number);
}

void Outbox::settled() {
  reported_ = reporting_;
  // It may have made way while it was on its way.
  if (count_ && storage_[first_].number == sending_.number) {
    first_ = static_cast<uint16_t>((first_ + 1) % capacity_);
    count_--;
  } else if (dropped_) {
    dropped_--;
  }
}

}  // namespace sluice
