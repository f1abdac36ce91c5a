import Glibc
import Readings

/// One device of the climate fleet: curves that depend on its seed and on the time alone, and noise of its own.
///
/// The curves are functions of the calendar, so that two runs of a seed continue one another.
struct ClimateDevice: Sendable {
  let location: Reading.Location
  private let sensors: UInt8
  /// The weather that all devices of a seed have in common.
  private let weather: Weather
  private let meanTemperature: Double
  private let dailyAmplitude: Double
  private let meanHumidity: Double
  private let pressureError: Double
  private let brightness: Double
  private let batteryDays: Double
  private let batteryPhase: Double
  private let doorSlot: Double
  private let doorSeed: UInt64
  private var generator: SeededGenerator

  init(_ index: Int, seed: UInt64) {
    weather = Weather(seed: seed)
    var generator = SeededGenerator(seed: seed, stream: UInt64(index) + 1)
    location = Reading.Location(
      longitude: Self.rounded(generator.number(7.1...8.1), 100_000),
      latitude: Self.rounded(generator.number(51.6...52.3), 100_000),
      height: generator.number(20...240).rounded())
    var sensors = UInt8(1) << ClimateSensor.temperature.rawValue | UInt8(1) << ClimateSensor.humidity.rawValue
    // Not every device has everything.
    for (sensor, share) in [(ClimateSensor.pressure, 0.75), (.illuminance, 0.5), (.battery, 0.8), (.door, 0.3)]
    where generator.unit() < share {
      sensors |= 1 << sensor.rawValue
    }
    self.sensors = sensors
    meanTemperature = generator.number(8...14)
    dailyAmplitude = generator.number(3...7)
    meanHumidity = generator.number(58...74)
    pressureError = generator.number(-0.6...0.6)
    brightness = generator.number(0.3...1)
    batteryDays = generator.number(60...400)
    batteryPhase = generator.unit()
    doorSlot = generator.number(120...600)
    doorSeed = generator.next()
    self.generator = generator
  }

  func has(_ sensor: ClimateSensor) -> Bool { sensors & 1 << sensor.rawValue != 0 }

  /// What a sensor shows.
  /// - Parameter ts: milliseconds since 1970.
  mutating func measure(_ sensor: ClimateSensor, at ts: Int64) -> Reading.Value {
    let seconds = Double(ts) / 1_000
    if sensor == .door { return .boolean(isDoorOpen(seconds)) }
    let (value, deviation, steps): (Double, Double, Double) =
      switch sensor {
      case .temperature: (temperature(seconds), 0.08, 100)
      case .humidity: (humidity(seconds), 0.5, 10)
      case .pressure: (pressure(seconds), 0.06, 100)
      case .illuminance: (illuminance(seconds), illuminance(seconds) * 0.03, 1)
      case .battery: (battery(seconds), 0.15, 10)
      case .door: (0, 0, 1)
      }
    let noisy = value + generator.noise(deviation)
    let range = sensor.range
    return .number(Self.rounded(min(max(noisy, range.lowerBound), range.upperBound), steps))
  }

  // MARK: Curves, by seconds since 1970

  /// Warmest at three in the afternoon and in the last days of July; 6.5 degrees less for each kilometre of height.
  private func temperature(_ seconds: Double) -> Double {
    meanTemperature + dailyAmplitude * cos(turn(hour(seconds) - 15, 24)) + weather.temperature(seconds)
      - 0.0065 * (location.height ?? 0)
  }

  /// The same water is less humid in warmer air.
  private func humidity(_ seconds: Double) -> Double {
    meanHumidity - 1.8 * (temperature(seconds) - meanTemperature) + weather.humidity(seconds)
  }

  /// Near the ground a hectopascal is about 8.3 metres.
  private func pressure(_ seconds: Double) -> Double {
    weather.pressure(seconds) - (location.height ?? 0) / 8.3 + pressureError
  }

  private func illuminance(_ seconds: Double) -> Double {
    let sun = cos(turn(hour(seconds) - 12, 24)) + 0.15
    return sun > 0 ? 70_000 * brightness * sun * sqrt(sun) * weather.clearness(seconds) : 0
  }

  /// Falls from 100 to 5, then somebody puts a new one in.
  private func battery(_ seconds: Double) -> Double {
    let life = seconds / 86_400 / batteryDays + batteryPhase
    return 100 - 95 * (life - life.rounded(.down))
  }

  /// Seldom at night, now and then by day; decided anew every few minutes.
  private func isDoorOpen(_ seconds: Double) -> Bool {
    var chance = SeededGenerator(seed: doorSeed, stream: UInt64(max(0, seconds / doorSlot)))
    return chance.unit() < ((7..<20).contains(hour(seconds)) ? 0.25 : 0.02)
  }

  /// Of the local sun: 0 to 24.
  private func hour(_ seconds: Double) -> Double {
    let days = seconds / 86_400 + location.longitude / 360
    return (days - days.rounded(.down)) * 24
  }

  private static func rounded(_ value: Double, _ steps: Double) -> Double { (value * steps).rounded() / steps }
}

/// The weather over all devices: slow waves that do not repeat together.
struct Weather: Sendable {
  private let phases: (Double, Double, Double, Double)

  init(seed: UInt64) {
    var generator = SeededGenerator(seed: seed, stream: 0)
    phases = (generator.unit(), generator.unit(), generator.unit(), generator.unit())
  }

  /// Season and fronts, in kelvins around the mean.
  func temperature(_ seconds: Double) -> Double {
    8 * cos(turn(seconds / 86_400 - 205, 365.242_5)) + 3 * wave(seconds, 5.3, phases.0) + wave(seconds, 1.9, phases.1)
  }

  func humidity(_ seconds: Double) -> Double { 6 * wave(seconds, 3.7, phases.2) }

  /// At sea level.
  func pressure(_ seconds: Double) -> Double {
    1_013.25 + 11 * wave(seconds, 6.1, phases.3) + 4 * wave(seconds, 2.3, phases.0) + wave(seconds, 0.5, phases.1)
  }

  /// 0.3 under clouds to 1.
  func clearness(_ seconds: Double) -> Double { 0.65 + 0.35 * wave(seconds, 0.13, phases.2) }

  private func wave(_ seconds: Double, _ days: Double, _ phase: Double) -> Double {
    sin(turn(seconds / 86_400 + phase * days, days))
  }
}

/// An angle: a part of a period.
private func turn(_ part: Double, _ period: Double) -> Double { 2 * .pi * part / period }
