import Dialects
import JSON
import Readings
import Synchronization

/// What decoding a body needs and what is worth keeping for the next one.
///
/// `@unchecked Sendable`: taken out of the pool by one thread, which puts it back when it is done.
final class Workspace: @unchecked Sendable {
  let context: DecodingContext
  let batch = ReadingBatch()
  var buffer = ByteBuffer(capacity: 4096)

  init(bounds: TimeBounds, readingsLimit: Int) {
    context = DecodingContext(parser: JSONParser(), bounds: bounds, readingsLimit: readingsLimit)
  }
}

/// Workspaces, as many as threads decode at once.
final class Workspaces: Sendable {
  /// Bytes of the largest body whose workspace is kept: a parser grows to some twenty times its text.
  private static let keptSize = 1 << 20

  private let free = Mutex<[Workspace]>([])
  private let make: @Sendable () -> Workspace

  init(_ make: @escaping @Sendable () -> Workspace) { self.make = make }

  func with<Result>(bodySize: Int, _ body: (Workspace) -> Result) -> Result {
    if bodySize > Self.keptSize { return body(make()) }
    let workspace = free.withLock { $0.popLast() } ?? make()
    defer {
      workspace.batch.removeAll()
      free.withLock { $0.append(workspace) }
    }
    return body(workspace)
  }
}
