/// Which devices a key may write, so that each reading can be looked up.
struct DevicePermission: Sendable {
  /// In order.
  private let devices: [[UInt8]]
  private let prefixes: [[UInt8]]
  let isEverything: Bool

  init(_ key: Key) {
    devices = key.devices.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
    prefixes = key.prefixes.map { Array($0.utf8) }
    isEverything = prefixes.contains([])
  }

  func contains(_ device: UnsafeRawBufferPointer) -> Bool {
    if isEverything || prefixes.contains(where: { device.starts(with: $0) }) { return true }
    var range = 0..<devices.count
    while !range.isEmpty {
      let middle = (range.lowerBound + range.upperBound) / 2
      if devices[middle].elementsEqual(device) { return true }
      if devices[middle].lexicographicallyPrecedes(device) {
        range = (middle + 1)..<range.upperBound
      } else {
        range = range.lowerBound..<middle
      }
    }
    return false
  }
}
