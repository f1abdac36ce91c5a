import Synchronization

/// Keeps what a log writes.
final class TestLines: Sendable {
  private let bytes = Mutex<[UInt8]>([])

  @Sendable func add(_ line: [UInt8]) { bytes.withLock { $0 += line } }

  var text: String { bytes.withLock { String(decoding: $0, as: UTF8.self) } }

  func count(containing words: String) -> Int { text.split(separator: "\n").count { $0.contains(words) } }
}

/// A clock that the test sets.
final class TestClock: Sendable {
  private let time = Mutex<Duration>(.zero)

  var now: Duration {
    get { time.withLock { $0 } }
    set { time.withLock { $0 = newValue } }
  }
}
