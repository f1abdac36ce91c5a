import Synchronization
import Testing

@testable import Operations

@Suite struct BoundedQueueTests {
  @Test func firstInFirstOut() {
    let queue = BoundedQueue<Int>(capacity: 100)
    for round in 0..<10 {
      for number in 0..<37 { #expect(queue.put(round * 100 + number, timeout: .zero)) }
      #expect(queue.count == 37)
      for number in 0..<37 { #expect(queue.take(timeout: .zero) == round * 100 + number) }
    }
    #expect(queue.take(timeout: .zero) == nil)
  }

  @Test(arguments: [1, 2, 15, 16, 17, 1_000]) func holdsExactlyItsCapacity(capacity: Int) {
    let queue = BoundedQueue<Int>(capacity: capacity)
    // From different places of the ring.
    for start in 0..<3 {
      for number in 0..<capacity { #expect(queue.put(number, timeout: .zero)) }
      #expect(!queue.put(-1, timeout: .zero))
      #expect(!queue.put(-1, timeout: .milliseconds(1)))
      #expect(queue.count == capacity)
      #expect(queue.takeAll(timeout: .zero) == Array(0..<capacity))
      if start < 2 {
        #expect(queue.put(0))
        #expect(queue.take() == 0)
      }
    }
    #expect(BoundedQueue<Int>(capacity: 0).capacity == 1)
  }

  /// It grows when its first element is in the middle of the ring.
  @Test func keepsTheOrderWhenItGrows() {
    let queue = BoundedQueue<Int>(capacity: 1_000)
    for number in 0..<10 { #expect(queue.put(number)) }
    #expect(queue.takeAll(upTo: 7) == Array(0..<7))
    for number in 10..<600 { #expect(queue.put(number)) }
    #expect(queue.takeAll() == Array(7..<600))
  }

  @Test func takesUpToALimit() {
    let queue = BoundedQueue<Int>(capacity: 10)
    for number in 0..<10 { #expect(queue.put(number)) }
    #expect(queue.takeAll(upTo: 0) == [])
    #expect(queue.takeAll(upTo: 3) == [0, 1, 2])
    #expect(queue.takeAll(upTo: 100) == [3, 4, 5, 6, 7, 8, 9])
    #expect(queue.takeAll(timeout: .zero) == [])
    #expect(queue.takeAll(timeout: .milliseconds(1)) == [])
  }

  @Test func closedItHandsOutWhatItHas() {
    let queue = BoundedQueue<Int>(capacity: 10)
    #expect(queue.put(1) && queue.put(2) && queue.put(3))
    queue.close()
    queue.close()
    #expect(queue.isClosed && !queue.isFinished)
    #expect(!queue.put(4))
    #expect(queue.take() == 1)
    #expect(queue.takeAll() == [2, 3])
    #expect(queue.isFinished)
    #expect(queue.take() == nil)
    #expect(queue.takeAll() == [])
  }

  @Test func closingWakesEveryoneWhoWaits() {
    let empty = BoundedQueue<Int>(capacity: 1)
    let full = BoundedQueue<Int>(capacity: 1)
    #expect(full.put(0))
    let supervisor = Supervisor(log: Lines().log())
    let results = Mutex<[Bool]>([])
    for _ in 0..<3 {
      supervisor.start("take", mayEnd: true) {
        let isNothing = empty.take() == nil
        results.withLock { $0.append(isNothing) }
      }
      supervisor.start("take all", mayEnd: true) {
        let isNothing = empty.takeAll().isEmpty
        results.withLock { $0.append(isNothing) }
      }
      supervisor.start("put", mayEnd: true) {
        let isRefused = !full.put(1)
        results.withLock { $0.append(isRefused) }
      }
    }
    empty.close()
    full.close()
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(results.withLock { $0 } == [Bool](repeating: true, count: 9))
    #expect(full.take() == 0)
  }

  /// Each of many producers' elements comes out once and in its order, whoever takes it, through a queue that is nearly
  /// always full or empty.
  @Test(arguments: [1, 3, 64]) func underContention(capacity: Int) {
    let producers = 4
    let perProducer = 5_000
    let queue = BoundedQueue<Int>(capacity: capacity)
    let supervisor = Supervisor(log: Lines().log())
    let taken = Mutex<[[Int]]>([])
    let left = Atomic(producers)
    for producer in 0..<producers {
      supervisor.start("producer \(producer)", mayEnd: true) {
        for number in 0..<perProducer {
          let element = producer * 1_000_000 + number
          // Every way to wait.
          switch number % 3 {
          case 0: while !queue.put(element, timeout: .zero) {}
          case 1: while !queue.put(element, timeout: .microseconds(50)) {}
          default: _ = queue.put(element)
          }
        }
        if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { queue.close() }
      }
    }
    for consumer in 0..<3 {
      supervisor.start("consumer \(consumer)", mayEnd: true) {
        var own: [Int] = []
        while !queue.isFinished {
          switch consumer {
          case 0: if let element = queue.take() { own.append(element) }
          case 1: if let element = queue.take(timeout: .microseconds(50)) { own.append(element) }
          default: own += queue.takeAll(upTo: 7, timeout: .milliseconds(1))
          }
        }
        taken.withLock { $0.append(own) }
      }
    }
    #expect(supervisor.join(timeout: .seconds(120)))
    let lists = taken.withLock { $0 }
    let all = lists.flatMap(\.self).sorted()
    #expect(all == (0..<producers).flatMap { p in (0..<perProducer).map { p * 1_000_000 + $0 } })
    for list in lists {
      for producer in 0..<producers {
        let own = list.filter { $0 / 1_000_000 == producer }
        #expect(own == own.sorted())
      }
    }
  }

  @Test func elementsAreReleasedWhenTaken() {
    final class Token: Sendable {}
    let queue = BoundedQueue<Token>(capacity: 4)
    weak var weakToken: Token?
    do {
      let token = Token()
      weakToken = token
      #expect(queue.put(token))
    }
    #expect(weakToken != nil)
    _ = queue.take()
    #expect(weakToken == nil)
  }
}
