import Foundation
import Operations
import Testing

@Suite struct ReadmeTests {
  /// `sluice help --markdown` prints what belongs there.
  @Test func readmeListsTheSettingsAsTheyAre() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let readme = try String(contentsOf: folder.appendingPathComponent("README.md"), encoding: .utf8)
    let start = try #require(readme.range(of: "<!-- settings -->\n"))
    let end = try #require(readme.range(of: "<!-- /settings -->"))
    #expect(
      readme[start.upperBound..<end.lowerBound].trimmingCharacters(in: .newlines)
        == Settings.markdownTable().trimmingCharacters(in: .newlines))
  }
}
