/// What texts a setting accepts, and what they mean.
enum SettingKind: Sendable {
  /// Without these characters, and of at most so many bytes.
  case text(forbidden: String = "", maximum: Int = 4_096, mayBeEmpty: Bool = false)
  /// A Kafka topic.
  case topic
  /// `host:port,…`, as Kafka clients take it.
  case brokers
  case listen
  /// The name of a file, or nothing.
  case path
  case integer(ClosedRange<Int>)
  /// A size, in bytes.
  case bytes(ClosedRange<Int>)
  case duration(ClosedRange<Duration>)
  /// A duration of whole seconds.
  case seconds(ClosedRange<Int>)
  case boolean
  case oneOf([String])
  /// One or more of them, separated by commas.
  case someOf([String])
  /// `scheme://…`
  case uri([String])
  /// `key=value;…`
  case keyValues

  /// What stands for a value in help.
  var placeholder: String {
    switch self {
    case .text, .topic: "NAME"
    case .brokers: "HOST:PORT,…"
    case .listen: "HOST:PORT"
    case .path: "FILE"
    case .integer: "NUMBER"
    case .bytes: "SIZE"
    case .duration, .seconds: "TIME"
    case .boolean: "on|off"
    case .oneOf(let words): words.joined(separator: "|")
    case .someOf(let words): words.joined(separator: ",")
    case .uri: "URL"
    case .keyValues: "KEY=VALUE;…"
    }
  }

  /// What is accepted, as the end of "it must be …".
  var accepted: String {
    switch self {
    case .text(let forbidden, let maximum, let mayBeEmpty):
      (mayBeEmpty ? "empty or " : "") + "1 to \(maximum) bytes of text"
        + (forbidden.isEmpty ? "" : " without any of \(forbidden.map(String.init).joined(separator: " "))")
    case .topic: "1 to 249 of A-Z a-z 0-9 . _ -"
    case .brokers: "host:port, several separated by commas, such as kafka-1:9092,kafka-2:9092"
    case .listen: "host:port, such as 127.0.0.1:8080, [::1]:8080, or 0.0.0.0:8080 for every address"
    case .path: "the name of a file"
    case .integer(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
    case .bytes(let range):
      "a number of bytes, KB, MB, GB or KiB, MiB, GiB, such as 8MiB, "
        + "from \(SettingUnits.text(bytes: range.lowerBound)) to \(SettingUnits.text(bytes: range.upperBound))"
    case .duration(let range):
      "a number and ms, s, m, h, d or w, such as 10s, "
        + "from \(SettingUnits.text(range.lowerBound)) to \(SettingUnits.text(range.upperBound))"
    case .seconds(let range):
      "a number and s, m, h, d or w, such as 10s, from \(range.lowerBound)s to \(range.upperBound)s"
    case .boolean: "on or off"
    case .oneOf(let words): words.joined(separator: " or ")
    case .someOf(let words): "one or more of \(words.joined(separator: ", ")), separated by commas"
    case .uri(let schemes): "a URL that begins with " + schemes.map { "\($0)://" }.joined(separator: " or ")
    case .keyValues:
      "key=value, several separated by semicolons or in lines; in a value, \\; is a semicolon and \\\\ a backslash"
    }
  }

  /// The meaning of a text; nil when it is not accepted.
  func parse(_ text: String) -> SettingValue? {
    // No setting needs them, and C would read a text only up to its first NUL. A list may have lines.
    let isList = if case .keyValues = self { true } else { false }
    guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || isList && ($0 == 0x0A || $0 == 0x0D || $0 == 0x09) })
    else { return nil }
    switch self {
    case .text(let forbidden, let maximum, let mayBeEmpty):
      let isAccepted =
        (mayBeEmpty || !text.isEmpty) && text.utf8.count <= maximum && !text.contains(where: forbidden.contains)
      return isAccepted ? .text(text) : nil
    case .topic: return Self.isTopic(text) ? .text(text) : nil
    case .brokers: return Self.areBrokers(text) ? .text(text) : nil
    case .listen: return ListenAddress(text).map(SettingValue.listen)
    case .path: return .text(text)
    case .integer(let range): return SettingUnits.whole(text).flatMap { range.contains($0) ? .integer($0) : nil }
    case .bytes(let range): return SettingUnits.bytes(text).flatMap { range.contains($0) ? .integer($0) : nil }
    case .duration(let range):
      return SettingUnits.duration(text).flatMap { range.contains($0) ? .duration($0) : nil }
    case .seconds(let range):
      return SettingUnits.duration(text).flatMap { duration in
        let (seconds, rest) = duration.components
        return rest == 0 && range.contains(Int(seconds)) ? .duration(duration) : nil
      }
    case .boolean:
      switch text.lowercased() {
      case "on", "true": return .boolean(true)
      case "off", "false": return .boolean(false)
      default: return nil
      }
    case .oneOf(let words): return words.contains(text) ? .text(text) : nil
    case .someOf(let words):
      let chosen = text.split(separator: ",", omittingEmptySubsequences: false)
      return chosen.allSatisfy { words.contains(String($0)) } ? .text(text) : nil
    case .uri(let schemes):
      return schemes.contains { text.hasPrefix("\($0)://") && text.utf8.count > $0.utf8.count + 3 } ? .text(text) : nil
    case .keyValues: return KeyValueList.parse(text).map(SettingValue.keyValues)
    }
  }

  /// Kafka's rule: org.apache.kafka.common.internals.Topic.
  private static func isTopic(_ text: String) -> Bool {
    guard (1...249).contains(text.utf8.count), text != ".", text != ".." else { return false }
    return text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
  }

  private static func areBrokers(_ text: String) -> Bool {
    text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { broker in
      guard let (_, port) = ListenAddress.split(String(broker)) else { return false }
      guard let port else { return true }
      return SettingUnits.whole(port).map { (1...65_535).contains($0) } ?? false
    }
  }
}
