import Foundation
import HTTP
import Testing

/// The document at `/openapi.json`, and whether answers are as it says.
struct APIDocument {
  struct Failure: Error, CustomStringConvertible { let description: String }

  let root: [String: Any]

  init(_ text: String) throws {
    let value = try JSONSerialization.jsonObject(with: Data(text.utf8))
    guard let root = value as? [String: Any] else { throw Failure(description: "no object") }
    self.root = root
  }

  /// By path, then by method in capitals.
  var operations: [String: [String: [String: Any]]] {
    let paths = root["paths"] as? [String: [String: [String: Any]]] ?? [:]
    return paths.mapValues { Dictionary(uniqueKeysWithValues: $0.map { ($0.key.uppercased(), $0.value) }) }
  }

  /// What is wrong with an answer; nil when it is one that the operation describes.
  func problem(
    _ status: Int, _ headers: [(String, String)], _ body: [UInt8], to operation: [String: Any]
  ) -> String? {
    let responses = operation["responses"] as? [String: [String: Any]] ?? [:]
    guard let described = responses["\(status)"] else { return "\(status) is not described" }
    func header(_ name: String) -> String? { headers.first { $0.0 == name }?.1 }
    for name in (described["headers"] as? [String: Any] ?? [:]).keys where header(name) == nil {
      return "\(status) without \(name)"
    }
    guard let content = described["content"] as? [String: [String: Any]] else {
      return body.isEmpty ? nil : "\(status) with a body"
    }
    let type = header("Content-Type")?.split(separator: ";").first.map(String.init) ?? ""
    guard let schema = content[type]?["schema"] else { return "\(status) with the type '\(type)'" }
    guard type.hasSuffix("json") else { return nil }
    guard let value = try? JSONSerialization.jsonObject(with: Data(body), options: .fragmentsAllowed) else {
      return "\(status) with a body that is not JSON"
    }
    return problem(value, schema).map { "\(status): \($0) in \(String(decoding: body, as: UTF8.self))" }
  }

  /// What is wrong with a value by a schema, of which only the words that the document has are known.
  func problem(_ value: Any, _ schema: Any) -> String? {
    if let isAny = schema as? Bool, schema is NSNumber, !(schema is [String: Any]) {
      return isAny ? nil : "not allowed"
    }
    guard let schema = schema as? [String: Any] else { return "no schema: \(schema)" }
    for (word, rule) in schema {
      if let problem = problem(value, word, rule, of: schema) { return problem }
    }
    return nil
  }

  private func problem(_ value: Any, _ word: String, _ rule: Any, of schema: [String: Any]) -> String? {
    let object = value as? [String: Any]
    let array = value as? [Any]
    let text = value as? String
    let number = value is NSNumber && !Self.isBoolean(value) ? (value as? NSNumber)?.doubleValue : nil
    func bound(_ holds: (Double, Double) -> Bool, _ size: Double?) -> String? {
      guard let size, let limit = (rule as? NSNumber)?.doubleValue, !holds(size, limit) else { return nil }
      return "\(word) \(rule)"
    }
    switch word {
    case "description", "format", "contentMediaType": return nil
    case "$ref":
      let name = (rule as? String)?.split(separator: "/").last.map(String.init) ?? ""
      let schemas = (root["components"] as? [String: Any])?["schemas"] as? [String: Any]
      return schemas?[name].map { problem(value, $0) } ?? "no schema \(name)"
    case "type":
      let holds =
        switch rule as? String {
        case "object": object != nil
        case "array": array != nil
        case "string": text != nil
        case "boolean": Self.isBoolean(value)
        case "number": number != nil
        case "integer": number.map { $0 == $0.rounded() } ?? false
        case "null": value is NSNull
        default: false
        }
      return holds ? nil : "is no \(rule)"
    case "const": return (rule as? NSObject) == (value as? NSObject) ? nil : "is not \(rule)"
    case "enum":
      return (rule as? [NSObject])?.contains { $0 == value as? NSObject } == true ? nil : "is none of \(rule)"
    case "anyOf":
      let problems = (rule as? [Any] ?? []).map { problem(value, $0) }
      return problems.contains { $0 == nil } ? nil : "none of: \(problems.compactMap(\.self))"
    case "allOf": return (rule as? [Any] ?? []).lazy.compactMap { problem(value, $0) }.first
    case "not": return problem(value, rule) == nil ? "is what it must not be" : nil
    case "minimum": return bound(>=, number)
    case "maximum": return bound(<=, number)
    case "minLength": return bound(>=, text.map { Double($0.unicodeScalars.count) })
    case "maxLength": return bound(<=, text.map { Double($0.unicodeScalars.count) })
    case "minItems": return bound(>=, array.map { Double($0.count) })
    case "maxItems": return bound(<=, array.map { Double($0.count) })
    case "minProperties": return bound(>=, object.map { Double($0.count) })
    case "maxProperties": return bound(<=, object.map { Double($0.count) })
    case "pattern":
      guard let text, let pattern = rule as? String else { return nil }
      return text.range(of: pattern, options: .regularExpression) == nil ? "does not match \(pattern)" : nil
    case "required":
      guard let object, let names = rule as? [String] else { return nil }
      return names.first { object[$0] == nil }.map { "\($0) is missing" }
    case "properties":
      guard let object, let rules = rule as? [String: Any] else { return nil }
      return object.lazy.compactMap { member in rules[member.key].flatMap { problem(member.value, $0) } }.first
    case "additionalProperties":
      let known = schema["properties"] as? [String: Any] ?? [:]
      return object?.lazy.filter { known[$0.key] == nil }.compactMap { problem($0.value, rule).map { "\($0)" } }.first
    case "propertyNames": return object?.keys.lazy.compactMap { problem($0, rule) }.first
    case "prefixItems":
      guard let array, let rules = rule as? [Any] else { return nil }
      return zip(array, rules).lazy.compactMap { problem($0.0, $0.1) }.first
    case "items":
      let first = (schema["prefixItems"] as? [Any])?.count ?? 0
      return array?.dropFirst(first).lazy.compactMap { problem($0, rule) }.first
    default: return "unknown word \(word)"
    }
  }

  private static func isBoolean(_ value: Any) -> Bool {
    guard let number = value as? NSNumber else { return false }
    return String(cString: number.objCType) == "c"
  }
}
