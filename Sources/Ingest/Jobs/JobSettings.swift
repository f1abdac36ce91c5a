/// How jobs are carried out.
package struct JobSettings: Sendable {
  /// Where records are kept; nil: in memory alone.
  package var directory: String?
  /// Records that are kept, the latest.
  package var kept = 200
  /// Jobs at once.
  package var concurrent = 4
  /// How long nothing may come from a client or a server.
  package var silence: Duration = .seconds(60)
  /// How long Kafka may acknowledge nothing.
  package var patience: Duration = .seconds(300)
  /// From where jobs may fetch.
  package var allowance: FetchAllowance

  package init(allowance: FetchAllowance) { self.allowance = allowance }
}
