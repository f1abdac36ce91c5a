import Crypto
import Foundation
import Keys
import Operations
import Synchronization
import TestServers
import Testing

@Suite struct KeyFileTests {
  private static let now: Int64 = 1_795_227_318_070
  private let path = "\(TestServers.temporaryFolder("keys"))/keys.json"

  private func create(_ name: String, _ settings: (inout Key) -> Void = { _ in }) throws -> (key: Key, secret: String) {
    try KeyFile.update(path) { (file) throws(KeyFile.Problem) in
      try file.create(name: name, at: Self.now, settings)
    }
  }

  private func mode(_ path: String) throws -> Int {
    try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
  }

  @Test func keepsWhatAKeyIsAndNeverItsSecret() throws {
    let made = try create("Greenhouse \"3\"") { key in
      key.expires = Self.now + 90 * 86_400_000
      key.devices = ["greenhouse-3", "a/b:c"]
      key.prefixes = ["shed-"]
      key.dialects = ["sluice", "senml"]
      key.rate = 0.5
      key.burst = 20
      key.certificates = [Digest(of: "certificate")]
    }
    let other = try create("other")
    #expect(try KeyFile.read(path).keys == [made.key, other.key])
    #expect(made.secret.hasPrefix("slk_") && made.secret.utf8.count == Secret.count && made.secret != other.secret)
    #expect(made.key.hash == Digest(of: made.secret))
    let text = try String(contentsOfFile: path, encoding: .utf8)
    #expect(!text.contains(made.secret) && !text.contains("slk_") && !text.contains(made.secret.dropFirst(4)))
    #expect(try mode(path) == 0o600)
    // A member a line: adding a key changes no line of the others.
    let lines = Set(text.split(separator: "\n"))
    _ = try create("third")
    let later = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(lines.subtracting(later).isEmpty)
    #expect(later.count > lines.count)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: (path as NSString).deletingLastPathComponent) == ["keys.json"]
    )
  }

  @Test func looseModesAreTightenedAndLinksFollowed() throws {
    _ = try create("one")
    chmod(path, 0o666)
    let link = path + ".link"
    #expect(symlink(path, link) == 0)
    try KeyFile.update(link) { (file) throws(KeyFile.Problem) in _ = try file.revoke("one", at: 1) }
    #expect(try mode(path) == 0o600)
    #expect(try KeyFile.read(path).keys[0].revoked == 1)
  }

  @Test func revokes() throws {
    let made = try create("one")
    _ = try create("two")
    try KeyFile.update(path) { (file) throws(KeyFile.Problem) in _ = try file.revoke("one", at: Self.now) }
    var file = try KeyFile.read(path)
    #expect(file.keys.map { $0.state(at: Self.now) } == [.revoked, .valid])
    #expect(throws: KeyFile.Problem.self) { try file.rotate("one", grace: 0, at: Self.now) }
    #expect(throws: KeyFile.Problem.self) { try file.revoke("three", at: Self.now) }
    // The name is free again, and means the new key; the old one is meant by its id.
    let again = try create("one")
    file = try KeyFile.read(path)
    #expect(try file.find("one").id == again.key.id && file.find(made.key.id).id == made.key.id)
    #expect(throws: KeyFile.Problem.self) { _ = try create("one") }
  }

  @Test func rotatesWithGrace() throws {
    let made = try create("one")
    let ring = KeyRing()
    let rotated = try KeyFile.update(path) { (file) throws(KeyFile.Problem) in
      try file.rotate("one", grace: 1_000, at: Self.now)
    }
    ring.replace(with: try KeyFile.read(path).keys)
    #expect(rotated.key.id == made.key.id && rotated.secret != made.secret)
    func isValid(_ secret: String, after time: Int64) -> Bool {
      if case .valid = ring.find(Digest(of: secret), at: Self.now + time) { true } else { false }
    }
    #expect(isValid(made.secret, after: 999) && isValid(rotated.secret, after: 999))
    #expect(!isValid(made.secret, after: 1_000) && isValid(rotated.secret, after: 1_000))
    let last = try KeyFile.update(path) { (file) throws(KeyFile.Problem) in
      try file.rotate("one", grace: 0, at: Self.now + 500)
    }
    ring.replace(with: try KeyFile.read(path).keys)
    #expect(
      !isValid(made.secret, after: 600) && !isValid(rotated.secret, after: 600) && isValid(last.secret, after: 600))
  }

  @Test func manyAtOnceLoseNothing() async throws {
    await withTaskGroup(of: Void.self) { group in
      for number in 0..<16 { group.addTask { _ = try? create("key \(number)") } }
    }
    #expect(Set(try KeyFile.read(path).keys.map(\.name)).count == 16)
  }

  private static let hash = "\"hash\":\"sha256:\(Digest(of: "x"))\""
  private static let good = "\"id\":\"a1\",\"name\":\"n\",\(hash),\"created\":\"2026-01-01T00:00:00Z\""

  @Test(arguments: [
    ("", "not JSON"), ("[]", "object"), ("{}", "keys"), (#"{"keys":[],"x":1}"#, "unknown member x"),
    (#"{"keys":{}}"#, "array"), (#"{"keys":[1]}"#, "key 1"), (#"{"keys":[{"id":"a1"}]}"#, "key 1 (a1): name"),
    ("{\"keys\":[{\(good),\"expire\":\"2026-01-01T00:00:00Z\"}]}", "unknown member expire"),
    ("{\"keys\":[{\(good),\"expires\":\"tomorrow\"}]}", "expires"),
    ("{\"keys\":[{\(good),\"devices\":\"d\"}]}", "devices"), ("{\"keys\":[{\(good),\"devices\":[\"a b\"]}]}", "a b"),
    ("{\"keys\":[{\(good),\"prefixes\":[1]}]}", "prefixes"),
    ("{\"keys\":[{\(good),\"certificates\":\"sha256:\(Digest(of: "y"))\"}]}", "certificates"),
    ("{\"keys\":[{\(good),\"previous\":{}}]}", "previous"), ("{\"keys\":[{\(good),\"rate\":0}]}", "rate"),
    ("{\"keys\":[{\(good),\"burst\":5}]}", "burst"), ("{\"keys\":[{\(good),\"rate\":1,\"burst\":1.5}]}", "burst"),
    ("{\"keys\":[{\(good)},{\(good)}]}", "two keys have the id a1"),
    ("{\"keys\":[{\(good)},{\(good.replacingOccurrences(of: "a1", with: "a2"))}]}", "hash"),
    ("{\"keys\":[{\(good.replacingOccurrences(of: "sha256:", with: ""))}]}", "sha256"),
  ])
  func whatIsNoFileIsRefusedWithAReason(text: String, reason: String) throws {
    let problem = #expect(throws: KeyFile.Problem.self) { try KeyFile(parsing: Array(text.utf8)) }
    #expect(problem?.description.contains(reason) == true, "\(problem?.description ?? "")")
    #expect(problem?.description.contains("\(Digest(of: "x"))") == false)
    // Nor is it overwritten.
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    #expect(throws: KeyFile.Problem.self) { _ = try create("one") }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
  }

  @Test(
    arguments: [
      (["a"], [], "a", true), (["a"], [], "ab", false), (["a", "b", "c"], [], "b", true), ([], ["gh-"], "gh-1", true),
      ([], ["gh-"], "gh", false), ([], ["gh-"], "xgh-1", false), ([], [""], "anything", true), ([], [], "a", false),
      (["z", "a", "m"], ["q"], "z", true), (["z", "a", "m"], ["q"], "n", false),
    ] as [([String], [String], String, Bool)])
  func aKeyMayWriteItsDevices(devices: [String], prefixes: [String], device: String, isAllowed: Bool) throws {
    var key = Key(id: "a", name: "a", hash: Digest(of: "x"), created: 0)
    key.devices = devices
    key.prefixes = prefixes
    let ring = KeyRing()
    ring.replace(with: [key])
    guard case .valid(let live) = ring.find(Digest(of: "x"), at: 1) else {
      Issue.record("it is valid")
      return
    }
    #expect(Array(device.utf8).withUnsafeBytes { live.mayWrite($0) } == isAllowed)
  }

  // MARK: The watch

  @Test func aRunningProcessFollowsTheFile() throws {
    let first = try create("one")
    let metrics = Metrics()
    let lines = TestLines()
    let watch = try KeyWatch(path, log: Log(component: "test", output: lines.add), metrics: metrics)
    func isValid(_ secret: String) -> Bool {
      if case .valid = watch.ring.find(Digest(of: secret), at: Clock.nowMilliseconds()) { true } else { false }
    }
    func isWhole() -> Bool { String(decoding: metrics.render(), as: UTF8.self).contains("\nsluice_keys_file_ok 1\n") }
    #expect(isValid(first.secret) && isWhole())
    guard case .valid(let live) = watch.ring.find(Digest(of: first.secret), at: Self.now) else { return }
    let second = try create("two")
    watch.look()
    #expect(isValid(first.secret) && isValid(second.secret))
    // What it has used up goes on.
    guard case .valid(let again) = watch.ring.find(Digest(of: first.secret), at: Self.now) else { return }
    #expect(again !== live && again.account === live.account)

    // A broken file changes nothing, and is told once; so is one that is gone.
    let good = try String(contentsOfFile: path, encoding: .utf8)
    try String(good.dropLast(5)).write(toFile: path, atomically: false, encoding: .utf8)
    for _ in 0..<3 { watch.look() }
    #expect(isValid(first.secret) && isValid(second.secret) && !isWhole())
    unlink(path)
    watch.look()
    #expect(isValid(first.secret) && lines.count(containing: "keys file is failing") == 1)
    try good.write(toFile: path, atomically: false, encoding: .utf8)
    watch.look()
    #expect(isWhole() && lines.count(containing: "keys file works again") == 1)
    #expect(!lines.text.contains("slk_") && !lines.text.contains(first.key.hash.description))
  }

  @Test func lastUsesAreWrittenOnceAMinute() throws {
    let made = try create("one")
    let time = TestClock()
    let watch = try KeyWatch(path, log: Log(component: "test"), metrics: Metrics(), clock: { time.now })
    guard case .valid(let live) = watch.ring.find(Digest(of: made.secret), at: Self.now) else { return }
    let file = LastUses.path(for: path)
    live.account.lastUsed.store(Self.now, ordering: .relaxed)
    time.now = .seconds(59)
    watch.look()
    #expect(LastUses.read(file).isEmpty)
    time.now = .seconds(60)
    watch.look()
    #expect(LastUses.read(file) == [made.key.id: Self.now])
    // What another process wrote stays, the later of two times counts, and keys that are gone go.
    let other = try create("two")
    let ids: Set = [made.key.id, other.key.id]
    try LastUses.merge([other.key.id: 5, made.key.id: Self.now - 1, "gone": 7], into: file, of: ids)
    #expect(LastUses.read(file) == [made.key.id: Self.now, other.key.id: 5])
    unlink(file)
    time.now = .seconds(120)
    watch.look()
    #expect(LastUses.read(file).isEmpty, "nothing new, so nothing written")
  }
}
