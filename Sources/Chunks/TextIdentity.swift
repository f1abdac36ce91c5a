package import Readings

/// What makes ids for the readings of a text, so that those that are sent again are stored once.
package protocol TextIdentity {
  /// Gives each reading of a chunk without an id one.
  ///
  /// - Parameters:
  ///   - line: the number of the chunk's first line in the text, from 0.
  ///   - firstItem: the place in the text of what the chunk's readings call item 0.
  ///   - buffer: memory to write in; its content is overwritten.
  func identify(
    _ batch: ReadingBatch, places: ChunkPlaces, chunk: UnsafeRawBufferPointer, line: Int, firstItem: Int64,
    buffer: inout ByteBuffer)
}
