import Timestamps

/// One event, ready to be written.
struct LogLine {
  let milliseconds: Int64
  let level: Log.Level
  let component: String
  let message: String
  let fields: LogFields

  /// The line in a format, its newline included.
  func bytes(_ format: Log.Format) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(256)
    switch format {
    case .text: appendText(to: &bytes)
    case .json: appendJSON(to: &bytes)
    }
    bytes.append(UInt8(ascii: "\n"))
    return bytes
  }

  private func appendText(to bytes: inout [UInt8]) {
    bytes.append(contentsOf: Timestamp.text(milliseconds).utf8)
    bytes.append(UInt8(ascii: " "))
    bytes.append(contentsOf: level.rawValue.utf8)
    bytes.append(UInt8(ascii: " "))
    appendName(component, to: &bytes)
    bytes.append(UInt8(ascii: " "))
    QuotedText.append(message, to: &bytes)
    for (key, value) in fields.pairs {
      bytes.append(UInt8(ascii: " "))
      appendName(key, to: &bytes)
      bytes.append(UInt8(ascii: "="))
      switch value {
      case .string(let text) where QuotedText.isPlain(text): bytes.append(contentsOf: text.utf8)
      case .string(let text): QuotedText.append(text, to: &bytes)
      case .int(let number): bytes.append(contentsOf: String(number).utf8)
      case .double(let number): bytes.append(contentsOf: String(number).utf8)
      case .bool(let flag): bytes.append(contentsOf: (flag ? "true" : "false").utf8)
      }
    }
  }

  /// A name stands without quotes; what could not is replaced.
  private func appendName(_ name: String, to bytes: inout [UInt8]) {
    if name.isEmpty { bytes.append(UInt8(ascii: "_")) }
    for byte in name.utf8 { bytes.append(QuotedText.isPlain(byte) ? byte : UInt8(ascii: "_")) }
  }

  private func appendJSON(to bytes: inout [UInt8]) {
    bytes.append(contentsOf: "{\"time\":\"".utf8)
    bytes.append(contentsOf: Timestamp.text(milliseconds).utf8)
    bytes.append(contentsOf: "\",\"level\":\"".utf8)
    bytes.append(contentsOf: level.rawValue.utf8)
    bytes.append(contentsOf: "\",\"component\":".utf8)
    QuotedText.append(component, to: &bytes)
    bytes.append(contentsOf: ",\"message\":".utf8)
    QuotedText.append(message, to: &bytes)
    for (key, value) in fields.pairs {
      bytes.append(UInt8(ascii: ","))
      // A member that comes twice is read differently by different readers (RFC 8259, section 4).
      let isTaken = ["time", "level", "component", "message"].contains(key)
      QuotedText.append(isTaken ? key + "_" : key, to: &bytes)
      bytes.append(UInt8(ascii: ":"))
      switch value {
      case .string(let text): QuotedText.append(text, to: &bytes)
      case .int(let number): bytes.append(contentsOf: String(number).utf8)
      case .double(let number) where number.isFinite: bytes.append(contentsOf: String(number).utf8)
      case .double(let number): QuotedText.append(String(number), to: &bytes)
      case .bool(let flag): bytes.append(contentsOf: (flag ? "true" : "false").utf8)
      }
    }
    bytes.append(UInt8(ascii: "}"))
  }
}
