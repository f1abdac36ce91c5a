import CMongoC
import Synchronization

/// Connections to one MongoDB deployment, shared by threads: each borrows a client for as long as it needs one.
///
/// What the connection string says wins, and what it leaves open is set here to what the promise "nothing lost, nothing
/// twice" needs:
/// - `w=majority` and `journal=true`: an acknowledged write survives the loss of the primary and `kill -9`. With a
///   standalone server's default an answer may come up to 100 ms before the journal is on the disk.
///   `w=0`, which answers nothing, is refused.
/// - `retryWrites=false`: libmongoc would otherwise send a write a second time, unseen, up to the server selection timeout
///   later. Replica sets do recognise the repeat, also on time-series collections, but only while they remember the session,
///   and the repeat would leave after its sender checked that it still owns what it writes. So an error comes back at once,
///   says whether the outcome is unknown, and who has the ledger looks before writing again.
/// - `retryReads=false`: against a server that hangs a read would take the timeout twice, and who is to stop would be late.
/// - All reads go to the primary, also against the connection string: a secondary that lags would show what is stored as
///   missing.
@safe package final class MongoPool: Sendable {
  private struct State {
    var users = 0
    var isClosed = false
    /// libmongoc's memory is freed; `handle` dangles.
    var isDestroyed = false
    /// Working memory for clients that are not in use; never more than there were users at once.
    var idle: [BSONWorkspace] = []
  }

  /// Where its servers are, as `host:port`, separated by commas: for messages, without credentials.
  package let servers: String
  /// The database that the connection string names.
  package let defaultDatabase: String?
  /// Whether the connection string asked libmongoc to repeat writes by itself.
  package let retriesWrites: Bool
  /// How many threads may have a client at once; more wait.
  package let maximumSize: Int

  /// libmongoc's pools may be used by any thread, and this one is valid while `isDestroyed` is false.
  private nonisolated(unsafe) let handle: OpaquePointer
  private let state = Mutex(State())

  /// Makes a pool. Nothing is connected yet, so an unreachable server is no error here.
  ///
  /// - Parameters:
  ///   - uri: a connection string, `mongodb://…` or `mongodb+srv://…`.
  ///   - applicationName: what the server's log and `currentOp` call these connections.
  ///   - maximumSize: how many threads may have a client at once; a larger `maxPoolSize` in the connection string wins.
  ///   - timeout: for each of: finding a server, connecting to it, one answer, waiting for a client; unless the
  ///     connection string has its own. A call may need several of them, and libmongoc tries to read twice, so a call may
  ///     last a small multiple of it.
  /// - Throws: a connection string that makes no sense, or servers of `mongodb+srv` that are not in the DNS.
  package init(
    uri: String, applicationName: String, maximumSize: Int, timeout: Duration = .seconds(10)
  ) throws(MongoError) {
    MongoLibrary.start()
    var error = bson_error_t()
    guard let parsed = unsafe mongoc_uri_new_with_error(uri, &error) else {
      throw MongoError(.uri, code: Int(error.code), message: error.text)
    }
    defer { unsafe mongoc_uri_destroy(parsed) }
    try unsafe Self.complete(parsed, applicationName: applicationName, maximumSize: maximumSize, timeout: timeout)

    servers = unsafe Self.servers(of: parsed)
    defaultDatabase = unsafe mongoc_uri_get_database(parsed).map { unsafe String(cString: $0) }
    retriesWrites = unsafe mongoc_uri_get_option_as_bool(parsed, MONGOC_URI_RETRYWRITES, false)
    self.maximumSize = unsafe Int(
      mongoc_uri_get_option_as_int32(parsed, MONGOC_URI_MAXPOOLSIZE, Int32(clamping: maximumSize)))
    guard let pool = unsafe mongoc_client_pool_new_with_error(parsed, &error) else {
      throw MongoError(.uri, code: Int(error.code), message: error.text)
    }
    // Only before the first client is taken.
    unsafe mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2)
    unsafe handle = pool
  }

  deinit { close() }

  /// Lends a client to this thread for the duration of the call. Waits for one if all are in use.
  ///
  /// - Throws: what `body` throws; or that the pool is closed, or that no client became free within the timeout.
  package func withClient<R>(_ body: (MongoClient) throws(MongoError) -> R) throws(MongoError) -> R {
    let workspace = try enter()
    defer { leave(workspace) }
    guard let lent = unsafe mongoc_client_pool_pop(handle) else {
      throw MongoError(.client, code: 0, message: "all \(maximumSize) connections are in use")
    }
    defer { unsafe mongoc_client_pool_push(handle, lent) }
    if state.withLock({ $0.isClosed }) { throw .closed }
    let client = unsafe MongoClient(lent, workspace)
    defer { client.invalidate() }
    return try body(client)
  }

  /// Lends no more clients, and closes the connections when the last client is back: at once if none is in use. Whoever
  /// closes them takes leave of the server, and so waits for the pool's timeout if that hangs.
  package func close() {
    finish { $0.isClosed = true }
  }

  private func enter() throws(MongoError) -> BSONWorkspace {
    let workspace: BSONWorkspace? = state.withLock { state in
      if state.isClosed { return nil }
      state.users += 1
      return state.idle.popLast() ?? BSONWorkspace()
    }
    guard let workspace else { throw .closed }
    return workspace
  }

  private func leave(_ workspace: BSONWorkspace) {
    workspace.trim()
    finish {
      $0.users -= 1
      $0.idle.append(workspace)
    }
  }

  /// Changes the state, and destroys libmongoc's pool if that leaves it closed and unused; outside the lock, for it joins
  /// the threads that watch the servers.
  private func finish(_ change: (inout State) -> Void) {
    let isLast = state.withLock { state in
      change(&state)
      let isLast = state.isClosed && state.users == 0 && !state.isDestroyed
      if isLast { state.isDestroyed = true }
      return isLast
    }
    if isLast { unsafe mongoc_client_pool_destroy(handle) }
  }
}

extension MongoPool {
  /// Sets what the connection string leaves open.
  private static func complete(
    _ uri: OpaquePointer, applicationName: String, maximumSize: Int, timeout: Duration
  ) throws(MongoError) {
    let milliseconds = Int32(clamping: max(1, timeout / .milliseconds(1)).rounded(.up).clampedToInt)
    for option in [
      MONGOC_URI_SERVERSELECTIONTIMEOUTMS, MONGOC_URI_CONNECTTIMEOUTMS, MONGOC_URI_SOCKETTIMEOUTMS,
      MONGOC_URI_WAITQUEUETIMEOUTMS,
    ] where unsafe !mongoc_uri_has_option(uri, option) {
      unsafe mongoc_uri_set_option_as_int32(uri, option, milliseconds)
    }
    for option in [MONGOC_URI_RETRYWRITES, MONGOC_URI_RETRYREADS] where unsafe !mongoc_uri_has_option(uri, option) {
      unsafe mongoc_uri_set_option_as_bool(uri, option, false)
    }
    let size = unsafe max(mongoc_uri_get_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, 1), Int32(clamping: maximumSize))
    unsafe mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, size)
    if unsafe mongoc_uri_get_appname(uri) == nil, unsafe !mongoc_uri_set_appname(uri, applicationName) {
      throw MongoError(.uri, code: 0, message: "the application name is longer than 128 bytes")
    }

    guard let concern = unsafe mongoc_write_concern_copy(mongoc_uri_get_write_concern(uri)) else { return }
    defer { unsafe mongoc_write_concern_destroy(concern) }
    let w = unsafe mongoc_write_concern_get_w(concern)
    guard w != MONGOC_WRITE_CONCERN_W_UNACKNOWLEDGED else {
      throw MongoError(.uri, code: 0, message: "w=0 in the connection string would leave every write unacknowledged")
    }
    if w == MONGOC_WRITE_CONCERN_W_DEFAULT {
      unsafe mongoc_write_concern_set_w(concern, MONGOC_WRITE_CONCERN_W_MAJORITY)
    }
    if unsafe !mongoc_write_concern_journal_is_set(concern) { unsafe mongoc_write_concern_set_journal(concern, true) }
    unsafe mongoc_uri_set_write_concern(uri, concern)

    guard let primary = unsafe mongoc_read_prefs_new(MONGOC_READ_PRIMARY) else { return }
    unsafe mongoc_uri_set_read_prefs_t(uri, primary)
    unsafe mongoc_read_prefs_destroy(primary)
  }

  private static func servers(of uri: OpaquePointer) -> String {
    if let service = unsafe mongoc_uri_get_srv_hostname(uri) { return unsafe String(cString: service) }
    var names: [String] = []
    var next = unsafe mongoc_uri_get_hosts(uri)
    while let host = unsafe next {
      names.append(
        unsafe withUnsafeBytes(of: host.pointee.host_and_port) {
          unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        })
      unsafe next = UnsafePointer(host.pointee.next)
    }
    return names.joined(separator: ",")
  }
}

extension Double {
  fileprivate var clampedToInt: Int { self < Double(Int32.max) ? Int(self) : Int(Int32.max) }
}
