import Crypto
import Foundation
import HTTP
import Ingest
import Kafka
import Keys
import Operations
import Readings
import Synchronization
import Testing

/// The API with keys, and no sockets. Each key is named for what it may do.
private final class KeyedRoutes {
  static let names = ["everything", "one", "prefix", "senml", "slow", "expired", "revoked"]
  let routes: Routes
  let ring = KeyRing()
  let authenticator: Authenticator
  private(set) var secrets: [String: String] = [:]
  private(set) var file = KeyFile()
  let clock = TestNanoseconds()

  init(_ publisher: FakePublisher = FakePublisher(reportsAtOnce: true), addressPolicy: RatePolicy? = nil) throws {
    for name in Self.names {
      secrets[name] = try file.create(name: name, at: 0) { key in
        key.prefixes = [""]
        switch name {
        case "one": (key.prefixes, key.devices) = ([], ["mine"])
        case "prefix": key.prefixes = ["gh-"]
        case "senml": key.dialects = ["senml"]
        case "slow": (key.rate, key.burst) = (1, 10)
        case "expired": key.expires = Routes.now
        case "revoked": key.revoked = 1
        default: break
        }
      }.secret
    }
    ring.replace(with: file.keys)
    let metrics = Metrics()
    authenticator = Authenticator(
      ring: ring, origins: ["https://known.example"], addressPolicy: addressPolicy, metrics: metrics,
      now: { Routes.now }, clock: { [clock] in clock.now })
    routes = Routes(publisher, waiting: 1_000, metrics: metrics, authenticator: authenticator)
  }

  func bearer(_ name: String) -> (String, String) { ("Authorization", "Bearer \(secrets[name] ?? name)") }

  func send(_ body: String, as name: String) -> Request { routes.send(body, [bearer(name)]) }
}

/// A clock that the test sets.
private final class TestNanoseconds: Sendable {
  private let time = Mutex<Int64>(1)

  var now: Int64 { time.withLock { $0 } }

  func advance(seconds: Int64) { time.withLock { $0 += seconds * 1_000_000_000 } }
}

@Suite struct AuthTests {
  /// Whatever the dialect, a key holds for its dialects and devices, and a refusal is in the client's words.
  @Test func keysHoldForEveryDialect() throws {
    let keyed = try KeyedRoutes()
    let line = "m,host=mine v=1"
    let box = "/boxes/5386e5fca0a2a8a0163c8ea1/data"
    let json = ("Content-Type", "application/json")
    let nobody = keyed.routes.post("/write", line)
    #expect(nobody.status == 401 && nobody.text.hasPrefix(#"{"error":"a valid key is needed"#))
    let boxed = keyed.routes.post(box, "{}", [json])
    #expect(boxed.status == 401 && boxed.text.hasPrefix(#"{"code":"Unauthorized","message":"#))
    let wrong = keyed.routes.post("/api/v2/write", line, [keyed.bearer("senml")])
    #expect(
      wrong.status == 403 && wrong.text == #"{"code":"forbidden","message":"this key may not be used for influxdb"}"#)
    let other = keyed.routes.post("/api/v2/write", "m,host=other v=1", [keyed.bearer("one")])
    #expect(other.status == 403 && other.text.contains("this key may not write these devices"))
    let foreign = keyed.routes.post(box, #"{"5386e5fca0a2a8a0163c8ea2":1}"#, [json, keyed.bearer("one")])
    #expect(
      foreign.status == 403 && foreign.text == #"{"code":"Forbidden","message":"this key may not write this box"}"#)
    #expect(keyed.routes.publisher.published.isEmpty)
    let both = keyed.routes.post("/write", "m,host=other a=1,b=2\n\(line)\nm,host=other v=1", [keyed.bearer("one")])
    #expect(
      both.status == 400 && both.text.contains("partial write: line 1: device") && both.text.contains("dropped=2"))
    #expect(keyed.routes.publisher.published.count == 1)
    let query = [("u", "any"), ("p", keyed.secrets["one"] ?? "")]
    #expect(keyed.routes.post("/write", line, [], query).status == 204)
    #expect(
      keyed.routes.post("/api/v2/write", line, [("Authorization", "Token \(keyed.secrets["one"] ?? "")")]).status == 204
    )
    // Telegraf's output for version 1 drops what is answered with 429.
    let lines = (0..<8).map { "m,host=h v=\($0)" }.joined(separator: "\n")
    for (path, status) in [("/write", 503), ("/api/v2/write", 429)] {
      _ = keyed.routes.post(path, lines, [keyed.bearer("slow")])
      let late = keyed.routes.post(path, lines, [keyed.bearer("slow")])
      #expect(late.status == status && late.header("Retry-After") != nil, "\(late.text)")
    }
  }

  private static func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

  @Test func everyPlaceOfAKey() throws {
    let keyed = try KeyedRoutes()
    let key = try #require(keyed.secrets["everything"])
    for header in [
      ("Authorization", "Bearer \(key)"), ("authorization", "bearer  \(key)"), ("Authorization", key),
      ("Authorization", "Token \(key)"), ("Authorization", "Token user:\(key)"),
      ("Authorization", "Basic \(Self.base64("anybody:\(key)"))"), ("Authorization", "BASIC \(Self.base64(":\(key)"))"),
      ("X-API-Key", key), ("x-api-key", key),
    ] {
      let request = keyed.routes.send(reading(), [header])
      #expect(request.status == 202, "\(header.0): \(header.1.prefix(8))")
    }
  }

  @Test func placesThatADialectNames() throws {
    let keyed = try KeyedRoutes()
    let key = try #require(keyed.secrets["everything"])
    func isLetIn(_ headers: [(String, String)], _ query: [(String, String)], _ places: CredentialPlaces) -> Bool {
      let head = RequestHead(method: .get, path: "/", headers: headers, query: query)
      if case .success(let grant) = keyed.authenticator.authenticate(head, dialect: "x", places: places) {
        return grant.key?.key.name == "everything"
      }
      return false
    }
    #expect(isLetIn([], [("u", "any"), ("p", key)], .influxQuery) && isLetIn([], [("p", key)], .influxQuery))
    #expect(isLetIn([], [("key", key)], .webSocket))
    #expect(isLetIn([("Sec-WebSocket-Protocol", "sluice, \(key)")], [], .webSocket))
    #expect(isLetIn([("Sec-WebSocket-Protocol", "\(key),sluice")], [], .webSocket))
    #expect(isLetIn([("Sec-WebSocket-Protocol", "sluice")], [("key", key)], .webSocket))
    // Nowhere else: what stands in a path or a query ends up in logs.
    #expect(!isLetIn([], [("p", key)], []) && !isLetIn([], [("p", key)], .webSocket))
    #expect(!isLetIn([], [("key", key)], .influxQuery) && !isLetIn([("Sec-WebSocket-Protocol", key)], [], []))
    #expect(!isLetIn([], [("u", key)], .influxQuery))
  }

  @Test func allThatIsWrongHasOneAnswer() throws {
    let keyed = try KeyedRoutes()
    let key = try #require(keyed.secrets["everything"])
    let other = Secret.make()
    var texts: Set<String> = []
    for headers in [
      [], [("Authorization", "")], [("Authorization", "Bearer")], [("Authorization", "Bearer \(other)")],
      [("Authorization", "Bearer \(key)x")], [("Authorization", "Bearer \(key.dropLast())")],
      [("Authorization", "Bearer \(key.uppercased())")], [("Authorization", "Digest \(key)")],
      [("Authorization", "Basic \(Self.base64(key + ":"))")], [("Authorization", "Basic !\(key)")],
      [("Authorization", "Basic " + String(repeating: "A", count: 100_000))], [("X-API-Key", other)],
      [("Authorization", "Bearer \(other)"), ("X-API-Key", key)], [keyed.bearer("expired")], [keyed.bearer("revoked")],
    ] as [[(String, String)]] {
      let request = keyed.routes.send(reading(), headers)
      #expect(request.status == 401 && request.errorCode == "unauthorized", "\(headers)")
      #expect(request.header("WWW-Authenticate")?.hasPrefix("Bearer realm=") == true)
      #expect(!request.text.contains(other) && !request.text.contains(key))
      texts.insert(request.text)
    }
    #expect(texts.count == 1)
    #expect(keyed.routes.publisher.published.isEmpty)
    #expect(keyed.routes.metric(#"sluice_auth_refused_total{reason="expired"}"#) == 1)
    #expect(keyed.routes.metric(#"sluice_auth_refused_total{reason="revoked"}"#) == 1)
    #expect(keyed.routes.metric(#"sluice_auth_refused_total{reason="missing"}"#) == 1)
  }

  @Test func aKeyForAnotherDialectIsForbidden() throws {
    let keyed = try KeyedRoutes()
    let request = keyed.send(reading(), as: "senml")
    #expect(request.status == 403 && request.errorCode == "forbidden" && request.text.contains("sluice"))
  }

  @Test func devicesOfOthersAreRefusedOneByOne() throws {
    let keyed = try KeyedRoutes()
    #expect(keyed.send(reading("mine"), as: "one").status == 202)
    let single = keyed.send(reading("other"), as: "one")
    #expect(single.status == 403 && single.errorCode == "forbidden")
    #expect(
      single.text.contains(#""errors":[{"index":0,"field":"device","reason":"this key may not write this device"}]"#))
    let all = keyed.send("[\(reading("x")),\(reading("y"))]", as: "one")
    #expect(all.status == 403 && all.text.contains(#""rejected":2"#))
    // Indices are those of the body, with what is no reading among them.
    let mixed = keyed.send(
      "[\(reading("x")),{},\(reading("gh-1")),\(reading("gh")),\(reading("gh-2")),7]", as: "prefix")
    #expect(mixed.status == 207)
    #expect(mixed.text.hasPrefix(#"{"accepted":2,"rejected":4,"errors":[{"index":0,"field":"device""#), "\(mixed.text)")
    for index in [1, 3, 5] { #expect(mixed.text.contains(#"{"index":\#(index),"#)) }
    for index in [2, 4] { #expect(!mixed.text.contains(#"{"index":\#(index),"#)) }
    #expect(
      keyed.routes.publisher.published.map { $0.prefix(17) } == [
        #"{"device":"mine","#, #"{"device":"gh-1","#, #"{"device":"gh-2","#,
      ])
    #expect(keyed.routes.metric(#"sluice_auth_refused_total{reason="device"}"#) == 5)
  }

  @Test func undeliveredReadingsKeepTheirPlaceBehindForbiddenOnes() throws {
    let keyed = try KeyedRoutes(FakePublisher())
    let request = keyed.send("[\(reading("x")),\(reading("gh-1")),\(reading("y")),\(reading("gh-2"))]", as: "prefix")
    keyed.routes.publisher.report { $0 == 1 ? .timedOut($0) : nil }
    #expect(request.status == 207 && request.text.hasPrefix(#"{"accepted":1,"rejected":3,"#))
    #expect(request.text.contains(#"{"index":3,"field":"","reason":"Kafka did not"#), "\(request.text)")
  }

  @Test func aRateIsKeptTo() throws {
    let keyed = try KeyedRoutes()
    let batch = "[\((0..<7).map { reading("d\($0)") }.joined(separator: ","))]"
    #expect(keyed.send(batch, as: "slow").status == 202)
    let refused = keyed.send(batch, as: "slow")
    #expect(refused.status == 429 && refused.errorCode == "rate_limited")
    #expect(refused.header("Retry-After") == "4")
    #expect(refused.header("RateLimit-Policy") == #""key";q=10;qu="readings";w=10"#)
    #expect(refused.header("RateLimit") == #""key";r=3;t=4"#)
    // Of what is refused nothing is taken, neither from the rate nor anywhere else.
    #expect(keyed.send("[\(reading()),\(reading()),{}]", as: "slow").status == 207)
    #expect(keyed.routes.publisher.published.count == 9)
    // Now there is none left, and the body is not even read.
    #expect(keyed.routes.begin(headers: [keyed.bearer("slow")], length: 100_000).status == 429)
    // Or, of a small one, not looked at, and the answer comes a moment later.
    let small = keyed.routes.begin(headers: [keyed.bearer("slow")], length: 1_000)
    #expect(small.status == nil && keyed.routes.bytesHeld == 0)
    small.finish()
    #expect(small.status == 429)
    keyed.clock.advance(seconds: 4)
    #expect(keyed.send(reading(), as: "slow").status == 202)
    // More than there will ever be at once is told apart from coming too early.
    keyed.clock.advance(seconds: 60)
    let large = keyed.send("[\((0..<11).map { reading("d\($0)") }.joined(separator: ","))]", as: "slow")
    #expect(large.status == 413 && large.header("Retry-After") == nil && large.text.contains("at most 10"))
    // A key of its own is not concerned.
    #expect(keyed.send(batch, as: "everything").status == 202)
  }

  @Test func whatKafkaDoesNotTakeCostsNothing() throws {
    let keyed = try KeyedRoutes()
    let batch = "[\((0..<10).map { reading("d\($0)") }.joined(separator: ","))]"
    for _ in 0..<3 {
      let request = keyed.routes.begin(headers: [keyed.bearer("slow")], length: batch.utf8.count)
      request.send(Array(batch.utf8))
      keyed.routes.publisher.unavailability = "gone"
      request.finish()
      #expect(request.status == 503)
      keyed.routes.publisher.unavailability = nil
    }
    #expect(keyed.send(batch, as: "slow").status == 202)
  }

  @Test func anAddressHasARateToo() throws {
    let keyed = try KeyedRoutes(addressPolicy: RatePolicy(rate: 1, burst: 5))
    let body = "[\(reading()),\(reading()),\(reading()),\(reading())]"
    func send(_ peer: String, as name: String) -> Request {
      let head = RequestHead(
        method: .post, path: "/v1/readings", headers: [keyed.bearer(name)], contentLength: Int64(body.utf8.count),
        peer: peer)
      let request = Request(keyed.routes.service.begin(head))
      request.send(Array(body.utf8))
      request.finish()
      return request
    }
    #expect(send("192.0.2.1", as: "everything").status == 202)
    let refused = send("192.0.2.1", as: "slow")
    #expect(refused.status == 429 && refused.header("RateLimit") == #""address";r=1;t=3"#)
    #expect(send("192.0.2.2", as: "slow").status == 202)
    // Refused by the key, so given back to the address.
    #expect(send("192.0.2.3", as: "slow").status == 202)
    #expect(send("192.0.2.4", as: "slow").status == 429 && send("192.0.2.4", as: "everything").status == 202)
    // All addresses of one IPv6 network are one.
    #expect(send("2001:db8::1", as: "everything").status == 202 && send("2001:db8::2", as: "everything").status == 429)
    #expect(send("2001:db8:0:1::1", as: "everything").status == 202)
  }

  // MARK: Browsers

  /// What an attacker's page can have a browser send with what its user has entered once, and without asking first.
  @Test func whatABrowserAddsByItselfIsNotForForeignPages() throws {
    let keyed = try KeyedRoutes()
    let key = try #require(keyed.secrets["everything"])
    let basic = ("Authorization", "basic \(Self.base64("anybody:\(key)"))")
    let origins = ["https://evil.example", "null", "", "http://known.example", "https://sluice.example.evil", nil]
    for origin in origins + ["https://known.example", "https://sluice.example"] {
      let isForeign = origin.map { $0 != "https://known.example" && $0 != "https://sluice.example" } ?? false
      let headers = [("Host", "sluice.example")] + (origin.map { [("Origin", $0)] } ?? [])
      let own = keyed.routes.send(reading(), headers + [basic])
      #expect(own.status == (isForeign ? 403 : 202), "\(origin ?? "none"): \(own.text)")
      #expect(own.errorCode == (isForeign ? "foreign_origin" : nil))
      let plain = ("Content-Type", "text/plain")
      let lines = keyed.routes.post("/api/v2/write", "m,host=h v=1", headers + [basic, plain])
      #expect(lines.status == (isForeign ? 403 : 204) && (!isForeign || lines.text.contains("pages of this origin")))
      // A page has to know these.
      for header in [
        ("Authorization", "Bearer \(key)"), ("Authorization", key), ("Authorization", "Token \(key)"),
        ("X-API-Key", key),
      ] {
        #expect(keyed.routes.send(reading(), headers + [header]).status == 202)
      }
      let query = keyed.routes.post("/write", "m,host=h v=1", headers + [plain], [("p", key)])
      #expect(query.status == 204)
    }
    #expect(keyed.routes.metric(#"sluice_auth_refused_total{reason="origin"}"#) == 10)
    // Nothing tells such a page whether the password is right.
    let wrong = ("Authorization", "Basic \(Self.base64("anybody:\(Secret.make())"))")
    #expect(keyed.routes.send(reading(), [wrong, ("Origin", "https://evil.example")]).status == 403)
  }

  @Test func aCertificateIsNotForForeignPagesEither() throws {
    let keyed = try KeyedRoutes()
    let certificate: [UInt8] = [1, 2, 3]
    let key = try #require(keyed.secrets["one"])
    var keys = keyed.file.keys
    keys[0].certificates = [certificate.withUnsafeBytes { Digest(of: $0) }]
    keyed.ring.replace(with: keys)
    func admitted(_ headers: [(String, String)], _ query: [(String, String)] = []) -> String? {
      let head = RequestHead(method: .get, path: "/", headers: headers, query: query, certificate: certificate)
      return try? keyed.authenticator.authenticate(head, dialect: "x", places: .webSocket).get().key?.key.name
    }
    let evil = ("Origin", "https://evil.example")
    #expect(admitted([]) == "everything" && admitted([("Origin", "https://known.example")]) == "everything")
    #expect(admitted([evil]) == nil)
    // What the page knows goes before the certificate.
    #expect(admitted([evil, ("X-API-Key", key)]) == "one" && admitted([evil], [("key", key)]) == "one")
    #expect(admitted([evil, ("Sec-WebSocket-Protocol", "sluice, \(key)")]) == "one")
  }

  // MARK: What lives on

  @Test func aGrantIsRenewedOrNot() throws {
    let keyed = try KeyedRoutes()
    let head = RequestHead(method: .get, path: "/", headers: [keyed.bearer("one")])
    let grant = try keyed.authenticator.authenticate(head, dialect: "sluice").get()
    #expect(throws: Never.self) { try keyed.authenticator.renew(grant, dialect: "sluice").get() }
    keyed.ring.replace(with: [])
    #expect(throws: Refusal.self) { try keyed.authenticator.renew(grant, dialect: "sluice").get() }
  }

  @Test func aSecretThatWasRotatedAwayIsNotRenewed() throws {
    let keyed = try KeyedRoutes()
    func admitted(_ secret: String) throws -> Grant {
      let head = RequestHead(method: .get, path: "/", headers: [("X-API-Key", secret)])
      return try keyed.authenticator.authenticate(head, dialect: "sluice").get()
    }
    func isRenewed(_ grant: Grant) -> Bool {
      if case .success = keyed.authenticator.renew(grant, dialect: "sluice") { true } else { false }
    }
    let old = try admitted(keyed.secrets["one"] ?? "")
    for (grace, age, isGood) in [(0, 0, false), (1_000, 999, true), (1_000, 1_000, false)] as [(Int64, Int64, Bool)] {
      var file = keyed.file
      let new = try file.rotate("one", grace: grace, at: Routes.now - age).secret
      keyed.ring.replace(with: file.keys)
      #expect(isRenewed(old) == isGood, "\(grace), \(age)")
      #expect(try isRenewed(admitted(new)))
    }
    // The renewed grant goes by the same secret.
    var file = keyed.file
    _ = try file.rotate("one", grace: 1_000, at: Routes.now)
    keyed.ring.replace(with: file.keys)
    let renewed = try keyed.authenticator.renew(old, dialect: "sluice").get()
    _ = try file.rotate("one", grace: 0, at: Routes.now)
    keyed.ring.replace(with: file.keys)
    #expect(!isRenewed(renewed))
  }

  @Test func aCertificateThatWasTakenOutOfItsKeyIsNotRenewed() throws {
    let keyed = try KeyedRoutes()
    let certificate: [UInt8] = [1, 2, 3]
    /// With the certificate in that key.
    func use(_ index: Int?) {
      var keys = keyed.file.keys
      if let index { keys[index].certificates = [certificate.withUnsafeBytes { Digest(of: $0) }] }
      keyed.ring.replace(with: keys)
    }
    func isRenewed(_ grant: Grant) -> Bool {
      if case .success = keyed.authenticator.renew(grant, dialect: "sluice") { true } else { false }
    }
    use(0)
    let head = RequestHead(method: .get, path: "/", certificate: certificate)
    let grant = try keyed.authenticator.authenticate(head, dialect: "sluice").get()
    #expect(grant.key?.key.name == "everything" && isRenewed(grant))
    use(nil)
    #expect(!isRenewed(grant))
    // Nor does a connection become another key's.
    use(1)
    #expect(!isRenewed(grant))
    use(0)
    #expect(isRenewed(grant))
  }

  @Test func whoHoldsHisShareDoesNotKeepOthersOut() throws {
    let keyed = try KeyedRoutes(FakePublisher())
    let batch = "[\((0..<100).map { reading("d\($0)") }.joined(separator: ","))]"
    // The greedy one goes on until it is refused; what it has sent stays unacknowledged.
    var greedy: [Request] = []
    repeat { greedy.append(keyed.send(batch, as: "everything")) } while greedy.last?.answer == nil && greedy.count < 100
    #expect(greedy.last?.status == 503 && greedy.count == 6, "half of 1,000, then no more: \(greedy.count)")
    for _ in 0..<20 {
      let calm = keyed.send("[\(reading("mine")),\(reading("mine"))]", as: "one")
      #expect(calm.answer == nil)
      #expect(keyed.send(batch, as: "everything").status == 503)
      for (receiver, index) in keyed.routes.publisher.takeWaiting(device: "mine") {
        receiver.delivered(.init(index: index))
      }
      #expect(calm.status == 202)
    }
    keyed.routes.publisher.report()
    #expect(greedy.dropLast().allSatisfy { $0.status == 202 })
    #expect(keyed.send(batch, as: "everything").answer == nil)
  }

  @Test func withoutKeysEverybodyMay() {
    let routes = Routes()
    #expect(routes.send(reading(), [("Authorization", "Bearer nonsense")]).status == 202)
  }
}
