import CRdKafka
import Synchronization

/// Who gets the reports of some messages: one piece of memory for all of them, since an object for each costs as much as to
/// encode it. Each message carries the address of its own slot along.
@safe package struct Deliveries: ~Copyable {
  /// What is before the slots.
  struct Head: ~Copyable {
    let receiver: any DeliveryReceiver
    /// Reports to come, and one while there may be more messages.
    let open: Atomic<Int>
  }

  struct Slot {
    /// Bytes from the head.
    let offset: Int
    /// The number that the message was produced with.
    let index: Int
  }

  private let head: UnsafeMutablePointer<Head>
  private let capacity: Int
  private var count = 0

  /// - Parameter capacity: messages that can be produced with these, at most.
  package init(_ capacity: Int, to receiver: any DeliveryReceiver) {
    self.capacity = capacity
    let size = MemoryLayout<Head>.stride + capacity * MemoryLayout<Slot>.stride
    unsafe head = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: MemoryLayout<Head>.alignment)
      .bindMemory(to: Head.self, capacity: 1)
    unsafe head.initialize(to: Head(receiver: receiver, open: Atomic(capacity + 1)))
  }

  deinit { unsafe Self.settle(head, capacity + 1 - count) }

  /// What the next message carries along.
  mutating func next(_ index: Int) -> UnsafeMutableRawPointer {
    precondition(count < capacity)
    let offset = MemoryLayout<Head>.stride + count * MemoryLayout<Slot>.stride
    count += 1
    let slot = unsafe UnsafeMutableRawPointer(head) + offset
    unsafe slot.initializeMemory(as: Slot.self, to: Slot(offset: offset, index: index))
    return unsafe slot
  }

  /// The last message was not taken, and has no report.
  mutating func takeBack() { count -= 1 }

  private static func settle(_ head: UnsafeMutablePointer<Head>, _ reports: Int) {
    guard unsafe head.pointee.open.subtract(reports, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    unsafe head.deinitialize(count: 1)
    unsafe UnsafeMutableRawPointer(head).deallocate()
  }

  /// Passes reports on. Those of one producer's call come one after the other, mostly, and are counted together.
  @safe struct Passing: ~Copyable {
    private var head: UnsafeMutablePointer<Head>?
    private var receiver: (any DeliveryReceiver)?
    private var reports = 0

    mutating func pass(_ message: UnsafePointer<rd_kafka_message_t>, from slot: UnsafeRawPointer) {
      let (offset, index) = unsafe (slot.load(as: Slot.self).offset, slot.load(as: Slot.self).index)
      let head = unsafe UnsafeMutableRawPointer(mutating: slot - offset).assumingMemoryBound(to: Head.self)
      if unsafe head != self.head {
        settle()
        unsafe self.head = head
        receiver = unsafe head.pointee.receiver
      }
      reports += 1
      receiver?.delivered(unsafe DeliveryReport(index: index, of: message))
    }

    private mutating func settle() {
      if let head = unsafe head { unsafe Deliveries.settle(head, reports) }
      reports = 0
    }

    deinit {
      if let head = unsafe head { unsafe Deliveries.settle(head, reports) }
    }
  }
}
