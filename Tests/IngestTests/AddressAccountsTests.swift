import HTTP
import Testing

@testable import Ingest

@Suite struct AddressAccountsTests {
  private func address(_ number: Int) throws -> ClientAddress {
    try #require(ClientAddress("10.0.\(number / 256).\(number % 256)"))
  }

  @Test func keepsTheLastAndNoMoreThanItsCapacity() throws {
    let accounts = AddressAccounts(capacity: 100)
    let first = accounts.account(of: try address(0))
    #expect(accounts.account(of: try address(0)) === first)
    for number in 1..<10_000 {
      _ = accounts.account(of: try address(number))
      #expect(accounts.count <= 100)
      // Who comes again and again is never forgotten.
      #expect(accounts.account(of: try address(0)) === first)
    }
    let last = accounts.account(of: try address(9_999))
    for number in 9_960..<9_999 { _ = accounts.account(of: try address(number)) }
    #expect(accounts.account(of: try address(9_999)) === last)
    for number in 0..<200 { _ = accounts.account(of: try address(20_000 + number)) }
    #expect(accounts.account(of: try address(9_999)) !== last)
  }

  @Test(arguments: [
    ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true), ("2001:db8::1", "2001:db8:0:1::1", false),
    ("192.0.2.1", "::ffff:192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false), ("::1", "::2", true),
  ])
  func addressesOfOneNetwork(one: String, other: String, isSame: Bool) throws {
    #expect((try #require(ClientAddress(one)).network == #require(ClientAddress(other)).network) == isSame)
  }

  @Test(arguments: [
    ("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("::ffff:127.0.0.1", true), ("0.0.0.0", false),
    ("::", false), ("128.0.0.1", false), ("192.0.2.1", false), ("fe80::1", false),
  ])
  func loopback(text: String, isLoopback: Bool) throws {
    #expect(try #require(ClientAddress(text)).isLoopback == isLoopback)
    #expect(ClientAddress(text + "x") == nil)
  }
}
