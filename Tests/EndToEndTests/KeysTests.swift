import Foundation
import HTTPClient
import Operations
import TestServers
import Testing

/// Keys as their users see them: the command, the API of a process, and what it writes.
@Suite struct KeysTests {
  private let folder = TestServers.temporaryFolder("keys")

  private func sluice(
    _ words: String..., environment more: [String: String] = [:]
  ) throws -> (code: Int32, output: String, error: String) {
    let name = "\(folder)/\(UUID().uuidString)"
    let environment = DevProcess.environment.merging(["SLUICE_KEYS_FILE": "\(folder)/keys.json"]) { $1 }.merging(more) {
      $1
    }
    let command = words.map { "'\($0)'" }.joined(separator: " ")
    let process = try ChildProcess(
      ["/bin/sh", "-c", "exec '\(TestServers.sluice)' \(command) 2>'\(name).err'"], environment: environment,
      output: "\(name).out")
    guard let code = process.wait(timeout: .seconds(60)) else {
      process.kill()
      throw TestServerError("sluice \(words) did not end")
    }
    func text(_ kind: String) -> String {
      ((try? String(contentsOfFile: "\(name).\(kind)", encoding: .utf8)) ?? "").trimmingCharacters(in: .newlines)
    }
    return (code, text("out"), text("err"))
  }

  @Test func createListRotateRevoke() throws {
    let made = try sluice(
      "keys", "create", "--name", "green house", "--device", "a", "--device", "b", "--device-prefix", "gh-",
      "--dialect",
      "sluice", "--rate", "10", "--expires", "90d")
    #expect(made.code == 0 && made.output.hasPrefix("slk_") && made.output.utf8.count == 47, "\(made)")
    #expect(made.error.contains("shown only now") && !made.error.contains("slk_"))
    let list = try sluice("keys", "list").output
    #expect(list.contains("green house") && list.contains("a,b,gh-…") && list.contains("10/s, 100 at once"))
    #expect(list.contains("not yet") && list.contains("valid"))
    let json = try sluice("keys", "list", "--json").output
    let keys = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [[String: Any]])
    let id = try #require(keys.first?["id"] as? String)
    #expect(keys.count == 1 && keys[0]["devices"] as? [String] == ["a", "b"] && keys[0]["state"] as? String == "valid")
    for text in [list, json] { #expect(!text.contains("slk_") && !text.contains("sha256")) }

    let rotated = try sluice("keys", "rotate", "green house", "--grace", "1h")
    #expect(rotated.code == 0 && rotated.output.hasPrefix("slk_") && rotated.output != made.output)
    #expect(try sluice("keys", "revoke", id).code == 0)
    #expect(try sluice("keys", "list").output.contains("revoked"))
  }

  @Test func mistakesAreToldAndChangeNothing() throws {
    for (words, code, reason) in [
      (["create", "--device", "a"], Int32(2), "--name"), (["create", "--name", "n"], 2, "--all-devices"),
      (["create", "--name", "n", "--all-devices", "--device", "a"], 2, "--all-devices"),
      (["create", "--name", "n", "--device", "a b"], 1, "a b"),
      (["create", "--name", "n", "--device-prefix", ""], 2, "--all-devices"),
      (["create", "--name", "n", "--all-devices", "--dialect", "x"], 2, "--dialect"),
      (["create", "--name", "n", "--all-devices", "--grace", "1h"], 2, "--grace is not used by"),
      (["rotate", "n", "--expires", "90d"], 2, "--expires"), (["revoke", "n", "--device", "a"], 2, "--device"),
      (["list", "--name", "n"], 2, "--name"),
      (["create", "--name", "n", "--all-devices", "--expires", "soon"], 2, "--expires"),
      (["create", "--name", "n", "--all-devices", "--burst", "5"], 1, "burst"),
      (["revoke", "nobody"], 1, "nobody"), (["rotate"], 2, "rotate"), ([], 2, "keys create"),
      (["list"], 1, "keys.json"),
    ] as [([String], Int32, String)] {
      let words = ["keys"] + words
      let command = words.map { "'\($0)'" }.joined(separator: " ")
      let file = "\(folder)/out"
      let process = try ChildProcess(
        ["/bin/sh", "-c", "exec '\(TestServers.sluice)' \(command)"],
        environment: DevProcess.environment.merging(["SLUICE_KEYS_FILE": "\(folder)/keys.json"]) { $1 }, output: file)
      #expect(process.wait(timeout: .seconds(60)) == code, "\(words)")
      let text = try String(contentsOfFile: file, encoding: .utf8)
      #expect(text.contains(reason) && !text.contains("slk_"), "\(words): \(text)")
    }
    #expect(!FileManager.default.fileExists(atPath: "\(folder)/keys.json"))
    #expect(try sluice("keys", "list", environment: ["SLUICE_KEYS_FILE": ""]).error.contains("SLUICE_KEYS_FILE"))
  }

  /// Nobody has seen the secret then, and nothing else is written in its place.
  @Test(arguments: [">/dev/full", ">&-", ">&- 2>&-", "<&- >&- 2>&-"])
  func aSecretThatCannotBeShownIsAFailure(redirection: String) throws {
    let file = "\(folder)/\(UUID().uuidString)"
    let process = try ChildProcess(
      ["/bin/sh", "-c", "exec '\(TestServers.sluice)' keys create --name n --all-devices \(redirection)"],
      environment: DevProcess.environment.merging(["SLUICE_KEYS_FILE": "\(file).json"]) { $1 }, output: file)
    #expect(process.wait(timeout: .seconds(60)) == 1)
    if !redirection.contains("2>") {
      let text = try String(contentsOfFile: file, encoding: .utf8)
      #expect(text.contains("standard output cannot be written"), "\(text)")
    }
    #expect(try String(contentsOfFile: "\(file).json", encoding: .utf8).hasSuffix("}\n"))
  }

  @Test(
    arguments: [
      (["SLUICE_HTTP_LISTEN": "0.0.0.0:0"], "SLUICE_KEYS_FILE"),
      (["SLUICE_AUTH": "off", "SLUICE_HTTP_LISTEN": "0.0.0.0:0"], "off-anywhere"),
      (["SLUICE_AUTH": "off", "SLUICE_HTTP_LISTEN": "[::]:0"], "off-anywhere"),
      (["SLUICE_KEYS_FILE": "/nowhere/keys.json"], "/nowhere/keys.json"),
      (["SLUICE_AUTH": "keys"], "SLUICE_KEYS_FILE"),
    ] as [([String: String], String)])
  func whatWouldLetEverybodyInIsRefusedAtTheStart(settings: [String: String], reason: String) throws {
    let result = try sluice("ingest", environment: ["SLUICE_KEYS_FILE": ""].merging(settings) { $1 })
    #expect(result.code != 0 && result.error.contains(reason), "\(result)")
  }

  /// Devices that show a certificate instead of a key.
  @Test(.enabled(if: KafkaServer.isAvailable && MongoServer.isAvailable, "needs Kafka and MongoDB"))
  func aCertificateStandsForItsKey() throws {
    let (server, authority, stranger) = (try TLSFixture(), try TLSFixture(), try TLSFixture())
    for name in ["known", "revoked", "unknown"] {
      let made = try TestServers.run([
        "/bin/sh", "-c",
        """
        cd \(folder) && openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=\(name) \
        -keyout \(name).key -out \(name).request && openssl x509 -req -days 2 -in \(name).request \
        -CA \(authority.certificate) -CAkey \(authority.key) -CAcreateserial -out \(name).pem
        """,
      ])
      #expect(made.code == 0, "\(made.output)")
    }
    // As openssl writes it, with colons.
    func fingerprint(_ file: String) throws -> String {
      let output = try TestServers.run(["openssl", "x509", "-in", file, "-noout", "-fingerprint", "-sha256"]).output
      return String(output.split(separator: "=").last ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
    }
    for (name, device) in [("known", "mine"), ("revoked", "mine")] {
      let made = try sluice(
        "keys", "create", "--name", name, "--device", device, "--certificate", fingerprint("\(folder)/\(name).pem"))
      #expect(made.code == 0, "\(made.error)")
    }
    // Known by its fingerprint, but nobody vouches for it.
    let foreign = try sluice(
      "keys", "create", "--name", "stranger", "--device", "mine", "--certificate", fingerprint(stranger.certificate))
    #expect(foreign.code == 0)
    #expect(try sluice("keys", "revoke", "revoked").code == 0)
    let roles = try Roles(
      kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri,
      settings: [
        "SLUICE_AUTH": "keys", "SLUICE_KEYS_FILE": "\(folder)/keys.json", "SLUICE_TLS_CERTIFICATE": server.certificate,
        "SLUICE_TLS_KEY": server.key, "SLUICE_TLS_CLIENT_CA": authority.certificate,
        "SLUICE_HTTP_CORS_ORIGINS": "https://known.example",
      ])
    let port = TestServers.freePort()
    try roles.start("ingest", ["--http-listen", "127.0.0.1:\(port)"])
    func status(
      _ certificate: [String], device: String = "mine", secret: String? = nil, origin: String? = nil
    ) throws -> String {
      try TestServers.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "30", "--cacert", server.certificate]
          + certificate + (secret.map { ["-H", "Authorization: Bearer \($0)"] } ?? [])
          + (origin.map { ["-H", "Origin: \($0)"] } ?? [])
          + [
            "-H", "Content-Type: application/json", "-d", #"{"device":"\#(device)","sensor":"s","value":1}"#,
            "https://127.0.0.1:\(port)/v1/readings",
          ]
      ).output
    }
    func own(_ name: String) -> [String] { ["--cert", "\(folder)/\(name).pem", "--key", "\(folder)/\(name).key"] }
    #expect(try status(own("known")) == "202" && status(own("known"), device: "other") == "403")
    #expect(try status(own("revoked")) == "401" && status(own("unknown")) == "401" && status([]) == "401")
    #expect(try status(["--cert", stranger.certificate, "--key", stranger.key]) == "401")
    // A key goes before the certificate, also one that is good for nothing.
    #expect(try status(own("unknown"), secret: foreign.output) == "202")
    #expect(try status(own("known"), secret: "slk_x") == "401")
    // A browser shows it for any page.
    #expect(try status(own("known"), origin: "https://known.example") == "202")
    #expect(try status(own("known"), origin: "https://evil.example") == "403")
    #expect(try status(own("known"), secret: foreign.output, origin: "https://evil.example") == "202")
    // The keys file is followed here too.
    _ = try sluice(
      "keys", "create", "--name", "new", "--all-devices", "--certificate", fingerprint("\(folder)/unknown.pem"))
    try eventually("the new key is known") { try status(own("unknown")) == "202" }
    _ = try sluice("keys", "revoke", "known")
    try eventually("the old key is not") { try status(own("known")) == "401" }
  }

  @Test(.enabled(if: KafkaServer.isAvailable && MongoServer.isAvailable, "needs Kafka and MongoDB"))
  func aProcessFollowsItsKeysAndNeverTellsThem() throws {
    let first = try sluice("keys", "create", "--name", "first", "--device", "mine").output
    let roles = try Roles(
      kafka: KafkaServer.shared().bootstrapServers, mongo: MongoServer.shared().uri,
      settings: ["SLUICE_AUTH": "keys", "SLUICE_KEYS_FILE": "\(folder)/keys.json", "SLUICE_LOG_LEVEL": "debug"])
    let port = TestServers.freePort()
    let started = try roles.start("ingest", ["--http-listen", "127.0.0.1:\(port)"])
    let client = try HTTPClient()
    func status(_ key: String?, device: String = "mine") throws -> Int {
      try client.send(
        "POST", "http://127.0.0.1:\(port)/v1/readings",
        headers: [("Content-Type", "application/json")] + (key.map { [("Authorization", "Bearer \($0)")] } ?? []),
        body: Array(#"{"device":"\#(device)","sensor":"s","value":1}"#.utf8), timeout: .seconds(30)
      ).status
    }
    #expect(try status(first) == 202 && status(nil) == 401 && status("slk_x") == 401)
    #expect(try status(first, device: "other") == 403)
    // Another key, then none of the first, without a request that fails for it.
    let second = try sluice("keys", "create", "--name", "second", "--all-devices").output
    try eventually("the new key is known") { try status(second) == 202 && status(first) == 202 }
    _ = try sluice("keys", "revoke", "first")
    try eventually("the old key is not") { try status(first) == 401 && status(second, device: "other") == 202 }
    // A broken file changes nothing.
    let good = try String(contentsOfFile: "\(folder)/keys.json", encoding: .utf8)
    try "{".write(toFile: "\(folder)/keys.json", atomically: true, encoding: .utf8)
    try eventually("told") { roles.log("ingest-0").contains("keys file is failing") }
    #expect(try status(second) == 202)
    try good.write(toFile: "\(folder)/keys.json", atomically: true, encoding: .utf8)
    started.process.signal(SIGTERM)
    #expect(started.process.wait(timeout: .seconds(30)) == 0)
    let log = roles.log("ingest-0")
    #expect(!log.contains("slk_") && !log.contains(first.dropFirst(4)))
    #expect(try sluice("keys", "list").output.split(separator: "\n").allSatisfy { !$0.contains("not yet") })
  }
}
