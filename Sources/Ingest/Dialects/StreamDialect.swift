import Dialects
import HTTP
import Readings

/// One message of a stream.
///
/// `@unchecked Sendable`: `sequence` is written while the message is decoded, and read for its answer, which follows.
final class StreamDialect: RequestDialect, @unchecked Sendable {
  /// The sender's number of the message, once that is decoded.
  private(set) var sequence: Int64?

  var name: String { StreamSession.dialect }
  var source: StaticString { "stream" }

  func decode(
    _ body: UnsafeRawBufferPointer, now: Int64, context: DecodingContext, into batch: ReadingBatch,
    errors: inout [ItemError]
  ) -> Response? {
    do throws(BodyError) {
      try SluiceFormat.decode(
        padded: body, framing: .message, now: now, context: context, into: batch, errors: &errors, sequence: &sequence)
      return nil
    } catch {
      return Answers.refused(error)
    }
  }

  func answer(_ outcome: Outcome) -> Response { Answers.outcome(outcome) }
}
