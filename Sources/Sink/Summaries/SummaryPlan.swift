/// Which readings have to be looked at again for the summaries: pure.
///
/// Hours are numbered from 1970 on, in UTC.
struct SummaryPlan {
  /// What a device's document says: what changed since it was last summarised.
  struct Device {
    let name: String
    /// By hour, a number that is another after each change.
    var due: [Int64: Int64] = [:]
    /// The hours from its first reading to its last, when it was never summarised.
    var backlog: ClosedRange<Int64>?

    /// What it takes of memory, in marks: the device by itself as much as ten.
    var size: Int { 10 + due.count }
  }

  /// What is read, and summarised, at once.
  enum Part: Equatable {
    /// An hour of all devices.
    case fleet(hour: Int64)
    /// Hours of one device, of the same day.
    case device(String, hours: ClosedRange<Int64>)

    /// What has to be put together anew afterwards.
    var day: Day {
      switch self {
      case .fleet(let hour): Day(number: hour / SummaryPlan.day, device: nil)
      case .device(let name, let hours): Day(number: hours.lowerBound / SummaryPlan.day, device: name)
      }
    }

    /// The hours that are read.
    var hours: ClosedRange<Int64> {
      switch self {
      case .fleet(let hour): hour...hour
      case .device(_, let hours): hours
      }
    }
  }

  /// A day, counted from 1970 on, of one device or of all.
  struct Day: Hashable {
    let number: Int64
    let device: String?
  }

  /// An hour that so many devices share is read as a whole, by time: one query in place of one for each.
  static let shared = 20

  static let hour: Int64 = 3_600_000
  static let day: Int64 = 24

  /// The parts in which everything is read that is due, newest hours of the fleet first, what was never summarised last.
  /// - Parameter oldest: the first hour of which all readings are still there. Earlier ones stay as they were summarised.
  static func parts(_ devices: [Device], oldest: Int64) -> [Part] {
    var counts: [Int64: Int] = [:]
    for device in devices {
      for hour in device.due.keys where hour >= oldest { counts[hour, default: 0] += 1 }
    }
    let fleet = Set(counts.filter { $0.value >= shared }.keys)
    var parts = fleet.sorted(by: >).map { Part.fleet(hour: $0) }
    for device in devices {
      let hours = device.due.keys.filter { $0 >= oldest && !fleet.contains($0) }.sorted()
      var index = hours.startIndex
      while index < hours.endIndex {
        let end = hours[index...].firstIndex { $0 / day != hours[index] / day } ?? hours.endIndex
        parts.append(.device(device.name, hours: hours[index]...hours[end - 1]))
        index = end
      }
    }
    for device in devices {
      guard let backlog = device.backlog, backlog.upperBound >= oldest else { continue }
      var first = max(backlog.lowerBound, oldest)
      while first <= backlog.upperBound {
        let last = min(backlog.upperBound, first / day * day + day - 1)
        parts.append(.device(device.name, hours: first...last))
        first = last + 1
      }
    }
    return parts
  }
}
