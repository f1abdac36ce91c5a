/// The fields of a log event, in the order in which they were written.
package struct LogFields: Sendable, ExpressibleByDictionaryLiteral {
  private(set) var pairs: [(key: String, value: LogValue)]

  package init() { pairs = [] }

  package init(dictionaryLiteral elements: (String, LogValue)...) {
    pairs = elements.map { (key: $0.0, value: $0.1) }
  }

  /// The last value under a key; setting it replaces the value in its place, or appends.
  package subscript(key: String) -> LogValue? {
    get { pairs.last { $0.key == key }?.value }
    set {
      let place = pairs.lastIndex { $0.key == key }
      switch (place, newValue) {
      case (let place?, let value?): pairs[place].value = value
      case (let place?, nil): pairs.remove(at: place)
      case (nil, let value?): pairs.append((key, value))
      case (nil, nil): break
      }
    }
  }

  /// These fields and then those of `other`, which replace equal keys.
  package func merging(_ other: LogFields) -> LogFields {
    var all = self
    for (key, value) in other.pairs { all[key] = value }
    return all
  }
}
