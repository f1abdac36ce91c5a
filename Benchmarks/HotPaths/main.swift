// What is done with each reading between the libraries, without servers or threads: its instructions can be counted, and are
// the same each time. HotPaths ingest|sink ROUNDS; a round is 1,000 readings. See scripts/bench-check.
import Dialects
import Glibc
import JSON
import MongoDB
import Operations
import Readings
import Sink
import Timestamps

let now: Int64 = 1_795_227_318_070
let bounds = TimeBounds(futureTolerance: 86_400_000, retention: 90 * 86_400_000)

/// The JSON of a reading as devices send it.
func json(_ number: Int) -> [UInt8] {
  let cents = 1_500 + number * 7_919 % 2_000
  let value = "\(cents / 100).\(cents / 10 % 10)\(cents % 10)"
  let ts = Timestamp.text(now - Int64(number) * 100)
  return Array(
    #"{"device":"greenhouse-\#(1_000 + number % 500)","sensor":"temperature","value":\#(value),"unit":"Cel","ts":"\#(ts)"}"#
      .utf8)
}

let texts = (0..<1_000).map(json)
let batch = ReadingBatch()

/// From a body of lines to what is produced: parse, validate, encode. Returns bytes, so that nothing can be left out.
func ingest(_ rounds: Int) throws -> Int {
  var body: [UInt8] = []
  for text in texts { body += text + [0x0a] }
  let count = body.count
  body += [UInt8](repeating: 0, count: JSONParser.padding)
  let context = DecodingContext(parser: JSONParser(), bounds: bounds, readingsLimit: 1_000)
  var encoded = ByteBuffer()
  var errors: [ItemError] = []
  var total = 0
  for _ in 0..<rounds {
    batch.removeAll()
    try body.withUnsafeBytes { bytes in
      try SluiceFormat.decode(
        padded: UnsafeRawBufferPointer(rebasing: bytes[..<count]), framing: .lines, now: now, context: context,
        into: batch, errors: &errors)
    }
    for reading in batch.readings {
      encoded.truncate(to: 0)
      ReadingEncoder.encode(reading, of: batch, into: &encoded)
      total += encoded.count
    }
  }
  return errors.isEmpty ? total : 0
}

/// From messages to documents in BSON: parse, validate, encode.
func sink(_ rounds: Int) throws -> Int {
  let keys = (0..<1_000).map { Array("greenhouse-\(1_000 + $0 % 500)".utf8) }
  let metrics = Metrics()
  let decoder = MessageDecoder(bounds: bounds, unknownMembers: metrics.counter("unknown", ""))
  let document = ReadingDocument(layout: .timeseries, topic: "sensor-data")
  var documents = BSONBatch()
  var total = 0
  for _ in 0..<rounds {
    batch.removeAll()
    documents.removeAll()
    for (text, key) in zip(texts, keys) {
      try text.withUnsafeBytes { text in
        try key.withUnsafeBytes { key in
          try decoder.decode(value: text, key: key, received: now, into: batch, now: now)
        }
      }
    }
    for (index, reading) in batch.readings.enumerated() {
      document.append(
        reading, of: batch, from: Origin(partition: 2, offset: Int64(index), received: now), epoch: 7, to: &documents)
    }
    total += documents.byteCount
  }
  return total
}

let arguments = CommandLine.arguments
guard arguments.count == 3, let path = ["ingest": ingest, "sink": sink][arguments[1]], let rounds = Int(arguments[2])
else {
  print("usage: HotPaths ingest|sink ROUNDS")
  exit(2)
}
print("\(try path(rounds)) bytes")
