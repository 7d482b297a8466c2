// Package halfshake is a TLS session cache for servers and clients on crypto/tls: the
// session half of OpenSSL's SSL_CTX. Clients resume after a restart, and on other
// machines, and the server can revoke their sessions.
//
// Most programs need two functions. [New] makes a [Cache]; the zero [Config] has good
// defaults. [Cache.ServerConfig] takes the server's tls.Config and returns one whose
// sessions live in the cache. It serves net/http, gRPC, quic-go and everything else that
// takes a *tls.Config. To keep sessions beyond the life of the process, set [Callbacks]:
// package external provides them on top of a database.
//
// A program that owns its listener can call [Cache.NewListener] instead, and one that
// owns each connection can call [Cache.Server]. They see more of a connection than the
// hooks of a tls.Config do, and can do more:
//
//	                                     ServerConfig           NewListener    Server
//	ids looked up for a ClientHello      one, or up to five [1] one            one
//	addresses, context of callbacks      with a name [2]        yes            yes
//	SessionOf                            no                     yes            yes
//	MaxLineageAge, RemoveLineage         most clients [3]       yes            yes
//	handshakes are counted               at VerifyConnection    when seen [4]  at completion
//	proof, and its effects               when implied [5]       when seen [4]  at completion
//	New is called                        with the ticket        with it [6]    at completion
//	alerts, unclean closes               not seen               not seen [6]   seen
//	TLS 1.2 by session id                no                     SessionIDs     SessionIDs
//	no ticket if nothing can resume      no                     yes            yes
//
// [1] Up to five in TLS 1.3, for clients that send no server name.
//
// [2] For clients that send a server name, unless the server sent a HelloRetryRequest.
// After a HelloRetryRequest the session's parent is still known.
//
// [3] In TLS 1.2, for all clients. In TLS 1.3, for clients that send a server name or
// have a client certificate. When any other client resumes, the new session begins a new
// lineage, or is not cached where a MaxLineageAge applies.
//
// [4] At the first record after VerifyConnection that only a client with the keys can
// have caused: the server reads on after the client's Finished, or writes. A connection
// that does neither is not counted.
//
// [5] A client's Finished proves that it holds a session's keys, but the hooks do not
// show it. A full handshake in TLS 1.2, a client certificate in a full handshake in TLS
// 1.3, and a ticket over QUIC imply it. A resumption protects the offered session, and
// one new session made from it, from eviction by floods of new sessions. It does not
// renew the offered session: [ModeUpdateTime] has an effect only over QUIC.
//
// [6] Connections of package tls12, which serves the clients that [Config.SessionIDs]
// selects, behave as in the Server column.
//
// A session resumes only if every check passes; [Refusal] lists the checks. A refused
// session costs a full handshake, never a failed one. (A QUIC client that has sent early
// data with it may give up all the same: quic-go does.)
//
// A client's sessions are cached with [ModeClient]. [Cache.ClientConfig] takes the client's
// tls.Config and the address that it dials, and returns one whose sessions live in the
// cache. They are offered to that server only, under the same roots and client certificate,
// and in TLS 1.3 once. With an external cache they outlive the process too: the second run
// of a command-line program resumes. [Cache.Client] is for servers of TLS 1.2 that resume
// by session id alone.
//
// Early data (0-RTT) exists only over QUIC, because crypto/tls does not support it over
// TCP. A session that allows early data resumes once, whether or not early data is sent.
// With a Get callback, an Admit callback must take the session out of the external cache,
// as package external's does. Without an Admit callback such sessions do not resume.
//
// A [Session] is a live key. Anyone who has its encoding can resume it and, in TLS 1.2,
// decrypt recorded connections that used it. Printing or logging a Session shows neither
// its id nor its secret.
package halfshake
