/// Something is wrong with the settings.
package struct SettingsError: Error, Sendable, Equatable, CustomStringConvertible {
  /// One line that names the setting and says what to do.
  package let message: String

  package init(_ message: String) { self.message = message }

  package var description: String { message }
}
