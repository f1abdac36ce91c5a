import Foundation
import Operations
import TestServers
import Testing

/// Settings with which nothing can begin: exit code 2, with which units are not restarted, and a line that names them.
@Suite struct WrongSettingsTests {
  private func sluice(_ command: String, _ settings: [String: String]) throws -> (code: Int32, output: String) {
    let words = command.split(separator: " ").map(String.init)
    let addresses = [
      "SLUICE_KAFKA_BROKERS": "127.0.0.1:1", "SLUICE_MQTT_URL": "mqtt://127.0.0.1:1",
      "SLUICE_HTTP_LISTEN": "127.0.0.1:\(TestServers.freePort())",
      "SLUICE_MANAGEMENT_LISTEN": "127.0.0.1:\(TestServers.freePort())",
    ]
    let environment = DevProcess.environment.merging(addresses) { $1 }.merging(settings) { $1 }
    let file = "\(TestServers.temporaryFolder("settings"))/log"
    let process = try ChildProcess([TestServers.sluice] + words, environment: environment, output: file)
    guard let code = process.wait(timeout: .seconds(60)) else {
      process.kill()
      throw TestServerError("\(command) began: \(try String(contentsOfFile: file, encoding: .utf8))")
    }
    return (code, try String(contentsOfFile: file, encoding: .utf8))
  }

  @Test(arguments: ["setup", "ingest", "bridge", "sink", "import /dev/null", "dlq list", "dlq redrive"])
  func linesOfAFileAreNotShown(command: String) throws {
    let file = "\(TestServers.temporaryFolder("settings"))/kafka-config"
    let lines = "security.protocol=tls\nsasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=hunter2-secret\n"
    try lines.write(toFile: file, atomically: true, encoding: .utf8)
    let (code, output) = try sluice(command, ["SLUICE_KAFKA_CONFIG_FILE": file])
    #expect(code == 2, "\(output)")
    let last = output.split(separator: "\n").last
    #expect(
      last == "sluice: SLUICE_KAFKA_CONFIG: security.protocol: must be plaintext, ssl, sasl_plaintext, sasl_ssl",
      "\(output)")
  }

  @Test(
    arguments: [
      ("ingest", ["SLUICE_KAFKA_CONFIG": "acks=1"], "SLUICE_KAFKA_CONFIG: "),
      ("bridge", ["SLUICE_KAFKA_CONFIG": "acks=1"], "SLUICE_KAFKA_CONFIG: "),
      (
        "ingest", ["SLUICE_KAFKA_CONFIG": "enable.idempotence=false;request.required.acks=1"],
        "SLUICE_KAFKA_CONFIG: request.required.acks: must be all here"
      ),
      (
        "bridge", ["SLUICE_KAFKA_CONFIG": "delivery.report.only.error=true"],
        "SLUICE_KAFKA_CONFIG: delivery.report.only.error: must be false here"
      ),
      ("sink", ["SLUICE_KAFKA_CONFIG": "enable.auto.commit=true"], "SLUICE_KAFKA_CONFIG: "),
      (
        "sink", ["SLUICE_KAFKA_CONFIG": "partition.assignment.strategy=cooperative-sticky"],
        "SLUICE_KAFKA_CONFIG: partition.assignment.strategy: must be range or roundrobin"
      ),
      (
        "sink", ["SLUICE_KAFKA_CONFIG": "auto.offset.reset=latest"],
        "SLUICE_KAFKA_CONFIG: auto.offset.reset: must be earliest"
      ),
      ("bridge", ["SLUICE_MQTT_URL": "mqtts://h?certfile=/x"], "SLUICE_MQTT_URL"),
      ("ingest", ["SLUICE_KAFKA_LINGER": "15s"], "SLUICE_KAFKA_LINGER "),
      ("bridge", ["SLUICE_MQTT_KEEP_ALIVE": "5500ms"], "SLUICE_MQTT_KEEP_ALIVE: "),
    ] as [(String, [String: String], String)])
  func areNamed(command: String, settings: [String: String], beginning: String) throws {
    let (code, output) = try sluice(command, settings)
    #expect(code == 2, "\(output)")
    #expect(output.split(separator: "\n").last?.hasPrefix("sluice: " + beginning) == true, "\(output)")
  }
}
