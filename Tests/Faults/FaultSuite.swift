import Foundation
import Operations
import TestServers

/// Sends readings through a whole deployment while its processes are killed and frozen, and then counts.
///
/// Ends with 0 when everything accepted is stored once, 1 when not, 2 when it was called wrongly, and 3 when it could not
/// be carried out.
@main
enum FaultSuite {
  private static let flags = [
    CommandFlag("--seed", "N", "Which faults come when; printed, and random unless given."),
    CommandFlag("--layout", "WORD", "timeseries (the default) or documents."),
    CommandFlag("--readings", "N", "How many readings are accepted before the faults end (1000000)."),
    CommandFlag("--rate", "N", "Readings per second that are sent (1800)."),
    CommandFlag("--minutes", "N", "When the faults end, whatever was accepted (15)."),
    CommandFlag("--short", nil, "Only the few faults of the form for a minute, whatever was accepted by then."),
    CommandFlag(
      "--only", "KIND", "Faults of this kind of process alone: ingest, bridge, sink, kafka, mongodb, mosquitto."),
    CommandFlag(
      "--patience", "S", "How long nothing may change, after all was sent, before what is wrong counts (400)."),
    CommandFlag("--sluice", "FILE", "The executable; the one beside this unless given."),
    CommandFlag(
      "--break", "WORD",
      "Break Sluice to see that it is found out: no-ledger (finds duplicates), early-acknowledgement (finds losses)."),
  ]

  static func main() {
    let plan: FaultRun.Plan
    do {
      plan = try Self.plan(CommandArguments(Array(CommandLine.arguments.dropFirst()), flags: flags))
    } catch {
      say("faults: \(error.message)")
      for flag in flags { say("  \(flag.name) \(flag.placeholder ?? "")  \(flag.help)") }
      exit(2)
    }
    do {
      exit(try FaultRun(plan).run().isClean ? 0 : 1)
    } catch {
      say("faults: \(error)")
      exit(3)
    }
  }

  private static func plan(_ arguments: CommandArguments) throws(SettingsError) -> FaultRun.Plan {
    var plan = FaultRun.Plan(
      seed: UInt64(try arguments.int("--seed", in: 0 ... .max) ?? Int.random(in: 0...999_999_999)),
      sluice: arguments.string("--sluice") ?? TestServers.sluice)
    plan.layout = try arguments.word("--layout", as: FaultRun.Layout.self) ?? plan.layout
    plan.readings = try arguments.int("--readings", in: 1 ... .max) ?? plan.readings
    plan.rate = try arguments.number("--rate", in: 1...1_000_000) ?? plan.rate
    plan.duration = .seconds(60 * (try arguments.number("--minutes", in: 0.1...1_000) ?? 15))
    plan.only = try arguments.word("--only", as: Target.Kind.self)
    plan.isShort = arguments.has("--short")
    plan.patience = .seconds(try arguments.int("--patience", in: 1...10_000) ?? 400)
    plan.breakage = arguments.string("--break")
    return plan
  }
}

/// Prints a line at once, also into a file or a pipe.
func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }
