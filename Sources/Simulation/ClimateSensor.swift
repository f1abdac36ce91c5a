/// What a device of the climate fleet may measure.
enum ClimateSensor: UInt8, CaseIterable, Sendable {
  case temperature, humidity, pressure, illuminance, battery, door

  var name: StaticString {
    switch self {
    case .temperature: "temperature"
    case .humidity: "humidity"
    case .pressure: "pressure"
    case .illuminance: "illuminance"
    case .battery: "battery"
    case .door: "door"
    }
  }

  /// By the names of SenML (RFC 8428, section 12.1), but hectopascals as every weather station shows them; empty: none.
  var unit: StaticString {
    switch self {
    case .temperature: "Cel"
    case .humidity: "%RH"
    case .pressure: "hPa"
    case .illuminance: "lx"
    case .battery: "%EL"
    case .door: ""
    }
  }

  /// What a reading is never outside of.
  var range: ClosedRange<Double> {
    switch self {
    case .temperature: -40...60
    case .humidity: 5...100
    case .pressure: 870...1_085
    case .illuminance: 0...120_000
    case .battery: 0...100
    case .door: 0...1
    }
  }
}
