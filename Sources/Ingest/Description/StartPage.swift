import Crypto
import HTTP

/// `GET /`: for people, every way in with a command to copy, and a form that sends a reading.
///
/// The bytes are the same for everybody. The script puts the address that the page was asked under into the commands; and
/// nothing but this style and this script is carried out, whatever stood in a text.
struct StartPage {
  let response: Response

  init(_ routes: [APITable.Entry], asksForKeys: Bool) {
    var groups: [(name: String, entries: String)] = []
    for route in routes {
      let entry = Self.entry(route, asksForKeys)
      if let index = groups.firstIndex(where: { $0.name == route.operation.group }) {
        groups[index].entries += entry
      } else {
        groups.append((route.operation.group, entry))
      }
    }
    let sections = groups.map { "<section><h2>\(Self.escaped($0.name))</h2>\($0.entries)</section>\n" }.joined()
    let page = """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><title>Sluice</title>
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <style>\(Self.style)</style></head><body><main>
      \(Self.introduction(asksForKeys))
      \(sections)</main><script>\(Self.script)</script></body></html>

      """
    let policy =
      "default-src 'none'; style-src '\(Self.hash(Self.style))'; script-src '\(Self.hash(Self.script))'; "
      + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    response = Response(
      status: 200,
      headers: [
        ("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"), ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Resource-Policy", "same-origin"),
      ], body: .bytes(Array(page.utf8)))
  }

  // MARK: Examples

  /// Stands for this server in commands, until the script knows better.
  static let origin = "http://127.0.0.1:8080"
  private static let streamOrigin = "ws://127.0.0.1:8080"

  private static func entry(_ route: APITable.Entry, _ asksForKeys: Bool) -> String {
    let operation = route.operation
    let commands = commands(for: route, asksForKeys).map { "<pre>\(escaped($0))</pre>" }.joined()
    let notes = operation.notes.isEmpty ? "" : "<p>\(escaped(operation.notes))</p>"
    return """
      <article><h3><b>\(route.method)</b> <code>\(escaped(route.path))</code></h3><p>\(escaped(operation.summary))</p>\(notes)\(commands)</article>

      """
  }

  /// A command for each body that there is an example of.
  static func commands(for route: APITable.Entry, _ asksForKeys: Bool) -> [String] {
    let operation = route.operation
    if let command = operation.command {
      return [command.replacing("ORIGIN", with: streamOrigin)]
    }
    var path = route.path
    var query = ""
    var fields: [String] = []
    for parameter in operation.parameters {
      guard let example = parameter.example else { continue }
      switch parameter.place {
      case .path: path = path.replacing("{\(parameter.name)}", with: example)
      case .query: query += "\(query.isEmpty ? "?" : "&")\(parameter.name)=\(example)"
      case .header: fields.append("-H \(quoted("\(parameter.name): \(example)"))")
      }
    }
    if asksForKeys, !operation.credentials.isEmpty { fields.append(#"-H "Authorization: Bearer $KEY""#) }
    let start = "curl \(quoted(origin + path + query))"
    if operation.bodies.isEmpty { return [([start] + fields).joined(separator: " \\\n  ")] }
    return operation.bodies.compactMap { body in
      body.example.map { example in
        ([start, "-H \(quoted("Content-Type: \(body.type)"))"] + fields + ["--data-binary \(quoted(example))"])
          .joined(separator: " \\\n  ")
      }
    }
  }

  /// As one word of a shell.
  private static func quoted(_ text: String) -> String { "'\(text.replacing("'", with: #"'\''"#))'" }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }

  /// For `Content-Security-Policy`: only an element with these very bytes.
  private static func hash(_ text: String) -> String { "sha256-\(Base64.encode(Digest(of: text).bytes))" }

  // MARK: Texts

  private static func introduction(_ asksForKeys: Bool) -> String {
    """
    <header><h1>Sluice</h1><p>Send sensor readings here. 202 means that they are kept. \
    <a href="openapi.json">openapi.json</a> describes all of this for tools. \
    Devices that speak MQTT send to the broker instead.</p></header>
    <form id="try"><label>Try it: <code>POST /v1/readings</code>
    <textarea id="body" rows="3" spellcheck="false">{"device":"greenhouse-3","sensor":"temperature","value":21.5,"unit":"Cel"}</textarea></label>
    <label>Key <input id="key" type="password" autocomplete="off" spellcheck="false" \
    placeholder="\(asksForKeys ? "slk_…" : "none is asked for")"></label>
    <button>Send</button><output id="answer" for="body key"></output>
    <noscript>The form needs JavaScript; the commands below do not.</noscript></form>
    """
  }

  private static let style = """
    :root{color-scheme:light dark;--line:#8884;--soft:#8881;--accent:#0a7d6c}
    body{margin:0;font:16px/1.5 system-ui,sans-serif}
    main{max-width:54rem;margin:0 auto;padding:1.5rem}
    h1{margin:0;font-size:2rem}h2{margin:2rem 0 .5rem;font-size:1.2rem;border-bottom:1px solid var(--line)}
    h3{margin:0;font-size:1rem;font-weight:400}h3 b{color:var(--accent)}
    p{margin:.25rem 0}article{margin:1rem 0}
    code,pre,textarea,output{font:14px/1.45 ui-monospace,monospace}
    pre,textarea,input,output{box-sizing:border-box;border:1px solid var(--line);border-radius:6px;background:var(--soft);color:inherit}
    pre{margin:.5rem 0;padding:.6rem .8rem;white-space:pre-wrap;overflow-wrap:anywhere}
    form{display:grid;gap:.75rem;margin:1.5rem 0;padding:1rem;border:1px solid var(--line);border-radius:10px}
    textarea,input{width:100%;margin-top:.25rem;padding:.5rem .7rem}
    button{justify-self:start;padding:.45rem 1.4rem;border:0;border-radius:6px;background:var(--accent);color:#fff;font:inherit;cursor:pointer}
    output{display:block;padding:.6rem .8rem;white-space:pre-wrap;overflow-wrap:anywhere}output:empty{display:none}
    output.good{border-color:#2a9d4a}output.bad{border-color:#c9402f}
    """

  /// A host may hold characters that mean something to a shell: then the commands stay as they are.
  private static let script = """
    "use strict";
    const base = new URL(".", location.href).href.replace(/[/]$/, "");
    if (/^https?:[/][/][\\w.:[\\]-]+([/][\\w.~-]+)*$/.test(base))
      for (const pre of document.querySelectorAll("pre"))
        pre.textContent = pre.textContent.replaceAll("\(origin)", base)
          .replaceAll("\(streamOrigin)", base.replace("http", "ws"));
    const answer = document.getElementById("answer");
    document.getElementById("try").addEventListener("submit", async (event) => {
      event.preventDefault();
      const headers = { "Content-Type": "application/json" };
      const key = document.getElementById("key").value.trim();
      if (key) headers.Authorization = "Bearer " + key;
      answer.className = "";
      answer.textContent = "…";
      try {
        const body = document.getElementById("body").value;
        const response = await fetch(base + "/v1/readings", { method: "POST", headers, body, credentials: "omit" });
        answer.textContent = response.status + " " + response.statusText + "\\n" + await response.text();
        answer.className = response.status === 202 ? "good" : "bad";
      } catch (error) {
        answer.textContent = "No answer: " + error.message;
        answer.className = "bad";
      }
    });
    """
}
