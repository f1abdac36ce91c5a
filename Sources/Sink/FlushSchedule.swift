/// When the states of devices are written and offsets committed, while batches keep coming.
///
/// Each device is an update, however few of its readings came: with many devices these updates would be as much work as the
/// readings themselves.
enum FlushSchedule {
  /// No sooner than this, unless too much waits.
  static let interval: Duration = .seconds(2)
  /// No later: what is not committed is read again after a crash, and monitoring takes it for what is left to do.
  static let longestInterval: Duration = .seconds(20)
  /// Readings that are to be worth the update of a device.
  static let readingsPerDevice = 10
  /// Series that may wait, each some 300 bytes.
  static let series = 120_000

  /// - Parameters:
  ///   - elapsed: since the last time.
  ///   - readings: noted since then, of so many devices and series.
  static func isDue(after elapsed: Duration, readings: Int, devices: Int, series: Int) -> Bool {
    if series >= Self.series || elapsed >= longestInterval { return true }
    return elapsed >= interval && readings >= devices * readingsPerDevice
  }
}
