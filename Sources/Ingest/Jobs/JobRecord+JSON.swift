import JSON
import Readings
import Timestamps

/// What a record is on the disk and in answers. Times are RFC 3339.
extension JobRecord {
  /// Bytes of a file that are read, at most; a record of its own making is far smaller.
  static let sizeLimit = 1 << 20

  /// One JSON object.
  ///
  /// - Parameters:
  ///   - faults: whether it has them.
  ///   - owner: whether it has that, for the disk.
  package func json(faults hasFaults: Bool = true, owner hasOwner: Bool = false) -> [UInt8] {
    var out = ByteBuffer(capacity: 1024)
    append(to: &out, faults: hasFaults, owner: hasOwner)
    return Array(out.bytes)
  }

  func append(to out: inout ByteBuffer, faults hasFaults: Bool, owner hasOwner: Bool = false) {
    func text(_ name: StaticString, _ value: String?, _ out: inout ByteBuffer) {
      guard let value else { return }
      out.append(out.bytes.last == UInt8(ascii: "{") ? "\"" : ",\"")
      out.append(name)
      out.append("\":" as StaticString)
      JSONText.append(value, to: &out)
    }
    func number(_ name: StaticString, _ value: Int, _ out: inout ByteBuffer) {
      out.append(",\"" as StaticString)
      out.append(name)
      out.append("\":" as StaticString)
      ReadingEncoder.append(Int64(value), to: &out)
    }
    out.append("{" as StaticString)
    text("id", id, &out)
    if hasOwner { text("owner", owner, &out) }
    text("state", state.rawValue, &out)
    text("reason", reason, &out)
    text("created", Timestamp.text(created), &out)
    text("ended", ended.map(Timestamp.text), &out)
    text("format", format.rawValue, &out)
    text("url", url, &out)
    number("bytes", bytes, &out)
    number("lines", lines, &out)
    number("accepted", accepted, &out)
    number("rejected", rejected, &out)
    number("in_doubt", inDoubt, &out)
    if hasFaults {
      out.append(",\"errors\":[" as StaticString)
      for (index, fault) in faults.enumerated() {
        out.append(index == 0 ? "{\"line\":" : ",{\"line\":")
        ReadingEncoder.append(Int64(fault.line), to: &out)
        text("reason", fault.reason, &out)
        out.append("}" as StaticString)
      }
      out.append("]" as StaticString)
    }
    out.append("}" as StaticString)
  }

  /// Reads what `json` wrote with everything in it; nil for anything else.
  init?(parsing bytes: [UInt8], with parser: JSONParser) {
    let parsed = bytes.withUnsafeBytes { bytes -> JobRecord? in
      do {
        return try parser.parse(copying: bytes) { (root) throws(Malformed) in try Self.read(root) }
      } catch {
        return nil
      }
    }
    guard let parsed else { return nil }
    self = parsed
  }

  private struct Malformed: Error {}

  private static func read(_ root: JSONValue) throws(Malformed) -> JobRecord {
    func text(_ value: JSONValue?) -> String? { value?.string.map { String(decoding: $0, as: UTF8.self) } }
    func time(_ value: JSONValue?) -> Int64? { value?.string.flatMap { try? Timestamp.parse($0) } }
    func count(_ value: JSONValue?) throws(Malformed) -> Int {
      guard let number = value?.integer, number >= 0 else { throw Malformed() }
      return Int(number)
    }
    guard let id = text(root["id"]), isID(id), let created = time(root["created"]),
      let state = text(root["state"]).flatMap(State.init), let format = text(root["format"]).flatMap(Format.init),
      let errors = root["errors"], errors.kind == .array
    else { throw Malformed() }
    var record = JobRecord(id: id, owner: text(root["owner"]), created: created, format: format, url: text(root["url"]))
    record.state = state
    record.reason = text(root["reason"])
    record.ended = time(root["ended"])
    record.bytes = try count(root["bytes"])
    record.lines = try count(root["lines"])
    record.accepted = try count(root["accepted"])
    record.rejected = try count(root["rejected"])
    record.inDoubt = try count(root["in_doubt"])
    for error in errors.elements {
      guard record.faults.count < faultLimit, let reason = text(error["reason"]) else { throw Malformed() }
      record.faults.append(Fault(line: try count(error["line"]), reason: reason))
    }
    return record
  }

  /// Whether it may be the name of a file too.
  static func isID(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy {
        ($0 | 0x20) &- 0x61 < 26 || $0 &- 0x30 < 10 || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
      }
  }
}
