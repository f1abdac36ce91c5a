import Crypto
import JSON
import Operations
import Timestamps

/// The file that holds the keys: JSON with a member a line, so that a change is read easily in a diff.
package struct KeyFile: Sendable, Equatable {
  /// Bytes of a file, at most: some ten thousand keys. It is read every second.
  package static let sizeLimit = 8 << 20

  package var keys: [Key] = []

  package init() {}

  /// Why a text is no file of keys. It never has a digest in it.
  package struct Problem: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
  }

  // MARK: Reading

  /// Reads a whole file. What is unknown is refused: a member that is misspelt would otherwise allow more than was meant.
  package init(parsing bytes: [UInt8]) throws(Problem) {
    var keys: [Key] = []
    do throws(JSONParsing<Problem>) {
      let result: Result<Void, JSONParsing<Problem>> = bytes.withUnsafeBytes { text in
        do throws(JSONParsing<Problem>) {
          try JSONParser().parse(copying: text) { (root) throws(Problem) in keys = try Self.keys(root) }
          return .success(())
        } catch {
          return .failure(error)
        }
      }
      try result.get()
    } catch {
      switch error {
      case .malformed(let error): throw Problem("it is not JSON: \(error)")
      case .refused(let problem): throw problem
      }
    }
    self.keys = keys
    try check()
  }

  private static func keys(_ root: JSONValue) throws(Problem) -> [Key] {
    guard root.kind == .object else { throw Problem("it must be an object with the member keys") }
    for member in root.members where !member.hasName("keys") {
      throw Problem("unknown member \(text(member.name)): the only one is keys")
    }
    guard let list = root["keys"], list.kind == .array else { throw Problem("keys must be an array") }
    var keys: [Key] = []
    for value in list.elements {
      do throws(Problem) {
        keys.append(try Self.key(value))
      } catch {
        throw Problem("key \(keys.count + 1)\(value["id"]?.string.map { " (\(text($0)))" } ?? ""): \(error)")
      }
    }
    return keys
  }

  private static func key(_ value: JSONValue) throws(Problem) -> Key {
    guard value.kind == .object else { throw Problem("it must be an object") }
    var key = Key(
      id: try string(value["id"], "id"), name: try string(value["name"], "name"),
      hash: try digest(value["hash"], "hash"),
      created: try time(value["created"], "created"))
    for member in value.members {
      let value = member.value
      switch text(member.name) {
      case "id", "name", "hash", "created": break
      case "expires": key.expires = try time(value, "expires")
      case "devices": key.devices = try strings(value, "devices")
      case "prefixes": key.prefixes = try strings(value, "prefixes")
      case "dialects": key.dialects = try strings(value, "dialects")
      case "rate":
        guard let rate = value.number else { throw Problem("rate must be a number of readings per second") }
        key.rate = rate
      case "burst":
        guard let burst = value.integer, let number = Int(exactly: burst) else {
          throw Problem("burst must be a whole number of readings")
        }
        key.burst = number
      case "certificates":
        for element in try array(value, "certificates") { key.certificates.append(try digest(element, "certificates")) }
      case "previous":
        for element in try array(value, "previous") {
          key.previous.append(
            Key.Previous(hash: try digest(element["hash"], "hash"), until: try time(element["until"], "until")))
        }
      case "revoked": key.revoked = try time(value, "revoked")
      case let name: throw Problem("unknown member \(name)")
      }
    }
    if let problem = key.problem { throw Problem(problem) }
    return key
  }

  /// What no key can know by itself.
  private func check() throws(Problem) {
    var ids: Set<String> = []
    var digests: Set<Digest> = []
    for key in keys {
      guard ids.insert(key.id).inserted else { throw Problem("two keys have the id \(key.id)") }
      for digest in [key.hash] + key.previous.map(\.hash) + key.certificates {
        guard digests.insert(digest).inserted else { throw Problem("key \(key.id) has a hash that is there already") }
      }
    }
  }

  private static func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

  private static func string(_ value: JSONValue?, _ name: String) throws(Problem) -> String {
    guard let bytes = value?.string else { throw Problem("\(name) must be there, as a string") }
    return text(bytes)
  }

  private static func array(_ value: JSONValue, _ name: String) throws(Problem) -> JSONValue.Elements {
    guard value.kind == .array else { throw Problem("\(name) must be an array") }
    return value.elements
  }

  private static func strings(_ value: JSONValue, _ name: String) throws(Problem) -> [String] {
    var strings: [String] = []
    for element in try array(value, name) { strings.append(try string(element, name)) }
    return strings
  }

  private static func digest(_ value: JSONValue?, _ name: String) throws(Problem) -> Digest {
    let text = try string(value, name)
    guard text.hasPrefix("sha256:"), let digest = Digest(text.dropFirst(7)) else {
      throw Problem("\(name) must be sha256: and 64 hexadecimal digits")
    }
    return digest
  }

  private static func time(_ value: JSONValue?, _ name: String) throws(Problem) -> Int64 {
    guard let bytes = value?.string, let time = try? Timestamp.parse(bytes) else {
      throw Problem("\(name) must be a time with its zone, such as 2026-11-21T02:15:18Z")
    }
    return time
  }

  // MARK: Writing

  /// The file's text.
  package var bytes: [UInt8] {
    var out: [UInt8] = []
    out.append(contentsOf: "{\n  \"keys\": [".utf8)
    for (index, key) in keys.enumerated() {
      out.append(contentsOf: (index == 0 ? "\n    {" : ",\n    {").utf8)
      for (place, (name, value)) in Self.members(key).enumerated() {
        out.append(contentsOf: "\(place == 0 ? "" : ",")\n      \"\(name)\": \(value)".utf8)
      }
      out.append(contentsOf: "\n    }".utf8)
    }
    out.append(contentsOf: (keys.isEmpty ? "]\n}\n" : "\n  ]\n}\n").utf8)
    return out
  }

  private static func members(_ key: Key) -> [(name: String, value: String)] {
    var members = [
      ("id", quoted(key.id)), ("name", quoted(key.name)), ("hash", quoted(key.hash)), ("created", quoted(key.created)),
    ]
    if let expires = key.expires { members.append(("expires", quoted(expires))) }
    for (name, list) in [("devices", key.devices), ("prefixes", key.prefixes), ("dialects", key.dialects)]
    where !list.isEmpty {
      members.append((name, "[" + list.map(quoted).joined(separator: ", ") + "]"))
    }
    if let rate = key.rate { members.append(("rate", Int(exactly: rate).map { "\($0)" } ?? "\(rate)")) }
    if let burst = key.burst { members.append(("burst", "\(burst)")) }
    if !key.certificates.isEmpty {
      members.append(("certificates", "[" + key.certificates.map(quoted).joined(separator: ", ") + "]"))
    }
    if !key.previous.isEmpty {
      let list = key.previous.map { #"{"hash": \#(quoted($0.hash)), "until": \#(quoted($0.until))}"# }
      members.append(("previous", "[" + list.joined(separator: ", ") + "]"))
    }
    if let revoked = key.revoked { members.append(("revoked", quoted(revoked))) }
    return members
  }

  private static func quoted(_ text: String) -> String { QuotedText.quoted(text) }
  private static func quoted(_ digest: Digest) -> String { "\"sha256:\(digest)\"" }
  private static func quoted(_ time: Int64) -> String { "\"\(Timestamp.text(time))\"" }
}
