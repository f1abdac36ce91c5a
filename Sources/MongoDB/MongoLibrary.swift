import CMongoC
import Glibc
import Synchronization

/// How important libmongoc thinks a message of its log is.
package enum MongoLogLevel: Sendable {
  case error
  case warning
  case info
  case debug
}

/// What libmongoc has one of per process.
enum MongoLibrary {
  typealias LogHandler = @Sendable (MongoLogLevel, String) -> Void

  /// Initialises libmongoc, once.
  static func start() { started }

  private static let started: Void = mongoc_init()

  private static let logHandler = Mutex<LogHandler?>(nil)

  static func setLogHandler(_ handler: @escaping LogHandler) {
    logHandler.withLock { $0 = handler }
    unsafe mongoc_log_set_handler(
      { level, domain, message, _ in
        guard let handler = MongoLibrary.logHandler.withLock({ $0 }), let message = unsafe message else { return }
        let importance: MongoLogLevel =
          switch level {
          case MONGOC_LOG_LEVEL_ERROR, MONGOC_LOG_LEVEL_CRITICAL: .error
          case MONGOC_LOG_LEVEL_WARNING: .warning
          case MONGOC_LOG_LEVEL_MESSAGE, MONGOC_LOG_LEVEL_INFO: .info
          default: .debug
          }
        let source = unsafe domain.map { unsafe String(cString: $0) + ": " } ?? ""
        unsafe handler(importance, source + String(cString: message))
      }, nil)
  }
}

extension MongoPool {
  /// Removes the file of libmongoc's counters, which it makes when it is loaded and which only a tool of its own reads: it would
  /// outlive a process that is killed, and another of the same number would warn of it on standard error.
  package static func removeCounters() {
    unsafe shm_unlink("/mongoc-\(getpid())")
  }

  /// Sends libmongoc's own log, of all pools, to `handler` instead of to standard output and error. Best before the first
  /// pool is made.
  ///
  /// - Parameter handler: called on any thread, one call at a time; it must not use a pool.
  package static func installLogHandler(_ handler: @escaping @Sendable (MongoLogLevel, String) -> Void) {
    MongoLibrary.setLogHandler(handler)
  }
}
