// swift-tools-version:6.2
import PackageDescription

// Data flows one way and so do imports: executable → pipelines → model, wrappers, operations → C.
// What is not listed as a dependency here cannot be imported: the build runs with
// --explicit-target-dependency-import-check=error (see Makefile).

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .treatAllWarnings(as: .error),
  // A tenth of the instructions of a reading went into these checks at run time; debug builds, and with them all tests, do
  // them.
  .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]
let wrapper: [SwiftSetting] = strict + [.strictMemorySafety()]

func cLibrary(_ name: String, pkgConfig: String? = nil, apt: String) -> Target {
  .systemLibrary(name: name, path: "Sources/C/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

func module(_ name: String, _ dependencies: [Target.Dependency] = [], settings: [SwiftSetting] = strict) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [], settings: [SwiftSetting] = strict
) -> Target {
  .testTarget(name: "\(name)Tests", dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

let package = Package(
  name: "sluice",
  products: [.executable(name: "sluice", targets: ["Sluice"])],
  targets: [
    // C
    cLibrary("CRdKafka", pkgConfig: "rdkafka", apt: "librdkafka-dev"),
    cLibrary("CMongoC", pkgConfig: "libmongoc-1.0", apt: "libmongoc-dev"),
    cLibrary("CMosquitto", pkgConfig: "libmosquitto", apt: "libmosquitto-dev"),
    cLibrary("CMicroHTTPD", pkgConfig: "libmicrohttpd", apt: "libmicrohttpd-dev"),
    cLibrary("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
    cLibrary("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
    cLibrary("CSodium", pkgConfig: "libsodium", apt: "libsodium-dev"),
    // Without a pkg-config file; its module map names what to link.
    cLibrary("CWslay", apt: "libwslay-dev"),
    .target(name: "CFilePages", path: "Sources/C/CFilePages"),
    // Has no functions to call: it is linked in place of glibc's allocator.
    .target(name: "CJemalloc", path: "Sources/C/CJemalloc", linkerSettings: [.linkedLibrary("jemalloc")]),
    // simdjson is C++, so its shim is compiled; its pkg-config file has a flag that the package manager refuses.
    .target(
      name: "CSimdJSON", path: "Sources/C/CSimdJSON", cxxSettings: [.unsafeFlags(["-O2", "-DNDEBUG"])],
      linkerSettings: [.linkedLibrary("simdjson")]),

    // Model
    module("Timestamps"),
    module("Readings", ["JSON", "Timestamps"]),
    module("Dialects", ["Readings", "Timestamps", "JSON"]),
    module("Chunks", ["Dialects", "Readings", "JSON"]),

    // Operations
    module("Operations", ["Timestamps", "CFilePages"]),

    // Wrappers, one per C library
    module("JSON", ["CSimdJSON"], settings: wrapper),
    module("Compression", ["CZlib"], settings: wrapper),
    module("Crypto", ["CSodium"], settings: wrapper),
    module("HTTP", ["CMicroHTTPD"], settings: wrapper),
    module("WebSocket", ["CWslay"], settings: wrapper),
    module("HTTPClient", ["CCurl"], settings: wrapper),
    module("Kafka", ["CRdKafka"], settings: wrapper),
    module("MongoDB", ["CMongoC"], settings: wrapper),
    module("MQTT", ["CMosquitto"], settings: wrapper),

    // What the pipelines share: readings and dead letters into Kafka
    module("Publishing", ["Readings", "Timestamps", "Kafka", "Operations"]),

    // Who may send what, and how much
    module("Keys", ["Crypto", "JSON", "Timestamps", "Operations"]),

    // What was put aside: looking at it, and putting it back
    module("DeadLetters", ["Readings", "Dialects", "JSON", "Timestamps", "Kafka", "Publishing", "Operations"]),

    // Pipelines
    module(
      "Ingest",
      [
        "Readings", "Dialects", "Chunks", "JSON", "Timestamps", "Compression", "Crypto", "Keys", "HTTP", "WebSocket",
        "HTTPClient", "Kafka", "Publishing", "Operations",
      ]),
    module("Bridge", ["Readings", "Dialects", "JSON", "MQTT", "Kafka", "Publishing", "Operations"]),
    module("Sink", ["Readings", "JSON", "Kafka", "MongoDB", "Publishing", "Operations"]),

    module(
      "Import", ["Readings", "Dialects", "Chunks", "JSON", "Compression", "Kafka", "Publishing", "Operations"]),

    // A fleet for trying all of it
    module("Simulation", ["Readings", "Timestamps", "JSON", "Compression", "HTTPClient", "MQTT", "Operations"]),

    // Executable
    .executableTarget(
      name: "Sluice",
      dependencies: [
        "Readings", "Dialects", "Chunks", "Timestamps", "Operations", "Crypto", "Keys", "HTTP", "WebSocket",
        "HTTPClient",
        "Kafka",
        "MongoDB",
        "MQTT", "Publishing", "DeadLetters", "Ingest", "Bridge", "Sink", "Import", "Simulation", "CJemalloc",
      ],
      swiftSettings: strict),

    // What scripts/bench-check counts
    .executableTarget(
      name: "HotPaths",
      dependencies: ["Dialects", "JSON", "MongoDB", "Operations", "Readings", "Sink", "Timestamps"],
      path: "Benchmarks/HotPaths", swiftSettings: strict),

    // Tests
    .target(name: "TestServers", dependencies: ["Operations"], path: "Tests/TestServers", swiftSettings: strict),
    tests("JSON", ["JSON"]),
    tests("Timestamps", ["Timestamps"]),
    tests("Readings", ["Readings", "JSON"]),
    .target(
      name: "DialectExercise", dependencies: ["Dialects", "Readings", "JSON"], path: "Tests/DialectExercise",
      swiftSettings: strict),
    tests("Dialects", ["Dialects", "DialectExercise", "Readings", "JSON"]),
    tests("Operations", ["Operations"]),
    tests("Compression", ["Compression"]),
    tests("Crypto", ["Crypto"]),
    tests("Keys", ["Keys", "Crypto", "Operations", "TestServers"]),
    tests("HTTP", ["HTTP", "TestServers"]),
    tests("WebSocket", ["WebSocket", "TestServers"], exclude: ["autobahn-summary.md"]),
    tests("HTTPClient", ["HTTPClient", "TestServers"]),
    tests("Kafka", ["Kafka", "TestServers"]),
    tests("MongoDB", ["MongoDB", "TestServers"]),
    tests("MQTT", ["MQTT", "TestServers"]),
    tests("Publishing", ["Publishing", "Readings", "Kafka", "Operations", "TestServers"]),
    tests(
      "DeadLetters",
      ["DeadLetters", "Dialects", "Publishing", "Readings", "JSON", "Kafka", "Operations", "TestServers"]),
    tests(
      "Ingest",
      [
        "Ingest", "Dialects", "Publishing", "Readings", "Keys", "Crypto", "HTTP", "WebSocket", "HTTPClient", "Kafka",
        "Operations", "JSON",
        "Compression", "TestServers",
      ]),
    tests("Bridge", ["Bridge", "Publishing", "Readings", "MQTT", "Kafka", "Operations", "TestServers"]),
    // The ledger's model goes through millions of states.
    tests(
      "Sink", ["Sink", "Publishing", "Readings", "JSON", "MongoDB", "Kafka", "Operations", "TestServers"],
      settings: strict + [.unsafeFlags(["-O"])]),
    tests("Import", ["Import", "Chunks", "Dialects", "Readings", "JSON", "Compression", "TestServers"]),
    tests(
      "Simulation",
      [
        "Simulation", "Readings", "Timestamps", "JSON", "HTTP", "HTTPClient", "MQTT", "Compression", "Operations",
        "TestServers",
      ]),
    .executableTarget(
      name: "FaultSuite", dependencies: ["TestServers", "Simulation", "HTTPClient", "MongoDB", "Operations"],
      path: "Tests/Faults", exclude: ["RESULTS.md"], swiftSettings: strict),
    tests("FaultSuite", ["FaultSuite", "TestServers", "Operations"]),
    tests("EndToEnd", ["Compression", "HTTPClient", "Kafka", "MongoDB", "MQTT", "Operations", "TestServers"]),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx17
)

// Only for scripts/fuzz: its main function comes from libFuzzer, which other builds do not link.
if Context.environment["SLUICE_FUZZ"] != nil {
  package.targets.append(
    .executableTarget(
      name: "Fuzz", dependencies: ["DialectExercise"], path: "Tests/Fuzz", exclude: ["Corpus"], swiftSettings: strict))
}
