import Glibc
import Operations
import Publishing
import Sink

/// `sluice dev`: every role in this process, with servers of its own.
enum DevCommand: Command {
  static let flags = DevOptions.flags

  /// Why Kafka's memory needs a word.
  private static let memoryWarning =
    "the embedded Kafka is in memory: what is not yet in MongoDB when this process ends is lost, and so are all dead "
    + "letters"

  static func run(_ settings: Settings, _ arguments: [String]) throws(CommandError) -> Int32 {
    let start = Clock.monotonic()
    // Before there is any other thread.
    Signals.blockTermination()
    let options = try DevOptions(settings, arguments)
    // Before servers are started in vain.
    _ = try Access(options.settings)
    let servers = DevServers()
    do throws(CommandError) {
      return try run(try servers.start(options), options, servers, start)
    } catch {
      servers.end(timeout: .seconds(5))
      throw error
    }
  }

  private static func run(
    _ settings: Settings, _ options: DevOptions, _ servers: DevServers, _ start: Duration
  ) throws(CommandError) -> Int32 {
    var whole = Service(settings)
    if options.isKafkaEmbedded {
      whole.log.warning(memoryWarning)
      whole.backlog = Backlog(partitionBytes: DevServers.partitionBytes, log: whole.log, health: whole.health)
    } else {
      try SetupCommand.prepareKafka(settings) { whole.log.info($0) }
    }
    try SetupCommand.prepareDatabase(settings) { whole.log.info($0) }
    if options.isKafkaEmbedded { whole.offsetBase = try offsetBase(settings) }

    let link = try whole.link(topics: [settings.string(.kafkaTopic), settings.string(.kafkaDeadLetterTopic)])
    let sink = whole.part("sink", settings: settings, link: link)
    let ingest = whole.part("ingest", settings: settings, link: link)
    let bridge = whole.part("bridge", settings: settings, link: link)
    whole.supervisor.onStop("everything") { [whole] in
      stop(whole, sources: [ingest, bridge], sink: sink, link, servers)
    }
    try SinkCommand.start(in: sink)
    try BridgeCommand.start(in: bridge)
    try IngestCommand.start(in: ingest)
    // The threads of a part are its own, so the whole has to know when one of them fails.
    for part in [sink, bridge, ingest] {
      whole.supervisor.start("part") {
        _ = part.supervisor.waitForStop(timeout: nil)
        if let failure = part.supervisor.failure { throw CommandError.failed("\(failure.thread): \(failure.reason)") }
      }
    }
    whole.supervisor.start("servers") { [whole] in try servers.watch(whole.supervisor) }
    whole.supervisor.start("announcement", mayEnd: true) { [whole] in
      while !whole.health.isReady {
        if whole.supervisor.waitForStop(timeout: .milliseconds(10)) { return }
      }
      print(announcement(settings, options, after: Clock.monotonic() - start), terminator: "")
      // To a pipe or a file it would be written when the buffer is full.
      fflush(nil)
    }
    return try whole.run()
  }

  /// Stops everything in the reverse order of its start: what takes readings, then, when it has stored them, the sink, and
  /// then the servers.
  private static func stop(
    _ whole: Service, sources: [Service], sink: Service, _ link: KafkaLink, _ servers: DevServers
  ) {
    // The process gives itself up after the whole timeout; its servers are to be ended before that.
    let deadline = Clock.monotonic() + whole.settings.duration(.shutdownTimeout) * 0.8
    func left() -> Duration { max(deadline - Clock.monotonic(), .zero) }
    for source in sources { source.supervisor.requestStop() }
    for source in sources { _ = source.supervisor.join(timeout: left()) }
    if let backlog = whole.backlog {
      while backlog.count > 0, left() > .zero {
        // Ends early when the sink has failed.
        if sink.supervisor.waitForStop(timeout: min(left(), .milliseconds(10))) { break }
      }
      let lost = backlog.count
      if lost > 0 { whole.log.error("readings lost with the embedded Kafka", ["count": .int(lost)]) }
    }
    sink.supervisor.requestStop()
    _ = sink.supervisor.join(timeout: left())
    link.close(timeout: left())
    servers.end(timeout: max(left(), .seconds(1)))
  }

  private static func announcement(_ settings: Settings, _ options: DevOptions, after time: Duration) -> String {
    let http = "http://\(settings.listenAddress(.httpListen))"
    let management = "http://\(settings.listenAddress(.managementListen))"
    func place(_ setting: Setting) -> String { Settings.maskingPasswords(in: settings.string(setting)) }
    let seconds = Double(Int(time / .milliseconds(100))) / 10
    let curl =
      #"curl -d '{"device":"greenhouse-3","sensor":"temperature","value":21.5}' "#
      + "-H 'Content-Type: application/json' \(http)/v1/readings"
    return """

      sluice dev is ready after \(seconds) s
        HTTP     \(http)/v1/readings
        MQTT     \(place(.mqttURL))\(options.mqttPort == nil ? "" : " (mosquitto)")
        Kafka    \(place(.kafkaBrokers))\(options.isKafkaEmbedded ? " (in this process, in memory)" : "")
        MongoDB  \(place(.mongodbURI))\(options.mongodbPort == nil ? "" : " (SecantusDB, in \(options.dataFolder)/mongodb)")
        state    \(management)/readyz, \(management)/metrics
      try
        \(curl)
        mosquitto_pub -L \(place(.mqttURL))/sensors/greenhouse-3/temperature -q 1 -m 21.5
      Ctrl-C ends everything


      """
  }
}
