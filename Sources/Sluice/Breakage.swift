import Operations

/// A promise that a process breaks on purpose, so that the fault suite can show that it finds that out. For tests alone:
/// no setting, and in no help.
enum Breakage: String {
  /// The sink stores in a time-series collection without a ledger, as a plain consumer would.
  case noLedger = "no-ledger"
  /// Readings are acknowledged when they are queued for Kafka.
  case earlyAcknowledgement = "early-acknowledgement"

  /// What the environment asks for.
  static let chosen = Settings.processEnvironment["SLUICE_TEST_BREAK"].flatMap(Breakage.init)
}
