import Foundation
import Testing

@testable import Operations

@Suite struct MetricsTests {
  private let metrics = Metrics()
  private var text: String { String(decoding: metrics.render(), as: UTF8.self) }

  @Test func counter() {
    let counter = metrics.counter("sluice_readings_total", "Readings.")
    counter.increment()
    counter.increment(by: 41)
    counter.increment(by: -5)
    counter.increment(by: 0)
    #expect(counter.value == 42)
    #expect(
      text == """
        # HELP sluice_readings_total Readings.
        # TYPE sluice_readings_total counter
        sluice_readings_total 42

        """)
  }

  @Test func gauge() {
    let gauge = metrics.gauge("depth", "D.")
    gauge.set(2.5)
    gauge.increment()
    gauge.decrement()
    gauge.add(-3)
    #expect(text.hasSuffix("# TYPE depth gauge\ndepth -0.5\n"))
  }

  @Test func histogramBucketsAreCumulativeAndInclusive() {
    let histogram = metrics.histogram("latency_seconds", "L.", bounds: [1, 0.5, 2.5, 1, .infinity, .nan])
    for value in [0.5, 0.6, 1, 2, 2.5, 3, -1, .nan] { histogram.observe(value) }
    histogram.observe(.milliseconds(400))
    #expect(
      text == """
        # HELP latency_seconds L.
        # TYPE latency_seconds histogram
        latency_seconds_bucket{le="0.5"} 3
        latency_seconds_bucket{le="1"} 5
        latency_seconds_bucket{le="2.5"} 7
        latency_seconds_bucket{le="+Inf"} 8
        latency_seconds_sum 9
        latency_seconds_count 8

        """)
    #expect(histogram.count == 8)
  }

  @Test func labelsAndEscapes() {
    let family = metrics.counters("x_total", "A \\ and \n \"line\".", labels: ["code", "path"])
    family.with("b", "\\ \" \n").increment()
    family.with("a", "ü").increment(by: 2)
    family.with("a").increment()
    family.with("a", "ü", "too many").increment()
    #expect(
      text == #"""
        # HELP x_total A \\ and \n "line".
        # TYPE x_total counter
        x_total{code="a",path=""} 1
        x_total{code="a",path="ü"} 3
        x_total{code="b",path="\\ \" \n"} 1

        """#)
    let histograms = metrics.histograms("h", "H.", labels: ["k"], bounds: [1])
    histograms.with("v").observe(1)
    #expect(text.contains("h_bucket{k=\"v\",le=\"1\"} 1\nh_bucket{k=\"v\",le=\"+Inf\"} 1\nh_sum{k=\"v\"} 1\n"))
  }

  @Test func pastTheLimitSetsShareOther() {
    let family = metrics.gauges("g", "G.", labels: ["device", "site"], limit: 3)
    for number in 0..<1_000 { family.with("\(number)", "s").increment() }
    family.with("1", "s").increment()
    family.with("other", "other").increment()
    #expect(family.with("5000", "x") === family.with("other", "other"))
    #expect(
      text == """
        # HELP g G.
        # TYPE g gauge
        g{device="0",site="s"} 1
        g{device="1",site="s"} 2
        g{device="2",site="s"} 1
        g{device="other",site="other"} 998

        """)
  }

  @Test func otherDoesNotCountTowardsTheLimit() {
    let family = metrics.counters("c_total", "C.", labels: ["l"], limit: 1)
    let other = family.with("other")
    #expect(family.with("a") !== other)
    #expect(family.with("b") === other)
  }

  @Test func sameNameIsSameMetric() {
    #expect(metrics.counter("a_total", "A.") === metrics.counter("a_total", "A."))
    let family = metrics.counters("b_total", "B.", labels: ["x"])
    #expect(family.with("1") === metrics.counters("b_total", "B.", labels: ["x"]).with("1"))
  }

  @Test func readingsAreTakenWhenRendered() {
    let counter = metrics.counter("first_total", "F.")
    metrics.gauge("depth", "D.", labels: ["queue": "a"]) { Double(counter.value) }
    metrics.gauge("depth", "D.", labels: ["queue": "b"]) { nil }
    metrics.gauge("depth", "D.", labels: ["queue": "c"]) { 1 }
    metrics.gauge("depth", "D.", labels: ["queue": "c"]) { 2 }
    metrics.counter("cpu_total", "C.") { 0.25 }
    counter.increment(by: 7)
    #expect(
      text.hasSuffix(
        """
        # HELP depth D.
        # TYPE depth gauge
        depth{queue="a"} 7
        depth{queue="c"} 2
        # HELP cpu_total C.
        # TYPE cpu_total counter
        cpu_total 0.25

        """))
  }

  /// A reader that makes or looks at metrics must not wait for the lock that its caller holds.
  @Test func readersMayUseTheRegistry() {
    let metrics = metrics
    metrics.gauge("outer", "O.") { Double(metrics.counter("inner_total", "I.").value) }
    #expect(text.contains("outer 0\n"))
    #expect(text.contains("inner_total 0\n"))
  }

  @Test(arguments: [
    (0.0, "0"), (-1, "-1"), (1e14, "100000000000000"), (0.1, "0.1"), (1e300, "1e+300"), (.infinity, "+Inf"),
    (-.infinity, "-Inf"), (.nan, "NaN"), (2.5e-7, "2.5e-07"),
  ])
  func numbers(value: Double, written: String) {
    #expect(MetricText.number(value) == written)
    if value.isFinite { #expect(Double(written) == value) }
  }

  @Test func names() {
    for name in ["a", "_a", "a:b", "A9", ":"] { #expect(MetricText.isName(name, isLabel: false)) }
    for name in ["", "9a", "a-b", "ä", "a b"] { #expect(!MetricText.isName(name, isLabel: false)) }
    #expect(!MetricText.isName("a:b", isLabel: true))
  }

  @Test func manyThreadsCountEverything() {
    let counter = metrics.counter("a_total", "A.")
    let gauge = metrics.gauge("g", "G.")
    let histogram = metrics.histogram("h", "H.", bounds: [1, 2])
    let family = metrics.counters("f_total", "F.", labels: ["l"], limit: 2)
    let supervisor = Supervisor(log: Lines().log())
    for thread in 0..<4 {
      supervisor.start("count", mayEnd: true) {
        for number in 0..<5_000 {
          counter.increment()
          gauge.add(0.5)
          histogram.observe(Double(number % 4))
          family.with("\((thread + number) % 10)").increment()
        }
      }
    }
    #expect(supervisor.join(timeout: .seconds(60)))
    #expect(counter.value == 20_000)
    #expect(gauge.value == 10_000)
    #expect(histogram.count == 20_000)
    #expect(text.contains("h_bucket{le=\"1\"} 10000\nh_bucket{le=\"2\"} 15000\nh_bucket{le=\"+Inf\"} 20000\n"))
    let sum = text.split(separator: "\n").filter { $0.hasPrefix("f_total") }.compactMap {
      Int($0.split(separator: " ")[1])
    }
    #expect(sum.count == 3 && sum.reduce(0, +) == 20_000)
  }

  @Test func processMetrics() throws {
    metrics.addProcessMetrics()
    func value(_ name: String) throws -> Double {
      let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("\(name) ") })
      return try #require(Double(line.split(separator: " ")[1]))
    }
    #expect(try value("process_resident_memory_bytes") > 1_000_000)
    #expect(try value("process_cpu_seconds_total") > 0)
    let now = Date().timeIntervalSince1970
    let start = try value("process_start_time_seconds")
    #expect(start > now - 86_400 && start <= now + 1)
    #expect(try value("process_open_fds") >= 3)
    #expect(text.contains("# TYPE process_cpu_seconds_total counter\n"))
  }
}
