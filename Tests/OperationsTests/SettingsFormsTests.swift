import Testing

@testable import Operations

@Suite struct EnvironmentFileTests {
  private func values(_ text: String) throws -> [String] {
    try EnvironmentFile.parse(Array(text.utf8)).map { "\($0.name)=\($0.value)@\($0.line)" }
  }

  /// What systemd makes of these, from its parser's rules (systemd.exec(5), EnvironmentFile=).
  @Test(arguments: [
    ("", []), ("\n\n  \n", []), ("# A=1\n; B=2\n  # C=3", []), ("A=1", ["A=1@1"]), ("A=1\nB=2\n", ["A=1@1", "B=2@2"]),
    ("A=", ["A=@1"]), ("A=\nB=1", ["A=@1", "B=1@2"]), ("  A  =  1  2  \r\n", ["A=1  2@1"]), ("A=b=c", ["A=b=c@1"]),
    ("A=x # y", ["A=x # y@1"]), ("A=a#b;c", ["A=a#b;c@1"]), ("A='x # \\ \"y\" '", ["A=x # \\ \"y\" @1"]),
    (#"A="x \" \\ \$ \` \n""#, [#"A=x " \ $ ` \n@1"#]), ("A='a\nb'\nB=1", ["A=a\nb@1", "B=1@3"]),
    ("A=\"a\\\nb\"\nB=1", ["A=ab@1", "B=1@3"]), ("A=a\\\nb\nB=1", ["A=ab@1", "B=1@3"]), (#"A=a\\b\ "#, [#"A=a\b @1"#]),
    ("A='a'b\"c\"", ["A=ab\"c\"@1"]), ("A='a' \"b\"", ["A=ab@1"]), ("A=it's", ["A=it's@1"]), ("A=''", ["A=@1"]),
    ("A=''  ", ["A=@1"]), ("A='x'  \nB=1", ["A=x@1", "B=1@2"]), ("A=1\\", ["A=1@1"]), ("A=ü\nA=2", ["A=ü@1", "A=2@2"]),
  ])
  func parses(text: String, expected: [String]) throws { #expect(try values(text) == expected) }

  @Test(arguments: [
    ("A", 1, "has no ="), ("A=1\n\nB\nC=1", 3, "has no ="), ("A='x", 1, "opens a quote that nothing closes"),
    ("A=1\nB=\"x\n\\\"", 2, "opens a quote that nothing closes"),
  ])
  func malformed(text: String, line: Int, reason: String) {
    #expect(throws: EnvironmentFile.Malformed(line: line, reason: reason)) {
      try EnvironmentFile.parse(Array(text.utf8))
    }
  }

  @Test func onlyText() {
    #expect(throws: EnvironmentFile.Malformed.self) { try EnvironmentFile.parse([0x41, 0x3D, 0xFF]) }
  }

  @Test func mistakesNameFileAndLine() {
    func message(_ text: String) -> String? { refusal(.sink, ["--config=/c"], files: ["/c": text]) }
    #expect(message("# x\nA") == "/c, line 2: it has no =; write NAME=value, or # before a comment")
    #expect(
      message("\nSLUICE_LOG_LEVL=x")
        == "SLUICE_LOG_LEVL (/c, line 2) is no setting; the nearest is SLUICE_LOG_LEVEL; correct or remove it")
    #expect(message("KAFKA_TOPIC=x")?.hasPrefix("KAFKA_TOPIC (/c, line 1) is no setting") == true)
    #expect(
      message("SLUICE_LOG_LEVEL=x")?.hasPrefix("SLUICE_LOG_LEVEL (/c, line 1): \"x\" is not accepted: it must be debug")
        == true)
    #expect(message("SLUICE_CONFIG=/d")?.contains("a file does not name another") == true)
    #expect(message("SLUICE_LOG_LEVEL=x\nSLUICE_LOG_LEVEL=debug") == nil)
  }
}

@Suite struct SettingsFormsTests {
  @Test(arguments: [
    ("", []), ("a=b", ["a=b"]), ("a=b;c=d;", ["a=b", "c=d"]), (" a = b c ;\n\tc=\r\n", ["a=b c", "c="]),
    ("a=b=c", ["a=b=c"]), (#"a=x\;y;b=z"#, ["a=x;y", "b=z"]), (#"a=x\\;b=z"#, [#"a=x\"#, "b=z"]),
    (#"a=D\user"#, [#"a=D\user"#]), (#"a=x\"#, [#"a=x\"#]), (#"a=x\\"#, [#"a=x\"#]), (#"a=x\;"#, ["a=x;"]),
    ("a=ü", ["a=ü"]),
  ])
  func keyValueLists(text: String, expected: [String]) {
    #expect(KeyValueList.parse(text)?.map { "\($0.key)=\($0.value)" } == expected)
  }

  @Test func unitsAreWrittenAsTheyAreRead() {
    for milliseconds in [1, 999, 1_000, 1_500, 60_000, 90_000, 3_600_000, 86_400_000, 90 * 86_400_000] {
      let duration = Duration.milliseconds(milliseconds)
      #expect(SettingUnits.duration(SettingUnits.text(duration)) == duration)
    }
    #expect(SettingUnits.text(.seconds(90 * 86_400)) == "90d")
    #expect(SettingUnits.text(.milliseconds(1_500)) == "1500ms" && SettingUnits.text(.microseconds(1_500)) == "1500us")
    #expect(SettingUnits.duration("1500us") == .microseconds(1_500))
    #expect(SettingUnits.text(.zero) == "0s")
    for bytes in [0, 1, 1_023, 1 << 10, 3 << 20, 5 << 30, 1 << 40] {
      #expect(SettingUnits.bytes(SettingUnits.text(bytes: bytes)) == bytes)
    }
    #expect(SettingUnits.duration("2w") == .seconds(14 * 86_400))
    #expect(SettingUnits.bytes("512KB") == 512_000 && SettingUnits.bytes("64M") == 64 << 20)
  }

  @Test func listenAddressesAreWrittenAsTheyAreRead() {
    for text in ["127.0.0.1:80", "[::1]:0", "host.example:65535"] { #expect(ListenAddress(text)?.description == text) }
  }

  @Test(arguments: [
    ("", "", 0), ("a", "", 1), ("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("flaw", "lawn", 2),
    ("abcd", "dcba", 4),
  ])
  func distances(left: String, right: String, distance: Int) {
    #expect(NearestName.distance(Array(left.utf8), Array(right.utf8)) == distance)
    #expect(NearestName.distance(Array(right.utf8), Array(left.utf8)) == distance)
  }

  @Test func nearest() {
    #expect(NearestName.nearest(to: "b", among: []) == nil)
    #expect(NearestName.nearest(to: "ax", among: ["bb", "ay", "az"]) == "ay")
    #expect(NearestName.nearest(to: String(repeating: "x", count: 1_000_000), among: ["a", "b"]) == "a")
  }

  @Test(arguments: Role.allCases) func helpListsWhatTheRoleUses(role: Role) {
    let text = Settings.helpText(for: role, commandFlags: [CommandFlag("--own", "NUMBER", "Its own.")])
    #expect(text.hasPrefix("sluice \(role): ") && text.contains("  --own NUMBER\n      Its own.\n"))
    for setting in Setting.all {
      #expect(text.contains("\n  \(setting.flag) ") == setting.roles.contains(role), "\(setting.name)")
    }
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 140 })
    #expect(helpText(for: role) == Settings.helpText(for: role))
  }

  @Test func markdownTableHasARowForEachSetting() {
    let rows = Settings.markdownTable().split(separator: "\n")
    #expect(rows.count == Setting.all.count + 2)
    for (row, setting) in zip(rows.dropFirst(2), Setting.all) {
      #expect(row.hasPrefix("| `\(setting.name)`"))
      let bars = zip(row, row.dropFirst()).filter { $0.1 == "|" && $0.0 != "\\" }.count + 1
      #expect(bars == 5, "\(row)")
    }
  }

  @Test func smallFilesAreRead() throws {
    #expect(String(decoding: try SystemFile.read("/proc/self/comm"), as: UTF8.self).hasSuffix("\n"))
    #expect(throws: SystemError.self) { try SystemFile.read("/nowhere") }
    #expect(throws: SystemError.self) { try SystemFile.read("/") }
    #expect(throws: SystemError.self) { try SystemFile.read("/dev/zero") }
    #expect(throws: SystemError.self) { try SystemFile.read("/proc/self/stat", limit: 3) }
  }
}
