import DeadLetters
import Publishing

/// A letter as the sink writes it, with headers of one's choice.
func letter(
  _ place: String = "0:0", key: String? = "d", value: [UInt8]? = Array("{}".utf8), origin: String? = "sensor-data 0:0",
  _ headers: [(String, String)] = [], timestamp: Int64? = 0
) -> Letter {
  var all: [(String, [UInt8]?)] = []
  if let origin {
    let parts = origin.split(separator: " ").map(String.init)
    let position = parts[1].split(separator: ":").map(String.init)
    all += [
      ("dlq-topic", Array(parts[0].utf8)), ("dlq-partition", Array(position[0].utf8)),
      ("dlq-offset", Array(position[1].utf8)),
    ]
  }
  all += headers.map { ($0.0, Array($0.1.utf8)) }
  return Letter(
    place: Letter.Place(place)!, timestamp: timestamp, key: key.map { Array($0.utf8) }, value: value, headers: all)
}

func letter(_ headers: [(String, String)]) -> Letter { letter("0:0", headers) }

func texts(_ headers: [(String, [UInt8]?)]) -> [String] {
  headers.map { "\($0.0)=\($0.1.map { String(decoding: $0, as: UTF8.self) } ?? "nil")" }
}
