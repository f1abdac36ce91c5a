import CRdKafka

/// A `rd_kafka_topic_partition_list_t` of its own.
@safe struct PartitionList: ~Copyable {
  let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

  /// Takes over a list.
  init(adopting pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) {
    unsafe self.pointer = unsafe pointer
  }

  init(_ partitions: some Collection<TopicPartition>) {
    unsafe pointer = rd_kafka_topic_partition_list_new(Int32(clamping: partitions.count))
    for partition in partitions {
      _ = unsafe rd_kafka_topic_partition_list_add(pointer, partition.topic, partition.partition)
    }
  }

  init(_ offsets: [TopicPartition: Int64]) {
    unsafe pointer = rd_kafka_topic_partition_list_new(Int32(clamping: offsets.count))
    for (partition, offset) in offsets {
      unsafe rd_kafka_topic_partition_list_add(pointer, partition.topic, partition.partition).pointee.offset = offset
    }
  }

  init(topics: [String]) {
    unsafe pointer = rd_kafka_topic_partition_list_new(Int32(clamping: topics.count))
    for topic in topics { _ = unsafe rd_kafka_topic_partition_list_add(pointer, topic, RD_KAFKA_PARTITION_UA) }
  }

  deinit { unsafe rd_kafka_topic_partition_list_destroy(pointer) }

  var partitions: [TopicPartition] { unsafe Self.partitions(of: pointer) }

  /// The offsets that are known; what has none is left out.
  var offsets: [TopicPartition: Int64] {
    var offsets: [TopicPartition: Int64] = [:]
    let elements = unsafe Self.elements(of: pointer)
    for index in elements.indices where unsafe elements[index].offset >= 0 {
      unsafe offsets[TopicPartition(elements[index])] = unsafe elements[index].offset
    }
    return offsets
  }

  /// Throws the error of the first partition that has one.
  func check() throws(KafkaError) {
    let elements = unsafe Self.elements(of: pointer)
    for index in elements.indices where unsafe elements[index].err != RD_KAFKA_RESP_ERR_NO_ERROR {
      let code = unsafe KafkaError.Code(elements[index].err)
      throw unsafe KafkaError(code, message: "\(TopicPartition(elements[index])): \(code.text)")
    }
  }

  static func partitions(of list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) -> [TopicPartition] {
    unsafe elements(of: list).map { unsafe TopicPartition($0) }
  }

  static func elements(
    of list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>
  ) -> UnsafeMutableBufferPointer<rd_kafka_topic_partition_t> {
    unsafe UnsafeMutableBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt))
  }
}

extension TopicPartition {
  init(_ element: rd_kafka_topic_partition_t) {
    unsafe self.init(topic: String(cString: element.topic), partition: element.partition)
  }
}
