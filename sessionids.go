package halfshake

import (
	"crypto/tls"
	"slices"

	"github.com/halfshake/halfshake/tls12"
)

// SessionIDs says for which clients a [Cache.NewListener] or [Cache.Server] resumes
// TLS 1.2 by session id, which crypto/tls cannot: their connections are served by
// package tls12, and the listener's Accept returns a *tls12.Conn. Clients of TLS 1.3 and of HTTP/2, and
// what package tls12 cannot serve as well, stay with crypto/tls.
type SessionIDs uint8

const (
	// SessionIDsOff: for none. Nothing is read ahead.
	SessionIDsOff SessionIDs = iota
	// SessionIDsTicketless: for those that do not offer to take a ticket, and so could
	// resume in no other way.
	SessionIDsTicketless
	// SessionIDsAlways: for all, whether they would take a ticket or not.
	SessionIDsAlways
)

// takes reports whether the client of hello is for package tls12, under the
// configuration in force for it.
func (s SessionIDs) takes(hello *tls.ClientHelloInfo, config *tls.Config) bool {
	const sessionTicket = 35 // RFC 5077 section 3.2
	return s != SessionIDsOff && !config.SessionTicketsDisabled &&
		(s == SessionIDsAlways || !slices.Contains(hello.Extensions, sessionTicket)) &&
		wouldSpeakTLS12(hello, config) &&
		!wouldSpeakHTTP2(hello, config) &&
		tls12.Suits(config, hello)
}

// wouldSpeakTLS12 reports whether TLS 1.2 is the highest version that both have.
func wouldSpeakTLS12(hello *tls.ClientHelloInfo, config *tls.Config) bool {
	has13 := slices.Contains(hello.SupportedVersions, tls.VersionTLS13) &&
		config.MinVersion <= tls.VersionTLS13 && (config.MaxVersion == 0 || config.MaxVersion >= tls.VersionTLS13)
	return !has13 && slices.Contains(hello.SupportedVersions, tls.VersionTLS12)
}

// wouldSpeakHTTP2 reports whether ALPN would choose h2, which net/http speaks only
// over a *tls.Conn: the first of the server's protocols that the client has.
func wouldSpeakHTTP2(hello *tls.ClientHelloInfo, config *tls.Config) bool {
	for _, protocol := range config.NextProtos {
		if slices.Contains(hello.SupportedProtos, protocol) {
			return protocol == "h2"
		}
	}
	return false
}
