import CZlib

/// Decompresses a stream that arrives in pieces.
@safe package final class Inflater {
  /// How the bytes are wrapped.
  package enum Format: Sendable {
    /// RFC 1952; several members in a row are one stream, as `cat a.gz b.gz` makes them.
    case gzip
    /// What HTTP calls deflate (RFC 9110, 8.4.1.2): zlib's wrapping, or bare as some clients send it.
    case deflate
    /// gzip or zlib, told apart by the first bytes.
    case automatic
  }

  private enum State: Equatable {
    /// The first two bytes decide about the wrapping.
    case undecided
    case inside
    /// After the end of a member of gzip, of which the next may follow.
    case betweenMembers
    /// After the end of a stream that has but one part.
    case ended
    case failed(CompressionError)
  }

  private let format: Format
  private let limit: Int
  private var produced = 0
  private var state = State.undecided
  private var first: [UInt8] = []
  // Allocated because zlib keeps the address of its stream.
  private let stream: UnsafeMutablePointer<z_stream>
  private var isOpen = false
  private var isGzip = false

  /// - Parameter limit: Bytes that may come out of the whole stream. What is handed out is never more.
  package init(_ format: Format, limit: Int = .max - 1) {
    self.format = format
    self.limit = min(max(0, limit), .max - 1)
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
  }

  deinit {
    if isOpen { unsafe inflateEnd(stream) }
    unsafe stream.deallocate()
  }

  /// Takes the next piece and lends what comes out to `take`, at most 32 KiB at a time, until `take` returns false: then
  /// the rest is dropped, and the stream must not be used any more.
  ///
  /// - Throws: `CompressionError`, and the same one again whenever it is called after that.
  package func inflate(
    _ piece: UnsafeRawBufferPointer, _ take: (UnsafeRawBufferPointer) -> Bool
  ) throws(CompressionError) {
    if case .failed(let error) = state { throw error }
    do {
      if state == .undecided {
        let missing = min(2 - first.count, piece.count)
        unsafe first.append(contentsOf: piece[..<missing])
        guard first.count == 2 else { return }
        try open()
        let bytes = (first[0], first[1])
        let start = unsafe withUnsafeBytes(of: bytes) { bytes -> Result<Bool, CompressionError> in
          do throws(CompressionError) { return .success(unsafe try consume(bytes, take)) } catch {
            return .failure(error)
          }
        }
        guard try start.get() else { return }
        _ = unsafe try consume(UnsafeRawBufferPointer(rebasing: piece[missing...]), take)
      } else {
        _ = unsafe try consume(piece, take)
      }
    } catch {
      state = .failed(error)
      throw error
    }
  }

  /// Takes the next piece and appends what comes out to `output`, which never grows by more than the limit.
  ///
  /// - Throws: As `inflate` does; `output` then holds what came out before.
  package func feed(_ piece: UnsafeRawBufferPointer, appendingTo output: inout [UInt8]) throws(CompressionError) {
    unsafe try inflate(piece) { chunk in
      unsafe append(chunk, to: &output)
      return true
    }
  }

  /// Takes the next piece of a stream held in an array.
  package func feed(_ piece: [UInt8], appendingTo output: inout [UInt8]) throws(CompressionError) {
    // The array's own function does not pass the type of an error on.
    let result = unsafe piece.withUnsafeBytes { bytes -> Result<Void, CompressionError> in
      do throws(CompressionError) { return .success(unsafe try feed(bytes, appendingTo: &output)) } catch {
        return .failure(error)
      }
    }
    try result.get()
  }

  private func append(_ chunk: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    // Growing by itself, the array could take twice the limit.
    if output.count + chunk.count > output.capacity, limit < 1 << 40 {
      let most = output.count + chunk.count + limit - min(produced, limit)
      output.reserveCapacity(min(most, max(output.count + chunk.count, 2 * output.capacity)))
    }
    unsafe output.append(contentsOf: chunk)
  }

  /// Says that no more comes.
  ///
  /// - Throws: `CompressionError.truncated` when the stream has not ended, or the error of before.
  package func finish() throws(CompressionError) {
    switch state {
    case .failed(let error): throw error
    case .undecided, .inside: throw .truncated
    case .betweenMembers, .ended: return
    }
  }

  /// A whole stream at once.
  package static func inflate(
    _ bytes: [UInt8], _ format: Format = .automatic, limit: Int
  ) throws(CompressionError) -> [UInt8] {
    let inflater = Inflater(format, limit: limit)
    var output: [UInt8] = []
    try inflater.feed(bytes, appendingTo: &output)
    try inflater.finish()
    return output
  }

  private func open() throws(CompressionError) {
    isGzip = format == .gzip || (format == .automatic && first == [0x1f, 0x8b])
    // A zlib header's two bytes are a multiple of 31, and the method in it is 8 (RFC 1950, 2.2).
    let isWrapped = (Int(first[0]) << 8 | Int(first[1])) % 31 == 0 && first[0] & 0x0f == 8
    if format == .automatic, !isGzip, !isWrapped { throw .corrupt("it is neither gzip nor zlib") }
    guard unsafe sluice_inflate_init(stream, isGzip ? 31 : isWrapped ? 15 : -15) == Z_OK else { throw .outOfMemory }
    isOpen = true
    state = .inside
  }

  /// False when `take` wants no more.
  private func consume(
    _ piece: UnsafeRawBufferPointer, _ take: (UnsafeRawBufferPointer) -> Bool
  ) throws(CompressionError) -> Bool {
    guard unsafe !piece.isEmpty else { return true }
    guard piece.count <= Int(UInt32.max) else { throw .corrupt("a piece of more than 4 GiB") }
    unsafe stream.pointee.next_in = UnsafeMutablePointer(
      mutating: piece.baseAddress?.assumingMemoryBound(to: Bytef.self))
    unsafe stream.pointee.avail_in = UInt32(piece.count)
    defer { unsafe stream.pointee.next_in = nil }
    while true {
      if state == .betweenMembers {
        guard unsafe stream.pointee.avail_in > 0 else { return true }
        unsafe inflateReset(stream)
        state = .inside
      }
      if state == .ended {
        guard unsafe stream.pointee.avail_in == 0 else { throw .corrupt("there is more after its end") }
        return true
      }
      let (code, isFull, goesOn) = unsafe step(take)
      switch code {
      case Z_OK, Z_BUF_ERROR:
        // With room left in the output, zlib wants more input.
        if !isFull { return goesOn }
      case Z_STREAM_END: state = isGzip ? .betweenMembers : .ended
      case Z_MEM_ERROR: throw .outOfMemory
      case Z_NEED_DICT: throw .corrupt("it needs a dictionary")
      default:
        throw .corrupt(unsafe stream.pointee.msg.map { unsafe String(cString: $0) } ?? "error \(code)")
      }
      if produced > limit { throw .limitExceeded(limit: limit) }
      if !goesOn { return false }
    }
  }

  /// Lends at most one chunk of output: what zlib returned, whether it filled the chunk, and whether more is wanted.
  private func step(_ take: (UnsafeRawBufferPointer) -> Bool) -> (code: Int32, isFull: Bool, goesOn: Bool) {
    // One byte more than allowed tells a stream that is too large from one that fits exactly.
    let room = min(Inflater.chunk, limit - produced + 1)
    return unsafe withUnsafeTemporaryAllocation(byteCount: room, alignment: 1) { buffer in
      unsafe stream.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: Bytef.self)
      unsafe stream.pointee.avail_out = UInt32(room)
      let code = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
      let count = unsafe room - Int(stream.pointee.avail_out)
      produced += count
      let allowed = produced > limit ? count - (produced - limit) : count
      let goesOn = unsafe allowed == 0 || take(UnsafeRawBufferPointer(rebasing: buffer[..<allowed]))
      return (code, count == room, goesOn)
    }
  }

  private static let chunk = 32 * 1024
}
