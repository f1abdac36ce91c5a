import JSON
package import Kafka
import Operations
import Publishing

/// The dead-letter topic as it is at one moment: which letters it has, and which of them were put back.
///
/// It is read twice, for a marker comes after the letters that it names, and letters are too many to be remembered.
package final class DeadLetterTopic {
  package let name: String
  /// Whether it is on the Kafka that `sluice dev` has embedded.
  let isOnMockCluster: Bool
  private let reader: LetterReader
  /// The topic of the readings; nil when there is none.
  private let origins: LetterReader?
  private let parser = JSONParser()
  /// What is read: the offsets of each partition at the time of the last look.
  private var extents: [Int32: Range<Int64>] = [:]
  private(set) var putBack = PutBack()

  /// - Parameter topic: that of the readings. It need not be there, but nothing can be put back then.
  /// - Throws: when Kafka does not answer, or the dead-letter topic is not there.
  package init(_ kafka: KafkaConfiguration, name: String, topic: String) throws(DeadLettersError) {
    self.name = name
    let partitions: Int?
    let originPartitions: Int?
    do throws(KafkaError) {
      let admin = try Admin(kafka)
      defer { admin.close() }
      let cluster = try admin.describeCluster(timeout: .seconds(10))
      partitions = cluster.topics.first { $0.name == name }?.partitions
      originPartitions = cluster.topics.first { $0.name == topic }?.partitions
      isOnMockCluster = try admin.isMockCluster(timeout: .seconds(5)) ?? false
    } catch {
      if error.isMisconfiguration { throw .kafka(error) }
      throw DeadLettersError(
        "\(Setting.kafkaBrokers.name) (\(kafka.value("bootstrap.servers") ?? "")): \(error); start Kafka, or name "
          + "brokers that can be reached from here")
    }
    guard let partitions else {
      throw DeadLettersError(
        "\(Setting.kafkaDeadLetterTopic.name): there is no topic \(name), or this user may not see it; name it, or make "
          + "it with sluice setup")
    }
    reader = try LetterReader(kafka, topic: name, partitions: partitions)
    guard let originPartitions else {
      origins = nil
      return
    }
    do throws(DeadLettersError) {
      origins = try LetterReader(kafka, topic: topic, partitions: originPartitions)
    } catch {
      reader.close()
      throw error
    }
  }

  package func close() {
    reader.close()
    origins?.close()
  }

  /// Whether a letter was put back, as far as the last look has seen.
  package func isPutBack(_ letter: Letter) -> Bool { putBack.contains(letter.place) }

  /// Finds out what is there, and reads the markers.
  /// - Parameters:
  ///   - only: this partition, for what is not about others.
  ///   - filter: which letters to count.
  ///   - count: called with each of these.
  /// - Returns: false when it was stopped.
  package func look(
    only: Int32? = nil, filter: LetterFilter = LetterFilter(), isStopping: () -> Bool = { false },
    count: () -> Void = {}
  ) throws(DeadLettersError) -> Bool {
    extents = try reader.extents().filter { only == nil || $0.key == only }
    putBack = PutBack()
    // After that: what a letter came from was there before it.
    let originEnds = try origins?.extents().mapValues(\.upperBound) ?? [:]
    return try reader.read(extents, isStopping: isStopping) { (letter) throws(DeadLettersError) in
      guard RedriveMarker.isMarker(letter) else {
        if filter.matches(letter, parser) { count() }
        return true
      }
      guard let marker = RedriveMarker(letter) else {
        throw DeadLettersError(
          "\(name) \(letter.place): this marker of letters that were put back cannot be read: a later version wrote it, "
            + "use that one")
      }
      let low = extents[letter.place.partition]?.lowerBound ?? 0
      guard putBack.note(marker, at: letter.place, time: letter.time, low: low, originEnds: originEnds) else {
        throw DeadLettersError(
          "\(name): more letters were put back than can be kept in mind; let Kafka delete old ones")
      }
      return true
    }
  }

  /// Reads the letters, without the markers, partition after partition, the oldest first.
  /// - Parameters:
  ///   - filter: which letters are wanted.
  ///   - body: says whether to go on.
  /// - Returns: false when it was ended before all was read.
  package func letters(
    _ filter: LetterFilter = LetterFilter(), isStopping: () -> Bool = { false },
    _ body: (Letter) throws(DeadLettersError) -> Bool
  ) throws(DeadLettersError) -> Bool {
    var extents = extents
    if let place = filter.place {
      extents = extents.filter { $0.key == place.partition }
        .mapValues { $0.clamped(to: place.offset..<max(place.offset, place.offset &+ 1)) }
    }
    return try reader.read(extents, isStopping: isStopping) { (letter) throws(DeadLettersError) in
      guard !RedriveMarker.isMarker(letter), filter.matches(letter, parser) else { return true }
      return try body(letter)
    }
  }
}
