/// Text of the Prometheus exposition format 0.0.4: label sets, help lines, numbers.
enum MetricText {
  /// `name="value",…`, in which a value's backslash, quote and line feed are escaped.
  static func labels(_ pairs: some Sequence<(String, String)>) -> [UInt8] {
    var bytes: [UInt8] = []
    for (name, value) in pairs {
      if !bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
      bytes.append(contentsOf: "\(name)=\"".utf8)
      appendEscaped(value, escapingQuote: true, to: &bytes)
      bytes.append(UInt8(ascii: "\""))
    }
    return bytes
  }

  /// One sample: `name suffix {labels} value`.
  static func appendSample(
    _ name: String, suffix: String = "", labels: [UInt8], extra: String? = nil, _ value: String, to bytes: inout [UInt8]
  ) {
    bytes.append(contentsOf: name.utf8)
    bytes.append(contentsOf: suffix.utf8)
    if !labels.isEmpty || extra != nil {
      bytes.append(UInt8(ascii: "{"))
      bytes.append(contentsOf: labels)
      if let extra {
        if !labels.isEmpty { bytes.append(UInt8(ascii: ",")) }
        bytes.append(contentsOf: extra.utf8)
      }
      bytes.append(UInt8(ascii: "}"))
    }
    bytes.append(UInt8(ascii: " "))
    bytes.append(contentsOf: value.utf8)
    bytes.append(UInt8(ascii: "\n"))
  }

  static func appendHead(_ name: String, help: String, type: MetricType, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: "# HELP \(name) ".utf8)
    appendEscaped(help, escapingQuote: false, to: &bytes)
    bytes.append(contentsOf: "\n# TYPE \(name) \(type.rawValue)\n".utf8)
  }

  private static func appendEscaped(_ text: String, escapingQuote: Bool, to bytes: inout [UInt8]) {
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
      case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
      case UInt8(ascii: "\"") where escapingQuote: bytes.append(contentsOf: "\\\"".utf8)
      default: bytes.append(byte)
      }
    }
  }

  /// A number as Go's ParseFloat reads it, whole ones without a fraction.
  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if let whole = Int64(exactly: value), abs(value) < 1e15 { return String(whole) }
    return value.description
  }

  /// `[a-zA-Z_:][a-zA-Z0-9_:]*`, for label names without the colon.
  static func isName(_ name: String, isLabel: Bool) -> Bool {
    guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
    return name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
        true
      default: byte == UInt8(ascii: ":") && !isLabel
      }
    }
  }
}

/// The kinds of metric in the format's TYPE lines that Sluice has.
enum MetricType: String {
  case counter, gauge, histogram
}

/// What can write its samples.
protocol MetricSeries: AnyObject, Sendable {
  /// Appends all samples of a metric of this name, with these labels.
  func appendSamples(_ name: String, labels: [UInt8], to bytes: inout [UInt8])
}
