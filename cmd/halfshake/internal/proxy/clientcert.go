package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"strings"
)

// maxCertHeader bounds Client-Cert, and Client-Cert-Chain. Apache, gunicorn and
// Tomcat take lines of 8 KiB, Node.js 16 KiB in all. A certificate is 1 or 2.
const maxCertHeader = 8 << 10

// certHeaders are the values of Client-Cert and Client-Cert-Chain (RFC 9440), or
// empty.
type certHeaders struct{ leaf, chain string }

// certHeaders says which client the connection was made by, whether its handshake
// was full or resumed. A certificate that was not verified counts as none. One that
// does not fit is refused: without it, the backend would take its client for one
// that has none.
func (h *HTTP) certHeaders(state *tls.ConnectionState) (headers certHeaders, refused *refusal) {
	if !h.options.ClientCert || len(state.VerifiedChains) == 0 {
		return certHeaders{}, nil
	}
	chain := state.VerifiedChains[0]
	headers.leaf = sfBinary(chain[0])
	if h.options.ClientCertChain {
		headers.chain = sfList(intermediates(chain))
	}
	if len(headers.leaf) > maxCertHeader || len(headers.chain) > maxCertHeader {
		return certHeaders{}, &refusal{http.StatusRequestHeaderFieldsTooLarge, "the client certificate is too large to be passed on"}
	}
	return headers, nil
}

// set puts the headers where none of the client's are left.
func (c certHeaders) set(h http.Header) {
	if c.leaf != "" {
		h.Set("Client-Cert", c.leaf)
	}
	if c.chain != "" {
		h.Set("Client-Cert-Chain", c.chain)
	}
}

// intermediates leaves out the leaf and the trust anchor, which may be one.
func intermediates(chain []*x509.Certificate) []*x509.Certificate {
	if len(chain) < 3 {
		return nil
	}
	return chain[1 : len(chain)-1]
}

// sfBinary is a byte sequence of RFC 8941, section 3.3.5.
func sfBinary(cert *x509.Certificate) string {
	return ":" + base64.StdEncoding.EncodeToString(cert.Raw) + ":"
}

func sfList(certs []*x509.Certificate) string {
	var members []string
	for _, cert := range certs {
		members = append(members, sfBinary(cert))
	}
	return strings.Join(members, ", ")
}
