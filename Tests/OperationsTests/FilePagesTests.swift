import Glibc
import Testing

@testable import Operations

@Suite struct FilePagesTests {
  /// Pages of files in memory (proc(5), statm: shared).
  private func mapped() throws -> Int {
    let text = String(decoding: try SystemFile.read("/proc/self/statm", limit: 1_000), as: UTF8.self)
    return try #require(Int(text.split(separator: " ")[2]))
  }

  @Test func givenBackOnceAllIsReady() throws {
    let health = Health()
    let part = health.component("kafka")
    let supervisor = Supervisor(log: Lines().log())
    FilePages.release(onceReady: health, under: supervisor)
    #expect(supervisor.running == ["file-pages"])
    let before = try mapped()
    part.set(.ok)
    while !supervisor.running.isEmpty { usleep(1_000) }
    #expect(try mapped() < before * 3 / 4)
    #expect(supervisor.failure == nil)
  }
}
