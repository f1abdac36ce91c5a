import Compression
import Foundation
import HTTP
import Operations
import Synchronization
import TestServers
import Testing

@testable import Simulation

/// A reading as a server saw it.
struct Seen: Hashable {
  let device: String
  let sequence: Int
}

/// An HTTP API that answers as it is told and remembers what it took.
final class ScriptedAPI: RequestHandler {
  enum Answer {
    /// 202.
    case accept
    /// 207: takes all but every third, of which it says that they may have been stored; of those it takes the first.
    case partly
    /// 503, nothing taken.
    case turnAway
    /// 503, taken all the same.
    case uncertain
    case refuse
  }

  private let script: @Sendable (_ request: Int) -> Answer
  private let state = Mutex((requests: 0, taken: [Seen](), ids: [String](), types: Set<String>()))

  init(_ script: @escaping @Sendable (_ request: Int) -> Answer) { self.script = script }

  var taken: [Seen] { state.withLock { $0.taken } }
  var ids: [String] { state.withLock { $0.ids } }
  var types: Set<String> { state.withLock { $0.types } }
  var requests: Int { state.withLock { $0.requests } }

  func begin(_ head: borrowing RequestHead) -> Disposition {
    guard head.path == "/v1/readings" else { return .respond(.error(404, code: "not_found", message: "")) }
    let type = head.header("content-type") ?? ""
    state.withLock { _ = $0.types.insert(type) }
    return .receive(
      Receiver(self, inflater: head.header("content-encoding") == "gzip" ? Inflater(.gzip, limit: 1 << 20) : nil))
  }

  private final class Receiver: BodyReceiver {
    private let api: ScriptedAPI
    private let inflater: Inflater?
    private var body: [UInt8] = []

    init(_ api: ScriptedAPI, inflater: Inflater?) {
      self.api = api
      self.inflater = inflater
    }

    func receive(_ piece: UnsafeRawBufferPointer) -> Response? {
      guard let inflater else {
        body.append(contentsOf: piece)
        return nil
      }
      do { try inflater.feed(piece, appendingTo: &body) } catch {
        return .error(400, code: "malformed", message: "\(error)")
      }
      return nil
    }

    func finish(_ exchange: Exchange) -> Response? { api.answer(body) }
    func abandoned() {}
  }

  private func answer(_ body: [UInt8]) -> Response {
    let readings = body.split(separator: 10).map { line -> (Seen, String?) in
      let object = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
      return (seen(object ?? [:]), object?["id"] as? String)
    }
    func took(_ indices: some Sequence<Int>) {
      state.withLock { state in
        for index in indices {
          state.taken.append(readings[index].0)
          if let id = readings[index].1 { state.ids.append("\(readings[index].0.device) \(id)") }
        }
      }
    }
    let number = state.withLock {
      $0.requests += 1
      return $0.requests
    }
    switch script(number) {
    case .accept:
      took(readings.indices)
      return .json(202, Array("{\"accepted\":\(readings.count)}".utf8))
    case .partly:
      let late = readings.indices.filter { $0 % 3 == 2 }
      took(readings.indices.filter { $0 % 3 != 2 })
      took(late.prefix(1))
      let errors = late.map { "{\"index\":\($0),\"field\":\"\",\"reason\":\"Kafka did not acknowledge in time\"}" }
      let accepted = readings.count - late.count
      if late.isEmpty { return .json(202, Array("{\"accepted\":\(accepted)}".utf8)) }
      let text = "{\"accepted\":\(accepted),\"rejected\":\(late.count),\"errors\":[\(errors.joined(separator: ","))]}"
      return .json(207, Array(text.utf8))
    case .turnAway: return .error(503, code: "unavailable", message: "nothing was accepted: busy")
    case .uncertain:
      took(readings.indices)
      return .error(503, code: "undelivered", message: "may still be delivered")
    case .refuse: return .error(401, code: "unauthorized", message: "no key")
    }
  }
}

func seen(_ object: [String: Any]) -> Seen {
  let tags = object["tags"] as? [String: String]
  return Seen(device: object["device"] as? String ?? "", sequence: Int(tags?["seq"] ?? "") ?? -1)
}

/// A run from its start to its end.
struct Played {
  let counts: Simulation.Counts
  let complaint: String?
  let summary: String
  var accepted: [Seen] = []
  var doubtful: [Seen] = []

  /// - Parameter stopWhen: asks for a stop once it is true.
  init(_ plan: SimulationPlan, stopWhen: ((Simulation) -> Bool)? = nil) throws {
    var plan = plan
    let file = TestServers.temporaryFolder("simulation") + "/outcome"
    plan.outcomeFile = file
    let log = Log(component: "test", output: { _ in })
    let supervisor = Supervisor(log: log)
    let simulation = try Simulation(plan, supervisor: supervisor, log: log)
    simulation.start()
    if let stopWhen {
      try eventually("the moment to stop") { stopWhen(simulation) }
      supervisor.requestStop()
    }
    guard supervisor.join(timeout: .seconds(60)) else { throw TestServerError("the simulation did not end") }
    #expect(supervisor.failure == nil)
    counts = simulation.counts
    complaint = simulation.complaint
    summary = simulation.summary
    for line in try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n") {
      var words = line.split(separator: " ")
      let isDoubtful = words.first == "?"
      if isDoubtful { words.removeFirst() }
      guard words.count == 3, let from = Int(words[1]), let to = Int(words[2]), from <= to else {
        throw TestServerError("no line of outcomes: \(line)")
      }
      let readings = (from...to).map { Seen(device: String(words[0]), sequence: $0) }
      if isDoubtful { doubtful += readings } else { accepted += readings }
    }
    #expect(accepted.count == counts.accepted)
    #expect(doubtful.count == counts.refused + counts.unknown)
    #expect(Set(accepted + doubtful).count == accepted.count + doubtful.count)
    expectNoGaps(accepted + doubtful)
  }

  private func expectNoGaps(_ readings: [Seen]) {
    for (device, own) in Dictionary(grouping: readings, by: \.device) {
      #expect(own.map(\.sequence).max() == own.count - 1, "\(device)")
    }
  }
}

/// Whether each device's numbers only grow.
func areInOrder(_ readings: [Seen]) -> Bool {
  var last: [String: Int] = [:]
  for reading in readings {
    if let before = last[reading.device], before >= reading.sequence { return false }
    last[reading.device] = reading.sequence
  }
  return true
}
