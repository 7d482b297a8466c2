// Package halfshake is a TLS session cache for servers built on crypto/tls: the
// session half of OpenSSL's SSL_CTX.
//
// Most programs need two functions: [New] makes a [Cache], and
// [Cache.ServerConfig] turns a *tls.Config into one whose sessions live in it.
// Programs that own their listener use [Cache.NewListener], and those that own
// each connection use [Cache.Server]; both see more of a connection than the
// hooks of a tls.Config do:
//
//	                                           ServerConfig  NewListener  Server
//	ids looked up for one TLS 1.3 ClientHello  up to five    one          one
//	ConnInfo.RemoteAddr, context, SessionOf    no            yes          yes
//	MaxLineageAge in TLS 1.3                     an error      yes          yes
//	promotion of a reused TLS 1.3 session      no            yes          yes
//	counters at the handshake's completion     no [1]        tls12 [1]    yes
//	New after the handshake's completion       no [2]        tls12 [2]    yes
//	unclean close, fatal alerts                no            tls12        yes
//	resumption by session id in TLS 1.2        no            tls12        tls12
//
// "tls12" is for connections of package tls12, which serves those clients that
// [Config.SessionIDs] names.
//
// [1] At VerifyConnection, after the configuration's own has agreed. That is
// before the client's Finished is read, so that a ClientHello which was recorded
// and is played again counts, and moves a session's time under [ModeUpdateTime].
// [2] Where a ticket is made, which is after the client's Finished in a full TLS
// 1.2 handshake, after its certificate in a full TLS 1.3 one that asks for it, and
// before the client has answered anything else. Such sessions wait in a part of
// the internal cache from which a full one evicts first.
//
// A session is resumed only after a flat ladder of refusals has found no reason
// against it; [Refusal] names the rungs. A refused session is a full handshake,
// never a failed one.
//
// A [Session] is a live key: who reads its encoding can resume it and, in TLS
// 1.2, decrypt what was recorded under it. Printing a Session shows neither its
// id nor its secret.
package halfshake
