/// A first-in, first-out queue between threads that holds at most `capacity` elements.
///
/// Full, it makes producers wait or refuses them; empty, it makes consumers wait. Closed, it refuses new elements and
/// still hands out those that it has.
package final class BoundedQueue<Element: Sendable>: Sendable {
  private static var notEmpty: Int { 0 }
  private static var notFull: Int { 1 }

  private struct State {
    var ring = Ring<Element>()
    var isClosed = false
  }

  /// How many elements it can hold.
  package let capacity: Int
  private let state: Monitor<State>

  /// - Parameter capacity: at least 1; less is taken as 1.
  package init(capacity: Int) {
    self.capacity = max(1, capacity)
    state = Monitor(State(), conditions: 2)
  }

  /// How many elements it holds.
  package var count: Int { state.withLock { $0.ring.count } }

  /// Whether it was closed. It may still hold elements.
  package var isClosed: Bool { state.withLock { $0.isClosed } }

  /// Whether it was closed and its last element taken: nothing comes any more.
  package var isFinished: Bool { state.withLock { $0.isClosed && $0.ring.count == 0 } }

  /// Appends an element, waiting while the queue is full.
  /// - Parameter timeout: nil waits for ever, zero does not wait.
  /// - Returns: false when it was still full after that, or is closed: the element is not in the queue.
  package func put(_ element: Element, timeout: Duration? = nil) -> Bool {
    let isIn = state.wait(for: Self.notFull, timeout: timeout) { [capacity] state -> Bool? in
      if state.isClosed { return false }
      guard state.ring.count < capacity else { return nil }
      state.ring.append(element, capacity: capacity)
      return true
    }
    guard isIn == true else { return false }
    state.signal(Self.notEmpty)
    return true
  }

  /// Removes the first element, waiting while there is none.
  /// - Parameter timeout: nil waits for ever, zero does not wait.
  /// - Returns: nil when there was none after that, or the queue is closed and empty (`isFinished`).
  package func take(timeout: Duration? = nil) -> Element? {
    let taken = state.wait(for: Self.notEmpty, timeout: timeout) { state -> Element?? in
      if let element = state.ring.removeFirst() { return .some(element) }
      return state.isClosed ? .some(nil) : nil
    }
    guard let element = taken ?? nil else { return nil }
    state.signal(Self.notFull)
    return element
  }

  /// Removes up to `limit` elements, in order, waiting only while there is none at all.
  /// - Parameter timeout: nil waits for ever, zero does not wait.
  /// - Returns: empty when there was none after that, or the queue is closed and empty (`isFinished`).
  package func takeAll(upTo limit: Int = .max, timeout: Duration? = nil) -> [Element] {
    guard limit > 0 else { return [] }
    let taken = state.wait(for: Self.notEmpty, timeout: timeout) { state -> [Element]? in
      let count = min(limit, state.ring.count)
      guard count > 0 else { return state.isClosed ? [] : nil }
      var elements: [Element] = []
      elements.reserveCapacity(count)
      for _ in 0..<count { elements.append(state.ring.removeFirst()!) }
      return elements
    }
    guard let taken, !taken.isEmpty else { return [] }
    state.broadcast(Self.notFull)
    return taken
  }

  /// Refuses further elements and wakes everyone who waits.
  package func close() {
    state.withLock { $0.isClosed = true }
    state.broadcast(Self.notEmpty)
    state.broadcast(Self.notFull)
  }
}

/// A ring buffer that grows to the capacity as it is needed.
private struct Ring<Element> {
  private var slots: ContiguousArray<Element?> = []
  private var head = 0
  private(set) var count = 0

  mutating func append(_ element: Element, capacity: Int) {
    if count == slots.count { grow(to: min(capacity, max(16, slots.count * 2))) }
    slots[(head + count) % slots.count] = element
    count += 1
  }

  mutating func removeFirst() -> Element? {
    guard count > 0 else { return nil }
    let element = slots[head]
    slots[head] = nil
    head = (head + 1) % slots.count
    count -= 1
    return element
  }

  private mutating func grow(to size: Int) {
    var larger = ContiguousArray<Element?>(repeating: nil, count: size)
    for index in 0..<count { larger[index] = slots[(head + index) % slots.count] }
    slots = larger
    head = 0
  }
}
