package import Kafka
package import Operations
import Synchronization

/// Writes what librdkafka says of itself to the log.
///
/// Its lines about brokers that come and go are repeated for every attempt, and the health of the connection is said in
/// one line by others: they are for those who look for a fault.
package final class ClientLog: ClientObserver {
  private let log: Log
  private let fatal = Mutex<KafkaError?>(nil)

  package init(_ log: Log) { self.log = log }

  /// What ended the client for good; it can only be made anew.
  package var fatalError: KafkaError? { fatal.withLock { $0 } }

  package func clientLogged(level: Int, facility: String, message: String) {
    log.debug(message, ["facility": .string(facility), "level": .int(level)])
  }

  package func clientFailed(_ error: KafkaError) {
    if error.isFatal {
      fatal.withLock { $0 = $0 ?? error }
    } else {
      log.debug("client error", ["reason": .string("\(error)")])
    }
  }
}
