// Package proxy implements "halfshake serve --to". It passes the content of TLS
// connections to one backend in the clear, as HTTP ([NewHTTP]) or as bytes ([NewTCP]).
//
// The backend and the network to it are trusted; clients are not. The headers that say
// where an HTTP request came from (X-Forwarded-For, Client-Cert and the like) therefore
// always come from this proxy, never from a client: see headers.go.
//
// The proxy does not support HTTP/2 to the backend (and so no gRPC), the PROXY protocol,
// balancing between backends, or WebSocket over HTTP/2 (RFC 8441).
package proxy
