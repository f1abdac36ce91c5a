/// Walks over the elements of one document, and never outside it.
struct BSONCursor {
  /// One element: where its key and its value are.
  struct Element: Equatable {
    let type: UInt8
    let key: Range<Int>
    let value: Range<Int>
  }

  /// How many levels of nesting are read; MongoDB stores 100. A limit, for reading nested arrays and libbson's own
  /// functions recurse, and hostile bytes could drive them to any depth.
  static let deepest = 180

  private let bytes: [UInt8]
  private var position: Int
  private let end: Int
  /// Whether the walk ended at something that is not BSON.
  private(set) var isMalformed = false

  init(_ bytes: [UInt8]) { self.init(bytes, 0..<bytes.count) }

  /// - Parameter range: where the document is, with its length in front.
  init(_ bytes: [UInt8], _ range: Range<Int>) {
    self.bytes = bytes
    position = range.lowerBound + 4
    end = range.upperBound - 1
    if range.count < 5 || bytes.length(at: range.lowerBound) != range.count || bytes[end] != 0 {
      position = end
      isMalformed = true
    }
  }

  mutating func next() -> Element? {
    guard position < end else { return nil }
    guard let element = element() else {
      isMalformed = true
      position = end
      return nil
    }
    position = element.value.upperBound
    return element
  }

  private func element() -> Element? {
    let type = bytes[position]
    guard let keyEnd = zero(from: position + 1), let size = size(of: type, at: keyEnd + 1) else { return nil }
    let start = keyEnd + 1
    guard size >= 0, size <= end - start else { return nil }
    return Element(type: type, key: position + 1..<keyEnd, value: start..<start + size)
  }

  /// The size of a value, which may be more than there is.
  private func size(of type: UInt8, at start: Int) -> Int? {
    guard let type = BSONType(rawValue: type) else { return nil }
    switch type {
    case .undefined, .null, .maxKey, .minKey: return 0
    case .bool: return start < end && bytes[start] <= 1 ? 1 : nil
    case .int32: return 4
    case .double, .date, .timestamp, .int64: return 8
    case .objectID: return 12
    case .decimal128: return 16
    case .string, .code, .symbol: return stringSize(at: start)
    case .pointer: return stringSize(at: start).map { $0 + 12 }
    case .binary: return length(at: start, least: 0).map { $0 + 5 }
    case .document, .array: return containerSize(at: start, least: 5)
    case .codeWithScope: return containerSize(at: start, least: 14, lastByte: nil)
    case .regularExpression:
      guard let first = zero(from: start), let second = zero(from: first + 1) else { return nil }
      return second + 1 - start
    }
  }

  private func length(at start: Int, least: Int) -> Int? {
    guard start + 4 <= end else { return nil }
    let length = bytes.length(at: start)
    return length >= least ? length : nil
  }

  private func stringSize(at start: Int) -> Int? {
    guard let length = length(at: start, least: 1), length <= end - start - 4, bytes[start + 3 + length] == 0 else {
      return nil
    }
    return length + 4
  }

  private func containerSize(at start: Int, least: Int, lastByte: UInt8? = 0) -> Int? {
    guard let length = length(at: start, least: least), length <= end - start else { return nil }
    if let lastByte, bytes[start + length - 1] != lastByte { return nil }
    return length
  }

  private func zero(from start: Int) -> Int? {
    var at = start
    while at < end {
      if bytes[at] == 0 { return at }
      at += 1
    }
    return nil
  }

  /// Whether every element of the document is well-formed, those of nested documents too, and none nested too deep.
  static func isWellFormed(_ bytes: [UInt8]) -> Bool {
    isWellFormed(bytes, 0..<bytes.count, depth: 0)
  }

  private static func isWellFormed(_ bytes: [UInt8], _ range: Range<Int>, depth: Int) -> Bool {
    guard depth <= deepest else { return false }
    var cursor = BSONCursor(bytes, range)
    while let element = cursor.next() {
      let nested: Range<Int>? =
        switch BSONType(rawValue: element.type) {
        case .document, .array: element.value
        case .codeWithScope: cursor.scope(of: element)
        default: nil
        }
      if let nested, !isWellFormed(bytes, nested, depth: depth + 1) { return false }
    }
    return !cursor.isMalformed
  }

  /// Where the variables of a piece of code are: behind its own length and that of the code.
  private func scope(of element: Element) -> Range<Int> {
    let code = element.value.lowerBound + 4
    let start = code + 4 + Swift.max(0, bytes.length(at: code))
    return Swift.min(start, element.value.upperBound)..<element.value.upperBound
  }
}

extension BSONCursor.Element {
  /// Reads the value; the cursor has checked its length.
  func value(in bytes: [UInt8], depth: Int = 0) -> BSONValue {
    let start = value.lowerBound
    switch BSONType(rawValue: type) {
    case .double: return .double(Double(bitPattern: bytes.integer(at: start)))
    case .string: return .string(String(decoding: bytes[start + 4..<value.upperBound - 1], as: UTF8.self))
    case .document: return .document(BSONDocument(unchecked: Array(bytes[value])))
    case .array where depth < BSONCursor.deepest:
      var elements: [BSONValue] = []
      var cursor = BSONCursor(bytes, value)
      while let element = cursor.next() { elements.append(element.value(in: bytes, depth: depth + 1)) }
      return .array(elements)
    case .binary: return .binary(subtype: bytes[start + 4], Array(bytes[start + 5..<value.upperBound]))
    case .objectID: return ObjectID(bytes: bytes[value]).map { .objectID($0) } ?? .null
    case .bool: return .bool(bytes[start] != 0)
    case .date: return .date(Int64(bitPattern: bytes.integer(at: start)))
    case .null: return .null
    case .int32: return .int32(Int32(bitPattern: bytes.integer(at: start)))
    case .int64: return .int64(Int64(bitPattern: bytes.integer(at: start)))
    default: return .other(type: type, Array(bytes[value]))
    }
  }
}

extension [UInt8] {
  /// A little-endian integer; there must be enough bytes.
  fileprivate func integer<I: FixedWidthInteger & UnsignedInteger>(at start: Int) -> I {
    var result: I = 0
    for index in stride(from: MemoryLayout<I>.size - 1, through: 0, by: -1) {
      result = result << 8 | I(self[start + index])
    }
    return result
  }

  /// The length in front of a document or string, which may be anything.
  fileprivate func length(at start: Int) -> Int { Int(Int32(bitPattern: integer(at: start))) }
}
