import Testing

@testable import MongoDB

@Suite struct MongoErrorTests {
  @Test(arguments: [
    (11000, "duplicate"), (13, "authentication"), (18, "authentication"), (10107, "readOnly"), (13435, "readOnly"),
    (11602, "readOnly"), (91, "readOnly"), (371, "readOnly"), (14031, "readOnly"), (6, "network"), (112, "passing"),
    (365, "passing"), (121, ""), (2, ""), (10334, "content"), (17419, "content"),
  ])
  func serverCodes(code: Int, kind: String) {
    let error = MongoError(.server, code: code, message: "")
    #expect(error.isDuplicateKey == (kind == "duplicate"))
    #expect(error.isAuthentication == (kind == "authentication"))
    #expect(error.isReadOnlyOrFull == (kind == "readOnly"))
    #expect(error.isNetwork == (kind == "network"))
    #expect(error.isOfContent == (kind == "content"))
    #expect(error.isRetriable == ["readOnly", "network", "passing"].contains(kind))
    // As an error of one document: only those that speak of the document refuse it for good.
    #expect(WriteError(index: 0, code: code, message: "").isRefusal == ["duplicate", "content", ""].contains(kind))
  }

  @Test func outcomes() {
    #expect(MongoError(.network, code: 4, message: "").outcomeUnknown)
    #expect(MongoError(.writeConcern, code: 64, message: "").outcomeUnknown)
    // A server that steps down in the middle of a batch says 10107 for the whole command.
    #expect(MongoError(.server, code: 10107, message: "").outcomeUnknown)
    #expect(!MongoError(.server, code: 13, message: "").outcomeUnknown)
    #expect(!MongoError(.serverSelection, code: 13053, message: "").outcomeUnknown)
    #expect(!MongoError(.authentication, code: 11, message: "").outcomeUnknown)
    #expect(!MongoError(.client, code: 0, message: "").outcomeUnknown)
  }

  @Test func labelsMakeErrorsRetriable() {
    #expect(MongoError(.server, code: 2, message: "", labels: ["RetryableWriteError"]).isRetriable)
    #expect(!MongoError(.server, code: 2, message: "", labels: ["Other"]).isRetriable)
  }

  @Test func versions() {
    let version = MongoVersion("8.2.1-rc0")
    #expect((version.major, version.minor, version.patch) == (8, 2, 1))
    #expect(MongoVersion("10.0") > version)
    #expect(MongoVersion("7.0.14") < MongoVersion("7.1"))
    #expect(MongoVersion("") < MongoVersion("0.1"))
    #expect(version.description == "8.2.1-rc0")
  }
}
