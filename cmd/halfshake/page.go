package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"

	"github.com/halfshake/halfshake"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// contentSecurityPolicy lets a browser use the page's own style and nothing else.
var contentSecurityPolicy = "default-src 'none'; style-src '" + styleHash() + "'; img-src data:; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func styleHash() string {
	_, style, _ := strings.Cut(pageHTML, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	digest := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(digest[:])
}

// pageData is what page.html shows.
type pageData struct {
	Connection connection
	Stats      halfshake.Stats
	Host       string
}

// page is GET /. A browser keeps its connection, so that loading the page again
// shows the same one; with ?anew it is told to close it, and makes another.
func (s *server) page(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("anew") {
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, pageData{connectionOf(r), s.cache.Stats(), r.Host}); err != nil {
		s.log.Error("the page failed", "error", err)
		http.Error(w, "the page failed; the log has more", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}
