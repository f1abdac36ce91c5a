import Dispatch
import Glibc
import Synchronization

/// What the threads of a server share.
final class ServerCore: Sendable {
  enum Stage: Int {
    case running
    /// No new connections, and every answer closes its connection.
    case quiesced
    /// No request is handed to the handler, and none may be suspended.
    case forcing
  }

  /// Durations in milliseconds.
  struct Limits {
    let idle: Int64
    let body: Int64
    let bodyBytesPerSecond: Int64
    let headerBytes: Int
    let dropBytes: Int
    let connections: Int
    let connectionsPerClient: Int?
  }

  let handler: any RequestHandler
  let limits: Limits
  let tlsFiles: HTTPServer.TLSFiles?
  /// What new connections use.
  let tls: Mutex<TLSCredentials?>
  let crossOrigin: CrossOrigin
  /// Requests from `begin` to the end of the answer.
  let inProgress = Atomic(0)
  /// Connections that the library holds suspended.
  let suspended = Atomic(0)
  /// Connections that another protocol has, until the library has closed them.
  let upgraded = Atomic(0)
  /// Calls that are resuming a connection at this moment.
  let resuming = Atomic(0)
  private let stageNumber = Atomic(Stage.running.rawValue)
  /// Signalled when one of the counts falls while the server is stopping.
  let changed = DispatchSemaphore(value: 0)
  let connections = Mutex(ConnectionTable())
  let connectionCount = Atomic(0)
  /// Empty when there is no limit to them.
  let clients = Mutex(ClientCounts())
  let log: (@Sendable (String) -> Void)?
  let errands = Mutex(Errands())
  let wakeup: Wakeup

  let timeoutResponse = Response.error(
    408, code: "timeout", message: "the body of the request came too slowly; send it again")
  let stoppingResponse = Response.error(
    503, code: "stopping", message: "this server is stopping; send the request again",
    headers: [("Retry-After", "1")])

  init(_ configuration: HTTPServer.Configuration, handler: any RequestHandler) throws(HTTPServerError) {
    self.handler = handler
    limits = Limits(
      idle: configuration.idleTimeout.wholeMilliseconds, body: configuration.bodyTimeout.wholeMilliseconds,
      bodyBytesPerSecond: Int64(max(1, configuration.minimumBodyRate)),
      headerBytes: configuration.maximumHeaderBytes, dropBytes: configuration.dropLimit,
      connections: max(1, configuration.connectionLimit), connectionsPerClient: configuration.perAddressLimit)
    log = configuration.log
    tlsFiles = configuration.tls
    tls = Mutex(
      try configuration.tls.map { files throws(HTTPServerError) in try TLSCredentials(TLSCredentials.PEM(files), files)
      })
    crossOrigin = configuration.crossOrigin
    wakeup = try Wakeup()
  }

  var isTLS: Bool { tlsFiles != nil }

  var stage: Stage { Stage(rawValue: stageNumber.load(ordering: .sequentiallyConsistent)) ?? .forcing }
  var isForcing: Bool { stage == .forcing }

  func enter(_ stage: Stage) { stageNumber.store(stage.rawValue, ordering: .sequentiallyConsistent) }

  func signalIfStopping() {
    if stage != .running { changed.signal() }
  }

  var isAnythingSuspended: Bool {
    suspended.load(ordering: .sequentiallyConsistent) > 0 || resuming.load(ordering: .sequentiallyConsistent) > 0
  }

  var isAnythingUpgraded: Bool { upgraded.load(ordering: .sequentiallyConsistent) > 0 }

  /// Answers every suspended request that the server is stopping.
  func answerSuspended() {
    let exchanges = connections.withLock { table in
      var found: [Exchange] = []
      for record in table.records {
        if let exchange = record.exchange.withLock({ $0 }), exchange.isSuspended { found.append(exchange) }
      }
      return found
    }
    for exchange in exchanges { exchange.respond(stoppingResponse) }
  }
}
