package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"time"

	"github.com/halfshake/halfshake"
)

// The page is one answer: the style and the script are put into the template.
var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"spoken": spoken, "plural": plural}).Parse(pageHTML))
)

// contentSecurityPolicy lets a browser use the page's own style and script, ask
// this server for the counters, and nothing else.
var contentSecurityPolicy = "default-src 'none'; style-src '" + sourceHash(pageCSS) + "'; script-src '" + sourceHash(pageJS) + "'; " +
	"connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func sourceHash(source string) string {
	digest := sha256.Sum256([]byte(source))
	return "sha256-" + base64.StdEncoding.EncodeToString(digest[:])
}

// pageView is what page.html shows.
type pageView struct {
	Style      template.CSS
	Script     template.JS
	Connection *handshakeView // nil over plain HTTP
	Live       snapshot
	Host       string
	Now        time.Time
}

// page returns the handler of GET /. A browser keeps its connection, so loading the page
// again shows the same connection. With ?anew the server asks the browser to close it and
// make another.
func (s *server) page(l *live) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("anew") {
			w.Header().Set("Connection", "close") // in HTTP/2, net/http makes a GOAWAY of it
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		view := pageView{
			Style: template.CSS(pageCSS), Script: template.JS(pageJS),
			Live: l.look(), Host: s.hostOf(r), Now: time.Now().UTC(),
		}
		if r.TLS != nil {
			view.Connection = s.handshakeOf(r)
		}
		var b bytes.Buffer
		if err := pageTemplate.Execute(&b, view); err != nil {
			s.log.Error("the page failed", "error", err)
			http.Error(w, "the page failed; the log has more", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.Bytes())
	}
}

// handshakeView is a connection, and the parts of its handshake that resumption saves.
type handshakeView struct {
	connection
	Version     uint16
	KeyExchange string
	Retried     bool // the server sent a HelloRetryRequest
	Asked       bool // full handshakes ask for a client certificate
	Kept        bool // there is a session that the client may bring back

	Chain, ClientChain chainSize
	Pin                string // of the server's key, where a browser will not trust its certificate
}

// chainSize is a certificate chain as it is sent.
type chainSize struct{ Certificates, Bytes int }

func (s *server) handshakeOf(r *http.Request) *handshakeView {
	_, kept := halfshake.SessionOf(connOf(r))
	config := s.files.current.Load()
	v := &handshakeView{
		connection: connectionOf(r), Version: r.TLS.Version, Retried: r.TLS.HelloRetryRequest,
		Asked: config.ClientAuth != tls.NoClientCert, Kept: kept,
	}
	if r.TLS.CurveID != 0 {
		v.KeyExchange = r.TLS.CurveID.String()
	}
	for _, cert := range r.TLS.PeerCertificates {
		v.ClientChain.add(cert.Raw)
	}
	for _, der := range config.Certificates[0].Certificate {
		v.Chain.add(der)
	}
	if leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0]); err == nil && bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
		pin := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
		v.Pin = base64.StdEncoding.EncodeToString(pin[:])
	}
	return v
}

func (c *chainSize) add(der []byte) { c.Certificates, c.Bytes = c.Certificates+1, c.Bytes+len(der) }

// hostOf returns the address that the page's commands name. It is the address in the
// address bar, if a shell would not interpret it.
func (s *server) hostOf(r *http.Request) string {
	if plainHost.MatchString(r.Host) {
		return r.Host
	}
	return reachable(s.listener.Addr())
}

var plainHost = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$|^\[[0-9A-Fa-f:.]+\](:[0-9]+)?$`)

// spoken returns a number of seconds in words, in the largest unit that fits.
func spoken(seconds int64) string {
	switch {
	case seconds < 1:
		return "less than a second"
	case seconds < 120:
		return plural(int(seconds), "second")
	case seconds < 7200:
		return plural(int(seconds/60), "minute")
	}
	return plural(int(seconds/3600), "hour")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
