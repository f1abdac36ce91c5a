import Glibc
import Operations

/// `sluice check`
enum CheckCommand: Command {
  /// How long one group of checks may take in all: also when a name server does not answer, or a connection string has
  /// longer timeouts of its own.
  private static let limit: Duration = .seconds(15)

  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32 {
    try takeNothing(arguments)
    list(settings)
    let checks = Checks(settings: settings)
    let groups: [(Setting, @Sendable () -> [Finding])] = [
      (.kafkaBrokers, checks.kafka), (.mongodbURI, checks.mongodb), (.mqttURL, checks.mqtt),
      (.keysFile, checks.keys), (.tlsCertificate, checks.files), (.boxesFile, checks.boxes),
      (.jobsDirectory, checks.jobs), (.httpListen, checks.addresses),
    ]
    let supervisor = Supervisor(log: settings.log(component: "check"))
    var problems = 0
    for (setting, check) in groups {
      let findings = inTime(supervisor, check) ?? [.problem(setting, "no answer within \(limit): is it frozen?")]
      for finding in findings {
        print("\(finding.isProblem ? "FAIL" : "ok  ")  \(finding.setting.padded(to: 32))\(finding.text)")
        problems += finding.isProblem ? 1 : 0
      }
      // Before the next group, which may take its time.
      fflush(nil)
    }
    print(problems == 0 ? "\nall is well" : "\n\(problems) to be seen to")
    return problems == 0 ? 0 : 1
  }

  /// Does something on a thread of its own.
  /// - Returns: nil when it has not ended within the limit.
  private static func inTime(_ supervisor: Supervisor, _ body: @escaping @Sendable () -> [Finding]) -> [Finding]? {
    let done = BoundedQueue<[Finding]>(capacity: 1)
    supervisor.start("check", mayEnd: true) { _ = done.put(body()) }
    return done.take(timeout: limit)
  }

  private static func list(_ settings: Settings) {
    let rows = settings.effective
    let names = rows.map(\.name.count).max() ?? 0
    let values = rows.map(\.value.count).max().map { min($0, 50) } ?? 0
    for row in rows {
      let origin = row.secretFile.map { "\(row.origin) \($0)" } ?? "\(row.origin)"
      print("\(row.name.padded(to: names + 2))\(row.value.padded(to: values + 2))\(origin)")
    }
    print("")
  }
}
