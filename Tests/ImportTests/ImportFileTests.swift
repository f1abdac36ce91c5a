import Compression
import Foundation
import Import
import TestServers
import Testing

/// Files as they are read, and what is kept of them.
struct ImportFileTests {
  private let folder = TestServers.temporaryFolder("import")

  private func write(_ bytes: [UInt8]) throws -> String {
    let path = "\(folder)/\(UUID().uuidString)"
    try Data(bytes).write(to: URL(filePath: path))
    return path
  }

  private func read(_ file: ImportFile) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      try file.fill(1)
      let piece = file.withBytes { Array($0) }
      if piece.isEmpty { return bytes }
      bytes += piece
      file.drop(piece.count)
    }
  }

  @Test func readsPlainAndCompressedFilesAlike() throws {
    let text = Array((0..<40_000).map { "line \($0)\n" }.joined().utf8)
    let mark: [UInt8] = [0xef, 0xbb, 0xbf]
    let half = text.count / 2
    for bytes in [
      text, mark + text, try gzip(text), try gzip(mark + text),
      try gzip(Array(text[..<half])) + gzip(Array(text[half...])),
    ] {
      let file = try ImportFile(write(bytes)) { false }
      #expect(try read(file) == text)
      #expect(file.consumed == bytes.count && file.size == bytes.count && file.isAtEnd)
      #expect(file.mayGrow == !bytes.starts(with: [0x1f, 0x8b]))
      let again = try ImportFile(write(bytes)) { false }
      let isMarked = again.offset == 3
      try again.skip(to: file.offset - 10)
      #expect(try read(again) == Array(text.suffix(10)))
      #expect(isMarked == (file.offset == text.count + 3))
      #expect(throws: ImportFile.Failure.self) { try again.skip(to: file.offset + 1) }
    }
    for empty in [[], try gzip([])] { #expect(try read(try ImportFile(write(empty)) { false }).isEmpty) }
  }

  /// Nor does anything else end its wait for somebody who writes to it.
  @Test(.timeLimit(.minutes(1))) func aStopEndsTheWaitForAWriter() throws {
    let path = "\(folder)/fifo"
    #expect(mkfifo(path, 0o600) == 0)
    // Closed before there is a writer, who would write to it.
    do {
      let file = try ImportFile(path) { true }
      #expect(try read(file).isEmpty && !file.isAtEnd)
    }
    Thread {
      let stream = fopen(path, "w")
      fputs("text", stream)
      fclose(stream)
    }.start()
    let other = try ImportFile(path) { false }
    #expect(try read(other) == Array("text".utf8) && other.isAtEnd)
  }

  @Test func damagedFilesAreSaidToBe() throws {
    let packed = try gzip(Array((0..<40_000).map { "line \($0)\n" }.joined().utf8))
    let cut = try ImportFile(write(Array(packed.dropLast(100)))) { false }
    #expect(throws: ImportFile.Failure.self) { try read(cut) }
    var broken = packed
    broken[packed.count / 2] ^= 0xff
    broken[packed.count / 2 + 1] ^= 0xff
    let file = try ImportFile(write(broken)) { false }
    #expect(throws: ImportFile.Failure.self) { try read(file) }
    #expect(throws: ImportFile.Failure.self) { try ImportFile("\(folder)/none") { false } }
    #expect(throws: ImportFile.Failure.self) { try ImportFile(folder) { false } }
  }

  @Test func theStateIsReadAsItWasWritten() throws {
    var state = ImportState()
    var entry = ImportState.Entry(identity: Array("device,value\n".utf8).withUnsafeBytes { FileIdentity(of: $0) })
    (entry.offset, entry.line, entry.accepted, entry.rejected) = (1 << 40, 12, 10, 2)
    state.entries["/a file/with spaces.csv"] = entry
    entry.offset = 0
    state.entries["-"] = entry
    #expect(try ImportState(state.text) == state)
    #expect(try ImportState(ImportState().text) == ImportState())
    for text in [
      "", "x\n", "sluice import 2\n", "sluice import 1\n1 2 3\n", "sluice import 1\n-1 2 3 4 5 6 7 x\n",
      "sluice import 1\n1 9223372036854775807 3 4 5 6 7 x\n",
    ] {
      #expect(throws: ImportState.Malformed.self) { try ImportState(text) }
    }
  }

  @Test func aFileThatHasGrownIsTheSame() {
    let short = Array("device,value\n".utf8)
    let identity = short.withUnsafeBytes { FileIdentity(of: $0) }
    #expect((short + [65]).withUnsafeBytes { identity.matches($0) })
    #expect(!short.dropLast().withUnsafeBytes { identity.matches($0) })
    #expect(!([65] + short).withUnsafeBytes { identity.matches($0) })
  }

  @Test func showsWhatItKnows() {
    var progress = ImportProgress()
    progress.file = "a.csv"
    progress.bytes = 1_500_000
    progress.rate = 1_234.5
    progress.accepted = 10
    #expect(progress.text(width: 10) == "a.csv 1.5 MB, 1234 readings/s, accepted 10, rejected 0")
    progress.size = 3_000_000
    #expect(
      progress.text(width: 10)
        == "a.csv [#####.....] 50% 1.5 MB of 3.0 MB, 1234 readings/s, accepted 10, rejected 0")
    progress.byteRate = 20_000
    #expect(
      progress.text(width: 0).hasSuffix(
        "a.csv 50% 1.5 MB of 3.0 MB, 1234 readings/s, accepted 10, rejected 0, 1:15 left"))
    progress.byteRate = 200
    #expect(progress.text(width: 0).hasSuffix("2:05:00 left"))
    progress.bytes = 4_000_000
    #expect(progress.text(width: 4).contains("[####] 100% 4.0 MB of 3.0 MB"))
  }
}
