// Package halfshake is a TLS session cache for servers on crypto/tls: the session half
// of OpenSSL's SSL_CTX. Clients resume after a restart, and on other machines, and the
// server can revoke their sessions.
//
// Most programs need two functions. [New] makes a [Cache]; the zero [Config] is a good
// one. [Cache.ServerConfig] takes the server's tls.Config and returns one whose sessions
// live in the cache, for net/http, gRPC, quic-go and everything else that takes a
// *tls.Config. Sessions that outlive the process need [Callbacks]: package external has
// them ready-made, over a database.
//
// A program that owns its listener can call [Cache.NewListener] instead, and one that
// owns each connection [Cache.Server]. They see more of a connection than the hooks of
// a tls.Config do, and can do more:
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
// [2] For clients that send a server name, unless the server asked them for a second
// ClientHello (HelloRetryRequest): then the session's parent is still known.
//
// [3] In TLS 1.2 for all clients. In TLS 1.3 for those that send a server name or have a
// client certificate; a resumption of any other begins a new lineage, or is not cached
// where a MaxLineageAge applies.
//
// [4] At the first record after VerifyConnection that only a client with the keys can
// have caused: the server reads on after the client's Finished, or writes. A connection
// that does neither is not counted.
//
// [5] A client proves that it holds a session's keys by its Finished, which the hooks do
// not show. A full handshake of TLS 1.2, a client certificate in a full handshake of TLS
// 1.3, and a ticket over QUIC imply it. A resumption protects the session that was
// offered, and one new session made from it, from being evicted by floods of new
// sessions. It does not renew it: [ModeUpdateTime] has an effect over QUIC alone.
//
// [6] As Server for connections of package tls12, which serves the clients that
// [Config.SessionIDs] selects.
//
// A session resumes only after a list of checks has found no reason against it;
// [Refusal] names them. A refused session costs a full handshake, never a failed one.
//
// Early data (0-RTT) exists over QUIC alone, since crypto/tls has none over TCP. A
// session that allows it resumes once, with or without early data. With a Get callback,
// an Admit callback has to take the session out of the external cache, as package
// external's does; without an Admit such sessions do not resume.
//
// A [Session] is a live key. Whoever has its encoding can resume it and, in TLS 1.2,
// decrypt recorded connections that used it. Printing or logging a Session shows neither
// its id nor its secret.
package halfshake
