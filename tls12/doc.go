// Package tls12 is a TLS 1.2 engine, server and client, that does the one thing
// crypto/tls refuses to: resume by session id, the handshake without a public-key
// operation in it (RFC 5246, section 7.3).
//
// [Server] and [Client] take a *tls.Config and honour it; a field that they
// cannot honour is an error. What resumes is in the hands of the caller: a server
// asks its [Sessions], a client is given the [Session] to propose.
//
// # What it speaks
//
// ECDHE over X25519, P-256, P-384 and P-521 with AES-GCM and ChaCha20-Poly1305;
// certificates with ECDSA, RSA (PSS and PKCS #1 v1.5) and Ed25519 keys, on both
// sides; ALPN, SNI, OCSP staples and signed certificate timestamps; the extended
// master secret (RFC 7627), without which no session is resumable; the empty
// renegotiation_info of RFC 5746; TLS_FALLBACK_SCSV (RFC 7507); and the downgrade
// sentinel of RFC 8446, section 4.1.3, on full and resumed ServerHellos alike.
//
// # What it refuses
//
// Every other protocol version, static RSA and finite-field key exchange, CBC
// suites, SHA-1 and MD5 in signatures, compression, renegotiation and session
// tickets. These have no switch.
//
// # Memory
//
// A connection reads into a buffer of 2 KiB, of 17 KiB once a record has been
// larger. During the handshake it holds, besides, one handshake message of at
// most 64 KiB, in a buffer of up to twice that, and what it is about to send; a
// server that asks for client certificates also holds what it has read and
// written so far, of which the ClientHello and the client's Certificate have at
// most 64 KiB each. After the handshake these are gone, but for the message with
// the peer's certificates, which its parsed certificates refer to. A Write borrows
// one record's buffer, of at most 17 KiB, from a pool.
//
// # Limits
//
// A connection sets no deadline of its own, except for sending close_notify: who
// accepts connections sets one before the handshake, or calls
// [Conn.LimitHandshake]. Note that net/http does so only for a *tls.Conn.
//
// A certificate message of more than 64 KiB is refused.
//
// The ConnectionState's own ExportKeyingMaterial returns an error, since only
// crypto/tls can make such a value that works; [Conn.ExportKeyingMaterial]
// works. A CertificateRequestInfo that a client's GetClientCertificate receives
// has no context.
package tls12
