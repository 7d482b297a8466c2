package proxy

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
)

// maxClientCert is the longest Client-Cert header. Apache, gunicorn and Tomcat
// accept header lines of 8 KiB, Node.js 16 KiB in all. A certificate takes 1 or 2.
const maxClientCert = 8 << 10

// clientCert returns the value of Client-Cert (RFC 9440), or "" for a client
// without a verified certificate, whether its handshake was full or resumed. A
// certificate too large for the header is refused: without the header, the backend
// would take the client for one that has none.
func (h *HTTP) clientCert(state *tls.ConnectionState) (header string, refused *refusal) {
	if !h.options.ClientCert || len(state.VerifiedChains) == 0 {
		return "", nil
	}
	// A byte sequence of RFC 8941, section 3.3.5.
	header = ":" + base64.StdEncoding.EncodeToString(state.VerifiedChains[0][0].Raw) + ":"
	if len(header) > maxClientCert {
		return "", &refusal{http.StatusRequestHeaderFieldsTooLarge, "the client certificate is too large to be passed on"}
	}
	return header, nil
}
