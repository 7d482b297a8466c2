// Package tls12 is a TLS 1.2 engine, server and client, that resumes sessions by
// session id, which crypto/tls does not. An abbreviated handshake needs no public-key
// operation (RFC 5246, section 7.3).
//
// [Server] and [Client] take a *tls.Config and honour it; a field that they cannot
// honour is an error. The caller decides what resumes: a server asks its [Sessions],
// and a client is given the [Session] to propose.
//
// # What it supports
//
// ECDHE over X25519, P-256, P-384 and P-521 with AES-GCM and ChaCha20-Poly1305;
// certificates with ECDSA, RSA (PSS and PKCS #1 v1.5) and Ed25519 keys, on both
// sides; ALPN, SNI, OCSP staples and signed certificate timestamps; the extended
// master secret (RFC 7627), without which no session resumes; the empty
// renegotiation_info of RFC 5746; TLS_FALLBACK_SCSV (RFC 7507); and the downgrade
// sentinel of RFC 8446, section 4.1.3, in full and resumed ServerHellos.
//
// # What it refuses
//
// Every other protocol version, static RSA and finite-field key exchange, CBC
// suites, SHA-1 and MD5 in signatures, compression, renegotiation and session
// tickets. No setting enables them.
//
// # Memory
//
// A connection reads into a buffer of 2 KiB, which grows to 17 KiB with the first
// record that is larger. During the handshake it also holds one handshake message of
// at most 64 KiB, in a buffer of at most twice that size, and the flight that it is
// about to send. A server that requests client certificates holds the handshake so
// far as well, in which the ClientHello and the client's Certificate have at most 64
// KiB each. The end of the handshake frees all of this except the message with the
// peer's certificates, to which the parsed certificates refer. A Write borrows a
// buffer for one record, of at most 17 KiB, from a pool.
//
// # Limits
//
// A connection sets no deadline of its own, except to send close_notify. Whatever
// accepts connections must set one before the handshake or call
// [Conn.LimitHandshake]; net/http sets one for a *tls.Conn only.
//
// A certificate message of more than 64 KiB is refused.
//
// ConnectionState().ExportKeyingMaterial returns an error, because only crypto/tls
// can make one that works; [Conn.ExportKeyingMaterial] works. The
// CertificateRequestInfo that a client's GetClientCertificate receives has no
// context.
package tls12
