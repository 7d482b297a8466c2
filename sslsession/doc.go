// Package sslsession reads and writes OpenSSL's SSL_SESSION in DER and PEM: the encoding
// of d2i_SSL_SESSION(3), PEM_read_SSL_SESSION(3), "openssl sess_id" and the -sess_in and
// -sess_out options of "openssl s_client".
//
// [Parse] and [Session.Marshal] handle one session in DER; [ParsePEM] and
// [Session.MarshalPEM] do the same for PEM.
//
// # Strictness
//
// OpenSSL tolerates BER, bytes after the session and values that it never writes. This
// package reads only what some release of OpenSSL writes, so a session that parses is
// encoded to the same bytes again. On error, Parse returns no session; the error names the
// field and its offset. Releases differ in two ways. Parse accepts both: OpenSSL 1.1.1 and
// earlier do not write the key-exchange group, and later releases may add fields.
// [ParseStrict] accepts neither.
//
// # Secrets
//
// The encoding contains the master secret, or in TLS 1.3 the pre-shared key, in clear.
// Whoever reads it can resume the session and, without forward secrecy, read its
// connections. Formatting a [Session], logging it or encoding it as JSON shows neither the
// key nor the id nor the ticket. Package fmt cannot honour that for a Session in an
// unexported field of another struct.
package sslsession
