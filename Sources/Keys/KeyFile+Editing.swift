import Crypto

/// What `sluice keys` does to a file.
extension KeyFile {
  /// Earlier secrets of one key that may be valid at the same time.
  private static let previousLimit = 4

  /// The key that an id or a name means; a name that several have means the one that is not revoked.
  package func find(_ word: String) throws(Problem) -> Key { keys[try index(of: word)] }

  private func index(of word: String) throws(Problem) -> Int {
    if let index = keys.firstIndex(where: { $0.id == word }) { return index }
    let named = keys.indices.filter { keys[$0].name == word }
    let live = named.filter { keys[$0].revoked == nil }
    if let index = live.count == 1 ? live.first : named.count == 1 ? named.first : nil { return index }
    if named.isEmpty { throw Problem("there is no key with the id or name \(word)") }
    throw Problem(
      "several keys have the name \(word): say which by its id: \(named.map { keys[$0].id }.joined(separator: ", "))")
  }

  /// Adds a key with a secret of its own.
  ///
  /// - Parameter settings: sets what it may do.
  /// - Returns: the key, and the secret, which is nowhere else.
  package mutating func create(
    name: String, at now: Int64, _ settings: (inout Key) -> Void
  ) throws(Problem) -> (key: Key, secret: String) {
    if let known = keys.first(where: { $0.name == name && $0.state(at: now) == .valid }) {
      throw Problem("the key \(known.id) has the name \(name) already: rotate or revoke it, or choose another name")
    }
    let secret = Secret.make()
    var key = Key(id: newID(), name: name, hash: Digest(of: secret), created: now)
    settings(&key)
    if let problem = key.problem { throw Problem(problem) }
    keys.append(key)
    return (key, secret)
  }

  /// Makes a key, and all its earlier secrets, good for nothing.
  package mutating func revoke(_ word: String, at now: Int64) throws(Problem) -> Key {
    let index = try index(of: word)
    if keys[index].revoked == nil { keys[index].revoked = now }
    keys[index].previous = []
    return keys[index]
  }

  /// Gives a key a new secret; the old one stays valid for a while.
  ///
  /// - Parameter grace: in milliseconds.
  package mutating func rotate(
    _ word: String, grace: Int64, at now: Int64
  ) throws(Problem) -> (key: Key, secret: String) {
    let index = try index(of: word)
    guard keys[index].state(at: now) == .valid else {
      throw Problem("the key \(keys[index].id) is \(keys[index].state(at: now).rawValue): create another")
    }
    let secret = Secret.make()
    var previous = keys[index].previous.filter { $0.until > now }
    if grace > 0 { previous.append(Key.Previous(hash: keys[index].hash, until: now + grace)) }
    guard previous.count <= Self.previousLimit else {
      throw Problem(
        "\(Self.previousLimit) earlier secrets of the key \(keys[index].id) are still valid: use --grace 0s")
    }
    // Without grace the earlier ones are not meant to stay either.
    keys[index].previous = grace > 0 ? previous : []
    keys[index].hash = Digest(of: secret)
    return (keys[index], secret)
  }

  private func newID() -> String {
    let alphabet = Array("abcdefghjkmnpqrstuvwxyz23456789".utf8)
    while true {
      let id = String(decoding: RandomBytes.make(8).map { alphabet[Int($0) % alphabet.count] }, as: UTF8.self)
      if !keys.contains(where: { $0.id == id || $0.name == id }) { return id }
    }
  }
}
