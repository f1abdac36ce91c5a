extension Duration {
  /// Whole milliseconds as librdkafka takes them: rounded up, so that a short wait is no busy loop, and never negative,
  /// which would mean for ever.
  var kafkaMilliseconds: Int32 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    guard seconds < 2_000_000 else { return 2_000_000_000 }
    return Int32(seconds) * 1000 + Int32((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}
