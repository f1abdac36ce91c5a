package import MongoDB

/// A user of the database that may do what its work needs and nothing else. Its role has the same name as the user.
///
/// Rights are on collections by name. On a time-series collection they cover the buckets behind it, which nobody here may
/// touch by themselves.
package enum DatabaseUser: String, CaseIterable, Sendable {
  /// Whom `sluice sink`, and `sluice check`, log in as.
  case sink = "sluice-sink"
  /// Whom Grafana logs in as.
  case grafana = "sluice-grafana"
  /// Whom `sluice setup` logs in as, once the users are there.
  case setup = "sluice-setup"

  /// The actions that a user may take on a collection; "" stands for the database as such.
  typealias Rights = [(collection: String, actions: [String])]

  /// What the user may do, by MongoDB's names of actions.
  func rights(_ layout: Layout) -> Rights {
    let (readings, devices, ledger, seen, summaries) = (
      DatabaseSchema.readings, DatabaseSchema.devices, DatabaseSchema.ledger, DatabaseSchema.seen,
      DatabaseSchema.summaries
    )
    switch self {
    case .sink:
      // Which layout the collection has is asked now and then, and whether it has its index by `sluice check`.
      let common: Rights = [
        ("", ["listCollections"]), (devices, ["find", "insert", "update"]),
        (seen, ["find", "insert", "remove"]), (summaries, ["find", "insert", "update"]),
      ]
      switch layout {
      case .timeseries:
        return common + [
          (readings, ["find", "insert", "listIndexes", "remove"]), (ledger, ["find", "insert", "update"]),
        ]
      case .documents:
        return common + [(readings, ["find", "insert", "listIndexes"])]
      }
    case .grafana:
      // The plugin's "Save & test" asks for the database's size.
      return [("", ["dbStats"]), (readings, ["find"]), (devices, ["find"]), (summaries, ["find"])]
    case .setup:
      return [
        ("", ["listCollections"]), (readings, ["collMod", "createCollection", "createIndex", "listIndexes"]),
        (seen, ["collMod", "createCollection", "createIndex"]), (devices, ["createCollection"]),
        (ledger, ["createCollection"]), (summaries, ["collMod", "createCollection", "createIndex"]),
      ]
    }
  }

  /// The command that makes the user's role, or gives it these rights and no others.
  func roleCommand(_ verb: Verb, _ schema: DatabaseSchema) -> BSONDocument {
    let privileges = rights(schema.layout).map { collection, actions -> BSONValue in
      [
        "resource": ["db": .string(schema.database), "collection": .string(collection)],
        "actions": .array(actions.map { .string($0) }),
      ]
    }
    return [
      "\(verb.rawValue)Role": .string(rawValue), "privileges": .array(privileges), "roles": [],
      "writeConcern": Self.writeConcern,
    ]
  }

  /// The command that makes the user, or gives it this password, its role, and no others.
  func userCommand(_ verb: Verb, _ schema: DatabaseSchema, password: String) -> BSONDocument {
    [
      "\(verb.rawValue)User": .string(rawValue), "pwd": .string(password),
      "roles": [["role": .string(rawValue), "db": .string(schema.database)]], "writeConcern": Self.writeConcern,
    ]
  }

  /// Whether what a command is about is there already.
  enum Verb: String { case create, update }

  private static let writeConcern: BSONValue = ["w": "majority"]
}

extension DatabaseSchema {
  /// Makes a user and its role, in this database; what is there already gets these rights and this password. Who does it
  /// has to be an administrator.
  /// - Returns: whether the user is new.
  package func create(
    _ user: DatabaseUser, password: String, _ client: MongoClient
  ) throws(MongoError) -> Bool {
    // RoleNotFound
    if try !run(client, user.roleCommand(.update, self), unless: 31) {
      _ = try client.command(database, user.roleCommand(.create, self))
    }
    // UserNotFound
    if try run(client, user.userCommand(.update, self, password: password), unless: 11) { return false }
    _ = try client.command(database, user.userCommand(.create, self, password: password))
    return true
  }

  /// - Returns: false when the server refused with this code.
  private func run(_ client: MongoClient, _ command: BSONDocument, unless code: Int) throws(MongoError) -> Bool {
    do throws(MongoError) {
      _ = try client.command(database, command)
      return true
    } catch {
      if error.domain == .server, error.code == code { return false }
      throw error
    }
  }
}
