package proxy

import (
	"fmt"
	"net/http"
	"strings"
)

// A refusal is an answer that the proxy itself gives. It reveals nothing about the backend.
type refusal struct {
	status int
	text   string
}

func (r refusal) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(r.status)
	_, _ = fmt.Fprintf(w, "%d %s: %s\n", r.status, http.StatusText(r.status), r.text) // a client that has left needs no answer
}

// inspect refuses requests that cannot be passed on unchanged. For the others it returns
// the Client-Cert header.
func (h *HTTP) inspect(r *http.Request) (clientCert string, refused *refusal) {
	target := r.URL.RequestURI()
	switch {
	case r.TLS == nil:
		// The proxy would tell the backend that the request came over https.
		return "", &refusal{http.StatusBadRequest, "the connection is not TLS"}
	case r.Method == http.MethodConnect:
		return "", &refusal{http.StatusNotImplemented, "this is not a proxy for other hosts"}
	case !strings.HasPrefix(target, "/"):
		return "", &refusal{http.StatusBadRequest, "the request has no path"}
	case strings.ContainsFunc(target, isSpaceOrControl):
		// Only HTTP/2 allows such a path. In an HTTP/1.1 request line, the space would
		// begin the next word.
		return "", &refusal{http.StatusBadRequest, "the request's path has a space or a control character"}
	case !isMadeOf(r.Host, hostMarks):
		return "", &refusal{http.StatusBadRequest, "the request's host is malformed"}
	}
	return h.clientCert(r.TLS)
}

// hostMarks are the characters that a host may have in addition to letters and digits
// (RFC 3986, section 3.2), except for the @ after a user name.
const hostMarks = "-._~:[]%!$&'()*+,;="

func isSpaceOrControl(c rune) bool { return c <= ' ' || c == 0x7f }
