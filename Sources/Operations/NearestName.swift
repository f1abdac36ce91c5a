/// Finds what somebody meant to type.
enum NearestName {
  /// The candidate with the fewest letters to add, leave out or change; the first of several.
  static func nearest(to name: String, among candidates: [String]) -> String? {
    // Nobody means a name many times as long, and the comparison grows with both lengths.
    let name = Array(name.utf8.prefix(100))
    return candidates.min { distance(name, Array($0.utf8)) < distance(name, Array($1.utf8)) }
  }

  /// Levenshtein's distance, one row of the table at a time.
  static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var row = Array(0...right.count)
    for (i, a) in left.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, b) in right.enumerated() {
        let changed = diagonal + (a == b ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(changed, row[j] + 1, row[j + 1] + 1)
      }
    }
    return row[right.count]
  }
}
