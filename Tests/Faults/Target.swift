/// A process that faults are done to.
struct Target: Hashable, Sendable, CustomStringConvertible {
  enum Kind: String, CaseIterable, Sendable {
    case ingest, bridge, sink, kafka, mongodb, mosquitto
  }

  let kind: Kind
  /// From 1.
  let number: Int

  init(_ kind: Kind, _ number: Int = 1) {
    self.kind = kind
    self.number = number
  }

  /// Two of each role, three nodes of Kafka, and one of each other server.
  static let all: [Target] = [
    Target(.ingest, 1), Target(.ingest, 2), Target(.bridge, 1), Target(.bridge, 2), Target(.sink, 1), Target(.sink, 2),
    Target(.kafka, 1), Target(.kafka, 2), Target(.kafka, 3), Target(.mongodb), Target(.mosquitto),
  ]

  var description: String { "\(kind.rawValue)-\(number)" }
}
