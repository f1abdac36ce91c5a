/// A flag that belongs to one subcommand and is no setting, such as the rate of `simulate`.
package struct CommandFlag: Sendable {
  /// With its dashes: `--rate`.
  package let name: String
  /// What stands for its value in help; nil: it takes none.
  package let placeholder: String?
  /// What it is for, in one line.
  package let help: String

  package init(_ name: String, _ placeholder: String?, _ help: String) {
    self.name = name
    self.placeholder = placeholder
    self.help = help
  }
}
