/// From where jobs may fetch.
package struct FetchAllowance: Equatable, Sendable {
  /// What is wrong with the setting.
  package struct Failure: Error, Equatable, CustomStringConvertible {
    package let description: String
  }

  private let places: [FetchURL]

  /// - Parameter text: `https://host[:port][/path]`, several separated by commas; a host alone is all of it by `https`. Empty
  ///   allows nothing.
  package init(_ text: String = "") throws(Failure) {
    var places: [FetchURL] = []
    for part in text.split(separator: ",") {
      var part = part.drop { $0 == " " }
      while part.last == " " { part.removeLast() }
      guard let place = FetchURL(part.contains("://") ? String(part) : "https://\(part)"), place.query == nil else {
        throw Failure(description: "'\(part)' must be like https://data.example.org/exports/, or a host")
      }
      places.append(place)
    }
    self.places = places
  }

  /// Whether the scheme, the host and the port are those of a place that is allowed, and the path is below its own.
  package func allows(_ url: FetchURL) -> Bool {
    places.contains { place in
      guard place.isTLS == url.isTLS, place.host == url.host, place.port == url.port else { return false }
      // Where a path is a folder is not known: /a is not above /ab, but above /a/b.
      return url.path == place.path || url.path.hasPrefix(place.path.hasSuffix("/") ? place.path : place.path + "/")
    }
  }
}
