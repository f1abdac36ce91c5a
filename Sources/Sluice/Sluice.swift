import Glibc
import MongoDB
import Operations

/// The executable: one file per subcommand, chosen here.
@main
enum Sluice {
  static func main() {
    // A client that goes away while it is written to must be an error, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    occupyStandardStreams()
    MongoPool.removeCounters()
    let arguments = Array(CommandLine.arguments.dropFirst())
    do throws(CommandError) {
      end(try run(arguments))
    } catch {
      printError("sluice: \(error.message)")
      end(error.exitCode)
    }
  }

  /// Takes the numbers of standard streams that are closed, so that no file or connection gets them: the log or a result
  /// would go there. What is read from these, or written to them, fails as before.
  private static func occupyStandardStreams() {
    // In this order, for a file gets the least number that is free.
    for (stream, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
    where fcntl(stream, F_GETFD) < 0 { _ = open("/dev/null", mode) }
  }

  /// Ends the process without the libraries' own endings, as `exit` runs them: OpenSSL's takes its locks away, and a thread
  /// that is connecting just then, as after a start that failed halfway, would crash.
  ///
  /// A result that cannot be written is a failure, for it may be a secret that is nowhere else; not one that whoever reads
  /// it has had enough of.
  private static func end(_ code: Int32) -> Never {
    guard fflush(nil) != 0, errno != EPIPE else { _exit(code) }
    printError("sluice: standard output cannot be written: \(SystemError(code: errno))")
    _exit(code == 0 ? 1 : code)
  }

  private static func run(_ arguments: [String]) throws(CommandError) -> Int32 {
    guard let name = arguments.first else { throw .usage(overview) }
    if name == "--help" || name == "-h" || name == "help" {
      // For the README, which has the table of settings between two marks.
      print(arguments.dropFirst() == ["--markdown"] ? Settings.markdownTable() : overview)
      return 0
    }
    guard let role = Role(rawValue: name), let command = commands[role] else {
      throw .usage("there is no subcommand '\(name)'\n\n\(overview)")
    }
    let rest = Array(arguments.dropFirst())
    if Settings.wantsHelp(rest) {
      print(Settings.helpText(for: role, commandFlags: command.flags), terminator: "")
      return 0
    }
    let loaded: (settings: Settings, rest: [String])
    do {
      loaded = try Settings.load(role: role, arguments: rest, commandFlags: command.flags)
    } catch {
      throw .usage(error.message)
    }
    return try command.run(loaded.settings, loaded.rest)
  }

  private static let commands: [Role: any (Command & SendableMetatype).Type] = [
    .ingest: IngestCommand.self, .bridge: BridgeCommand.self, .sink: SinkCommand.self, .dev: DevCommand.self,
    .setup: SetupCommand.self, .check: CheckCommand.self, .keys: KeysCommand.self, .dlq: DLQCommand.self,
    .import: ImportCommand.self, .simulate: SimulateCommand.self,
  ]

  private static var overview: String {
    "usage: sluice COMMAND [--flag value …]; sluice COMMAND --help says more\n\n"
      + Role.allCases.filter { commands[$0] != nil }
      .map { "  \($0.rawValue.padded(to: 10))\($0.summary)" }.joined(separator: "\n")
  }
}

/// A subcommand.
protocol Command: Sendable {
  /// Its flags that are no settings.
  static var flags: [CommandFlag] { get }

  /// Carries it out.
  /// - Parameter arguments: what is left of the command line.
  /// - Returns: the exit code.
  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32
}

extension Command {
  static var flags: [CommandFlag] { [] }

  /// Refuses arguments where there are none.
  static func takeNothing(_ arguments: [String]) throws(CommandError) {
    if let first = arguments.first { throw .usage("unexpected argument '\(first)'") }
  }
}

/// Why a subcommand ends at once: one line that says what to do.
struct CommandError: Error {
  let message: String
  let exitCode: Int32

  /// The command line or the settings are wrong.
  static func usage(_ message: String) -> CommandError { CommandError(message: message, exitCode: 2) }
  /// Anything else.
  static func failed(_ message: String) -> CommandError { CommandError(message: message, exitCode: 1) }
}

extension String {
  /// With spaces behind it, at least one.
  func padded(to count: Int) -> String { self + String(repeating: " ", count: max(1, count - self.count)) }
}

/// Writes a line to standard error.
func printError(_ text: String) { Log.standardError(Array("\(text)\n".utf8)) }
