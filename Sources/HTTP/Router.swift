/// Chooses what answers a request by its method and path.
///
/// A pattern is a path; `{name}` in it stands for one segment, and `{name...}` at its end for the rest. A literal pattern
/// wins over one with parameters, and of those the one added first. Where nothing is said about them, `HEAD` is answered
/// as `GET` is, and `OPTIONS` with what is allowed.
package struct Router: Sendable {
  /// The segments that parameters stood for, decoded.
  package struct Parameters: Sendable {
    var values: [(name: String, value: String)] = []

    package subscript(name: String) -> String? { values.first { $0.name == name }?.value }
  }

  package typealias Action = @Sendable (borrowing RequestHead, Parameters) -> Disposition

  // A structure, for a function within a tuple is wrapped anew, with an allocation, whenever it is taken out.
  private struct MethodAction: Sendable {
    let method: Method
    let action: Action
  }

  private struct Route: Sendable {
    let pattern: String
    let segments: [Segment]
    var actions: [MethodAction] = []

    /// For the header field `Allow`.
    var allowed: String {
      var names = actions.map(\.method.description)
      if names.contains("GET"), !names.contains("HEAD") { names.append("HEAD") }
      if !names.contains("OPTIONS") { names.append("OPTIONS") }
      return names.joined(separator: ", ")
    }

    func action(for method: Method) -> Action? {
      for known in actions where known.method == method { return known.action }
      return method == .head ? actions.first { $0.method == .get }?.action : nil
    }
  }

  private enum Segment: Sendable, Equatable {
    case literal(String)
    case parameter(String)
    case rest(String)
  }

  private var routes: [Route] = []
  private var literal: [String: Int] = [:]

  package init() {}

  /// Adds a route.
  package mutating func on(_ method: Method, _ pattern: String, _ action: @escaping Action) {
    let index =
      routes.firstIndex { $0.pattern == pattern }
      ?? {
        let segments = Router.segments(of: pattern).map(Router.segment)
        routes.append(Route(pattern: pattern, segments: segments))
        if segments.allSatisfy({ if case .literal = $0 { true } else { false } }) {
          literal[pattern] = routes.count - 1
        }
        return routes.count - 1
      }()
    routes[index].actions.append(MethodAction(method: method, action: action))
  }

  /// The disposition that the route makes, or 404, or 405 with `Allow`.
  package func dispatch(_ head: borrowing RequestHead) -> Disposition {
    guard let (index, parameters) = find(head.path) else {
      return .respond(.error(404, code: "not_found", message: "there is nothing at this path"))
    }
    if let action = routes[index].action(for: head.method) { return action(head, parameters) }
    let route = routes[index]
    let allow = ("Allow", route.allowed)
    if head.method == .options { return .respond(Response(status: 204, headers: [allow])) }
    return .respond(
      .error(405, code: "method_not_allowed", message: "this path allows \(route.allowed)", headers: [allow]))
  }

  /// Every route, as it was added.
  package var entries: [(method: Method, pattern: String)] {
    routes.flatMap { route in route.actions.map { ($0.method, route.pattern) } }
  }

  /// The pattern that a path belongs to: unlike the path it is fit to be a metric's label.
  package func pattern(for path: String) -> String? { find(path).map { routes[$0.index].pattern } }

  /// Not the route itself: copying that costs more than looking it up.
  private func find(_ path: String) -> (index: Int, parameters: Parameters)? {
    if let index = literal[path] { return (index, Parameters()) }
    guard path.hasPrefix("/") else { return nil }
    let segments = Router.segments(of: path)
    for index in routes.indices {
      if let parameters = Router.match(segments, routes[index].segments) { return (index, parameters) }
    }
    return nil
  }

  private static func segments(of path: String) -> [Substring] {
    path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
  }

  private static func segment(_ text: Substring) -> Segment {
    guard text.hasPrefix("{"), text.hasSuffix("}") else { return .literal(String(text)) }
    let name = text.dropFirst().dropLast()
    return name.hasSuffix("...") ? .rest(String(name.dropLast(3))) : .parameter(String(name))
  }

  private static func match(_ segments: [Substring], _ pattern: [Segment]) -> Parameters? {
    var found = Parameters()
    for (index, expected) in pattern.enumerated() {
      if case .rest(let name) = expected {
        let rest = segments.dropFirst(index).joined(separator: "/")
        found.values.append((name, PercentEncoding.decode(rest.utf8)))
        return found
      }
      guard index < segments.count else { return nil }
      switch expected {
      case .literal(let text): if text != segments[index] { return nil }
      case .parameter(let name):
        if segments[index].isEmpty { return nil }
        found.values.append((name, PercentEncoding.decode(segments[index].utf8)))
      case .rest: return nil
      }
    }
    return segments.count == pattern.count ? found : nil
  }
}
