import Foundation
import TestServers
import Testing

@testable import MQTT

@Suite(.enabled(if: MosquittoServer.isAvailable)) struct TLSTests {
  /// A certificate authority and a certificate for 127.0.0.1 signed by it.
  private static let folder: Result<String, any Error> = Result {
    let folder = TestServers.temporaryFolder("tls")
    func certificate(_ name: String, _ subject: String, _ extensions: String) -> String {
      """
      openssl req -newkey rsa:2048 -nodes -keyout \(name).key -out \(name).csr -subj /CN=\(subject) 2>&1
      printf '%b' '\(extensions)' > \(name).ext
      openssl x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile \(name).ext -out \(name).pem 2>&1
      """
    }
    try shell(
      """
      cd \(folder)
      for ca in ca other; do
      openssl req -x509 -newkey rsa:2048 -nodes -keyout $ca.key -out $ca.pem -days 2 -subj /CN=$ca 2>&1
      done
      \(certificate("server", "broker", "subjectAltName=IP:127.0.0.1"))
      \(certificate("named", "broker", "subjectAltName=DNS:broker.example"))
      \(certificate("client", "bridge", "keyUsage=digitalSignature"))
      """)
    return folder
  }

  private func server(_ certificate: String = "server", _ extra: String = "") throws -> (MosquittoServer, String) {
    let folder = try Self.folder.get()
    let server = try MosquittoServer(
      """
      allow_anonymous true
      max_inflight_messages 0
      cafile \(folder)/ca.pem
      certfile \(folder)/\(certificate).pem
      keyfile \(folder)/\(certificate).key
      \(extra)
      """)
    return (server, folder)
  }

  private func configuration(_ server: MosquittoServer, _ query: String) throws -> MQTTConfiguration {
    MQTTConfiguration(
      address: try MQTTAddress(parsing: "mqtts://127.0.0.1:\(server.port)\(query)"), clientID: "bridge")
  }

  @Test func messagesAreWithheldAndComeAgain() throws {
    let (server, folder) = try server()
    let subscriber = try MQTTSubscriber(configuration(server, "?cafile=\(folder)/ca.pem"))
    #expect(try subscriber.connect(timeout: .seconds(10)) == false)
    try subscriber.subscribe([("#", qos: 1)], timeout: .seconds(10))
    var publishing = try configuration(server, "?cafile=\(folder)/ca.pem")
    publishing.clientID = "publisher"
    let publisher = try MQTTPublisher(publishing)
    try publisher.connect(timeout: .seconds(10))
    let large = String(repeating: "0123456789", count: 10_000)
    var acknowledged: [Int] = []
    for number in 1...1_000 {
      _ = try publisher.publish("\(number)" + (number % 100 == 0 ? large : ""), to: "t/\(number)")
    }
    try eventually("all published") {
      try publisher.step(timeout: .milliseconds(100), acknowledged: &acknowledged)
      return acknowledged.count == 1_000
    }
    let expected = (1...1_000).map { "t/\($0)" }
    #expect(try subscriber.receive(1_000, limit: 100).map(\.topic) == expected)
    subscriber.drop()
    #expect(try subscriber.connect(timeout: .seconds(10)))
    // Here messages may come before the answer to SUBSCRIBE.
    try subscriber.subscribe([("#", qos: 1)], timeout: .seconds(10))
    let again = try subscriber.receive(1_000, limit: 100)
    #expect(again.map(\.topic) == expected)
    #expect(again[99].text == "100" + large)
    try subscriber.acknowledge()
    subscriber.disconnect()
    #expect(try subscriber.connect(timeout: .seconds(10)))
    _ = try publisher.publish("last", to: "t/last")
    try publisher.step(timeout: .seconds(10), acknowledged: &acknowledged)
    #expect(try subscriber.receive(1).map(\.text) == ["last"])
  }

  @Test func clientCertificates() throws {
    let (server, folder) = try server("server", "require_certificate true\nuse_identity_as_username true")
    let files = "certfile=\(folder)/client.pem&keyfile=\(folder)/client.key"
    let subscriber = try MQTTSubscriber(configuration(server, "?cafile=\(folder)/ca.pem&\(files)"))
    #expect(try subscriber.connect(timeout: .seconds(10)) == false)
    let without = try MQTTSubscriber(configuration(server, "?cafile=\(folder)/ca.pem"))
    #expect(failure { _ = try without.connect(timeout: .seconds(10)) } != nil)
  }

  @Test func certificatesAreVerified() throws {
    let (server, folder) = try server()
    for query in ["?cafile=\(folder)/other.pem", ""] {
      let error = failure { _ = try MQTTSubscriber(configuration(server, query)).connect(timeout: .seconds(10)) }
      #expect(error?.kind == .tls)
      #expect(error.map { "\($0)".contains("certificate verify failed") } == true, "\(String(describing: error))")
    }
    let (named, _) = try self.server("named")
    let error = failure {
      _ = try MQTTSubscriber(configuration(named, "?cafile=\(folder)/ca.pem")).connect(timeout: .seconds(10))
    }
    #expect(error?.kind == .tls, "a certificate for another name")
    let missing = failure {
      _ = try MQTTSubscriber(configuration(server, "?cafile=\(folder)/none.pem")).connect(timeout: .seconds(10))
    }
    #expect(missing?.kind == .usage)
  }

  @Test func plainAndEncryptedDoNotMix() throws {
    let (encrypted, folder) = try server()
    let plain = try MosquittoServer()
    let toEncrypted = failure {
      _ = try MQTTSubscriber(encrypted.configuration("bridge")).connect(timeout: .seconds(10))
    }
    #expect(toEncrypted?.isRetriable == true)
    #expect(toEncrypted?.kind != .timedOut, "noticed, not waited for")
    let toPlain = failure {
      _ = try MQTTSubscriber(configuration(plain, "?cafile=\(folder)/ca.pem")).connect(timeout: .seconds(10))
    }
    #expect(toPlain != nil)
    #expect(toPlain?.kind != .timedOut, "noticed, not waited for")
  }
}
