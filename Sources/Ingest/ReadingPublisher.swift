package import Kafka
package import Publishing
package import Readings

/// Where the API puts readings: Kafka, or a stand-in that drives it without one.
package protocol ReadingPublisher: AnyObject, Sendable {
  /// Why readings cannot be taken now; nil when they can.
  var unavailability: String? { get }

  /// Whether that many readings more may wait for their acknowledgements.
  func hasRoom(for count: Int) -> Bool

  /// Hands over all readings of a batch; exactly one report per reading goes to `receiver`.
  func publish(
    _ batch: ReadingBatch, headers: MessageHeaders, receiver: any DeliveryReceiver, buffer: inout ByteBuffer)

  /// Counts what became of some readings.
  func count(acknowledged: Int, failed: Int)
}

extension ReadingProducer: ReadingPublisher {}
