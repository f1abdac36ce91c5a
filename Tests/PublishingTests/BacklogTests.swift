import Kafka
import Operations
import Publishing
import Testing

@Suite struct BacklogTests {
  private let health = Health()
  private let backlog: Backlog

  init() { backlog = Backlog(partitionBytes: 100, log: Log(component: "test", output: { _ in }), health: health) }

  /// A message goes to a partition.
  private func take(_ bytes: Int, partition: Int32, offset: Int64) {
    #expect(backlog.reserve(bytes))
    backlog.settle(bytes, DeliveryReport(index: 0, partition: partition, offset: offset))
  }

  @Test func noPartitionGetsMoreThanItKeeps() {
    for offset in 0..<10 { take(10, partition: 1, offset: Int64(offset)) }
    #expect(!backlog.reserve(1))
    #expect(backlog.count == 10)
    backlog.stored([1: 4])
    #expect(backlog.count == 6)
    #expect(!backlog.reserve(41))
    #expect(backlog.reserve(40))
  }

  @Test func whatIsOnItsWayMayGoToTheFullestPartition() {
    take(60, partition: 1, offset: 0)
    take(30, partition: 2, offset: 0)
    #expect(backlog.reserve(40))
    #expect(!backlog.reserve(1))
  }

  @Test func partitionsCountApart() {
    // Each has to fit into the fullest, wherever it goes.
    for partition in 0..<10 { take(50, partition: Int32(partition), offset: 7) }
    #expect(backlog.count == 10)
    #expect(!backlog.reserve(51))
    #expect(backlog.reserve(50))
  }

  @Test func whatIsNotStoredByKafkaTakesNoRoom() {
    for _ in 0..<5 {
      #expect(backlog.reserve(100))
      backlog.settle(
        100, DeliveryReport(index: 0, error: KafkaError(.messageTimedOut), partition: 1, mayBeStored: false))
    }
    #expect(backlog.count == 0)
  }

  @Test func theSinkMayBeFasterThanTheReport() {
    #expect(backlog.reserve(80))
    backlog.stored([1: 5])
    backlog.settle(80, DeliveryReport(index: 0, partition: 1, offset: 4))
    #expect(backlog.count == 0)
    #expect(backlog.reserve(100))
  }

  @Test func anEarlierOffsetTakesNothingBack() {
    take(50, partition: 1, offset: 8)
    backlog.stored([1: 9])
    backlog.stored([1: 2])
    take(50, partition: 1, offset: 9)
    #expect(backlog.count == 1)
  }

  @Test func saysBeforehandThatItFills() {
    #expect(backlog.unavailability == nil && health.isReady)
    take(50, partition: 1, offset: 0)
    #expect(backlog.unavailability == nil)
    take(10, partition: 1, offset: 1)
    #expect(backlog.unavailability != nil && !health.isReady)
    // Not back and forth at the limit.
    take(30, partition: 1, offset: 2)
    backlog.stored([1: 1])
    #expect(backlog.unavailability != nil)
    backlog.stored([1: 3])
    #expect(backlog.unavailability == nil && health.isReady)
  }
}
