import MQTT
import Operations
import Simulation

/// `sluice simulate`
enum SimulateCommand: Command {
  static let flags = [
    CommandFlag("--url", "URL", "Send over HTTP to this address; http://127.0.0.1:8080 unless --mqtt is given."),
    CommandFlag("--mqtt", nil, "Send over MQTT to the broker of --mqtt-url; with --url, both share the devices."),
    CommandFlag(
      "--fleet", "KIND", "What the devices measure: climate (the default), or motion: triggers of ultrasonic detectors."
    ),
    CommandFlag("--devices", "N", "How many devices there are (100)."),
    CommandFlag("--prefix", "TEXT", "What their names begin with (sim-); a number follows."),
    CommandFlag("--seed", "N", "What makes the devices different from those of another fleet (1)."),
    CommandFlag("--rate", "N", "Readings per second, all together (1000); 0: as many as can be."),
    CommandFlag("--seconds", "S", "How long to send (0: until interrupted)."),
    CommandFlag("--count", "N", "How many readings to send at most."),
    CommandFlag("--connections", "N", "Connections: 8 for HTTP, 4 for MQTT."),
    CommandFlag("--batch", "N", "Readings in an HTTP request, at most (50); 1: each alone, as one JSON object."),
    CommandFlag("--gzip", nil, "Compress what is sent over HTTP."),
    CommandFlag("--qos", "N", "MQTT's quality of service: 1 (the default) or 2."),
    CommandFlag(
      "--ids", nil,
      "Give each reading an id, and send it again until it is accepted. Without, nothing is sent twice."),
    CommandFlag(
      "--accepted-file", "FILE",
      "Write which readings were accepted, a line 'device from to' for each range of their tag seq; with '? ' before it, "
        + "those that were not, or of which nobody knows."),
    CommandFlag("--quiet", nil, "No line about the progress each second, and only warnings and errors."),
  ]

  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32 {
    let plan: SimulationPlan
    let isQuiet: Bool
    do throws(SettingsError) {
      let arguments = try CommandArguments(arguments, flags: flags)
      if let word = arguments.words.first { throw SettingsError("unexpected argument '\(word)'") }
      plan = try Self.plan(settings, arguments)
      isQuiet = arguments.has("--quiet")
    } catch {
      throw .usage(error.message)
    }
    Signals.blockTermination()
    let log = isQuiet ? settings.quietLog(component: "simulate") : settings.log(component: "simulate")
    let supervisor = Supervisor(log: log)
    let simulation: Simulation
    do {
      simulation = try Simulation(plan, supervisor: supervisor, log: log)
    } catch {
      throw .usage("\(error)")
    }
    log.info("run", ["run": .string(plan.run), "seed": .string(String(plan.seed)), "devices": .int(plan.devices)])
    simulation.start()
    if !isQuiet { supervisor.start("progress") { report(simulation, supervisor) } }
    let code = supervisor.runUntilSignal(timeout: settings.duration(.shutdownTimeout))
    print(simulation.summary)
    if let complaint = simulation.complaint {
      printError("sluice simulate: \(complaint)")
      return 1
    }
    guard simulation.counts.accepted > 0 else {
      printError("sluice simulate: nothing was accepted")
      return 1
    }
    return code
  }

  private static func plan(_ settings: Settings, _ arguments: CommandArguments) throws(SettingsError) -> SimulationPlan
  {
    var plan = SimulationPlan()
    plan.fleet = try arguments.word("--fleet") ?? plan.fleet
    plan.devices = try arguments.int("--devices", in: 1...1_000_000) ?? plan.devices
    plan.prefix = arguments.string("--prefix") ?? plan.prefix
    plan.seed = UInt64(try arguments.int("--seed", in: 0 ... .max) ?? Int(plan.seed))
    plan.rate = try arguments.number("--rate", in: 0...100_000_000) ?? plan.rate
    let seconds = try arguments.number("--seconds", in: 0...1_000_000_000) ?? 0
    plan.duration = seconds > 0 ? .seconds(seconds) : nil
    plan.count = try arguments.int("--count", in: 1 ... .max)
    plan.hasIDs = arguments.has("--ids")
    plan.outcomeFile = arguments.string("--accepted-file")
    // What is under way when a stop is asked for is waited for, and then there is time to say what came of it.
    plan.answerTimeout = settings.duration(.shutdownTimeout) * 3 / 4

    let connections = try arguments.int("--connections", in: 1...1_000)
    // Who names a broker on the command line means it to be used.
    let usesMQTT = arguments.has("--mqtt") || settings.origin(.mqttURL) == .flag
    if let url = arguments.string("--url") ?? (usesMQTT ? nil : "http://127.0.0.1:8080") {
      guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
        throw SettingsError("--url: '\(url)' is no address of an API: http://127.0.0.1:8080")
      }
      var http = SimulationPlan.HTTP(address: url)
      http.connections = connections ?? http.connections
      http.batch = try arguments.int("--batch", in: 1...10_000) ?? http.batch
      http.usesGzip = arguments.has("--gzip")
      plan.http = http
    }
    if usesMQTT {
      do {
        plan.mqtt = SimulationPlan.MQTT(address: try MQTTAddress(parsing: settings.string(.mqttURL)))
      } catch {
        throw SettingsError("\(Setting.mqttURL.name): \(error.message)")
      }
      plan.mqtt?.connections = connections ?? 4
      plan.mqtt?.qos = try arguments.int("--qos", in: 1...2) ?? 1
    }
    for (flag, needed, isUsed) in [
      ("--batch", "--url", plan.http != nil), ("--gzip", "--url", plan.http != nil),
      ("--qos", "--mqtt", plan.mqtt != nil),
    ] where arguments.has(flag) && !isUsed {
      throw SettingsError("\(flag) means nothing without \(needed): leave it out, or give both")
    }
    return plan
  }

  /// A line each second, counted from the start.
  private static func report(_ simulation: Simulation, _ supervisor: Supervisor) {
    let start = Clock.monotonic()
    var last = simulation.counts
    var tick = 1
    while !supervisor.waitForStop(timeout: start + .seconds(tick) - Clock.monotonic()) {
      let now = simulation.counts
      printError(
        "\(tick) s: \(now.accepted - last.accepted)/s, accepted \(now.accepted), refused \(now.refused), "
          + "unknown \(now.unknown)")
      last = now
      // Seconds that were slept through, while the process was stopped, have no lines.
      tick = max(tick + 1, Int((Clock.monotonic() - start) / .seconds(1)))
    }
  }
}

extension Settings {
  /// A log of warnings and errors, or of errors alone where the settings say so.
  func quietLog(component: String) -> Log {
    let level: Log.Level = enumeration(.logLevel)
    return Log(component: component, level: max(level, .warning), format: enumeration(.logFormat))
  }
}
