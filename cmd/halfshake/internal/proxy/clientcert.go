package proxy

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
)

// maxClientCert is the maximum length of the Client-Cert header. Apache, gunicorn and
// Tomcat accept header lines of 8 KiB, and Node.js accepts 16 KiB of headers. A
// certificate usually takes 1 or 2 KiB.
const maxClientCert = 8 << 10

// clientCert returns the value of Client-Cert (RFC 9440), or "" if the client has no
// verified certificate. It does not matter whether the handshake was full or resumed. If
// the certificate is too large for the header, clientCert refuses the request: without
// the header, the backend would assume that the client has no certificate.
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
