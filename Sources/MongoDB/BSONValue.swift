/// The value of a BSON field.
package enum BSONValue: Sendable, Equatable {
  case double(Double)
  case string(String)
  case document(BSONDocument)
  case array([BSONValue])
  case binary(subtype: UInt8, [UInt8])
  case objectID(ObjectID)
  case bool(Bool)
  /// Milliseconds since 1970 UTC.
  case date(Int64)
  case null
  case int32(Int32)
  case int64(Int64)
  /// A type that Sluice does not use (decimal128, timestamp, regular expression, …), or an array nested too deep: its
  /// BSON type and its encoded bytes, which are written back as they came.
  case other(type: UInt8, [UInt8])
}

extension BSONValue {
  /// A whole number: from `int32`, `int64`, or a `double` that is one. Servers answer counts in any of the three.
  package var int: Int64? {
    switch self {
    case .int32(let value): Int64(value)
    case .int64(let value): value
    case .double(let value): Int64(exactly: value)
    default: nil
    }
  }

  /// A number: from `double`, `int32` or `int64`.
  package var double: Double? {
    switch self {
    case .double(let value): value
    case .int32(let value): Double(value)
    case .int64(let value): Double(value)
    default: nil
    }
  }

  /// True or false: from `bool`, or from a number, of which 0 is false. Servers answer `ok: 1`.
  package var bool: Bool? {
    if case .bool(let value) = self { return value }
    return double.map { $0 != 0 }
  }

  /// The text of a `string`.
  package var string: String? { if case .string(let value) = self { value } else { nil } }

  /// The contents of a `document`.
  package var document: BSONDocument? { if case .document(let value) = self { value } else { nil } }

  /// The elements of an `array`.
  package var array: [BSONValue]? { if case .array(let value) = self { value } else { nil } }

  /// The milliseconds since 1970 UTC of a `date`.
  package var date: Int64? { if case .date(let value) = self { value } else { nil } }

  /// The id of an `objectID`.
  package var objectID: ObjectID? { if case .objectID(let value) = self { value } else { nil } }

  /// The bytes of a `binary` of any subtype.
  package var binary: [UInt8]? { if case .binary(_, let value) = self { value } else { nil } }

  /// Whether it is `null`.
  package var isNull: Bool { self == .null }
}

extension BSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  package init(stringLiteral value: String) { self = .string(value) }
  /// `int32` if it fits, as MongoDB's own shells and drivers do, else `int64`.
  package init(integerLiteral value: Int64) { self = Int32(exactly: value).map { .int32($0) } ?? .int64(value) }
  package init(floatLiteral value: Double) { self = .double(value) }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(nilLiteral: ()) { self = .null }
  package init(arrayLiteral elements: BSONValue...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, BSONValue)...) { self = .document(BSONDocument(elements)) }
}
