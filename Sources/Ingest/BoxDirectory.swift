package import Dialects
import JSON
import Synchronization

/// The boxes of openSenseMap that are known by name, as of the file's last reading.
package final class BoxDirectory: Sendable {
  private let boxes = Mutex(BoxesFile())

  package init() {}

  /// Takes what a file holds now; when that is no file of boxes, what is known stays.
  /// - Returns: how many boxes it has.
  @discardableResult
  package func load(_ file: [UInt8]) throws(BoxesFile.Failure) -> Int {
    let outcome = file.withUnsafeBytes { bytes -> Result<BoxesFile, BoxesFile.Failure> in
      do throws(BoxesFile.Failure) {
        return .success(try BoxesFile(bytes, parser: JSONParser()))
      } catch {
        return .failure(error)
      }
    }
    let new = try outcome.get()
    boxes.withLock { $0 = new }
    return new.boxes.count
  }

  var current: BoxesFile { boxes.withLock { $0 } }
}
