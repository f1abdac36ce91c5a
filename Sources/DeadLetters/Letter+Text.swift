import Publishing
import Timestamps

extension Letter {
  /// What people want to know of it, several lines.
  package func text(isPutBack: Bool) -> String {
    func shown(_ bytes: [UInt8]?) -> String {
      guard let bytes else { return "(none)" }
      return ReadableBytes.isText(bytes) ? ReadableBytes.escaped(bytes, limit: 1_024) : "hex " + Self.hex(bytes)
    }
    func line(_ name: String, _ text: String) -> String {
      "  \(name)\(String(repeating: " ", count: max(10 - name.count, 1)))\(text)\n"
    }
    let title = [
      place.description, time.map(Timestamp.text) ?? "(no time)", shown(Array(reason.utf8)), shown(Array(source.utf8)),
    ]
    var text = title.joined(separator: "  ") + (isPutBack ? "  (put back already)" : "") + "\n"
    text += line("key", shown(key))
    for (name, value) in headers {
      let name = ReadableBytes.escaped(Array(name.utf8), limit: 128)
      text += line("header", "\(name): \(shown(value))")
    }
    switch value {
    case nil: text += line("value", "(none)")
    case let value? where value.isEmpty: text += line("value", "(empty)")
    case let value? where ReadableBytes.isText(value): text += line("value", ReadableBytes.escaped(value))
    case let value?: text += line("value", "\(value.count) bytes") + ReadableBytes.dump(value, indent: "    ")
    }
    return text
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef")
    return bytes.prefix(64).map { "\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }.joined(separator: " ")
      + (bytes.count > 64 ? " …" : "")
  }
}
