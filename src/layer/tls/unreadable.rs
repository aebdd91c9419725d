//! Why TLS is not decrypted.

reasons! {
    /// Why TLS is not decrypted.
    Unreadable {
        NotBuilt = "this program was built without TLS decryption (feature tls)",
        NoKeyLog = "there is no key log",
        NoSecret = "the key log does not have its secret",
        NoHello = "the hello of one side was not captured",
        HandshakeCut = "its handshake was not captured as a whole",
        HandshakeIncomplete = "its handshake was not completed, or not captured",
        NumberNotFound = "its sequence number was not found",
        LossNotBridged = "what was lost cannot be bridged",
        NotVerified = "it does not verify with the secret of the key log",
        EarlyDataUnknown = "whether the server accepted the early data is not known",
        TooManyHandshakes = "there were too many handshakes on this connection",
        Ssl2 = "it begins with a hello of SSL 2.0, which is not decoded",
        Ssl3 = "SSL 3.0 is not decoded",
        Tls10 = "TLS 1.0 is not decoded",
        Tls11 = "TLS 1.1 is not decoded",
        Draft = "drafts of TLS 1.3 are not decoded",
        OtherVersion = "its version of TLS is not known",
        CipherSuite = "its cipher suite is not decoded",
        Compressed = "TLS compression is not decoded",
        TruncatedHmac = "truncated HMACs are not decoded",
    }
}
