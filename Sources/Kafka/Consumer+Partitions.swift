import CRdKafka

extension Consumer {
  /// Stops reading partitions; what is read of them already but not yet polled is dropped, and read again later.
  /// - Throws: when one of them is not assigned.
  package func pause(_ partitions: [TopicPartition]) throws(KafkaError) {
    let list = PartitionList(partitions)
    try handle.use { (client) throws(KafkaError) in
      try unsafe KafkaError.check(rd_kafka_pause_partitions(client, list.pointer), client)
    }
    try list.check()
  }

  /// Ends a pause.
  /// - Throws: when one of them is not assigned.
  package func resume(_ partitions: [TopicPartition]) throws(KafkaError) {
    let list = PartitionList(partitions)
    try handle.use { (client) throws(KafkaError) in
      try unsafe KafkaError.check(rd_kafka_resume_partitions(client, list.pointer), client)
    }
    try list.check()
  }

  /// Continues reading assigned partitions at these offsets (also ``earliest`` and ``latest``).
  package func seek(_ offsets: [TopicPartition: Int64], timeout: Duration) throws(KafkaError) {
    guard !offsets.isEmpty else { return }
    let list = PartitionList(offsets)
    try handle.use { (client) throws(KafkaError) in
      if let error = unsafe rd_kafka_seek_partitions(client, list.pointer, timeout.kafkaMilliseconds) {
        throw unsafe KafkaError(adopting: error)
      }
    }
    try list.check()
  }

  /// Commits where to continue reading, for the group.
  /// - Parameters:
  ///   - offsets: the next offset to read, which is one more than the last that is done.
  ///   - wait: whether to wait for the answer; without, the observer hears of a failure.
  ///   - timeout: how long to wait; the commit may still happen after that.
  package func commit(
    _ offsets: [TopicPartition: Int64], wait: Bool, timeout: Duration = .seconds(10)
  ) throws(KafkaError) {
    guard !offsets.isEmpty else { return }
    let list = PartitionList(offsets)
    try handle.use { (client) throws(KafkaError) in
      guard wait else {
        try unsafe KafkaError.check(rd_kafka_commit(client, list.pointer, 1), client)
        return
      }
      // Not rd_kafka_commit: that waits as long as it takes, a minute when a broker hangs.
      let queue = unsafe rd_kafka_queue_new(client)
      defer { unsafe rd_kafka_queue_destroy(queue) }
      try unsafe KafkaError.check(rd_kafka_commit_queue(client, list.pointer, queue, nil, nil), client)
      guard let event = unsafe rd_kafka_queue_poll(queue, timeout.kafkaMilliseconds) else {
        throw KafkaError(.timedOut, message: "the commit was not answered within \(timeout)")
      }
      defer { unsafe rd_kafka_event_destroy(event) }
      try unsafe KafkaError.check(rd_kafka_event_error(event), client)
      if let answer = unsafe rd_kafka_event_topic_partition_list(event) {
        try unsafe PartitionList(adopting: rd_kafka_topic_partition_list_copy(answer)).check()
      }
    }
  }

  /// What the group has committed for these partitions; those without a commit are left out.
  package func committed(
    _ partitions: [TopicPartition], timeout: Duration
  ) throws(KafkaError) -> [TopicPartition: Int64] {
    let list = PartitionList(partitions)
    try handle.use { (client) throws(KafkaError) in
      try unsafe KafkaError.check(rd_kafka_committed(client, list.pointer, timeout.kafkaMilliseconds), client)
    }
    try list.check()
    return list.offsets
  }

  /// One more than the last offset polled of each of these partitions; those of which nothing was are left out.
  package func position(_ partitions: [TopicPartition]) throws(KafkaError) -> [TopicPartition: Int64] {
    let list = PartitionList(partitions)
    try handle.use { (client) throws(KafkaError) in
      try unsafe KafkaError.check(rd_kafka_position(client, list.pointer), client)
    }
    return list.offsets
  }

  /// The partitions that this consumer reads now.
  package var assignment: [TopicPartition] {
    guard handle.enter() else { return [] }
    defer { handle.leave() }
    return handle.useByOwner { client in
      var list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?
      guard unsafe rd_kafka_assignment(client, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list = unsafe list else {
        return []
      }
      return unsafe PartitionList(adopting: list).partitions
    }
  }

  /// The first offset of a partition and the one after its last, as the broker says.
  package func watermarks(
    of partition: TopicPartition, timeout: Duration
  ) throws(KafkaError) -> (low: Int64, high: Int64) {
    var low: Int64 = -1
    var high: Int64 = -1
    try handle.use { (client) throws(KafkaError) in
      try unsafe KafkaError.check(
        rd_kafka_query_watermark_offsets(
          client, partition.topic, partition.partition, &low, &high, timeout.kafkaMilliseconds), client)
    }
    return (low, high)
  }
}
