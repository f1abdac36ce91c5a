/// The answer to a request.
package struct HTTPResponse: Sendable {
  package let status: Int
  package let body: [UInt8]
  /// Lines as they came, each with its line break.
  private let head: [UInt8]

  init(status: Int, head: [UInt8], body: [UInt8]) {
    self.status = status
    self.head = head
    self.body = body
  }

  /// The body as text; bytes that are no UTF-8 become U+FFFD.
  package var text: String { String(decoding: body, as: UTF8.self) }

  /// The header fields in their order.
  package var headers: [(name: String, value: String)] {
    head.split(separator: UInt8(ascii: "\n")).compactMap { line in
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
      let name = String(decoding: line[..<colon], as: UTF8.self)
      let value = line[line.index(after: colon)...].drop { HTTPResponse.isBlank($0) }
      let end = value.lastIndex { !HTTPResponse.isBlank($0) }
      return (name, String(decoding: end.map { value[...$0] } ?? [], as: UTF8.self))
    }
  }

  /// The value of the first header field of this name, whatever its case.
  package func header(_ name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }
}
