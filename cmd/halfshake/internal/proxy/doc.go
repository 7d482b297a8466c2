// Package proxy is what stands behind "halfshake serve --to": it passes on what
// arrives over connections whose TLS has been terminated, as HTTP ([NewHTTP]) or
// as bytes ([NewTCP]), to one backend in the clear.
//
// The backend is trusted, and so is the network between; a client is not. What an
// HTTP request says of where it came from (X-Forwarded-For, Client-Cert and the
// like) is therefore this proxy's word alone: see headers.go.
//
// There is no HTTP/2 to the backend, hence no gRPC; no PROXY protocol; no
// balancing between backends; and no WebSocket over HTTP/2 (RFC 8441).
package proxy
