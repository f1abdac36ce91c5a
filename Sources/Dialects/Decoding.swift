package import JSON
package import Readings

/// What decoding a body needs besides its bytes. Not `Sendable`: one per thread, like its parser.
package struct DecodingContext {
  package let parser: JSONParser
  package let bounds: TimeBounds
  /// Readings that one body may hold.
  package let readingsLimit: Int

  package init(parser: JSONParser, bounds: TimeBounds, readingsLimit: Int) {
    self.parser = parser
    self.bounds = bounds
    self.readingsLimit = readingsLimit
  }
}

/// One item of a body that is not a reading.
package struct ItemError: Error, Equatable, Sendable {
  /// Its place among the body's items, from 0.
  package let index: Int
  package let error: ReadingError

  package init(index: Int, error: ReadingError) {
    self.index = index
    self.error = error
  }
}

/// Why a whole body is refused.
package enum BodyError: Error, Equatable, Sendable {
  case malformed(String)
  /// It has no item.
  case empty
  case tooManyReadings(limit: Int)
}
