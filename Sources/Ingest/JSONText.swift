import Readings

/// Small JSON texts of answers.
enum JSONText {
  /// An object whose members are strings.
  static func object(_ members: [(StaticString, String)]) -> [UInt8] {
    var body = ByteBuffer(capacity: 256)
    for (position, member) in members.enumerated() {
      body.append(position == 0 ? #"{""# : #",""#)
      body.append(member.0)
      body.append(#"":"#)
      append(member.1, to: &body)
    }
    body.append("}")
    return Array(body.bytes)
  }

  /// Appends a string with its quotes.
  static func append(_ text: String, to body: inout ByteBuffer) {
    var text = text
    text.withUTF8 { ReadingEncoder.append(string: UnsafeRawBufferPointer($0), to: &body) }
  }
}
