import Kafka
import TestServers
import Testing

@Suite struct ConsumedMessageTests {
  /// What is kept of a message has a bound by its size, and parsed headers take more than their bytes.
  @Test func itsSizeHasWhatItsHeadersCost() throws {
    try withMockCluster { cluster, name in
      let headers: [[(String, [UInt8]?)]] = [
        [], [("source", Array("http".utf8))], [("source", nil)], .init(repeating: ("h", nil), count: 10_000),
        [(String(repeating: "n", count: 5_000), [])],
      ]
      let recorder = Recorder()
      try withProducer(configuration(cluster.bootstrapServers)) { producer in
        for headers in headers {
          try producer.send(
            try producer.topic(name), key: "key", value: "value", headers: MessageHeaders(headers), to: recorder)
        }
        try eventually("delivery") { recorder.count == headers.count }
      }
      let consumer = try Consumer(configuration(cluster.bootstrapServers))
      defer { consumer.close() }
      try consumer.assign([TopicPartition(topic: name, partition: 0): Consumer.earliest])
      let sizes = try consumer.read(headers.count).map(\.byteCount)
      #expect(sizes[0] == 8)
      #expect(sizes[1] == 8 + 6 + 4 + 64 && sizes[2] == 8 + 6 + 64)
      #expect(sizes[3] == 8 + 10_000 * 65)
      #expect(sizes[4] == 8 + 5_000 + 64)
    }
  }
}
