import Glibc

/// Writes events to standard error, one line each.
///
/// A value: copies with another component or more context are cheap, and all write to the same place.
package struct Log: Sendable {
  /// How much an event matters, from least to most.
  package enum Level: String, Sendable, CaseIterable, Comparable {
    case debug, info, warning, error

    private var rank: Int { Self.allCases.firstIndex(of: self)! }
    package static func < (left: Level, right: Level) -> Bool { left.rank < right.rank }
  }

  /// How a line looks.
  package enum Format: String, Sendable, CaseIterable {
    /// `2026-11-21T02:15:18.070Z info sink "batch written" readings=5000`
    case text
    /// `{"time":"2026-11-21T02:15:18.070Z","level":"info","component":"sink","message":"batch written","readings":5000}`
    case json
  }

  /// Takes one whole line, its newline included.
  package typealias Output = @Sendable (_ line: [UInt8]) -> Void

  private let level: Level
  private let format: Format
  private let component: String
  private let context: LogFields
  private let output: Output
  private let now: @Sendable () -> Int64

  /// - Parameters:
  ///   - level: events below it are not written, and their fields not evaluated.
  ///   - component: the part of Sluice that speaks, such as `sink`.
  ///   - context: fields of every event.
  ///   - now: UTC in milliseconds since 1970.
  package init(
    component: String, level: Level = .info, format: Format = .text, context: LogFields = [:],
    output: @escaping Output = Log.standardError, now: @escaping @Sendable () -> Int64 = Clock.nowMilliseconds
  ) {
    self.level = level
    self.format = format
    self.component = component
    self.context = context
    self.output = output
    self.now = now
  }

  /// The same log for another component.
  package func component(_ name: String) -> Log {
    Log(component: name, level: level, format: format, context: context, output: output, now: now)
  }

  /// The same log with more fields in every event.
  package func with(_ fields: LogFields) -> Log {
    Log(
      component: component, level: level, format: format, context: context.merging(fields), output: output, now: now)
  }

  /// What only someone who looks for a fault wants to read.
  package func debug(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
    write(.debug, message, fields)
  }

  /// What an operator may want to know of a normal course.
  package func info(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
    write(.info, message, fields)
  }

  /// Something is wrong, and Sluice deals with it.
  package func warning(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
    write(.warning, message, fields)
  }

  /// Something is wrong that someone has to see to.
  package func error(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
    write(.error, message, fields)
  }

  /// Whether events of this level are written.
  package func isEnabled(_ level: Level) -> Bool { level >= self.level }

  private func write(_ level: Level, _ message: () -> String, _ fields: () -> LogFields) {
    guard isEnabled(level) else { return }
    let line = LogLine(
      milliseconds: now(), level: level, component: component, message: message(), fields: context.merging(fields()))
    output(line.bytes(format))
  }

  /// Writes a line to standard error with one write(2), so that lines of several threads and processes do not mix.
  ///
  /// What cannot be written is dropped: there is nowhere to say so.
  @Sendable package static func standardError(_ line: [UInt8]) {
    line.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = Glibc.write(STDERR_FILENO, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        if count > 0 {
          rest = rest.dropFirst(count)
        } else if count == 0 || errno != EINTR {
          return
        }
      }
    }
  }
}
