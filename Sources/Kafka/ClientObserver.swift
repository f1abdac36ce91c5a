/// Hears what a client says of itself, on the client's own serving or polling thread.
package protocol ClientObserver: AnyObject, Sendable {
  /// A line of the library's log.
  /// - Parameter level: as in syslog: 0 is an emergency, 3 an error, 4 a warning, 6 information, 7 debugging.
  func clientLogged(level: Int, facility: String, message: String)

  /// Something failed that belongs to no single call: all brokers are down, a commit that nobody waits for failed,
  /// or, with `isFatal`, the client can do nothing more.
  func clientFailed(_ error: KafkaError)
}
