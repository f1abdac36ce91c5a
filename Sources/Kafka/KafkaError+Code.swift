import CRdKafka

extension KafkaError {
  /// A code of librdkafka (negative) or of the Kafka protocol (positive); any value may occur.
  package struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    init(_ code: rd_kafka_resp_err_t) { rawValue = code.rawValue }

    var native: rd_kafka_resp_err_t { rd_kafka_resp_err_t(rawValue: rawValue) }

    /// The library's text for the code.
    var text: String { unsafe rd_kafka_err2str(native).map { unsafe String(cString: $0) } ?? "error \(rawValue)" }

    /// The library's name for the code, such as `_QUEUE_FULL`.
    package var description: String {
      unsafe rd_kafka_err2name(native).map { unsafe String(cString: $0) } ?? "\(rawValue)"
    }
  }
}

extension KafkaError.Code {
  /// The client is closed, or being closed.
  package static let closed = Self(RD_KAFKA_RESP_ERR__DESTROY)
  /// The producer's queue is full.
  package static let queueFull = Self(RD_KAFKA_RESP_ERR__QUEUE_FULL)
  /// A call did not end in its time.
  package static let timedOut = Self(RD_KAFKA_RESP_ERR__TIMED_OUT)
  /// A message was not acknowledged within `message.timeout.ms`; it may be stored all the same.
  package static let messageTimedOut = Self(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)
  /// A message is larger than the client or the broker allows.
  package static let messageTooLarge = Self(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
  /// There is no connection to any broker.
  package static let allBrokersDown = Self(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
  /// A connection failed.
  package static let transport = Self(RD_KAFKA_RESP_ERR__TRANSPORT)
  /// A host name could not be resolved.
  package static let resolve = Self(RD_KAFKA_RESP_ERR__RESOLVE)
  /// TLS failed.
  package static let tls = Self(RD_KAFKA_RESP_ERR__SSL)
  /// The broker did not accept the credentials.
  package static let authentication = Self(RD_KAFKA_RESP_ERR__AUTHENTICATION)
  /// The client knows no such topic.
  package static let unknownTopic = Self(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
  /// The client knows no such partition.
  package static let unknownPartition = Self(RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
  /// The broker knows no such topic or partition.
  package static let unknownTopicOrPartition = Self(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
  /// A topic of that name is there already.
  package static let topicAlreadyExists = Self(RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
  /// A message was given up before it was sent.
  package static let purged = Self(RD_KAFKA_RESP_ERR__PURGE_QUEUE)
  /// A message was given up after it was sent and before it was acknowledged; it may be stored all the same.
  package static let purgedInFlight = Self(RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
  /// A broker took a message for a repeat of one that it has.
  package static let duplicateSequence = Self(RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER)
  /// An argument or a setting is not acceptable.
  package static let invalidArgument = Self(RD_KAFKA_RESP_ERR__INVALID_ARG)
  /// The call does not fit the client's state.
  package static let state = Self(RD_KAFKA_RESP_ERR__STATE)
  /// Something else went wrong that the client cannot recover from.
  package static let fatal = Self(RD_KAFKA_RESP_ERR__FATAL)
  /// Polling stopped for longer than `max.poll.interval.ms`, and the consumer was put out of its group.
  package static let maximumPollExceeded = Self(RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED)
  /// The group has begun another generation.
  package static let illegalGeneration = Self(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION)
  /// The group does not know this member (any longer).
  package static let unknownMember = Self(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID)
  /// The group is distributing its partitions anew.
  package static let rebalanceInProgress = Self(RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS)
  /// The principal may not do that with the topic.
  package static let topicAuthorizationFailed = Self(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
  /// The principal may not do that at all; to an idempotent producer without the right to write so it is the end.
  package static let clusterAuthorizationFailed = Self(RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
  /// The principal may not do that with the group.
  package static let groupAuthorizationFailed = Self(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
  /// A broker is not the leader of the partition (any longer).
  package static let notLeader = Self(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION)
  /// A broker did not get an answer in time, from its replicas for example; the request may be carried out all the same.
  package static let requestTimedOut = Self(RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT)
  /// A message of an idempotent producer does not follow on the last that the broker knows of.
  package static let outOfOrderSequence = Self(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER)
  /// The broker does not know an idempotent producer (any longer).
  package static let unknownProducerID = Self(RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID)
  /// Too few replicas are in step for `acks=all`.
  package static let notEnoughReplicas = Self(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS)

  /// A reader that wants to know has come to the end of a partition.
  package static let partitionEnd = Self(RD_KAFKA_RESP_ERR__PARTITION_EOF)

  /// What a producer hears when another has taken over its transactional id: the library's own code, and the brokers'
  /// before and after Kafka 2.7.
  static let fenced: Set<Self> = Set(
    [
      RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
    ].map { Self($0) })

  /// Conditions that pass without anyone doing anything about the request: librdkafka flags only its transactional
  /// errors, so the rest are listed here, from the Kafka protocol's table of retriable errors.
  static let passing: Set<Self> = Set(
    [
      RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
      RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__RESOLVE,
      RD_KAFKA_RESP_ERR__WAIT_COORD, RD_KAFKA_RESP_ERR__WAIT_CACHE, RD_KAFKA_RESP_ERR__ISR_INSUFF,
      RD_KAFKA_RESP_ERR__NODE_UPDATE, RD_KAFKA_RESP_ERR__IN_PROGRESS, RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS,
      RD_KAFKA_RESP_ERR__RETRY, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
      RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
      RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
      RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
      RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, RD_KAFKA_RESP_ERR_NOT_CONTROLLER,
      RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
    ].map { Self($0) })
}
