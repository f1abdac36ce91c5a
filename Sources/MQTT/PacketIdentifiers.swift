/// A set of MQTT packet identifiers (1 to 65,535), in the order in which a client gives them out: upwards, and from
/// 65,535 on to 1. Always 8 KiB.
struct PacketIdentifiers {
  private var words = [UInt64](repeating: 0, count: 1_024)
  private var last = 0
  private(set) var count = 0

  mutating func insert(_ identifier: Int) {
    let (word, bit) = (identifier >> 6 & 1_023, UInt64(1) << UInt64(identifier & 63))
    if words[word] & bit == 0 { count += 1 }
    words[word] |= bit
    last = identifier
  }

  mutating func remove(_ identifier: Int) {
    let (word, bit) = (identifier >> 6 & 1_023, UInt64(1) << UInt64(identifier & 63))
    if words[word] & bit != 0 { count -= 1 }
    words[word] &= ~bit
  }

  /// The identifiers, the one given out first first.
  var ordered: [Int] {
    var result: [Int] = []
    result.reserveCapacity(count)
    for step in 1...65_536 where result.count < count {
      let identifier = (last + step) & 65_535
      if words[identifier >> 6] & UInt64(1) << UInt64(identifier & 63) != 0 { result.append(identifier) }
    }
    return result
  }
}
