import Ingest
import Operations

/// The file of openSenseMap's boxes.
enum Boxes {
  /// Bytes that are read, at most.
  static let limit = 64 << 20

  /// The boxes of the file, which is looked at again every two seconds.
  static func directory(in service: Service) throws(CommandError) -> BoxDirectory {
    let directory = BoxDirectory()
    let path = service.settings.string(.boxesFile)
    guard !path.isEmpty else { return directory }
    let first: [UInt8]
    do {
      first = try SystemFile.read(path, limit: limit)
      try directory.load(first)
    } catch {
      throw .failed("\(Setting.boxesFile.name) (\(path)): \(error)")
    }
    let log = service.log.component("boxes")
    let state = StateLog("boxes file", log: log)
    service.supervisor.start("boxes") { [supervisor = service.supervisor] in
      var good = first
      while !supervisor.waitForStop(timeout: .seconds(2)) {
        do {
          let file = try SystemFile.read(path, limit: limit)
          if file != good {
            let count = try directory.load(file)
            good = file
            log.info("boxes file reread", ["boxes": .int(count)])
          }
          state.ok()
        } catch {
          state.failing("\(path): \(error); the boxes are those of its last good version")
        }
      }
    }
    return directory
  }
}
