/// Device states that are not written yet, and the offsets to commit once they are.
///
/// `@unchecked Sendable`: it is one thread's at a time, and handed over whole.
final class Unflushed: @unchecked Sendable {
  var states: DeviceStates
  /// The next offsets to read, by partition.
  var offsets: [Int32: Int64] = [:]
  /// The assignment under which the offsets were read.
  var generation = 0

  init(marksHours: Bool) { states = DeviceStates(marksHours: marksHours) }

  var isEmpty: Bool { states.deviceCount == 0 && offsets.isEmpty }
}
