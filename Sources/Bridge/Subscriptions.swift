/// What a bridge subscribes to, and what it gives up: a broker keeps a session's subscriptions, those of former settings
/// too.
struct Subscriptions {
  let wanted: [String]
  /// All others that a bridge may have had under the client id, as far as they can be known: a former group of another name
  /// cannot.
  let former: [String]

  /// - Parameters:
  ///   - filters: what is to be read.
  ///   - known: of all dialects.
  ///   - group: of the shared subscriptions; nil for ordinary ones.
  ///   - usualGroup: the one of a bridge that was not told another.
  init(to filters: [String], known: [String], group: String?, usualGroup: String?) {
    let wanted = filters.map { Self.filter($0, in: group) }
    var former: [String] = []
    for group in [nil, group, usualGroup] {
      for filter in known.map({ Self.filter($0, in: group) }) where !(wanted + former).contains(filter) {
        former.append(filter)
      }
    }
    self.wanted = wanted
    self.former = former
  }

  private static func filter(_ filter: String, in group: String?) -> String {
    group.map { "$share/\($0)/\(filter)" } ?? filter
  }
}
