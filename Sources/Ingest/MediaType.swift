import Dialects
import JSON

/// What a body is, by its `Content-Type` and `Content-Encoding`, compared without regard to case and parameters.
enum MediaType {
  static let accepted = "application/json, application/x-ndjson, text/csv, application/senml+json"
  static let acceptedEncodings = "gzip, deflate, identity"

  /// What a body of `POST /v1/readings` may be.
  enum Format {
    case readings(SluiceFormat.Framing)
    case csv, senML
  }

  /// What a body of that type is.
  static func format(_ contentType: UnsafeRawBufferPointer) -> Format? {
    // What nearly all send, and nearly all as it is written here.
    if contentType.equals("application/json") { return .readings(.json) }
    var type = contentType[...]
    if let semicolon = type.firstIndex(of: UInt8(ascii: ";")) { type = type[..<semicolon] }
    while let last = type.last, last == UInt8(ascii: " ") || last == UInt8(ascii: "\t") { type = type.dropLast() }
    if equals(type, "application/json") { return .readings(.json) }
    if equals(type, "application/x-ndjson") || equals(type, "application/ndjson") { return .readings(.lines) }
    if equals(type, "text/csv") { return .csv }
    if equals(type, "application/senml+json") { return .senML }
    return nil
  }

  /// How a body is compressed.
  enum Encoding { case identity, gzip, deflate }

  static func encoding(_ contentEncoding: UnsafeRawBufferPointer) -> Encoding? {
    let name = contentEncoding[...]
    if equals(name, "gzip") || equals(name, "x-gzip") { return .gzip }
    if equals(name, "deflate") { return .deflate }
    if equals(name, "identity") || name.isEmpty { return .identity }
    return nil
  }

  private static func equals(_ bytes: Slice<UnsafeRawBufferPointer>, _ lowercase: StaticString) -> Bool {
    lowercase.withUTF8Buffer { bytes.elementsEqual($0) { ($0 &- 0x41 < 26 ? $0 | 0x20 : $0) == $1 } }
  }
}
