import Crypto
import Foundation
import HTTP
import Ingest
import Keys
import Operations
import Testing

@Suite struct StartPageTests {
  private static func page(asksForKeys: Bool = false) -> Request {
    let metrics = Metrics()
    let authenticator = Authenticator(ring: asksForKeys ? KeyRing() : nil, metrics: metrics)
    return Routes(metrics: metrics, authenticator: authenticator).begin(.get, "/", length: nil)
  }

  private static func content(of element: String, in text: String) -> String? {
    guard let start = text.range(of: "<\(element)>"), let end = text.range(of: "</\(element)>") else { return nil }
    return String(text[start.upperBound..<end.lowerBound])
  }

  @Test func `Only its own style and script may run, and it may be in no frame`() throws {
    let page = Self.page()
    #expect(page.status == 200 && page.header("Content-Type") == "text/html; charset=utf-8")
    #expect(page.header("X-Content-Type-Options") == "nosniff" && page.header("Referrer-Policy") == "no-referrer")
    let policy = try #require(page.header("Content-Security-Policy"))
    for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
      let text = try #require(Self.content(of: element, in: page.text))
      let digest = Data(Digest(of: text).bytes).base64EncodedString()
      #expect(policy.contains("\(directive) 'sha256-\(digest)';"))
    }
    #expect(policy.hasPrefix("default-src 'none'; ") && policy.hasSuffix("frame-ancestors 'none'"))
    #expect(policy.contains("connect-src 'self'") && !policy.contains("unsafe"))
    // Nothing from elsewhere, and nothing that the policy would keep from working.
    #expect(!page.text.contains("src=") && !page.text.contains("style=") && !page.text.contains(/\son\w+=/))
    let links = page.text.components(separatedBy: "href=\"").dropFirst().map { $0.prefix { $0 != "\"" } }
    #expect(links == ["openapi.json"])
  }

  @Test func `It has a command for every route`() {
    let routes = Routes()
    for route in routes.service.routes {
      #expect(
        Self.page().text.contains("<b>\(route.method)</b> <code>\(route.pattern.replacing("...", with: ""))</code>"))
    }
    #expect(!Self.page().text.contains("Authorization: Bearer $"))
    #expect(Self.page(asksForKeys: true).text.contains(#"-H &quot;Authorization: Bearer $KEY&quot;"#))
  }

  /// A shell carries the commands out as they stand.
  @Test func `Its commands send what the examples are`() throws {
    let decoded = Self.page().text.replacing("&quot;", with: "\"").replacing("&lt;", with: "<")
      .replacing("&gt;", with: ">").replacing("&amp;", with: "&")
    let commands = decoded.components(separatedBy: "<pre>").dropFirst().map {
      $0.components(separatedBy: "</pre>")[0]
    }
    #expect(commands.count >= 20)
    try withServed { served in
      for command in commands where command.hasPrefix("curl ") {
        let shell = Process()
        shell.executableURL = URL(filePath: "/bin/sh")
        let address = "http://127.0.0.1:\(served.server.port)"
        shell.arguments = [
          "-c", command.replacing("http://127.0.0.1:8080", with: address) + " -sS --fail -o /dev/null",
        ]
        try shell.run()
        shell.waitUntilExit()
        #expect(shell.terminationStatus == 0, "\(command)")
      }
      #expect(try served.stored().count >= 14)
    }
  }
}
