import Dialects
import HTTP
import Kafka
import Readings

/// What the body of a request is written in, and the words in which its client expects the answer.
protocol RequestDialect: Sendable {
  /// As in the keys file.
  var name: String { get }
  /// Where its clients put a key, besides where all may.
  var credentials: CredentialPlaces { get }
  /// The header `source` of the messages on Kafka.
  var source: StaticString { get }

  /// Decodes a whole body.
  ///
  /// - Parameters:
  ///   - body: has `JSONParser.padding` readable bytes behind it.
  ///   - now: the time of arrival, in milliseconds.
  ///   - errors: gets the items that are no readings, in their order.
  /// - Returns: the answer when nothing of the body can be taken, with the batch as it was; or nil.
  func decode(
    _ body: UnsafeRawBufferPointer, now: Int64, context: DecodingContext, into batch: ReadingBatch,
    errors: inout [ItemError]
  ) -> Response?

  /// The answer once it is known what became of each reading.
  func answer(_ outcome: Outcome) -> Response

  /// A refusal that is the same for all dialects, told as this one's clients expect it.
  func told(_ response: Response) -> Response
}

/// What became of the readings of a request.
struct Outcome {
  /// Readings that were handed to Kafka.
  let produced: Int
  /// Items that are no readings, in their order.
  let errors: [ItemError]
  /// Readings that Kafka did not acknowledge, in their order.
  let undelivered: [Undelivered]

  /// One reading that Kafka did not acknowledge.
  struct Undelivered {
    /// The place of its item in the body.
    let item: Int
    /// Whether it may be stored all the same.
    let mayBeStored: Bool
    let error: KafkaError
  }

  var accepted: Int { produced - undelivered.count }
  var isComplete: Bool { errors.isEmpty && undelivered.isEmpty }
  /// Whether nothing was taken, and something of it because of its device.
  var isForbidden: Bool { accepted == 0 && errors.contains { $0.error.code == .forbidden } }
  /// Whether there is a reading that may be taken when it is sent again.
  var isWorthRepeating: Bool { undelivered.contains { $0.error.code != .messageTooLarge } }
}

extension RequestDialect {
  var credentials: CredentialPlaces { [] }

  func told(_ response: Response) -> Response { response }
}
