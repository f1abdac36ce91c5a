/// A self-signed certificate for localhost.
package struct TLSFixture {
  package let certificate: String
  package let key: String

  package init() throws {
    let folder = TestServers.temporaryFolder("tls")
    certificate = "\(folder)/certificate.pem"
    key = "\(folder)/key.pem"
    let made = try TestServers.run([
      "/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
      "-days",
      "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out",
      certificate,
    ])
    guard made.code == 0 else { throw TestServerError("openssl: \(made.output)") }
  }
}
