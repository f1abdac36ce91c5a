import CRdKafka

/// Which partition of a topic a message with a key goes to: what librdkafka's own property `partitioner` names, for those
/// who want to know it before the message is handed over.
struct Partitioner: Sendable {
  private enum Function {
    case crc32, murmur2, fnv1a, random
  }

  private let function: Function

  /// As a client of these settings would choose; the client refuses other names.
  init(_ configuration: KafkaConfiguration) {
    function =
      switch configuration.value("partitioner") {
      case "murmur2", "murmur2_random": .murmur2
      case "fnv1a", "fnv1a_random": .fnv1a
      case "random": .random
      default: .crc32
      }
  }

  /// The partition of a key that is not empty, from 0.
  /// - Parameter count: of the topic's partitions; at least one.
  func partition(of key: UnsafeRawBufferPointer, among count: Int) -> Int32 {
    let count = Int32(count)
    // These look at nothing but the key and the count.
    return switch function {
    case .crc32: unsafe rd_kafka_msg_partitioner_consistent(nil, key.baseAddress, key.count, count, nil, nil)
    case .murmur2: unsafe rd_kafka_msg_partitioner_murmur2(nil, key.baseAddress, key.count, count, nil, nil)
    case .fnv1a: unsafe rd_kafka_msg_partitioner_fnv1a(nil, key.baseAddress, key.count, count, nil, nil)
    case .random: .random(in: 0..<count)
    }
  }
}
