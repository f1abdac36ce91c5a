import TestServers
import Testing

@Suite struct ServersTests {
  @Test(.enabled(if: KafkaServer.isAvailable)) func kafka() throws {
    let s = try KafkaServer.shared()
    print(s.bootstrapServers)
  }
  @Test(.enabled(if: MongoServer.isAvailable)) func mongo() throws {
    let s = try MongoServer.shared()
    s.kill()
    try s.restart()
    print(s.uri)
  }
  @Test func mq() throws {
    let s = try MosquittoServer()
    s.stop()
    try s.restart()
  }
}
