package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/tls12"
)

// connection says how a connection was made. It has neither the session's id nor
// any secret.
type connection struct {
	Protocol          string `json:"protocol"`
	CipherSuite       string `json:"cipher_suite"`
	ServerName        string `json:"server_name"`
	ALPN              string `json:"alpn"`
	Resumed           bool   `json:"resumed"`
	ResumedBy         string `json:"resumed_by"`
	SessionAge        int64  `json:"session_age_seconds"`
	Engine            string `json:"engine"`
	ClientCertificate string `json:"client_certificate_sha256"`
}

// serveConnection is /connection.json.
func serveConnection(w http.ResponseWriter, r *http.Request) {
	serveJSON(w, connectionOf(r))
}

// connectionOf describes the connection that the request came over.
func connectionOf(r *http.Request) connection {
	state, engine := r.TLS, engineOf(connOf(r))
	return connection{
		Protocol:          tls.VersionName(state.Version),
		CipherSuite:       tls.CipherSuiteName(state.CipherSuite),
		ServerName:        state.ServerName,
		ALPN:              state.NegotiatedProtocol,
		Resumed:           state.DidResume,
		ResumedBy:         resumedBy(state, engine),
		SessionAge:        sessionAge(r),
		Engine:            engine,
		ClientCertificate: clientCertificate(state),
	}
}

// The engines that a connection may have.
const (
	engineCryptoTLS = "crypto/tls"
	engineTLS12     = "tls12"
)

func engineOf(conn net.Conn) string {
	if _, ok := conn.(*tls12.Conn); ok {
		return engineTLS12
	}
	return engineCryptoTLS
}

func resumedBy(state *tls.ConnectionState, engine string) string {
	switch {
	case !state.DidResume:
		return ""
	case state.Version >= tls.VersionTLS13:
		return "psk"
	case engine == engineTLS12:
		return "session-id"
	}
	return "ticket"
}

// sessionAge is how many whole seconds ago the full handshake was made from which the
// resumed session descends.
func sessionAge(r *http.Request) int64 {
	session, ok := halfshake.SessionOf(connOf(r))
	if !ok || !r.TLS.DidResume {
		return 0
	}
	return max(0, int64(time.Since(session.LineageStart())/time.Second))
}

func clientCertificate(state *tls.ConnectionState) string {
	if len(state.PeerCertificates) == 0 {
		return ""
	}
	digest := sha256.Sum256(state.PeerCertificates[0].Raw)
	return hex.EncodeToString(digest[:])
}

// serveJSON answers with v on one line.
func serveJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}
