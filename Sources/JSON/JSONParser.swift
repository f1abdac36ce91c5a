import CSimdJSON

/// Why a text is not JSON, in simdjson's words.
package struct JSONError: Error, Equatable, CustomStringConvertible {
  /// simdjson's error code.
  package let code: Int32

  package var description: String { unsafe String(cString: sluice_json_error_message(code)) }
}

/// Parses JSON (RFC 8259) with simdjson: strict about UTF-8, lone surrogates and numbers beyond a double.
///
/// A parser and its buffers are reused from text to text. It is not `Sendable`: one per thread.
@safe package final class JSONParser {
  /// Readable bytes that must follow every text given to `parse(padded:)`.
  package static let padding = Int(sluice_json_padding())

  private let handle: OpaquePointer
  private var copy: UnsafeMutableRawBufferPointer

  /// - Parameter maximumDepth: of nested arrays and objects; a deeper text is refused.
  package init(maximumDepth: Int = 32) {
    guard let handle = unsafe sluice_json_parser_new(4096, maximumDepth) else {
      preconditionFailure("out of memory for a JSON parser")
    }
    unsafe self.handle = unsafe handle
    unsafe copy = .allocate(byteCount: 4096 + Self.padding, alignment: 64)
  }

  deinit {
    unsafe sluice_json_parser_free(handle)
    unsafe copy.deallocate()
  }

  /// Parses a text that may end where readable memory ends, by copying it first.
  ///
  /// - Parameter body: gets the root, which is valid only inside.
  package func parse<Result, Failure: Error>(
    copying text: UnsafeRawBufferPointer, _ body: (JSONValue) throws(Failure) -> Result
  ) throws(JSONParsing<Failure>) -> Result {
    if unsafe copy.count < text.count + Self.padding {
      unsafe copy.deallocate()
      unsafe copy = .allocate(byteCount: text.count * 2 + Self.padding, alignment: 64)
    }
    unsafe copy.copyMemory(from: text)
    return unsafe try parse(padded: UnsafeRawBufferPointer(rebasing: copy[..<text.count]), body)
  }

  /// Parses a text behind which `padding` bytes more are readable.
  ///
  /// - Parameter body: gets the root, which is valid only inside.
  package func parse<Result, Failure: Error>(
    padded text: UnsafeRawBufferPointer, _ body: (JSONValue) throws(Failure) -> Result
  ) throws(JSONParsing<Failure>) -> Result {
    guard let start = text.baseAddress else { throw .malformed(.empty) }
    let document = unsafe sluice_json_parse(handle, start.assumingMemoryBound(to: UInt8.self), text.count)
    guard unsafe document.error == 0 else { throw .malformed(JSONError(code: unsafe document.error)) }
    do {
      return try body(unsafe JSONValue(tape: document.tape, strings: UnsafeRawPointer(document.strings), index: 1))
    } catch {
      throw .refused(error)
    }
  }
}

extension JSONError {
  /// There is no text at all (simdjson's EMPTY).
  package static let empty = JSONError(code: 12)
}

/// What can end a parse: the text is not JSON, or the reader of its values refused them.
package enum JSONParsing<Failure: Error>: Error {
  case malformed(JSONError)
  case refused(Failure)
}
