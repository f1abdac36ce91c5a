package import Kafka
import Operations
package import Readings

/// Puts readings on the topic, keyed by their device.
package final class ReadingProducer: Sendable {
  private let link: KafkaLink
  private let topic: String
  private let acknowledgesEarly: Bool
  private let streams = SequenceStreams()

  /// - Parameter acknowledgesEarly: reports as stored what is only queued, which loses readings: for the test that has to
  ///   find that out.
  /// - Throws: when no topic can be named so.
  package init(_ link: KafkaLink, topic: String, acknowledgesEarly: Bool = false) throws(KafkaError) {
    self.link = link
    self.acknowledgesEarly = acknowledgesEarly
    self.topic = topic
    _ = try link.producer.topic(topic)
  }

  /// Why Kafka cannot take readings now; nil when it can.
  package var unavailability: String? { link.unavailability }

  /// Whether the queue has room for that many messages more.
  package func hasRoom(for count: Int) -> Bool { link.hasRoom(for: count) }

  /// Has Kafka get at once what waits for more to be sent with it: for who knows that none comes.
  package func flush() {
    // Not until all is reported: others may produce all the time.
    link.producer.flush(timeout: .milliseconds(5))
  }

  /// Counts what became of some readings; called by the receivers of their reports.
  package func count(acknowledged: Int, failed: Int) { link.count(acknowledged: acknowledged, failed: failed) }

  /// Produces all readings of a batch, each with a number by which a repeat is known; exactly one report per reading goes
  /// to `receiver`, with the reading's index. Those for which the backlog has no room, and all while it is not known how
  /// many partitions there are, are reported as certainly not stored.
  ///
  /// - Parameters:
  ///   - headers: of all of them; used up.
  ///   - buffer: memory to encode in; its content is overwritten.
  package func publish(
    _ batch: ReadingBatch, headers: MessageHeaders, receiver: any DeliveryReceiver, buffer: inout ByteBuffer
  ) {
    link.count(produced: batch.count)
    let producer = link.producer
    let topic: Topic
    let streams: ArraySlice<SequenceStreams.Stream>
    do throws(KafkaError) {
      topic = try producer.topic(self.topic)
      guard let count = link.partitionCount(of: self.topic), count > 0 else {
        throw KafkaError(.allBrokersDown, message: "Kafka has not said yet how many partitions \(self.topic) has")
      }
      streams = self.streams.first(count)
    } catch {
      for index in 0..<batch.count {
        receiver.delivered(DeliveryReport(index: index, error: error, mayBeStored: false))
      }
      return
    }
    let bounded = link.backlog.map { BacklogReceiver($0, for: receiver, count: batch.count) }
    let receiver: any DeliveryReceiver = bounded ?? receiver
    let now = Clock.nowMilliseconds()
    var deliveries = Deliveries(batch.count, to: acknowledgesEarly ? Unheard.shared : receiver)
    for (index, reading) in batch.readings.enumerated() {
      buffer.truncate(to: 0)
      ReadingEncoder.encode(reading, of: batch, into: &buffer)
      let key = batch[reading.device]
      if let bounded {
        let bytes = key.count + buffer.bytes.count + headers.byteCount + Backlog.messageOverhead
        guard bounded.reserve(bytes, index: index) else {
          let error = KafkaError(.queueFull, message: "there is no room for it until MongoDB has caught up")
          receiver.delivered(DeliveryReport(index: index, error: error, mayBeStored: false))
          continue
        }
      }
      // Chosen here, for a number is one of those that the partition gets.
      let partition = producer.partition(of: key, among: streams.count)
      let stream = streams[Int(partition)]
      let sequence = stream.next()
      do throws(KafkaError) {
        try sequence.withBytes { (sequence) throws(KafkaError) in
          try producer.produce(
            to: topic, partition: partition, key: key, value: buffer.bytes, headers: headers,
            handsOverHeaders: index == batch.count - 1, timestamp: now, ownValue: sequence,
            deliveries: &deliveries, index: index)
        }
        if acknowledgesEarly { receiver.delivered(DeliveryReport(index: index)) }
      } catch {
        stream.takeBack(sequence)
        receiver.delivered(DeliveryReport(index: index, error: error, mayBeStored: false))
      }
    }
  }

  /// The headers that every reading has: where it came from, when it arrived (milliseconds since 1970), and a place for its
  /// number, the last.
  package static func headers(source: StaticString, received: Int64, traceparent: [UInt8]? = nil) -> MessageHeaders {
    let headers = MessageHeaders(capacity: 4)
    headers.append("source", UnsafeRawBufferPointer(start: source.utf8Start, count: source.utf8CodeUnitCount))
    var time = ByteBuffer(capacity: 20)
    ReadingEncoder.append(received, to: &time)
    headers.append("received", time.bytes)
    traceparent?.withUnsafeBytes { headers.append("traceparent", $0) }
    SequenceNumber(stream: 0, number: 0).withBytes { headers.append(SequenceNumber.header, $0) }
    return headers
  }
}

/// Takes the reports that nobody waits for.
private final class Unheard: DeliveryReceiver {
  static let shared = Unheard()
  func delivered(_: DeliveryReport) {}
}
