import Testing

@testable import Sink

struct TextArenaTests {
  @Test func eachTextIsTheOneThatReplacedTheOthers() {
    var arena = TextArena()
    var places = [TextArena.Place(), TextArena.Place(), TextArena.Place()]
    #expect(places.allSatisfy { $0.isEmpty && arena[$0].isEmpty })
    for (round, size) in [1, 100, 5, 0, 300, 299, 300, 301].enumerated() {
      var texts: [[UInt8]] = []
      for index in places.indices {
        texts.append([UInt8](repeating: UInt8(10 * round + index), count: size + index))
        texts[index].withUnsafeBytes { arena.replace(&places[index], with: $0) }
      }
      for index in places.indices { #expect(arena[places[index]].elementsEqual(texts[index])) }
    }
  }

  /// A text that grows a little each time leaves no more behind than it takes.
  @Test func replacedTextsTakeLittle() {
    var arena = TextArena()
    var place = TextArena.Place()
    for size in 1...1_000 {
      [UInt8](repeating: 1, count: size).withUnsafeBytes { arena.replace(&place, with: $0) }
    }
    #expect(arena.byteCount < 4 * 1_000)
    arena.removeAll()
    #expect(arena.byteCount == 0)
  }
}
