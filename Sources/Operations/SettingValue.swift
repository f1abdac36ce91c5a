/// A setting's value after its text was read.
enum SettingValue: Sendable, Equatable {
  case text(String)
  case integer(Int)
  case duration(Duration)
  case boolean(Bool)
  case listen(ListenAddress)
  case keyValues([KeyValue])

  struct KeyValue: Sendable, Equatable {
    let key: String
    let value: String
  }
}
