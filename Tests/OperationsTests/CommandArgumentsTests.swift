import Testing

@testable import Operations

struct CommandArgumentsTests {
  private enum Colour: String, CaseIterable { case red, green }

  private static let flags = [
    CommandFlag("--rate", "N", "…"), CommandFlag("--ids", nil, "…"), CommandFlag("--colour", "C", "…"),
  ]

  private func parse(_ arguments: String...) throws -> CommandArguments {
    try CommandArguments(arguments, flags: Self.flags)
  }

  private func message(_ body: () throws -> Void) -> String? {
    do {
      try body()
      return nil
    } catch { return (error as? SettingsError)?.message }
  }

  @Test func flagsAndWords() throws {
    let arguments = try parse("one", "--rate", "5", "--ids", "-", "two", "--colour=green", "--", "--rate", "--what")
    #expect(arguments.words == ["one", "-", "two", "--rate", "--what"])
    #expect(try arguments.int("--rate", in: 1...5) == 5)
    #expect(try arguments.number("--rate", in: 0...10) == 5)
    #expect(arguments.has("--ids"))
    #expect(try arguments.word("--colour", as: Colour.self) == .green)
    #expect(try parse().int("--rate", in: 1...5) == nil)
    #expect(try parse().number("--rate", in: 1...5) == nil)
    #expect(try parse().word("--colour", as: Colour.self) == nil)
    #expect(try parse().string("--rate") == nil && !parse().has("--ids"))
  }

  @Test func theLastCountsAndValuesMayLookLikeFlags() throws {
    #expect(try parse("--rate", "1", "--rate=2").string("--rate") == "2")
    #expect(try parse("--rate", "-1").string("--rate") == "-1")
    #expect(try parse("--rate=--ids").string("--rate") == "--ids")
    #expect(try parse("--rate=").string("--rate") == "")
    #expect(try parse("--colour", "a=b").string("--colour") == "a=b")
  }

  @Test func mistakes() {
    #expect(message { _ = try parse("--rte", "5") } == "there is no flag --rte; the nearest is --rate")
    #expect(message { _ = try parse("-x") }?.contains("no flag -x") == true)
    #expect(message { _ = try parse("--rate") } == "--rate needs a value: --rate N")
    #expect(message { _ = try parse("--rate", "--ids") } == "--rate needs a value: --rate N")
    #expect(message { _ = try parse("--ids=yes") }?.contains("takes no value") == true)
    for text in ["", "x", "1.5", "0", "11", "99999999999999999999"] {
      #expect(message { _ = try parse("--rate=\(text)").int("--rate", in: 1...10) }?.contains("1 to 10") == true)
    }
    #expect(message { _ = try parse("--rate=0").int("--rate", in: 1 ... .max) }?.contains("1 or more") == true)
    for text in ["", "x", "nan", "inf", "-1"] {
      #expect(message { _ = try parse("--rate=\(text)").number("--rate", in: 0...10) }?.contains("a number") == true)
    }
    #expect(
      message { _ = try parse("--colour", "blue").word("--colour", as: Colour.self) }?.contains("red, green") == true)
  }

  /// What `Settings.load` leaves over is read the same as what was typed.
  @Test func behindTheSettings() throws {
    let typed = [
      "--log-level", "error", "--rate=7", "--colour=--red", "word", "--ids", "--", "--rate", "--log-level", "-w",
    ]
    let (settings, rest) = try Settings.load(
      role: .simulate, arguments: typed, environment: [:], commandFlags: Self.flags)
    #expect(settings.string(.logLevel) == "error")
    let arguments = try CommandArguments(rest, flags: Self.flags)
    #expect(arguments.words == ["word", "--rate", "--log-level", "-w"] && arguments.has("--ids"))
    #expect(arguments.string("--rate") == "7" && arguments.string("--colour") == "--red")
    #expect(
      message {
        _ = try Settings.load(role: .simulate, arguments: ["--rat", "7"], environment: [:], commandFlags: Self.flags)
      }?.contains("--rate") == true)
  }
}
