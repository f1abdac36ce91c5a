import MongoDB
import Testing

@testable import Sink

@Suite struct DatabaseUserTests {
  private func schema(_ layout: Layout) -> DatabaseSchema {
    DatabaseSchema(
      database: "greenhouse", layout: layout, retention: .seconds(90 * 86_400), deduplicationWindow: .seconds(86_400))
  }

  private func privilege(_ collection: String, _ actions: BSONValue...) -> BSONValue {
    ["resource": ["db": "greenhouse", "collection": .string(collection)], "actions": .array(actions)]
  }

  /// MongoDB's manual, "createRole" and "Privilege Actions".
  @Test func theCommandOfEachRole() {
    func expect(_ user: DatabaseUser, _ layout: Layout, _ privileges: BSONValue...) {
      #expect(
        user.roleCommand(.create, schema(layout)) == [
          "createRole": .string(user.rawValue), "privileges": .array(privileges), "roles": [],
          "writeConcern": ["w": "majority"],
        ])
    }
    let common = [
      privilege("", "listCollections"), privilege("devices", "find", "insert", "update"),
      privilege("seen", "find", "insert", "remove"), privilege("summaries", "find", "insert", "update"),
    ]
    expect(
      .sink, .timeseries, common[0], common[1], common[2], common[3],
      privilege("readings", "find", "insert", "listIndexes", "remove"), privilege("ledger", "find", "insert", "update"))
    expect(
      .sink, .documents, common[0], common[1], common[2], common[3],
      privilege("readings", "find", "insert", "listIndexes"))
    for layout in [Layout.timeseries, .documents] {
      expect(
        .grafana, layout, privilege("", "dbStats"), privilege("readings", "find"), privilege("devices", "find"),
        privilege("summaries", "find"))
      expect(
        .setup, layout, privilege("", "listCollections"),
        privilege("readings", "collMod", "createCollection", "createIndex", "listIndexes"),
        privilege("seen", "collMod", "createCollection", "createIndex"), privilege("devices", "createCollection"),
        privilege("ledger", "createCollection"),
        privilege("summaries", "collMod", "createCollection", "createIndex"))
    }
  }

  @Test func theCommandOfAUser() {
    #expect(
      DatabaseUser.sink.userCommand(.update, schema(.timeseries), password: "p:@/%") == [
        "updateUser": "sluice-sink", "pwd": "p:@/%", "roles": [["role": "sluice-sink", "db": "greenhouse"]],
        "writeConcern": ["w": "majority"],
      ])
  }
}
